"""Where does a person begin? The last session, the daemon of this machine, favourites, what was used, something new."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stui_sessiond import __version__
from stui_sessiond.tui.connection import Connection, Connections
from stui_sessiond.tui.status_bar import StatusBar
from stui_sessiond.tui.tools.tool import TEXT_MODE
from stui_sessiond.tui.welcome_list import CONTINUE, LOCAL, NEW, LocalState, details, welcome_lines
from stui_sessiond.tui.widgets.key_line import KeyLine


class WelcomeScreen(Screen[None]):
    """The first screen.

    Args:
        local_url: of this user's daemon.
        name_for: tells who we are at a daemon.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "choose('continue')", "Go on"),
        Binding("n", "choose('new')", "New"),
        Binding("e", "change('edit')", "Edit"),
        Binding("t", "change('test')", "Test"),
        Binding("f", "change('favourite')", "Favourite"),
        Binding("delete", "change('forget')", "Forget"),
        Binding("f5", "change('look')", "Look again", show=False),
    ]

    DEFAULT_CSS = """
    WelcomeScreen > #heading { height: 2; padding: 0 2; background: $primary-background; color: $text; }
    WelcomeScreen > #details {
        height: auto; max-height: 5; padding: 0 2; border-top: solid $panel; color: $text-muted;
    }
    .-text WelcomeScreen > #details { border-top: none; }
    WelcomeScreen > OptionList { height: 1fr; padding: 1 2; background: $background; }
    WelcomeScreen > OptionList, WelcomeScreen > OptionList:focus { border: none; }
    """

    class Chosen(Message):
        """Somebody wants to go somewhere: `CONTINUE`, `LOCAL`, `NEW`, or the URL of a connection."""

        def __init__(self, option: str) -> None:
            self.option = option
            super().__init__()

    class Changed(Message):
        """Something is to be done about the line in front: `edit`, `test`, `favourite`, `forget`, `look`."""

        def __init__(self, what: str, option: str | None) -> None:
            self.what = what
            self.option = option
            super().__init__()

    def __init__(self, local_url: str | None, name_for: Callable[[Connection], str]) -> None:
        super().__init__()
        self._name_for = name_for
        self._connections = Connections()
        self._local_url = local_url

    def compose(self) -> ComposeResult:
        """The list."""
        yield Static(
            Content.assemble(
                ("stui", "bold"), f" {__version__}\nlive Smalltalk in a terminal; F1 tells which keys do what"
            ),
            id="heading",
        )
        yield OptionList()
        yield Static(Content(""), id="details")
        yield StatusBar()
        yield KeyLine()

    def on_mount(self) -> None:
        """The list has the keyboard."""
        self.query_one(OptionList).focus()

    def show(self, connections: Connections, running: LocalState, now: float) -> None:
        """Show what there is; the line in front stays."""
        self._connections = connections
        options = self.query_one(OptionList)
        before = options.highlighted_option
        lines = welcome_lines(connections, self._local_url, running, now, text_mode=self.app.has_class(TEXT_MODE))
        options.set_options(
            [
                Option(
                    Content.styled(line.text, "bold") if line.option is None else Content(line.text),
                    id=line.option,
                    disabled=line.option is None,
                )
                for line in lines
            ]
        )
        ids = [option.id for option in options.options]
        wanted = (
            before.id if before is not None and before.id in ids else next(name for name in ids if name is not None)
        )
        options.highlighted = ids.index(wanted)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to go on only where there is something to go on with."""
        return (action, parameters) != ("choose", (CONTINUE,)) or self._connections.last() is not None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell more about it."""
        known = self._known(event.option.id)
        lines = [] if known is None else details(known, self._name_for(known))
        if event.option.id == LOCAL and known is None and self._local_url is not None:
            lines = [f"{self._local_url}"]
        panel = self.query_one("#details", Static)
        panel.update(Content("\n".join(lines)))
        panel.display = bool(lines)

    def _known(self, option: str | None) -> Connection | None:
        if option == CONTINUE:
            return self._connections.last()
        return self._connections.find(self._local_url or "" if option == LOCAL else option or "")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go there."""
        if event.option.id is not None:
            self.post_message(self.Chosen(event.option.id))

    def action_choose(self, option: str) -> None:
        """Go there by a key of its own."""
        self.post_message(self.Chosen(option))

    def action_change(self, what: str) -> None:
        """Do something about the line in front."""
        option = self.query_one(OptionList).highlighted_option
        self.post_message(self.Changed(what, None if option is None else option.id))


__all__ = ["CONTINUE", "LOCAL", "NEW", "WelcomeScreen"]
