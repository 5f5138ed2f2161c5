"""Which message is this? Payload bytes in, one typed message out, or a WireError that knows whom to answer.

The payload is checked for size and depth first, then read in one pass. A payload that does not fit is read a second
time, slowly, to find its id, its form and what is wrong with it.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw

from stui_sessiond.errors import (
    InvalidUtf8Error,
    MalformedJsonError,
    MessageTooLargeError,
    ParameterError,
    StuiError,
    UnsupportedVersionError,
    WireError,
)
from stui_sessiond.wire.forms import (
    PROTOCOL_VERSION,
    Incoming,
    PushedEvent,
    Reply,
    Request,
    command_name,
    speaks,
)
from stui_sessiond.wire.limits import check_depth, check_size
from stui_sessiond.wire.text import has_lone_surrogate, replace_lone_surrogates

T = TypeVar("T")

_decode = msgspec.json.Decoder(Incoming).decode
_decode_any = msgspec.json.Decoder().decode
_BESIDE = ("client_id", "session_id", "client_info", "workspace_context", "object_registry")
_NOTHING_BESIDE = (None,) * len(_BESIDE)
_OF_COMMAND = frozenset({"id", "command", "parameters", *_BESIDE})
_OF_ENVELOPE = frozenset({"id", "version", "payload"})
_OF_REPLY = frozenset({"id", "status", "result", "error", "code", "details"})
_OF_EVENT = frozenset({"event", "session_id", "data"})
_EMPTY = b"{}"
GLIMPSE_BYTES = 512
"""How much of a message that cannot be read is searched for its id."""

_LEADING_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([ !#-\[\]-~]{1,256})"')


def decode_message(payload: bytes, limit_bytes: int, *, mend: bool = False) -> Request | Reply | PushedEvent:
    """Read one message.

    `mend` replaces half surrogate pairs instead of refusing them (for images, see `wire.text`).

    Raises:
        WireError: the payload is no message; `request_id` and `envelope` tell how to answer.
    """
    try:
        check_size(payload, limit_bytes)
        check_depth(payload)
    except WireError as error:
        error.request_id, error.envelope = _glimpse(payload)
        raise
    check_utf8(payload)
    if mend:
        payload = replace_lone_surrogates(payload)
    elif has_lone_surrogate(payload):
        msg = "a string escapes half of a surrogate pair, which is no Unicode text"
        raise InvalidUtf8Error(msg, **_whom_to_answer(payload))
    try:
        incoming = _decode(payload)
    except msgspec.ValidationError:
        incoming = _decode_slowly(payload)
    except msgspec.DecodeError as error:
        msg = f"the message is not JSON: {error}"
        raise MalformedJsonError(msg) from None
    return _classify(incoming)


def check_utf8(payload: bytes) -> None:
    """Refuse a payload that is not UTF-8.

    Raises:
        InvalidUtf8Error: with the id, if it comes first.
    """
    if payload.isascii():
        return
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        msg = f"the message is not UTF-8: {error.reason} at byte {error.start}"
        request_id, envelope = _glimpse(payload)
        raise InvalidUtf8Error(msg, request_id=request_id, envelope=envelope) from None


def _classify(incoming: Incoming) -> Request | Reply | PushedEvent:
    if incoming.command is not None:
        if incoming.payload is not None:
            msg = "a message has either `command` or `payload`, not both"
            raise WireError(msg, request_id=incoming.id)
        return Request(
            _require_id(incoming, envelope=False),
            incoming.command,
            _object_text(incoming.parameters),
            _beside(incoming),
            envelope=False,
            traceparent=incoming.traceparent,
        )
    if incoming.payload is not None:
        return _classify_envelope(incoming)
    if incoming.event is not None:
        return PushedEvent(incoming.event, incoming.session_id or None, _object_text(incoming.data))
    if incoming.status is not None:
        return _classify_reply(incoming)
    msg = "a message has `command` (command form) or `payload` (envelope form)"
    raise WireError(msg, request_id=incoming.id or None)


def _classify_envelope(incoming: Incoming) -> Request:
    envelope = incoming.payload
    assert envelope is not None  # noqa: S101 -- the caller looked
    request_id = _require_id(incoming, envelope=True)
    version = incoming.version
    if version is not None and not speaks(version):
        msg = f"this daemon speaks protocol {PROTOCOL_VERSION}, not {version}"
        raise UnsupportedVersionError(msg, request_id=request_id, envelope=True, supported=[PROTOCOL_VERSION])
    if envelope.type != "Request":
        msg = "`payload.type` is `Request` in what a peer sends"
        raise WireError(msg, request_id=request_id, envelope=True, field="payload.type")
    data = envelope.data
    command, parameters = command_name(data.request_type), _object_text(data.params)
    return Request(request_id, command, parameters, None, envelope=True, traceparent=incoming.traceparent)


def _classify_reply(incoming: Incoming) -> Reply:
    reply_id = _require_id(incoming, envelope=False)
    if incoming.status == "success":
        if incoming.result is UNSET:
            msg = "a success reply has `result`"
            raise WireError(msg, request_id=reply_id, field="result")
        return Reply(reply_id, bytes(incoming.result))
    if incoming.status != "error":
        msg = "`status` is `success` or `error`"
        raise WireError(msg, request_id=reply_id, field="status")
    return Reply(reply_id, None, incoming.error or "", incoming.code, incoming.details or {})


def _require_id(incoming: Incoming, *, envelope: bool) -> str:
    if not incoming.id:
        msg = "`id` is missing: a non-empty string that the reply will carry"
        raise WireError(msg, envelope=envelope, field="id")
    return incoming.id


def _object_text(raw: Raw | msgspec.UnsetType) -> bytes:
    if raw is UNSET:
        return _EMPTY
    text = bytes(raw)
    return _EMPTY if text == b"null" else text


def _beside(incoming: Incoming) -> dict[str, Any] | None:
    given = (
        incoming.client_id,
        incoming.session_id,
        incoming.client_info,
        incoming.workspace_context,
        incoming.object_registry,
    )
    if given == _NOTHING_BESIDE:  # as nearly always
        return None
    return {name: value for name, value in zip(_BESIDE, given, strict=True) if value is not None}


def _whom_to_answer(payload: bytes) -> dict[str, Any]:
    """Find the id and the form of a message that is refused, as far as they can be read."""
    try:
        tree = _decode_any(replace_lone_surrogates(payload))
    except msgspec.DecodeError:
        return {}
    if not isinstance(tree, dict):
        return {}
    found = tree.get("id")
    envelope = "payload" in tree and "command" not in tree
    return {"request_id": found if isinstance(found, str) and found else None, "envelope": envelope}


def too_large(head: bytes, limit_bytes: int) -> MessageTooLargeError:
    """Make the error for a message that was not taken in whole; `head` is how it began."""
    msg = f"the message is longer than {limit_bytes} bytes; it was dropped"
    request_id, envelope = _glimpse(head)
    return MessageTooLargeError(msg, request_id=request_id, envelope=envelope, limit_bytes=limit_bytes)


def leading_id(payload: bytes) -> str | None:
    """Find the id of a message that cannot be read, where it comes first."""
    return _glimpse(payload)[0]


def _glimpse(payload: bytes) -> tuple[str | None, bool]:
    """Find the id of a message that is too large or too deep to read, where it comes first; and the form."""
    head = payload[:GLIMPSE_BYTES]
    found = _LEADING_ID.match(head)
    return (found.group(1).decode() if found else None), b'"payload"' in head and b'"command"' not in head


def _decode_slowly(payload: bytes) -> Incoming:
    """Read a message with a mistyped field: ignore it if its form does not use that field, else say what is wrong."""
    try:
        tree = _decode_any(payload)
    except msgspec.DecodeError as error:
        msg = f"the message cannot be read: {error}"
        raise WireError(msg) from None
    if not isinstance(tree, dict):
        msg = "a message is a JSON object"
        raise WireError(msg)
    address = _whom_to_answer(payload)
    if tree.get("command") is not None:
        used = _OF_COMMAND
    elif tree.get("payload") is not None:
        used = _OF_ENVELOPE
    elif tree.get("event") is not None:
        used = _OF_EVENT
    else:
        used = _OF_REPLY
    if isinstance(tree.get("traceparent"), str):  # one that is none is ignored, as its standard wants
        used |= {"traceparent"}
    try:
        return _decode(msgspec.json.encode({name: value for name, value in tree.items() if name in used}))
    except msgspec.ValidationError as error:
        reason, field = explain(error)
        raise WireError(reason, field=field, **address) from None


_decoders: dict[type, Callable[[bytes], Any]] = {}
"""What reads one type. To make one for each message takes as long as to read it."""


def _decoder(wanted: type[T]) -> Callable[[bytes], T]:
    found = _decoders.get(wanted)
    if found is None:
        found = _decoders[wanted] = msgspec.json.Decoder(wanted).decode
    return found


def decode_parameters(request: Request, wanted: type[T]) -> T:
    """Read the request's parameters as the Struct its command declares.

    Raises:
        ParameterError: one is missing or mistyped; `details.field` names it.
    """
    try:
        if request.beside is None:
            return _decoder(wanted)(request.parameters)
        given = msgspec.json.decode(request.parameters, type=dict[str, Any])
        return msgspec.convert({**request.beside, **given}, type=wanted)
    except msgspec.ValidationError as error:
        reason, field = explain(error)
        msg = f"{request.command}: {reason}"
        raise ParameterError(msg, field=field) from None
    except msgspec.DecodeError as error:  # an escape that skipping over it did not look into
        msg = f"{request.command}: the parameters are not JSON: {error}"
        raise MalformedJsonError(msg) from None


def decode_result(reply: Reply, wanted: type[T]) -> T:
    """Read an image's result as the Struct its command declares.

    Raises:
        StuiError: it is not of that shape.
    """
    try:
        return _decoder(wanted)(reply.result or b"null")
    except msgspec.DecodeError as error:
        msg = f"the image's answer is not of the agreed shape: {error}"
        raise StuiError(msg) from None


def explain(error: msgspec.ValidationError) -> tuple[str, str | None]:
    """Split msgspec's sentence into a reason and the field it is about (dotted, None for the whole)."""
    text = str(error)
    reason, _, path = text.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".") or None
    if reason.startswith("Object missing required field `"):
        name = reason.split("`")[1]
        field = f"{field}.{name}" if field else name
        return f"`{field}` is missing", field
    if field:
        return f"`{field}`: {reason[:1].lower()}{reason[1:]}", field
    return f"{reason[:1].lower()}{reason[1:]}", field
