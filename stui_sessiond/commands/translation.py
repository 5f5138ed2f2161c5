"""What does an image get of what a client asked, and what do client, book and events get of what it answered?

Every request to an image passes `to_image`, every answer to one that ran code `from_image`, also one that comes late.
"""

from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from stui_sessiond.errors import StuiError, UnsupportedOperationError
from stui_sessiond.ids import DEFAULT_TOOL
from stui_sessiond.images.link import ImageLink
from stui_sessiond.model.request import Failure
from stui_sessiond.sessions.requests import Outcome
from stui_sessiond.wire.messages import development as wire
from stui_sessiond.wire.messages.code import CompileMethod


def to_image(link: ImageLink, asked: wire.Relayed) -> wire.Relayed:
    """Write a request as the image gets it: without what only the daemon needs.

    Raises:
        UnsupportedOperationError: it takes what the image did not publish.
    """
    for word in _words(asked):
        if not link.can(word):
            msg = f"image {link.image_id!r} does not publish the capability `{word}`, which this takes"
            raise UnsupportedOperationError(msg, capability=word, image_id=link.image_id)
    sent = replace(asked, tool_id=asked.tool_id or DEFAULT_TOOL, image_id=UNSET, timeout=UNSET)
    if isinstance(sent, wire.Evaluate):
        return replace(sent, idempotency_key=UNSET, page_chars=UNSET)
    return replace(sent, idempotency_key=UNSET) if isinstance(sent, wire.Debug) else sent


def from_image(link: ImageLink, command: str, answer: Any) -> Any:  # noqa: ANN401 -- the result of the command
    """Write an image's answer as client, book and events get it.

    Raises:
        ImageError: it names what an image cannot name.
    """
    del link, command
    return answer


def _words(asked: wire.Relayed) -> list[str]:
    """The capabilities beyond the command itself that a request takes."""
    words = []
    if (isinstance(asked, wire.Evaluate) and asked.on_error == "suspend") or (
        isinstance(asked, wire.Debug) and asked.debugger_id
    ):
        words.append("suspend")
    if isinstance(asked, wire.Evaluate | wire.Inspect) and asked.keep is True:
        words.append("handles")
    if isinstance(asked, wire.Inspect) and asked.handle:
        words.append("handles")
    return words


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
        return Outcome(failure=failure, shown=answer.message)
    result = msgspec.json.encode(answer).decode()
    if isinstance(answer, wire.EvaluateResult):
        if answer.error is not UNSET:
            return Outcome(result, has_error=True, shown=f"{answer.error.class_}: {answer.error.message or ''}")
        shown = answer.display if answer.display is not UNSET else answer.result
        return Outcome(result, has_error=answer.has_error, shown=shown if isinstance(shown, str) else result)
    return Outcome(result, shown=result)
