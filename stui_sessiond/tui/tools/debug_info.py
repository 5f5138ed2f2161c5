"""What does an image say of a process that waits? `debug_info` as typed Structs. Pure.

An image that says less, or something else than the protocol wants, is shown as far as it can be understood.
"""

from typing import Any, TypeVar

import msgspec

from stui_sessiond.wire.messages.development import EvaluateResult, SmalltalkError, StackFrame, Variable

T = TypeVar("T")


class Frame(msgspec.Struct, rename={"class_": "class"}):
    """The frame that is looked at."""

    index: int = 1
    class_: str | None = None
    selector: str | None = None
    source: str | None = None
    start: int | None = None
    """First character, from 1, of what is evaluated next."""
    stop: int | None = None
    """Last character of it."""
    line: int | None = None


class DebugInfo(msgspec.Struct):
    """All that a debugger shows (IMAGES.md, Suspended processes)."""

    state: str = "suspended"
    stack: list[StackFrame] = []
    frame: Frame | None = None
    locals: dict[str, Variable] = {}
    outcome: EvaluateResult | None = None
    error: SmalltalkError | None = None


_KINDS: dict[str, Any] = {
    "state": str,
    "stack": list[StackFrame],
    "frame": Frame,
    "locals": dict[str, Variable],
    "outcome": EvaluateResult,
    "error": SmalltalkError,
}


def read_debug_info(told: dict[str, Any]) -> DebugInfo:
    """Read what an image told; a part that is not as it should be is left out."""
    info = DebugInfo()
    for name, kind in _KINDS.items():
        if told.get(name) is None:
            continue
        try:
            setattr(info, name, msgspec.convert(told[name], kind))
        except msgspec.ValidationError:
            continue
    return info
