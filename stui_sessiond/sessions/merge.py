"""Can two changes to the same document both be kept? A three-way merge of JSON objects. Pure.

Objects are merged member by member; everything else is one value. A member that both sides changed, differently, is a
conflict, also if one side removed it.
"""

from typing import Any, Final

from stui_sessiond.model.delta import same

_ABSENT: Final = object()


def merge(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Merge what `ours` and `theirs` made of `base`; also list the JSON Pointers of members in conflict."""
    conflicts: list[str] = []
    return _merge(base, ours, theirs, "", conflicts), conflicts


def _merge(
    base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any], path: str, conflicts: list[str]
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in dict.fromkeys((*theirs, *ours)):
        here = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        value = _choose(base.get(name, _ABSENT), ours.get(name, _ABSENT), theirs.get(name, _ABSENT), here, conflicts)
        if value is not _ABSENT:
            merged[name] = value
    return merged


def _choose(base: Any, ours: Any, theirs: Any, path: str, conflicts: list[str]) -> Any:  # noqa: ANN401 -- any JSON
    if same(ours, theirs) or same(ours, base):
        return theirs
    if same(theirs, base):
        return ours
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return _merge(base if isinstance(base, dict) else {}, ours, theirs, path, conflicts)
    conflicts.append(path)
    return theirs
