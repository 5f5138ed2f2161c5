"""What holds for every plan: an image that lost its newest changes has the code again that it had."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

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


def a_change(kind: str, name: str, **more: Any) -> CodeChange:  # noqa: ANN401 -- fields of a change
    """A change of one class or method."""
    told: dict[str, Any] = {"kind": kind, "class_name": name, **more}
    return CodeChange(image_id=ImageId("i"), instance_id=InstanceId("1"), generation=0, at=0.0, **told)


def possible(code: Code) -> list[CodeChange]:
    """All changes that an image would take now."""
    found = []
    for name in CLASSES:
        sources = (json.dumps({"class_name": name, "superclass": above}) for above in ("Object", *CLASSES))
        found += [a_change("class", name, source=source) for source in sources]
        found += [a_change("method", name, selector=one, source=text) for one in SELECTORS for text in TEXTS]
        found += [a_change("method_removed", name, selector=one) for one in SELECTORS]
        found.append(a_change("class_removed", name))
    return [change for change in found if Code(code.classes).make(change)]


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[KeptChange], list[Code]]:
    """Changes that an image took, and its code before each of them and after the last."""
    code = Code()
    kept: list[KeptChange] = []
    before: list[Code] = []
    for serial in range(draw(st.integers(0, 14))):
        ways = possible(code)
        kind = draw(st.sampled_from(sorted({change.kind for change in ways})))
        change = draw(st.sampled_from([change for change in ways if change.kind == kind]))
        change = replace(change, previous_source=code.text(change))
        before.append(Code(code.classes))
        assert code.make(change)
        if kind == "class":
            change = replace(change, definition=code.definition(change.class_name))
        kept.append(KeptChange(serial, change))
    return kept, [*before, code]


def reapply(code: Code, plan: list[Step]) -> list[str]:
    """Do what the plan says, as the daemon does: removals again as long as that helps. List what was found."""
    found: list[str] = []
    todo = plan
    while todo:
        again = []
        for step in todo:
            state = step.state(code.text(step.change))
            found.append(state)
            if state == "missing" and not code.make(step.change):
                assert step.change.kind == "class_removed", step
                again.append(step)
        assert len(again) < len(todo), again
        todo = again
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
