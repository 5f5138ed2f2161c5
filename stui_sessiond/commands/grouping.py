"""Which images gave the same answer? Pure."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from stui_sessiond.errors import StuiError
from stui_sessiond.wire.messages.development import EvaluateResult, SmalltalkError
from stui_sessiond.wire.messages.evaluation import AnswerGroup

SHOWN_CHARS = 20_000
"""How much of a printed result is shown for a group, a page of `get_result_page`: 256 of them fit into a message."""

Answers = Mapping[str, EvaluateResult | StuiError]
"""What images answered, by id."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def group(answers: Answers) -> list[AnswerGroup]:
    """Group images by their answers: the largest group first, then the one with the first name in the alphabet.

    Answers are equal if they are values of the same text and class, errors of the same class and message, or failures
    with the same code.
    """
    found: dict[bytes, list[str]] = {}
    for image_id in sorted(answers):
        found.setdefault(_sameness(answers[image_id]), []).append(image_id)
    groups = [_group(images, answers[images[0]]) for images in found.values()]
    return sorted(groups, key=lambda each: (-len(each.image_ids), each.image_ids[0]))


def kind_of(answer: EvaluateResult | StuiError) -> Literal["value", "error", "failed"]:
    """Tell a value, an error that the code raised, and an image that did not answer apart."""
    if isinstance(answer, StuiError):
        return "failed"
    return "error" if answer.has_error or answer.error is not UNSET else "value"


def _sameness(answer: EvaluateResult | StuiError) -> bytes:
    told: list[Any] = [kind_of(answer)]
    if isinstance(answer, StuiError):
        told += [answer.code]
    elif kind_of(answer) == "error":
        error = _error(answer)
        told += [error.class_, error.message]
    else:
        told += [answer.result, answer.result_type]
    return _encode(told)


def _error(answer: EvaluateResult) -> SmalltalkError:
    if answer.error is UNSET:
        return SmalltalkError(answer.result_type or "Error")
    return replace(answer.error, stack=[], debugger_id=None)


def _group(image_ids: list[str], answer: EvaluateResult | StuiError) -> AnswerGroup:
    kind = kind_of(answer)
    if isinstance(answer, StuiError):
        return AnswerGroup(image_ids, kind, None, None, code=answer.code, message=answer.message)
    if kind == "error":
        error = _error(answer)
        return AnswerGroup(image_ids, kind, None, error.class_, error=error)
    result, cut = _cut(answer.result)
    made = AnswerGroup(image_ids, kind, result, answer.result_type)
    return replace(made, truncated=True) if cut or answer.truncated is True else made


def _cut(result: Any) -> tuple[Any, bool]:  # noqa: ANN401 -- any JSON
    text = result if isinstance(result, str) else _encode(result).decode()
    return (text[:SHOWN_CHARS], True) if len(text) > SHOWN_CHARS else (result, False)
