"""What did a soak see? A table and a picture for people, all samples as JSON."""

import json
from pathlib import Path

import msgspec

from benchmarks.harness.machine import describe_machine

from .picture import Panel, draw
from .soak import RETURNS, Soak

WORDS = {
    "rss_mib": "memory, resident, MiB",
    "pss_mib": "memory, its share of what is shared, MiB",
    "blocks": "blocks of memory that Python has given out",
    "objects": "objects that the collector looks at",
    "descriptors": "descriptors",
    "threads": "threads",
    "tasks": "tasks",
    "peers": "connections",
    "parked": "connections gone that are owed an answer",
    "subscriptions": "subscriptions",
    "sessions_known": "sessions",
    "held_kb": "sessions held in memory, KiB",
    "journal_mib": "journal on the disk, MiB",
    "sessions_mib": "sessions on the disk, MiB",
}
KEPT_SAMPLES = 720
"""Written down; of more, every second, third, ..."""


def write(soak: Soak, folder: Path) -> None:
    """Write `soak.json`, `soak.md` and `soak.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    (folder / "soak.json").write_text(json.dumps(_whole(soak, machine), indent=1) + "\n", "utf-8")
    (folder / "soak.md").write_text(_table(soak, machine), "utf-8")
    draw(_panels(soak), soak.plan.warm_s, folder / "soak.svg")


def _whole(soak: Soak, machine: dict[str, object]) -> dict[str, object]:
    samples = soak.sampler.samples
    step = -(-len(samples) // KEPT_SAMPLES)
    return {
        "machine": machine,
        "plan": msgspec.structs.asdict(soak.plan),
        "failed": soak.failed,
        "verdicts": {name: msgspec.to_builtins(verdict) for name, verdict in soak.verdicts.items()},
        "before": soak.before,
        "after": soak.after,
        "facts": soak.facts,
        "done": dict(soak.account.done),
        "causes": dict(soak.account.causes),
        "complaints": soak.account.examples,
        "warnings in the log": dict(soak.daemon.warned),
        "samples": [{name: round(value, 3) for name, value in each.items()} for each in samples[::step]],
    }


def _table(soak: Soak, machine: dict[str, object]) -> str:
    plan, done, causes = soak.plan, soak.account.done, soak.account.causes
    lines = [
        f"# {plan.seconds / 60:g} minutes with {plan.clients} clients coming and going",
        "",
        f"{str(machine['date'])[:10]}, commit {machine['commit']}, {machine['cpu']}, {machine['cores']} cores, "
        f"Python {machine['python']}. `make soak MINUTES={plan.seconds / 60:g}`. "
        + ("**Failed**: " + "; ".join(soak.failed) if soak.failed else "Nothing rises, everything has its cause."),
        "",
        "![The figures over time](soak.svg)",
        "",
        "| figure | first tenth | last tenth | highest | rise an hour | in all | may be | |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for name, verdict in soak.verdicts.items():
        cells = [WORDS[name], *(f"{each:,.1f}" for each in (verdict.first, verdict.last, verdict.highest))]
        cells += [
            f"{verdict.per_hour:+,.1f}",
            f"{verdict.rise:+,.1f}",
            f"{verdict.allowed:,.1f}",
            "flat" if verdict.flat else "**rises**",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Slopes are those of Theil and Sen, after the first {plan.warm_s / 60:g} minutes; *in all* is what that",
        "makes in the time that was measured after that, *may be* the bound for it.",
        "",
        "| after everybody has left | before they came | after |",
        "|---|--:|--:|",
        *(f"| {WORDS[name]} | {soak.before[name]:,.0f} | {soak.after[name]:,.0f} |" for name in RETURNS),
        "",
        "| what was done | times |",
        "|---|--:|",
        *(f"| {name} | {number:,} |" for name, number in sorted(done.items(), key=lambda each: -each[1])),
        *(f"| {name} | {number:,.3g} |" for name, number in soak.facts.items()),
        "",
        "| what broke, or was refused, because we made it so | times |",
        "|---|--:|",
        *(f"| {name} | {number:,} |" for name, number in sorted(causes.items(), key=lambda each: -each[1])),
        "",
    ]
    return "\n".join(lines)


def _panels(soak: Soak) -> list[Panel]:
    def lines(**names: str) -> dict[str, list[tuple[float, float]]]:
        return {name: points for name, figure in names.items() if (points := soak.sampler.points(figure, 0))}

    panels = [
        Panel("memory, MiB", lines(resident="rss_mib", share="pss_mib")),
        Panel("blocks of memory", lines(blocks="blocks")),
        Panel("descriptors", lines(descriptors="descriptors")),
        Panel("tasks and threads", lines(tasks="tasks", threads="threads")),
        Panel("connections", lines(there="peers", owed="parked")),
        Panel("sessions", lines(sessions="sessions_known")),
        Panel("sessions in memory, KiB", lines(held="held_kb")),
        Panel("on the disk, MiB", lines(journal="journal_mib", sessions="sessions_mib", audit="audit_mib")),
        Panel("how late the loop is, ms", lines(lag="lag_ms")),
    ]
    return [panel for panel in panels if panel.lines]
