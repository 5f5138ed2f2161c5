"""What changed between two JSON documents, and what does a document become by it?

A delta is a JSON Patch (RFC 6902) that uses only `add`, `replace` and `remove`; lists that differ are replaced whole,
and so is an object when the pointers of its steps would be longer than the object itself. Pure; documents are never
changed, parts that did not change are shared.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

WEIGHED_CHARS: Final = 4096
"""Pointers of steps inside an object that are shorter together are not weighed against the object."""

DESCENDED_CHARS: Final = 1000
"""How long the pointer to an object is at most whose members are looked at one by one, if they are objects too."""

_ABSENT: Final = object()
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
"""In order, so that equal patches are equal text."""
_PLAIN: Final = frozenset({str, int, float, bool})


class Step(msgspec.Struct, frozen=True, gc=False):
    """One operation of a delta."""

    op: Literal["add", "replace", "remove"]
    path: str
    value: Any = msgspec.UNSET
    """Unset where something is removed."""

    def to_json(self) -> dict[str, Any]:
        """Write it as RFC 6902 has it: `value` is there even when it is null."""
        if self.op == "remove":
            return {"op": self.op, "path": self.path}
        return {"op": self.op, "path": self.path, "value": self.value}


_decode_steps = msgspec.json.Decoder(tuple[Step, ...]).decode


NO_STEPS: Final = b"[]"
"""The patch that changes nothing."""


def patch_of(steps: Sequence[Step]) -> bytes:
    """Write steps as a JSON Patch (RFC 6902)."""
    return _encode_sorted(steps)


def steps_of(patch: bytes | msgspec.Raw) -> tuple[Step, ...]:
    """Read the steps of a patch that was written here.

    Raises:
        msgspec.DecodeError: it is none.
    """
    steps = _decode_steps(patch)
    if any(step.value is msgspec.UNSET and step.op != "remove" for step in steps):
        return tuple(_with_value(step) for step in steps)
    return steps


def _with_value(step: Step) -> Step:
    """Up to 0.6.0 a value that is null was left out."""
    return Step(step.op, step.path, None) if step.value is msgspec.UNSET and step.op != "remove" else step


class DeltaError(Exception):
    """A delta does not fit the document it is applied to."""


def diff(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[Step]:
    """Find the steps that make `new` of `old`, which is at `path`; none if they are equal.

    Each step names its whole place. Where that would make the delta much larger than the documents (a long name, and
    many changes inside what it names) the object is replaced.
    """
    return list(_steps(old, new, path))


def _steps(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Step]:
    for name, value in old.items():
        other = new.get(name, _ABSENT)
        if other is _ABSENT:
            yield Step("remove", f"{path}/{_escape(name)}")
        elif value is other or (type(value) in _PLAIN and type(other) is type(value) and value == other):
            pass
        elif isinstance(value, dict) and isinstance(other, dict) and len(path) <= DESCENDED_CHARS:
            yield from _inside(value, other, f"{path}/{_escape(name)}")
        elif not same(value, other):
            yield Step("replace", f"{path}/{_escape(name)}", other)
    if old.keys() != new.keys():
        for name in [name for name in new if name not in old]:
            yield Step("add", f"{path}/{_escape(name)}", new[name])


def _inside(old: dict[str, Any], new: dict[str, Any], path: str) -> list[Step]:
    """The steps inside an object, or the one that replaces it."""
    found: list[Step] = []
    chars, most = 0, WEIGHED_CHARS
    for step in _steps(old, new, path):
        found.append(step)
        chars += len(step.path)
        if chars > most:
            most = max(most, len(_encode(new)))
            if chars > most:
                return [Step("replace", path, new)]
    return found


def same(one: object, other: object) -> bool:
    """Tell whether two JSON values are equal as JSON: true is not 1, and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def apply(document: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """Make the document that the steps lead to. Each object on the way is copied once, however many steps touch it.

    Raises:
        DeltaError: a step does not fit.
    """
    root = dict(document)
    ours = {id(root): root}  # the copies made here; they may be changed
    for step in steps:
        *way, name = [_unescape(part) for part in step.path.split("/")[1:]] or [""]
        node = root
        for part in way:
            child = node.get(part)
            if not isinstance(child, dict):
                raise _unfit(step)
            if id(child) not in ours:
                child = node[part] = dict(child)
                ours[id(child)] = child
            node = child
        if not step.path or (name in node) is (step.op == "add"):
            raise _unfit(step)
        if step.op == "remove":
            del node[name]
        else:
            node[name] = step.value
    return root


def _unfit(step: Step) -> DeltaError:
    return DeltaError(f"{step.op} {step.path!r} does not fit")


def _escape(name: str) -> str:
    if "~" not in name and "/" not in name:
        return name
    return name.replace("~", "~0").replace("/", "~1")


def _unescape(part: str) -> str:
    if "~" not in part:
        return part
    return part.replace("~1", "/").replace("~0", "~")
