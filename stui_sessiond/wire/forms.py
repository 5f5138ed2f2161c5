"""What does a message look like in each of the two forms, and in which form is a peer answered?

Holds the outer Structs of the command form and of the envelope form (PROTOCOL.md, Message forms). What is inside
`parameters` and `result` is in `wire.messages`.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

PROTOCOL_VERSION: Final = "1.0.0"
_PROTOCOL_MAJOR: Final = "1"
_LONGEST_NAME: Final = 64
"""Longer than any command: a name that a peer made up is not kept in memory."""


class EnvelopeData(Struct):
    """The innermost part of an incoming envelope."""

    request_type: str
    params: Raw | UnsetType = UNSET


class EnvelopePayload(Struct):
    """The middle part of an incoming envelope."""

    type: str
    data: EnvelopeData


class Incoming(Struct):
    """Any incoming message: the union of what the forms may carry, read in one pass."""

    id: str | None = None
    command: str | None = None
    parameters: Raw | UnsetType = UNSET
    # older senders put these beside `command`
    client_id: str | None = None
    session_id: str | None = None
    client_info: dict[str, Any] | None = None
    workspace_context: dict[str, Any] | None = None
    object_registry: dict[str, Any] | None = None
    # envelope form
    version: str | None = None
    payload: EnvelopePayload | None = None
    # of a request in either form: where it belongs in somebody's trace
    traceparent: str | None = None
    # replies and events of an image
    status: str | None = None
    result: Raw | UnsetType = UNSET
    error: str | None = None
    code: str | None = None
    details: dict[str, Any] | None = None
    event: str | None = None
    data: Raw | UnsetType = UNSET


class Request(Struct, frozen=True):
    """A request in neither form: what is asked, and how the answer has to look."""

    id: str
    command: str
    parameters: bytes
    beside: dict[str, Any] | None
    """Parameters that stood beside `command`; those inside `parameters` win."""
    envelope: bool
    traceparent: str | None = None
    """Where it belongs in a trace, as its sender says (W3C Trace Context); not looked at."""


class Reply(Struct, frozen=True):
    """An image's answer to a request of ours."""

    id: str
    result: bytes | None
    """The result's JSON text; None when the image answered with an error."""
    error: str = ""
    code: str | None = None
    details: dict[str, Any] = {}


class PushedEvent(Struct, frozen=True):
    """Something an image tells without being asked."""

    event: str
    session_id: str | None
    data: bytes


class ErrorBody(Struct, frozen=True):
    """A failure as a peer sees it, before it is put into a form."""

    code: str
    error_type: str
    envelope_code: str
    retryable: bool
    message: str
    details: dict[str, Any] = {}


class CommandSuccess(Struct, tag_field="status", tag="success"):
    """Command form: it worked."""

    id: str
    result: Any
    timestamp: str


class CommandFailure(Struct, tag_field="status", tag="error"):
    """Command form: it did not."""

    id: str | None
    error: str
    error_type: str
    code: str
    retryable: bool
    details: dict[str, Any]
    timestamp: str


class ResponseData(Struct):
    """The innermost part of an outgoing envelope."""

    response_type: str
    data: Any


class ResponsePayload(Struct, tag_field="type", tag="Response"):
    """The middle part of an outgoing envelope."""

    data: ResponseData


class EnvelopeResponse(Struct):
    """Envelope form: an answer, or an error when `response_type` is `Error`."""

    id: str | None
    in_reply_to: str | None
    version: str
    timestamp: str
    payload: ResponsePayload


class EnvelopeError(Struct):
    """The `data` of an envelope whose `response_type` is `Error`."""

    code: str
    message: str
    details: dict[str, Any]


class CommandRequest(Struct):
    """Command form, as we send it: to images, and by the client library."""

    id: str
    command: str
    parameters: Any
    traceparent: str | UnsetType = UNSET


class EventMessage(Struct):
    """An event on its way to a subscriber."""

    event: str
    session_id: str | None
    epoch: str
    seq: int
    data: Any
    timestamp: str


_encode = msgspec.json.Encoder().encode


def encode_success(request: Request, result: object, timestamp: str) -> bytes:
    """Write a success reply in the form of its request."""
    if not request.envelope:
        return _encode(CommandSuccess(request.id, result, timestamp))
    data = ResponseData(request_type(request.command), result)
    return _encode(EnvelopeResponse(request.id, request.id, PROTOCOL_VERSION, timestamp, ResponsePayload(data)))


def encode_failure(request_id: str | None, error: ErrorBody, timestamp: str, *, envelope: bool) -> bytes:
    """Write an error reply; `request_id` is None when the message had none that could be read."""
    if not envelope:
        return _encode(
            CommandFailure(
                request_id,
                error.message,
                error.error_type,
                error.code,
                error.retryable,
                error.details,
                timestamp,
            )
        )
    details = {
        **error.details,
        "code": error.code,
        "error_type": error.error_type,
        "retryable": error.retryable,
    }
    data = ResponseData("Error", EnvelopeError(error.envelope_code, error.message, details))
    return _encode(EnvelopeResponse(request_id, request_id, PROTOCOL_VERSION, timestamp, ResponsePayload(data)))


def encode_request(request_id: str, command: str, parameters: object, traceparent: str | None = None) -> bytes:
    """Write a request in command form."""
    if traceparent is not None:
        return _encode(CommandRequest(request_id, command, parameters, traceparent))
    return _encode(CommandRequest(request_id, command, parameters))


def encode_event(message: EventMessage) -> bytes:
    """Write an event."""
    return _encode(message)


def speaks(version: str) -> bool:
    """Tell whether a peer with this protocol version and we understand each other: same major number."""
    major, _, rest = version.partition(".")
    return major == _PROTOCOL_MAJOR and (not rest or rest.replace(".", "").isdecimal())


@lru_cache(maxsize=512)
def request_type(command: str) -> str:
    """Turn `create_session` into `CreateSession`."""
    return "".join(word[:1].upper() + word[1:] for word in command.split("_"))


def command_name(request_type: str) -> str:
    """Turn `CreateSession` into `create_session`; what is not PascalCase, or too long, comes back unchanged."""
    if len(request_type) > _LONGEST_NAME or not request_type[:1].isupper():
        return request_type
    return _snake_case(request_type)


@lru_cache(maxsize=512)
def _snake_case(request_type: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in request_type)[1:]


class ClosingData(Struct):
    """Why a connection over lines is about to be closed."""

    code: int
    name: str
    reconnect: bool
    meaning: str


class ClosingEvent(Struct, tag_field="event", tag="connection.closing"):
    """The last line of a connection; over WebSocket the close frame says the same."""

    data: ClosingData


def encode_closing(code: int, name: str, meaning: str, *, reconnect: bool) -> bytes:
    """Write the last line of a connection."""
    return _encode(ClosingEvent(ClosingData(code, name, reconnect, meaning)))
