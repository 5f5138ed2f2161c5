"""What does an image get of what a client asked, and what do client, book and events get of what it answered?

Every request to an image passes `to_image`, every answer to one that ran code `from_image`, also one that comes late.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from stui_sessiond.commands.paging import first_page
from stui_sessiond.commands.process_text import process_line
from stui_sessiond.errors import (
    EvaluationError,
    ObjectNotFoundError,
    ParameterError,
    StuiError,
    UnsupportedOperationError,
)
from stui_sessiond.ids import DEFAULT_TOOL
from stui_sessiond.images.link import INTERRUPTED, ImageLink
from stui_sessiond.images.reference import refer, resolve
from stui_sessiond.model.request import Failure
from stui_sessiond.sessions.requests import Outcome, Suspended
from stui_sessiond.wire.messages import development as wire
from stui_sessiond.wire.messages.code import CompileMethod
from stui_sessiond.wire.messages.connection import ImageIdentity

_ENDED = frozenset({"finished", "terminated"})
"""States of a process after which it does not wait any more."""


def to_image(link: ImageLink, asked: wire.Relayed) -> wire.Relayed:
    """Write a request as the image gets it: without what only the daemon needs.

    Raises:
        UnsupportedOperationError: it takes what the image did not publish.
        ParameterError, StaleHandleError: it names what the daemon never named, or what is gone with an instance.
    """
    for word in _words(asked):
        if not link.can(word):
            msg = f"image {link.image_id!r} does not publish the capability `{word}`, which this takes"
            raise UnsupportedOperationError(msg, capability=word, image_id=link.image_id)
    more: dict[str, Any] = {}
    if isinstance(asked, wire.Evaluate):
        receiver = asked.receiver_handle
        own = resolve(link.identity, receiver, "receiver_handle") if receiver else UNSET
        more = {"idempotency_key": UNSET, "page_chars": UNSET, "receiver_handle": own}
    elif isinstance(asked, wire.Debug):
        debugger_id = resolve(link.identity, asked.debugger_id, "debugger_id") if asked.debugger_id else UNSET
        more = {"idempotency_key": UNSET, "debugger_id": debugger_id}
    elif isinstance(asked, wire.Inspect) and asked.handle:
        more = {"handle": resolve(link.identity, asked.handle, "handle")}
    return replace(asked, tool_id=asked.tool_id or DEFAULT_TOOL, image_id=UNSET, timeout=UNSET, **more)


def from_image(link: ImageLink, command: str, answer: Any) -> Any:  # noqa: ANN401 -- the result of the command
    """Write an image's answer as client, book and events get it.

    Raises:
        ImageError: it names what an image cannot name.
    """
    del command
    identity = link.identity
    if isinstance(answer, wire.EvaluateResult):
        error = answer.error
        if error is UNSET and answer.handle is UNSET:
            return answer
        if error is not UNSET and error.debugger_id is not None:
            error = replace(error, debugger_id=refer(identity, error.debugger_id))
        return replace(answer, handle=_referred(identity, answer.handle), error=error)
    if isinstance(answer, wire.InspectResult):
        return replace(answer, handle=_referred(identity, answer.handle))
    if isinstance(answer, wire.DebugResult):
        return replace(answer, debug_info=_told_of(identity, answer.debug_info))
    return answer


def _referred(identity: ImageIdentity, own: str | UnsetType) -> str | UnsetType:
    return UNSET if own is UNSET else refer(identity, own)


def _told_of(identity: ImageIdentity, told: dict[str, Any]) -> dict[str, Any]:
    """Write what names objects and processes in `debug_info`: its `error`, and its `outcome` with the error of that."""
    found = dict(told)
    for name in ("handle", "debugger_id"):
        if isinstance(found.get(name), str):
            found[name] = refer(identity, found[name])
    for name in ("outcome", "error"):
        if isinstance(found.get(name), dict):
            found[name] = _told_of(identity, found[name])
    return found


def check_parameters(asked: wire.Relayed) -> None:
    """Go on only if the parameters fit together.

    Raises:
        ParameterError: they do not.
    """
    if isinstance(asked, wire.Inspect) and bool(asked.target) == bool(asked.handle):
        msg = "inspect: give either `target`, an expression, or `handle`"
        raise ParameterError(msg, field="target")
    if asked.session_id:
        return
    given = {
        "page_chars": isinstance(asked, wire.Evaluate) and asked.page_chars,
        "on_error": isinstance(asked, wire.Evaluate) and asked.on_error == "suspend",
        "keep": isinstance(asked, wire.Evaluate | wire.Inspect) and asked.keep is True,
        "handle": isinstance(asked, wire.Inspect) and asked.handle,
        "receiver_handle": isinstance(asked, wire.Evaluate) and asked.receiver_handle,
        "debugger_id": isinstance(asked, wire.Debug) and asked.debugger_id,
    }
    for field, is_given in given.items():
        if is_given:
            msg = f"`{field}` takes a `session_id`: what lasts longer than the request is kept for a session"
            raise ParameterError(msg, field="session_id")


def _words(asked: wire.Relayed) -> list[str]:
    """The capabilities beyond the command itself that a request takes."""
    if isinstance(asked, wire.Evaluate):
        takes = (
            ("suspend", asked.on_error == "suspend"),
            ("handles", asked.keep is True),
            ("receiver_handle", bool(asked.receiver_handle)),
        )
        return [word for word, taken in takes if taken]
    if isinstance(asked, wire.Debug):
        return ["suspend"] if asked.debugger_id else []
    if isinstance(asked, wire.Inspect):
        return ["handles"] if asked.keep is True or asked.handle or asked.path else []
    return []


def page_chars_of(asked: wire.Relayed) -> int | None:
    """How much of a printed result the client wants at once; None for all."""
    return (asked.page_chars or None) if isinstance(asked, wire.Evaluate) else None


def shown(answer: Any, asked: wire.Relayed, evaluation: str) -> Any:  # noqa: ANN401 -- the result of the command
    """Write a result as its client gets it: the first page, if that is what it wants."""
    page_chars = page_chars_of(asked)
    if page_chars is None or not isinstance(answer, wire.EvaluateResult):
        return answer
    return first_page(answer, page_chars, evaluation)


def interrupted_early(command: str) -> wire.EvaluateResult | EvaluationError:
    """What becomes of a request that was interrupted before an image was asked."""
    error = wire.SmalltalkError(INTERRUPTED, "interrupted before the image was asked; nothing was run")
    if command == "evaluate":
        return wire.EvaluateResult(None, INTERRUPTED, 0, has_error=True, error=error)
    return EvaluationError(error.message or "", error=msgspec.to_builtins(error))


def code_of(asked: wire.Relayed) -> str | None:
    """The code that an image is asked to run, if it is."""
    if isinstance(asked, wire.Evaluate):
        return asked.code
    if isinstance(asked, wire.Debug):
        return asked.expression or None
    if isinstance(asked, CompileMethod):  # nobody compiles a method that is not to run
        return asked.source
    return asked.target or None if isinstance(asked, wire.Inspect) else None


def outcome_of(answer: object) -> Outcome:
    """Make what is remembered and told of an answer."""
    if isinstance(answer, StuiError):
        failure = Failure(answer.code, answer.message, dict(answer.details))
        # the image says that it has no such process: it ended without a word to the daemon
        closes = "lost" if isinstance(answer, ObjectNotFoundError) else None
        return Outcome(failure=failure, shown=answer.message, closes=closes)
    result = msgspec.json.encode(answer).decode()
    suspended = _suspended(answer.error) if isinstance(answer, wire.EvaluateResult) else None
    state = answer.debug_info.get("state") if isinstance(answer, wire.DebugResult) else None
    return Outcome(
        result,
        has_error=_has_error(answer),
        shown=_shown(answer, result),
        suspended=suspended,
        closes=state if isinstance(state, str) and state in _ENDED else None,
    )


def _suspended(error: wire.SmalltalkError | UnsetType) -> Suspended | None:
    if error is UNSET or error.debugger_id is None:
        return None
    return Suspended(error.debugger_id, error.class_, error.message)


def seen_of(result: str, wanted: type[Any]) -> tuple[str, bool]:
    """What a person wants to see of a result that was kept, JSON text, and whether the code raised an error."""
    answer = msgspec.json.decode(result, type=wanted)
    return _shown(answer, result), _has_error(answer)


def _has_error(answer: object) -> bool:
    return isinstance(answer, wire.EvaluateResult) and (answer.has_error or answer.error is not UNSET)


def _shown(answer: object, result: str) -> str:
    if isinstance(answer, wire.DebugResult):
        return process_line(answer)
    if not isinstance(answer, wire.EvaluateResult):
        return result
    if answer.error is not UNSET:
        return f"{answer.error.class_}: {answer.error.message or ''}"
    shown = answer.display if answer.display is not UNSET else answer.result
    return shown if isinstance(shown, str) else result
