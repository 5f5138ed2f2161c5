"""Makes the pictures of the documentation, from the real front end with a live Smalltalk.

    python tests/e2e/stui_pictures.py

writes docs/images/*.svg. Look at them before you commit them.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from stui_sessiond.tui.app import Start, StuiApp  # noqa: E402
from stui_sessiond.tui.connection import Connection  # noqa: E402
from stui_sessiond.tui.household import Household, Places  # noqa: E402
from tests.e2e.harness import IMAGE_ID, Amber, Daemon, folder  # noqa: E402
from tests.unit.tui.bed import says, session_in_front, until  # noqa: E402
from tests.unit.tui.snapshot import picture  # noqa: E402

FOLDER = ROOT / "docs" / "images"
SIZE = (120, 26)
CODE = """"How many tickets did we sell?"
sold := OrderedCollection new.
1 to: 5 do: [:day | sold add: day * 12].
sold inject: 0 into: [:sum :each | sum + each]"""


async def make(home: Path, url: str) -> None:
    """Take the pictures."""
    house = Household(Places(home / "config", home / "state", url), environment={})
    app = StuiApp(house, Start(Connection(url, name="this machine", client_id="ada")))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: says(app, IMAGE_ID), "the image")
        await pilot.press("n")
        await until(pilot, lambda: says(app, "Its name"), "the question")
        await pilot.press(*"tickets", "enter")
        await session_in_front(pilot)
        await pilot.pause(0.3)
        app.clear_notifications()
        pad = app.screen.query_one("#workspace-1 TextArea")
        pad.load_text(CODE)  # type: ignore[attr-defined]
        for line in ("Transcript show: 'Day one: 12 tickets'; cr", "Transcript show: 'Day two: 24 tickets'; cr"):
            await app.screen.link.client.evaluate(line, session_id=app.screen.link.session_id)  # type: ignore[attr-defined]
        pad.select_all()  # type: ignore[attr-defined]
        await pilot.press("alt+p")
        await until(pilot, lambda: says(app, "180"), "the value")
        await until(pilot, lambda: says(app, "Day two"), "the Transcript")
        await until(pilot, lambda: app.status is not None and app.status.unsaved == 0, "saving")
        await pilot.pause(1.5)
        (FOLDER / "session.svg").write_text(picture(app), "utf-8")
        await pilot.press("f2")
        await until(pilot, lambda: says(app, "drives:"), "the list")
        await pilot.pause(0.5)
        (FOLDER / "sessions.svg").write_text(picture(app), "utf-8")
        await app.action_leave()


def main() -> None:
    """Start a daemon and an image, and take the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with folder() as home, Daemon(home) as daemon, Amber(daemon.url):
        daemon.wait_for("image.connected", image_id=IMAGE_ID)
        asyncio.run(make(home, daemon.url))


if __name__ == "__main__":
    main()
