"""The SessionManager's contexts, and what relayed requests ask of it."""

import pytest

from stui_sessiond.errors import ParameterError, SessionExpiredError
from stui_sessiond.ids import DEFAULT_TOOL, ImageId
from tests.unit.bed.house import TestStorage, open_house

# ---- contexts


async def test_context_is_saved_and_cleared() -> None:
    """Each is a new version and an event; clearing nothing is neither."""
    async with open_house() as house:
        manager, session_id = house.manager, await house.create()
        saved = await manager.save_context(session_id, "one", {"workspace": {"a": 1}})
        contexts = (await manager.session(session_id)).contexts
        assert {tool: stored.sections for tool, stored in contexts.items()} == {"one": {"workspace": {"a": 1}}}
        assert await manager.clear_context(session_id, "two") == []
        assert await manager.clear_context(session_id, None) == ["one"]
        assert (await manager.session(session_id)).contexts == {}
        assert saved.header.version == 2
        assert manager.header(session_id).version == 3
        assert house.names(session_id) == ["context.saved", "context.cleared"]


async def test_context_that_is_put_into_what_is_there() -> None:
    """What an image tells replaces the same keys; what only the client knows stays."""
    async with open_house() as house:
        session_id = await house.create()
        before = {"workspace": {"text": "x", "bindings": {"a": 1}}, "client": {"panel": 1}}
        await house.manager.save_context(session_id, DEFAULT_TOOL, before, into=True)
        captured = {"workspace": {"bindings": {"b": 2}}, "inspector": {"c": 3}}
        session = await house.manager.save_context(session_id, DEFAULT_TOOL, captured, into=True)
        assert session.contexts[DEFAULT_TOOL].sections == {
            "workspace": {"text": "x", "bindings": {"b": 2}},
            "client": {"panel": 1},
            "inspector": {"c": 3},
        }


async def test_context_commands_of_a_session_that_is_over() -> None:
    """They are refused as the others are; so is an impossible tool."""
    async with open_house() as house:
        session_id = await house.create()
        with pytest.raises(ParameterError):
            await house.manager.save_context(session_id, "a\nb", {})
        with pytest.raises(ParameterError):
            await house.manager.clear_context(session_id, "")
        house.clock.pass_time(3600)
        for refused in (
            house.manager.save_context(session_id, "one", {}),
            house.manager.clear_context(session_id, None),
            house.manager.session(session_id),
        ):
            with pytest.raises(SessionExpiredError):
                await refused


# ---- images


async def test_use_counts_as_activity() -> None:
    """A relayed request puts off expiry, and is refused when it is too late."""
    async with open_house() as house:
        session_id = await house.create()
        house.clock.pass_time(3000)
        assert house.manager.use(session_id).expires_at == house.clock.now + 3600
        house.clock.pass_time(3600)
        with pytest.raises(SessionExpiredError):
            house.manager.use(session_id)


async def test_image_is_bound_once() -> None:
    """The first image a session meets is its image, after a restart too; no version is counted."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.manager.bind_image(session_id, ImageId("pharo"))
        await house.manager.bind_image(session_id, ImageId("amber"))
        assert house.manager.of_image(ImageId("pharo")) == [session_id]
    async with open_house(storage) as house:
        header = house.manager.header(session_id)
        assert (header.image_id, header.version) == ("pharo", 1)
