"""What is there to say of a failure, whatever it was: refused, offline, or an error in Smalltalk? Pure.

One shape for all of them, so that one screen shows them, one text tells them, and one key copies it.
"""

import traceback
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from stui_sessiond.client import (
    CallFailedError,
    ConflictError,
    ConnectionFailedError,
    OfflineError,
    OutcomeUnknownError,
    QueueFullError,
)
from stui_sessiond.contract import load_contract
from stui_sessiond.printable import printable
from stui_sessiond.tui.problem.place import SourcePlace, place_of_error, position_in
from stui_sessiond.wire.messages.development import SmalltalkError, StackFrame

MAX_MESSAGE_CHARS = 4_000
"""Of a message: more is no message, but data in one."""
MAX_DETAIL_CHARS = 1_000
"""Of one of the details."""


class Severity(StrEnum):
    """How bad it is: always said in a word, never by colour alone."""

    ERROR = "error"
    WARNING = "warning"
    """Nothing is lost; trying again may work."""
    NOTE = "note"


class Problem(msgspec.Struct, frozen=True):
    """A failure, for people. Everything in it may be shown as it is: nothing in it is obeyed by a terminal."""

    title: str
    message: str
    severity: Severity = Severity.ERROR
    suggestion: str = ""
    code: str | None = None
    """The error code of the protocol, if the daemon gave one."""
    place: SourcePlace | None = None
    stack: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    debugger_id: str | None = None
    """The process that waits at the error."""
    evaluation: str | None = None
    """Whose error it is: `get_error_report` has it still later."""

    @property
    def line(self) -> str:
        """All of it in one line, for a status bar."""
        first = self.message.split("\n")[0]
        where = "" if self.place is None else f" (line {self.place.row + 1}, column {self.place.column + 1})"
        return f"{self.title}: {first}{where}" if first else f"{self.title}{where}"


_SUGGESTIONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("ParseError", "SyntaxError", "SyntaxErrorNotification", "CompilationError"),
        "The code does not compile, and nothing was run. Correct it at the mark.",
    ),
    (
        ("UnknownVariableError", "UndeclaredVariable", "OCUndeclaredVariableWarning"),
        "Nobody has assigned this name here: each tool has its own variables. Assign it (name := ...), or correct it.",
    ),
    (
        ("MessageNotUnderstood",),
        "The receiver has no such method. Check the spelling; if the receiver is nil, find out why it is.",
    ),
    (("ZeroDivide",), "Something was divided by zero. Look at the receiver and the argument in the stack."),
    (("SubscriptOutOfBounds",), "The index is outside of the collection. Compare it with `size`."),
    (("KeyNotFound",), "The key is not there. `at:ifAbsent:` says what to do without it."),
    (("Interrupted",), "It was stopped by request. What it had done until then is done."),
    (("Halt",), "The code asked to stop here."),
)


def problem_of_smalltalk(error: SmalltalkError, code: str | None = None, evaluation: str | None = None) -> Problem:
    """Tell of an error that Smalltalk code raised, with its place in the code if it can be found."""
    suggestion = next((text for classes, text in _SUGGESTIONS if error.class_ in classes), "")
    if error.debugger_id is not None:
        suggestion = f"{suggestion} Its process waits: open the debugger to look, step and go on.".strip()
    details = () if error.signaler is None else (f"signalled in {printable(error.signaler)}",)
    return Problem(
        title=printable(error.class_, MAX_DETAIL_CHARS),
        message=shown(error.message or ""),
        severity=Severity.NOTE if error.class_ in {"Interrupted", "Halt"} else Severity.ERROR,
        suggestion=suggestion,
        place=None if code is None else place_of_error(error, code),
        stack=stack_lines(error.stack),
        details=details,
        debugger_id=error.debugger_id,
        evaluation=evaluation,
    )


