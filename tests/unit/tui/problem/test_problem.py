"""What is said of a failure: of every kind of it, and whatever an image made up."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.client import (
    CallFailedError,
    OfflineError,
    OutcomeUnknownError,
    QueueFullError,
)
from stui_sessiond.contract import load_contract
from stui_sessiond.tui.problem.filing import file_away
from stui_sessiond.tui.problem.place import place_of_error, position_in
from stui_sessiond.tui.problem.problem import (
    Problem,
    Severity,
    problem_of,
    problem_of_smalltalk,
    write_problem,
)
from stui_sessiond.wire.messages.development import SmalltalkError, StackFrame


def refused(code: str, **details: object) -> CallFailedError:
    """The error of a call that the daemon refused."""
    return CallFailedError("no", code=code, error_type="Error", retryable=False, details=details)


@pytest.mark.parametrize("code", sorted(load_contract().errors))
def test_every_code_says_what_to_do(code: str) -> None:
    """A refusal is told with its code and what the contract says that helps."""
    problem = problem_of(refused(code, field="x", n=3))
    assert (problem.code, problem.suggestion) == (code, load_contract().errors[code].help)
    assert problem.details == ("field: x", "n: 3")


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (OfflineError("no connection"), Severity.WARNING),
        (OutcomeUnknownError("lost", command="evaluate", idempotency_key="k"), Severity.WARNING),
        (QueueFullError("full"), Severity.WARNING),
        (PermissionError("no"), Severity.WARNING),
        (ValueError("what"), Severity.ERROR),
    ],
)
def test_other_failures_say_what_to_do(error: Exception, severity: Severity) -> None:
    """Whatever else is raised is told with a suggestion, too; a mistake of ours with where it was made."""
    problem = problem_of(error)
    assert problem.severity is severity
    assert problem.suggestion
    assert bool(problem.stack) is isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("error", "code", "place"),
    [
        (SmalltalkError("ParseError", "Parse error on line 2 column 3: unexpected end"), "x := 3.\n1 + ", (1, 2)),
        (SmalltalkError("UnknownVariableError", "Unknown variable: foo is not defined"), "'foo' size.\n a foo", (1, 3)),
        (SmalltalkError("MessageNotUnderstood", "nil does not understand #at:put:"), "nil at: 3 put: 4", (0, 4)),
        (SmalltalkError("Error", "x", stack=[StackFrame(1, "A", "b"), StackFrame(2, "D", "doIt", line=2)]), "1.\n  2",
         (1, 2)),
    ],
)  # fmt: skip
def test_place_is_found_in_the_code(error: SmalltalkError, code: str, place: tuple[int, int]) -> None:
    """The place is the one that the error names, or where its words are, outside of strings."""
    found = place_of_error(error, code)
    assert found is not None
    assert (found.row, found.column) == place


def test_position_of_compiler_is_counted_from_one() -> None:
    """The position in a `compile_error` is a character of the source, from 1; beyond it, the end."""
    found = problem_of(refused("compile_error", position=5, line=2), "a\nb c").place
    assert found is not None
    assert (found.row, found.column) == (1, 2)
    assert found.excerpt() == ["   1 a", "   2 b c", "       ^ here"]
    end = position_in("ab", 99)
    assert end is not None
    assert end.column == 2
    assert position_in("ab", None, 7) is None


def test_waiting_process_is_offered() -> None:
    """An error at which a process waits says so."""
    error = SmalltalkError("ZeroDivide", "division", stack=[StackFrame(1, "Number", "/", "3")], debugger_id="d")
    problem = problem_of_smalltalk(error, "3 / 0", "e-1")
    assert (problem.debugger_id, problem.evaluation, problem.stack) == ("d", "e-1", ("  1 Number>>/  3",))
    assert "debugger" in problem.suggestion
    assert problem.line == "ZeroDivide: division"


@given(st.text(max_size=50), st.text(max_size=80), st.text(max_size=50), st.text(max_size=40))
def test_nothing_made_up_reaches_a_terminal(name: str, message: str, receiver: str, code: str) -> None:
    """Whatever an image says, each line of the text is printable, so that a terminal obeys none."""
    error = SmalltalkError(name, message, name, [StackFrame(1, name, message, receiver, 1)])
    problem = problem_of_smalltalk(error, code)
    assert all(line.isprintable() for line in write_problem(problem).split("\n"))
    assert problem.line.isprintable()


@given(st.text(max_size=60), st.text(max_size=40))
def test_any_message_has_a_place_in_the_code_or_none(message: str, code: str) -> None:
    """A place is always one of the code."""
    for text in (message, f"line {len(message)} column {len(code)}: {message}"):
        found = place_of_error(SmalltalkError("Error", text), code)
        if found is not None:
            assert 0 <= found.column <= len(code.split("\n")[found.row])


def test_failures_are_filed_for_their_owner(tmp_path: Path) -> None:
    """Each failure gets a file of its own, which nobody else reads."""
    now = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    problem = Problem("Image ../gone", "it went", suggestion="start it")
    paths = [file_away(problem, tmp_path / "new", now) for _ in range(2)]
    assert [path.name for path in paths] == ["20261130-120000-Image-gone.txt", "20261130-120000-Image-gone-2.txt"]
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o600
    assert paths[0].read_text() == write_problem(problem, "2026-11-30T12:00:00Z")
