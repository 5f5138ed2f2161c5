"""What is an event, where in a stream is it, and what is kept of a session's events?"""

from collections.abc import Sequence
from typing import Any, Self

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


_encode = msgspec.json.Encoder(order="sorted").encode
"""In order, so that equal data is equal text."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to a session, at its place in the stream."""

    seq: int
    name: str
    at: float
    text: bytes
    """Its data as JSON, as it is told and stored: a thousand are kept of each session, and as objects they take several
    times that memory."""

    @classmethod
    def of(cls, seq: int, name: str, at: float, data: dict[str, Any]) -> Self:
        """Make one of its data."""
        return cls(seq, name, at, _encode(data))

    @property
    def data(self) -> dict[str, Any]:
        """What happened; read anew each time."""
        return _decode(self.text)

    @property
    def size_bytes(self) -> int:
        """Of the data, as JSON."""
        return len(self.text)


class EventLog(msgspec.Struct, frozen=True, gc=False):
    """The events that are kept of a session, oldest first, without a hole; the last one is the newest there is."""

    events: Sequence[Event] = ()
    size_bytes: int = 0
