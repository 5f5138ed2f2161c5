"""From a request to the bytes of its answer: the one gate, and the only place where errors become replies."""

import inspect
from collections.abc import Awaitable, Callable, Mapping

import structlog

from stui_sessiond.commands.table import Caller, Command, CommandTable
from stui_sessiond.contract import ErrorCode
from stui_sessiond.errors import (
    AuthenticationRequiredError,
    RefusedError,
    StuiError,
    UnknownCommandError,
    UnsupportedOperationError,
    WireError,
)
from stui_sessiond.wire.codec import decode_parameters
from stui_sessiond.wire.forms import ErrorBody, Request, encode_failure, encode_success
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

MAX_ECHO_CHARS = 200
"""How much of a name that a peer made up is repeated in an error."""

MAX_TEXT_CHARS = 1000
"""How long the text of an error may be: some libraries print the whole document."""


class Dispatcher:
    """Answers requests. Every request gets one answer, whatever goes wrong."""

    def __init__(self, table: CommandTable, errors: Mapping[str, ErrorCode], clock: Callable[[], float]) -> None:
        self._table = table
        self._errors = errors
        self._clock = clock

    def relays(self, request: Request) -> bool:
        """Tell whether the answer may have to wait for an image. A `ping` counts as none: it runs no code anywhere."""
        entry = self._table.find(request.command)
        return entry is not None and "image_timeout" in entry.descriptor.errors and request.command != "ping"

    def answer(self, request: Request, caller: Caller) -> bytes | Awaitable[bytes]:
        """Carry a request out: the answer at once, or something to await for it. Neither raises."""
        try:
            command = self._authorize(request, caller)
            result = command.handle(caller, decode_parameters(request, command.parameters))
            if inspect.isawaitable(result):
                return self._finish(request, result)
            return encode_success(request, result, format_time(self._clock()))
        except Exception as error:  # noqa: BLE001 -- the boundary: every failure becomes an answer
            return self._failure(request, error)

    async def _finish(self, request: Request, result: Awaitable[object]) -> bytes:
        try:
            return encode_success(request, await result, format_time(self._clock()))
        except Exception as error:  # noqa: BLE001 -- the boundary: every failure becomes an answer
            return self._failure(request, error)

    def refuse(self, error: StuiError) -> bytes:
        """Answer a message that could not be read."""
        if isinstance(error, WireError):
            return self._encode(error.request_id, error, envelope=error.envelope)
        return self._encode(None, error, envelope=False)

    def refuse_request(self, request: Request, error: StuiError) -> bytes:
        """Answer a request that is not carried out."""
        return self._encode(request.id, error, envelope=request.envelope)

    def _authorize(self, request: Request, caller: Caller) -> Command:
        """The gate that every command of every transport passes."""
        name = request.command
        if caller.must_greet and name != "hello":
            msg = "say hello with a token first"
            raise AuthenticationRequiredError(msg)
        entry = self._table.find(name)
        if entry is None:
            shown = name[:MAX_ECHO_CHARS]
            msg = f"there is no command {shown!r}; `describe` lists them"
            raise UnknownCommandError(msg, command=shown)
        descriptor = entry.descriptor
        if descriptor.right not in caller.rights:
            msg = f"{name} takes the right `{descriptor.right}`, which this connection does not have"
            raise RefusedError(msg, right=descriptor.right)
        if entry.command is None:
            if descriptor.sender == "daemon":
                msg = f"{name} is sent by the daemon to images, not to the daemon"
                raise UnsupportedOperationError(msg, command=name)
            msg = f"{name} comes with version {descriptor.since}"
            raise UnsupportedOperationError(msg, command=name, since=descriptor.since)
        return entry.command

    def _failure(self, request: Request, error: Exception) -> bytes:
        if not isinstance(error, StuiError):
            _log.error("request.crashed", command=request.command, request_id=request.id, exc_info=error)
            error = StuiError("a fault in the daemon; its log has the details")
        return self._encode(request.id, error, envelope=request.envelope)

    def _encode(self, request_id: str | None, error: StuiError, *, envelope: bool) -> bytes:
        registered = self._errors[error.code]
        details = {name: value for name, value in error.details.items() if value is not None}
        body = ErrorBody(
            error.code,
            registered.error_type,
            registered.envelope_code,
            registered.retryable,
            error.message if len(error.message) <= MAX_TEXT_CHARS else f"{error.message[:MAX_TEXT_CHARS]}...",
            details,
        )
        return encode_failure(request_id, body, format_time(self._clock()), envelope=envelope)
