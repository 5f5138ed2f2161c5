"""What does an image get of what a client asked, and what do client, book and events get of what it answered?

Every request to an image passes `to_image`, every answer to one that ran code `from_image`, also one that comes late.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from stui_sessiond.errors import ObjectNotFoundError, ParameterError, StuiError, UnsupportedOperationError
from stui_sessiond.ids import DEFAULT_TOOL
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.reference import refer, resolve
from stui_sessiond.model.request import Failure
from stui_sessiond.sessions.requests import Outcome, Suspended
from stui_sessiond.wire.messages import development as wire
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
    sent = replace(asked, tool_id=asked.tool_id or DEFAULT_TOOL, image_id=UNSET, timeout=UNSET)
    if isinstance(sent, wire.Evaluate):
        return replace(sent, idempotency_key=UNSET, page_chars=UNSET)
    if isinstance(sent, wire.Debug):
        debugger_id = resolve(link.identity, sent.debugger_id, "debugger_id") if sent.debugger_id else UNSET
        return replace(sent, idempotency_key=UNSET, debugger_id=debugger_id)
    if isinstance(sent, wire.Inspect) and sent.handle:
        return replace(sent, handle=resolve(link.identity, sent.handle, "handle"))
    return sent


def from_image(link: ImageLink, command: str, answer: Any) -> Any:  # noqa: ANN401 -- the result of the command
    """Write an image's answer as client, book and events get it.

    Raises:
        ImageError: it names what an image cannot name.
    """
    del command
    identity = link.identity
    if isinstance(answer, wire.EvaluateResult):
        error = answer.error
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
    keeps = (isinstance(asked, wire.Evaluate | wire.Inspect) and asked.keep) or (
        isinstance(asked, wire.Evaluate) and asked.on_error == "suspend"
    )
    named = (isinstance(asked, wire.Inspect) and asked.handle) or (isinstance(asked, wire.Debug) and asked.debugger_id)
    if (keeps or named) and not asked.session_id:
        msg = "what an image keeps, it keeps for a session: give `session_id`"
        raise ParameterError(msg, field="session_id")


def _words(asked: wire.Relayed) -> list[str]:
    """The capabilities beyond the command itself that a request takes."""
    words = []
    if (isinstance(asked, wire.Evaluate) and asked.on_error == "suspend") or (
        isinstance(asked, wire.Debug) and asked.debugger_id
    ):
        words.append("suspend")
    if isinstance(asked, wire.Evaluate | wire.Inspect) and asked.keep is True:
        words.append("handles")
    if isinstance(asked, wire.Inspect) and (asked.handle or asked.path):
        words.append("handles")
    return words


def code_of(asked: wire.Relayed) -> str | None:
    """The code that an image is asked to run, if it is."""
    if isinstance(asked, wire.Evaluate):
        return asked.code
    if isinstance(asked, wire.Debug):
        return asked.expression or None
    return asked.target or None if isinstance(asked, wire.Inspect) else None


def outcome_of(answer: object) -> Outcome:
    """Make what is remembered and told of an answer."""
    if isinstance(answer, StuiError):
        failure = Failure(answer.code, answer.message, dict(answer.details))
        # the image says that it has no such process: it ended without a word to the daemon
        closes = "lost" if isinstance(answer, ObjectNotFoundError) else None
        return Outcome(failure=failure, shown=answer.message, closes=closes)
    result = msgspec.json.encode(answer).decode()
    if isinstance(answer, wire.EvaluateResult):
        if answer.error is not UNSET:
            error = answer.error
            waits = error.debugger_id
            suspended = None if waits is None else Suspended(waits, error.class_, error.message)
            shown = f"{error.class_}: {error.message or ''}"
            return Outcome(result, has_error=True, shown=shown, suspended=suspended)
        shown = answer.display if answer.display is not UNSET else answer.result
        return Outcome(result, has_error=answer.has_error, shown=shown if isinstance(shown, str) else result)
    state = answer.debug_info.get("state") if isinstance(answer, wire.DebugResult) else None
    return Outcome(result, shown=result, closes=state if state in _ENDED else None)
