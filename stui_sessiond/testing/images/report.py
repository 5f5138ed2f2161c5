"""Which image can what? The outcome of the cases, for a person and for a script."""

import json
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, to_builtins

Verdict = Literal["passed", "failed", "not offered"]


class ImageRow(Struct, frozen=True):
    """How one case went with one image."""

    image_id: str
    case: str
    capability: str
    verdict: Verdict
    seconds: float
    differences: list[str]


class ImageReport(Struct, frozen=True):
    """How all of them went; `image_ids` in the order in which they were asked for."""

    image_ids: tuple[str, ...]
    rows: list[ImageRow]

    def count(self, verdict: Verdict) -> int:
        """How many went so."""
        return sum(row.verdict == verdict for row in self.rows)

    def cell(self, capability: str, image_id: str) -> list[ImageRow]:
        """The rows of one image that are about one capability."""
        return [row for row in self.rows if (row.capability, row.image_id) == (capability, image_id)]

    @property
    def capabilities(self) -> list[str]:
        """What the rows are about, in their order."""
        return list(dict.fromkeys(row.capability for row in self.rows))


def as_table(report: ImageReport) -> str:
    """Write the failures with what differed, then the table capability x image, and the sums."""
    lines = []
    for row in report.rows:
        if row.verdict == "failed":
            lines.append(f"FAILED {row.case} ({row.image_id}, {row.seconds:.1f} s)")
            lines += [f"    {line}" for line in row.differences]
    if lines:
        lines.append("")
    if len(report.image_ids) == 1:
        lines += _lines([("capability", *_VERDICTS), *(_counted(report, each) for each in report.capabilities)])
    else:
        table = (
            (capability, *(_told(report.cell(capability, each)) for each in report.image_ids))
            for capability in report.capabilities
        )
        lines += _lines([("capability", *report.image_ids), *table])
    sums = (f"{report.count(verdict)} {verdict}" for verdict in _VERDICTS)
    return "\n".join([*lines, "", ", ".join(sums)])


_VERDICTS: tuple[Verdict, ...] = ("passed", "failed", "not offered")


def as_json(report: ImageReport) -> str:
    """Write the same for a script."""
    sums = {verdict.replace(" ", "_"): report.count(verdict) for verdict in _VERDICTS}
    return json.dumps({**sums, "rows": to_builtins(report.rows)}, ensure_ascii=False)


def _counted(report: ImageReport, capability: str) -> tuple[str, ...]:
    rows = report.cell(capability, report.image_ids[0])
    return (capability, *(str(sum(row.verdict == verdict for row in rows) or "-") for verdict in _VERDICTS))


def _told(rows: Sequence[ImageRow]) -> str:
    """Sum up a cell: what matters first."""
    failed, passed = (sum(row.verdict == verdict for row in rows) for verdict in ("failed", "passed"))
    if failed:
        return f"{failed} of {failed + passed} FAILED"
    return f"{passed} passed" if passed else "not offered"


def _lines(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in table]
