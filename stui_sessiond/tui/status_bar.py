"""Where is the status line? At the bottom of every screen; it follows the application, and the clock."""

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from stui_sessiond.client import Status, Visit
from stui_sessiond.tui.status_text import StatusLine, status_line

TICK_S = 1.0
"""The line tells whole seconds."""


class StatusSource:
    """What the bar asks its application: mixed into it."""

    status: Status | None = None
    gap_at: float | None = None

    def now(self) -> float:
        """Seconds since 1970."""
        raise NotImplementedError

    def visit(self) -> Visit | None:
        """The present connection."""
        raise NotImplementedError

    def line(self) -> StatusLine:
        """What the bar says."""
        if self.status is None:
            return StatusLine(".", "not connected", "quiet")
        return status_line(self.status, self.now(), visit=self.visit(), gap_at=self.gap_at)


class StatusBar(Widget):
    """One line."""

    DEFAULT_CSS = """
    StatusBar { height: 1; background: $panel; color: $text; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    StatusBar.-good { color: $text-success; }
    StatusBar.-doubtful { color: $text-warning; }
    StatusBar.-bad { background: $error; color: $text; text-style: bold; }
    """

    def on_mount(self) -> None:
        """Count the seconds."""
        self.set_interval(TICK_S, self.follow)
        self.follow()

    def follow(self) -> None:
        """Say what is true now."""
        line = self._line()
        for mood in ("good", "doubtful", "bad", "quiet"):
            self.set_class(line.mood == mood, f"-{mood}")
        self.refresh()

    def render(self) -> RenderResult:
        """The line, cut at the edge."""
        return Content(str(self._line()))

    def _line(self) -> StatusLine:
        source = self.app
        return source.line() if isinstance(source, StatusSource) else StatusLine(".", "", "quiet")
