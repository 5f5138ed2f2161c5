"""What can be done on the list of sessions, each with its keys, against a real daemon with images."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from stui_sessiond.client import LastingClient
from stui_sessiond.tui.app import StuiApp
from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.tui.sessions_screen import SessionsScreen
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.tui.bed import ME, front_end, run, says, session_in_front, until, url_of


@asynccontextmanager
async def at_list(folder: Path) -> AsyncIterator[tuple[Running, LastingClient, str, StuiApp, Pilot[Any]]]:
    """The list, with one session in one of two images in front."""
    async with (
        running_daemon() as running,
        running.image("one"),
        running.image("two", "i-2"),
        LastingClient(url_of(running), client_id=ME) as client,
    ):
        session_id = (await client.create_session(CreateSession(ME, name="mine", image_id="one"))).session_id
        app = front_end(folder, running)
        async with run(app, size=(120, 36), notifications=True) as pilot:
            await until(pilot, lambda: says(app, "mine"), "the list")
            screen = app.screen
            assert isinstance(screen, SessionsScreen)
            await screen.refresh_list(session_id)
            await until(pilot, lambda: screen.row is not None and screen.row.session_id == session_id, "the line")
            yield running, client, session_id, app, pilot


async def answer(pilot: Pilot[Any], app: StuiApp, question: str, *keys: str) -> None:
    """Wait for a question, and answer it."""
    await until(pilot, lambda: says(app, question), question)
    await pilot.press(*keys)


async def test_create_opens_it_in_the_image_of_the_line(tmp_path: Path) -> None:
    """One question, its name; then the session is there."""
    async with at_list(tmp_path) as (_, client, session_id, app, pilot):
        await pilot.press("n")
        await answer(pilot, app, "A new session in one", "enter")
        await answer(pilot, app, "at least one letter", *"new", "enter")
        await session_in_front(pilot)
        assert says(app, "new | one")
        found = [one for one in (await client.list_client_sessions(ME)).sessions if one.session_id != session_id]
        assert [(one.name, one.image_id) for one in found] == [("new", "one")]
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, SessionsScreen), "the list")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SessionScreen), "the session again")


async def test_rename_share_and_drive(tmp_path: Path) -> None:
    """A new name; a role for another client; the wheel asked for, and given away."""
    async with (
        at_list(tmp_path) as (running, client, session_id, app, pilot),
        LastingClient(url_of(running), client_id="grace") as grace,
    ):
        await pilot.press("r")
        await answer(pilot, app, "A new name", "end", *"!", "enter")
        await until(pilot, lambda: says(app, "It is called mine! now."), "the answer")
        assert (await client.get_session_info(session_id)).name == "mine!"
        await pilot.press("h")
        await answer(pilot, app, "Share with which client?", *"grace", "enter")
        await answer(pilot, app, "What may grace do?", "enter")
        await until(pilot, lambda: says(app, "grace (editor)"), "the role")
        async with client.watch(session_id), grace.watch(session_id):
            await pilot.press("d")
            await answer(pilot, app, "Drive: nobody else", "enter")
            await until(pilot, lambda: says(app, "You drive."), "the wheel")
            assert (await client.get_presence(session_id)).driver == ME
            await grace.drive_session(session_id, "request")
            await pilot.press("d")
            await answer(pilot, app, "Hand over to grace, who asks", "enter")
            await until(pilot, lambda: says(app, "grace drives."), "the hand-over")
            assert (await client.get_presence(session_id)).driver == "grace"


async def test_snapshot_and_revert(tmp_path: Path) -> None:
    """A name for how it is; later back to it, after a question that only `y` answers with yes."""
    async with at_list(tmp_path) as (_, client, session_id, app, pilot):
        await client.update_session_state(UpdateSessionState(session_id, {"n": 1}))
        await pilot.press("s")
        await answer(pilot, app, "A name for how it is now", *"good", "enter")
        await until(pilot, lambda: says(app, "is kept as good"), "the answer")
        await client.update_session_state(UpdateSessionState(session_id, {"n": 2}))
        await pilot.press("v")
        await answer(pilot, app, "Back to which state", "enter")
        await answer(pilot, app, "Go back?", "enter", "y")
        await until(pilot, lambda: says(app, "It is as it was"), "the answer")
        assert (await client.restore_session(session_id)).session_state == {"n": 1}


async def test_close_and_open_again(tmp_path: Path) -> None:
    """Closed after asking, it stays in the list; Enter opens it again."""
    async with at_list(tmp_path) as (_, client, session_id, app, pilot):
        await pilot.press("x")
        await answer(pilot, app, "Close mine?", "y")
        await until(pilot, lambda: says(app, "closed "), "the mark")
        assert not (await client.list_client_sessions(ME)).sessions
        await pilot.press("enter")
        await session_in_front(pilot)
        assert [one.session_id for one in (await client.list_client_sessions(ME)).sessions] == [session_id]


async def test_switch_image_tells_what_went_along(tmp_path: Path) -> None:
    """It is in the other image, and the answer says so."""
    async with at_list(tmp_path) as (_, client, session_id, app, pilot):
        await pilot.press("i")
        await answer(pilot, app, "Move mine to which image?", "enter")
        await until(pilot, lambda: says(app, "It is in two now."), "the answer")
        assert (await client.get_session_info(session_id)).image_id == "two"


async def test_clean_up_only_after_a_dry_run_and_a_yes(tmp_path: Path) -> None:
    """It names what it would close; no leaves all as it is, yes closes them."""
    async with at_list(tmp_path) as (running, client, _, app, pilot):
        running.clock.pass_time(2 * 3600.0)
        await pilot.press("u")
        await answer(pilot, app, "Close 1 sessions of one?", "n")
        await pilot.pause()
        await pilot.press("u")
        await answer(pilot, app, "it has expired", "y")
        await until(pilot, lambda: says(app, "1 closed, 0 left."), "the answer")
        assert (await client.list_image_sessions("one")).sessions == []


async def test_refusal_is_told_with_its_code(tmp_path: Path) -> None:
    """What the daemon does not want is told as it says it, and the list goes on."""
    async with at_list(tmp_path) as (_, client, session_id, app, pilot):
        await client.close_session(session_id, save_state=False)
        await pilot.press("s")
        await answer(pilot, app, "A name for how it is now", *"late", "enter")
        await until(pilot, lambda: says(app, "[session_not_found]"), "the refusal")


async def test_images_come_by_themselves(tmp_path: Path) -> None:
    """An empty list says what it waits for, and shows an image without a key."""
    async with running_daemon() as running:
        app = front_end(tmp_path, running)
        async with run(app, size=(100, 30)) as pilot:
            await until(pilot, lambda: says(app, "No image has connected yet"), "the hint")
            async with running.image("late"):
                screen = app.screen
                assert isinstance(screen, SessionsScreen)
                screen._again()
                await until(pilot, lambda: says(app, "late (Pharo): connected"), "the image")


def opened_again(app: StuiApp, before: SessionScreen) -> bool:
    """Whether a session is in front, and not on the screen it had before."""
    return isinstance(app.screen, SessionScreen) and app.screen is not before and app.screen.ready


async def test_session_that_is_open_is_closed_and_opened_again(tmp_path: Path) -> None:
    """Closed from the list while it is open below it, Enter opens it anew, and it is active again."""
    async with running_daemon() as running, LastingClient(url_of(running), client_id=ME) as client:
        session_id = (await client.create_session(CreateSession(ME, name="mine"))).session_id
        app = front_end(tmp_path, running, session_id)
        async with run(app, size=(80, 24)) as pilot:
            before = await session_in_front(pilot)
            await pilot.press("f2")
            await until(pilot, lambda: says(app, "mine  "), "the list")
            await pilot.press("x")
            await until(pilot, lambda: says(app, "Close mine?"), "the question")
            await pilot.press("y")
            await until(pilot, lambda: says(app, "closed") and before.over, "the end")
            await pilot.press("enter")
            await until(pilot, lambda: opened_again(app, before), "the session again")
            assert (await client.get_session_info(session_id)).is_active
