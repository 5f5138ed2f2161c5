"""How much of a long printed result does a client get at once, and where is the rest until it asks for it?"""

from collections import OrderedDict
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from stui_sessiond.ids import SessionId
from stui_sessiond.sessions import ledger
from stui_sessiond.wire.messages.development import EvaluateResult

HELD_RESULTS = 64
"""Results too long for the book that are held in memory; enough for every editor there is to read one."""

HELD_BYTES = 64 * 1024 * 1024
"""What these take together: a few of the largest that an image may send."""


class Page(NamedTuple):
    """A part of a text. `start` and `total_chars` count code points."""

    text: str
    start: int
    total_chars: int
    more: bool


def page_of(text: str, start: int, count: int) -> Page:
    """Cut a page out of a text; beyond its end there is an empty one."""
    end = start + count
    return Page(text[start:end], start, len(text), end < len(text))


def first_page(answer: EvaluateResult, page_chars: int, evaluation: str) -> EvaluateResult:
    """Cut what was printed to what the client wants at once, and say where the rest is."""
    named = replace(answer, evaluation=evaluation)
    if isinstance(answer.display, str) and len(answer.display) > page_chars:
        named = replace(named, display=answer.display[:page_chars], truncated=True)
    if not isinstance(answer.result, str):
        return named
    named = replace(named, total_chars=len(answer.result))
    if len(answer.result) <= page_chars:
        return named
    return replace(named, result=answer.result[:page_chars], truncated=True)


def as_page(result: str, page_chars: int | None, evaluation: str) -> str:
    """The same for a result as it is kept, JSON text."""
    if page_chars is None:
        return result
    answer = msgspec.json.decode(result, type=EvaluateResult)
    return msgspec.json.encode(first_page(answer, page_chars, evaluation)).decode()


def text_of(answer: EvaluateResult) -> str:
    """What pages are made of: the printed result; its JSON where it is none; the error where there is no result."""
    if isinstance(answer.result, str):
        return answer.result
    if answer.error is not UNSET:
        return f"{answer.error.class_}: {answer.error.message or ''}"
    return msgspec.json.encode(answer.result).decode()


class LongResults:
    """Printed results that are too long for the book. The oldest make room; all are gone with the daemon."""

    def __init__(self, max_results: int = HELD_RESULTS, max_bytes: int = HELD_BYTES) -> None:
        self._max_results = max_results
        self._max_bytes = max_bytes
        self._texts: OrderedDict[tuple[SessionId, str], str] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """How much memory they take."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._texts)

    def hold(self, session_id: SessionId, evaluation: str, answer: Any, size_bytes: int) -> None:  # noqa: ANN401 -- the result of any command
        """Hold a result if the book does not: `size_bytes` is how long it is there."""
        if not isinstance(answer, EvaluateResult) or size_bytes <= ledger.MAX_RESULT_BYTES:
            return
        text = text_of(answer)
        place = (session_id, evaluation)
        if place in self._texts:
            self._drop(place)
        self._texts[place] = text
        self._bytes += text.__sizeof__()
        while len(self._texts) > self._max_results or self._bytes > self._max_bytes:
            self._drop(next(iter(self._texts)))

    def find(self, session_id: SessionId, evaluation: str) -> str | None:
        """The whole text, as long as it is held."""
        return self._texts.get((session_id, evaluation))

    def _drop(self, place: tuple[SessionId, str]) -> None:
        self._bytes -= self._texts.pop(place).__sizeof__()
