"""Can the wall clock be right?"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stui_sessiond.doctor.finding import Finding
from stui_sessiond.wire.timestamp import format_time

TOLERANCE_S = 5.0
BUILT_AT = 1_735_689_600.0
"""2025-01-01: before this version was written."""


class ClockFacts(msgspec.Struct, frozen=True):
    """Times in seconds since 1970."""

    now: float
    newest_stored: float | None
    """When something in the data folder was written last."""
    synchronised: bool | None
    """Whether the system says that a time server is followed; None when it does not say."""


def probe_clock(data: Path) -> ClockFacts:
    """Look at the clock and at the files of the data folder."""
    return ClockFacts(time.time(), max(_times(data), default=None), _synchronised())


def _times(data: Path) -> Iterator[float]:
    for pattern in ("*", "journal/*", "sessions/*/*", "audit/*", "backups/*/*"):
        for path in data.glob(pattern):
            with contextlib.suppress(OSError):  # gone meanwhile
                yield path.stat().st_mtime


def _synchronised() -> bool | None:
    tool = shutil.which("timedatectl")
    if tool is None:
        return None
    try:
        shown = subprocess.run(  # noqa: S603 -- the system's own tool, with a fixed command line
            [tool, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=3,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(shown.stdout.strip())


def judge_clock(facts: ClockFacts) -> list[Finding]:
    """Judge the time against what is stored, and whether somebody keeps it right."""
    found = []
    if facts.now < BUILT_AT:
        what = f"it is {format_time(facts.now)}: before this version was made"
        found.append(Finding("problem", "clock", what, "sessions expire at wrong times", "timedatectl set-ntp true"))
    elif facts.newest_stored is not None and facts.now < facts.newest_stored - TOLERANCE_S:
        back = facts.newest_stored - facts.now
        what = f"it is {back:.0f} s behind the newest file of the data folder ({format_time(facts.newest_stored)})"
        meaning = (
            "the clock went back: sessions live longer than they should, and times in the history are not in order"
        )
        found.append(Finding("problem", "clock", what, meaning, "timedatectl set-ntp true"))
    else:
        found.append(Finding("ok", "clock", format_time(facts.now)))
    if facts.synchronised is False:
        found.append(
            Finding("note", "time server", "none is followed", "the clock will drift", "timedatectl set-ntp true")
        )
    return found
