"""Changes of code through the daemon: written down before the client hears, in order, whatever goes meanwhile."""

import asyncio
from typing import Any

import msgspec
import pytest

from stui_sessiond.commands.table import Caller
from stui_sessiond.errors import (
    CodeConflictError,
    CompileError,
    EvaluationForbiddenError,
    ImageLostError,
    ImageTimeoutError,
    ParameterError,
    StorageFullError,
    StuiError,
)
from stui_sessiond.ids import ImageId
from stui_sessiond.model.code_change import KeptChange
from stui_sessiond.security.policy import PolicyRules
from stui_sessiond.sessions.hub import Topic
from stui_sessiond.wire.forms import PushedEvent
from stui_sessiond.wire.messages import code as wire
from stui_sessiond.wire.messages import mirror
from tests.unit.bed.caller import TestCaller
from tests.unit.bed.house import Listener
from tests.unit.bed.works import Json, Works, open_works

DONE: Json = {
    "class_name": "Counter",
    "selector": "next",
    "is_class_method": False,
    "category": "counting",
    "previous_source": "next ^ 0",
}
SOURCE = "next ^ 1"


def compiling(
    works: Works,
    session_id: str | None = None,
    **more: Any,  # noqa: ANN401 -- any JSON
) -> "asyncio.Task[wire.CompileMethodResult]":
    """Ask for a method to be compiled."""
    told = {"class_name": "Counter", "source": SOURCE, "session_id": session_id, "image_id": "pharo", **more}
    asked = msgspec.convert(told, wire.CompileMethod)
    return asyncio.ensure_future(works.code.compile_method(works.caller, asked))


async def kept_in(works: Works, image_id: str = "pharo") -> list[KeptChange]:
    """What is kept, once all that images told has arrived."""
    await works.mirror._tasks.drain(None)
    return list(await works.changes.all(ImageId(image_id)))


async def sources_in(works: Works) -> list[str | None]:
    """The sources that are kept."""
    return [kept.change.source for kept in await kept_in(works)]


def tell(works: Works, session_id: str | None = None, **data: object) -> None:
    """Let the image tell of a change that somebody made in it."""
    told = {"kind": "method", "class_name": "Counter", "selector": "next", "source": "told", **data}
    works.image_commands.pass_on(works.link, PushedEvent("code_changed", session_id, msgspec.json.encode(told)))


def listening(works: Works, *topics: Topic) -> Listener:
    """Somebody who hears of topics."""
    listener = Listener(role="client")
    for topic in topics:
        works.house.hub.listen(topic, listener, deltas=False)
    return listener


# ---- through the daemon


async def test_change_is_durable_before_the_client_hears_of_it() -> None:
    """As long as it is being written there is no answer and no event."""
    async with open_works() as works:
        listener = listening(works, Topic("image", "pharo"))
        works.changes.gate = asyncio.Event()
        running = compiling(works)
        works.answer(await works.asked(), DONE)
        await works.changes.appending.get()
        assert (running.done(), listener.names) == (False, [])
        works.changes.gate.set()
        result = await running
        [kept] = await kept_in(works)
        assert result.change_id == kept.change_id
        assert listener.names == ["image.code_changed"]


async def test_change_is_kept_with_all_that_is_known_of_it() -> None:
    """Who, when, in which instance, what it was and what it is."""
    async with open_works() as works:
        session_id = await works.house.create(image_id="pharo")
        works.house.clock.pass_time(7)
        running = compiling(works, session_id, image_id=None)
        request = await works.asked()
        assert {"image_id", "timeout"}.isdisjoint(request["parameters"])
        works.answer(request, DONE)
        await running
        [kept] = await kept_in(works)
        change = kept.change
        assert (change.client_id, change.session_id, change.origin) == ("ada", session_id, "client")
        assert (change.image_id, change.instance_id, change.at) == ("pharo", "i-1", works.house.clock.now)
        assert (change.source, change.previous_source, change.category) == (SOURCE, "next ^ 0", "counting")


