"""Does the matcher find exactly what differs, and say so readably?"""

from typing import Any

import pytest

from stui_sessiond.testing.patterns import MAX_SHOWN_CHARS, PatternError, differences, fill

Names = dict[str, Any]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (1, 1),
        (18446744073709551616, 18446744073709551616),
        (1.5, 1.5),
        (2.0, 2),
        (None, None),
        (True, True),
        ("a", "a"),
        ([], []),
        ([1, ["{{*}}"]], [1, [{"any": "thing"}]]),
        ({}, {"more": 1}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}),
        ("{{*}}", None),
        ("{{*:string}}", ""),
        ("{{*:integer}}", 7),
        ("{{*:number}}", 7),
        ("{{*:number}}", 7.5),
        ("{{*:boolean}}", False),
        ("{{*:object}}", {}),
        ("{{*:array}}", [1]),
        ("{{*:time}}", "2025-01-20T10:30:00Z"),
        ("{{*:time}}", "2025-01-20T10:30:00.123Z"),
        ({"a": "{{*:absent}}"}, {"b": 1}),
        (["{{*:others}}", {"a": 2}], [{"a": 1}, {"a": 2, "b": 3}]),
        (["{{*:others}}"], []),
        (["{{*:either}}", 1, "a"], "a"),
        (["{{*:either}}", "{{*:absent}}", {"a": 1}], {"a": 1, "b": 2}),
        ({"a": ["{{*:either}}", 1, "{{*:absent}}"]}, {}),
    ],
)
def test_pattern_matches(pattern: object, found: object) -> None:
    """What fits gives no difference."""
    assert differences(pattern, found, {}) == []


