"""How is a result read that is too long to be inserted? A page at a time, as far as a person wants."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from stui_sessiond.client import ClientError
from stui_sessiond.tui.problem.problem import problem_of, shown
from stui_sessiond.tui.session_link import PAGE_CHARS, SessionLink
from stui_sessiond.tui.widgets.key_line import KeyLine

MAX_SHOWN_CHARS = 1_000_000
"""Of a result, in memory and on the screen; who needs more writes it into a file in the image."""


class ResultScreen(ModalScreen[None]):
    """A long result.

    Args:
        link: the session.
        name: the evaluation.
        text: its first page.
        total_chars: how long it is.
    """

    DEFAULT_CSS = """
    ResultScreen { align: center middle; }
    ResultScreen > Vertical { width: 95%; height: 90%; border: round $primary; background: $surface; padding: 0 1; }
    ResultScreen TextArea { border: none; padding: 0; }
    ResultScreen Static { height: 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", key_display="esc"),
        Binding("m", "more", "More"),
        Binding("c", "copy", "Copy"),
    ]

    def __init__(self, link: SessionLink, name: str, text: str, total_chars: int) -> None:
        super().__init__()
        self.link = link
        self.evaluation = name
        self.raw = text
        self.total_chars = total_chars

    def compose(self) -> ComposeResult:
        """Text above, how much of it below."""
        with Vertical() as box:
            box.border_title = "Result"
            yield TextArea(shown(self.raw, MAX_SHOWN_CHARS), read_only=True, soft_wrap=True, compact=True)
            yield Static(self._measure())
        yield KeyLine()

    def _measure(self) -> str:
        more = len(self.raw) < min(self.total_chars, MAX_SHOWN_CHARS)
        hint = "; m for more" if more else ""
        return f"{len(self.raw):,} of {self.total_chars:,} characters{hint}"

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """Put what is shown onto the clipboard."""
        self.app.copy_to_clipboard(self.raw)
        self.notify("Copied, if your terminal allows it.")

    def action_more(self) -> None:
        """Get the next page."""
        if len(self.raw) < min(self.total_chars, MAX_SHOWN_CHARS):
            self.run_worker(self._read_on(), name="result.page", group="page", exclusive=True, exit_on_error=False)

    async def _read_on(self) -> None:
        try:
            page = await self.link.client.get_result_page(
                self.link.session_id, self.evaluation, len(self.raw), PAGE_CHARS
            )
        except ClientError as error:
            self.notify(problem_of(error).line, severity="error", markup=False)
            return
        self.raw += page.text
        self.total_chars = page.total_chars
        area = self.query_one(TextArea)
        area.insert(shown(page.text, MAX_SHOWN_CHARS), area.document.end)
        self.query_one(Static).update(self._measure())
