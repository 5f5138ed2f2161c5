"""What did the image write? Its Transcript, as it comes, without ever slowing the keys.

What comes is only kept; it is drawn a few times a second, and only the lines that are visible.
"""

from typing import ClassVar

import msgspec
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input

from stui_sessiond.client import ClientError, Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.tools.asking import AskingTool
from stui_sessiond.tui.tools.line_ring import MAX_LINES, LineRing
from stui_sessiond.wire.forms import EventMessage

DRAW_S = 0.1
"""Between two drawings while lines come: fast enough to look live, and nearly all of the time is the keys'."""
MAX_SEARCH_CHARS = 200
"""Of the words that are searched."""


class TranscriptView(ScrollView, can_focus=True):
    """The lines that are kept. Follows the end while it is at the end."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"transcript--match", "transcript--found"}

    DEFAULT_CSS = """
    TranscriptView { height: 1fr; scrollbar-size: 1 1; padding: 0; }
    TranscriptView .transcript--match { text-style: underline; color: $text-warning; }
    TranscriptView .transcript--found { text-style: reverse bold; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.ring = LineRing()
        self.following = True
        """Whether the end stays in sight."""
        self.words = ""
        """What is searched."""
        self.found: int | None = None
        """The number of the line that was found, counted over all lines that ever came."""
        self.drawn = 0
        """How often what came was drawn: far less than how often something came."""
        self._width = 0
        self._gone = 0
        self._waiting = False

    def write(self, text: str) -> None:
        """Keep text; it is drawn soon."""
        before = self.ring.dropped + len(self.ring)
        self._gone += self.ring.write(text)
        added = self.ring.dropped + len(self.ring) - before + 1
        self._width = max([self._width, *map(len, self.ring.window(len(self.ring) - min(added, 200), 200))])
        if not self._waiting:
            self._waiting = True
            self.set_timer(DRAW_S, self._draw)

    def clear(self) -> None:
        """Drop all lines."""
        self.ring.clear()
        self._gone = self._width = 0
        self.found = None
        self._draw()

    def _draw(self) -> None:
        self._waiting = False
        self.drawn += 1
        gone, self._gone = self._gone, 0
        self.virtual_size = Size(self._width, len(self.ring))
        if self.following:
            self.scroll_end(animate=False, immediate=True, force=True, x_axis=False)
        elif gone:
            self.scroll_to(y=self.scroll_y - gone, animate=False, immediate=True, force=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the end when somebody went there, and not when somebody went elsewhere."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.following = new_value >= self.max_scroll_y

    def render_line(self, y: int) -> Strip:
        """Draw one of the visible lines."""
        left, top = self.scroll_offset
        index = top + y
        style = self.rich_style
        if index >= len(self.ring):
            return Strip.blank(self.size.width, style)
        line = Text(printable(self.ring.line(index).expandtabs(8)), style, no_wrap=True, end="")
        if self.words:
            found = self.found is not None and self.found - self.ring.dropped == index
            word = "transcript--found" if found else "transcript--match"
            match_style: Style = self.get_component_rich_style(word, partial=True)
            start = line.plain.casefold().find(self.words.casefold())
            while start >= 0:
                line.stylize(match_style, start, start + len(self.words))
                start = line.plain.casefold().find(self.words.casefold(), start + len(self.words))
        segments = [Segment(text, part, control) for text, part, control in line.render(self.app.console)]
        return Strip(segments, line.cell_len).crop_extend(left, left + self.size.width, style)

    def search(self, words: str, *, backwards: bool = False, again: bool = False) -> bool:
        """Go to the next line with these words, and tell whether there is one."""
        self.words = words
        here = self.found - self.ring.dropped if self.found is not None else round(self.scroll_y)
        start = here + (-1 if backwards else 1) if again else here
        index = self.ring.find(words, start, backwards=backwards)
        self.found = None if index is None else index + self.ring.dropped
        if index is not None:
            self.scroll_to(y=max(index - self.size.height // 2, 0), animate=False, immediate=True)
        self.refresh()
        return index is not None


class TranscriptState(msgspec.Struct):
    """Nothing of the lines: those are the daemon's to keep."""

    words: str = ""


class Transcript(AskingTool[TranscriptState]):
    """The image's Transcript."""

    kind: ClassVar[str] = "transcript"
    label: ClassVar[str] = "Transcript"
    state_type: ClassVar[type[msgspec.Struct]] = TranscriptState

    DEFAULT_CSS = """
    Transcript Input { height: 1; border: none; display: none; }
    Transcript Input:focus { border: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", key_display="/"),
        Binding("n", "next_match", "Next"),
        Binding("N", "next_match(True)", "Previous", show=False),
        Binding("end", "follow", "Follow the end"),
        Binding("c", "clear", "Clear"),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: TranscriptState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.view = TranscriptView()
        self.view.words = state.words
        self._line = Input(placeholder="Search for", max_length=MAX_SEARCH_CHARS)
        self._heard = False

    def compose(self) -> ComposeResult:
        """Lines, a field to search, and how much there is."""
        yield self.view
        yield self._line
        yield self.status

    def on_mount(self) -> None:
        """Begin with the end of what was written before."""
        self.set_interval(0.5, self._tell)
        self._tell()
        self.ask(self._begin(), "begin")

    async def _begin(self) -> None:
        try:
            digest = await self.link.patient(5.0, wait=False).get_digest(self.link.session_id)
        except ClientError:
            return  # what comes from now on is shown anyway
        if digest.output_tail and not self._heard:
            self.view.write(digest.output_tail)

    def focus_inside(self) -> None:
        """Let the arrows scroll."""
        self.view.focus()

    def present_state(self) -> TranscriptState:
        """Tell what has to be kept."""
        return TranscriptState(self.view.words)

    def hear(self, item: EventMessage | Gap) -> None:
        """Keep what was written."""
        if isinstance(item, Gap):
            self.view.write(f"\n-- something may be missing here: {printable(item.reason)} --\n")
        elif item.event == "transcript" and isinstance(item.data, dict):
            self._heard = True
            self.view.write(str(item.data.get("text", "")))

    def _tell(self) -> None:
        ring, view = self.view.ring, self.view
        where = "following the end" if view.following else f"line {round(view.scroll_y) + 1:,}; End follows again"
        lost = f", {ring.dropped:,} older ones dropped" if ring.dropped else ""
        words = f'  "{printable(view.words)}"' if view.words else ""
        missed = " not found" if view.words and view.found is None else ""
        text = f"{len(ring):,} of at most {MAX_LINES:,} lines{lost}; {where}{words}{missed}"
        if text != self.said:
            self.say(text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys to the field while somebody types into it."""
        del parameters
        return not (self._line.has_focus and action in {"search", "next_match", "follow", "clear"})

    def action_search(self) -> None:
        """Ask for words."""
        self._line.display = True
        self._line.value = self.view.words
        self._line.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while the words are typed."""
        event.stop()
        self.view.search(event.value)
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on with the lines."""
        event.stop()
        self._line.display = False
        self.view.focus()
        self.changed()

    def action_next_match(self, backwards: bool = False) -> None:  # noqa: FBT001, FBT002 -- actions are called so
        """Go to the next line with the words."""
        if self.view.words:
            self.view.search(self.view.words, backwards=backwards, again=True)
            self._tell()

    def action_follow(self) -> None:
        """Go to the end, and stay there."""
        self.view.following = True
        self.view.scroll_end(animate=False)
        self._tell()

    def action_clear(self) -> None:
        """Drop the lines here; the daemon has them still."""
        self.view.clear()
        self._tell()
