"""Deltas and merges, for any JSON documents; the jsonpatch library is the oracle."""

import copy
from typing import Any, Literal

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.model.delta import DeltaError, Step, apply, diff, same
from stui_sessiond.sessions.merge import merge

NAMES = st.sampled_from(["a", "b", "c", "", "~", "/", "~1", "é", "0"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3, width=16) | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)
Json = dict[str, Any]
Operation = Literal["add", "replace", "remove"]
OPERATIONS: tuple[Operation, ...] = ("add", "replace", "remove")


@given(old=DOCUMENTS, new=DOCUMENTS)
def test_delta_round_trip(old: Json, new: Json) -> None:
    """A delta leads from one document to the other, leaves the first as it was, and is a JSON Patch."""
    before = copy.deepcopy(old)
    steps = diff(old, new)
    assert same(apply(old, steps), new)
    assert same(old, before)
    assert same(jsonpatch.apply_patch(before, [step.to_json() for step in steps]), new)


@given(document=DOCUMENTS)
def test_delta_of_equal_documents(document: Json) -> None:
    """Between equal documents there is nothing to do."""
    assert diff(document, copy.deepcopy(document)) == []


@given(document=DOCUMENTS, op=st.sampled_from(OPERATIONS), parts=st.lists(NAMES, max_size=3))
def test_delta_of_jsonpatch(document: Json, op: Operation, parts: list[str]) -> None:
    """A step that fits does what jsonpatch does; one that does not fit is refused."""
    path = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
    step = Step(op, path, 1)
    try:
        found = apply(document, [step])
    except DeltaError:
        return
    assert same(found, jsonpatch.apply_patch(document, [step.to_json()]))


@given(base=DOCUMENTS, ours=DOCUMENTS, theirs=DOCUMENTS)
def test_merge_laws(base: Json, ours: Json, theirs: Json) -> None:
    """What one side alone changed is kept; both sides find the same conflicts; without conflicts they agree."""
    assert merge(base, ours, base) == (ours, [])
    assert same(merge(base, base, theirs)[0], theirs)
    assert same(merge(base, ours, ours)[0], ours)
    merged, conflicts = merge(base, ours, theirs)
    mirrored, mirrored_conflicts = merge(base, theirs, ours)
    assert sorted(conflicts) == sorted(mirrored_conflicts)
    if not conflicts:
        assert same(merged, mirrored)
