"""Changes that an image lost are made again: looked at first, one after the other, nothing overwritten unasked."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from stui_sessiond.errors import ImageUnavailableError, ParameterError, StorageFullError
from stui_sessiond.ids import ImageId, InstanceId
from stui_sessiond.model.code_change import CodeChange
from stui_sessiond.security.policy import PolicyRules
from stui_sessiond.wire.messages import mirror as wire
from tests.unit.bed.works import Json, Works, open_works

METHOD = CodeChange(
    image_id=ImageId("pharo"),
    instance_id=InstanceId("i-0"),
    generation=1,
    at=1.0,
    kind="method",
    class_name="Counter",
    selector="next",
    category="counting",
    source="next ^ 1",
    previous_source="next ^ 0",
)
GONE = replace(METHOD, selector="old", kind="method_removed", source=None, previous_source="old ^ 1")
CLASS = replace(
    METHOD,
    selector=None,
    kind="class",
    source='{"class_name":"Counter","superclass":"Object","instance_vars":["a"]}',
    definition="Object subclass: Counter",
    previous_source=None,
)
NO_CLASS = replace(METHOD, selector=None, class_name="Gone", kind="class_removed", source=None, previous_source="Gone!")


class FakeCode:
    """What the image has, by class and selector; it answers like an image, and notes what it was asked to change."""

    def __init__(self, works: Works, texts: dict[tuple[str, str | None], str] | None = None) -> None:
        self.works = works
        self.texts = texts or {}
        self.made: list[tuple[str, Json]] = []
        self.before: dict[str, Any] = {}
        """What happens right before the image carries out a request."""
        self.below: dict[str, list[str]] = {}
        """Classes below a class; it cannot be removed while they are there."""
        self.task = asyncio.ensure_future(self._answer())

    async def _answer(self) -> None:
        while True:
            request = await self.works.asked()
            command, asked = request["command"], request["parameters"]
            if command in self.before:
                self.before.pop(command)()
            place = asked["class_name"], asked.get("method_name")
            present = self.texts.get(place)
            if command == "get_method" and present is not None:
                self.works.answer(request, {"method": {"name": place[1], "source": present}})
            elif command == "browse_class" and present is not None:
                self.works.answer(request, {"class_info": {"name": place[0], "definition": present}})
            elif command in {"get_method", "browse_class"}:
                missing = "method_not_found" if (place[0], None) in self.texts and place[1] else "class_not_found"
                self.works.answer(request, error="none", code=missing)
            else:
                self._change(request, command, asked)

    def _change(self, request: Json, command: str, asked: Json) -> None:
        selector = asked.get("method_name") or (asked["source"].split()[0] if "source" in asked else None)
        place = asked["class_name"], selector
        base = asked.get("base_source", asked.get("base_definition"))
        if base != self.texts.get(place, ""):
            self.works.conflict(request, self.texts.get(place))
            return
        if asked.get("source") == "bad":
            self.works.answer(request, error="it does not compile", code="compile_error")
            return
        if command == "remove_class" and any((name, None) in self.texts for name in self.below.get(place[0], ())):
            self.works.answer(request, error="it has subclasses", code="invalid_parameters")
            return
        self.made.append((command, asked))
        if command == "compile_method":
            self.texts[place] = asked["source"]
            self.works.answer(request, {"class_name": place[0], "selector": selector, "previous_source": base or None})
        elif command == "define_class":
            self.texts[place] = f"{asked['superclass']} subclass: {place[0]}"
            self.works.answer(request, {"class_name": place[0], "definition": self.texts[place]})
        else:
            del self.texts[place]
            self.works.answer(request, {"removed": True, "previous_source": base, "previous_definition": base})

    @property
    def commands(self) -> list[str]:
        """The commands that changed something."""
        return [command for command, _ in self.made]


async def reapply(works: Works, **more: Any) -> wire.ReapplyCodeChangesResult:  # noqa: ANN401 -- any JSON
    """Ask for it."""
    return await works.reapply.reapply_code_changes(works.caller, wire.ReapplyCodeChanges("pharo", **more))


def rows(result: wire.ReapplyCodeChangesResult) -> list[tuple[str, str | None, str | None, str]]:
    """Class, selector, state and outcome of each."""
    return [(row.class_name, row.selector, row.state, row.outcome) for row in result.changes]


OLD = {("Counter", "next"): "next ^ 0", ("Counter", "old"): "old ^ 1", ("Gone", None): "Gone!"}
ALL = [NO_CLASS, GONE, METHOD, CLASS]


async def test_missing_changes_are_made_again() -> None:
    """In an order that works, with what was looked at as base; a second time there is nothing to do."""
    async with open_works() as works:
        code = FakeCode(works, {**OLD})
        await works.changes.append(ALL)
        result = await reapply(works)
        assert rows(result) == [
            ("Counter", None, "missing", "applied"),
            ("Counter", "old", "missing", "applied"),
            ("Counter", "next", "missing", "applied"),
            ("Gone", None, "missing", "applied"),
        ]
        assert result.applied == 4
        assert code.commands == ["define_class", "remove_method", "compile_method", "remove_class"]
        assert code.made[0][1]["instance_vars"] == ["a"]
        assert code.made[2][1]["category"] == "counting"
        assert code.texts == {("Counter", None): "Object subclass: Counter", ("Counter", "next"): "next ^ 1"}
        again = await reapply(works)
        assert [row.outcome for row in again.changes] == ["not_needed"] * 4
        assert (again.applied, len(code.made)) == (0, 4)


async def test_dry_run_changes_nothing() -> None:
    """It tells what would be done."""
    async with open_works() as works:
        code = FakeCode(works, {**OLD})
        await works.changes.append(ALL)
        result = await reapply(works, dry_run=True)
        assert {row.outcome for row in result.changes} == {"would_apply"}
        assert (result.applied, code.made) == (0, [])


async def test_changes_that_are_made_again_are_not_recorded_again() -> None:
    """They are the same changes."""
    async with open_works() as works:
        FakeCode(works, {**OLD})
        kept = await works.changes.append(ALL)
        await reapply(works)
        await works.mirror._tasks.drain(None)
        assert await works.changes.all(ImageId("pharo")) == kept


async def test_what_nobody_knows_is_not_overwritten() -> None:
    """Only with force, and then it is written down what was there."""
    async with open_works() as works:
        code = FakeCode(works, {**OLD, ("Counter", "next"): "next ^ 7"})
        await works.changes.append([METHOD])
        result = await reapply(works)
        assert rows(result) == [("Counter", "next", "different", "conflict")]
        assert code.made == []
        forced = await reapply(works, force=True)
        assert rows(forced) == [("Counter", "next", "different", "applied")]
        newest = (await works.changes.all(ImageId("pharo")))[-1].change
        assert (newest.previous_source, newest.source) == ("next ^ 7", "next ^ 1")
        assert (newest.client_id, newest.instance_id) == ("ada", "i-1")


async def test_forced_change_that_cannot_be_written_down() -> None:
    """It is made, and the row says what is missing."""
    async with open_works() as works:
        FakeCode(works, {("Counter", "next"): "next ^ 7"})
        await works.changes.append([METHOD])
        works.changes.failure = StorageFullError("the disk is full")
        [row] = (await reapply(works, force=True)).changes
        assert row.outcome == "applied"
        assert row.reason is not None
        assert "disk is full" in row.reason


async def test_earlier_text_of_a_method_is_known() -> None:
    """An image may have lost several changes of one method."""
    async with open_works() as works:
        code = FakeCode(works, {("Counter", "next"): "next ^ 0"})
        await works.changes.append([METHOD, replace(METHOD, source="next ^ 2", previous_source="next ^ 1")])
        assert rows(await reapply(works)) == [("Counter", "next", "missing", "applied")]
        assert code.texts == {("Counter", "next"): "next ^ 2"}


async def test_only_the_changes_that_are_named() -> None:
    """Also an older one; what is not kept is refused before anything is done."""
    async with open_works() as works:
        code = FakeCode(works, {("Counter", "next"): "next ^ 2"})
        kept = await works.changes.append(
            [METHOD, replace(METHOD, source="next ^ 2", previous_source="next ^ 1"), GONE]
        )
        result = await reapply(works, change_ids=[kept[0].change_id])
        assert rows(result) == [("Counter", "next", "missing", "applied")]
        assert code.texts == {("Counter", "next"): "next ^ 1"}
        for wrong in ("nonsense", "change_7"):
            with pytest.raises(ParameterError):
                await reapply(works, change_ids=[kept[0].change_id, wrong])
        assert len(code.made) == 1


async def test_one_change_that_cannot_be_made_does_not_stop_the_others() -> None:
    """Each says why."""
    async with open_works() as works:
        works.policy.replace(PolicyRules(forbid=("quit",)))
        code = FakeCode(works)
        bad = replace(METHOD, selector="bad", source="bad", previous_source=None)
        forbidden = replace(METHOD, selector="bye", source="bye quit", previous_source=None)
        long = replace(METHOD, selector="long", source=None, texts_omitted=True)
        damaged = replace(CLASS, class_name="Damaged", source="[]", definition="x")
        good = replace(METHOD, previous_source=None)
        await works.changes.append([bad, forbidden, long, damaged, good])
        result = await reapply(works)
        assert rows(result) == [
            ("Damaged", None, "missing", "failed"),
            ("Counter", "bad", "missing", "failed"),
            ("Counter", "bye", "missing", "failed"),
            ("Counter", "long", "different", "failed"),
            ("Counter", "next", "missing", "applied"),
        ]
        assert all(row.reason for row in result.changes[:4])
        assert code.commands == ["compile_method"]


async def test_class_is_removed_after_those_below_it() -> None:
    """The order in which they were removed need not fit what the image has now: it is tried again while that helps."""
    async with open_works() as works:
        code = FakeCode(works, {("Gone", None): "Gone!", ("Below", None): "Below!", ("Kept", None): "Kept!"})
        code.below = {"Gone": ["Below"], "Kept": ["Other"]}
        below = replace(NO_CLASS, class_name="Below", previous_source="Below!")
        kept = replace(NO_CLASS, class_name="Kept", previous_source="Kept!")
        await works.changes.append([NO_CLASS, kept, below])
        code.texts["Other", None] = "Other!"
        assert rows(await reapply(works)) == [
            ("Gone", None, "missing", "applied"),
            ("Kept", None, "missing", "failed"),
            ("Below", None, "missing", "applied"),
        ]


async def test_class_in_the_words_of_the_image_is_listed() -> None:
    """It is compared, and left to a person."""
    async with open_works() as works:
        code = FakeCode(works)
        await works.changes.append([replace(CLASS, origin="image", source=CLASS.definition)])
        assert rows(await reapply(works)) == [("Counter", None, "missing", "by_hand")]
        code.texts["Counter", None] = "Object subclass: Counter"
        assert rows(await reapply(works)) == [("Counter", None, "present", "not_needed")]
        assert code.made == []


async def test_change_in_the_meantime_is_not_overwritten() -> None:
    """Between the look and the change somebody was quicker."""
    async with open_works() as works:
        code = FakeCode(works, {**OLD})
        code.before["compile_method"] = lambda: code.texts.update({("Counter", "next"): "next ^ 9"})
        await works.changes.append([METHOD])
        assert rows(await reapply(works)) == [("Counter", "next", "missing", "conflict")]
        assert code.texts["Counter", "next"] == "next ^ 9"


async def test_image_that_goes_meanwhile_ends_it() -> None:
    """What was made is told; the rest was not tried."""
    async with open_works() as works:
        code = FakeCode(works, {**OLD})
        await works.changes.append([METHOD, GONE, replace(GONE, selector="older")])
        code.before["remove_method"] = works.disconnect
        result = await reapply(works)
        assert [row.outcome for row in result.changes] == ["applied", "failed", "failed"]
        assert result.changes[2].state is None
        assert result.changes[2].reason is not None
        assert result.changes[2].reason.startswith("not tried: ")


async def test_image_that_does_not_answer_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each of ten thousand changes would wait as long as the first."""
    monkeypatch.setattr("stui_sessiond.commands.reapply.ANSWER_TIMEOUT_S", 0.001)
    async with open_works() as works:
        await works.changes.append([METHOD, GONE])
        result = await reapply(works)
        assert [(row.state, row.outcome) for row in result.changes] == [(None, "failed"), (None, "failed")]
        assert works.waiting == 1


async def test_image_that_is_not_connected() -> None:
    """There is nothing to look at."""
    async with open_works(instance_id=None) as works:
        with pytest.raises(ImageUnavailableError):
            await reapply(works)
