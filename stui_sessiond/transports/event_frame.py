"""How is a message written as a server-sent event? Pure (WHATWG HTML, section 9.2.5).

`event` is its name, `id` its position, `data` the whole message, as it is on other transports.
"""

import re
from typing import Final

import msgspec

HEARTBEAT: Final = b":\n\n"
"""A comment: says nothing, and shows that the connection is there."""

_LINE_ENDS: Final = re.compile(rb"\r\n|\n|\r")
_BREAKS: Final = frozenset("\r\n\0")
"""What would end a field early, or, in an id, have it ignored."""


class _Head(msgspec.Struct):
    """What the fields of an event tell of its message."""

    event: str = ""
    session_id: str | None = None
    epoch: str | None = None
    seq: int | None = None


_read_head = msgspec.json.Decoder(_Head).decode


def write_event(message: bytes, *, numbered: bool) -> bytes:
    """Write a message as an event; `numbered`: with its position as id, if it has one and is of a session."""
    head = _read_head(message)
    position = None
    if numbered and head.session_id is not None and head.epoch is not None and head.seq is not None:
        position = write_position(head.epoch, head.seq)
    return write_fields(message, name=head.event, position=position)


def write_fields(data: bytes, *, name: str, position: str | None = None) -> bytes:
    """Write an event. A name or an id that would break out of its line is left out."""
    fields = []
    if position is not None and not _BREAKS.intersection(position):
        fields.append(b"id: " + position.encode())
    if name and not _BREAKS.intersection(name):
        fields.append(b"event: " + name.encode())
    if b"\n" in data or b"\r" in data:  # white space between the parts of a document that an image wrote
        fields.extend(b"data: " + line for line in _LINE_ENDS.split(data))
    else:
        fields.append(b"data: " + data)
    return b"\n".join([*fields, b"", b""])


# ---- positions


LONGEST_ID: Final = 128
"""Longer than any id that we write."""

_POSITION: Final = re.compile(r"([A-Za-z0-9._-]{1,64}):(0|[1-9][0-9]{0,15})", re.ASCII)


def write_position(epoch: str, seq: int) -> str:
    """Write a position as an id."""
    return f"{epoch}:{seq}"


def read_position(text: str) -> tuple[str, int] | None:
    """Read epoch and seq from an id; None: it is none of ours."""
    found = _POSITION.fullmatch(text) if len(text) <= LONGEST_ID else None
    return None if found is None else (found[1], int(found[2]))
