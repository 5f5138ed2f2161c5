"""What does a session look like on disk? The only place that translates between the model and the disk format.

A session file is one JSON object that a person can read:

    {"format": "stui-session", "format_version": 1, "store_id": "...", "checksum": "sha256:...", "session": {...}}

The checksum is over the exact bytes of the value of `session`.
"""

import hashlib
from typing import Any

import msgspec

from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.session import Session, SessionHeader, StoredContext

FORMAT = "stui-session"
FORMAT_VERSION = 1


class UnreadableError(Exception):
    """The bytes are no sound session file; the text says why."""


class ContextRecord(msgspec.Struct):
    """One tool's context, format 1."""

    saved_at: float
    checksum: str
    size_bytes: int
    sections: dict[str, Any]


class SessionRecord(msgspec.Struct):
    """A session, format 1. Times are seconds since 1970."""

    session_id: str
    client_id: str
    created_at: float
    last_modified: float
    last_activity: float
    timeout_s: float
    version: int
    image_id: str | None
    name: str | None
    description: str | None
    closed_at: float | None
    client_version: str | None
    client_info: dict[str, Any]
    config: dict[str, Any]
    state: dict[str, Any]
    contexts: dict[str, ContextRecord]


class _File(msgspec.Struct):
    format: str
    format_version: int
    store_id: str
    checksum: str
    session: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_decode_file = msgspec.json.Decoder(_File).decode
_decode_record = msgspec.json.Decoder(SessionRecord).decode


def encode_session(session: Session, store_id: str) -> bytes:
    """Write a session file."""
    body = msgspec.json.format(_encode(_to_record(session)), indent=1)
    file = _File(FORMAT, FORMAT_VERSION, store_id, _checksum(body), msgspec.Raw(body))
    return _encode(file) + b"\n"


def decode_session(data: bytes, store_id: str, session_id: str | None = None) -> Session:
    """Read a session file, which has to hold session `session_id` if one is named.

    Raises:
        UnreadableError: it is damaged, of another store, or of a format this version does not know.
    """
    try:
        file = _decode_file(data)
        if file.format != FORMAT or file.format_version != FORMAT_VERSION:
            msg = f"format {file.format!r} version {file.format_version} is unknown here"
            raise UnreadableError(msg)
        if file.store_id != store_id:
            msg = f"the file belongs to store {file.store_id}"
            raise UnreadableError(msg)
        body = bytes(file.session)
        if _checksum(body) != file.checksum:
            msg = "the checksum does not match"
            raise UnreadableError(msg)
        record = _decode_record(body)
        if session_id not in (None, record.session_id):
            msg = f"it holds session {record.session_id}"
            raise UnreadableError(msg)
        return _from_record(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a session file: {error}"
        raise UnreadableError(msg) from None


def _checksum(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _to_record(session: Session) -> SessionRecord:
    header = session.header
    return SessionRecord(
        session_id=header.session_id,
        client_id=header.client_id,
        created_at=header.created_at,
        last_modified=header.last_modified,
        last_activity=header.last_activity,
        timeout_s=header.timeout_s,
        version=header.version,
        image_id=header.image_id,
        name=header.name,
        description=session.description,
        closed_at=header.closed_at,
        client_version=session.client_version,
        client_info=session.client_info,
        config=session.config,
        state=session.state,
        contexts={
            tool: ContextRecord(stored.saved_at, stored.checksum, stored.size_bytes, stored.sections)
            for tool, stored in session.contexts.items()
        },
    )


def _from_record(record: SessionRecord) -> Session:
    header = SessionHeader(
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
    contexts = {
        ToolId(tool): StoredContext(stored.sections, stored.checksum, stored.saved_at, stored.size_bytes)
        for tool, stored in record.contexts.items()
    }
    return Session(
        header=header,
        state=record.state,
        contexts=contexts,
        description=record.description,
        client_version=record.client_version,
        client_info=record.client_info,
        config=record.config,
    )
