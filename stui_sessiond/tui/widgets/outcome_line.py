"""What became of the last wish? One line, cut where there is no room; what can be done about it is never cut off."""

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.widget import Widget

from stui_sessiond.tui.problem.problem import Severity
from stui_sessiond.tui.problem.screen import MARKS


class OutcomeLine(Widget):
    """The line.

    Args:
        text: what it says at first.
    """

    ERROR: ClassVar[str] = "-error"

    DEFAULT_CSS = """
    OutcomeLine { height: 1; padding: 0 1; background: $panel; }
    OutcomeLine.-error { color: $text-error; }
    """

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._text = text
        self._keys = ""

    def say(self, text: str, severity: Severity | None = None, keys: str = "") -> None:
        """Write something into the line.

        Args:
            text: what came of it.
            severity: how bad that is.
            keys: which key does what about it.
        """
        mark = "" if severity is None else f"{MARKS[severity]} "
        self._text = mark + " ".join(text.split("\n"))
        self._keys = keys
        self.set_class(severity is Severity.ERROR, self.ERROR)
        self.refresh()

    def render(self) -> Text:
        """Write as much as there is room for."""
        return Text(fitted(self._text, self._keys, self.size.width), no_wrap=True)


def fitted(text: str, keys: str, width: int) -> str:
    """Cut a text so that the keys behind it have room."""
    end = f"  [{keys}]" if keys else ""
    room = width - cell_len(end)
    if cell_len(text) > room:
        text = f"{set_cell_size(text, max(0, room - 1))}…"
    return text + end
