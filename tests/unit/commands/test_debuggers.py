"""Suspended processes: in the list before anybody hears of them, held by one client at a time, ended in good order."""

import asyncio
from typing import Any

import pytest

from stui_sessiond.commands import kept
from stui_sessiond.errors import (
    DebuggerHeldError,
    DebuggerNotFoundError,
    ImageLostError,
    ObjectNotFoundError,
    StaleHandleError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.sessions.custody import LEASE_S, MAX_DEBUGGERS, UNTOUCHED_S
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.wire.messages.development import Debug, DebugResult
from stui_sessiond.wire.messages.kept import ListDebuggers, ListedDebugger, TakeDebugger
from tests.unit.bed.caller import TestCaller
from tests.unit.bed.house import TestStorage
from tests.unit.bed.works import Works, open_works

SUSPENDED: dict[str, Any] = {"result": None, "debug_info": {"state": "suspended"}}
FINISHED: dict[str, Any] = {"result": "42", "debug_info": {"state": "finished"}}
TERMINATED: dict[str, Any] = {"result": None, "debug_info": {"state": "terminated"}}
ADA, BOB = TestCaller(client_id="ada"), TestCaller(client_id="bob")


def halted(own: str) -> dict[str, Any]:
    """How an image answers when code met an error and waits."""
    error = {"class": "Halt", "message": "stop", "debugger_id": own}
    return {"result": None, "result_type": "Halt", "execution_time": 1, "has_error": True, "error": error}


async def suspend(works: Works, session_id: SessionId, own: str = "d1", key: str | None = None) -> str:
    """Let code meet an error and wait; the name that clients get."""
    running = works.run(session_id, key, code="self halt", on_error="suspend", tool_id="w")
    works.answer(await works.asked(), halted(own))
    error = (await running).error
    assert error is not None
    name = error.debugger_id  # type: ignore[union-attr]  # it has an error
    assert isinstance(name, str)
    return name


def debug(
    works: Works, session_id: SessionId, name: str, operation: str = "StepOver", by: TestCaller = ADA, key: str = ""
) -> "asyncio.Future[DebugResult]":
    """Do something with a process."""
    asked = Debug(operation=operation, debugger_id=name, session_id=session_id, idempotency_key=key)
    return asyncio.ensure_future(works.relay.run(by, "debug", asked, DebugResult))


async def step(works: Works, session_id: SessionId, name: str, by: TestCaller = ADA) -> None:
    """Do one step, whole."""
    running = debug(works, session_id, name, by=by)
    works.answer(await works.asked(), SUSPENDED)
    await running


async def listed(works: Works, session_id: SessionId) -> list[ListedDebugger]:
    """What `list_debuggers` says."""
    return (await works.kept.debuggers.list_debuggers(ADA, ListDebuggers(session_id))).debuggers


async def events(works: Works, session_id: SessionId) -> list[tuple[str, Any]]:
    """What was told of processes: which kind, and who holds it or how it ended."""
    await works.kept.debuggers._tasks.drain(None)
    await works.settle()
    log = await works.house.log(session_id)
    told = [event for event in log if event.name.startswith("debugger.")]
    return [(event.name[9:], event.data.get("how", event.data.get("holder"))) for event in told]


async def test_process_is_on_disk_before_anybody_hears_of_it() -> None:
    """Also for a request without a key: whoever knows the name finds it in the list, after a crash too."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(image_id="pharo")
        running = works.run(session_id, code="self halt", on_error="suspend")
        asked = await works.asked()
        await works.house.keeper.settle()
        while works.relay._notes and len(works.relay._notes):
            await works.relay._notes.drain(None)
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        works.answer(asked, halted("d1"))
        await storage.saving.get()
        assert not running.done()
        storage.gate.set()
        await running
        (found,) = await listed(works, session_id)
        assert (found.error_class, found.error_message, found.state, found.holder) == (
            "Halt",
            "stop",
            "suspended",
            None,
        )
        assert await events(works, session_id) == [("opened", None)]


async def test_who_works_with_a_process_holds_it() -> None:
    """Others are told who and until when; they may look; when the lease is over it is told, and free."""
    async with open_works() as works:
        session_id = await works.house.create()
        name = await suspend(works, session_id)
        await step(works, session_id, name)
        with pytest.raises(DebuggerHeldError) as caught:
            await debug(works, session_id, name, by=BOB)
        assert caught.value.details["holder"] == "ada"
        looking = debug(works, session_id, name, "GetStackTrace", by=BOB)
        works.answer(await works.asked(), SUSPENDED)
        await looking
        (found,) = await listed(works, session_id)
        assert found.holder == "ada"
        works.house.clock.pass_time(LEASE_S)
        works.kept.sweep()
        assert [one.holder for one in await listed(works, session_id)] == [None]
        await step(works, session_id, name, by=BOB)
        assert await events(works, session_id) == [("opened", None), ("held", "ada"), ("held", None), ("held", "bob")]


async def test_process_that_ends() -> None:
    """It is listed no more, the report of its error is; whoever comes later is told that it does not wait."""
    async with open_works() as works:
        session_id = await works.house.create()
        name = await suspend(works, session_id, key="k")
        running = debug(works, session_id, name, "Continue")
        works.answer(await works.asked(), FINISHED)
        assert (await running).result == "42"
        assert await listed(works, session_id) == []
        with pytest.raises(DebuggerNotFoundError):
            await debug(works, session_id, name)
        with pytest.raises(DebuggerNotFoundError):
            await works.kept.debuggers.take(ADA, TakeDebugger(session_id, name))
        assert works.waiting == 0
        assert await events(works, session_id) == [("opened", None), ("held", "ada"), ("closed", "finished")]
        entry = await works.book.recall(session_id, "k")
        assert entry is not None
        assert entry.debugger_id is None
        assert name in (entry.result or "")
        assert works.house.custody.places() == []


async def test_operation_that_is_repeated() -> None:
    """A repeat with the key gets the first outcome, though the process has ended and somebody else may hold it."""
    async with open_works() as works:
        session_id = await works.house.create()
        name = await suspend(works, session_id)
        running = debug(works, session_id, name, "Continue", key="k")
        works.answer(await works.asked(), FINISHED)
        await running
        assert (await debug(works, session_id, name, "Continue", key="k")).result == "42"
        assert works.waiting == 0


async def test_process_that_ends_while_the_link_is_broken() -> None:
    """The image tells later, and the process is closed then; the lease has begun when the link broke."""
    async with open_works() as works:
        session_id = await works.house.create()
        name = await suspend(works, session_id)
        running = debug(works, session_id, name, "Continue")
        asked = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        assert [(one.state, one.holder) for one in await listed(works, session_id)] == [("image_away", "ada")]
        works.connect("i-1")
        works.answer(asked, FINISHED)
        assert await events(works, session_id) == [("opened", None), ("held", "ada"), ("closed", "finished")]
        assert await listed(works, session_id) == []


async def test_process_that_the_image_does_not_have() -> None:
    """The client hears what the image says, and the process is lost."""
    async with open_works() as works:
        session_id = await works.house.create()
        name = await suspend(works, session_id)
        running = debug(works, session_id, name)
        works.answer(await works.asked(), code="object_not_found", error="no such process")
        with pytest.raises(ObjectNotFoundError):
            await running
        assert (await events(works, session_id))[-1] == ("closed", "lost")


async def test_process_of_an_instance_that_is_gone() -> None:
    """With another instance of the image it is lost; whoever asks for it is told that it is stale."""
    async with open_works() as works:
        session_id = await works.house.create()
        name = await suspend(works, session_id)
        works.disconnect()
        works.connect("i-2")
        with pytest.raises(StaleHandleError):
            await debug(works, session_id, name)
        with pytest.raises(StaleHandleError):
            await works.kept.debuggers.take(ADA, TakeDebugger(session_id, name))
        assert works.waiting == 0
        assert await events(works, session_id) == [("opened", None), ("closed", "lost")]
        assert await listed(works, session_id) == []
        assert works.house.custody.places() == []


async def test_process_that_nobody_touches() -> None:
    """It is ended in the image after a day, and told; not while the image is away, but when it is back."""
    async with open_works() as works:
        session_id = await works.house.create(timeout_s=10 * UNTOUCHED_S)
        name = await suspend(works, session_id)
        works.house.clock.pass_time(UNTOUCHED_S)
        works.disconnect()
        works.kept.sweep()
        assert len(await listed(works, session_id)) == 1
        works.connect("i-1")
        works.kept.sweep()
        works.kept.sweep()
        asked = await works.asked()
        assert (asked["command"], asked["parameters"]) == (
            "debug",
            {"session_id": session_id, "tool_id": "w", "operation": "Terminate", "debugger_id": "d1"},
        )
        assert asked["id"].startswith("n-")
        assert await events(works, session_id) == [("opened", None), ("closed", "expired")]
        assert works.waiting == 0
        with pytest.raises(DebuggerNotFoundError):
            await debug(works, session_id, name)


async def test_session_with_too_many_processes() -> None:
    """The one that was not touched for the longest is ended."""
    async with open_works() as works:
        session_id = await works.house.create()
        for number in range(MAX_DEBUGGERS + 1):  # all of them under the same id of the connection
            await suspend(works, session_id, f"d{number}")
        works.kept.sweep()
        assert (await works.asked())["parameters"]["debugger_id"] == "d0"
        await works.kept.debuggers._tasks.drain(None)
        assert len(await listed(works, session_id)) == MAX_DEBUGGERS


async def test_process_after_a_restart_of_the_daemon() -> None:
    """It is in the list, held by nobody, and ended when its time is over: the arrival of its image brings it back."""
    storage = MemoryStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(timeout_s=10 * UNTOUCHED_S)
        name = await suspend(works, session_id)
        await step(works, session_id, name)
        clock = works.house.clock
    async with open_works(storage, clock, instance_id=None) as works:
        (found,) = await listed(works, session_id)
        assert (found.debugger_id, found.state, found.holder) == (name, "image_away", None)
        works.connect("i-1")
        await works.settle()
        assert [one.state for one in await listed(works, session_id)] == ["suspended"]
        await step(works, session_id, name, by=BOB)
        clock.pass_time(UNTOUCHED_S)
        works.kept.sweep()
        assert (await works.asked())["parameters"]["operation"] == "Terminate"
        assert (await events(works, session_id))[-1] == ("closed", "expired")


async def test_process_that_is_taken_over() -> None:
    """The owner may at once; an editor when the holder is not attached to the session."""
    async with open_works() as works:
        session_id = await works.house.create("owner")
        name = await suspend(works, session_id)
        await works.house.listen(session_id, ADA)
        take = works.kept.debuggers.take
        assert (await take(ADA, TakeDebugger(session_id, name))).holder == "ada"
        with pytest.raises(DebuggerHeldError):
            await take(BOB, TakeDebugger(session_id, name, "take_over"))
        owner = TestCaller(client_id="owner")
        assert (await take(owner, TakeDebugger(session_id, name, "take_over"))).holder == "owner"
        assert (await take(ADA, TakeDebugger(session_id, name, "take_over"))).holder == "ada", (
            "the owner is not attached"
        )
        works.house.feed.unsubscribe(session_id, ADA, "unsubscribed")
        assert (await take(BOB, TakeDebugger(session_id, name, "take_over"))).holder == "bob"
        released = await take(BOB, TakeDebugger(session_id, name, "release"))
        assert (released.holder, released.lease_ends_at) == (None, None)
        told = [holder for kind, holder in await events(works, session_id) if kind == "held"]
        assert told == ["ada", "owner", "ada", "bob", None]


async def test_session_that_is_closed_with_its_processes() -> None:
    """They are told as ended, with the session in one write; reopened, it has none."""
    async with open_works() as works:
        session_id = await works.house.create()
        await suspend(works, session_id)
        await works.house.manager.end(session_id, keep=True)
        works.kept.sweep()
        await works.kept.debuggers._tasks.drain(None)
        assert works.house.custody.places() == []
        assert works.waiting == 0
        assert works.house.names(session_id)[-2:] == ["debugger.closed", "session.closed"]
        await works.house.manager.restore(session_id, reopen=True)
        assert await listed(works, session_id) == []


async def test_terminate_that_is_asked_for() -> None:
    """The process is closed as terminated; the image ran its `ensure:` blocks."""
    async with open_works() as works:
        session_id = await works.house.create()
        name = await suspend(works, session_id)
        running = debug(works, session_id, name, "Terminate")
        works.answer(await works.asked(), TERMINATED)
        await running
        assert (await events(works, session_id))[-1] == ("closed", "terminated")


async def test_process_that_meets_its_error_when_its_session_is_over() -> None:
    """It is ended in the image, and the session has none when it is reopened."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, code="self halt", on_error="suspend")
        asked = await works.asked()
        await works.house.manager.end(session_id, keep=True)
        works.kept.end_session(works.house.keeper.find(session_id).header)
        assert (await works.asked())["command"] == "release_session"
        works.answer(asked, halted("d1"))
        await running
        works.kept.sweep()
        assert (await works.asked())["parameters"]["operation"] == "Terminate"
        await works.kept.debuggers._tasks.drain(None)
        assert works.house.custody.places() == []
        assert await listed(works, session_id) == []


async def test_session_that_ends_while_its_image_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image is told when it is back; not of a session that was reopened, nor of more than the daemon keeps."""
    monkeypatch.setattr(kept, "MAX_OWED", 2)
    async with open_works() as works:
        sessions = [await works.house.create(image_id="pharo") for _ in range(4)]
        works.disconnect()
        for session_id in sessions:
            header = await works.house.manager.end(session_id, keep=session_id == sessions[-1])
            works.kept.end_session(header)
        await works.house.manager.restore(sessions[-1], reopen=True)
        works.connect("i-1")
        works.kept.sweep()
        works.kept.sweep()
        told = await works.asked()
        assert (told["command"], told["parameters"]) == ("release_session", {"session_id": sessions[2]})
        assert works.waiting == 0
