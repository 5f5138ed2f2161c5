"""From the first screen to a session: a daemon of this machine, a new connection, the last session."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from pathlib import Path

import pytest

from stui_sessiond.client import LastingClient
from stui_sessiond.tui import local_daemon
from stui_sessiond.tui.app import Start, StuiApp
from stui_sessiond.tui.connection import Connection, Connections
from stui_sessiond.tui.local_daemon import StartError, is_running, start_daemon
from stui_sessiond.tui.preferences import Preferences
from stui_sessiond.tui.sessions_screen import SessionsScreen
from stui_sessiond.wire.messages.session import CreateSession
from tests.unit.bed.daemon import running_daemon
from tests.unit.tui.bed import ME, household, run, says, session_in_front, until, url_of


async def test_local_daemon_is_started_after_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody runs; Enter asks; no does nothing; yes starts one that stays when the terminal goes."""
    with tempfile.TemporaryDirectory(prefix="stui-w-") as place:
        path = Path(place) / "s"
        monkeypatch.setenv("STUI_SESSIOND_DATA_DIR", f"{place}/data")
        monkeypatch.setenv("STUI_SESSIOND_RUNTIME_DIR", place)
        app = StuiApp(household(tmp_path, f"unix://{path}"))
        async with run(app, size=(80, 24)) as pilot:
            await until(pilot, lambda: says(app, "no daemon runs here"), "the list")
            await pilot.press("enter")
            await until(pilot, lambda: says(app, "Start one?"), "the question")
            await pilot.press("n")
            await pilot.pause()
            assert not path.exists()
            await pilot.press("enter")
            await until(pilot, lambda: says(app, "Start one?"), "the question")
            await pilot.press("y")
            await until(pilot, lambda: app.status is not None and app.status.online, "the daemon")
            assert isinstance(app.screen, SessionsScreen)
            await app.action_leave()
        assert is_running(path)
        async with LastingClient(f"unix://{path}", client_id=ME) as client:
            assert (await client.ping()).status == "ready"
        log = (tmp_path / "state" / "daemon.log").read_text()
        pid = int(log.split("pid=")[1].split()[0].strip("'\""))
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(10):
            while _is_there(pid):  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.02)
        assert not is_running(path)


async def test_daemon_that_does_not_start_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting ends it at once; the error has what it said."""
    monkeypatch.setenv("STUI_SESSIOND_NONSENSE", "1")
    with pytest.raises(StartError, match="no such setting"):
        await start_daemon(tmp_path / "s", tmp_path / "daemon.log")
    assert local_daemon.local_url() is None


async def test_new_connection_is_tested_saved_and_opened(tmp_path: Path) -> None:
    """Filled in, tried out, saved as a favourite; and it is there at the next start."""
    async with running_daemon() as running:
        app = StuiApp(household(tmp_path))
        async with run(app, size=(80, 24)) as pilot:
            await pilot.press("n")
            await until(pilot, lambda: says(app, "A new connection"), "the form")
            await pilot.press(*url_of(running), "tab", *"lab")
            await pilot.press("ctrl+t")
            await until(pilot, lambda: says(app, "* connected: daemon"), "the test")
            await pilot.press("ctrl+s")
            await until(pilot, lambda: isinstance(app.screen, SessionsScreen), "the sessions")
            await until(pilot, lambda: app.status is not None and app.status.online, "the connection")
            await app.action_leave()
        again = household(tmp_path)
        assert [(one.name, one.result) for one in again.connections.known] == [("lab", "connected")]


async def test_failed_test_says_why_and_what_helps(tmp_path: Path) -> None:
    """Nobody listens there."""
    app = StuiApp(household(tmp_path))
    async with run(app, size=(120, 30)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: says(app, "A new connection"), "the form")
        await pilot.press(*"unix:///none/s", "ctrl+t")
        await until(pilot, lambda: says(app, "Start the daemon"), "the advice")


@pytest.mark.parametrize("how", ["key", "option", "preference"])
async def test_last_session_in_one_key_or_by_itself(tmp_path: Path, how: str) -> None:
    """`c`, `--restore`, or for ever."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id=ME) as client:
        session_id = (await client.create_session(CreateSession(ME, name="work"))).session_id
        house = household(tmp_path, url_of(running))
        house.connections = Connections(
            (Connection(url_of(running), client_id=ME, session_id=session_id, session_name="work", used_at=1.0),)
        )
        house.preferences = Preferences(restore=how == "preference")
        app = StuiApp(house, Start(restore=how == "option"))
        async with run(app, size=(80, 24)) as pilot:
            if how == "key":
                await until(pilot, lambda: says(app, "work on this machine"), "the line")
                await pilot.press("c")
            await session_in_front(pilot)
            assert says(app, "work | no image")


async def test_connections_are_kept_edited_and_forgotten(tmp_path: Path) -> None:
    """Favourite, edit, forget, each with a key, each asked before something goes."""
    house = household(tmp_path)
    house.connections = Connections((Connection("tcp://127.0.0.1:9", name="old", used_at=1.0),))
    app = StuiApp(house)
    async with run(app, size=(80, 24)) as pilot:
        await until(pilot, lambda: says(app, "old"), "the list")
        await pilot.press("f")
        await until(pilot, lambda: says(app, "Favourites"), "the favourite")
        await pilot.press("e")
        await until(pilot, lambda: says(app, "Change a connection"), "the form")
        await pilot.press("tab", "end", *"er", "ctrl+s")
        await until(pilot, lambda: says(app, "older"), "the new name")
        await pilot.press("delete")
        await until(pilot, lambda: says(app, "Forget older?"), "the question")
        await pilot.press("enter")
        await pilot.pause()
        assert len(app.household.connections.known) == 1
        await pilot.press("y")
        await until(pilot, lambda: not says(app, "older"), "it to be gone")


async def test_damaged_file_is_told_at_the_start(tmp_path: Path) -> None:
    """The user hears what could not be read, and where it is kept."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "connections.json").write_text("{")
    app = StuiApp(household(tmp_path))
    async with run(app, size=(120, 30), notifications=True) as pilot:
        await until(pilot, lambda: says(app, "connections.json.unreadable-1"), "the notice")


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_keys_of_a_connection_are_offered_with_one(tmp_path: Path) -> None:
    """The line of keys has those that do something: neither sessions nor a connection before there is a daemon."""
    async with running_daemon() as running:
        app = StuiApp(household(tmp_path, url_of(running)))
        async with run(app, size=(80, 48)) as pilot:
            assert not says(app, "f4 Connection")
            assert not says(app, "f2 Sessions")
            await pilot.press("enter")
            await until(pilot, lambda: says(app, "* connected"), "the daemon")
            await pilot.press("f1")
            await until(pilot, lambda: says(app, "f4               Connection"), "the keys")
