"""What is a debugger restored from?"""

import msgspec


class DebuggerState(msgspec.Struct):
    """Which process, and what was looked at."""

    debugger_id: str | None = None
    error: str = ""
    """The class of the error, to name the tool."""
    frame: int = 1
