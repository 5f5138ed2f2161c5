"""What if somebody else changed the same method? Theirs, yours and both merged are shown, and the person decides."""

from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from stui_sessiond.client import CallFailedError
from stui_sessiond.printable import printable
from stui_sessiond.tui.problem.problem import shown
from stui_sessiond.tui.tools.difference import Change, compare
from stui_sessiond.tui.widgets.key_line import KeyLine


class Clash(NamedTuple):
    """Two sources that were made from the same one."""

    title: str
    base: str
    yours: str
    theirs: str
    """What the image has; empty when it was removed."""
    merged: str | None
    """Both changes in one; None where they touch each other."""

    @classmethod
    def of(cls, error: CallFailedError, title: str, yours: str) -> "Clash":
        """Read it from the details of `code_conflict` (IMAGES.md, Code)."""

        def text(name: str) -> str | None:
            value = error.details.get(name)
            return value if isinstance(value, str) else None

        return cls(title, text("base") or "", text("yours") or yours, text("present") or "", text("merged"))


class Decision(NamedTuple):
    """What a person decided: the source to go on with, and whether to compile it at once."""

    source: str
    compile: bool


class ConflictScreen(ModalScreen[Decision | None]):
    """A conflict.

    Args:
        clash: the two sources.
    """

    DEFAULT_CSS = """
    ConflictScreen { align: center middle; }
    ConflictScreen > Vertical { width: 96%; height: 92%; border: round $warning; background: $surface; padding: 0 1; }
    ConflictScreen .head { height: auto; }
    ConflictScreen VerticalScroll { height: 1fr; border-top: solid $panel; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", key_display="esc"),
        Binding("left,right,tab", "turn", "Other view", priority=True, key_display="←→"),
        Binding("m", "decide('merged')", "Compile merged"),
        Binding("y", "decide('yours')", "Compile yours"),
        Binding("t", "decide('theirs')", "Take theirs"),
    ]

    VIEWS = ("theirs", "yours", "merged")

    def __init__(self, clash: Clash) -> None:
        super().__init__()
        self.clash = clash
        self.view = "merged" if clash.merged is not None else "theirs"
        self._head = Static(classes="head")
        self._text = Static()

    def compose(self) -> ComposeResult:
        """What happened, which view it is, and the view."""
        with Vertical() as box:
            box.border_title = Text(f"▲ CONFLICT {printable(self.clash.title)}")
            yield self._head
            with VerticalScroll():
                yield self._text
        yield KeyLine()

    def on_mount(self) -> None:
        """Show the first view."""
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the merge only where there is one."""
        return action != "decide" or parameters != ("merged",) or self.clash.merged is not None

    def _show(self) -> None:
        told = "Somebody else changed this method since you read it; nothing was compiled."
        if self.clash.merged is None:
            told += " Both changed the same lines, so they cannot be merged."
        head = Text(f"{told}\n")
        for name in self.VIEWS:
            if name != "merged" or self.clash.merged is not None:
                chosen = name == self.view
                head.append(f" [{name}] " if chosen else f"  {name}  ", "bold reverse" if chosen else "")
        self._head.update(head.append("  compared with what you both began with"))
        source = {"theirs": self.clash.theirs, "yours": self.clash.yours, "merged": self.clash.merged or ""}[self.view]
        before, after = shown(self.clash.base, 100_000).split("\n"), shown(source, 100_000).split("\n")
        lines = compare(before, after)
        text = Text()
        for line in lines:
            style = {Change.GONE: "red", Change.NEW: "green"}.get(line.change, "")
            text.append(f"{line.change} {line.text}\n", style)
        self._text.update(text if lines else Text("the same as before", "italic"))

    def action_turn(self) -> None:
        """Show the next view."""
        views = [one for one in self.VIEWS if one != "merged" or self.clash.merged is not None]
        self.view = views[(views.index(self.view) + 1) % len(views)]
        self._show()

    def action_close(self) -> None:
        """Decide nothing; the source stays as it is in the editor."""
        self.dismiss(None)

    def action_decide(self, what: str) -> None:
        """Go on with one of them."""
        if what == "theirs":
            self.dismiss(Decision(self.clash.theirs, compile=False))
        elif what == "yours":
            self.dismiss(Decision(self.clash.yours, compile=True))
        elif self.clash.merged is not None:
            self.dismiss(Decision(self.clash.merged, compile=True))
