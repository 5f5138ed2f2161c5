"""What a session becomes: replacing, merging, patching, contexts, the end and the return."""

from typing import Any

import pytest

from stui_sessiond.errors import (
    InvalidPatchError,
    ParameterError,
    SessionConflictError,
    SessionTooLargeError,
)
from stui_sessiond.ids import DEFAULT_TOOL, ImageId, ToolId
from stui_sessiond.model.session import StoredContext
from stui_sessiond.sessions import transitions
from stui_sessiond.sessions.transitions import Change, Mode
from tests.unit.bed.house import a_session

LIMIT = 100_000
NOW = 1.8e9


def merged(state: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Apply a merge patch to a session with this state."""
    return transitions.update(a_session(**state), Change(patch, Mode.MERGE), NOW, LIMIT).state


def patched(state: dict[str, Any], *operations: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    """Apply a JSON Patch to a session with this state."""
    return transitions.update(a_session(**state), Change(list(operations), Mode.PATCH), NOW, LIMIT).state


# ---- every change


def test_update_leaves_the_header_alone() -> None:
    """Counting versions is the history's business; the session it was made from stays as it was."""
    before = a_session(a=1)
    after = transitions.update(before, Change({"b": 2}), NOW, LIMIT)
    assert (after.header, after.state) == (before.header, {"b": 2})
    assert before.state == {"a": 1}


def test_update_replaces() -> None:
    """Without a mode, what is sent is the state."""
    assert transitions.update(a_session(a=1), Change({"b": None}), NOW, LIMIT).state == {"b": None}


def test_update_at_the_expected_version() -> None:
    """The version that was expected is there."""
    assert transitions.update(a_session(), Change({"a": 1}, expected_version=1), NOW, LIMIT).state == {"a": 1}


@pytest.mark.parametrize("expected", [0, 2])
def test_update_at_another_version(expected: int) -> None:
    """Somebody was faster: the error tells both versions."""
    with pytest.raises(SessionConflictError) as caught:
        transitions.update(a_session(), Change({}, expected_version=expected), NOW, LIMIT)
    assert caught.value.details == {"expected_version": expected, "version": 1}


@pytest.mark.parametrize("mode", [Mode.REPLACE, Mode.MERGE])
def test_update_with_a_list_where_an_object_is_due(mode: Mode) -> None:
    """A state is an object."""
    with pytest.raises(ParameterError) as caught:
        transitions.update(a_session(), Change([], mode), NOW, LIMIT)
    assert caught.value.details == {"field": "state_data"}


def test_patch_that_is_no_list() -> None:
    """A patch is a list."""
    with pytest.raises(ParameterError) as caught:
        transitions.update(a_session(), Change({}, Mode.PATCH), NOW, LIMIT)
    assert type(caught.value) is ParameterError


def test_update_of_sections() -> None:
    """Sections that come with a change replace those of the default tool; others stay."""
    first = transitions.update(a_session(), Change({}, sections={"workspace": {"a": 1}}), 1.0, LIMIT)
    second = transitions.update(first, Change({}, sections={"inspector": {"b": 2}}), 2.0, LIMIT)
    stored = second.contexts[DEFAULT_TOOL]
    assert stored.sections == {"workspace": {"a": 1}, "inspector": {"b": 2}}
    assert stored.saved_at == 2.0
    assert second.section("workspace") == {"a": 1}
    assert second.section("client") == {}


# ---- JSON Merge Patch: the examples of RFC 7396 appendix A that have objects on both sides, others one level down


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"in": ["a", "b"]}, {"in": ["c", "d"]}, {"in": ["c", "d"]}),
        ({"in": {"a": "b"}}, {"in": ["c"]}, {"in": ["c"]}),
        ({"in": {"a": "foo"}}, {"in": None}, {}),
        ({"in": {"a": "foo"}}, {"in": "bar"}, {"in": "bar"}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"in": [1, 2]}, {"in": {"a": "b", "c": None}}, {"in": {"a": "b"}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_as_in_rfc_7396(target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    """The examples of the specification."""
    assert merged(target, patch) == result


def test_merge_leaves_the_old_state_alone() -> None:
    """The state before is not changed, at any depth."""
    before = {"a": {"b": {"c": 1}}}
    merged(before, {"a": {"b": {"c": 2}}})
    assert before == {"a": {"b": {"c": 1}}}


# ---- JSON Patch: the examples of RFC 6902 appendix A


@pytest.mark.parametrize(
    ("state", "operations", "result"),
    [
        pytest.param(
            {"foo": "bar"},
            [{"op": "add", "path": "/baz", "value": "qux"}],
            {"baz": "qux", "foo": "bar"},
            id="A.1",
        ),
        pytest.param(
            {"foo": ["bar", "baz"]},
            [{"op": "add", "path": "/foo/1", "value": "qux"}],
            {"foo": ["bar", "qux", "baz"]},
            id="A.2",
        ),
        pytest.param({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}, id="A.3"),
        pytest.param(
            {"foo": ["bar", "qux", "baz"]},
            [{"op": "remove", "path": "/foo/1"}],
            {"foo": ["bar", "baz"]},
            id="A.4",
        ),
        pytest.param(
            {"baz": "qux", "foo": "bar"},
            [{"op": "replace", "path": "/baz", "value": "boo"}],
            {"baz": "boo", "foo": "bar"},
            id="A.5",
        ),
        pytest.param(
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
            id="A.6",
        ),
        pytest.param(
            {"foo": ["all", "grass", "cows", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["all", "cows", "eat", "grass"]},
            id="A.7",
        ),
        pytest.param(
            {"baz": "qux", "foo": ["a", 2, "c"]},
            [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
            {"baz": "qux", "foo": ["a", 2, "c"]},
            id="A.8",
        ),
        pytest.param(
            {"foo": "bar"},
            [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
            {"foo": "bar", "child": {"grandchild": {}}},
            id="A.10",
        ),
        pytest.param(
            {"foo": "bar"},
            [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
            {"foo": "bar", "baz": "qux"},
            id="A.11",
        ),
        pytest.param({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}, id="A.14"),
        pytest.param(
            {"foo": ["bar"]},
            [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
            {"foo": ["bar", ["abc", "def"]]},
            id="A.16",
        ),
        pytest.param({}, [], {}, id="empty"),
        pytest.param({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}, id="whole"),
        pytest.param({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}, id="copy"),
    ],
)
def test_patch_as_in_rfc_6902(state: dict[str, Any], operations: list[Any], result: dict[str, Any]) -> None:
    """The examples of the specification that apply."""
    assert patched(state, *operations) == result


@pytest.mark.parametrize(
    ("state", "operation"),
    [
        pytest.param({"baz": "qux"}, {"op": "test", "path": "/baz", "value": "bar"}, id="A.9"),
        pytest.param({"foo": "bar"}, {"op": "add", "path": "/baz/bat", "value": "qux"}, id="A.12"),
        pytest.param({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": "10"}, id="A.15"),
        pytest.param({}, {"op": "remove", "path": "/a"}, id="remove nothing"),
        pytest.param({}, {"op": "replace", "path": "/a", "value": 1}, id="replace nothing"),
        pytest.param({"a": [1]}, {"op": "add", "path": "/a/5", "value": 1}, id="beyond the end"),
        pytest.param({"a": [1]}, {"op": "add", "path": "/a/01", "value": 1}, id="leading zero"),
        pytest.param({"a": [1]}, {"op": "add", "path": "/a/x", "value": 1}, id="no index"),
        pytest.param({"a": {"b": 1}}, {"op": "move", "from": "/a", "path": "/a/b"}, id="into itself"),
        pytest.param({"a": [1]}, {"op": "copy", "from": "/a/-", "path": "/b"}, id="copy of no element"),
        pytest.param({"a": 1}, {"op": "copy", "path": "/b"}, id="copy from nowhere"),
        pytest.param({"a": 1}, {"op": "copy", "from": 5, "path": "/b"}, id="copy from a number"),
        pytest.param({}, {"op": "increment", "path": "/a"}, id="unknown operation"),
        pytest.param({}, {"op": "add", "path": "/a"}, id="no value"),
        pytest.param({}, {"op": "add", "path": "a", "value": 1}, id="no pointer"),
        pytest.param({}, {"op": "add", "path": 5, "value": 1}, id="path is a number"),
        pytest.param({}, {"path": "/a"}, id="no operation"),
        pytest.param({}, "add", id="a text"),
        pytest.param({}, None, id="null"),
        pytest.param({}, [], id="a list"),
        pytest.param({"a": 1}, {"op": "replace", "path": "", "value": [1]}, id="the whole becomes a list"),
    ],
)
def test_patch_that_does_not_apply(state: dict[str, Any], operation: object) -> None:
    """It is refused whole; what stood before it in the patch did not happen either."""
    before = a_session(**state)
    change = Change([{"op": "add", "path": "/first", "value": 1}, operation], Mode.PATCH)
    if operation == {"op": "replace", "path": "", "value": [1]}:
        change = Change([operation], Mode.PATCH)
    with pytest.raises(InvalidPatchError):
        transitions.update(before, change, NOW, LIMIT)
    assert before.state == state


def test_patch_that_fails_names_the_operation() -> None:
    """The error counts operations from 0."""
    with pytest.raises(InvalidPatchError) as caught:
        patched({"a": 1}, {"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/b"})
    assert caught.value.details == {"operation": 1}


def test_patch_leaves_the_old_state_alone() -> None:
    """The state before is not changed, at any depth."""
    before = {"a": {"b": [1]}}
    patched(before, {"op": "add", "path": "/a/b/-", "value": 2})
    assert before == {"a": {"b": [1]}}


def test_patch_that_copies_without_end() -> None:
    """Thirty copies of the whole into itself would fill the memory; they are counted before they are made."""
    bomb = [{"op": "copy", "from": "", "path": f"/{number}"} for number in range(30)]
    with pytest.raises(SessionTooLargeError) as caught:
        patched({"a": "x" * 100}, *bomb)
    assert caught.value.details == {"limit_bytes": LIMIT}


def test_patch_that_nests_without_end() -> None:
    """Copies of the whole into one place of it nest deeper each time, until no encoder could follow."""
    tower = [{"op": "copy", "from": "", "path": "/a"}] * 2000
    with pytest.raises(InvalidPatchError):
        transitions.update(a_session(), Change(tower, Mode.PATCH), NOW, 100_000_000)


def test_patch_of_too_many_operations() -> None:
    """Ten thousand operations are a whole state in disguise."""
    nothing = {"op": "test", "path": "", "value": {}}
    with pytest.raises(InvalidPatchError, match="at most 10000"):
        patched({}, *[nothing] * 10_001)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/l/0", "value": 1},
        {"op": "remove", "path": "/l/0"},
        {"op": "move", "from": "/l/0", "path": "/l/1"},
        {"op": "copy", "from": "/l/0", "path": "/l/1"},
    ],
)
def test_patch_that_shifts_too_much(operation: dict[str, Any]) -> None:
    """Thousands of insertions before a hundred thousand elements would take a minute; at the end they take nothing."""
    state = {"l": [0] * 100_000}
    with pytest.raises(InvalidPatchError, match="shifts") as caught:
        patched(state, *[operation] * 1_100)
    assert caught.value.details == {"operation": pytest.approx(1_000, abs=501)}
    assert len(patched(state, *[{"op": "add", "path": "/l/-", "value": 1}] * 1_100)["l"]) == 101_100


# ---- contexts


def test_context_is_saved() -> None:
    """It replaces the tool's context exactly; other tools keep theirs."""
    one, two = ToolId("one"), ToolId("two")
    session = transitions.save_context(a_session(), one, {"workspace": {"a": 1}}, 1.0)
    session = transitions.save_context(session, two, {"client": {}}, 2.0)
    session = transitions.save_context(session, one, {"inspector": {}}, 3.0)
    assert session.contexts[one].sections == {"inspector": {}}
    assert session.contexts[two].saved_at == 2.0


def test_context_is_cleared() -> None:
    """One tool, or all of them; nothing to clear is no change."""
    one, two = ToolId("one"), ToolId("two")
    session = transitions.save_context(a_session(), one, {}, 1.0)
    session = transitions.save_context(session, two, {}, 1.0)
    without_one, cleared = transitions.clear_context(session, one)
    assert (cleared, list(without_one.contexts)) == ([one], [two])
    empty, cleared = transitions.clear_context(session, None)
    assert (cleared, empty.contexts) == ([one, two], {})
    assert transitions.clear_context(without_one, one) == (without_one, [])


def test_checksum_of_a_context() -> None:
    """It depends on what is in it, not on the order, and shows any change."""
    stored = transitions.seal({"workspace": {"a": 1, "b": 2}}, 1.0)
    assert stored.checksum == transitions.seal({"workspace": {"b": 2, "a": 1}}, 2.0).checksum
    assert transitions.found_checksum(stored) == stored.checksum
    changed = StoredContext({"workspace": {"a": 1, "b": 3}}, stored.checksum, 1.0, stored.size_bytes)
    assert transitions.found_checksum(changed) != stored.checksum


# ---- the end and the return


def test_session_is_closed_and_reopened() -> None:
    """Closing keeps what is in it; reopening makes it active from now on. Neither is a new version."""
    closed = transitions.close(a_session(a=1), NOW)
    assert (closed.header.closed_at, closed.state, closed.header.version) == (NOW, {"a": 1}, 1)
    opened = transitions.reopen(closed, NOW + 5)
    assert (opened.header.closed_at, opened.header.last_activity, opened.header.version) == (None, NOW + 5, 1)


def test_session_is_bound_to_an_image() -> None:
    """It says which image it belongs to."""
    assert transitions.bind_image(a_session(), ImageId("pharo")).header.image_id == "pharo"
