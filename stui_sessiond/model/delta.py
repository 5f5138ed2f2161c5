"""What changed between two JSON documents, and what does a document become by it?

A delta is a JSON Patch (RFC 6902) that uses only `add`, `replace` and `remove`; lists that differ are replaced whole.
Pure; documents are never changed, parts that did not change are shared.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

_ABSENT: Final = object()
_PLAIN: Final = frozenset({str, int, float, bool})


class Step(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One operation of a delta."""

    op: Literal["add", "replace", "remove"]
    path: str
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        """Write it as RFC 6902 has it: `value` is there even when it is null."""
        if self.op == "remove":
            return {"op": self.op, "path": self.path}
        return {"op": self.op, "path": self.path, "value": self.value}


class DeltaError(Exception):
    """A delta does not fit the document it is applied to."""


def diff(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[Step]:
    """Find the steps that make `new` of `old`, which is at `path`; none if they are equal."""
    steps: list[Step] = []
    _diff(old, new, path, steps)
    return steps


def _diff(old: dict[str, Any], new: dict[str, Any], path: str, steps: list[Step]) -> None:
    for name, value in old.items():
        other = new.get(name, _ABSENT)
        if other is _ABSENT:
            steps.append(Step("remove", f"{path}/{_escape(name)}"))
        elif value is other:
            pass
        elif type(value) in _PLAIN and type(other) is type(value):
            if value != other:
                steps.append(Step("replace", f"{path}/{_escape(name)}", other))
        elif isinstance(value, dict) and isinstance(other, dict):
            _diff(value, other, f"{path}/{_escape(name)}", steps)
        elif not same(value, other):
            steps.append(Step("replace", f"{path}/{_escape(name)}", other))
    if old.keys() != new.keys():
        steps += [Step("add", f"{path}/{_escape(name)}", value) for name, value in new.items() if name not in old]


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
