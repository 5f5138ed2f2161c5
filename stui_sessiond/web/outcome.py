"""Did it go well? Reads that from an answer on its way out, in either form. Pure."""

from typing import Any, NamedTuple

import msgspec


class _EnvelopeData(msgspec.Struct):
    response_type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Payload(msgspec.Struct):
    data: _EnvelopeData = msgspec.field(default_factory=_EnvelopeData)


class _Answer(msgspec.Struct):
    status: str | None = None
    code: str | None = None
    details: dict[str, Any] = {}
    payload: _Payload | None = None


class _EnvelopeError(msgspec.Struct):
    details: dict[str, Any] = {}


class Failed(NamedTuple):
    """An error's code, and after how many seconds it may be tried again, if that is said."""

    code: str
    retry_after: float | None


_read = msgspec.json.Decoder(_Answer).decode
_SUCCESS = b'{"status":"success"'
"""How nearly all answers begin."""


def failure_in(answer: bytes) -> Failed | None:
    """Find the error that an answer tells of; None: it went well."""
    if answer.startswith(_SUCCESS):
        return None
    found = _read(answer)
    if found.payload is None:
        return None if found.status != "error" else _failed(found.code, found.details)
    inner = found.payload.data
    if inner.response_type != "Error":
        return None
    details = msgspec.json.decode(inner.data, type=_EnvelopeError).details
    return _failed(details.get("code"), details)


def _failed(code: object, details: dict[str, Any]) -> Failed:
    after = details.get("retry_after")
    return Failed(str(code or "internal_error"), after if isinstance(after, int | float) else None)
