"""The last line of a screen: the keys that work, as many as there is room for."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from stui_sessiond.tui.key_order import KeyOrder
from stui_sessiond.tui.widgets.key_line import KeyLine
from tests.unit.tui.bed import run, screen_text


class Keys(KeyOrder[None]):
    """Some keys, one of which works only at times."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help_keys", "Help"),
        Binding("p", "print", "Print"),
        Binding("s", "stop", "Stop"),
        Binding("i", "inspect", "Inspect"),
        Binding("x", "hidden", "Hidden", show=False),
        Binding("ctrl+q", "leave", "Quit", show=False),
    ]
    stops = True
    printed = 0

    def compose(self) -> ComposeResult:
        """Nothing but the line."""
        yield KeyLine()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stopping works at times."""
        del parameters
        return action != "stop" or self.stops

    def action_print(self) -> None:
        """Count."""
        self.printed += 1


def line(app: Keys) -> str:
    """The last line."""
    return screen_text(app).splitlines()[-1]


async def test_help_is_there_however_narrow_it_is() -> None:
    """What has no room is left out; the key that lists all keys never is."""
    for width, words in ((80, "p Print s Stop i Inspect f1 Help"), (24, "p Print s Stop f1 Help"), (10, "f1 Help")):
        app = Keys()
        async with run(app, size=(width, 4)) as pilot:
            await pilot.pause()
            assert line(app) == words


async def test_key_that_does_not_work_any_more_is_gone() -> None:
    """The line follows what works."""
    app = Keys()
    async with run(app, size=(80, 4)) as pilot:
        app.stops = False
        app.refresh_bindings()
        await pilot.pause()
        await pilot.pause()
        assert line(app) == "p Print i Inspect f1 Help"


async def test_click_presses_the_key() -> None:
    """The mouse works, too."""
    app = Keys()
    async with run(app, size=(80, 4)) as pilot:
        await pilot.click(KeyLine, offset=(3, 0))
        await pilot.pause()
        assert app.printed == 1
