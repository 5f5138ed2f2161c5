"""Objects that images keep for sessions: named, listed, used, let go of."""

import asyncio
from typing import Any

import pytest

from stui_sessiond.commands.context import ContextCommands
from stui_sessiond.errors import ImageTimeoutError, ImageUnavailableError, ObjectNotFoundError, StaleHandleError
from stui_sessiond.ids import SessionId
from stui_sessiond.sessions.handles import MAX_HANDLES, UNUSED_S
from stui_sessiond.wire.messages.context import SaveContext
from stui_sessiond.wire.messages.development import Inspect, InspectResult, ReleaseHandles, ReleaseHandlesResult
from stui_sessiond.wire.messages.kept import ListedHandle, ListHandles
from tests.unit.bed.works import SEVEN, Works, open_works

NIL: dict[str, Any] = {
    "object_info": {"class_name": "UndefinedObject", "string_representation": "nil"},
    "instance_vars": {},
}


async def keep(works: Works, session_id: SessionId, own: str, *, tool_id: str = "w") -> str:
    """Let code give an object that the image keeps under this name of its own."""
    running = works.run(session_id, code="Object new", keep=True, tool_id=tool_id)
    works.answer(await works.asked(), {**SEVEN, "handle": own})
    handle = (await running).handle
    assert isinstance(handle, str)
    return handle


def listed(works: Works, session_id: SessionId) -> list[ListedHandle]:
    """What `list_handles` says."""
    return works.kept.objects.list_handles(works.caller, ListHandles(session_id)).handles


def release(works: Works, session_id: SessionId, *handles: str) -> "asyncio.Future[ReleaseHandlesResult]":
    """Let go of objects."""
    asked = ReleaseHandles(session_id, list(handles))
    return asyncio.ensure_future(works.kept.objects.release(works.caller, asked))


def inspect(works: Works, session_id: SessionId, handle: str, **more: Any) -> "asyncio.Future[InspectResult]":  # noqa: ANN401 -- parameters
    """Look into an object."""
    asked = Inspect(session_id=session_id, handle=handle, **more)
    return asyncio.ensure_future(works.relay.ask("inspect", asked, InspectResult))


async def test_object_is_let_go_an_hour_after_its_last_use() -> None:
    """The image is told, nobody waits for its answer, and what was used meanwhile stays."""
    async with open_works() as works:
        session_id = await works.house.create()
        first, second = await keep(works, session_id, "h1"), await keep(works, session_id, "h2")
        works.house.clock.pass_time(UNUSED_S - 1)
        looking = inspect(works, session_id, second)
        works.answer(await works.asked(), NIL)
        await looking
        works.kept.sweep()
        assert works.waiting == 0
        works.house.clock.pass_time(1)
        works.kept.sweep()
        told = await works.asked()
        assert (told["command"], told["parameters"]) == (
            "release_handles",
            {"session_id": session_id, "handles": ["h1"]},
        )
        assert told["id"].startswith("n-")
        assert [one.handle for one in listed(works, session_id)] == [second]
        assert first != second


async def test_object_that_is_one_too_many() -> None:
    """The image forgets the one that was not used for the longest."""
    async with open_works() as works:
        session_id = await works.house.create()
        for number in range(MAX_HANDLES + 1):
            await keep(works, session_id, f"h{number}")
        told = await works.asked()
        assert told["parameters"]["handles"] == ["h0"]
        assert len(listed(works, session_id)) == MAX_HANDLES


async def test_object_of_an_image_that_is_away() -> None:
    """It is let go when the image is back, the same instance; another one has nothing to forget."""
    async with open_works() as works:
        session_id = await works.house.create(timeout_s=10 * UNUSED_S)
        handle = await keep(works, session_id, "h1")
        works.disconnect()
        works.house.clock.pass_time(UNUSED_S)
        works.kept.sweep()
        with pytest.raises(ImageUnavailableError):
            await release(works, session_id, handle)
        assert [one.stale for one in listed(works, session_id)] == [False]
        works.connect("i-1")
        works.kept.sweep()
        assert (await works.asked())["parameters"]["handles"] == ["h1"]
        assert listed(works, session_id) == []
        await keep(works, session_id, "h2")
        works.disconnect()
        works.connect("i-2")
        assert [one.stale for one in listed(works, session_id)] == [True]
        works.house.clock.pass_time(UNUSED_S)
        works.kept.sweep()
        assert listed(works, session_id) == []
        assert works.waiting == 0


