"""How did it go? The outcome of a run, for a person and for a script."""

import json

from msgspec import Struct


class Row(Struct, frozen=True):
    """How one vector or transcript went."""

    name: str
    ok: bool
    seconds: float
    differences: list[str]


class Report(Struct, frozen=True):
    """How all of them went."""

    rows: list[Row]

    @property
    def passed(self) -> int:
        """How many went as they should."""
        return sum(row.ok for row in self.rows)

    @property
    def failed(self) -> int:
        """How many did not."""
        return len(self.rows) - self.passed


def as_table(report: Report) -> str:
    """Write a line for each row, below it what differed, and at the end the sums."""
    width = max((len(row.name) for row in report.rows), default=0)
    lines = []
    for row in report.rows:
        lines.append(f"{row.name:{width}}  {'passed' if row.ok else 'FAILED'}  {row.seconds * 1000:7.1f} ms")
        lines += [f"    {line}" for line in row.differences]
    return "\n".join([*lines, f"{report.passed} passed, {report.failed} failed"])


def as_json(report: Report) -> str:
    """Write the same for a script."""
    rows = [
        {"name": row.name, "ok": row.ok, "ms": round(row.seconds * 1000, 1), "differences": row.differences}
        for row in report.rows
    ]
    return json.dumps({"passed": report.passed, "failed": report.failed, "rows": rows}, ensure_ascii=False)
