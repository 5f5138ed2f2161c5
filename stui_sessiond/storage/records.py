"""What does a session look like on disk? The only place that translates between the model and the disk formats.

Session file, one JSON object that a person can read (format 2; format 1, of version 0.1.0, is still read):

    {"format": "stui-session", "format_version": 2, "store_id": "...", "lsn": 17, "checksum": "sha256:...",
     "session": {...}}

`lsn` is the last journal record that is in it; the checksum is over `lsn`, a colon, and the exact bytes of the value
of `session`. A journal record holds a `ChangeRecord`: either the whole session, or the steps from the version before.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.delta import DeltaError, Step, apply
from stui_sessiond.model.session import (
    History,
    HistoryEntry,
    NamedSnapshot,
    Session,
    SessionHeader,
    StoredContext,
)

FORMAT = "stui-session"
FORMAT_VERSION = 2


class UnreadableError(Exception):
    """The bytes are no sound session file or record; the text says why."""


class HeaderRecord(msgspec.Struct, omit_defaults=True):
    """The part of a session that is also in the index. Times are seconds since 1970."""

    session_id: str
    client_id: str
    created_at: float
    last_modified: float
    last_activity: float
    timeout_s: float
    version: int
    image_id: str | None = None
    name: str | None = None
    closed_at: float | None = None


class ContextRecord(msgspec.Struct):
    """One tool's context."""

    saved_at: float
    checksum: str
    size_bytes: int
    sections: dict[str, Any]


class EntryRecord(msgspec.Struct, omit_defaults=True):
    """One version in the history."""

    version: int
    at: float
    what: str
    client_id: str | None = None
    steps: Sequence[Step] = ()
    size_bytes: int = 0


class HistoryRecord(msgspec.Struct):
    """The versions that are kept."""

    base_version: int
    base: dict[str, Any]
    entries: list[EntryRecord]


class SnapshotRecord(msgspec.Struct):
    """A version with a name."""

    version: int
    at: float
    size_bytes: int
    document: dict[str, Any]


class SessionRecord(HeaderRecord, kw_only=True):
    """A session, formats 1 and 2. Format 1 has no history and no snapshots."""

    description: str | None = None
    client_version: str | None = None
    client_info: dict[str, Any] = {}
    config: dict[str, Any] = {}
    state: dict[str, Any] = {}
    contexts: dict[str, ContextRecord] = {}
    snapshots: dict[str, SnapshotRecord] = {}
    history: HistoryRecord | None = None


class ChangeRecord(msgspec.Struct, omit_defaults=True):
    """The payload of a journal record of type CHANGE."""

    session_id: str
    base_version: int = 0
    header: HeaderRecord | None = None
    """The header after the change; None with `gone`."""
    entry: EntryRecord | None = None
    """The new version, if the change makes one; `header.version` says the same."""
    full: SessionRecord | None = None
    """The whole session after the change, in the place of `entry`."""
    gone: str | None = None
    """`removed` or `archived`: the session is not in the store any more."""


class _File(msgspec.Struct):
    format: str
    format_version: int
    store_id: str
    checksum: str
    session: msgspec.Raw
    lsn: int = 0


_encode = msgspec.json.Encoder().encode
_decode_file = msgspec.json.Decoder(_File).decode
_decode_record = msgspec.json.Decoder(SessionRecord).decode
_decode_change = msgspec.json.Decoder(ChangeRecord).decode


class SessionFile(msgspec.Struct, frozen=True):
    """A session file as read."""

    session: Session
    lsn: int
    format_version: int


def encode_session(session: Session, store_id: str, lsn: int) -> bytes:
    """Write a session file."""
    body = msgspec.json.format(_encode(to_record(session)), indent=1)
    file = _File(FORMAT, FORMAT_VERSION, store_id, _checksum(body, lsn), msgspec.Raw(body), lsn)
    return _encode(file) + b"\n"


def decode_session(data: bytes, store_id: str, session_id: str | None = None) -> SessionFile:
    """Read a session file, which has to hold session `session_id` if one is named.

    Raises:
        UnreadableError: it is damaged, of another store, or of a format this version does not know.
    """
    try:
        file = _decode_file(data)
        if file.format != FORMAT or file.format_version not in {1, FORMAT_VERSION}:
            msg = f"format {file.format!r} version {file.format_version} is unknown here"
            raise UnreadableError(msg)
        if file.store_id != store_id:
            msg = f"the file belongs to store {file.store_id}"
            raise UnreadableError(msg)
        body = bytes(file.session)
        if file.checksum != (_checksum(body, file.lsn) if file.format_version > 1 else _checksum_1(body)):
            msg = "the checksum does not match"
            raise UnreadableError(msg)
        record = _decode_record(body)
        if session_id not in (None, record.session_id):
            msg = f"it holds session {record.session_id}"
            raise UnreadableError(msg)
        return SessionFile(from_record(record), file.lsn, file.format_version)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a session file: {error}"
        raise UnreadableError(msg) from None


