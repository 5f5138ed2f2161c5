"""What changed between two JSON documents, and what does a document become by it?

A delta is a JSON Patch (RFC 6902) that uses only `add`, `replace` and `remove`; lists that differ are replaced whole.
Pure; documents are never changed, parts that did not change are shared.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
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


def diff(old: dict[str, Any], new: dict[str, Any]) -> list[Step]:
    """Find the steps that make `new` of `old`; none if they are equal."""
    steps: list[Step] = []
    _diff(old, new, "", steps)
    return steps


def _diff(old: dict[str, Any], new: dict[str, Any], path: str, steps: list[Step]) -> None:
    for name, value in old.items():
        if name not in new:
            steps.append(Step("remove", f"{path}/{_escape(name)}"))
            continue
        other = new[name]
        if value is other or same(value, other):
            continue
        if isinstance(value, dict) and isinstance(other, dict):
            _diff(value, other, f"{path}/{_escape(name)}", steps)
        else:
            steps.append(Step("replace", f"{path}/{_escape(name)}", other))
    steps.extend(Step("add", f"{path}/{_escape(name)}", value) for name, value in new.items() if name not in old)


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
    """Make the document that the steps lead to.

    Raises:
        DeltaError: a step does not fit.
    """
    for step in steps:
        document = _apply(document, [_unescape(part) for part in step.path.split("/")[1:]], step)
    return document


def _apply(document: Any, path: list[str], step: Step) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    if not path or not isinstance(document, dict):
        msg = f"{step.op} {step.path!r} does not fit"
        raise DeltaError(msg)
    name, *rest = path
    if (name in document) != (bool(rest) or step.op != "add"):
        msg = f"{step.op} {step.path!r} does not fit"
        raise DeltaError(msg)
    changed = dict(document)
    if rest:
        changed[name] = _apply(document[name], rest, step)
    elif step.op == "remove":
        del changed[name]
    else:
        changed[name] = step.value
    return changed


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