async def test_change_is_told_without_sources() -> None:
    """To those who listen to the image and to all, once each; and in the session it was made in."""
    async with open_works() as works:
        session_id = await works.house.create(image_id="pharo")
        listener = listening(works, Topic("all"), Topic("image", "pharo"))
        elsewhere = listening(works, Topic("image", "squeak"))
        running = compiling(works, session_id)
        works.answer(await works.asked(), DONE)
        change_id = (await running).change_id
        told = [heard for heard in listener.by_session[None] if heard.name == "image.code_changed"]
        assert [heard.data for heard in told] == [
            {
                "image_id": "pharo",
                "instance_id": "i-1",
                "change_id": change_id,
                "kind": "method",
                "class_name": "Counter",
                "selector": "next",
                "is_class_method": False,
                "category": "counting",
                "origin": "client",
                "client_id": "ada",
            }
        ]
        assert elsewhere.names == []
        assert await works.data(session_id, "image.code_changed") == told[0].data


@pytest.mark.parametrize(
    ("command", "parameters", "answer", "kept"),
    [
        (
            "remove_method",
            wire.RemoveMethod(image_id="pharo", class_name="C", method_name="x", is_class_method=True),
            {"removed": True, "previous_source": "x ^ 1"},
            ("method_removed", "x", True, None, None, "x ^ 1"),
        ),
        (
            "define_class",
            wire.DefineClass(image_id="pharo", tool_id="t", class_name="C", instance_vars=["a"], base_definition="old"),
            {"class_name": "C", "definition": "new", "previous_definition": "old"},
            (
                "class",
                None,
                False,
                '{"class_name":"C","superclass":"Object","instance_vars":["a"],"class_vars":[]}',
                "new",
                "old",
            ),
        ),
        (
            "remove_class",
            wire.RemoveClass(image_id="pharo", class_name="C"),
            {"removed": True, "previous_definition": "old"},
            ("class_removed", None, False, None, None, "old"),
        ),
    ],
)
async def test_other_changes_are_kept(command: str, parameters: Any, answer: Json, kept: tuple[Any, ...]) -> None:  # noqa: ANN401 -- of any of them
    """What a class was defined with is kept as text, without whom it was for."""
    async with open_works() as works:
        running = asyncio.ensure_future(getattr(works.code, command)(works.caller, parameters))
        works.answer(await works.asked(), answer)
        assert (await running).change_id
        [found] = await kept_in(works)
        change = found.change
        assert change.class_name == "C"
        told = (change.kind, change.selector, change.is_class_method, change.source, change.definition)
        assert (*told, change.previous_source) == kept


async def test_nothing_removed_is_no_change() -> None:
    """There is no id then."""
    async with open_works() as works:
        parameters = wire.RemoveMethod(image_id="pharo", class_name="C", method_name="x")
        running = asyncio.ensure_future(works.code.remove_method(works.caller, parameters))
        works.answer(await works.asked(), {"removed": False})
        assert (await running).change_id is msgspec.UNSET
        assert await kept_in(works) == []


async def test_source_that_does_not_compile_is_no_change() -> None:
    """The image's own words come back."""
    async with open_works() as works:
        running = compiling(works)
        works.answer(await works.asked(), error="no", code="compile_error")
        with pytest.raises(CompileError):
            await running
        assert await kept_in(works) == []


@pytest.mark.parametrize("failure", [StorageFullError("the disk is full"), StuiError("a fault")])
async def test_change_that_cannot_be_written_down_is_told_as_made(failure: StuiError) -> None:
    """The client learns that the image has it and the list has not; nothing is told of it."""
    async with open_works() as works:
        listener = listening(works, Topic("all"))
        works.changes.failure = failure
        running = compiling(works)
        works.answer(await works.asked(), DONE)
        with pytest.raises(type(failure)) as caught:
            await running
        if isinstance(failure, StorageFullError):
            assert "has made the change" in caught.value.message
            assert caught.value.details == {"image_id": "pharo", "made": True}
        assert (await kept_in(works), listener.names) == ([], [])
        works.changes.failure = None
        again = compiling(works)
        works.answer(await works.asked(), DONE)
        assert (await again).change_id


async def test_policy_sees_the_source_of_a_method() -> None:
    """Code that is forbidden is not compiled either."""
    async with open_works() as works:
        works.policy.replace(PolicyRules(forbid=("Smalltalk quit",)))
        with pytest.raises(EvaluationForbiddenError):
            await compiling(works, source="bye Smalltalk quit")
        assert works.waiting == 0


