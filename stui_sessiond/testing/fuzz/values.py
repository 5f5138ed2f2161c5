"""Which values may a parameter of a type have, and which may it not? JSON values, plain and hostile.

A value may hold a `Ref`, which stands for something an earlier answer told, and a `Verbatim`, which is JSON text that
no JSON writer would make.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from stui_sessiond.testing.fuzz.source import Source, chance, pick


class Ref(Struct, frozen=True):
    """What was last called `name` in an answer or a request, or the one `back` before that."""

    name: str
    back: int = 0


class Verbatim(Struct, frozen=True):
    """A piece of JSON text as it is. With `doubtful`, a receiver may refuse the whole message because of it."""

    text: str
    doubtful: bool = True


PLAIN_TEXTS: Final = ("a", "b", "x", "default", "workspace-1", "3 + 4", "é", "a b")
"""Few, so that the same name comes again."""

NASTY_TEXTS: Final = (
    "",
    " ",
    "\x00",
    "a\nb",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "\u202eabc",
    "e\u0301",
    "\U0001f600",
    "null",
    "../../etc/passwd",
    "a" * 256,
    "a" * 257,
    "\x1b[31m",
    "/a~1b/-",
    "{{x}}",
    "\\",
    '"',
    "*",
    "client:*",
    "all",
    "1e999",
    "ñ" * 300,
)
NUMBERS: Final = (0, 1, 2, 3, 5, 100, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30)
FRACTIONS: Final = (0.5, 0.001, 1.5, 1e-9, 1e308, -1.0, 0.0, -0.0, 5e-324)
DOUBTFUL: Final = (
    r'"\ud83d"',
    r'"a\udc00b"',
    "1e999",
    "-1e400",
    "1" * 5000,
    "-" + "9" * 400,
    "NaN",
    "Infinity",
    "01",
    "'a'",
    "tru",
    '"\t"',
    r'"\x"',
    r'"\u12"',
    "[1,]",
    "{,}",
    '{"a":1,"a":2}',
    "[" * 70 + "]" * 70,
    "[" * 3000,
    '{"a":' * 66 + "1" + "}" * 66,
    "",
    "//x\n1",
)
OPERATIONS: Final = ("add", "remove", "replace", "move", "copy", "test", "x")
POINTERS: Final = ("/a", "", "/a/b", "/-", "/a/0", "/a/-", "/~0", "/~2", "a", "/x/y/z", "/a/01", "/a/99999999999")
MAX_DEPTH: Final = 4


def text(source: Source, nasty_percent: int = 20) -> str:
    """Make a text."""
    if chance(source, nasty_percent):
        if chance(source, 40):
            points = [source.below(0xD800) for _ in range(source.below(12))]
            return "".join(map(chr, points))
        return pick(source, NASTY_TEXTS)
    return pick(source, PLAIN_TEXTS)


def number(source: Source) -> int | float:
    """Make a number, mostly a small whole one."""
    if chance(source, 15):
        return pick(source, FRACTIONS)
    return pick(source, NUMBERS)


def any_json(source: Source, depth: int = 0) -> Any:  # noqa: ANN401 -- any JSON
    """Make any JSON value."""
    kind = source.below(6 if depth >= MAX_DEPTH else 8)
    match kind:
        case 0:
            return None
        case 1:
            return chance(source, 50)
        case 2 | 3:
            return number(source)
        case 4 | 5:
            return text(source)
        case 6:
            return [any_json(source, depth + 1) for _ in range(source.below(4))]
        case _:
            return an_object(source, depth + 1)


def an_object(source: Source, depth: int = 1) -> dict[str, Any]:
    """Make an object with a few keys, which come again in other objects."""
    return {text(source, 10): any_json(source, depth) for _ in range(source.below(4))}


def an_array(source: Source, depth: int = 1) -> list[Any]:
    """Make an array: of anything, of texts, or of what looks like the operations of a JSON Patch."""
    length = source.below(4)
    match source.below(3):
        case 0:
            return [text(source) for _ in range(length)]
        case 1:
            return [_operation(source) for _ in range(length)]
        case _:
            return [any_json(source, depth) for _ in range(length)]


def _operation(source: Source) -> dict[str, Any]:
    operation = {"op": pick(source, OPERATIONS), "path": pick(source, POINTERS), "value": any_json(source, 2)}
    if chance(source, 30):
        operation["from"] = pick(source, POINTERS)
    return operation


def doubtful(source: Source) -> Verbatim:
    """Make JSON text that a receiver may refuse, or that is none at all."""
    return Verbatim(pick(source, DOUBTFUL))


_MAKERS: Final[dict[str, Callable[[Source], Any]]] = {
    "string": text,
    "integer": lambda source: pick(source, NUMBERS),
    "number": number,
    "boolean": lambda source: chance(source, 50),
    "object": an_object,
    "array": an_array,
    "null": lambda _: None,
    "any": any_json,
}


def of_type(source: Source, described: str) -> Any:  # noqa: ANN401 -- any JSON
    """Make a value of a type as a descriptor writes it: `string|null`."""
    return _MAKERS[pick(source, described.split("|"))](source)


def not_of_type(source: Source, described: str) -> Any:  # noqa: ANN401 -- any JSON
    """Make a value that surely is of none of the types; None if there is no such value."""
    kinds = set(described.split("|"))
    if "any" in kinds:
        return None
    if "number" in kinds:
        kinds.add("integer")
    if "integer" in kinds:
        kinds.add("number")  # whether 1.0 is whole is not ours to say
    return of_type(source, pick(source, [kind for kind in _MAKERS if kind not in kinds | {"any"}]))


def plain(value: object) -> bool:
    """Tell whether the value is JSON that every receiver can read."""
    if isinstance(value, Verbatim):
        return not value.doubtful
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    return not isinstance(value, list) or all(map(plain, value))


def write(value: object, look_up: Callable[[Ref], object]) -> str:
    """Write JSON text without white space, with what the references stand for."""
    match value:
        case Verbatim():
            return value.text
        case Ref():
            return write(look_up(value), look_up)
        case dict():
            inside = (f"{json.dumps(key, ensure_ascii=False)}:{write(item, look_up)}" for key, item in value.items())
            return "{" + ",".join(inside) + "}"
        case list():
            return "[" + ",".join(write(item, look_up) for item in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
