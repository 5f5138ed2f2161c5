"""The screen of a session, driven by its keys, against a real daemon."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Log

from stui_sessiond.client import LastingClient
from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.tui.tools.events import Events
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState
from tests.unit.bed.daemon import running_daemon
from tests.unit.tui.bed import ME, front_end, run, says, session_in_front, until, url_of


async def test_tools_opened_and_closed(tmp_path: Path) -> None:
    """Tools open with names of their own, numbers bring them to the front, and each hears what happens."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id=ME) as other:
        session_id = (await other.create_session(CreateSession(ME))).session_id
        app = front_end(tmp_path, running, session_id)
        async with run(app, size=(80, 24)) as pilot:
            screen = await session_in_front(pilot)
            await screen.open_tool("events")
            await screen.open_tool("events")
            names = [tool.tool_id for tool in screen.tools]
            assert names == ["workspace-1", "transcript-2", "events-3", "events-4"]
            await until(pilot, lambda: app.status is not None and app.status.latency_s is not None, "a latency")
            await other.update_session_state(UpdateSessionState(session_id, {"n": 1}))
            logs = [tool.query_one(Log) for tool in screen.tools if isinstance(tool, Events)]
            await until(pilot, lambda: all("session.updated" in str(log.lines) for log in logs), "the event")
            await pilot.press("alt+3", "alt+q")
            await until(pilot, lambda: [tool.tool_id for tool in screen.tools] == [*names[:2], "events-4"], "the end")


async def test_tab_of_the_tool_in_front_is_in_sight(tmp_path: Path) -> None:
    """However many there are, and however narrow it is."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id=ME) as other:
        session_id = (await other.create_session(CreateSession(ME))).session_id
        app = front_end(tmp_path, running, session_id)
        async with run(app, size=(60, 24)) as pilot:
            await session_in_front(pilot)
            assert isinstance(app.screen, SessionScreen)
            for number in range(1, 7):
                await app.screen.open_tool("events")
                await until(pilot, lambda name=f"Events {number}": says(app, name), "the tab")  # type: ignore[misc]
            await pilot.press("alt+1")
            await until(pilot, lambda: says(app, "Workspace 1"), "the first tab")


async def test_image_that_went_is_told(tmp_path: Path) -> None:
    """The first line says that the session's image is not connected, until it is again."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id=ME) as other:
        async with running.image("one"):
            session_id = (await other.create_session(CreateSession(ME, name="mine", image_id="one"))).session_id
            app = front_end(tmp_path, running, session_id)
        async with run(app, size=(80, 24)) as pilot:
            await until(pilot, lambda: says(app, "mine | one is not connected"), "the loss")
            async with running.image("one"):
                await until(pilot, lambda: not says(app, "is not connected"), "the image")
                assert says(app, "mine | one")
            await until(pilot, lambda: says(app, "mine | one is not connected"), "the second loss")
