"""What is different between two states of a session? As lines a person reads. Pure."""

import difflib
import json
from enum import StrEnum
from typing import Any, NamedTuple

from stui_sessiond.printable import printable

MAX_LINES = 5_000
"""Lines that are compared and shown; beyond, comparing takes longer than anybody waits."""
CONTEXT_LINES = 3
"""Lines without a change around each one."""


class Change(StrEnum):
    """What a line is; the value is the mark before it, so that nothing is told by colour alone."""

    SAME = " "
    GONE = "-"
    NEW = "+"
    SKIPPED = "@"


class Line(NamedTuple):
    """A line of a comparison."""

    change: Change
    text: str


def written(value: Any) -> list[str]:  # noqa: ANN401 -- any JSON
    """Write JSON as lines, members sorted; texts of several lines as several lines."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    lines: list[str] = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        first, *more = line.replace("\\t", "    ").split("\\n")
        lines += [printable(first), *(printable(indent + one) for one in more)]
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"... {len(lines) - MAX_LINES:,} more lines"]
    return lines


def compare(old: list[str], new: list[str]) -> list[Line]:
    """Compare lines; those far from any change are left out."""
    found: list[Line] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=len(old) + len(new) > MAX_LINES)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT_LINES)):
        if number or group[0][1] > 0:
            found.append(Line(Change.SKIPPED, f"line {group[0][1] + 1}"))
        for tag, start, end, new_start, new_end in group:
            if tag == "equal":
                found += [Line(Change.SAME, text) for text in old[start:end]]
                continue
            found += [Line(Change.GONE, text) for text in old[start:end]]
            found += [Line(Change.NEW, text) for text in new[new_start:new_end]]
    return found
