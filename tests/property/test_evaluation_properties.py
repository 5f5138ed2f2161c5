"""What holds for pages and groups whatever images answer."""

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from stui_sessiond.commands.grouping import Answers, group
from stui_sessiond.commands.paging import first_page, page_of
from stui_sessiond.errors import ImageBusyError, ImageTimeoutError
from stui_sessiond.wire.messages.development import EvaluateResult, SmalltalkError

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
WORDS = st.sampled_from(["a", "b"])
VALUES = st.builds(
    EvaluateResult, WORDS | st.sampled_from([1, 1.0, None, True]), WORDS, st.integers(0, 9), st.just(value=False)
)
ERRORS = st.builds(
    EvaluateResult,
    st.none(),
    WORDS,
    st.integers(0, 9),
    st.just(value=True),
    error=st.builds(SmalltalkError, WORDS, WORDS),
)
FAILURES = st.sampled_from([ImageBusyError("busy"), ImageTimeoutError("late")])
ANSWERS = st.dictionaries(st.text(st.sampled_from("abcdef"), min_size=1, max_size=3), VALUES | ERRORS | FAILURES)


@given(TEXTS, st.integers(1, 20))
def test_pages_joined_are_the_whole(text: str, count: int) -> None:
    """However long a page is; each goes through JSON unharmed, and only the last says that there is no more."""
    pages = []
    for start in itertools.count(0, count):
        page = page_of(text, start, count)
        pages.append(msgspec.json.decode(msgspec.json.encode(page.text), type=str))
        assert (page.start, page.total_chars) == (start, len(text))
        if not page.more:
            break
    assert "".join(pages) == text
    assert len(pages) == max(1, -(-len(text) // count))


@given(TEXTS, st.integers(1, 20))
def test_first_page_and_the_rest_are_the_whole(text: str, count: int) -> None:
    """What `evaluate` returns is the first page of what `get_result_page` reads."""
    first = first_page(EvaluateResult(text, "String", 1, has_error=False), count, "k")
    rest = page_of(text, len(first.result), max(1, len(text)))
    assert first.result + rest.text == text
    assert (first.truncated is True) == (len(text) > count)


@given(ANSWERS)
def test_groups_are_a_partition_in_order(answers: Answers) -> None:
    """Every image is in one group, with others that gave the same; no two groups are the same; larger ones go first."""
    groups = group(answers)
    assert sorted(each for one in groups for each in one.image_ids) == sorted(answers)
    assert all(one.image_ids == sorted(one.image_ids) for one in groups)
    order = [(-len(one.image_ids), one.image_ids[0]) for one in groups]
    assert order == sorted(order)
    told = [msgspec.json.encode(replace(one, image_ids=[], message=UNSET)) for one in groups]
    assert len(set(told)) == len(told)
    for one in groups:
        for image_id in one.image_ids:
            alone = group({image_id: answers[image_id]})[0]
            assert (alone.kind, alone.result, alone.error) == (one.kind, one.result, one.error)


@given(ANSWERS, st.randoms())
def test_groups_do_not_depend_on_the_order_of_answers(answers: Answers, chance: object) -> None:
    """Who answers first does not matter."""
    names = list(answers)
    chance.shuffle(names)  # type: ignore[attr-defined]  # a Random
    assert group({name: answers[name] for name in names}) == group(answers)
