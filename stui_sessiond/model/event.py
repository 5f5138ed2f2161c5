"""What is an event, and where in a stream is it?"""

from typing import Any

import msgspec

from stui_sessiond.ids import SessionId


class Position(msgspec.Struct, frozen=True):
    """A place in a stream: within an epoch, `seq` leaves nothing out."""

    epoch: str
    seq: int


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a session."""

    name: str
    session_id: SessionId
    position: Position
    data: dict[str, Any]
    at: float
