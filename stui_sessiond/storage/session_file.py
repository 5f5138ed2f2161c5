"""What is in a session's file?

One JSON object that a person can read (format 2; format 1, of version 0.1.0, is still read):

    {"format": "stui-session", "format_version": 2, "store_id": "...", "lsn": 17, "checksum": "sha256:...",
     "session": {...}}

In a sealed store the value of `session` is `{"sealed_with": "key-...", "data": "<base64>"}` (`security.sealing`); what
is outside stays readable, and the checksum can be verified without a key. `lsn` is the last journal record that is in
it; the checksum is over `lsn`, a colon, and the exact bytes of the value of `session`.
"""

import hashlib

import msgspec

from stui_sessiond.model.session import Session
from stui_sessiond.security.sealing import CLEAR, Label, Sealer, SealError
from stui_sessiond.storage.records import SessionRecord, UnreadableError
from stui_sessiond.storage.sealed import key_of_text, open_text, seal_text, session_of_text
from stui_sessiond.storage.translation import from_record, to_record

FORMAT = "stui-session"
FORMAT_VERSION = 2


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


class SessionFile(msgspec.Struct, frozen=True):
    """A session file as read."""

    session: Session
    lsn: int
    format_version: int


def encode_session(session: Session, store_id: str, lsn: int, sealer: Sealer = CLEAR) -> bytes:
    """Write a session file."""
    body = _encode(to_record(session))
    if sealer.current is None:
        body = msgspec.json.format(body, indent=1)
    else:
        body = seal_text(sealer, Label(store_id, "session", session.header.session_id, lsn), body)
    file = _File(FORMAT, FORMAT_VERSION, store_id, _checksum(body, lsn), msgspec.Raw(body), lsn)
    return _encode(file) + b"\n"


def decode_session(data: bytes, store_id: str, session_id: str | None = None, sealer: Sealer = CLEAR) -> SessionFile:
    """Read a session file, which has to hold session `session_id` if one is named.

    Raises:
        UnreadableError: it is damaged, of another store, or of a format this version does not know.
        KeyMissingError: it is sound, as far as can be told without its key.
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
        subject = session_of_text(body) if session_id is None else session_id
        record = _decode_record(open_text(sealer, Label(store_id, "session", subject, file.lsn), body))
        if session_id not in (None, record.session_id):
            msg = f"it holds session {record.session_id}"
            raise UnreadableError(msg)
        return SessionFile(from_record(record), file.lsn, file.format_version)
    except SealError as error:
        raise UnreadableError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a session file: {error}"
        raise UnreadableError(msg) from None


def key_of_file(data: bytes) -> str | None:
    """The id of the key that a session file is sealed with, `clear` for none; None when it is no session file."""
    try:
        return key_of_text(bytes(_decode_file(data).session))
    except (SealError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _checksum(body: bytes, lsn: int) -> str:
    return f"sha256:{hashlib.sha256(f'{lsn}:'.encode() + body).hexdigest()}"


def _checksum_1(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
