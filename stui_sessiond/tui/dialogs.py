"""How is a person asked something? Boxes over the screen: confirm, type a line, choose, read. Escape always leaves."""

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

R = TypeVar("R")

MAX_INPUT_CHARS = 256
"""The longest name the protocol takes."""


class Dialog(ModalScreen[R]):
    """A box in the middle, with a title and a line that says which keys do what."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > #box {
        width: 76; max-width: 96%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    Dialog #title { text-style: bold; width: 1fr; }
    Dialog #lines { height: auto; max-height: 14; margin: 1 0 0 0; }
    Dialog #keys { color: $text-muted; margin: 1 0 0 0; }
    Dialog OptionList { height: auto; max-height: 14; margin: 1 0 0 0; background: $surface; padding: 0; }
    Dialog OptionList, Dialog OptionList:focus { border: none; }
    Dialog Input { margin: 1 0 0 0; }
    Dialog #wrong { color: $text-error; height: auto; }
    """

    def __init__(self, title: str, keys: str) -> None:
        super().__init__()
        self._title = title
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Title, contents, keys."""
        with Vertical(id="box"):
            yield Label(Content(self._title), id="title")
            yield from self.contents()
            yield Label(Content(self._keys), id="keys")

    def contents(self) -> ComposeResult:
        """What is between title and keys."""
        raise NotImplementedError

    def action_leave(self) -> None:
        """Go without an answer."""
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Asks whether something is to be done. Enter does nothing by itself where something would be lost: `y` does it.

    Args:
        title: the question.
        lines: what it means.
        dangerous: whether only `y` is a yes.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes"),
        Binding("n", "leave", "No"),
        Binding("enter", "enter", "Yes", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str] = (), *, dangerous: bool = False) -> None:
        super().__init__(title, "y: yes   n, Esc: no" if dangerous else "Enter, y: yes   n, Esc: no")
        self._lines = lines
        self._dangerous = dangerous

    def contents(self) -> ComposeResult:
        """What it means."""
        with VerticalScroll(id="lines"):
            yield Static(Content("\n".join(self._lines)))

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(result=True)

    def action_enter(self) -> None:
        """Do it, where that is safe."""
        if not self._dangerous:
            self.dismiss(result=True)

    def action_leave(self) -> None:
        """Do not."""
        self.dismiss(result=False)


class Ask(Dialog[str]):
    """Asks for a line of text.

    Args:
        title: what for.
        value: what is there to begin with.
        hint: shown in an empty field.
        check: tells what is wrong with a text; empty if nothing is.
    """

    def __init__(
        self, title: str, value: str = "", *, hint: str = "", check: Callable[[str], str] | None = None
    ) -> None:
        super().__init__(title, "Enter: take it   Esc: cancel")
        self._value = value
        self._hint = hint
        self._check = check or (lambda _: "")

    def contents(self) -> ComposeResult:
        """The field, and what is wrong with it."""
        yield Input(self._value, placeholder=self._hint, max_length=MAX_INPUT_CHARS)
        yield Static("", id="wrong", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, if it is right."""
        text = event.value.strip()
        wrong = self._check(text)
        if wrong:
            self.query_one("#wrong", Static).update(Content(wrong))
        else:
            self.dismiss(text)


class Choose(Dialog[str]):
    """Lets one of several be chosen.

    Args:
        title: what for.
        options: id and line of each.
        lines: what has to be said before.
    """

    def __init__(self, title: str, options: Sequence[tuple[str, str]], lines: Sequence[str] = ()) -> None:
        super().__init__(title, "Enter: choose   Esc: cancel")
        self._options = options
        self._lines = lines

    def contents(self) -> ComposeResult:
        """The list."""
        if self._lines:
            yield Static(Content("\n".join(self._lines)))
        yield OptionList(*(Option(Content(line), id=name) for name, line in self._options))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self.dismiss(event.option.id)


class Read(Dialog[None]):
    """Shows lines to read."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "leave", "Close")]

    DEFAULT_CSS = """
    Read #lines { max-height: 62vh; }
    Read > #box { height: auto; }
    """

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__(title, "Enter, Esc: close   arrows: scroll")
        self._lines = lines

    def contents(self) -> ComposeResult:
        """The lines."""
        with VerticalScroll(id="lines"):
            yield Static(Content("\n".join(self._lines)))

    def on_mount(self) -> None:
        """Let arrows scroll."""
        self.query_one("#lines").focus()
