"""The Amber image shows what is in an object."""

from __future__ import annotations

from tests.e2e.amber.bed import COMPILE_ADD, COMPILE_INCREMENT, DEFINE_COUNTER, Image


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
