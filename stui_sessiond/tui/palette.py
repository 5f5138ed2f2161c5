"""What does the command palette find beside what Textual has?"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol

from textual.app import SystemCommand
from textual.screen import Screen

from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.tui.tools import KINDS

OURS_INSTEAD = frozenset({"Quit", "Keys", "Maximize"})
"""Of Textual's, these are left out: we have our own, or the desk does it."""


class Orders(Protocol):
    """The application, as far as the palette needs it."""

    async def action_help_keys(self) -> None:
        """Tell which keys work."""

    async def action_network(self) -> None:
        """Show the connection."""

    async def action_sessions(self) -> None:
        """Show the sessions."""

    def action_text_mode(self) -> None:
        """Lists as plain lines, or not."""

    def action_restore_always(self) -> None:
        """Begin with the last session, or not."""

    async def action_leave(self) -> None:
        """Leave."""


def commands(app: Orders, screen: Screen[object], usual: Iterable[SystemCommand]) -> Iterator[SystemCommand]:
    """List the commands for a screen."""
    yield from (command for command in usual if command.title not in OURS_INSTEAD)
    yield SystemCommand("Keys", "Which keys do what (F1)", app.action_help_keys)
    yield SystemCommand("Connection", "How it is, reconnect, work offline (F4)", app.action_network)
    yield SystemCommand("Sessions", "Sessions and images of this daemon (F2)", app.action_sessions)
    yield SystemCommand("Text mode", "Lists as plain lines for a screen reader, or back", app.action_text_mode)
    yield SystemCommand("Restore by itself", "Begin with the last session, or not", app.action_restore_always)
    yield SystemCommand("Quit", "Keep everything, and leave (F10)", app.action_leave)
    if isinstance(screen, SessionScreen):
        yield SystemCommand("Pin", "Keep this tool in sight beside the others (F8)", screen.action_pin)
        yield SystemCommand("Beside or below", "Where the pinned tool is (Shift+F8)", screen.action_turn)
        yield SystemCommand("Close tool", "The one in front (Alt+Q)", screen.action_close_tool)
        for kind, tool in KINDS.items():
            yield SystemCommand(f"Open: {tool.label}", "Another one, with variables of its own", _opening(screen, kind))


def _opening(screen: SessionScreen, kind: str) -> Callable[[], Awaitable[None]]:
    async def open_it() -> None:
        try:
            await screen.open_tool(kind)
        except ValueError as error:
            screen.notify(str(error), severity="warning")

    return open_it