# ---- conflicts


async def conflict(works: Works, **asked: Any) -> Json:  # noqa: ANN401 -- any JSON
    """Let the image refuse a change; give the details of the error."""
    present = asked.pop("present")
    running = compiling(works, **asked)
    request = await works.asked()
    works.conflict(request, present)
    with pytest.raises(CodeConflictError) as caught:
        await running
    return dict(caught.value.details)


async def test_conflict_is_explained() -> None:
    """What both did is merged where it can be; line ends make no difference."""
    async with open_works() as works:
        base, yours, present = "next\r\t^ 1\r\r", "next\n\t| a |\n\t^ 1\n\n", 'next\n\t^ 1\n\n\t"one"'
        details = await conflict(works, base_source=base, source=yours, present=present)
        assert details == {
            "image_id": "pharo",
            "present": present,
            "base": "next\n\t^ 1\n\n",
            "yours": yours,
            "merged": 'next\n\t| a |\n\t^ 1\n\n\t"one"',
            "conflicts": [],
        }


async def test_conflict_of_the_same_lines_is_listed() -> None:
    """There is no merge then."""
    async with open_works() as works:
        details = await conflict(works, base_source="a\nb", source="a\nc", present="a\nd")
        assert details["merged"] is None
        assert details["conflicts"] == [{"base": ["b"], "yours": ["c"], "present": ["d"]}]


@pytest.mark.parametrize(("base", "present"), [("a", None), (None, "b"), ("a", 7)])
async def test_conflict_without_one_of_the_texts(base: str | None, present: object) -> None:
    """There is nothing to merge; an image that says nonsense is taken to say nothing."""
    async with open_works() as works:
        details = await conflict(works, base_source=base, source="mine", present=present)
        assert (details["merged"], details["conflicts"]) == (None, [])
        assert details["present"] == (present if isinstance(present, str) else None)


async def test_two_clients_with_the_same_base() -> None:
    """The image decides: one change is kept, the other client gets both texts."""
    async with open_works() as works:
        first, second = compiling(works, base_source="next ^ 0"), compiling(works, base_source="next ^ 0", source="two")
        one, two = await works.asked(), await works.asked()
        works.answer(one, DONE)
        works.conflict(two, SOURCE)
        assert (await first).selector == "next"
        with pytest.raises(CodeConflictError):
            await second
        assert await sources_in(works) == [SOURCE]


# ---- late answers


async def test_change_that_comes_late_is_written_down() -> None:
    """The client has stopped waiting; the change is made all the same."""
    async with open_works() as works:
        running = compiling(works, timeout=0.001)
        request = await works.asked()
        with pytest.raises(ImageTimeoutError):
            await running
        works.answer(request, DONE)
        await works.changes.appending.get()
        assert await sources_in(works) == [SOURCE]


async def test_change_over_the_next_link_is_written_down() -> None:
    """The client was told that nobody knows; now somebody does. Said twice it is one change."""
    async with open_works() as works:
        running = compiling(works)
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect()
        works.answer(request, DONE)
        works.answer(request, DONE)
        await works.changes.appending.get()
        assert await sources_in(works) == [SOURCE]


async def test_answer_of_another_instance_is_no_change() -> None:
    """It has none of the code that the one before had."""
    async with open_works() as works:
        running = compiling(works)
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect("i-2")
        works.answer(request, DONE)
        assert await kept_in(works) == []


# ---- what images tell


async def test_changes_are_in_the_order_of_the_image() -> None:
    """What it answers and what it tells, in the order in which it said so, however many wait for the disk."""
    async with open_works() as works:
        works.changes.gate = asyncio.Event()
        running = [compiling(works, source=f"source {number}") for number in range(3)]
        requests = [await works.asked() for _ in running]
        tell(works, source="told 0")
        for number, request in enumerate(requests, start=1):
            works.answer(request, DONE)
            tell(works, source=f"told {number}")
        await works.changes.appending.get()
        works.changes.gate.set()
        await asyncio.gather(*running)
        wanted = ["told 0", "source 0", "told 1", "source 1", "told 2", "source 2", "told 3"]
        assert await sources_in(works) == wanted


