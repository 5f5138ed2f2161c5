"""The Amber image evaluates code and keeps the variables of each tool."""

from __future__ import annotations

import pytest

from tests.e2e.amber.bed import COMPILE_INCREMENT, DEFINE_COUNTER, Image


def test_evaluate_reply_has_all_fields(image: Image) -> None:
    """A result comes with its type, its time and no error."""
    reply = image.evaluate("3 + 4")
    assert reply.pop("execution_time") >= 0
    assert reply == {"result": "7", "result_type": "Number", "has_error": False}


def test_evaluate_display_mode_adds_display_string(image: Image) -> None:
    """Display mode shows strings without quotes beside the printed form."""
    reply = image.evaluate("'it''s'", evaluation_mode="Display")
    assert (reply["result"], reply["display"]) == ("'it''s'", "it's")


def test_evaluate_empty_code_is_nil(image: Image) -> None:
    """Nothing, or only a comment, has the value nil."""
    assert [image.value(code) for code in ("", '"nothing"', "  \r\n ")] == ["nil"] * 3


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("nil", None),
        ("true", True),
        ("3.5", 3.5),
        ("'text'", "text"),
        ("{1. {'a'. nil}. false}", [1, ["a", None], False]),
        ("#{'a' -> {1}}", {"a": [1]}),
        ("1 / 0", "Infinity"),
        ("{1 / 0}", "an Array (Infinity)"),
        ("Object new", "an Object"),
        ("Dictionary new at: 3 put: 4; yourself", "a Dictionary (3 -> 4)"),
        ("| z | z := {1}. 25 timesRepeat: [z := {z}]. z", "an Array (" * 26 + "1" + ")" * 26),
    ],
)
def test_evaluate_without_return_string_gives_json(image: Image, code: str, expected: object) -> None:
    """What JSON can say comes as JSON when no string is asked for, all else printed."""
    reply = image.evaluate(code, return_string=False)
    assert reply["result"] == expected
    assert type(reply["result"]) is type(expected)


def test_evaluate_lone_surrogate_becomes_replacement_character(image: Image) -> None:
    """Half a character never reaches the wire, a whole one does."""
    assert image.value("String fromCharCode: 55357") == "'\ufffd'"
    assert image.value("'\U0001f600 caf\u00e9'") == "'\U0001f600 caf\u00e9'"
    assert image.value("'\\ud800'") == "'\\ud800'"


def test_evaluate_variables_persist_between_evaluations(image: Image, session: str) -> None:
    """Variables made one by one keep their values while more are added."""
    for code in ("a := 1", "b := 2", "c := 3"):
        image.value(code, session)
    assert image.value("a + b + c", session) == "6"
    assert image.value("a := a + 10. a", session) == "11"


def test_evaluate_variables_of_two_tools_are_isolated(image: Image, session: str) -> None:
    """Two tools of a session, and no session at all, have variables of their own."""
    image.value("shared := 1", session, "workspace-1")
    image.value("shared := 2", session, "workspace-2")
    image.value("shared := 3")
    assert image.value("shared", session, "workspace-1") == "1"
    assert image.value("shared", session, "workspace-2") == "2"
    assert image.value("shared") == "3"


def test_evaluate_temporaries_may_shadow_variables(image: Image, session: str) -> None:
    """Temporaries and block arguments work as usual and leave a variable of the same name alone."""
    image.value("each := 5", session)
    assert image.value("| each | each := 9. each", session) == "9"
    assert image.value("#(1 2) collect: [:each | each * 2]", session) == "an Array (2 4)"
    assert image.value("each", session) == "5"


@pytest.mark.parametrize("name", ["neverAssigned", "NoSuchClass"])
def test_evaluate_unknown_name_is_an_error_naming_it(image: Image, session: str, name: str) -> None:
    """Reading a name nobody assigned is an error and does not create the variable."""
    for _ in range(2):
        error = image.error(f"3 + {name}", session)
        assert error["class"] == "UnknownVariableError"
        assert name in error["message"]


def test_evaluate_failed_compilation_creates_no_variable(image: Image, session: str) -> None:
    """Code that could not be compiled leaves no variable behind."""
    image.error("fresh := missing", session)
    assert image.error("fresh", session)["class"] == "UnknownVariableError"


def test_evaluate_method_returns_value_of_caret(image: Image) -> None:
    """A return ends the code with that value."""
    assert image.value("3. ^ 5") == "5"
    assert image.value("#(1 2 3) do: [:e | e = 2 ifTrue: [^ e * 10]]. 0") == "20"


def test_evaluate_with_receiver_uses_it_as_self(image: Image, session: str) -> None:
    """A receiver expression in the context becomes self, with its slots in reach."""
    image.value(DEFINE_COUNTER, session)
    image.value(COMPILE_INCREMENT, session)
    image.value("counter := Counter new", session)
    reply = image.evaluate("self increment. count := count + 5", session, context={"receiver": "counter"})
    assert reply["result"] == "6"


def test_evaluate_big_result_is_cut(image: Image) -> None:
    """A huge printed form is cut at its bound and marked; an endless one is survived."""
    reply = image.evaluate("1 to: 100000")
    assert reply["truncated"] is True
    assert len(reply["result"]) == 100_000
    assert reply["result"].endswith("...")
    cyclic = image.evaluate("| loop | loop := {1}. loop at: 1 put: loop. loop")
    assert cyclic["has_error"] is False
    assert cyclic["result"].startswith("an Array (")


def test_evaluate_failing_print_string_is_survived(image: Image, session: str) -> None:
    """An object that cannot print itself is shown as such."""
    image.value("Object subclass: #Shy slots: {} package: 'Demo'", session)
    image.value("Shy compile: 'printOn: aStream self error: ''not now'''", session)
    assert image.value("Shy new", session) == "a Shy (printString failed: not now)"
