"""Does the system let the daemon have as many connections as the settings say?"""

import contextlib
from pathlib import Path

import msgspec

from stui_sessiond.doctor.finding import Finding

OWN_FILES = 64
"""Descriptors the daemon needs for itself: files, listeners, libraries."""

BACKLOG = 1024
"""What the listeners ask for."""


class LimitFacts(msgspec.Struct, frozen=True):
    """What the system allows; None where it does not say."""

    files: int | None
    """Soft limit of open files for this user."""
    backlog: int | None
    """`net.core.somaxconn`."""


def probe_limits() -> LimitFacts:
    """Ask the system."""
    files = None
    with contextlib.suppress(ImportError, OSError):
        import resource  # noqa: PLC0415 -- not on every system

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = None if soft == resource.RLIM_INFINITY else soft
    backlog = None
    with contextlib.suppress(OSError, ValueError):
        backlog = int(Path("/proc/sys/net/core/somaxconn").read_text())
    return LimitFacts(files, backlog)


def judge_limits(facts: LimitFacts, max_connections: int) -> list[Finding]:
    """Compare with `limits.max_connections`."""
    wanted = max_connections + OWN_FILES
    found = []
    if facts.files is not None and facts.files < wanted:
        what = f"{facts.files} open files are allowed; {max_connections} connections need {wanted}"
        meaning = "when they run out nobody gets in, and files cannot be written"
        found.append(Finding("warning", "open files", what, meaning, f"ulimit -n {wanted}    # before `serve`"))
    else:
        found.append(Finding("ok", "open files", f"{facts.files or 'any number'} allowed, {wanted} needed"))
    if facts.backlog is not None and facts.backlog < BACKLOG:
        what = f"net.core.somaxconn is {facts.backlog}; the listeners ask for {BACKLOG}"
        meaning = "when many clients connect at the same moment, some wait a second or are refused"
        found.append(Finding("note", "backlog", what, meaning, f"sysctl -w net.core.somaxconn={BACKLOG}"))
    return found
