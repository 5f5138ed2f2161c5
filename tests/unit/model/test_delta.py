"""The steps between two documents: what they are, what they become on the wire, what does not fit."""

from typing import Any

import msgspec
import pytest

from stui_sessiond.model.delta import DeltaError, Step, apply, diff, same

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        pytest.param({}, {}, [], id="nothing"),
        pytest.param({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, [], id="equal"),
        pytest.param({}, {"a": 1}, [("add", "/a", 1)], id="added"),
        pytest.param({"a": 1}, {}, [("remove", "/a")], id="removed"),
        pytest.param({"a": 1}, {"a": 2}, [("replace", "/a", 2)], id="replaced"),
        pytest.param({}, {"a": None}, [("add", "/a", None)], id="null added"),
        pytest.param({"a": None}, {"a": 1}, [("replace", "/a", 1)], id="null replaced"),
        pytest.param({"a": 1}, {"a": None}, [("replace", "/a", None)], id="replaced by null"),
        pytest.param({"a": None}, {}, [("remove", "/a")], id="null removed"),
        pytest.param({"a": 1}, {"a": True}, [("replace", "/a", True)], id="true is not 1"),
        pytest.param({"a": 0}, {"a": False}, [("replace", "/a", False)], id="false is not 0"),
        pytest.param({"a": 1}, {"a": 1.0}, [("replace", "/a", 1.0)], id="1.0 is not 1"),
        pytest.param({"a": "1"}, {"a": 1}, [("replace", "/a", 1)], id="text is no number"),
        pytest.param({"a": [1]}, {"a": [True]}, [("replace", "/a", [True])], id="true in a list"),
        pytest.param({"a": [1, 2, 3]}, {"a": [1, 3]}, [("replace", "/a", [1, 3])], id="lists whole"),
        pytest.param({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [("replace", "/a", [{"b": 2}])], id="object in a list"),
        pytest.param(
            {"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 3, "d": 2}}}, [("replace", "/a/b/c", 3)], id="deep"
        ),
        pytest.param({"a": {}}, {"a": []}, [("replace", "/a", [])], id="object to list"),
        pytest.param({"a": {"b": 1}}, {"a": {}}, [("remove", "/a/b")], id="emptied"),
        pytest.param({"": 1}, {"": 2}, [("replace", "/", 2)], id="empty name"),
        pytest.param({}, {"a/b": 1, "m~n": 2}, [("add", "/a~1b", 1), ("add", "/m~0n", 2)], id="escapes"),
        pytest.param({"~1": 1}, {"~1": 2}, [("replace", "/~01", 2)], id="escape of an escape"),
        pytest.param({"0": {"-": 1}}, {"0": {"-": 2}}, [("replace", "/0/-", 2)], id="names like indexes"),
        pytest.param({"ü": 1}, {"ü": 2}, [("replace", "/ü", 2)], id="unicode"),
    ],
)
def test_diff(old: Json, new: Json, steps: list[tuple[Any, ...]]) -> None:
    """As few steps as the kinds of values allow, each undone by none of the others."""
    found = diff(old, new)
    assert found == [Step(*step) for step in steps]
    assert [type(one.value) for one in found] == [type(Step(*step).value) for step in steps]
    assert same(apply(old, found), new)


def test_diff_of_removing_and_adding() -> None:
    """What goes goes first, in the order of the old document; what comes comes last, in that of the new."""
    steps = diff({"c": 1, "b": 1, "a": 1}, {"z": 1, "b": 2, "y": 1})
    assert [(step.op, step.path) for step in steps] == [
        ("remove", "/c"),
        ("replace", "/b"),
        ("remove", "/a"),
        ("add", "/z"),
        ("add", "/y"),
    ]


def test_step_as_json() -> None:
    """As RFC 6902 has it: `value` is there when it is null, and is not there in a `remove`."""
    assert Step("add", "/a", None).to_json() == {"op": "add", "path": "/a", "value": None}
    assert Step("replace", "/a", [1]).to_json() == {"op": "replace", "path": "/a", "value": [1]}
    assert Step("remove", "/a").to_json() == {"op": "remove", "path": "/a"}


@pytest.mark.parametrize("step", [Step("add", "/a", None), Step("replace", "/a", 0), Step("remove", "/~0~1")])
def test_step_in_a_record(step: Step) -> None:
    """It is read back as it was, null or not."""
    assert msgspec.json.decode(msgspec.json.encode(step), type=Step) == step


@pytest.mark.parametrize(
    ("document", "step"),
    [
        ({}, Step("remove", "/a")),
        ({}, Step("replace", "/a", 1)),
        ({"a": 1}, Step("add", "/a", 2)),
        ({"a": 1}, Step("add", "/a/b", 2)),
        ({"a": []}, Step("add", "/a/0", 2)),
        ({}, Step("add", "/a/b", 2)),
        ({"a": None}, Step("remove", "/a/b")),
        ({"a": 1}, Step("replace", "", {})),
        ({}, Step("add", "", {})),
        ({"": 1}, Step("remove", "")),
    ],
)
def test_apply_of_what_does_not_fit(document: Json, step: Step) -> None:
    """It is refused, and the document stays as it was, also by the steps before it."""
    before = msgspec.json.encode(document)
    with pytest.raises(DeltaError, match="does not fit"):
        apply(document, [Step("add", "/new", 1), step])
    assert msgspec.json.encode(document) == before


def test_apply_shares_what_did_not_change() -> None:
    """Only the objects on the way are copied, each once; the rest is the same object."""
    document: Json = {"a": {"b": {"c": 1}, "d": {}}, "e": {"f": [1]}}
    made = apply(document, [Step("replace", "/a/b/c", 2), Step("add", "/a/b/x", 3)])
    assert made == {"a": {"b": {"c": 2, "x": 3}, "d": {}}, "e": {"f": [1]}}
    assert made["e"] is document["e"]
    assert made["a"]["d"] is document["a"]["d"]
    assert document == {"a": {"b": {"c": 1}, "d": {}}, "e": {"f": [1]}}


def test_apply_to_a_value_that_a_step_brought() -> None:
    """A later step may change what an earlier one added; the step itself stays as it was."""
    first = Step("add", "/a", {"b": 1})
    made = apply({}, [first, Step("replace", "/a/b", 2), Step("remove", "/a/b"), Step("add", "/a/c", None)])
    assert made == {"a": {"c": None}}
    assert first.value == {"b": 1}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, True, False),
        (0, False, False),
        (1, 1.0, False),
        (None, False, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, [2]], [1, [2]], True),
        ([1], [1, 2], False),
        ([], {}, False),
        ("", None, False),
        (2**70, 2**70, True),
    ],
)
def test_same(one: object, other: object, equal: bool) -> None:
    """Equal as JSON."""
    assert same(one, other) is equal
    assert same(other, one) is equal
