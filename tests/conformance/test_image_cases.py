"""Are the cases about images read strictly, and is every promise of an image in one of them?"""

import json
from typing import Any

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.testing.images.cases import Case, CaseError, Step, applies, load_cases, offered, parse_cases

CASES = load_cases()
WORDS = {"handles", "receiver_handle", "suspend", "transcript", "code_changed"}
"""Capabilities that are no command (IMAGES.md)."""


def one(**case: Any) -> str:  # noqa: ANN401 -- any JSON
    """The text of a file with one case."""
    whole = {"name": "c", "about": "", "capability": "evaluate", "steps": [{"ask": "ping", "result": {}}], **case}
    return json.dumps({"about": "", "cases": [whole]})


def test_cases_are_named_after_their_file_once() -> None:
    """Every name says where the case stands; every case says what it is about."""
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert all("/" in name for name in names)
    assert all(case.about and case.capability for case in CASES)


def test_every_capability_of_an_image_has_a_case() -> None:
    """What the daemon asks images, and the words that are no command, are each what some case is about or takes."""
    contract = load_contract()
    asked = {
        name
        for name, each in contract.commands.items()
        if ("image_id" in each.parameters and each.family == "development") or each.sender == "daemon"
    }
    tried = {word for case in CASES for word in (case.capability, *case.needs)}
    assert (asked | WORDS) - tried == set()


def test_every_case_that_makes_a_class_removes_it() -> None:
    """An image that went through the cases has no class more than before."""
    for case in CASES:
        made = [step.parameters["class_name"] for step in case.steps if step.ask == "define_class" and not step.error]
        removed = [step.parameters["class_name"] for step in case.last if step.ask == "remove_class"]
        assert set(made) <= set(removed), case.name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "c.json"),
        (one(stepz=[]), "stepz"),
        (one(steps=[]), "it has no steps"),
        (one(capability=""), "which `capability`"),
        (one(steps=[{"ask": "ping", "wait": "image"}]), "exactly one of"),
        (one(steps=[{"ask": "pong", "result": {}}]), "no command 'pong'"),
        (one(steps=[{"ask": "capture_context", "result": {}}]), "no command 'capture_context' for clients"),
        (one(steps=[{"ask": "ping", "result": {}, "error": "image_lost"}]), "either `result` or `error`"),
        (one(steps=[{"ask": "ping", "error": ["image_lost", "image_lots"]}]), "errors.json does not have all"),
        (one(steps=[{"answer": "a", "result": {}}]), "no step before asks `later` 'a'"),
        (one(steps=[{"ask": "ping", "later": "a", "tries": 2}]), "`tries` is for"),
        (one(steps=[{"ask": "ping", "later": "a", "result": {}}]), "are for answers"),
        (one(steps=[{"ask": "ping"}]), "nothing is expected"),
        (one(last=[{"wait": "image"}]), "only requests are sent there"),
    ],
)
def test_case_that_is_none_is_refused(text: str, told: str) -> None:
    """A case that says two things, nothing or the impossible is refused, with its name and why."""
    with pytest.raises(CaseError, match=told):
        parse_cases("c.json", text)


def test_offered_takes_all_that_a_case_needs() -> None:
    """One word that is missing is enough; an image that publishes nothing is asked everything."""
    case = Case(name="c", about="", capability="handles", needs=("evaluate",), steps=[])
    assert offered(case, ["evaluate", "handles", "inspect"])
    assert not offered(case, ["handles"])
    assert not offered(case, ["evaluate"])
    assert offered(case, [])
    without = Case(name="c", about="", capability="debug", unless=("suspend",), steps=[])
    assert offered(without, ["debug"])
    assert not offered(without, ["debug", "suspend"])


def test_applies_only_when_things_went_so() -> None:
    """A step with `when` is taken if its names have its values, and not while they stand for nothing."""
    step = Step(ask="ping", when={"outcome": "interrupted", "lost": False})
    assert applies(step, {"outcome": "interrupted", "lost": False})
    assert not applies(step, {"outcome": "interrupted", "lost": True})
    assert not applies(step, {"outcome": "interrupted"})
    assert applies(Step(ask="ping"), {})
