"""Which changes bring an image back to the code that it had, in which order, and what has to be done about each? Pure.

Of each method and class the newest change counts. Classes come before methods, a superclass before those below it;
classes are removed last. What happened to methods before their class was removed went with it.

An image that lost changes has what an earlier change left behind, or what was there before the first of them: all these
texts are known, and what is known can be replaced without losing anything.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from stui_sessiond.model.code_change import CodeChange, KeptChange, plain_ends

State = Literal["present", "missing", "different"]

Key = tuple[str, str | None, bool]
"""Class, selector (None: the class itself), whether it is of the class side."""


class Step(msgspec.Struct, frozen=True):
    """The change of a method or class that counts, and all texts that are known of it; None: nothing was there."""

    kept: KeptChange
    known: frozenset[str | None]

    @property
    def change(self) -> CodeChange:
        """What was changed."""
        return self.kept.change

    @property
    def can_compare(self) -> bool:
        """Whether what came of it is known: it is not where the text was too long to be kept."""
        return self.change.result is not None or self.change.kind in {"method_removed", "class_removed"}

    def state(self, present: str | None) -> State:
        """Judge the text that the image has."""
        found = _plain(present)
        if self.can_compare and found == _plain(self.change.result):
            return "present"
        return "missing" if found in self.known else "different"


class ClassShape(msgspec.Struct):
    """What the plan needs of the parameters that `define_class` took."""

    superclass: str = "Object"


def make_plan(changes: Iterable[KeptChange], chosen: Collection[int] | None = None) -> list[Step]:
    """Choose and order; `changes` are all of one image, the oldest first, `chosen` the serials that count, or None."""
    histories: dict[Key, list[CodeChange]] = {}
    newest: dict[Key, KeptChange] = {}
    removed_at: dict[str, int] = {}
    for kept in changes:
        key = _key(kept.change)
        histories.setdefault(key, []).append(kept.change)
        if chosen is None or kept.serial in chosen:
            newest[key] = kept
            if kept.change.kind == "class_removed":
                removed_at[kept.change.class_name] = kept.serial
    steps = [
        Step(kept, _known(histories[key]))
        for key, kept in newest.items()
        if key[1] is None or kept.serial > removed_at.get(key[0], -1)
    ]
    steps.sort(key=_serial)
    defined = {step.change.class_name: step for step in steps if step.change.kind == "class"}
    methods = [step for step in steps if step.change.selector is not None]
    removed = [step for step in steps if step.change.kind == "class_removed"]
    return [*_superclasses_first(defined), *methods, *removed]


def _superclasses_first(defined: Mapping[str, Step]) -> list[Step]:
    """In the order they were made, but each after the class above it."""
    ordered: dict[str, Step] = {}
    for step in defined.values():
        above: dict[str, Step] = {}
        name: str | None = step.change.class_name
        while name is not None and name in defined and name not in ordered and name not in above:
            above[name] = defined[name]
            name = superclass_of(defined[name].change)
        ordered.update(reversed(above.items()))
    return list(ordered.values())


def superclass_of(change: CodeChange) -> str | None:
    """The class above a class that a client defined; None when nothing tells."""
    if change.origin == "image" or change.source is None:
        return None
    try:
        return msgspec.json.decode(change.source, type=ClassShape).superclass
    except msgspec.DecodeError:
        return None


def _known(history: Sequence[CodeChange]) -> frozenset[str | None]:
    """All that the image had before or after one of the changes. What was too long to be kept is not known."""
    texts = [(change, text) for change in history for text in (change.previous_source, change.result)]
    return frozenset(_plain(text) for change, text in texts if text is not None or not change.texts_omitted)


def _key(change: CodeChange) -> Key:
    if change.kind in {"class", "class_removed"}:
        return change.class_name, None, False
    return change.class_name, change.selector, change.is_class_method


def _serial(step: Step) -> int:
    return step.kept.serial


def _plain(text: str | None) -> str | None:
    return None if text is None else plain_ends(text)
