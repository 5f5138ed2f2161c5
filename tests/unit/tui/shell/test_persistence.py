"""What is on the screen survives: in the session, and on this machine until the session has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import TextArea

from stui_sessiond.client import LastingClient
from stui_sessiond.tui.app import StuiApp
from stui_sessiond.tui.autosave import Pace
from stui_sessiond.tui.desk import Desk
from stui_sessiond.tui.layout import LAYOUT_ID, context_id
from stui_sessiond.tui.preferences import LIGHT
from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.wire.messages.session import CreateSession
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.tui.bed import AT_ONCE, ME, NEVER, front_end, run, says, session_in_front, until, url_of


@asynccontextmanager
async def session(running: Running) -> AsyncIterator[tuple[LastingClient, str]]:
    """A session, and another client that looks at it."""
    async with LastingClient(url_of(running), client_id=ME) as client:
        yield client, (await client.create_session(CreateSession(ME, name="work"))).session_id


@asynccontextmanager
async def at_work(
    folder: Path, running: Running, session_id: str, pace: Pace = AT_ONCE
) -> AsyncIterator[tuple[StuiApp, SessionScreen, Pilot[Any]]]:
    """The front end in a session; at the end it goes without a word, as if its terminal were killed."""
    app = front_end(folder, running, session_id, pace=pace)
    async with run(app, size=(120, 30), notifications=True) as pilot:
        await session_in_front(pilot)
        assert isinstance(app.screen, SessionScreen)
        yield app, app.screen, pilot


def texts(screen: SessionScreen) -> dict[str, str]:
    """What the workspaces hold, by title."""
    return {tool.title: tool.query_one(TextArea).text for tool in screen.tools if tool.kind == "workspace"}


def drafts(folder: Path) -> bytes:
    """All journals together."""
    return b"".join(path.read_bytes() for path in (folder / "state" / "drafts").glob("*.drafts"))


async def type_text(pilot: Pilot[Any], screen: SessionScreen, text: str) -> None:
    """Type into the workspace in front."""
    front = screen.query_one(Desk).front
    assert front is not None
    front.query_one(TextArea).focus()
    await pilot.press(*text)


async def test_everything_is_restored_on_another_machine(tmp_path: Path) -> None:
    """Tools, titles, texts, the cursor, which is in front, what is pinned, the theme: from the session alone."""
    async with running_daemon() as running, session(running) as (client, session_id):
        async with at_work(tmp_path / "here", running, session_id) as (app, screen, pilot):
            await type_text(pilot, screen, "one")
            await screen.open_tool("workspace", title="second")
            await pilot.press("f8")
            await type_text(pilot, screen, "two")
            await pilot.press("left", "alt+1")
            app.theme = LIGHT
            await until(pilot, lambda: screen._autosave.unsaved == 0 and drafts(tmp_path / "here") == b"", "saving")
            await pilot.pause()
            await app.action_leave()
        kept = (await client.load_context(session_id, context_id(LAYOUT_ID))).context
        assert kept is not None
        async with at_work(tmp_path / "there", running, session_id) as (app, screen, pilot):
            assert texts(screen) == {"Workspace 1": "one", "second": "two"}
            assert [tool.title for tool in screen.tools if tool.has_class("-pinned")] == ["second"]
            assert screen.tools[-1].query_one(TextArea).cursor_location == (0, 2)
            assert app.theme == LIGHT
            assert not says(app, "Unsaved work")


async def test_unsaved_work_survives_a_killed_terminal(tmp_path: Path) -> None:
    """Typed, in the journal, never sent; the terminal goes without a word; the next one has it, and saves it."""
    async with running_daemon() as running, session(running) as (client, session_id):
        async with at_work(tmp_path, running, session_id, NEVER) as (_, screen, pilot):
            await type_text(pilot, screen, "precious")
            await until(pilot, lambda: b"precious" in drafts(tmp_path), "the journal")
        assert (await client.load_context(session_id, context_id("workspace-1"))).context is None
        async with at_work(tmp_path, running, session_id) as (app, screen, pilot):
            assert texts(screen)["Workspace 1"] == "precious"
            await until(pilot, lambda: drafts(tmp_path) == b"", "that the session has it")
            await app.action_leave()
        stored = (await client.load_context(session_id, context_id("workspace-1"))).context
        assert stored is not None
        assert "precious" in str(stored.client)


async def test_work_of_two_terminals_is_shown_side_by_side(tmp_path: Path) -> None:
    """Killed with unsaved work, and changed elsewhere meanwhile: both are there, and the user is told."""
    async with running_daemon() as running, session(running) as (_, session_id):
        async with at_work(tmp_path / "here", running, session_id, NEVER) as (_, screen, pilot):
            await type_text(pilot, screen, "mine")
            await until(pilot, lambda: b"mine" in drafts(tmp_path / "here"), "the journal")
        async with at_work(tmp_path / "there", running, session_id) as (app, screen, pilot):
            await type_text(pilot, screen, "theirs")
            await until(pilot, lambda: screen._autosave.unsaved == 0, "saving")
            await app.action_leave()
        async with at_work(tmp_path / "here", running, session_id) as (app, screen, pilot):
            assert texts(screen) == {"Workspace 1": "theirs", "Workspace 1 (unsaved)": "mine"}


async def test_closed_tool_stays_closed_and_its_name_is_not_used_again(tmp_path: Path) -> None:
    """A new tool must not find the variables of one that was closed."""
    async with running_daemon() as running, session(running) as (_, session_id):
        async with at_work(tmp_path, running, session_id) as (app, screen, pilot):
            await screen.open_tool("workspace")
            await pilot.press("alt+q")
            await until(pilot, lambda: len(screen.tools) == 2, "the tool to close")
            tool = await screen.open_tool("workspace")
            assert tool.tool_id == "workspace-4"
            await app.action_leave()
        async with at_work(tmp_path, running, session_id) as (_, screen, _):
            assert [tool.tool_id for tool in screen.tools] == ["workspace-1", "transcript-2", "workspace-4"]


async def test_refused_save_is_told_and_stays_in_the_journal(tmp_path: Path) -> None:
    """Somebody else drives: the session takes nothing, this machine keeps it, and the user hears why."""
    async with running_daemon() as running, session(running) as (client, session_id):
        await client.share_session(session_id, "grace", "editor")
        pace = Pace(draft_s=0.0, quiet_s=0.05)
        async with (
            LastingClient(url_of(running), client_id="grace") as grace,
            at_work(tmp_path, running, session_id, pace) as (app, screen, pilot),
        ):
            async with grace.watch(session_id):
                await grace.drive_session(session_id, "request")
                await until(pilot, lambda: says(app, "grace drives, you read"), "the heading")
                await type_text(pilot, screen, "mine")
                await until(pilot, lambda: screen._autosave.refused >= 1, "the refusal")
                await until(pilot, lambda: says(app, "Not saved in the session"), "the notice")
                assert b"mine" in drafts(tmp_path)
                await grace.drive_session(session_id, "release")
            await until(pilot, lambda: b"mine" not in drafts(tmp_path), "that the session has it")


async def test_other_version_of_the_program_loses_no_tools(tmp_path: Path) -> None:
    """A tool of a kind that this version does not have is not shown, and stays in the layout."""
    async with running_daemon() as running, session(running) as (client, session_id):
        async with at_work(tmp_path / "a", running, session_id) as (app, screen, pilot):
            await until(pilot, lambda: len(screen.tools) > 0, "tools")
            await app.action_leave()
        stored = (await client.load_context(session_id, context_id(LAYOUT_ID))).context
        assert stored is not None
        assert isinstance(stored.client, dict)
        stored.client["state"]["tools"].append({"tool_id": "hologram-9", "kind": "hologram", "title": "Hologram"})
        await client.save_context(session_id, stored, context_id(LAYOUT_ID))
        async with at_work(tmp_path / "b", running, session_id) as (app, screen, _):
            assert "hologram" not in {tool.kind for tool in screen.tools}
            await screen.open_tool("workspace")
            await app.action_leave()
        again = (await client.load_context(session_id, context_id(LAYOUT_ID))).context
        assert again is not None
        assert "hologram-9" in str(again.client)


@pytest.mark.parametrize("damage", [{"format": 1}, {"state": {"tools": 7}, "stamp": {"writer": "x", "number": 1}}])
async def test_unreadable_layout_is_told(tmp_path: Path, damage: dict[str, object]) -> None:
    """What cannot be read is said, and the session opens all the same."""
    async with running_daemon() as running, session(running) as (client, session_id):
        from stui_sessiond.wire.messages.context import ContextSections  # noqa: PLC0415

        await client.save_context(session_id, ContextSections(client=damage), context_id(LAYOUT_ID))
        async with at_work(tmp_path, running, session_id) as (app, screen, pilot):
            await until(pilot, lambda: says(app, "the layout cannot be read"), "the notice")
            assert len(screen.tools) >= 1


async def test_session_that_is_not_there_says_so(tmp_path: Path) -> None:
    """Restored by itself, but deleted meanwhile: the screen says what is wrong and which key helps."""
    async with running_daemon() as running:
        app = front_end(tmp_path, running, "session_1_1_gone")
        async with run(app, size=(120, 30)) as pilot:
            await until(pilot, lambda: says(app, "this session cannot be opened"), "the reason")
            await pilot.press("f2")
            await until(pilot, lambda: says(app, "Sessions and images"), "the list")
            await asyncio.sleep(0)
