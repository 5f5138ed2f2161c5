"""An error, written for a person."""

import msgspec

from stui_sessiond.commands.report import error_in, write_report
from stui_sessiond.ids import ImageId, InstanceId
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.wire.messages.development import DebugResult, EvaluateResult, SmalltalkError, StackFrame

ENTRY = RequestEntry(key="k", command="evaluate", digest="d", accepted_at=1_700_000_000.0, state="done")


def test_report_with_everything() -> None:
    """What, when, where, the code and the stack; a line of it is a line of the report."""
    entry = RequestEntry(
        key="k",
        command="evaluate",
        digest="d",
        accepted_at=1_700_000_000.0,
        finished_at=1_700_000_001.5,
        state="done",
        tool_id="workspace",
        image_id=ImageId("pharo"),
        instance_id=InstanceId("i-1"),
        code="| a |\na := 0.\n3 / a",
        code_cut=True,
    )
    frames = [StackFrame(1, "SmallInteger", "/", "3", 7), StackFrame(2, "UndefinedObject", "doIt")]
    error = SmalltalkError("ZeroDivide", "by zero", "SmallInteger>>/", frames, "abc.0.d")
    assert write_report(entry, error).splitlines() == [
        "ZeroDivide: by zero",
        "  when   2023-11-14T22:13:21.500Z",
        "  image  pharo, instance i-1",
        "  in     SmallInteger>>/",
        "  tool   workspace",
        "  debug  abc.0.d",
        "",
        "Code (its beginning):",
        "    | a |",
        "    a := 0.",
        "    3 / a",
        "",
        "Stack:",
        "    1 SmallInteger>>/ line 7   3",
        "    2 UndefinedObject>>doIt",
    ]


def test_report_with_little() -> None:
    """What is not known is left out."""
    assert write_report(ENTRY, SmalltalkError("Halt")).splitlines() == [
        "Halt",
        "  when   2023-11-14T22:13:20.000Z",
        "  image  unknown, instance unknown",
    ]


def test_report_of_an_image_that_means_harm() -> None:
    """Nothing in it moves a cursor, colours a terminal or forges a line of the stack."""
    evil = "\x1b[2J\u202e"
    frame = StackFrame(1, f"C{evil}\n  2 Fake>>frame", evil, evil)
    text = write_report(ENTRY, SmalltalkError(f"E\n{evil}", f"a\n{evil}", evil, [frame], evil))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("  2") for line in text.splitlines())


def test_error_in_what_is_kept() -> None:
    """Of `evaluate`, and of `debug` when a process met another one."""

    def kept(answer: object) -> str:
        return msgspec.json.encode(answer).decode()

    error = SmalltalkError("Halt", "x")
    raised = EvaluateResult(None, "Halt", 1, has_error=True, error=error)
    assert error_in(kept(raised), EvaluateResult) == error
    assert error_in(kept(EvaluateResult("7", "A", 1, has_error=False)), EvaluateResult) is None
    assert error_in(kept(DebugResult(None, {"error": {"class": "Halt", "message": "x"}})), DebugResult) == error
    assert error_in(kept(DebugResult(None, {"state": "finished"})), DebugResult) is None
    assert error_in(kept(DebugResult(None, {"error": "none as agreed"})), DebugResult) is None
