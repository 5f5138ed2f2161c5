"""How could code go on? A list at the cursor that comes by itself after a pause, and never holds up a key."""

import re
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.geometry import Offset
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import OptionList, TextArea
from textual.widgets.option_list import Option

from stui_sessiond.client import CallFailedError, ClientError
from stui_sessiond.printable import printable
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.smalltalk.lexer import Kind, lex
from stui_sessiond.tui.smalltalk.passage import offset_of, passage_at
from stui_sessiond.tui.widgets.code_area import CodeArea
from stui_sessiond.wire.messages.development import CodeCompletion, Suggestion

PAUSE_S = 0.15
"""After the last key, before the image is asked: shorter than the wait for it, longer than a fast typist's pause."""
PATIENCE_S = 2.0
"""Later suggestions would come to another thought."""
MIN_LETTERS = 2
"""Of a word, before it is completed by itself."""
MAX_SUGGESTIONS = 12
"""As many as fit below or above the cursor of a small terminal."""
MAX_SENT_CHARS = 10_000
"""Of code before the cursor: what is further away says nothing of the next word."""

_WORD = re.compile(r"[^\W\d]\w*$")
_QUIET = {Kind.COMMENT, Kind.STRING, Kind.CHARACTER, Kind.SYMBOL}


class CompletionList(OptionList, can_focus=False):
    """What code could go on with. The keys stay with the editor; a click takes a line.

    Args:
        take: takes the line that is chosen.
    """

    DEFAULT_CSS = """
    CompletionList {
        display: none; overlay: screen; constrain: inside inflect;
        width: 44; max-width: 90%; height: auto; max-height: 8;
        border: none; padding: 0; background: $panel; scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, take: Callable[[], None]) -> None:
        super().__init__()
        self._take = take

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Keep it from the tool around the editor."""
        event.stop()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take what was clicked."""
        event.stop()
        self._take()


def word_before(area: TextArea) -> str:
    """Give the part of a word before the cursor, empty in comments and strings, and while something is selected."""
    if not area.selection.is_empty:
        return ""
    row, column = area.cursor_location
    line = area.document.get_line(row)
    found = _WORD.search(line[:column])
    if found is None or (column < len(line) and line[column].isalnum()):
        return ""
    passage = passage_at(area.document.lines, row)
    if passage is None:
        return ""
    at = offset_of(area.document.lines, (row, column)) - offset_of(area.document.lines, passage.start)
    if any(one.kind in _QUIET and one.start < at <= one.end for one in lex(passage.code)):
        return ""
    return found[0]


class CompletingArea(CodeArea):
    """An editor that suggests how to go on.

    Args:
        link: the session.
        tool_id: whose variables are known.
        text: to begin with.
        id: of the widget.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+@,ctrl+space,alt+slash", "complete", "Complete", show=False),
    ]

    class Completed(Message):
        """A suggestion was taken."""

    def __init__(
        self,
        link: SessionLink,
        tool_id: str,
        text: str = "",
        *,
        id: str | None = None,  # noqa: A002 -- as all widgets have it
    ) -> None:
        super().__init__(text, id=id)
        self.link = link
        self.completes = True
        """False once the image has said that it cannot."""
        self._tool_id = tool_id
        self._list = CompletionList(self._accept)
        self._pause: Timer | None = None
        self._suggestions: list[Suggestion] = []
        self._word = ""
        self._dismissed = ""

    def on_mount(self) -> None:
        """Put the list over the screen, beside the editor: what is within a `ScrollView` is never drawn."""
        if isinstance(self.parent, Widget):
            self.parent.mount(self._list)

    async def _on_key(self, event: Key) -> None:
        """Take the keys that choose while there is a list; all others are the editor's."""
        if not self._list.display:
            return
        if event.key == "enter" and self._list.highlighted is None:
            self._hide()  # the word is complete: the line ends
            return
        acts: dict[str, Callable[[], None]] = {
            "up": lambda: self._choose(-1),
            "down": lambda: self._choose(1),
            "tab": self._accept,
            "enter": self._accept,
            "escape": self._hide,
        }
        act = acts.get(event.key)
        if act is not None:
            event.stop()
            event.prevent_default()
            act()

    # ---- when

    def on_text_area_changed(self) -> None:
        """Ask after a pause in typing, if there is a word to complete."""
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        word = word_before(self) if self.has_focus and self.completes else ""
        if len(word) < MIN_LETTERS:
            self._dismissed = ""
            self._hide(remember=False)
        elif not self._dismissed or not word.startswith(self._dismissed):
            if self._list.display:  # until the image has answered, those that still go on with the word
                self._show(word, [one for one in self._suggestions if one.text.startswith(word)])
            self._pause = self.set_timer(PAUSE_S, self._ask)

    def on_text_area_selection_changed(self) -> None:
        """Hide the list when the cursor goes elsewhere."""
        if self._list.display and not word_before(self).startswith(self._word):
            self._hide(remember=False)

    def on_blur(self) -> None:
        """Hide the list when somebody works elsewhere."""
        self._hide(remember=False)

    def action_complete(self) -> None:
        """Ask now."""
        self._dismissed = ""
        self._ask()

    def _ask(self) -> None:
        word = word_before(self)
        if word and self.completes and self.link.online:
            self.run_worker(self._fetch(word), name="complete", group="complete", exclusive=True, exit_on_error=False)

    async def _fetch(self, word: str) -> None:
        row, column = self.cursor_location
        passage = passage_at(self.document.lines, row)
        first = 0 if passage is None else offset_of(self.document.lines, passage.start)
        code = self.text[first : offset_of(self.document.lines, (row, column))][-MAX_SENT_CHARS:]
        asked = CodeCompletion(
            code=code,
            cursor_position=len(code),
            limit=MAX_SUGGESTIONS,
            session_id=self.link.session_id,
            tool_id=self._tool_id,
        )
        try:
            answer = await self.link.patient(PATIENCE_S, wait=False).complete_code(asked)
        except CallFailedError as error:
            self.completes = error.code != "unsupported_operation"
            return
        except ClientError:
            return  # a help that does not come is none; the status bar tells why
        if word_before(self) == word and self.has_focus:
            self._show(word, answer.suggestions)

    # ---- what

    def _show(self, word: str, suggestions: list[Suggestion]) -> None:
        at = self._list.highlighted
        chosen = self._suggestions[at].text if self._list.display and at is not None else None
        self._suggestions = [one for one in suggestions if one.text != word][:MAX_SUGGESTIONS]
        first = None if any(one.text == word for one in suggestions) else 0  # None: it may be meant as it is
        texts = [one.text for one in self._suggestions]
        self._word = word
        if not self._suggestions:
            self._hide(remember=False)
            return
        rows = [Option(_row(one)) for one in self._suggestions]
        self._list.clear_options().add_options(rows)
        self._list.highlighted = texts.index(chosen) if chosen in texts else first
        self._list.absolute_offset = self.cursor_screen_offset + Offset(-len(word), 1)
        self._list.display = True

    def _choose(self, step: int) -> None:
        """Go up or down in the list, around its ends."""
        count = len(self._suggestions)
        at = self._list.highlighted
        if at is None:
            at = -1 if step > 0 else 0
        self._list.highlighted = (at + step) % count if count else None

    def _accept(self) -> None:
        """Write the suggestion that is chosen, or else the first one, in the place of the word."""
        chosen = self._suggestions[self._list.highlighted or 0]
        row, column = self.cursor_location
        self._hide(remember=False)
        self.replace(chosen.text, (row, column - len(self._word)), (row, column))
        self._dismissed = chosen.text
        self.post_message(self.Completed())

    def hide(self) -> None:
        """Send suggestions away, also those that are on their way."""
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        self._hide(remember=False)

    def _hide(self, *, remember: bool = True) -> None:
        """Hide the list; until the word is another one, if the person wants that."""
        self.workers.cancel_group(self, "complete")
        if remember:
            self._dismissed = self._word
        self._list.display = False


def _row(one: Suggestion) -> Text:
    row = Text(printable(one.text, 30), no_wrap=True, overflow="ellipsis")
    return row.append(f"  {one.kind} {printable(one.detail or '', 30)}", "dim")
