"""Which places in a JSON document does a pattern name? Pure.

A pattern is a JSON Pointer (RFC 6901) in which a segment `*` stands for every member of an object and every element of
an array. It names those places and all that is in them. The pattern `""` names the whole document.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from stui_sessiond.model.delta import same

Path = tuple[str, ...]
"""The segments of a place or a pattern, without escapes."""

ANY: Final = "*"

MAX_SEGMENTS = 16
"""How deep a pattern goes: deeper than any state that people write down, and little to compare."""

MAX_PATTERN_CHARS = 1000
"""How long one is."""

_ABSENT: Final = object()


class PatternError(ValueError):
    """The text is no pattern."""


def parse(text: str) -> Path:
    """Read a pattern.

    Raises:
        PatternError: it is no JSON Pointer, or too long.
    """
    if len(text) > MAX_PATTERN_CHARS:
        msg = f"a pointer has at most {MAX_PATTERN_CHARS} characters"
        raise PatternError(msg)
    if not text:
        return ()
    if not text.startswith("/"):
        msg = f"{text[:100]!r} is no JSON Pointer: it begins with `/`, or is empty for the whole"
        raise PatternError(msg)
    parts = text[1:].split("/")
    if len(parts) > MAX_SEGMENTS:
        msg = f"a pointer has at most {MAX_SEGMENTS} segments"
        raise PatternError(msg)
    if any("~" in part.replace("~0", "").replace("~1", "") for part in parts):
        msg = f"{text[:100]!r} is no JSON Pointer: `~` is written `~0`"
        raise PatternError(msg)
    return parts_of(text)


def written(path: Sequence[str | int]) -> str:
    """Write a place as a JSON Pointer."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def parts_of(pointer: str) -> Path:
    """The segments of a JSON Pointer that is one."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def narrowed(patterns: Sequence[Path], name: str) -> list[Path]:
    """What patterns say of what is in the member `name`: their rest, for those that go on there."""
    return [pattern[1:] for pattern in patterns if pattern and pattern[0] in (name, ANY)]


def changed_outside(before: object, after: object, patterns: Sequence[Path], most: int) -> list[str]:
    """Places that differ between two documents and are in none of the patterns, at most so many; an array is one place.

    Where the elements of two arrays of one length can be told apart, they are compared one by one. What is deeper than
    a pattern can be is told by the place it is in.
    """
    return list(islice(_outside(before, after, list(dict.fromkeys(patterns)), ()), most))


def _outside(before: object, after: object, patterns: Sequence[Path], path: Path) -> Iterator[str]:
    if () in patterns or same(before, after):
        return
    pairs = _pairs(before, after) if patterns else None
    if pairs is None:
        yield written(path)
        return
    for name, (old, new) in pairs.items():
        if old is not _ABSENT or new is not _ABSENT:
            yield from _outside(old, new, narrowed(patterns, name), (*path, name))


def _pairs(before: object, after: object) -> dict[str, tuple[Any, Any]] | None:
    """Members of both, side by side; None when there is nothing to set side by side. What is absent is empty."""
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return {str(index): pair for index, pair in enumerate(zip(before, after, strict=True))}
    old, new = ({} if each is _ABSENT else each for each in (before, after))
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None
    return {name: (old.get(name, _ABSENT), new.get(name, _ABSENT)) for name in {**old, **new}}
