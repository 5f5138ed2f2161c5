"""The Amber image shows what is in an object."""

from __future__ import annotations

import pytest

from tests.e2e.amber.bed import COMPILE_ADD, COMPILE_INCREMENT, DEFINE_COUNTER, Image, Json


def test_inspect_instance_shows_slots_and_methods(image: Image, session: str) -> None:
    """An instance shows its class, its slots and the selectors of its class."""
    for code in (DEFINE_COUNTER, COMPILE_INCREMENT, COMPILE_ADD, "c := Counter new. c increment; increment"):
        image.value(code, session)
    shown = image.result("inspect", target="c", session_id=session, include_private=True)
    info = shown["object_info"]
    assert (info["class_name"], info["string_representation"], info["size"]) == ("Counter", "a Counter", None)
    assert isinstance(info["hash"], int)
    assert info["hash"] == image.result("inspect", target="c", session_id=session)["object_info"]["hash"]
    assert shown["instance_vars"] == {"count": {"class_name": "Number", "string_representation": "2"}}
    assert shown["methods"] == ["add:to:", "increment"]


def test_inspect_private_methods_need_to_be_asked_for(image: Image) -> None:
    """Methods of private protocols are listed only with include_private."""
    public = image.result("inspect", target="ForkPool new")["methods"]
    everything = image.result("inspect", target="ForkPool new", include_private=True)["methods"]
    assert set(everything) - set(public) == {"addWorker"}


def test_inspect_collections_list_their_elements(image: Image) -> None:
    """Arrays list elements by number up to 100, dictionaries by printed key, nested to the depth."""
    shown = image.result("inspect", target="{1. #(8 9)}", depth=2)
    assert shown["object_info"]["size"] == 2
    assert shown["instance_vars"]["2"]["instance_vars"]["1"]["string_representation"] == "8"
    assert "instance_vars" not in shown["instance_vars"]["2"]["instance_vars"]["1"]
    assert len(image.result("inspect", target="1 to: 500")["instance_vars"]) == 100
    pairs = image.result("inspect", target="Dictionary new at: #a put: 3; yourself")["instance_vars"]
    assert pairs["'a'"] == {"class_name": "Number", "string_representation": "3"}


def test_inspect_cycle_is_marked(image: Image) -> None:
    """An object that contains itself is shown once and marked below."""
    shown = image.result("inspect", target="| loop | loop := {1. 2}. loop at: 1 put: loop. loop", depth=5)
    assert shown["instance_vars"]["1"]["cycle"] is True
    assert "instance_vars" not in shown["instance_vars"]["1"]


def test_inspect_failing_target_is_an_evaluation_error(image: Image) -> None:
    """A target that raises is refused with the description of the error."""
    answer = image.refusal("inspect", target="nil foo")
    assert answer["code"] == "evaluation_error"
    assert answer["details"]["error"]["class"] == "MessageNotUnderstood"


def test_inspect_pages_through_elements(image: Image, session: str) -> None:
    """Elements come in pages of the wanted size; named variables only with the first."""
    image.value("Object subclass: #Pile slots: {} package: 'Demo'. many := (1 to: 250) asArray", session)
    first = image.result("inspect", target="many", session_id=session)
    assert (len(first["instance_vars"]), first["elements_total"], first["more"]) == (100, 250, True)
    page = image.result("inspect", target="many", start=240, count=5, session_id=session)
    assert [*page["instance_vars"]] == ["241", "242", "243", "244", "245"]
    assert (page["instance_vars"]["241"]["string_representation"], page["more"]) == ("241", True)
    last = image.result("inspect", target="many", start=245, count=1000, session_id=session)
    assert ([*last["instance_vars"]], last["more"]) == (["246", "247", "248", "249", "250"], False)
    beyond = image.result("inspect", target="many", start=1000, session_id=session)
    assert (beyond["instance_vars"], beyond["elements_total"], beyond["more"]) == ({}, 250, False)
    keys = image.result("inspect", target="#{'a' -> 1. 'b' -> 2. 'c' -> 3}", start=1, count=1)
    assert ([*keys["instance_vars"]], keys["elements_total"], keys["more"]) == (["'b'"], 3, True)
    ordered = image.result("inspect", target="Set withAll: #(5 6 7)", start=2, count=1)
    assert ([*ordered["instance_vars"]], ordered["more"]) == (["3"], False)


def test_inspect_named_variables_come_with_the_first_page_only(image: Image) -> None:
    """An object with variables and elements shows the variables where the elements begin."""
    first = image.result("inspect", target="Queue new nextPut: 3; yourself")
    assert {"read", "write"} <= set(first["instance_vars"])
    assert "elements_total" not in first
    named = image.result("inspect", target="Dictionary new at: 1 put: 2; yourself")
    assert {"1", "keys", "values"} <= set(named["instance_vars"])
    later = image.result("inspect", target="Dictionary new at: 1 put: 2; at: 3 put: 4; yourself", start=1)
    assert [*later["instance_vars"]] == ["3"]


def test_inspect_depth_0_shows_no_parts(image: Image) -> None:
    """Without depth only the object itself is shown, and how many elements it has."""
    shown = image.result("inspect", target="#(1 2)", depth=0)
    assert (shown["instance_vars"], shown["elements_total"]) == ({}, 2)


def test_inspect_shows_each_level_before_the_next(image: Image) -> None:
    """What is too much is left out at the deepest level, and said."""
    shown = image.result("inspect", target="(1 to: 900) collect: [:n | {n. n. n}]", depth=2, count=900)
    assert len(shown["instance_vars"]) == 900
    assert (shown["more"], shown["truncated"]) == (False, True)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ([], "a Counter"),
        (["count"], "an Array (8 a Dictionary ('a' -> 9))"),
        (["count", "1"], "8"),
        (["count", "2", "'a'"], "9"),
    ],
)
def test_inspect_follows_a_path(image: Image, session: str, path: list[str], shown: str) -> None:
    """Each name leads to a part, as the object above shows it."""
    image.value(DEFINE_COUNTER, session)
    image.value("Counter compile: 'count: n count := n'", session)
    image.value("c := Counter new count: {8. Dictionary new at: 'a' put: 9; yourself}; yourself", session)
    found = image.result("inspect", target="c", path=path, session_id=session)
    assert found["object_info"]["string_representation"] == shown


def test_inspect_path_that_leads_nowhere_tells_how_far_it_came(image: Image) -> None:
    """The part that was found is named."""
    for path, found in ((["2", "3"], ["2"]), (["9"], []), (["1", "x"], ["1"])):
        answer = image.refusal("inspect", target="{7. #(8)}", path=path)
        assert (answer["code"], answer["details"]) == ("object_not_found", {"path": found})


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"target": "3", "count": 0}, "count"),
        ({"target": "3", "count": 1001}, "count"),
        ({"target": "3", "start": -1}, "start"),
        ({"target": "3", "path": "x"}, "path"),
        ({"target": "3", "path": [1]}, "path"),
        ({"target": "3", "keep": 1}, "keep"),
        ({"target": "3", "handle": "h"}, "handle"),
        ({"handle": 3}, "handle"),
    ],
)
def test_inspect_bad_parameter_is_named(image: Image, parameters: Json, field: str) -> None:
    """A parameter of the wrong kind or size is refused with its name."""
    answer = image.refusal("inspect", **parameters)
    assert (answer["code"], answer["details"]) == ("invalid_parameters", {"field": field})
