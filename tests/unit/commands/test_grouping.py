"""Images that gave the same answer are in one group."""

from typing import Any

from stui_sessiond.commands.grouping import SHOWN_CHARS, group
from stui_sessiond.errors import ImageTimeoutError, ImageUnavailableError
from stui_sessiond.wire.messages.development import EvaluateResult, SmalltalkError, StackFrame


def value(result: Any, result_type: str = "SmallInteger", time: float = 1) -> EvaluateResult:  # noqa: ANN401 -- any JSON
    """Make a value."""
    return EvaluateResult(result, result_type, time, has_error=False)


def error(class_: str, message: str, line: int) -> EvaluateResult:
    """Make an error that code raised."""
    told = SmalltalkError(class_, message, stack=[StackFrame(1, line=line)], debugger_id="d-1")
    return EvaluateResult(None, class_, 1, has_error=True, error=told)


def test_largest_group_comes_first() -> None:
    """Then the one with the first name; the time it took does not count."""
    groups = group({"d": value("7"), "c": value("8"), "b": value("7", time=9), "a": value("9")})
    assert [(one.image_ids, one.kind, one.result) for one in groups] == [
        (["b", "d"], "value", "7"),
        (["a"], "value", "9"),
        (["c"], "value", "8"),
    ]


def test_values_of_other_classes_are_other_values() -> None:
    """And so are values of another JSON type."""
    groups = group({"a": value("7"), "b": value("7", "ByteString"), "c": value(7), "d": value(7.0)})
    assert [one.image_ids for one in groups] == [["a"], ["b"], ["c"], ["d"]]


def test_errors_are_equal_by_class_and_message() -> None:
    """Where they were met is not shown, nor is a process that none of the clients can reach."""
    groups = group({"a": error("ZeroDivide", "x", 1), "b": error("ZeroDivide", "x", 2), "c": error("Halt", "x", 1)})
    assert [one.image_ids for one in groups] == [["a", "b"], ["c"]]
    assert (groups[0].kind, groups[0].result_type, groups[0].error) == (
        "error",
        "ZeroDivide",
        SmalltalkError("ZeroDivide", "x"),
    )


def test_error_that_the_image_does_not_describe() -> None:
    """Its class is what is known of it."""
    (one,) = group({"a": EvaluateResult(None, None, 1, has_error=True)})
    assert (one.kind, one.error) == ("error", SmalltalkError("Error"))


def test_failures_are_equal_by_code() -> None:
    """The texts name the images, so they differ; one of them is told."""
    groups = group({"b": ImageTimeoutError("b"), "a": ImageTimeoutError("a"), "c": ImageUnavailableError("c")})
    assert [(one.image_ids, one.kind, one.code, one.message) for one in groups] == [
        (["a", "b"], "failed", "image_timeout", "a"),
        (["c"], "failed", "image_unavailable", "c"),
    ]


def test_long_results_are_cut_after_they_were_compared() -> None:
    """They differ in what is not shown."""
    long = "x" * SHOWN_CHARS
    groups = group({"a": value(f"{long}a"), "b": value(f"{long}b"), "c": value(long), "d": value([long])})
    assert [one.image_ids for one in groups] == [["a"], ["b"], ["c"], ["d"]]
    assert [one.truncated is True for one in groups] == [True, True, False, True]
    assert groups[0].result == groups[1].result == groups[2].result == long
    assert groups[3].result == f'["{long}'[:SHOWN_CHARS]