def encode_change(change: ChangeRecord) -> bytes:
    """Write the payload of a journal record."""
    return _encode(change)


def decode_change(payload: bytes) -> ChangeRecord:
    """Read the payload of a journal record.

    Raises:
        UnreadableError: it is none.
    """
    try:
        return _decode_change(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a change: {error}"
        raise UnreadableError(msg) from None


def replay(session: Session | None, change: ChangeRecord) -> Session:
    """Make the session that a change leads to.

    Raises:
        UnreadableError: the change does not follow on the session: something between them is missing.
    """
    if change.full is not None:
        return from_record(change.full)
    if session is None or change.header is None:
        msg = "the session's beginning is missing"
        raise UnreadableError(msg)
    if change.base_version != session.header.version:
        msg = f"versions {session.header.version + 1} to {change.base_version} are missing"
        raise UnreadableError(msg)
    header = header_of(change.header)
    if change.entry is None:
        return replace(session, header=header)
    try:
        changed = session.with_document(apply(session.document(), change.entry.steps))
    except (DeltaError, KeyError, TypeError) as error:
        msg = f"version {change.entry.version} does not apply: {error}"
        raise UnreadableError(msg) from None
    entry = _entry(change.entry)
    kept = session.history
    history = History(kept.base, kept.base_version, (*kept.entries, entry), kept.size_bytes + entry.size_bytes)
    return replace(changed, header=header, history=history)


def header_record(header: SessionHeader) -> HeaderRecord:
    """Write a header."""
    return HeaderRecord(
        session_id=header.session_id,
        client_id=header.client_id,
        created_at=header.created_at,
        last_modified=header.last_modified,
        last_activity=header.last_activity,
        timeout_s=header.timeout_s,
        version=header.version,
        image_id=header.image_id,
        name=header.name,
        closed_at=header.closed_at,
    )


def entry_record(entry: HistoryEntry) -> EntryRecord:
    """Write a version of the history."""
    return EntryRecord(entry.version, entry.at, entry.what, entry.client_id, entry.steps, entry.size_bytes)


def to_record(session: Session) -> SessionRecord:
    """Write a whole session."""
    head = header_record(session.header)
    history = session.history
    return SessionRecord(
        **{name: getattr(head, name) for name in HeaderRecord.__struct_fields__},
        description=session.description,
        client_version=session.client_version,
        client_info=session.client_info,
        config=session.config,
        state=session.state,
        contexts={
            tool: ContextRecord(stored.saved_at, stored.checksum, stored.size_bytes, stored.sections)
            for tool, stored in session.contexts.items()
        },
        snapshots={
            name: SnapshotRecord(kept.version, kept.at, kept.size_bytes, kept.document)
            for name, kept in session.snapshots.items()
        },
        history=HistoryRecord(history.base_version, history.base, [entry_record(entry) for entry in history.entries]),
    )


def from_record(record: SessionRecord) -> Session:
    """Read a whole session."""
    contexts = {
        ToolId(tool): StoredContext(stored.sections, stored.checksum, stored.saved_at, stored.size_bytes)
        for tool, stored in record.contexts.items()
    }
    session = Session(
        header=header_of(record),
        state=record.state,
        contexts=contexts,
        snapshots={
            name: NamedSnapshot(kept.version, kept.at, kept.document, kept.size_bytes)
            for name, kept in record.snapshots.items()
        },
        description=record.description,
        client_version=record.client_version,
        client_info=record.client_info,
        config=record.config,
    )
    kept = record.history
    if kept is None:  # format 1: its history begins with what it is now
        return replace(session, history=History(session.document(), record.version))
    entries = tuple(_entry(entry) for entry in kept.entries)
    size_bytes = sum(entry.size_bytes for entry in entries)
    return replace(session, history=History(kept.base, kept.base_version, entries, size_bytes))


def header_of(record: HeaderRecord) -> SessionHeader:
    """Read a header."""
    return SessionHeader(
        session_id=SessionId(record.session_id),
        client_id=ClientId(record.client_id),
        created_at=record.created_at,
        last_modified=record.last_modified,
        last_activity=record.last_activity,
        timeout_s=record.timeout_s,
        version=record.version,
        image_id=None if record.image_id is None else ImageId(record.image_id),
        name=record.name,
        closed_at=record.closed_at,
    )


def _entry(record: EntryRecord) -> HistoryEntry:
    return HistoryEntry(
        record.version, record.at, record.client_id, record.what, tuple(record.steps), record.size_bytes
    )


def _checksum(body: bytes, lsn: int) -> str:
    return f"sha256:{hashlib.sha256(f'{lsn}:'.encode() + body).hexdigest()}"


def _checksum_1(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
