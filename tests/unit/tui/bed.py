"""What the tests of the terminal front end stand on: a real daemon in this loop, and a pilot that waits for facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Static

from stui_sessiond.client import Backoff, Patience
from stui_sessiond.tui.app import Start, StuiApp
from stui_sessiond.tui.autosave import Pace
from stui_sessiond.tui.connection import Connection
from stui_sessiond.tui.household import Household, Places
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


async def until(pilot: Pilot[Any], fact: Callable[[], bool], what: str = "it to happen") -> None:
    """Let the application go on until something is so."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not fact():
                await pilot.pause(0.01)
    except TimeoutError:
        msg = f"waited in vain for {what}; the screen says\n{screen_text(pilot.app)}"
        raise AssertionError(msg) from None


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
