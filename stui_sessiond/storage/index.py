"""Which sessions are there? One file with the headers of all, so that a start reads no session.

The index is a help, never the truth: every journal record up to its `lsn` is in the session files, what came later is
looked up in the journal, and without an index the session files are read instead.
"""

from collections.abc import Iterable
from typing import cast

import msgspec

from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Role, SessionHeader
from stui_sessiond.security.sealing import CLEAR, Label, Sealer, SealError
from stui_sessiond.storage.layout import add_checksum, unseal_json
from stui_sessiond.storage.records import HeaderRecord
from stui_sessiond.storage.sealed import open_text, seal_text
from stui_sessiond.storage.translation import header_of, header_record

INDEX_FORMAT = "stui-index"
INDEX_VERSION = 2


class Place(msgspec.Struct, frozen=True, gc=False):
    """What the storage knows of one session without reading it."""

    header: SessionHeader
    size_bytes: int
    current_lsn: int = -1
    """The last journal record that is in the newest session file; -1 when there is no file."""
    previous_lsn: int = -1
    """The same of the file before it."""
    last_lsn: int = -1
    """The last journal record about it."""


class _Row(msgspec.Struct, array_like=True):
    """A session. New fields go to the end: an index of an older version is still read."""

    session_id: str
    client_id: str
    created_at: float
    last_modified: float
    last_activity: float
    timeout_s: float
    version: int
    image_id: str | None
    name: str | None
    closed_at: float | None
    size_bytes: int
    current_lsn: int
    previous_lsn: int
    epoch: str = ""
    seq: int = 0
    shares: dict[str, Role] = {}
    key: str | None = None
    machine_version: int = 0


class _Index(msgspec.Struct):
    format: str
    format_version: int
    store_id: str
    lsn: int
    sessions: list[_Row]


class _Written(msgspec.Struct):
    """An `_Index` whose rows are written one by one: no thread is kept waiting until all of them are."""

    format: str
    format_version: int
    store_id: str
    lsn: int
    sessions: list[msgspec.Raw]


class Index(msgspec.Struct, frozen=True):
    """The index as read: journal records up to `lsn` are in the session files."""

    lsn: int
    places: dict[SessionId, Place]


_decode = msgspec.json.Decoder(_Index).decode
_encode = msgspec.json.Encoder().encode


def encode_index(store_id: str, lsn: int, places: Iterable[Place], sealer: Sealer = CLEAR) -> bytes:
    """Write the index; journal records up to `lsn` have to be in the session files."""
    rows = [_encode(_row(place)) for place in places if place.current_lsn >= 0]
    text = _encode(_Written(INDEX_FORMAT, INDEX_VERSION, store_id, lsn, [msgspec.Raw(row) for row in rows]))
    return add_checksum(seal_text(sealer, Label(store_id, "index"), text))


def decode_index(data: bytes, store_id: str, sealer: Sealer = CLEAR) -> Index | None:
    """Read the index; None when it is damaged, foreign or of another format.

    Raises:
        KeyMissingError: it is sealed with a key that is not known.
    """
    text = unseal_json(data)
    if text is None:
        return None
    try:
        index = _decode(open_text(sealer, Label(store_id, "index"), text))
    except (SealError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if (index.format, index.format_version, index.store_id) != (INDEX_FORMAT, INDEX_VERSION, store_id):
        return None
    return Index(index.lsn, {SessionId(row.session_id): _place(row) for row in index.sessions})


def _row(place: Place) -> _Row:
    head = header_record(place.header)
    return _Row(
        **{name: getattr(head, name) for name in HeaderRecord.__struct_fields__},
        size_bytes=place.size_bytes,
        current_lsn=place.current_lsn,
        previous_lsn=place.previous_lsn,
    )


def _place(row: _Row) -> Place:
    header = header_of(cast("HeaderRecord", row))  # it has all its fields
    return Place(header, row.size_bytes, row.current_lsn, row.previous_lsn, row.current_lsn)
