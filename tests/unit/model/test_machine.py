"""What is accepted as a state machine, and where the others are wrong."""

import copy
import json
from typing import Any

import pytest

from stui_sessiond.errors import MachineInvalidError
from stui_sessiond.model.machine import MAX_BYTES, Who
from stui_sessiond.sessions.shared_state import declared, written_down
from stui_sessiond.sessions.state_schema import StateSchema

MACHINE: dict[str, Any] = {
    "format": 1,
    "name": "light",
    "schema": {"type": "object", "properties": {"s": {"enum": ["red", "green"]}, "n": {"type": "integer"}}},
    "initial": {"s": "red", "n": 0},
    "status": "/s",
    "roles": {"guard": {"clients": ["g"], "tokens": ["t"], "shares": ["owner"]}},
    "transitions": [
        {"name": "go", "from": "red", "to": "green", "who": ["guard"], "may_change": ["/n"], "guard": {"==": [1, 1]}},
        {"name": "stop", "from": ["green"], "to": ["red"], "may_change": []},
    ],
    "views": [{"name": "g", "roles": ["guard"], "hide": []}, {"name": "all", "show": ["/s"]}],
    "revert": ["guard"],
}


def with_change(place: str, value: object) -> dict[str, Any]:
    """The machine with another value at a place; Ellipsis takes it away."""
    found = copy.deepcopy(MACHINE)
    *way, last = place.split("/")[1:]
    node: Any = found
    for part in way:
        node = node[int(part) if isinstance(node, list) else part]
    key: Any = int(last) if isinstance(node, list) else last
    if value is ...:
        del node[key]
    else:
        node[key] = value
    return found


@pytest.mark.parametrize(
    ("changed", "value", "place"),
    [
        ("/format", 2, "/format"),
        ("/schema", ..., ""),
        ("/gaurd", 1, ""),
        ("/transitions/0/gaurd", 1, "/transitions/0"),
        ("/transitions", [], "/transitions"),
        ("/transitions/1/name", "go", "/transitions/1/name"),
        ("/transitions/1/name", "a\nb", "/transitions/1/name"),
        ("/transitions/0/who", ["nobody"], "/transitions/0/who/0"),
        ("/transitions/0/guard", {"===": [1, 1]}, "/transitions/0/guard"),
        ("/transitions/0/guard", {"and": [{"x": 1}]}, "/transitions/0/guard/and/0"),
        ("/transitions/0/may_change", ["n"], "/transitions/0/may_change/0"),
        ("/transitions/0/from", [], "/transitions/0/from"),
        ("/status", ..., "/transitions/0"),
        ("/status", "", "/status"),
        ("/status", "/*", "/status"),
        ("/status", "/n", "/initial"),
        ("/views/0/show", [], "/views/0"),
        ("/views/1/show", ..., "/views/1"),
        ("/views/1/name", "g", "/views/1/name"),
        ("/views/0/roles", ["x"], "/views/0/roles/0"),
        ("/revert", ["x"], "/revert/0"),
        ("/initial/n", "x", "/initial/n"),
        ("/schema/type", "strin", "/schema/type"),
        ("/schema/properties/n/minimun", 1, "/schema/properties/n/minimun"),
        ("/schema/$ref", "file:///etc/passwd", "/schema/$ref"),
        ("/schema/$ref", "http://example.org/x", "/schema/$ref"),
        ("/schema/$ref", "#", "/schema/$ref"),
        ("/schema/$ref", "#/$defs/x", "/schema/$ref"),
        ("/schema/$dynamicRef", "#x", "/schema/$dynamicRef"),
        ("/schema/$schema", "http://json-schema.org/draft-07/schema#", "/schema/$schema"),
        ("/schema/properties/s/pattern", "(?=a)", "/schema/properties/s/pattern"),
        ("/schema/properties/s/pattern", "(a{999}){999}", "/schema/properties/s/pattern"),
    ],
)
def test_declaration_that_is_wrong(changed: str, value: object, place: str) -> None:
    """The error names the place and the reason."""
    with pytest.raises(MachineInvalidError) as refused:
        declared(written_down(with_change(changed, value)))
    assert refused.value.details["place"] == place
    assert refused.value.details["reason"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}},
        {"$defs": {"a": {"properties": {"x": {"$ref": "#/$defs/a"}}}}},
        {
            "$ref": "#/$defs/d0",
            "$defs": {
                **{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 4} for n in range(8)},
                "d8": {"type": "object"},
            },
        },
    ],
)
def test_schema_whose_work_has_no_bound(schema: dict[str, Any]) -> None:
    """Circles, and references that multiply, are refused before anything is compiled."""
    with pytest.raises(MachineInvalidError, match=r"circle|values"):
        declared(written_down(with_change("/schema", schema)))