async def test_handle_of_an_instance_that_is_gone() -> None:
    """The answer comes at once, without a word to the image, though it uses the same name again."""
    async with open_works() as works:
        session_id = await works.house.create()
        old = await keep(works, session_id, "h1")
        works.disconnect()
        works.connect("i-2")
        new = await keep(works, session_id, "h1")
        assert old != new
        with pytest.raises(StaleHandleError):
            await inspect(works, session_id, old)
        assert works.waiting == 0
        running = release(works, session_id, old, new)
        asked = await works.asked()
        assert asked["parameters"]["handles"] == ["h1"]
        works.answer(asked, {"released": 99})
        assert (await running).released == 2, "an image cannot have forgotten more than it was asked to"
        assert listed(works, session_id) == []


async def test_release_that_the_image_does_not_answer() -> None:
    """What is not known to be forgotten stays in the list."""
    async with open_works() as works:
        session_id = await works.house.create()
        handle = await keep(works, session_id, "h1")
        running = release(works, session_id, handle)
        works.answer(await works.asked(), code="image_is_tired", error="not now")
        with pytest.raises(Exception, match="not now"):
            await running
        assert [one.handle for one in listed(works, session_id)] == [handle]
        assert not isinstance(running.exception(), ImageTimeoutError)


async def test_handle_that_only_the_image_knows() -> None:
    """After a restart of the daemon a handle works still, and is in the list when it was used."""
    async with open_works() as works:
        session_id = await works.house.create()
        handle = await keep(works, session_id, "h1")
        works.kept.objects.end_session(session_id)  # what a restart forgets
        through = inspect(works, session_id, handle, path=["1"])
        works.answer(await works.asked(), NIL)
        await through
        assert listed(works, session_id) == [], "what was shown is another object"
        looking = inspect(works, session_id, handle, tool_id="w")
        works.answer(await works.asked(), NIL)
        await looking
        (found,) = listed(works, session_id)
        assert (found.handle, found.class_name, found.expression, found.tool_id) == (
            handle,
            "UndefinedObject",
            None,
            "w",
        )


async def test_object_that_the_image_dropped() -> None:
    """The client hears it, and the list has it no more; a path that leads nowhere says nothing about the object."""
    async with open_works() as works:
        session_id = await works.house.create()
        handle = await keep(works, session_id, "h1")
        for details, left in (({"path": ["1"]}, 1), ({}, 0)):
            looking = inspect(works, session_id, handle, path=["1", "2"])
            asked = await works.asked()
            failure: dict[str, Any] = {"code": "object_not_found", "error": "no", "details": details}
            works.answer(asked, **failure)
            with pytest.raises(ObjectNotFoundError):
                await looking
            assert len(listed(works, session_id)) == left


async def test_objects_of_a_session_that_is_over() -> None:
    """They are not told one by one: the image forgets them with the session."""
    async with open_works() as works:
        session_id = await works.house.create()
        await keep(works, session_id, "h1")
        await works.house.manager.end(session_id, keep=True)
        works.kept.sweep()
        works.house.clock.pass_time(UNUSED_S)
        works.kept.sweep()
        assert listed(works, session_id) == []
        assert works.waiting == 0


async def test_late_answer_with_a_handle() -> None:
    """An object that was kept while the link was broken is in the list as if it had not been."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k", code="Object new", keep=True)
        asked = await works.asked()
        works.disconnect()
        with pytest.raises(Exception, match="broke"):
            await running
        works.connect("i-1")
        works.answer(asked, {**SEVEN, "handle": "h1"})
        await works.settle()
        (found,) = listed(works, session_id)
        assert (found.expression, found.string_representation) == ("Object new", "7")
        again = await works.run(session_id, "k", code="Object new", keep=True)
        assert again.handle == found.handle


async def test_objects_are_stored_with_the_context_of_their_tool() -> None:
    """What the daemon knows of them, if the image tells of none; what the image tells, otherwise."""
    async with open_works() as works:
        contexts = ContextCommands(works.house.manager, works.relay, works.kept.objects)
        session_id = await works.house.create()
        handle = await keep(works, session_id, "h1")
        await keep(works, session_id, "h2", tool_id="another")
        for told, wanted in (({}, {handle}), ({"mine": {"class_name": "Point"}}, {handle, "mine"})):
            saving = asyncio.ensure_future(contexts.save(works.caller, SaveContext(session_id, "w")))
            works.answer(await works.asked(), {"object_registry": told})
            await saving
            stored = (await works.house.manager.session(session_id)).contexts["w"]  # type: ignore[index]  # a tool's id
            assert set(stored.sections["object_registry"]) == wanted
        entry = stored.sections["object_registry"][handle]
        assert entry == {
            "class_name": "SmallInteger",
            "string_representation": "7",
            "expression": "Object new",
            "image_id": "pharo",
            "instance_id": "i-1",
            "generation": 0,
        }
