"""What does a daemon ask an image, and what would a broken one ask? Made from the descriptors of relayed commands."""

import json
from typing import Any, Final

from msgspec import Struct

from stui_sessiond.contract import Descriptor
from stui_sessiond.testing.fuzz.payload import Garbage, garbage
from stui_sessiond.testing.fuzz.source import Source, chance, pick
from stui_sessiond.testing.fuzz.values import Ref, plain, write
from stui_sessiond.testing.fuzz.wishes import Book

NOT_PASSED_ON: Final = ("image_id", "timeout", "idempotency_key")
"""Parameters that stay with the daemon (PROTOCOL.md, Images)."""

NUMBER_ID: Final = 7
"""An id that is none: ids are texts."""

SNIPPETS: Final = (
    "3 + 4",
    "nil",
    "x := 3",
    "x",
    "1/0",
    "Object new",
    "self error: 'x'",
    "nil foo: 1 bar: 2",
    "#(1 $a 'b' #c)",
    "[:a | a] value: 1",
    "^ 1. 2",
    "Transcript show: 'x'",
    "(1 to: 100) asArray",
    "Object subclass: #FuzzMade",
    "'unclosed",
    '"unclosed',
    "#(1 2",
    "[",
    "$",
    "16r",
    "1e400",
    "| a a |",
    "thisContext",
    "super foo",
    "'" + "a" * 10_000 + "'",
    "(" * 500 + "1" + ")" * 500,
    "{1. {2. {3}}}",
)
"""Code that ends, right and wrong."""

NAMES: Final = {
    "code": SNIPPETS,
    "target": (*SNIPPETS[:12], "Object", "true", "Smalltalk"),
    "class_name": ("Object", "Object class", "String", "NoSuchClass", "constructor", "__proto__", "a b"),
    "method_name": ("printString", "at:put:", "noSuch", "constructor", "__proto__", "+"),
    "pattern": ("", "Obj*", "*", "[", "(", "\\", "object"),
    "operation": ("GetStackTrace", "GetLocalVars", "StepInto", "Continue", "x", {"SetBreakpoint": {"line": 1}}),
    "tool_id": ("default", "workspace-1", "__proto__", "constructor"),
    "session_id": ("session_1_1756550000_aaaaaaaaaaaaaaaaaaaaaa", "session_2_1756550000_bbbbbbbbbbbbbbbbbbbbbb"),
}
"""What is likely to mean something to an image, by the name of a parameter."""


class Question(Struct, frozen=True):
    """One line to an image."""

    id: str
    data: bytes
    command: str | None
    """None: it is no request, and needs no answer."""
    proper: bool = False
    """Whether a daemon would send it just so: it has to be answered."""


def question(source: Source, book: Book, serial: int, hostile_percent: int) -> Question:
    """Make the next line; `serial` becomes its id."""
    request_id = f"d-{serial}"
    if chance(source, hostile_percent // 4):
        made: Garbage = garbage(source)
        return Question(request_id, made.data.replace(b"\n", b" "), None)
    descriptor = pick(source, book.relayed())
    parameters, proper = _parameters(source, book, descriptor, hostile_percent)
    message: dict[str, Any] = {"id": request_id, "command": descriptor.command, "parameters": parameters}
    if chance(source, hostile_percent // 4):
        proper = False
        match source.below(5):
            case 0:
                message["command"] = "no_such_command"
            case 1:
                message["parameters"] = pick(source, (None, [], 1, "x"))
            case 2:
                message["id"] = pick(source, ("", NUMBER_ID, None))
            case 3:
                del message["parameters"]
            case _:
                message["unknown"] = [{}]
    data = write(message, _made_up).encode("utf-8", "replace").replace(b"\n", b" ")
    return Question(request_id, data, message["command"], proper and _is_json(data))


def _parameters(
    source: Source, book: Book, descriptor: Descriptor, hostile_percent: int
) -> tuple[dict[str, Any], bool]:
    wish = book.fill(source, descriptor, hostile_percent)
    parameters = dict(wish.parameters)
    proper = not wish.refused and plain(parameters)
    for name in NOT_PASSED_ON:
        parameters.pop(name, None)
    if descriptor.command != "release_session":
        parameters.setdefault("tool_id", "default")
    for name, value in list(parameters.items()):
        if name in NAMES and (isinstance(value, Ref) or chance(source, 70)):
            parameters[name] = pick(source, NAMES[name])
        elif isinstance(value, Ref):
            parameters[name] = "x"
        elif value is None and proper:
            del parameters[name]  # a daemon leaves out what was not given
    return parameters, proper


def _made_up(reference: Ref) -> object:
    return f"no-{reference.name}"


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
