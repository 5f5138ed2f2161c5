"""The language of guards: the vectors of the contract, and that nothing takes long or crashes."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.model.guard import MAX_DEPTH, MAX_NODES, GuardError, check, evaluate, holds

VECTORS = json.loads((Path(__file__).parents[3] / "protocol/vectors/guards.json").read_text("utf-8"))["vectors"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "1", ""]), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["var", "==", "!=", "<", "<=", ">", ">=", "and", "or", "!", "if", "in", "length", "+", "-", "%", "map"]
)
EXPRESSIONS: st.SearchStrategy[Any] = st.recursive(
    JSON | st.builds(lambda path: {"var": path}, st.sampled_from(["before.a", "after", "who.roles.0", "x"])),
    lambda inner: st.builds(lambda name, given: {name: given}, NAMES, st.lists(inner, max_size=3) | inner),
    max_leaves=12,
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_guard_has_the_value_of_the_contract(vector: dict[str, Any]) -> None:
    """Any implementation gives these values."""
    if vector.get("error") == "refused":
        with pytest.raises(GuardError):
            check(vector["guard"])
        return
    check(vector["guard"])
    if "error" in vector:
        with pytest.raises(GuardError):
            evaluate(vector["guard"], vector["facts"])
        return
    found = evaluate(vector["guard"], vector["facts"])
    assert (found, type(found)) == (vector["value"], type(vector["value"]))


@given(EXPRESSIONS, st.fixed_dictionaries({"before": JSON, "after": JSON, "who": JSON}))
def test_guard_that_is_accepted_has_a_value_or_none(expression: object, facts: dict[str, Any]) -> None:
    """Whatever is declared and whatever the state is, there is a value or a `GuardError`: nothing else is raised."""
    with contextlib.suppress(GuardError):
        check(expression)
        assert holds(expression, facts) in {True, False}


def test_guard_is_bounded_in_size_and_depth() -> None:
    """What is too large is refused when it is declared, with the place."""
    check({"and": [True] * (MAX_NODES - 1)})
    with pytest.raises(GuardError, match="257"):
        check({"and": [True] * MAX_NODES})
    deep: object = True
    for _ in range(MAX_DEPTH):
        deep = {"!": [deep]}
    with pytest.raises(GuardError) as refused:
        check(deep)
    assert refused.value.place == "/!/0" * MAX_DEPTH


def test_guard_that_compares_too_much_has_no_value() -> None:
    """Steps inside compared values count."""
    state = {"list": list(range(6000))}
    expression = {"==": [{"var": "before.list"}, {"var": "after.list"}]}
    assert holds(expression, {"before": {"list": [1]}, "after": {"list": [1]}, "who": {}})
    assert holds(expression, {"before": state, "after": {"list": list(range(6000))}, "who": {}})
    twice = {"and": [expression, expression]}
    with pytest.raises(GuardError, match="steps"):
        holds(twice, {"before": state, "after": {"list": list(range(6000))}, "who": {}})


def test_guard_that_searches_too_much_has_no_value() -> None:
    """Each thousand characters of a text that is searched are a step."""
    expression = {"or": [{"in": ["y", {"var": "before.text"}]}] * 20}
    short, long = ({"before": {"text": "x" * size}, "after": {}, "who": {}} for size in (400_000, 600_000))
    assert not holds(expression, short)
    with pytest.raises(GuardError, match="steps"):
        holds(expression, long)
