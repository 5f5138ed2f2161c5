"""What holds for every plan: an image that lost its newest changes has the code again that it had."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stui_sessiond.ids import ImageId, InstanceId
from stui_sessiond.model.code_change import CodeChange, KeptChange
from stui_sessiond.model.code_plan import Step, make_plan, superclass_of

CLASSES = ["A", "B", "C"]
SELECTORS = ["x", "y"]
TEXTS = ["1", "2", "3"]

Methods = dict[str, str]


class Code:
    """What an image has: classes with superclass and methods. It refuses what an image would refuse."""

    def __init__(self, classes: dict[str, tuple[str, Methods]] | None = None) -> None:
        self.classes = {} if classes is None else {name: (above, {**m}) for name, (above, m) in classes.items()}

    def definition(self, name: str) -> str | None:
        """The definition of a class in this image's own words."""
        return None if name not in self.classes else f"{self.classes[name][0]} subclass: {name}"

    def text(self, step: CodeChange) -> str | None:
        """What the image has where a change is."""
        if step.selector is None:
            return self.definition(step.class_name)
        return self.classes.get(step.class_name, ("", {}))[1].get(step.selector)

    def above(self, name: str) -> set[str]:
        """All classes above one."""
        found: set[str] = set()
        while name in self.classes and name not in found:
            found.add(name)
            name = self.classes[name][0]
        return found

    def define(self, name: str, above: str) -> bool:
        """Define a class, if the one above is there and not below it."""
        if above != "Object" and (above not in self.classes or name in self.above(above)):
            return False
        self.classes[name] = (above, self.classes.get(name, ("", {}))[1])
        return True

    def remove(self, name: str) -> bool:
        """Remove a class, if none is below it."""
        if name not in self.classes or any(above == name for above, _ in self.classes.values()):
            return False
        del self.classes[name]
        return True

    def make(self, change: CodeChange) -> bool:
        """Make a change again."""
        name, selector = change.class_name, change.selector
        if change.kind == "class":
            return self.define(name, str(superclass_of(change)))
        if change.kind == "class_removed":
            return self.remove(name)
        if name not in self.classes or selector is None:
            return False
        if change.kind == "method":
            self.classes[name][1][selector] = str(change.source)
            return True
        return self.classes[name][1].pop(selector, None) is not None


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[KeptChange], list[Code]]:
    """Changes that an image took, and its code before each of them and after the last."""
    code, kept, before = Code(), [], []
    for serial in range(draw(st.integers(0, 14))):
        name, selector = draw(st.sampled_from(CLASSES)), draw(st.sampled_from(SELECTORS))
        kind = draw(st.sampled_from(["class", "class", "method", "method", "method_removed", "class_removed"]))
        snapshot = Code(code.classes)
        above = draw(st.sampled_from(["Object", *CLASSES]))
        told: dict[str, Any] = {"kind": kind, "class_name": name}
        if kind == "class":
            told["source"] = json.dumps({"class_name": name, "superclass": above})
        else:
            told["selector"] = None if kind == "class_removed" else selector
            told["source"] = draw(st.sampled_from(TEXTS)) if kind == "method" else None
        change = CodeChange(image_id=ImageId("i"), instance_id=InstanceId("1"), generation=0, at=0.0, **told)
        told["previous_source"] = code.text(change)
        if not code.make(change):
            continue
        told["definition"] = code.definition(name) if kind == "class" else None
        change = CodeChange(image_id=ImageId("i"), instance_id=InstanceId("1"), generation=0, at=0.0, **told)
        kept.append(KeptChange(serial, change))
        before.append(snapshot)
    return kept, [*before, code]


def reapply(code: Code, plan: list[Step]) -> list[str]:
    """Do what the plan says, as the daemon does; list what was found."""
    found: list[str] = []
    for step in plan:
        state = step.state(code.text(step.change))
        found.append(state)
        if state == "missing":
            assert code.make(step.change), step
    return found


@settings(max_examples=500)
@given(lives(), st.data())
def test_plan_brings_back_what_an_image_had(life: tuple[list[KeptChange], list[Code]], data: st.DataObject) -> None:
    """Whichever of its changes it lost last: what was changed is as it was, and a second time nothing is missing.

    Methods of a class that was removed and defined anew are not taken away where the removal was lost as well.
    """
    kept, codes = life
    end, code = codes[-1], Code(data.draw(st.sampled_from(codes)).classes)
    plan = make_plan(kept)
    assert "different" not in reapply(code, plan)
    assert {name: above for name, (above, _) in code.classes.items()} == {
        name: above for name, (above, _) in end.classes.items()
    }
    for name, (_, methods) in end.classes.items():
        assert methods.items() <= code.classes[name][1].items()
    for step in plan:
        assert code.text(step.change) == end.text(step.change)
    assert set(reapply(code, plan)) <= {"present"}


@settings(max_examples=300)
@given(lives())
def test_plan_has_one_step_for_each_place_in_order(life: tuple[list[KeptChange], list[Code]]) -> None:
    """The newest of each; classes, then methods, then removals of classes; a class after the one above it."""
    kept, _ = life
    plan = make_plan(kept)
    places = [(step.change.class_name, step.change.selector) for step in plan]
    assert len(set(places)) == len(places)
    for step, place in zip(plan, places, strict=True):
        assert step.kept.serial == max(
            each.serial for each in kept if (each.change.class_name, each.change.selector) == place
        )
    ranks = [{"class": 0, "method": 1, "method_removed": 1, "class_removed": 2}[step.change.kind] for step in plan]
    assert ranks == sorted(ranks)
    defined = [step.change.class_name for step in plan if step.change.kind == "class"]
    for step in plan[: len(defined)]:
        above = superclass_of(step.change)
        if above in defined:
            assert defined.index(str(above)) < defined.index(step.change.class_name)


@settings(max_examples=300)
@given(lives(), st.sampled_from(["", "something else\n"]))
def test_plan_takes_what_nobody_knows_for_different(life: tuple[list[KeptChange], list[Code]], text: str) -> None:
    """A text that is in no change is not replaced unasked; line ends make no difference."""
    for step in make_plan(life[0]):
        assert step.state(text) == "different"
        if step.change.result is not None:
            assert step.state(step.change.result.replace("\n", "\r\n")) == "present"
