"""What is an inspector restored from?"""

import msgspec

MAX_VISITED = 50
"""Places an inspector goes back to."""


class InspectorState(msgspec.Struct):
    """Which object, where in it, and the code written about it."""

    expression: str = ""
    """Where the object came from: it is evaluated again only if the person says so."""
    handle: str | None = None
    """What the image keeps it under."""
    visited: list[list[str]] = msgspec.field(default_factory=lambda: [[]])
    """Paths from the object to what was looked at, the oldest first."""
    at: int = 0
    """Which of them is shown."""
    code: str = ""
