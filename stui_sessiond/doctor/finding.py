"""What is a finding?"""

from collections.abc import Iterable
from typing import Literal

import msgspec

Level = Literal["ok", "note", "warning", "problem"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "problem")
"""From good to bad. A `note` is worth knowing, a `warning` will hurt some day, a `problem` hurts now."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at."""

    level: Level
    check: str
    """What was looked at, such as `data folder`."""
    what: str
    """What was found."""
    meaning: str | None = None
    """What follows from it."""
    advice: str | None = None
    """A command to paste, or what to do."""


def worst(findings: Iterable[Finding]) -> Level:
    """Tell the worst level."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")
