"""What the tests of the terminal front end stand on: a real daemon in this loop, and a pilot that waits for facts."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.content import Content
from textual.events import Key
from textual.keys import REPLACED_KEYS, _character_to_key, _get_unicode_name_from_key
from textual.pilot import Pilot
from textual.widgets import Static

from stui_sessiond.client import Backoff, Patience
from stui_sessiond.tui.app import Start, StuiApp
from stui_sessiond.tui.autosave import Pace
from stui_sessiond.tui.connection import Connection
from stui_sessiond.tui.household import Household, Places
from stui_sessiond.tui.key_order import KeyOrder
from stui_sessiond.tui.session_screen import SessionScreen
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.daemon import Running

DEADLINE_S = 10.0
"""Far more than anything takes."""

AT_ONCE = Pace(draft_s=0.0, quiet_s=0.0, latest_s=0.0)
NEVER = Pace(draft_s=0.0, quiet_s=3600.0, latest_s=3600.0)
"""Drafts at once, and nothing to the daemon: as if the terminal were killed before."""

IMPATIENT = Patience(backoff=Backoff(first_s=0.01, cap_s=0.02))
ME = "ada"


def url_of(running: Running) -> str:
    """Where a daemon of the bed is."""
    return f"unix://{running.daemon.settings.server.unix}"


def household(
    folder: Path, url: str | None = None, *, clock: FakeClock | None = None, pace: Pace = AT_ONCE
) -> Household:
    """The files of a user, in a folder of the test."""
    places = Places(folder / "config", folder / "state", url)
    return Household(places, clock or FakeClock(), {}, pace, IMPATIENT)


def front_end(
    folder: Path, running: Running, session_id: str | None = None, *, pace: Pace = AT_ONCE, client_id: str = ME
) -> StuiApp:
    """The application at a daemon of the bed, in a session of it."""
    url = url_of(running)
    house = household(folder, url, clock=running.clock, pace=pace)
    return StuiApp(house, Start(Connection(url, name="lab", client_id=client_id), session_id))


class Hands(Pilot[Any]):
    """Press keys, and go on when they were obeyed.

    Textual's own pilot waits after each key until the whole process is at rest, which takes 40 ms at least, and much
    longer while a daemon works in the same loop.
    """

    async def press(self, *keys: str) -> None:
        """Press keys; back when all of them were obeyed, and all that came of them at once was done."""
        for key in keys:
            name = _character_to_key(key) if len(key) == 1 and not key.isalnum() else key
            self.app.post_message(Key(name, _character_of(name)))
        await self.pause()

    async def pause(self, delay: float | None = None) -> None:
        """Let every widget do what it has before it, and have it drawn."""
        if delay is not None:
            await asyncio.sleep(delay)
        await self._wait_for_screen()
        while not self.app.keys_obeyed:  # type: ignore[attr-defined]  # a `KeyOrder`
            await self._wait_for_screen()
        self.app.screen._on_timer_update()


def _character_of(name: str) -> str | None:
    """The character that a key writes."""
    if len(name) == 1:
        return name
    try:
        return unicodedata.lookup(_get_unicode_name_from_key(REPLACED_KEYS.get(name, name)))
    except KeyError:
        return None


@asynccontextmanager
async def run(
    app: KeyOrder[Any], size: tuple[int, int] = (80, 24), *, notifications: bool = False
) -> AsyncIterator[Hands]:
    """Run an application without a terminal, with hands at its keys."""
    async with app.run_test(size=size, notifications=notifications):
        yield Hands(app)


async def until(pilot: Pilot[Any], fact: Callable[[], bool], what: str = "it to happen") -> None:
    """Let the application go on until something is so."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not fact():  # noqa: ASYNC110 -- of what is to come nobody tells
                await asyncio.sleep(0.01)
        await pilot.pause()
    except TimeoutError:
        msg = f"waited in vain for {what}; the screen says\n{screen_text(pilot.app)}"
        raise AssertionError(msg) from None


async def session_in_front(pilot: Pilot[Any]) -> SessionScreen:
    """Wait until a session is in front, and everything of it is there."""
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.ready, "the session")
    screen = app.screen
    assert isinstance(screen, SessionScreen)
    return screen


def screen_text(app: Any) -> str:  # noqa: ANN401 -- an App of whatever result
    """What is on the screen, as text."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines[:height]) if width else ""


def says(app: Any, text: str) -> bool:  # noqa: ANN401 -- the same
    """Whether this is to be read on the screen."""
    return text in screen_text(app)


def static_text(widget: Static) -> str:
    """What a line says."""
    content = widget.content
    return content.plain if isinstance(content, Content) else str(content)
