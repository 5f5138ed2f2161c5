"""Is the process of an image still there? Asked of the system, and only about this machine.

A process is known by its number and the time it was started: numbers are used again.
"""

import os
import sys
from pathlib import Path

import msgspec

from stui_sessiond.images.condition import Process

_LINUX = sys.platform == "linux"
_STATE, _START = 0, 19
"""Fields of /proc/PID/stat after the name, which is in parentheses and may hold anything."""

_LOOPBACK = ("127.", "[::1]", "[::ffff:127.")


class ProcessMark(msgspec.Struct, frozen=True):
    """A process of this machine; `started` is as the system tells it, None where it does not."""

    process_id: int
    started: str | None = None


def is_here(transport: str | None, address: str | None) -> bool:
    """Tell whether a peer is on this machine, by how it came."""
    return transport == "unix" or (address is not None and address.startswith(_LOOPBACK))


def mark(process_id: int) -> ProcessMark | None:
    """Note a process; None when there is none of that number, so that what was said of it is not believed."""
    if not _LINUX:
        return ProcessMark(process_id) if _exists(process_id) else None
    found = _stat(process_id)
    return None if found is None else ProcessMark(process_id, found[_START])


def look(known: ProcessMark | None) -> Process:
    """Tell whether a process is still there. One that has ended and was not waited for is gone."""
    if known is None:
        return "unknown"
    if not _LINUX:
        return "alive" if _exists(known.process_id) else "gone"
    found = _stat(known.process_id)
    if found is None or found[_STATE] in {"Z", "X"} or (known.started is not None and found[_START] != known.started):
        return "gone"
    return "alive"


def _stat(process_id: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{process_id}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _exists(process_id: int) -> bool:
    if process_id <= 0:  # a group of processes
        return False
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
