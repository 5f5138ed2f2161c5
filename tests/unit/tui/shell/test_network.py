"""The network comes and goes; typing goes on, and the status bar tells the truth."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import TextArea

from stui_sessiond.client import ConnectionState, LastingClient
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.tui.connection import Seen, note_seen
from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.tui.welcome_screen import WelcomeScreen
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState
from tests.unit.bed.daemon import running_daemon
from tests.unit.tui.bed import ME, front_end, run, says, session_in_front, until, url_of


async def test_typing_offline_is_saved_on_return(tmp_path: Path) -> None:
    """Offline by hand: keys work, the bar counts what is unsaved; reconnected by hand: it is stored."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id=ME) as client:
        session_id = (await client.create_session(CreateSession(ME, name="work"))).session_id
        app = front_end(tmp_path, running, session_id)
        async with run(app, size=(120, 30)) as pilot:
            await session_in_front(pilot)
            await pilot.press("f4", "down", "enter")
            await until(pilot, lambda: says(app, "working offline"), "the bar")
            screen = app.screen
            assert isinstance(screen, SessionScreen)
            screen.query_one(TextArea).focus()
            await pilot.press(*"offline")
            await until(pilot, lambda: says(app, "unsaved"), "the count")
            await pilot.press("f4", "enter")
            assert app.client is not None
            await until(pilot, lambda: app.client is not None and app.client.status.online, "the connection")
            await until(pilot, lambda: screen._autosave.unsaved == 0, "saving")
            stored = (await client.load_context(session_id, "stui.tool.workspace-1")).context
            assert stored is not None
            assert "offline" in str(stored.client)


async def test_daemon_started_again_is_told(tmp_path: Path) -> None:
    """It goes, the bar says that it is tried again; it is back with its sessions, and the bar says restored."""
    storage = MemoryStorage()
    async with running_daemon(storage) as running:
        url = url_of(running)
        async with LastingClient(url, client_id=ME) as client:
            session_id = (await client.create_session(CreateSession(ME, name="work"))).session_id
        app = front_end(tmp_path, running, session_id)
        async with run(app, size=(120, 30)) as pilot:
            await session_in_front(pilot)
            await running.daemon.stop()
            await until(pilot, lambda: says(app, "reconnecting, attempt"), "the bar")
            await pilot.press("f4")
            await until(pilot, lambda: says(app, "Reconnect now"), "the dialog")
            await pilot.press("escape")
            async with running_daemon(storage, server={"unix": url.removeprefix("unix://")}):
                await until(pilot, lambda: app.status is not None and app.status.online, "the connection")
                assert app.client is not None
                assert [visit.same_daemon for visit in app.client.visits()] == [True, False]


async def test_start_fresh_leads_to_the_first_screen(tmp_path: Path) -> None:
    """The last way out of a connection that does not do what it should; nothing is lost by it."""
    async with running_daemon() as running:
        app = front_end(tmp_path, running)
        async with run(app, size=(120, 30)) as pilot:
            await until(pilot, lambda: app.status is not None and app.status.online, "the connection")
            await pilot.press("f4", "end", "enter")
            await until(pilot, lambda: isinstance(app.screen, WelcomeScreen), "the first screen")
            await until(pilot, lambda: app.client is None and says(app, "not connected"), "the bar")


async def test_wrong_token_is_a_failure_with_advice(tmp_path: Path) -> None:
    """What trying again cannot help is said at once, and remembered with the connection."""
    async with running_daemon(server={"lines": "127.0.0.1:0"}) as running:
        assert running.daemon.ready is not None
        app = front_end(tmp_path, running)
        wrong = f"tcp://{running.daemon.ready.lines}"
        app._start = type(app._start)(app._start.connection and type(app._start.connection)(wrong, name="lab"))
        async with run(app, size=(120, 30)) as pilot:
            await until(pilot, lambda: says(app, "! failed"), "the bar")
            assert app.status is not None
            assert app.status.state is ConnectionState.FAILED
            assert says(app, "F4: what you can do")
            known = app.household.connections.find(wrong)
            assert known is not None
            assert known.result not in {"", "connected"}


async def test_digest_tells_what_others_did(tmp_path: Path) -> None:
    """Away while somebody else worked: on return it says who did how much."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id="grace") as grace:
        session_id = (await grace.create_session(CreateSession("grace", name="pair"))).session_id
        await grace.share_session(session_id, ME, "editor")
        position = (await grace.get_session_info(session_id)).position
        app = front_end(tmp_path, running, session_id)
        seen = Seen(position.epoch, position.seq, running.clock.now)
        app.household.remember(note_seen(app.household.connections, session_id, seen))
        running.clock.pass_time(7200)
        await grace.restore_session(session_id, reopen=True)
        await grace.update_session_state(UpdateSessionState(session_id, {"n": 1}))
        async with run(app, size=(120, 30)) as pilot:
            await until(pilot, lambda: says(app, "While you were away"), "the digest")
            assert says(app, "You were away for 2 h.")
            assert says(app, "grace: 1 times")
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, SessionScreen), "the session")


async def test_gap_is_told(tmp_path: Path) -> None:
    """Events that the daemon does not have any more: the bar says that something is missing."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id=ME) as client:
        session_id = (await client.create_session(CreateSession(ME, name="work"))).session_id
        app = front_end(tmp_path, running, session_id)
        app.household.remember(note_seen(app.household.connections, session_id, Seen("gone", 5, running.clock.now)))
        async with run(app, size=(120, 30)) as pilot:
            await until(pilot, lambda: says(app, "some events are missing"), "the bar")
