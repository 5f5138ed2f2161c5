"""How is Smalltalk edited? A `TextArea` that colours it, matches its brackets, and keeps places while text moves.

Colours come from the theme, and what they say is also said by the letters: nothing is told by colour alone.
"""

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from stui_sessiond.tui.smalltalk.lexer import Inside, Kind, lex_line, line_states, matching_bracket
from stui_sessiond.tui.smalltalk.passage import Passage, Place, moved, offset_of, passage_at, place_of

MAX_BRACKET_CHARS = 200_000
"""In a longer text no bracket is looked for: it would be felt at each movement of the cursor."""

_STYLED = (
    Kind.COMMENT,
    Kind.STRING,
    Kind.SYMBOL,
    Kind.CHARACTER,
    Kind.NUMBER,
    Kind.KEYWORD,
    Kind.GLOBAL,
    Kind.PSEUDO,
    Kind.ASSIGNMENT,
    Kind.RETURN,
)


class CodeArea(TextArea):
    """An editor for Smalltalk.

    Args:
        text: to begin with.
        read_only: to look only.
        id: of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"code-area--{kind}" for kind in _STYLED), "code-area--mark"}

    DEFAULT_CSS = """
    CodeArea { border: none; padding: 0; }
    CodeArea:focus { border: none; }
    CodeArea .code-area--comment { text-style: italic dim; }
    CodeArea .code-area--string { color: $text-success; }
    CodeArea .code-area--symbol { color: $text-success; }
    CodeArea .code-area--character { color: $text-success; }
    CodeArea .code-area--number { color: $text-warning; }
    CodeArea .code-area--keyword { color: $text-primary; }
    CodeArea .code-area--global { color: $text-accent; }
    CodeArea .code-area--pseudo { color: $text-secondary; text-style: bold; }
    CodeArea .code-area--assignment { text-style: bold; }
    CodeArea .code-area--return { text-style: bold; }
    CodeArea .code-area--mark { color: $text-error; text-style: bold underline reverse; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+a", "select_passage", "Select the code at the cursor", show=False),
        Binding("ctrl+home", "go_to_end(False)", "To the beginning", show=False),
        Binding("ctrl+end", "go_to_end(True)", "To the end", show=False),
    ]

    def __init__(
        self,
        text: str = "",
        *,
        read_only: bool = False,
        id: str | None = None,  # noqa: A002 -- as all widgets have it
    ) -> None:
        self._states: list[Inside] | None = None
        self._styles: dict[Kind, Style] = {}
        self._kept: dict[str, Place] = {}
        self._marks: list[tuple[Place, Place]] = []
        super().__init__(
            text,
            id=id,
            read_only=read_only,
            show_line_numbers=True,
            tab_behavior="indent",
            soft_wrap=True,
            compact=True,
        )
        self.indent_width = 4
        self.highlight_cursor_line = False  # its colour would take the place of those of the code

    # ---- drawing

    def get_line(self, line_index: int) -> Text:
        """Colour a line."""
        line = super().get_line(line_index)
        if self._states is None:
            self._states = line_states(self.document.lines)
        for kind, start, end in lex_line(line.plain, self._states[line_index])[0]:
            style = self._style(kind)
            if style is not None:
                line.stylize(style, start, end)
        for top, bottom in self._marks:
            if top.row <= line_index <= bottom.row:
                first = top.column if line_index == top.row else 0
                last = bottom.column if line_index == bottom.row else len(line)
                line.pad_right(max(0, last - len(line)))
                line.stylize(self.get_component_rich_style("code-area--mark", partial=True), first, last)
        return line

    def _style(self, kind: Kind) -> Style | None:
        if kind not in self._styles and kind in _STYLED:
            self._styles[kind] = self.get_component_rich_style(f"code-area--{kind}", partial=True)
        return self._styles.get(kind)

    def notify_style_update(self) -> None:
        """Ask the theme for its colours again."""
        self._styles.clear()
        super().notify_style_update()

    # ---- changes

    def edit(self, edit: Edit) -> EditResult:
        """Change the text; kept places move with theirs."""
        top, bottom = Place(*edit.top), Place(*edit.bottom)
        result = super().edit(edit)
        end = Place(*result.end_location)
        self._kept = {name: moved(place, top, bottom, end) for name, place in self._kept.items()}
        self._states = None
        self._marks.clear()
        return result

    def load_text(self, text: str) -> None:
        """Take another text."""
        super().load_text(text)
        self._fresh()

    def undo(self) -> None:
        """Take a change back."""
        super().undo()
        self._fresh()

    def redo(self) -> None:
        """Make it again."""
        super().redo()
        self._fresh()

    def _fresh(self) -> None:
        self._states = None
        self._marks.clear()
        self._kept = {name: Place(*self.clamp_visitable(place)) for name, place in self._kept.items()}

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Tell whether a key writes something: of the slash Textual does not know it."""
        return super().check_consume_key(key, "/" if key == "slash" else character)

    async def _on_key(self, event: Key) -> None:
        """Keep the cursor here at Escape: what is typed next would be lost. Shift+Tab goes elsewhere."""
        if event.key == "escape":
            event.prevent_default()

    # ---- places

    def keep(self, name: str, place: Place) -> None:
        """Keep a place under a name: it moves with the text around it."""
        self._kept[name] = place

    def take(self, name: str) -> Place | None:
        """Give a kept place, and forget it."""
        return self._kept.pop(name, None)

    def mark(self, *parts: tuple[Place, Place]) -> None:
        """Mark parts of the text, until it is changed."""
        self._marks = list(parts)
        self._line_cache.clear()
        self.refresh()

    @property
    def marked(self) -> bool:
        """Whether a part of the text is marked."""
        return bool(self._marks)

    # ---- Smalltalk

    def passage(self) -> Passage | None:
        """Give what is selected, or else the code at the cursor; None when there is none."""
        start, end = sorted(self.selection)
        selected = self.selected_text
        if selected.strip():
            return Passage(Place(*start), Place(*end), selected)
        return passage_at(self.document.lines, self.cursor_location[0])

    def action_select_passage(self) -> None:
        """Select the code at the cursor."""
        found = passage_at(self.document.lines, self.cursor_location[0])
        if found is not None:
            self.selection = type(self.selection)(found.start, found.end)

    def action_go_to_end(self, end: bool) -> None:  # noqa: FBT001 -- actions are called so
        """Go to the end of the text, or to its beginning."""
        self.move_cursor(self.document.end if end else (0, 0))

    def find_matching_bracket(self, bracket: str, search_from: tuple[int, int]) -> tuple[int, int] | None:
        """Find the partner of a bracket; those in strings and comments are none."""
        if bracket not in "()[]{}" or not bracket or len(self.text) > MAX_BRACKET_CHARS:
            return None
        found = matching_bracket(self.text, offset_of(self.document.lines, search_from))
        return None if found is None else place_of(self.text, found)
