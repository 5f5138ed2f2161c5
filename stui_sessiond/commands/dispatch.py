"""From a request to the bytes of its answer: the one gate, and the only place where errors become replies."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from stui_sessiond.asking import asked
from stui_sessiond.commands.auditing import Note, RequestAudit
from stui_sessiond.commands.paging import as_page
from stui_sessiond.commands.table import Caller, Command, CommandTable, Entry, Followed
from stui_sessiond.commands.tally import SAMPLED, CommandTally
from stui_sessiond.contract import Descriptor, ErrorCode
from stui_sessiond.errors import (
    AuthenticationRequiredError,
    RefusedError,
    StuiError,
    UnknownCommandError,
    UnsupportedOperationError,
    WireError,
)
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.sessions.ledger import failure_of
from stui_sessiond.tracing import pass_on
from stui_sessiond.wire.codec import decode_parameters
from stui_sessiond.wire.forms import ErrorBody, Request, encode_failure, encode_success
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

MAX_ECHO_CHARS = 200
"""How much of a name that a peer made up is repeated in an error."""

MAX_TEXT_CHARS = 1000
"""How long the text of an error may be: some libraries print the whole document."""


_TOKEN = re.compile(r"stui_[A-Za-z0-9_-]{16,}")


def _without_tokens(text: str) -> str:
    """Some libraries repeat the value that they do not like: a token in the wrong place is not repeated."""
    return _TOKEN.sub("stui_...", text)


class Answer(NamedTuple):
    """A message for the peer that asked, and what is to happen as soon as it has been sent."""

    message: bytes
    then: Callable[[], None] | None = None


class Gate(Protocol):
    """Knows who may do what."""

    def admit(self, descriptor: Descriptor, caller: Caller) -> None:
        """Go on only if the caller may use the command now.

        Raises:
            RefusedError: it may not.
        """

    def check_client(self, descriptor: Descriptor, client_id: object, caller: Caller) -> None:
        """Go on only if the caller may use a client's name.

        Raises:
            ClientNotAllowedError: it may not.
        """

    def check(self, descriptor: Descriptor, session_id: str, caller: Caller) -> None:
        """Go on only if the caller may.

        Raises:
            SessionError: it may not.
        """


class Dispatcher:
    """Answers requests. Every request gets one answer, whatever goes wrong."""

    def __init__(
        self,
        table: CommandTable,
        errors: Mapping[str, ErrorCode],
        clock: Callable[[], float],
        gate: Gate,
        audit: RequestAudit | None = None,
    ) -> None:
        self.table = table
        self._errors = errors
        self._clock = clock
        self._gate = gate
        self._audit = audit or RequestAudit()
        self.broken: Counter[str] = Counter()
        """Messages that were no requests and were answered so, by error code, since the start."""

    async def close(self) -> None:
        """Nothing is asked any more."""

    def relays(self, request: Request) -> bool:
        """Tell whether the answer may have to wait for an image."""
        entry = self.table.find(request.command)
        return entry is not None and entry.relays

    def answer(self, request: Request, caller: Caller) -> Answer | Awaitable[Answer]:
        """Carry a request out: the answer at once, or something to await for it. Neither raises."""
        note = None
        try:
            entry, command = self._authorize(request, caller)
            tally = entry.tally
            begun_at = 0.0 if tally.begun % SAMPLED else perf_counter()
            tally.begun += 1
            parameters = self._parameters(request, entry.descriptor, command, caller)
            note = self._audit.accept(entry.descriptor, caller, parameters)
            result = command.handle(caller, parameters)
            if hasattr(result, "__await__"):
                return self._finish(request, result, caller, note, tally, begun_at)
            answer = self._success(request, result)
        except Exception as error:  # noqa: BLE001 -- the boundary: every failure becomes an answer
            self._audit.end(request.command, caller, note, error)
            return Answer(self._failure(request, error))
        self._audit.end(request.command, caller, note)
        tally.answered += 1
        if begun_at:
            tally.took.note(perf_counter() - begun_at)
        return answer

    async def _finish(
        self,
        request: Request,
        result: Awaitable[object],
        caller: Caller,
        note: Note | None,
        tally: CommandTally,
        begun_at: float,
    ) -> Answer:
        asked.set((request, caller))  # of this task, and of those that it starts
        if request.traceparent is not None:
            pass_on(request.traceparent)
        try:
            answer = self._success(request, await result)
        except Exception as error:  # noqa: BLE001 -- the boundary: every failure becomes an answer
            self._audit.end(request.command, caller, note, error)
            return Answer(self._failure(request, error))
        self._audit.end(request.command, caller, note)
        tally.answered += 1
        if begun_at:
            tally.took.note(perf_counter() - begun_at)
        return answer

    def _success(self, request: Request, result: object) -> Answer:
        if isinstance(result, Followed):
            return Answer(encode_success(request, result.result, format_time(self._clock())), result.then)
        return Answer(encode_success(request, result, format_time(self._clock())))

    def _parameters(self, request: Request, descriptor: Descriptor, command: Command, caller: Caller) -> Any:  # noqa: ANN401 -- the command's own
        parameters = decode_parameters(request, command.parameters)
        if caller.must_greet:
            return parameters
        self._gate.check_client(descriptor, getattr(parameters, "client_id", None), caller)
        if descriptor.session_role is not None and parameters.session_id:
            self._gate.check(descriptor, parameters.session_id, caller)
        return parameters

    def remembered(self, request: RequestEntry) -> bytes | None:
        """Make the answer that a request of an earlier connection is owed; None when it cannot be told."""
        origin = request.origin
        if origin is None:
            return None
        owed = Request(origin.request_id, request.command, b"", None, origin.envelope)
        failure = failure_of(request)
        if failure is not None:
            return self._encode(owed.id, failure, envelope=owed.envelope)
        if request.result is None:
            return None
        result = as_page(request.result, request.page_chars, request.key)
        return encode_success(owed, msgspec.Raw(result.encode()), format_time(self._clock()))

    def refuse(self, error: StuiError) -> bytes:
        """Answer a message that could not be read."""
        self.broken[error.code] += 1
        if isinstance(error, WireError):
            return self._encode(error.request_id, error, envelope=error.envelope)
        return self._encode(None, error, envelope=False)

    def refuse_request(self, request: Request, error: StuiError) -> bytes:
        """Answer a request that is not carried out."""
        self.table.tally_of(request.command).failed[error.code] += 1
        return self._encode(request.id, error, envelope=request.envelope)

    def _authorize(self, request: Request, caller: Caller) -> tuple[Entry, Command]:
        """The gate that every command of every transport passes."""
        name = request.command
        if caller.must_greet and name != "hello":
            msg = "say hello with a token first"
            raise AuthenticationRequiredError(msg)
        entry = self.table.find(name)
        if entry is None:
            shown = name[:MAX_ECHO_CHARS]
            msg = f"there is no command {shown!r}; `describe` lists them"
            raise UnknownCommandError(msg, command=shown)
        descriptor = entry.descriptor
        if descriptor.right not in caller.rights:
            msg = f"{name} takes the right `{descriptor.right}`, which this connection does not have"
            raise RefusedError(msg, right=descriptor.right)
        if not caller.must_greet:
            self._gate.admit(descriptor, caller)
        if entry.command is None:
            if descriptor.sender == "daemon":
                msg = f"{name} is sent by the daemon to images, not to the daemon"
                raise UnsupportedOperationError(msg, command=name)
            msg = f"{name} comes with version {descriptor.since}"
            raise UnsupportedOperationError(msg, command=name, since=descriptor.since)
        return entry, entry.command

    def _failure(self, request: Request, error: Exception) -> bytes:
        if isinstance(error, StuiError):
            _log.debug("request.refused", command=request.command, request_id=request.id, code=error.code)
        else:
            _log.error("request.crashed", command=request.command, request_id=request.id, exc_info=error)
            error = StuiError("a fault in the daemon; its log has the details")
        self.table.tally_of(request.command).failed[error.code] += 1
        return self._encode(request.id, error, envelope=request.envelope)

    def _encode(self, request_id: str | None, error: StuiError, *, envelope: bool) -> bytes:
        registered = self._errors[error.code]
        details = {name: value for name, value in error.details.items() if value is not None}
        body = ErrorBody(
            error.code,
            registered.error_type,
            registered.envelope_code,
            registered.retryable,
            _without_tokens(error.message[:MAX_TEXT_CHARS]) + ("..." if len(error.message) > MAX_TEXT_CHARS else ""),
            details,
        )
        return encode_failure(request_id, body, format_time(self._clock()), envelope=envelope)
