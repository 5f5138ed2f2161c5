"""What views show and hide, and that nobody changes what he does not see."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.model.delta import apply, diff, same
from stui_sessiond.model.pointer import PatternError, changed_outside, parse, written
from stui_sessiond.model.view import BlindError, View

NAMES = st.sampled_from(["a", "b", "0", "1", "~/"])
VALUES = st.recursive(
    st.integers(0, 2) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
PATTERNS = st.lists(st.lists(NAMES | st.just("*"), max_size=3).map(tuple), max_size=3)
VIEWS = st.builds(View, st.just("v"), st.sampled_from(["hide", "show"]), PATTERNS)


def hide(*patterns: str) -> View:
    """A view that hides these."""
    return View("v", "hide", [parse(text) for text in patterns])


def show(*patterns: str) -> View:
    """A view that shows these."""
    return View("v", "show", [parse(text) for text in patterns])


@pytest.mark.parametrize(
    ("view", "seen"),
    [
        (hide("/hands/p2"), {"hands": {"p1": 1}, "deck": [{"card": 3, "up": 1}, {"card": 4, "up": 0}]}),
        (hide("/hands", "/deck/*/card"), {"deck": [{"up": 1}, {"up": 0}]}),
        (hide("/deck/0"), {"hands": {"p1": 1, "p2": 2}, "deck": [None, {"card": 4, "up": 0}]}),
        (hide("/deck/*"), {"hands": {"p1": 1, "p2": 2}, "deck": [None, None]}),
        (hide(""), {}),
        (show("/hands/p1"), {"hands": {"p1": 1}}),
        (show("/hands/p3"), {"hands": {}}),
        (show("/deck/*/up"), {"deck": [{"up": 1}, {"up": 0}]}),
        (show(), {}),
        (show("/hands/p1/deeper"), {"hands": {}}),
    ],
)
def test_view_of_a_document(view: View, seen: dict[str, Any]) -> None:
    """Hidden members are not there; hidden elements are null."""
    document = {"hands": {"p1": 1, "p2": 2}, "deck": [{"card": 3, "up": 1}, {"card": 4, "up": 0}]}
    assert view.of(document) == seen


def places(value: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    """All places of a document, and what is there, without objects and arrays."""
    if isinstance(value, dict):
        return [found for name, each in value.items() for found in places(each, (*path, name))]
    if isinstance(value, list):
        return [found for index, each in enumerate(value) for found in places(each, (*path, str(index)))]
    return [(path, value)]


def named(path: tuple[str, ...], patterns: Any) -> bool:  # noqa: ANN401 -- patterns of a view
    """Tell whether a pattern names a place: said in another way than the code has it."""
    return any(
        len(pattern) <= len(path) and all(part in ("*", there) for part, there in zip(pattern, path, strict=False))
        for pattern in patterns
    )


@given(DOCUMENTS, VIEWS)
def test_view_never_has_what_is_hidden(document: dict[str, Any], view: View) -> None:
    """Each value that is seen is at a place that is not hidden; all that are not hidden are seen."""
    seen = view.of(document)
    inside = dict(places(document))
    for path, value in places(seen):
        if value is not None:
            assert named(path, view.patterns) == (view.kind == "show")
            assert inside[path] == value
            assert view.sees(path)
    for path, value in inside.items():
        if value is not None and named(path, view.patterns) == (view.kind == "show"):
            assert (path, value) in places(seen)
    assert same(view.of(seen), seen)


@given(DOCUMENTS, DOCUMENTS, VIEWS)
def test_change_to_what_is_seen_leaves_what_is_hidden(
    document: dict[str, Any], wanted: dict[str, Any], view: View
) -> None:
    """What comes of a change looks as it was wanted to, and what is not seen is as it was; or it is refused."""
    try:
        after = view.put(document, wanted)
    except BlindError:
        return
    assert same(view.of(after), wanted)
    hidden = [(path, value) for path, value in places(document) if not view.sees(path)]
    now = dict(places(after))
    assert all(path in now and now[path] == value for path, value in hidden)
    unseen_now = {path for path in now if not view.sees(path)}
    assert unseen_now == {path for path, _ in hidden}


@given(DOCUMENTS, VIEWS)
def test_no_change_changes_nothing(document: dict[str, Any], view: View) -> None:
    """What is seen, put back, is the document."""
    assert same(view.put(document, view.of(document)), document)


@pytest.mark.parametrize(
    ("view", "wanted"),
    [
        (hide("/secret"), {"open": 1, "secret": 2}),
        (hide("/o/secret"), {"open": 1, "secret": 1}),
        (hide("/o/secret"), {"open": 1, "secret": 1, "o": 5}),
        (show("/open"), {"open": 1, "more": 1}),
    ],
)
def test_blind_writes_are_refused(view: View, wanted: dict[str, Any]) -> None:
    """Also those that would take something hidden away with what is seen."""
    with pytest.raises(BlindError):
        view.put({"open": 1, "secret": 1, "o": {"secret": 1, "x": 1}}, wanted)


@pytest.mark.parametrize(
    ("before", "after", "patterns", "outside"),
    [
        ({"a": 1}, {"a": 2}, ["/a"], []),
        ({"a": 1}, {"a": 2}, [""], []),
        ({"a": 1}, {"a": 2}, [], [""]),
        ({"a": 1}, {"a": 2, "b": 1}, ["/a"], ["/b"]),
        ({}, {"a": {"b": 1}}, ["/a/b"], []),
        ({}, {"a": {"b": 1, "c": 1}}, ["/a/b"], ["/a/c"]),
        ({"a": {"b": 1}}, {"a": 5}, ["/a/b"], ["/a"]),
        ({"l": [{"x": 1, "y": 1}]}, {"l": [{"x": 2, "y": 1}]}, ["/l/*/x"], []),
        ({"l": [{"x": 1, "y": 1}]}, {"l": [{"x": 1, "y": 2}]}, ["/l/*/x"], ["/l/0/y"]),
        ({"l": [1]}, {"l": [1, 2]}, ["/l/*"], ["/l"]),
        ({"a/b": 1}, {"a/b": 2}, ["/a~1b"], []),
    ],
)
def test_places_that_changed_outside_of_patterns(
    before: object, after: object, patterns: list[str], outside: list[str]
) -> None:
    """An array whose length changes is one place."""
    assert changed_outside(before, after, [parse(text) for text in patterns], 5) == outside


def test_only_so_many_places_that_changed_are_told() -> None:
    """Who changes 10,000 places is told of some of them."""
    old, new = ({str(n): value for n in range(10_000)} for value in (0, 1))
    assert changed_outside(old, new, [("x",)], 3) == ["/0", "/1", "/2"]


@given(VIEWS, DOCUMENTS, DOCUMENTS)
def test_steps_of_a_view_lead_from_what_is_seen_to_what_is_seen(
    view: View, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """What is seen of the steps makes, of what is seen of a document, what is seen of the next; none are needless."""
    seen = view.steps(before, diff(before, after, "/state"), "/state")
    old, new = view.of(before), view.of(after)
    assert same(apply({"state": old}, seen)["state"], new)
    assert (not seen) is same(old, new)


@pytest.mark.parametrize("text", ["a", "/~", "/~2", "/a" * 17, "/" + "a" * 1000])
def test_text_that_is_no_pointer(text: str) -> None:
    """It is refused and not guessed at."""
    with pytest.raises(PatternError):
        parse(text)


@given(st.lists(st.text(max_size=4), max_size=5).map(tuple))
def test_pointer_reads_what_it_wrote(path: tuple[str, ...]) -> None:
    """Escapes go both ways."""
    assert parse(written(path)) == path