async def test_change_that_an_image_tells_is_kept_and_told() -> None:
    """It needs no session; with one of its own the session's log has it as well, as the image said it."""
    async with open_works() as works:
        session_id = await works.house.create(image_id="pharo")
        listener = listening(works, Topic("image", "pharo"))
        tell(works)
        tell(works, session_id, kind="class", selector=None, source="Object subclass: C")
        first, second = await kept_in(works)
        assert (first.change.origin, first.change.session_id, first.change.client_id) == ("image", None, None)
        assert (second.change.session_id, second.change.definition) == (session_id, "Object subclass: C")
        told = [heard.data for heard in listener.by_session[None]]
        assert [(data["change_id"], data["origin"]) for data in told] == [
            (first.change_id, "image"),
            (second.change_id, "image"),
        ]
        assert (await works.data(session_id, "code_changed"))["source"] == "Object subclass: C"


async def test_change_for_a_session_of_another_image_is_kept_without_it() -> None:
    """An image may speak of its own code, and not of others' sessions."""
    async with open_works() as works:
        foreign = await works.house.create(image_id="squeak")
        tell(works, foreign)
        [kept] = await kept_in(works)
        assert kept.change.session_id is None
        await works.settle()
        assert "code_changed" not in works.house.names(foreign)


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "other"},
        {"class_name": ""},
        {"class_name": None},
        {"selector": None},
        {"selector": 7},
        {"source": None},
        {"kind": "method_removed"},
        {"kind": "class"},
        {"kind": "class_removed", "selector": None},
        {"is_class_method": "yes"},
    ],
)
async def test_change_that_is_not_as_agreed_is_dropped(data: Json) -> None:
    """It is counted, and harms nobody."""
    async with open_works() as works:
        tell(works, **data)
        assert (await kept_in(works), works.link.tally.events_dropped) == ([], 1)


async def test_flood_of_changes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one image tells beyond the bound while the disk is busy is dropped and counted; clients go on."""
    monkeypatch.setattr("stui_sessiond.commands.mirror.MAX_PUSHED_WAITING_BYTES", 10_000)
    async with open_works() as works:
        works.changes.gate = asyncio.Event()
        for _ in range(100):
            tell(works, source="x" * 500)
        running = compiling(works)
        works.answer(await works.asked(), DONE)
        await works.changes.appending.get()
        works.changes.gate.set()
        assert (await running).change_id
        sources = await sources_in(works)
        assert sources.count("x" * 500) == 10
        assert works.link.tally.events_dropped == 90


async def test_told_change_that_cannot_be_written_down_is_counted() -> None:
    """Nobody waits for it."""
    async with open_works() as works:
        works.changes.failure = StorageFullError("the disk is full")
        tell(works)
        assert (await kept_in(works), works.link.tally.events_dropped) == ([], 1)


# ---- the list


async def listed(works: Works, caller: Caller, **asked: Any) -> mirror.ListCodeChangesResult:  # noqa: ANN401 -- any JSON
    """List changes."""
    await works.mirror._tasks.drain(None)
    return await works.mirror.list_code_changes(caller, mirror.ListCodeChanges("pharo", **asked))


async def test_list_of_changes_goes_on_after_one() -> None:
    """The oldest first; what is not an id is refused."""
    async with open_works() as works:
        for number in range(3):
            tell(works, source=str(number))
        first = await listed(works, works.caller, limit=2)
        assert ([change.source for change in first.changes], first.more) == (["0", "1"], True)
        rest = await listed(works, works.caller, after=first.changes[-1].change_id)
        assert ([change.source for change in rest.changes], rest.more) == (["2"], False)
        with pytest.raises(ParameterError):
            await listed(works, works.caller, after="nonsense")


async def test_list_of_changes_names_a_session_only_to_those_in_it() -> None:
    """A session's id lets in whoever does not say who it is."""
    async with open_works() as works:
        session_id = await works.house.create(image_id="pharo")
        running = compiling(works, session_id)
        works.answer(await works.asked(), DONE)
        await running
        callers = [
            TestCaller("observe", client_id="ada"),
            TestCaller("observe", "admin"),
            TestCaller("observe", client_id="bob"),
            TestCaller("observe"),
        ]
        told = [(await listed(works, caller)).changes[0].session_id for caller in callers]
        assert told == [session_id, session_id, None, None]
