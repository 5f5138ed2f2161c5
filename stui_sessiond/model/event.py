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
    patch: bytes | None = None
    """Its `patch`, which is not in `data` then: JSON text that others hold as well."""


_encode = msgspec.json.Encoder(order="sorted").encode
"""In order, so that equal data is equal text."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to a session, at its place in the stream."""

    seq: int
    name: str
    at: float
    bare: bytes
    """Its data as JSON, but for `patch`: a thousand are kept of each session, and as objects they take several times
    that memory."""
    patch: bytes | None = None
    """The list `patch` of its data, as JSON."""

    @classmethod
    def of(cls, seq: int, name: str, at: float, data: dict[str, Any], patch: bytes | None = None) -> Self:
        """Make one of its data; `patch`, if given, is one more member of them."""
        if patch is None and isinstance(found := data.get("patch"), list):
            patch = _encode(found)
            data = {name: value for name, value in data.items() if name != "patch"}
        return cls(seq, name, at, _encode(data), patch)

    @property
    def text(self) -> bytes:
        """Its data as JSON, as they are told and stored."""
        return self.bare if self.patch is None else with_member(self.bare, b'"patch":', self.patch)

    @property
    def data(self) -> dict[str, Any]:
        """What happened; read anew each time."""
        return _decode(self.text)

    @property
    def size_bytes(self) -> int:
        """Of the data, as JSON."""
        return len(self.bare) if self.patch is None else len(self.bare) + len(self.patch) + len(b',"patch":')


def with_member(text: bytes, name: bytes, value: bytes) -> bytes:
    """Put one more member into the text of a JSON object; `name` in quotes and with its colon."""
    return b"%b%b%b%b}" % (text[:-1], b"," if len(text) > len(b"{}") else b"", name, value)


class EventLog(msgspec.Struct, frozen=True, gc=False):
    """The events that are kept of a session, oldest first, without a hole; the last one is the newest there is."""

    events: Sequence[Event] = ()
    size_bytes: int = 0
