"""What does an error that was met look like to a person, long after? Pure."""

from typing import Any

import msgspec
from msgspec import UNSET

from stui_sessiond.model.request import RequestEntry
from stui_sessiond.printable import printable, printable_lines
from stui_sessiond.wire.messages.development import DebugResult, EvaluateResult, SmalltalkError, StackFrame
from stui_sessiond.wire.timestamp import format_time


def error_in(result: str, wanted: type[Any]) -> SmalltalkError | None:
    """Find the error in a result as it is kept, JSON text; None when there is none."""
    try:
        answer = msgspec.json.decode(result, type=wanted)
        if isinstance(answer, EvaluateResult):
            return None if answer.error is UNSET else answer.error
        if isinstance(answer, DebugResult) and (told := answer.debug_info.get("error")) is not None:
            return msgspec.convert(told, SmalltalkError)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return None


def write_report(entry: RequestEntry, error: SmalltalkError) -> str:
    """Write all that is known of an error as text: what, when, where, the code and the stack.

    What an image or a client made up is escaped (`printable`); each line of it stays one.
    """
    ended = entry.accepted_at if entry.finished_at is None else entry.finished_at
    lines = [
        f"{printable(error.class_)}: {printable_lines(error.message or '')}".rstrip(": "),
        f"  when   {format_time(ended)}",
        f"  image  {printable(entry.image_id or 'unknown')}, instance {printable(entry.instance_id or 'unknown')}",
    ]
    if error.signaler is not None:
        lines.append(f"  in     {printable(error.signaler)}")
    if entry.tool_id is not None:
        lines.append(f"  tool   {printable(entry.tool_id)}")
    if error.debugger_id is not None:
        lines.append(f"  debug  {printable(error.debugger_id)}")
    if entry.code is not None:
        cut = " (its beginning)" if entry.code_cut else ""
        lines += ["", f"Code{cut}:", f"    {printable_lines(entry.code)}"]
    if error.stack:
        lines += ["", "Stack:", *(_frame(frame) for frame in error.stack)]
    return "\n".join(lines) + "\n"


def _frame(frame: StackFrame) -> str:
    where = f"{printable(frame.class_ or '?')}>>{printable(frame.selector or '?')}"
    line = "" if frame.line is None else f" line {frame.line}"
    receiver = "" if frame.receiver is None else f"   {printable(frame.receiver)}"
    return f"  {frame.index:3} {where}{line}{receiver}"
