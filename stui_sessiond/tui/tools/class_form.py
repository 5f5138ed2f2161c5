"""How is a class defined? A form with the fields of `define_class`."""

from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from stui_sessiond.tui.widgets.key_line import KeyLine
from stui_sessiond.wire.messages.development import BrowseClassResult

FIELDS = (
    ("class_name", "Name", "Counter"),
    ("superclass", "Superclass", "Object"),
    ("instance_vars", "Variables", "count step"),
    ("class_vars", "Class variables", ""),
    ("package", "Package", "Demo"),
    ("comment", "Comment", "I count."),
)


class ClassWish(msgspec.Struct):
    """What a class is to be."""

    class_name: str = ""
    superclass: str = "Object"
    instance_vars: str = ""
    class_vars: str = ""
    package: str = ""
    comment: str = ""

    @classmethod
    def of(cls, info: BrowseClassResult) -> "ClassWish":
        """Write a class as it is."""
        one = info.class_info
        variables, shared = " ".join(info.instance_vars), " ".join(info.class_vars)
        return cls(one.name, one.superclass or "", variables, shared, one.package or "", one.comment or "")

    @property
    def wrong(self) -> str | None:
        """Tell what is wrong with it, as far as that does not take the image; None if nothing is."""
        names = [self.class_name, self.superclass]
        if not all(name.isidentifier() and name[0].isupper() for name in names):
            return "Name and superclass are names that begin with a capital letter."
        variables = [*self.instance_vars.split(), *self.class_vars.split()]
        if not all(name.isidentifier() for name in variables):
            return "Variables are names with spaces between them."
        return "A variable is there twice." if len(set(variables)) < len(variables) else None


class ClassForm(ModalScreen[ClassWish | None]):
    """Asks for what a class is to be.

    Args:
        wish: what to begin with.
        title: of the box.
    """

    DEFAULT_CSS = """
    ClassForm { align: center middle; }
    ClassForm > Vertical {
        width: 90%; max-width: 90; height: auto; border: round $primary; background: $surface; padding: 0 1;
    }
    ClassForm Horizontal { height: 1; margin-bottom: 1; }
    ClassForm Label { width: 18; }
    ClassForm Input, ClassForm Input:focus { border: none; height: 1; width: 1fr; padding: 0 1; background: $panel; }
    ClassForm Input:focus { background: $boost; text-style: underline; }
    ClassForm .wrong { color: $text-error; height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", key_display="esc"),
        Binding("enter", "accept", "Define", priority=True),
        Binding("tab", "app.focus_next", "Next field"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, wish: ClassWish, title: str) -> None:
        super().__init__()
        self.wish = wish
        self._title = title

    def compose(self) -> ComposeResult:
        """One line for each field."""
        with Vertical() as box:
            box.border_title = self._title
            for name, label, hint in FIELDS:
                with Horizontal():
                    yield Label(label)
                    yield Input(getattr(self.wish, name), placeholder=hint, id=name, max_length=2_000)
            yield Static(classes="wrong", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin at the first field that is empty."""
        fields = list(self.query(Input))
        next((one for one in fields if not one.value), fields[0]).focus()

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_accept(self) -> None:
        """Take it, if nothing is wrong."""
        wish = ClassWish(**{str(one.id): one.value.strip() for one in self.query(Input)})
        if wish.wrong is not None:
            self.query_one(".wrong", Static).update(wish.wrong)
        else:
            self.dismiss(wish)