_WAITS: tuple[tuple[type[Exception], str, str], ...] = (
    (
        OfflineError,
        "Offline",
        "It was not sent, so nothing happened. It can be done again when the connection is back.",
    ),
    (
        OutcomeUnknownError,
        "Outcome unknown",
        "It may have been carried out. Look at the evaluations, or at the present state, before you repeat it.",
    ),
    (QueueFullError, "Too much waits", "It was not taken. Wait until what was asked before is done."),
    (OSError, "File", "Check that the folder is there and may be written to."),
)


def problem_of(error: BaseException, code: str | None = None) -> Problem:
    """Tell of whatever a call raised.

    Args:
        error: the exception.
        code: the source that was sent, to find the place that the error names.
    """
    if isinstance(error, CallFailedError):
        return _of_call(error, code)
    if isinstance(error, ConnectionFailedError):
        return Problem("No connection", shown(str(error)), suggestion=shown(error.advice))
    for kind, title, advice in _WAITS:
        if isinstance(error, kind):
            return Problem(title, shown(str(error)), Severity.WARNING, advice)
    lines = tuple(printable(line) for part in traceback.format_exception(error) for line in part.splitlines())
    advice = "This is a mistake in stui itself. File it away, and report it with what you did before."
    return Problem(f"Unexpected: {type(error).__name__}", shown(str(error)), suggestion=advice, stack=lines)


def _of_call(error: CallFailedError, code: str | None) -> Problem:
    told = load_contract().errors.get(error.code)
    suggestion = told.help if told is not None else ""
    found = None
    if error.code == "compile_error" and code is not None:
        found = position_in(code, _number(error.details.get("position")), _number(error.details.get("line")))
    if isinstance(error, ConflictError):
        suggestion = "Look at both, and decide which to keep."
    return Problem(
        title=error.code.replace("_", " ").capitalize(),
        message=shown(error.message),
        severity=Severity.WARNING if error.retryable else Severity.ERROR,
        suggestion=suggestion,
        code=error.code,
        place=found,
        details=_details(error.details),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _details(details: Mapping[str, object]) -> tuple[str, ...]:
    written = ((name, value if isinstance(value, str) else _json(value)) for name, value in details.items())
    return tuple(f"{printable(name)}: {printable(value, MAX_DETAIL_CHARS)}" for name, value in written)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def stack_lines(stack: Sequence[StackFrame]) -> tuple[str, ...]:
    """Write a Smalltalk stack, the newest frame first."""
    return tuple(frame_line(frame) for frame in stack)


def frame_line(frame: StackFrame) -> str:
    """Write a frame: number, method, line, and the receiver where it says more than its class."""
    where = f"{printable(frame.class_ or '?')}>>{printable(frame.selector or '?')}"
    line = "" if frame.line is None else f":{frame.line}"
    receiver = "" if frame.receiver is None else f"  {printable(frame.receiver, 120)}"
    return f"{frame.index:3} {where}{line}{receiver}"


def shown(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Write text of several lines so that a terminal obeys nothing in it."""
    if len(text) > limit:
        text = f"{text[:limit]}..."
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(printable(line.replace("\t", "    ")) for line in lines)


def write_problem(problem: Problem, at: str = "") -> str:
    """Write all of it as plain text, to copy or to file away.

    Args:
        problem: the failure.
        at: when, if that matters.
    """
    lines = [f"{problem.severity.upper()} {problem.title}", *problem.message.split("\n")]
    rows = (("when", at), ("code", problem.code), ("evaluation", problem.evaluation), ("debugger", problem.debugger_id))
    lines += [f"{name:11}{value}" for name, value in rows if value]
    lines += [f"           {detail}" for detail in problem.details]
    if problem.suggestion:
        lines += ["", f"What to do: {problem.suggestion}"]
    if problem.place is not None:
        lines += ["", "Where:", *(f"  {line}" for line in problem.place.excerpt())]
    if problem.stack:
        lines += ["", "Stack:", *(f"  {line}" for line in problem.stack)]
    return "\n".join(lines) + "\n"
