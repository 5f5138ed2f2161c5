"""What of a document does somebody see, and what becomes of the document when he changes what he sees? Pure.

What is seen depends on places only, never on values. A hidden member of an object is not there; a hidden element of an
array is null, so that the others keep their places.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from stui_sessiond.model.delta import Step, diff, same
from stui_sessiond.model.pointer import Path, narrowed, parts_of

_HIDDEN: Final = object()


class BlindError(Exception):
    """A change would write where its author does not see; nothing tells whether something is there."""


class View(msgspec.Struct, frozen=True):
    """What one kind of participant sees: all but what `patterns` name, or only that."""

    name: str
    kind: Literal["hide", "show"]
    patterns: Sequence[Path]

    def of(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document as it is seen. The given one is not changed; parts may be shared."""
        seen = self._seen(document, self.patterns)
        return seen if isinstance(seen, dict) else {}

    def steps(self, document: dict[str, Any], steps: Sequence[Step], root: str) -> list[Step]:
        """What is seen of steps of a delta that are taken from `document`, which is at `root`.

        They lead from what is seen of the document to what is seen of what becomes of it. Only what changes is looked
        at, however large the rest is.
        """
        found: list[Step] = []
        for step in steps:
            before: Any = document
            patterns = self.patterns
            for part in parts_of(step.path.removeprefix(root)):
                if () not in patterns:
                    patterns = narrowed(patterns, part)
                before = before.get(part, _HIDDEN)
            old = self._seen(before, patterns)
            new = _HIDDEN if step.op == "remove" else self._seen(step.value, patterns)
            found += _between(old, new, step.path)
        return found

    def _seen(self, value: Any, patterns: Sequence[Path]) -> Any:  # noqa: ANN401 -- any JSON value
        if value is _HIDDEN:
            return value
        return _without(value, patterns) if self.kind == "hide" else _only(value, patterns)

    def sees(self, path: Path) -> bool:
        """Tell whether a place is seen, or something in it might be."""
        patterns = self.patterns
        for part in path:
            if () in patterns:
                return self.kind == "show"
            patterns = narrowed(patterns, part)
        return () not in patterns if self.kind == "hide" else bool(patterns)

    def put(self, document: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
        """The document after what is seen of it has become `changed`. What is hidden stays as it is.

        Raises:
            BlindError: `changed` has something where nothing is seen, or something hidden would go with what goes.
        """
        result = _put(document, self.of(document), changed)
        if not same(self.of(result), changed):
            raise BlindError
        return result


def _between(old: Any, new: Any, path: str) -> list[Step]:  # noqa: ANN401 -- any JSON value, or none
    if old is _HIDDEN or new is _HIDDEN:
        if old is new:
            return []
        return [Step("remove", path) if new is _HIDDEN else Step("add", path, new)]
    if isinstance(old, dict) and isinstance(new, dict):
        return diff(old, new, path)
    return [] if same(old, new) else [Step("replace", path, new)]


def _without(value: Any, patterns: Sequence[Path]) -> Any:  # noqa: ANN401 -- any JSON value
    if () in patterns:
        return _HIDDEN
    if not patterns:
        return value
    if isinstance(value, dict):
        inner = ((name, _without(each, narrowed(patterns, name))) for name, each in value.items())
        return {name: seen for name, seen in inner if seen is not _HIDDEN}
    if isinstance(value, list):
        elements = [_without(each, narrowed(patterns, str(index))) for index, each in enumerate(value)]
        return [None if seen is _HIDDEN else seen for seen in elements]
    return value


def _only(value: Any, patterns: Sequence[Path]) -> Any:  # noqa: ANN401 -- any JSON value
    if () in patterns:
        return value
    if not patterns:
        return _HIDDEN
    if isinstance(value, dict):
        inner = ((name, _only(each, narrowed(patterns, name))) for name, each in value.items())
        return {name: seen for name, seen in inner if seen is not _HIDDEN}
    if isinstance(value, list):
        elements = [_only(each, narrowed(patterns, str(index))) for index, each in enumerate(value)]
        return [None if seen is _HIDDEN else seen for seen in elements]
    return _HIDDEN


def _put(whole: dict[str, Any], seen: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    result = dict(whole)
    for name in {**seen, **changed}:
        if name not in changed:
            _require_all_seen(whole[name], seen[name])
            del result[name]
        elif name not in seen:
            if name in whole:
                raise BlindError
            result[name] = changed[name]
        elif not same(seen[name], changed[name]):
            old, new = seen[name], changed[name]
            if isinstance(old, dict) and isinstance(new, dict):
                result[name] = _put(whole[name], old, new)
            else:
                _require_all_seen(whole[name], old)
                result[name] = new
    return result


def _require_all_seen(whole: object, seen: object) -> None:
    if not same(whole, seen):
        raise BlindError
