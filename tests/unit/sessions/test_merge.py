"""A three-way merge: what both sides made of a document, and where they cannot both be right."""

from typing import Any

import msgspec
import pytest

from stui_sessiond.errors import InvalidPatchError, SessionConflictError
from stui_sessiond.model.session import Session
from stui_sessiond.sessions import transitions
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.sessions.merge import merge
from stui_sessiond.sessions.transitions import Change, Mode
from tests.unit.bed.changes import a_new_session, step

Json = dict[str, Any]
NOW = 1.8e9


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        pytest.param({}, {}, {}, {}, id="nothing"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, id="ours alone"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, id="theirs alone"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}, id="the same"),
        pytest.param({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 2}, id="different members"),
        pytest.param({"a": 1}, {}, {"a": 1}, {}, id="ours removed"),
        pytest.param({"a": 1}, {"a": 1}, {}, {}, id="theirs removed"),
        pytest.param({"a": 1}, {}, {}, {}, id="both removed"),
        pytest.param({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="both added"),
        pytest.param({}, {"a": [1]}, {"a": [1]}, {"a": [1]}, id="both added the same"),
        pytest.param({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 3}}, {"a": {"x": 3, "y": 2}}, id="nested"),
        pytest.param({}, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}, id="objects that both added"),
        pytest.param(
            {"a": 1}, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}, id="both made an object of it"
        ),
        pytest.param({"a": None}, {"a": None}, {"a": 1}, {"a": 1}, id="null is a value"),
        pytest.param({"a": 1}, {"a": True}, {"a": 1}, {"a": True}, id="true is not 1"),
    ],
)
def test_merge_without_conflict(base: Json, ours: Json, theirs: Json, merged: Json) -> None:
    """Both are there, whichever side is which."""
    for found, conflicts in (merge(base, ours, theirs), merge(base, theirs, ours)):
        assert (found, conflicts) == (merged, [])
        assert msgspec.json.encode(found, order="sorted") == msgspec.json.encode(merged, order="sorted")


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "conflicts"),
    [
        pytest.param({"a": 1}, {"a": 2}, {"a": 3}, ["/a"], id="both changed"),
        pytest.param({}, {"a": 2}, {"a": 3}, ["/a"], id="both added"),
        pytest.param({"a": 1}, {}, {"a": 3}, ["/a"], id="ours removed"),
        pytest.param({"a": 1}, {"a": 2}, {}, ["/a"], id="theirs removed"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, {"a": [0, 1]}, ["/a"], id="lists are one value"),
        pytest.param({"a": 0}, {"a": 1}, {"a": True}, ["/a"], id="true is not 1"),
        pytest.param({"a": {"x": 1}}, {"a": {"x": 2}}, {"a": {"x": 3}}, ["/a/x"], id="nested"),
        pytest.param({"a": {"x": 1}}, {}, {"a": {"x": 3}}, ["/a"], id="removed and changed inside"),
        pytest.param({"a": {"x": 1}}, {"a": 5}, {"a": {"x": 3}}, ["/a"], id="object and number"),
        pytest.param({"/~": 0, "": 0}, {"/~": 1, "": 1}, {"/~": 2, "": 2}, ["/", "/~1~0"], id="escapes"),
        pytest.param({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 3, "b": 4}, ["/a"], id="one of two"),
    ],
)
def test_merge_with_conflict(base: Json, ours: Json, theirs: Json, conflicts: list[str]) -> None:
    """Every member in conflict is named, and only those; theirs stands in its place."""
    found, pointers = merge(base, ours, theirs)
    assert sorted(pointers) == conflicts
    assert sorted(merge(base, theirs, ours)[1]) == conflicts
    if conflicts == ["/a"]:
        assert found.get("a") == theirs.get("a")


def test_merge_leaves_all_three_alone() -> None:
    """What goes in is not changed, at any depth."""
    documents: list[Json] = [{"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}, "d": 1}}, {"a": {"b": {"c": 1, "e": 3}}}]
    before = msgspec.json.encode(documents)
    merged, _ = merge(*documents)
    merged["a"]["b"]["f"] = 4
    assert msgspec.json.encode(documents) == before


# ---- as part of an update


def two_versions() -> Session:
    """Make a session that was `{a: 1, b: 1}` at version 2 and is `{a: 2, b: 1}` at version 3."""
    return step(step(a_new_session(), a=1, b=1).session, a=2, b=1).session


@pytest.mark.parametrize(
    "change",
    [
        Change({"a": 1, "b": 7}, expected_version=2, merge_on_conflict=True),
        Change({"b": 7}, Mode.MERGE, expected_version=2, merge_on_conflict=True),
        Change([{"op": "replace", "path": "/b", "value": 7}], Mode.PATCH, expected_version=2, merge_on_conflict=True),
        Change([{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/b", "value": 7}],
               Mode.PATCH, expected_version=2, merge_on_conflict=True),
    ],
)  # fmt: skip
def test_update_that_merges(change: Change) -> None:
    """In each mode the change is made to what its client knew, and both changes are there."""
    assert transitions.update(two_versions(), change, NOW, 10**6).state == {"a": 2, "b": 7}


def test_update_that_merges_at_the_present_version() -> None:
    """There is nothing to merge: what is sent is the state."""
    change = Change({"c": 1}, expected_version=3, merge_on_conflict=True)
    assert transitions.update(two_versions(), change, NOW, 10**6).state == {"c": 1}
    assert transitions.update(two_versions(), Change({}, merge_on_conflict=True), NOW, 10**6).state == {}


def test_update_that_cannot_be_merged() -> None:
    """The error carries the members, and all three sides, so that a person can choose."""
    change = Change({"a": 9, "b": 1}, expected_version=2, merge_on_conflict=True)
    with pytest.raises(SessionConflictError) as caught:
        transitions.update(two_versions(), change, NOW, 10**6)
    assert caught.value.details == {
        "expected_version": 2,
        "version": 3,
        "conflicts": ["/a"],
        "base": {"a": 1, "b": 1},
        "ours": {"a": 9, "b": 1},
        "theirs": {"a": 2, "b": 1},
    }
    assert "/a" in caught.value.message


@pytest.mark.parametrize("expected", [0, 4, 99])
def test_update_that_merges_with_a_version_there_never_was(expected: int) -> None:
    """It is a conflict like any other."""
    change = Change({}, expected_version=expected, merge_on_conflict=True)
    with pytest.raises(SessionConflictError) as caught:
        transitions.update(two_versions(), change, NOW, 10**6)
    assert caught.value.details == {"expected_version": expected, "version": 3}


def test_update_that_merges_with_a_version_that_is_not_kept() -> None:
    """Without a base there is nothing to merge from."""
    old = two_versions()
    session, _ = advance(old, old, NOW, None, "updated", HistoryRules(max_versions=1))
    change = Change({"b": 7}, expected_version=2, merge_on_conflict=True)
    with pytest.raises(SessionConflictError, match="version 2 is not kept"):
        transitions.update(session, change, NOW, 10**6)


def test_patch_that_merges_and_does_not_apply() -> None:
    """A patch that does not fit what its client knew is refused as a patch."""
    change = Change([{"op": "remove", "path": "/c"}], Mode.PATCH, expected_version=2, merge_on_conflict=True)
    with pytest.raises(InvalidPatchError):
        transitions.update(two_versions(), change, NOW, 10**6)