@pytest.mark.parametrize(
    ("pattern", "found", "line"),
    [
        (1, 2, "the message: expected 1, got 2"),
        (1, True, "the message: expected 1, got true"),
        (True, 1, "the message: expected true, got 1"),
        (1, 1.0, "the message: expected 1, got 1.0"),
        (18446744073709551616, 1.8446744073709552e19, "expected 18446744073709551616, got 1.8446744073709552e+19"),
        (1.5, "1.5", 'expected 1.5, got "1.5"'),
        ("a", None, 'expected "a", got null'),
        ({"a": 1}, {"b": 1}, "a: expected 1, got nothing"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b: expected 1, got 2"),
        ({"a": {"b": 1}}, {"a": [1]}, "a: expected an object, got [1]"),
        ({"a": {"b": 1}}, {}, "a: expected an object, got nothing"),
        ([1, 2], [1, 3], "[1]: expected 2, got 3"),
        ([1], [1, 2], "expected 1 elements, got [1, 2]"),
        ([1], {"0": 1}, 'expected an array, got {"0": 1}'),
        ({"a": "{{*}}"}, {}, "a: expected anything, got nothing"),
        ("{{*:string}}", 1, "expected string, got 1"),
        ("{{*:integer}}", True, "expected integer, got true"),
        ("{{*:integer}}", 1.5, "expected integer, got 1.5"),
        ("{{*:number}}", "1", 'expected number, got "1"'),
        ("{{*:boolean}}", 0, "expected boolean, got 0"),
        ("{{*:object}}", [], "expected object, got []"),
        ("{{*:array}}", {}, "expected array, got {}"),
        ("{{*:time}}", "today", 'expected time, got "today"'),
        ({"a": "{{*:absent}}"}, {"a": None}, "a: expected absent, got null"),
        (["{{*:others}}", {"a": 2}], [{"a": 1}], 'expected {"a": 2} among its elements, got [{"a": 1}]'),
    ],
)
def test_pattern_differs(pattern: object, found: object, line: str) -> None:
    """What does not fit is told with its place, what was expected and what came."""
    (told,) = differences(pattern, found, {})
    assert told.endswith(line)


def test_pattern_tells_all_differences() -> None:
    """One look shows everything that is wrong."""
    assert len(differences({"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}, {})) == 3


def test_name_captures_and_then_has_to_be_equal() -> None:
    """The first use captures, also values that are no text; a later use compares the whole value."""
    names: Names = {}
    assert differences({"a": "{{x}}", "b": "{{x}}"}, {"a": {"c": [1, 2.5]}, "b": {"c": [1, 2.5]}}, names) == []
    assert names == {"x": {"c": [1, 2.5]}}
    others: list[Any] = [{"c": [1]}, {"c": [1, 2.5], "d": 1}, {"c": {}}, 1]
    for other in others:
        assert differences("{{x}}", other, names) != []


def test_name_with_type_captures_only_what_fits() -> None:
    """A capture of the wrong type is a difference, and captures nothing."""
    names: Names = {}
    assert differences("{{n:integer}}", "7", names) != []
    assert names == {}
    assert differences("{{n:integer}}", 7, names) == []
    assert names == {"n": 7}


def test_name_plus_number() -> None:
    """`{{n+2}}` is the captured integer plus 2."""
    assert differences("{{n+2}}", 9, {"n": 7}) == []
    assert differences("{{n+2}}", 8, {"n": 7}) == ["the message: expected 9, got 8"]


def test_name_within_a_text() -> None:
    """Within a longer text a name stands for its text."""
    assert differences("client-{{run}}-a", "client-x1-a", {"run": "x1"}) == []
    assert differences("client-{{run}}-a", "client-x2-a", {"run": "x1"}) != []


def test_name_times_number() -> None:
    """`{{run*3}}` is the text of a name, three times; for what is too long to write down."""
    assert fill({"a": "{{run*3}}"}, {"run": "ab"}) == {"a": "ababab"}
    assert differences("{{run*2}}", "abab", {"run": "ab"}) == []
    assert differences("{{run*2}}", "ab", {"run": "ab"}) == ['the message: expected "abab", got "ab"']


def test_name_within_a_key() -> None:
    """Keys may hold names as texts may, in what is sent and in what is expected."""
    assert fill({"a-{{run}}": {"{{run}}": 1}}, {"run": "x"}) == {"a-x": {"x": 1}}
    assert differences({"a-{{run}}": 1}, {"a-x": 1}, {"run": "x"}) == []
    assert differences({"{{run}}": 1}, {"y": 1}, {"run": "x"}) == ["x: expected 1, got nothing"]


def test_others_capture_only_from_what_matches() -> None:
    """Elements that were tried in vain leave no names behind."""
    names: Names = {}
    pattern = ["{{*:others}}", {"id": "{{x}}", "kind": "b"}]
    assert differences(pattern, [{"id": 1, "kind": "a"}, {"id": 2, "kind": "b"}], names) == []
    assert names == {"x": 2}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{{*:colour}}", {}),
        ("{{x:colour}}", {}),
        ("{{n+1}}", {}),
        ("{{n+1}}", {"n": "text"}),
        ("a {{unknown}} b", {}),
        ("{{unknown*2}}", {}),
        ("a {{x:string}} b", {"x": "y"}),
    ],
)
def test_pattern_that_is_wrong_itself(pattern: str, names: Names) -> None:
    """A mistake in a pattern is not taken for a difference."""
    with pytest.raises(PatternError):
        differences(pattern, "text", names)


def test_fill_puts_values_everywhere() -> None:
    """Names in what is sent become values: whole ones keep their type."""
    names: Names = {"x": {"a": 1}, "n": 7, "run": "r", "none": None}
    template = {"a": ["{{x}}", "{{n+1}}", "a-{{run}}-{{n}}", 1, "{ {", None], "b": {"c": "{{none}}"}}
    assert fill(template, names) == {"a": [{"a": 1}, 8, "a-r-7", 1, "{ {", None], "b": {"c": None}}


@pytest.mark.parametrize("template", ["{{unknown}}", "a {{unknown}}", "{{*}}", ["{{x:string}}"], {"a": "{{s+1}}"}])
def test_fill_knows_every_name(template: object) -> None:
    """A name that stands for nothing is a mistake in the transcript, not an empty text."""
    with pytest.raises(PatternError):
        fill(template, {"s": "text"})


def test_difference_is_short() -> None:
    """A long value is cut, and its length told."""
    (told,) = differences("a", "x" * 10_000, {})
    assert len(told) < MAX_SHOWN_CHARS + 100
    assert "10002 characters" in told


def test_either_captures_only_what_the_matching_one_names() -> None:
    """A possibility that does not match leaves no names behind; with none, all their differences are told."""
    names: Names = {}
    pattern = ["{{*:either}}", {"a": "{{a}}", "b": 1}, {"b": "{{b}}"}]
    assert differences(pattern, {"a": 5, "b": 2}, names) == []
    assert names == {"b": 2}
    lines = differences(pattern, {"a": 5}, names)
    assert lines[0] == "the message: none of 2 possibilities matches"
    assert lines[1:] == ["b: expected 1, got nothing", "b: expected 2, got nothing"]
