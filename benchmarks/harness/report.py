"""What did a run find? A table for people, the same as JSON, both with the machine they come from."""

import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.contest import DAEMON, Row, Troubles


class Fact(NamedTuple):
    """A single figure; `aim` says in words what it should be."""

    name: str
    value: float
    unit: str
    aim: str = ""
    note: str = ""


class Point(NamedTuple):
    """What one request costs the daemon, in microseconds of its processor time, at some size."""

    series: str
    of: str
    size: int
    cost_us: float
    p50_us: float


class Report:
    """Gathers what was measured."""

    def __init__(self, machine: dict[str, object]) -> None:
        self.machine = machine
        self.rows: list[Row] = []
        self.facts: list[Fact] = []
        self.points: list[Point] = []
        self.texts: list[str] = []
        self.took: dict[str, float] = {}

    def fact(self, name: str, value: float, unit: str, aim: str = "", note: str = "") -> None:
        """Add a figure, and show it."""
        self.facts.append(Fact(name, round(value, 3), unit, aim, note))
        print(f"  {name}: {value:,.2f} {unit} {note}", flush=True)

    def markdown(self, troubles: Troubles) -> str:
        """The report for people."""
        lines = [f"# Benchmarks of {str(self.machine['date'])[:10]}, commit {self.machine['commit']}", ""]
        lines += [f"**{trouble}**\n" for trouble in (*troubles.broken, *troubles.left_out.values())]
        lines += ["| machine | |", "|---|---|", *(f"| {name} | {value} |" for name, value in self.machine.items()), ""]
        lines += ["G: the generator was the limit, the rate is a floor. f: others used the machine, see the ratio per"]
        lines += ["core. Ratios are this daemon's figure over the peer's, medians of the ratios of each round.", ""]
        lines += _table(self.rows)
        if self.facts:
            lines += ["", "| figure | | aim | |", "|---|--:|---|---|"]
            lines += [f"| {f.name} | {f.value:,.5g} {f.unit} | {f.aim} | {f.note} |" for f in self.facts]
        for of in dict.fromkeys(point.of for point in self.points):
            lines += ["", *_growth(of, [point for point in self.points if point.of == of])]
        for text in self.texts:
            lines += ["", text.rstrip()]
        lines += ["", "Seconds: " + ", ".join(f"{name} {took:.0f}" for name, took in self.took.items())]
        return "\n".join([*lines, ""])

    def write(self, folder: Path, name: str, troubles: Troubles) -> None:
        """Write both forms."""
        folder.mkdir(parents=True, exist_ok=True)
        whole = {
            "machine": self.machine,
            "left_out": list(troubles.left_out.values()),
            "broken": troubles.broken,
            "rows": [row._asdict() for row in self.rows],
            "facts": [fact._asdict() for fact in self.facts],
            "growth": [point._asdict() for point in self.points],
            "texts": self.texts,
        }
        (folder / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
        (folder / f"{name}.md").write_text(self.markdown(troubles), "utf-8")


def _table(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    heads = ["what", "who", "rate/s", "per core/s", "p50 us", "p99 us", "bytes", "server %", "client %", "others %"]
    heads += ["ratio", "ratio per core", "aim", ""]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "--:|" * 11 + "---|"]
    for row in rows:
        what = f"{row.title}, {row.setting}" if row.contestant == DAEMON else ""
        cells = [what, row.contestant, f"{row.rate:,.0f}", f"{row.per_core:,.0f}", f"{row.p50_us:,.0f}"]
        cells += [f"{row.p99_us:,.0f}", f"{row.bytes_each:,.0f}"]
        cells += [f"{share * 100:.0f}" for share in (row.server_share, row.client_share, row.foreign_share)]
        cells += ["" if ratio is None else f"{ratio:.2f}" for ratio in (row.ratio, row.per_core_ratio)]
        cells += ["" if row.aim is None else f"{row.aim:g}", row.mark]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _growth(of: str, points: list[Point]) -> list[str]:
    series = list(dict.fromkeys(point.series for point in points))
    lines = [f"| {of} | {' | '.join(f'{each}, us of processor (p50 us)' for each in series)} |"]
    lines.append("|--:|" + "--:|" * len(series))
    for size in sorted({point.size for point in points}):
        found = {point.series: point for point in points if point.size == size}
        cells = [f"{found[each].cost_us:.1f} ({found[each].p50_us:,.0f})" if each in found else "" for each in series]
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return lines
