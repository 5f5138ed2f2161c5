"""What did two sides make of the same state? Pure."""

from typing import Any

import msgspec


class Conflict(msgspec.Struct, frozen=True):
    """An update that was not stored, because somebody else had changed the same.

    To settle it, store a state made of `ours` and `theirs` with `expected_version` = `version`.
    """

    session_id: str
    text: str
    version: int
    """The session's present version: that of `theirs`."""
    ours: Any
    """The state we wanted; None when only a change to an unknown state is known."""
    theirs: Any = None
    """The session's present state."""
    base: Any = None
    """What both sides started from; None when it is not kept."""
    paths: list[str] = []
    """JSON Pointers of the members both sides changed; empty when the daemon did not compare."""
