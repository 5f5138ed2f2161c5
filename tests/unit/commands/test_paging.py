"""Long results come in pages, and those that no book keeps are held for a while."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from stui_sessiond.commands.paging import LongResults, as_page, first_page, page_of, text_of
from stui_sessiond.ids import SessionId
from stui_sessiond.sessions import ledger
from stui_sessiond.wire.messages.development import EvaluateResult, SmalltalkError

HERE = SessionId("s")


def printed(result: Any, **more: Any) -> EvaluateResult:  # noqa: ANN401 -- fields of the answer
    """Make an answer."""
    return EvaluateResult(result, "String", 1, has_error=False, **more)


def test_page_counts_characters() -> None:
    """A character outside of the plane that most are in is one; none is cut in two."""
    text = "a😀é\u0301z"
    assert page_of(text, 1, 2) == ("😀é", 1, 5, True)
    assert page_of(text, 4, 5) == ("z", 4, 5, False)
    assert page_of(text, 5, 5) == ("", 5, 5, False)
    assert page_of(text, 99, 1) == ("", 99, 5, False)


def test_first_page() -> None:
    """What is longer is cut, said to be, and named; what fits is whole."""
    cut = first_page(printed("abcdef", display="'abcdef'"), 4, "k")
    assert (cut.result, cut.display, cut.truncated, cut.total_chars, cut.evaluation) == ("abcd", "'abc", True, 6, "k")
    whole = first_page(printed("abcdef"), 6, "k")
    assert (whole.result, whole.truncated, whole.total_chars, whole.evaluation) == ("abcdef", UNSET, 6, "k")


def test_first_page_of_what_the_image_had_cut() -> None:
    """That it had is not forgotten."""
    assert first_page(printed("abc", truncated=True), 6, "k").truncated is True


def test_first_page_of_a_value() -> None:
    """A JSON value is not cut: a half of it would be none."""
    value = first_page(printed([1, 2, 3]), 1, "k")
    assert (value.result, value.total_chars, value.evaluation) == ([1, 2, 3], UNSET, "k")


def test_first_page_of_what_is_kept() -> None:
    """The same from JSON text, for an answer that a connection is owed."""
    kept = msgspec.json.encode(printed("abcdef")).decode()
    assert as_page(kept, None, "k") == kept
    assert msgspec.json.decode(as_page(kept, 2, "k"))["result"] == "ab"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (printed("abc", display="'abc'"), "abc"),
        (printed({"a": 1}), '{"a":1}'),
        (printed(None, error=SmalltalkError("ZeroDivide", "by zero")), "ZeroDivide: by zero"),
        (printed(None, error=SmalltalkError("Halt")), "Halt: "),
    ],
)
def test_text_that_pages_are_made_of(answer: EvaluateResult, text: str) -> None:
    """What a person wants to read."""
    assert text_of(answer) == text


# ---- held in memory


def test_long_results_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the book does not keep."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 10)
    held = LongResults()
    held.hold(HERE, "short", printed("abc"), 10)
    held.hold(HERE, "long", printed("abcd"), 11)
    held.hold(HERE, "failed", ValueError(), 11)
    assert held.find(HERE, "short") is None
    assert held.find(HERE, "long") == "abcd"
    assert held.find(SessionId("other"), "long") is None
    assert len(held) == 1


def test_long_results_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest make room, by number and by size; one that comes again takes its own place."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 0)
    held = LongResults(max_results=3, max_bytes=10_000)
    for name in "abcd":
        held.hold(HERE, name, printed(name), 1)
    held.hold(HERE, "b", printed("anew"), 1)
    assert [held.find(HERE, name) for name in "abcd"] == [None, "anew", "c", "d"]
    held.hold(HERE, "large", printed("x" * 9_920), 1)
    assert [held.find(HERE, name) is None for name in ("b", "c", "d", "large")] == [True, True, True, False]
    held.hold(HERE, "too large", printed("x" * 20_000), 1)
    assert (len(held), held.size_bytes) == (0, 0)
