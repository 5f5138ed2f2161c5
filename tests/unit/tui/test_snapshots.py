"""Every screen of the front end, at 80x24 and 160x48, looks as it did (`snapshot` tells how to change that)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from stui_sessiond.client import ConnectionState, Ending, Health, LastingClient, Status
from stui_sessiond.tui.app import StuiApp
from stui_sessiond.tui.connection import Connection, Connections
from stui_sessiond.tui.preferences import CONTRAST, LIGHT, Preferences
from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.tui.sessions_screen import SessionsScreen
from stui_sessiond.wire.messages.session import CreateSession
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.tui.bed import ME, NEVER, front_end, household, run, says, until, url_of
from tests.unit.tui.snapshot import check

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((160, 48), id="160x48")]
Size = tuple[int, int]
NOW = FakeClock().now
CONNECTED = Status(ConnectionState.CONNECTED, NOW, latency_s=0.0004, health=Health.HEALTHY)
KNOWN = Connections(
    (
        Connection(
            "wss://lab.example:7448/",
            name="lab",
            favourite=True,
            used_at=NOW - 7200,
            result="connected",
            session_id="session_1_1_a",
            session_name="fix the parser",
        ),
        Connection(
            "tls://build.example:7447", name="build", favourite=True, used_at=NOW - 3 * 86400, result="connected"
        ),
        Connection("tcp://127.0.0.1:7447", used_at=NOW - 600, result="the token is not known, or not any more"),
        Connection("unix:///srv/stui/daemon.sock", name="shared machine"),
    )
)


@pytest.fixture
def update(pytestconfig: pytest.Config) -> bool:
    """Whether pictures are to be written."""
    return bool(pytestconfig.getoption("--update-snapshots"))


def name(of: str, size: Size) -> str:
    """What a picture is called."""
    return f"{of}-{size[0]}x{size[1]}"


async def settle(pilot: Pilot[Any], status: Status | None = CONNECTED) -> None:
    """Let everything be drawn, with a status that is the same each time."""
    app = pilot.app
    assert isinstance(app, StuiApp)
    app.clear_notifications()
    for screen in app.screen_stack:
        for widget in screen.query("TextArea, Input"):
            widget.cursor_blink = False  # type: ignore[attr-defined]
    await pilot.pause(0.05)
    app._follow(status)
    await pilot.pause(0.05)


@asynccontextmanager
async def at_work(
    folder: Path, size: Size, preferences: Preferences | None = None
) -> AsyncIterator[tuple[Running, Pilot[Any], StuiApp]]:
    """The front end at a daemon with an image, and with sessions in all states."""
    async with (
        running_daemon() as running,
        running.image("pharo-12-dev"),
        LastingClient(url_of(running), client_id=ME) as client,
        LastingClient(url_of(running), client_id="grace") as grace,
    ):
        old = await client.create_session(CreateSession(ME, name="last week", image_id="squeak-6"))
        await client.close_session((await client.create_session(CreateSession(ME, name="done"))).session_id)
        running.clock.pass_time(3000)
        mine = await client.create_session(CreateSession(ME, name="fix the parser", image_id="pharo-12-dev"))
        theirs = await grace.create_session(CreateSession("grace", name="pair programming", image_id="pharo-12-dev"))
        await grace.share_session(theirs.session_id, ME, "editor")
        del old
        app = front_end(folder, running, pace=NEVER)
        if preferences is not None:
            app.household.preferences = preferences
        async with run(app, size=size) as pilot:
            await until(
                pilot, lambda: isinstance(app.screen, SessionsScreen) and says(app, "fix the parser"), "the list"
            )
            screen = app.screen
            assert isinstance(screen, SessionsScreen)
            await screen.refresh_list(mine.session_id)
            await until(pilot, lambda: says(app, "drives:"), "the details")
            await until(pilot, lambda: app.status is not None and app.status.latency_s is not None, "the latency")
            yield running, pilot, app


@pytest.mark.parametrize("size", SIZES)
async def test_welcome_of_a_new_user(tmp_path: Path, size: Size, *, update: bool) -> None:
    """The first start: no daemon runs, nothing is known, and the line in front says what Enter does."""
    app = StuiApp(household(tmp_path, "unix:///run/user/1000/stui-none/daemon.sock"))
    async with run(app, size=size) as pilot:
        await until(pilot, lambda: says(app, "no daemon runs here"))
        await settle(pilot, None)
        check(app, name("welcome-new", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_welcome_of_an_old_user(tmp_path: Path, size: Size, *, update: bool) -> None:
    """Favourites, recent connections with their last use and result, and the last session in one keypress."""
    async with running_daemon() as running:
        house = household(tmp_path, url_of(running))
        house.connections, house.preferences = KNOWN, Preferences(client_id=ME)
        app = StuiApp(house)
        async with run(app, size=size) as pilot:
            await until(pilot, lambda: says(app, "a daemon runs here"))
            await settle(pilot, None)
            check(app, name("welcome", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_form_says_what_is_wrong(tmp_path: Path, size: Size, *, update: bool) -> None:
    """A form that is filled in wrongly says so beside the fields."""
    app = StuiApp(household(tmp_path))
    async with run(app, size=size) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: says(app, "A new connection"))
        await pilot.press(*"lab", "ctrl+s")
        await settle(pilot, None)
        check(app, name("form", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_sessions_by_image(tmp_path: Path, size: Size, *, update: bool) -> None:
    """Sessions under their images, with their states in words."""
    async with at_work(tmp_path, size) as (_, pilot, app):
        await settle(pilot)
        check(app, name("sessions", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_sessions_in_text_mode(tmp_path: Path, size: Size, *, update: bool) -> None:
    """The same for a screen reader: sentences with commas, no boxes."""
    async with at_work(tmp_path, size, Preferences(text_mode=True, theme=CONTRAST)) as (_, pilot, app):
        await settle(pilot)
        check(app, name("sessions-text", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_session_with_tools(tmp_path: Path, size: Size, *, update: bool) -> None:
    """A session: its name and image, a tab for each tool, the connection, the keys."""
    async with at_work(tmp_path, size, Preferences(theme=LIGHT)) as (_, pilot, app):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.ready)
        await pilot.press("f3")
        await settle(pilot)
        check(app, name("session-new-tool", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_connection_that_broke(tmp_path: Path, size: Size, *, update: bool) -> None:
    """The status bar while it reconnects, and what a person can do."""
    async with at_work(tmp_path, size) as (_, pilot, app):
        assert app.client is not None
        broken = Status(
            ConnectionState.RECONNECTING,
            NOW,
            attempt=3,
            next_try_at=NOW + 3004,
            unsaved=2,
            reason=Ending("cut", "the connection ended without a word"),
        )
        app._follow(broken)
        await pilot.press("f4")
        await until(pilot, lambda: says(app, "Work offline"))
        await settle(pilot, broken)
        check(app, name("connection", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_help_lists_the_keys(tmp_path: Path, size: Size, *, update: bool) -> None:
    """F1 lists what works here."""
    async with at_work(tmp_path, size) as (_, pilot, app):
        await pilot.press("f1")
        await until(pilot, lambda: says(app, "Snapshot"))
        await settle(pilot)
        check(app, name("help", size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_clean_up_asks_first(tmp_path: Path, size: Size, *, update: bool) -> None:
    """A clean-up tells what it would close, before it does."""
    async with at_work(tmp_path, size) as (running, pilot, app):
        running.clock.pass_time(7200)
        await pilot.press("u")
        await until(pilot, lambda: says(app, "n, Esc: no"))
        await settle(pilot)
        check(app, name("clean-up", size), update=update)
