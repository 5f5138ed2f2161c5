"""What the tests of the tools stand on: a real daemon, a live Smalltalk, and the front end driven by its keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from textual.pilot import Pilot

from stui_sessiond.client import LastingClient
from stui_sessiond.tui.app import Start, StuiApp
from stui_sessiond.tui.autosave import Pace
from stui_sessiond.tui.connection import Connection
from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.tui.tools.tool import AnyTool
from stui_sessiond.wire.messages.session import CreateSession
from tests.e2e.harness import IMAGE_ID, Amber, Daemon, folder
from tests.e2e.squeak import Squeak
from tests.unit.bed.clock import FakeClock
from tests.unit.tui.bed import NEVER, household, run, screen_text

DEADLINE_S = 20.0
"""Far more than anything takes."""

T = TypeVar("T", bound=AnyTool)


@dataclass
class World:
    """A daemon, and the image that is connected to it."""

    url: str
    image_id: str


@contextmanager
def amber_world() -> Iterator[World]:
    """A daemon with a live Amber, as processes."""
    with folder() as home, Daemon(home) as daemon, Amber(daemon.url) as amber:
        amber.wait_for_line(lambda line: "connected" in line, "connection")
        yield World(daemon.url, IMAGE_ID)


@contextmanager
def squeak_world() -> Iterator[World]:
    """A daemon with a live Squeak, as processes."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0") as daemon:
        host, port = daemon.place("lines")
        token = daemon.token()
        with Squeak(f"tcp://{host}:{port}", home / "squeak.image", token, "squeak-test") as squeak:
            squeak.wait_for_line(lambda line: "connected to" in line, "connection")
            yield World(daemon.url, "squeak-test")


class Desk:
    """The front end in a session, as a person with a keyboard has it.

    Args:
        app: the application.
        pilot: presses its keys.
        other: another client in the same session.
        session_id: the session.
    """

    def __init__(self, app: StuiApp, pilot: Pilot[str], other: LastingClient, session_id: str) -> None:
        self.app = app
        self.pilot = pilot
        self.other = other
        self.session_id = session_id

    @property
    def screen(self) -> SessionScreen:
        """The screen of the session, whatever is over it."""
        return next(one for one in self.app.screen_stack if isinstance(one, SessionScreen))

    async def open(self, kind: type[T], state: msgspec.Struct | None = None) -> T:
        """Open a tool."""
        tool = await self.screen.open_tool(kind.kind, state)
        assert isinstance(tool, kind)
        await self.pilot.pause()
        return tool

    def tool(self, kind: type[T]) -> T:
        """The newest tool of a kind."""
        return list(self.screen.query(kind))[-1]

    async def press(self, *keys: str) -> None:
        """Press keys."""
        await self.pilot.press(*keys)

    async def until(self, fact: Callable[[], object], what: str = "") -> None:
        """Let the application go on until something is so."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not fact():  # noqa: ASYNC110 -- of what is to come nobody tells
                    await asyncio.sleep(0.01)
                await self.pilot.pause()
        except TimeoutError:
            msg = f"{what or 'it did not come to be'}; the screen says\n{screen_text(self.app)}"
            raise AssertionError(msg) from None


@asynccontextmanager
async def desk(
    world: World, files: Path, size: tuple[int, int] = (80, 24), *, pace: Pace = NEVER, session_id: str | None = None
) -> AsyncIterator[Desk]:
    """A session of the image, a new one if none is named, opened in the front end, whose files are in a folder."""
    async with LastingClient(world.url, client_id="me") as other:
        kept = session_id is not None
        if session_id is None:
            wish = CreateSession("me", name="first steps", image_id=world.image_id)
            session_id = (await other.create_session(wish)).session_id
        house = household(files, world.url, clock=FakeClock(), pace=pace)
        app = StuiApp(house, Start(Connection(world.url, name="lab", client_id="me"), session_id))
        app.animation_level = "none"
        async with run(app, size=size) as pilot:
            made = Desk(app, pilot, other, session_id)
            await made.until(lambda: isinstance(app.screen, SessionScreen) and app.screen.ready, "no session")
            yield made
        if not kept:
            await other.close_session(session_id, save_state=False)
