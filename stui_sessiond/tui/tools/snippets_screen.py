"""How are snippets chosen and kept? A list of names with a look at each, and a line for a new name."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from stui_sessiond.tui.tools.snippets import Snippets, check_name
from stui_sessiond.tui.widgets.code_area import CodeArea
from stui_sessiond.tui.widgets.key_line import KeyLine


class SnippetsScreen(ModalScreen[str | None]):
    """The snippets. Its result is the code of the one that was chosen, or None.

    Args:
        snippets: the folder.
        code: what could be kept as one; None when there is nothing.
    """

    DEFAULT_CSS = """
    SnippetsScreen { align: center middle; }
    SnippetsScreen > Vertical { width: 95%; height: 90%; border: round $primary; background: $surface; padding: 0 1; }
    SnippetsScreen OptionList { width: 1fr; height: 1fr; border: none; }
    SnippetsScreen CodeArea { width: 2fr; height: 1fr; border-left: vkey $panel; }
    SnippetsScreen Input { height: 1; border: none; display: none; }
    SnippetsScreen Static { height: 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", key_display="esc"),
        Binding("enter", "choose", "Insert", priority=True),
        Binding("n", "ask('save')", "Save code"),
        Binding("r", "ask('rename')", "Rename"),
        Binding("d", "ask('delete')", "Delete"),
    ]

    def __init__(self, snippets: Snippets, code: str | None) -> None:
        super().__init__()
        self.snippets = snippets
        self.code = code
        self._asking: str | None = None

    def compose(self) -> ComposeResult:
        """Names left, the code right, a line for names below."""
        with Vertical() as box:
            box.border_title = f"Snippets in {self.snippets.folder}".replace("[", "(")
            with Horizontal():
                yield OptionList()
                yield CodeArea(read_only=True)
            yield Input()
            yield Static()
        yield KeyLine()

    def on_mount(self) -> None:
        """List them."""
        self._list()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense."""
        chosen = self._chosen() is not None
        if action == "ask":
            if self._asking is not None:
                return False
            return self.code is not None if parameters == ("save",) else chosen
        return self._asking is not None or chosen if action == "choose" else True

    def _list(self, select: str | None = None) -> None:
        try:
            names = self.snippets.names()
        except OSError as error:
            self._say(str(error))
            return
        options = self.query_one(OptionList)
        options.clear_options().add_options([Option(Text(name), id=f"s{n}") for n, name in enumerate(names)])
        self._names = names
        if names:
            options.highlighted = names.index(select) if select in names else 0
        else:
            self.query_one(CodeArea).load_text("")
            self._say("No snippets yet: n keeps the code at the cursor as one.")
        options.focus()
        self.refresh_bindings()

    def _chosen(self) -> str | None:
        at = self.query_one(OptionList).highlighted if self.is_mounted else None
        return None if at is None or at >= len(self._names) else self._names[at]

    def on_option_list_option_highlighted(self) -> None:
        """Show the code."""
        name = self._chosen()
        if name is not None:
            try:
                self.query_one(CodeArea).load_text(self.snippets.load(name))
                self._say("")
            except (OSError, ValueError) as error:
                self.query_one(CodeArea).load_text("")
                self._say(str(error))
        self.refresh_bindings()

    def on_option_list_option_selected(self) -> None:
        """Take it."""
        self.action_choose()

    def _say(self, text: str) -> None:
        self.query_one(Static).update(Text(text))

    def action_close(self) -> None:
        """Go back; first only from the line for names."""
        if self._asking is not None:
            self._answer_taken()
        else:
            self.dismiss(None)

    def action_choose(self) -> None:
        """Insert the chosen one, or do what the line for names was for."""
        if self._asking is not None:
            self._do(self._asking, self.query_one(Input).value)
        elif self._chosen() is not None:
            self.dismiss(self.query_one(CodeArea).text)

    def action_ask(self, what: str) -> None:
        """Ask for a name, or for the word that confirms a deletion."""
        self._asking = what
        line = self.query_one(Input)
        line.value = (self._chosen() or "") if what == "rename" else ""
        line.placeholder = {
            "save": "Name of the new snippet",
            "rename": "New name",
            "delete": f"Type yes to delete {self._chosen()}",
        }[what]
        line.display = True
        line.focus()
        self.refresh_bindings()

    def _answer_taken(self) -> None:
        self._asking = None
        self.query_one(Input).display = False
        self.query_one(OptionList).focus()
        self.refresh_bindings()

    def _do(self, what: str, answer: str) -> None:
        chosen = self._chosen()
        wrong = None if what == "delete" else check_name(answer)
        if wrong is not None:
            self._say(wrong)
            return
        try:
            if what == "save" and self.code is not None:
                self.snippets.save(answer, self.code, replace=False)
            elif what == "rename" and chosen is not None and answer != chosen:
                self.snippets.rename(chosen, answer)
            elif what == "delete" and chosen is not None and answer.strip().lower() == "yes":
                self.snippets.delete(chosen)
        except FileExistsError:
            self._say(f"There is a snippet {answer} already: take another name.")
            return
        except OSError as error:
            self._say(str(error))
            return
        self._answer_taken()
        self._list(answer)
