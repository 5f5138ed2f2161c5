"""How do a store's texts and journal records go through the seal? Pure: bytes and a sealer in, bytes out.

Text that is sealed is JSON again, `{"sealed_with": "key-...", "data": "<base64>"}`; the payload of a journal record is
the sealed bytes and once more the session's id. So the key's id and the session's id can be read without a key, and
when a record is damaged one of the two places is left to name the session.
"""

from typing import Final

import msgspec

from stui_sessiond.security.sealing import CLEAR_ID, Label, Sealer, SealError, is_sealed, session_of


class _SealedText(msgspec.Struct):
    sealed_with: str
    data: bytes


class _Subject(msgspec.Struct):
    """The one field of a change that the seal needs."""

    session_id: str


_MARK: Final = b'{"sealed_with":'
"""What sealed text begins with; no record of ours has such a field."""

_END: Final = b"\0"
"""After a session's id, so that what follows is not taken for more of it."""

_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(_SealedText).decode
_decode_subject = msgspec.json.Decoder(_Subject).decode


def seal_text(sealer: Sealer, label: Label, text: bytes) -> bytes:
    """Seal JSON text; without a current key it stays as it is."""
    if sealer.current is None:
        return text
    return _encode(_SealedText(sealer.key_id, sealer.seal(label, text)))


def open_text(sealer: Sealer, label: Label, text: bytes) -> bytes:
    """Read what `seal_text` made, or clear text.

    Raises:
        SealError: it does not open.
        KeyMissingError: its key is not known.
    """
    return sealer.open(label, _sealed(text).data) if text.startswith(_MARK) else text


def key_of_text(text: bytes) -> str:
    """The id of the key that text is sealed with, `clear` for none.

    Raises:
        SealError: it is neither.
    """
    return _sealed(text).sealed_with if text.startswith(_MARK) else CLEAR_ID


def session_of_text(text: bytes) -> str:
    """The session that sealed text says it is of, nothing for clear text. Opening it tells whether that is true.

    Raises:
        SealError: it is neither.
    """
    return session_of(_sealed(text).data) if text.startswith(_MARK) else ""


def seal_change(payload: bytes, store_id: str, lsn: int, sealer: Sealer) -> bytes:
    """Seal what `records.encode_change` made; without a current key it stays as it is."""
    if sealer.current is None:
        return payload
    session_id = _decode_subject(payload).session_id
    return sealer.seal(Label(store_id, "change", session_id, lsn), payload) + session_id.encode() + _END


def open_change(payload: bytes, store_id: str, lsn: int, sealer: Sealer) -> bytes:
    """Read what `seal_change` made, or clear text.

    Raises:
        SealError: it does not open.
        KeyMissingError: its key is not known.
    """
    if not is_sealed(payload):
        return payload
    session_id = session_of(payload)
    sealed = payload[: -len(session_id) - len(_END)]
    return sealer.open(Label(store_id, "change", session_id, lsn), sealed)


def _sealed(text: bytes) -> _SealedText:
    try:
        return _decode_text(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"it is sealed in a way that is unknown here: {error}"
        raise SealError(msg) from None