def test_machine_that_is_too_large() -> None:
    """It is measured before it is read."""
    with pytest.raises(MachineInvalidError, match=str(MAX_BYTES)):
        declared(written_down(with_change("/doc", "x" * MAX_BYTES)))


def test_roles_views_and_what_is_allowed() -> None:
    """Any way to have a role is enough; the first view that fits is taken."""
    machine = declared(json.dumps(MACHINE)).machine
    for who in (Who("g", "viewer", None), Who(None, "none", "t"), Who("x", "owner", None)):
        roles = machine.roles_of(who)
        assert roles == ["guard"]
        assert machine.view_of(who, roles) is None
        assert machine.allowed({"s": "red"}, who, roles) == ["go"]
    stranger = Who("x", "viewer", "u")
    view = machine.view_of(stranger, machine.roles_of(stranger))
    assert view is not None
    assert view.of({"s": "red", "n": 1}) == {"s": "red"}
    assert machine.allowed({"s": "green"}, stranger, []) == []
    assert machine.allowed({"s": "green"}, Who("x", "editor", None), []) == ["stop"]


def test_who_has_no_view_sees_nothing_unless_he_owns_it() -> None:
    """A list of views without one for all is no oversight that shows everything."""
    machine = declared(written_down(with_change("/views/1", ...))).machine
    nothing = machine.view_of(Who("x", "editor", None), [])
    assert nothing is not None
    assert nothing.of({"s": "red"}) == {}
    assert machine.view_of(Who("o", "owner", None), []) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": list(range(2000))},
        {"$defs": {"d": {"const": {"a": [0] * 500}}}, "properties": {f"p{n}": {"$ref": "#/$defs/d"} for n in range(4)}},
        {"properties": {f"p{n}": {"pattern": "a"} for n in range(33)}},
        {"patternProperties": {f"a{n}": {} for n in range(33)}},
        {"oneOf": [{"unevaluatedProperties": False}]},
        {"unevaluatedItems": False},
    ],
)
def test_schema_that_asks_too_much(schema: dict[str, Any]) -> None:
    """Values are counted wherever they are, regular expressions too; what grows without bound is not taken at all."""
    with pytest.raises(MachineInvalidError, match=r"2000 values|32 regular|not taken"):
        declared(written_down(with_change("/schema", schema)))


@pytest.mark.parametrize(
    ("schema", "state", "place", "keyword"),
    [
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, {"a": 1}, ("a",), "anyOf"),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1}, (), "oneOf"),
        ({"$ref": "#/$defs/d", "$defs": {"d": {"oneOf": [False], "anyOf": [True]}}}, {}, (), "oneOf"),
        ({"anyOf": [{"not": {"anyOf": [True]}}]}, {}, (), "anyOf"),
        ({"allOf": [{"anyOf": [True]}, {"items": True}], "anyOf": [False]}, {}, (), "anyOf"),
        ({"properties": {"else": {"maximum": 1}, "if": {"anyOf": [True]}}}, {"else": 2}, ("else",), "maximum"),
        ({"properties": {"else": False, "if": {"anyOf": [True]}}}, {"else": 2}, ("else",), "falseSchema"),
        ({"if": True, "else": False, "then": {"minProperties": 1}}, {}, (), "minProperties"),
        ({"properties": {"a": {"items": {"type": "integer"}}}}, {"a": [1, 2, "x", "y"]}, ("a", "2"), "type"),
    ],
)
def test_first_fault_is_located(
    schema: dict[str, Any], state: dict[str, Any], place: tuple[str, ...], keyword: str
) -> None:
    """Alternatives that all fail are one fault, where they are."""
    assert StateSchema(schema).fault(state) == (place, keyword)


def test_fault_of_many_alternatives_is_found_without_trying_to_tell_all() -> None:
    """A list of what each of 1,900 alternatives says of each of 10,000 numbers would fill the memory."""
    schema = StateSchema({"properties": {"l": {"items": {"anyOf": [{"minimum": n} for n in range(1, 900)]}}}})
    assert schema.fault({"l": [0] * 10_000}) == (("l", "0"), "anyOf")


def test_state_is_the_smaller_the_more_is_asked_of_it() -> None:
    """Values of the schema and pointers of views count; a machine whose own initial state is too large is refused."""
    plain = declared(written_down(with_change("/views", []))).max_state_bytes
    viewed = declared(written_down(with_change("/views/1/show", [f"/p{n}" for n in range(64)]))).max_state_bytes
    assert viewed < plain // 10
    with pytest.raises(MachineInvalidError) as refused:
        declared(written_down(with_change("/initial/x", "x" * 5000) | large_views()))
    assert refused.value.details["place"] == "/initial"


def large_views() -> dict[str, Any]:
    """Views with as many pointers as there may be."""
    return {"views": [{"name": f"v{n}", "show": [f"/p{m}" for m in range(64)]} for n in range(16)]}
