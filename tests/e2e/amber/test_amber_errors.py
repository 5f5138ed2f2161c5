"""What a client hears of errors in the Amber image, and where it finds them afterwards."""

from __future__ import annotations

import pytest

from tests.e2e.amber.bed import Image


def test_evaluate_parse_error_names_the_position(image: Image) -> None:
    """Code that cannot be parsed is an error with line and column of the code as it was sent."""
    error = image.error("3 +\n 4 )")
    assert error["class"] == "ParseError"
    assert "line 2 column 4" in error["message"]
    assert image.error("3 ] value. [ 4")["class"] == "ParseError"
    assert "unexpected end" in image.error("3 +")["message"]


def test_evaluate_error_describes_class_message_and_stack(image: Image) -> None:
    """A Smalltalk error comes with its class, its message and the frames down to the code."""
    error = image.error("#(1 2) do: [:each | each zork: 3]")
    assert (error["class"], error["message"]) == ("MessageNotUnderstood", "1 does not understand #zork:")
    assert error["signaler"] == "Number>>doesNotUnderstand:"
    assert [frame["index"] for frame in error["stack"]] == list(range(1, len(error["stack"]) + 1))
    assert [(frame["class"], frame["selector"]) for frame in error["stack"]] == [
        ("Number", "doesNotUnderstand:"),
        ("DoIt", "[] in doIt"),
        ("BlockClosure", "value:"),
        ("Array", "do:"),
        ("DoIt", "doIt"),
    ]
    assert error["stack"][3]["receiver"] == "an Array (1 2)"
    assert error["stack"][0]["line"] is None


def test_evaluate_infinite_recursion_survives(image: Image, session: str) -> None:
    """Endless recursion is an error with a bounded stack, and the image goes on."""
    image.value("Object subclass: #Endless slots: {} package: 'Demo'", session)
    image.value("Endless compile: 'down: n ^ (self down: n + 1) + 1'", session)
    error = image.error("Endless new down: 1", session)
    assert error["class"] == "RangeError"
    assert len(error["stack"]) == 50
    assert error["signaler"] == "Endless>>down:"
    assert image.value("3 + 4", session) == "7"


def test_evaluate_javascript_errors_are_reported(image: Image) -> None:
    """Native exceptions and thrown things that are no errors come back as errors."""
    assert image.error("JSON parse: '{'")["class"] == "SyntaxError"
    assert image.error("process on: 'x' do: 3")["class"] == "TypeError"
    assert image.error("Compiler new eval: 'throw \"stone\"'")["class"] == "JavaScriptException"


def test_evaluate_return_from_dead_method_is_reported(image: Image, session: str) -> None:
    """A return out of code that has ended is an error of its own class."""
    image.value("block := [:x | ^ x]. 1", session)
    assert image.error("block value: 3", session)["class"] == "NonLifoReturn"


def test_debug_stack_and_locals_of_last_error(image: Image, session: str) -> None:
    """After an error its stack and the variables of the frame that raised it can be asked for."""
    image.error("#(4) do: [:each | | twice | twice := each * 2. twice zork]", session)
    trace = image.result("debug", operation="GetStackTrace", session_id=session)
    assert trace["result"] == "ok"
    assert trace["debug_info"]["error"] == {
        "class": "MessageNotUnderstood",
        "message": "8 does not understand #zork",
    }
    assert trace["debug_info"]["stack"][0]["selector"] == "doesNotUnderstand:"
    variables = image.result("debug", operation="GetLocalVars", session_id=session)
    assert variables["debug_info"]["locals"] == {"self": "a DoIt", "each": "4", "twice": "8"}


def test_debug_without_error_is_object_not_found(image: Image, session: str) -> None:
    """A tool that had no error has no stack."""
    assert image.refusal("debug", operation="GetStackTrace", session_id=session)["code"] == "object_not_found"


@pytest.mark.parametrize(
    "operation",
    [
        *("StepInto", "StepOver", "StepOut", "RestartFrame", "ReturnValue", "Continue", "Terminate"),
        *("EvaluateInFrame", "GetSource", "RemoveBreakpoint"),
        {"SetBreakpoint": {"line": 1}},
    ],
)
def test_debug_of_a_process_is_unsupported(image: Image, operation: object) -> None:
    """What takes a suspended process is refused, naming the capability."""
    answer = image.refusal("debug", operation=operation)
    assert (answer["code"], answer["details"]["capability"]) == ("unsupported_operation", "suspend")
    assert "no processes" in answer["error"]


def test_debug_of_unknown_process_is_object_not_found(image: Image) -> None:
    """A process that the image does not have is told from the tool's last error."""
    answer = image.refusal("debug", operation="GetStackTrace", debugger_id="p-1")
    assert (answer["code"], answer["details"]) == ("object_not_found", {"debugger_id": "p-1"})


def test_evaluate_to_suspend_at_an_error_is_unsupported(image: Image) -> None:
    """Code that should be suspended at an error does not run at all."""
    answer = image.refusal("evaluate", code="nil foo", on_error="suspend")
    assert (answer["code"], answer["details"]["capability"]) == ("unsupported_operation", "suspend")
    assert image.evaluate("nil foo", on_error="report")["has_error"] is True
