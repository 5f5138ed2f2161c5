"""Is this JSON what was expected, and what does a message look like once its names are filled in? Pure.

The pattern language is described in `protocol/VECTORS.md`.
"""

import json
import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

Names = MutableMapping[str, Any]
"""What `{{name}}` stands for."""

MAX_SHOWN_CHARS = 200
"""How much of a value a difference shows."""

_WHOLE = re.compile(r"\{\{(\*|[a-z_][a-z0-9_]*)(?::([a-z]+)|\+([0-9]+)|\*([0-9]+))?\}\}")
_INSIDE = re.compile(r"\{\{(.*?)\}\}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")
_OTHERS = "{{*:others}}"
"""At the head of an array: the patterns after it are found somewhere in it, in any order, among others."""

_EITHER = "{{*:either}}"
"""At the head of an array: what is there, of any type, matches at least one of the patterns after it."""

_MISSING = object()


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_IS_TYPE: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _is_integer,
    "number": lambda value: _is_integer(value) or isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "time": lambda value: isinstance(value, str) and _TIME.fullmatch(value) is not None,
    "absent": lambda value: value is _MISSING,
}


class PatternError(Exception):
    """The pattern itself is wrong."""


def fill(template: Any, names: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any JSON
    """Put the values of names in their place, everywhere in a message.

    Raises:
        PatternError: there is no such name.
    """
    if isinstance(template, dict):
        return {_filled_text(key, names): fill(value, names) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, names) for value in template]
    if not isinstance(template, str) or "{{" not in template:
        return template
    whole = _WHOLE.fullmatch(template)
    if whole is not None and whole[4] is not None:
        return _text(whole[1], names) * int(whole[4])
    if whole is not None and whole[2] is None:
        return _value(whole[1], whole[3], names)
    return _filled_text(template, names)


def _filled_text(template: str, names: Mapping[str, Any]) -> str:
    return _INSIDE.sub(lambda found: _text(found[1], names), template)


def _text(name: str, names: Mapping[str, Any]) -> str:
    return str(_value(name, None, names))


def differences(pattern: Any, found: Any, names: Names, path: str = "") -> list[str]:  # noqa: ANN401 -- any JSON
    """Compare, and give a line for each difference; names that are new are captured.

    Raises:
        PatternError: the pattern itself is wrong.
    """
    if isinstance(pattern, dict):
        if not isinstance(found, dict):
            return [_line(path, "an object", found)]
        lines = []
        for template, value in pattern.items():
            key = _filled_text(template, names)
            lines += differences(value, found.get(key, _MISSING), names, f"{path}.{key}" if path else key)
        return lines
    if isinstance(pattern, list):
        if pattern[:1] == [_EITHER]:
            return _either_differences(pattern[1:], found, names, path)
        return _array_differences(pattern, found, names, path)
    whole = _WHOLE.fullmatch(pattern) if isinstance(pattern, str) else None
    if whole is not None and whole[3] is None and whole[4] is None and (whole[1] == "*" or whole[1] not in names):
        return _capture(whole, found, names, path)
    expected = fill(pattern, names)
    return [] if _same(expected, found) else [_line(path, show(expected), found)]


def _either_differences(patterns: list[Any], found: Any, names: Names, path: str) -> list[str]:  # noqa: ANN401 -- any JSON
    """Try one pattern after the other; only the first that matches captures. With none, all differences are told."""
    lines = []
    for pattern in patterns:
        captured = dict(names)
        told = differences(pattern, found, captured, path)
        if not told:
            names.update(captured)
            return []
        lines += told
    return [f"{path or 'the message'}: none of {len(patterns)} possibilities matches", *lines]


def _array_differences(pattern: list[Any], found: object, names: Names, path: str) -> list[str]:
    if not isinstance(found, list):
        return [_line(path, "an array", found)]
    if pattern[:1] == [_OTHERS]:
        return [
            _line(path, f"{show(wanted)} among its elements", found)
            for wanted in pattern[1:]
            if not any(_matches(wanted, one, names) for one in found)
        ]
    if len(pattern) != len(found):
        return [_line(path, f"{len(pattern)} elements", found)]
    lines = []
    for index, (one, other) in enumerate(zip(pattern, found, strict=True)):
        lines += differences(one, other, names, f"{path}[{index}]")
    return lines


def _matches(pattern: object, found: object, names: Names) -> bool:
    """Tell whether it matches, and capture names only if it does."""
    captured = dict(names)
    if differences(pattern, found, captured):
        return False
    names.update(captured)
    return True


def show(value: object) -> str:
    """Write a value for a person, cut where it is long."""
    text = "nothing" if value is _MISSING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"


def _capture(whole: re.Match[str], found: object, names: Names, path: str) -> list[str]:
    name, kind = whole[1], whole[2]
    if kind is not None and kind not in _IS_TYPE:
        msg = f"{whole[0]}: there is no type {kind!r}; there is {', '.join(_IS_TYPE)}"
        raise PatternError(msg)
    fits = found is not _MISSING if kind is None else _IS_TYPE[kind](found)
    if not fits:
        return [_line(path, kind or "anything", found)]
    if name != "*":
        names[name] = found
    return []


def _value(name: str, plus: str | None, names: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any JSON
    if name not in names:
        msg = f"{{{{{name}}}}} stands for nothing here"
        raise PatternError(msg)
    value = names[name]
    if plus is None:
        return value
    if not _is_integer(value):
        msg = f"{{{{{name}+{plus}}}}}: {name} is {show(value)}, not an integer"
        raise PatternError(msg)
    return value + int(plus)


def _same(expected: object, found: object) -> bool:
    """Compare as JSON does: true is not 1; a whole number is written as one; beyond that numbers are numbers."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and expected.keys() == found.keys()
            and all(_same(value, found[key]) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(expected) == len(found)
            and all(_same(one, other) for one, other in zip(expected, found, strict=True))
        )
    if isinstance(expected, float):
        return _IS_TYPE["number"](found) and expected == found
    return type(expected) is type(found) and expected == found


def _line(path: str, expected: str, found: object) -> str:
    return f"{path or 'the message'}: expected {expected}, got {show(found)}"
