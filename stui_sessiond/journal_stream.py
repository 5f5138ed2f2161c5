"""Does the journal of systemd read our standard error, and how does it learn how grave a line is?"""

import os
import sys
from collections.abc import Mapping

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""What syslog(3) calls the levels."""


def is_journal(environment: Mapping[str, str]) -> bool:
    """Compare our standard error with JOURNAL_STREAM (systemd.exec(5)): it may have been redirected since."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def with_priority(level: str, text: str) -> str:
    """Write `<N>` before each line, as sd-daemon(3) has it: the journal takes lines for entries."""
    mark = f"<{PRIORITIES.get(level, 6)}>"
    return "\n".join(mark + line for line in text.split("\n"))
