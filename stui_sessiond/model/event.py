"""What is an event, where in a stream is it, and what is kept of a session's events?"""

from collections.abc import Sequence
from typing import Any

import msgspec

from stui_sessiond.model.request import RequestEntry


class Position(msgspec.Struct, frozen=True):
    """A place in a stream: within an epoch, `seq` leaves nothing out."""

    epoch: str
    seq: int


class News(msgspec.Struct, frozen=True):
    """Something that happened to a session and has no place in its stream yet. `at` is seconds since 1970."""

    name: str
    data: dict[str, Any]
    at: float
    begins: RequestEntry | None = None
    """The request that is in the session's book from this on: both are stored in one record."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to a session, at its place in the stream."""

    seq: int
    name: str
    at: float
    data: dict[str, Any]
    size_bytes: int = 0
    """Of the data, as JSON."""


class EventLog(msgspec.Struct, frozen=True, gc=False):
    """The events that are kept of a session, oldest first, without a hole; the last one is the newest there is."""

    events: Sequence[Event] = ()
    size_bytes: int = 0
