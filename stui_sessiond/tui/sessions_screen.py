"""Which session next? All that this client may see, by image, with what can be done about each."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stui_sessiond.client import CallFailedError, ClientError, LastingClient
from stui_sessiond.printable import printable
from stui_sessiond.tui import work
from stui_sessiond.tui.session_actions import SessionActions
from stui_sessiond.tui.session_list import Group, Row, group, image_line, row_line
from stui_sessiond.tui.status_bar import StatusBar
from stui_sessiond.tui.tools.tool import TEXT_MODE
from stui_sessiond.tui.widgets.key_line import KeyLine
from stui_sessiond.wire.messages.sharing import GetPresenceResult

NOBODY = (
    "No image has connected yet, and there is no session.\nAn image dials the daemon; it is listed as soon as it does."
)

REFRESH_S = 3.0
"""While the list is in front it is asked for again: images come and go by themselves. Some kilobytes each time."""


class SessionsScreen(Screen[None]):
    """The sessions and images of one daemon.

    Args:
        client: the connection.
        own: this client's name.
        now: gives seconds since 1970.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "act('create')", "New"),
        Binding("r", "act('rename')", "Rename"),
        Binding("i", "act('switch')", "Image"),
        Binding("d", "act('drive')", "Drive"),
        Binding("h", "act('share')", "Share"),
        Binding("s", "act('snapshot')", "Snapshot"),
        Binding("v", "act('revert')", "Revert"),
        Binding("x", "act('close')", "Close"),
        Binding("u", "act('clean')", "Clean up"),
        Binding("f5", "refresh_list", "Refresh", show=False),
        Binding("escape", "back", "Back", show=False),
    ]

    DEFAULT_CSS = """
    SessionsScreen > #heading { height: 1; background: $primary-background; color: $text; padding: 0 1; }
    SessionsScreen > OptionList { height: 1fr; padding: 0 1; background: $background; }
    SessionsScreen > OptionList, SessionsScreen > OptionList:focus { border: none; }
    SessionsScreen > #details {
        height: auto; max-height: 8; padding: 0 1; border-top: solid $panel; color: $text-muted;
    }
    .-text SessionsScreen > #details { border-top: none; }
    """

    class Chosen(Message):
        """A session is to be opened."""

        def __init__(self, row: Row) -> None:
            self.row = row
            super().__init__()

    class Left(Message):
        """The user wants to go back."""

    def __init__(self, client: LastingClient, own: str, now: Callable[[], float]) -> None:
        super().__init__()
        self.client = client
        self.own = own
        self._now = now
        self._groups: list[Group] = []
        self._rows: dict[str, Row] = {}
        self._actions = SessionActions(self, client, own)

    def compose(self) -> ComposeResult:
        """The list, what is known of the line in front, the connection, the keys."""
        yield Static(Content("Sessions and images"), id="heading")
        yield OptionList()
        yield Static(Content(""), id="details")
        yield StatusBar()
        yield KeyLine()

    def on_mount(self) -> None:
        """Ask for the list."""
        self.query_one(OptionList).focus()
        self.show_groups(None)
        self.action_refresh_list()
        self.set_interval(REFRESH_S, self._again)

    def on_screen_resume(self) -> None:
        """Ask again: something may have been done elsewhere."""
        self.action_refresh_list()

    # ---- the list

    def action_refresh_list(self) -> None:
        """Ask for the list again."""
        work.start(self, self.refresh_list, group="list", exclusive=True)

    def _again(self) -> None:
        if self.app.screen is self and self.client.status.online:
            self.action_refresh_list()

    async def refresh_list(self, select: str | None = None) -> None:
        """Ask for images and sessions, and show them."""
        try:
            own = await self.client.list_client_sessions(self.own, include_inactive=True)
            images = (await self.client.list_images()).images
            of_images = (await self.client.list_image_sessions()).sessions
        except CallFailedError as error:
            self._details(f"! the list cannot be had: {error.message}")
            return
        except ClientError as error:
            self._details(f"! {error}")
            return
        self.show_groups(group(images, of_images, own.sessions, self.own), select)

    def show_groups(self, found: list[Group] | None, select: str | None = None) -> None:
        """Show a list, None before there is one; the line in front stays where it is, or goes to `select`."""
        options = self.query_one_optional(OptionList)
        if options is None:
            return  # it was asked for when the screen was still there
        wanted = select or self._current_id()
        groups = found or []
        if found == self._groups and found and select is None:
            return
        self._groups = groups
        self._rows = {row.session_id: row for each in groups for row in each.rows}
        lines: list[Option] = []
        text_mode = self.app.has_class(TEXT_MODE)
        for each in groups:
            lines.append(Option(Content.styled(image_line(each), "bold"), id=f"image:{each.image_id or ''}"))
            lines += [
                Option(Content(row_line(row, self._now(), self.own, text_mode=text_mode)), id=row.session_id)
                for row in each.rows
            ]
        if not lines:
            lines = [Option(Content("waiting for the daemon" if found is None else NOBODY), disabled=True)]
        options.set_options(lines)
        ids = [option.id for option in options.options]
        first = next((row.session_id for each in groups for row in each.rows), None)
        target = wanted if wanted in ids else first
        if target is not None:
            options.highlighted = ids.index(target)
        elif groups:
            options.highlighted = 0
            self._details("No session yet. n: start one in the image of this line")

    def _current_id(self) -> str | None:
        options = self.query_one_optional(OptionList)
        option = None if options is None else options.highlighted_option
        return None if option is None else option.id

    @property
    def row(self) -> Row | None:
        """The session in front."""
        return self._rows.get(self._current_id() or "")

    @property
    def image_id(self) -> str | None:
        """The image in front, or that of the session in front."""
        current = self._current_id() or ""
        if current.startswith("image:"):
            return current.removeprefix("image:") or None
        return None if self.row is None else self.row.image_id

    @property
    def groups(self) -> list[Group]:
        """What the list shows."""
        return self._groups

    # ---- the line in front

    def on_option_list_option_highlighted(self) -> None:
        """Tell more about it."""
        if self.row is not None:
            work.start(self, partial(self._look_at, self.row), group="details", exclusive=True)
        else:
            self._details(self._image_details())

    def on_option_list_option_selected(self) -> None:
        """Open it."""
        if self.row is not None:
            self.post_message(self.Chosen(self.row))

    async def _look_at(self, row: Row) -> None:
        lines = [f"{printable(row.shown_name)} | {row.session_id}"]
        self._details("\n".join(lines))
        if row.is_active:
            try:
                lines += presence_lines(await self.client.within(wait=False).get_presence(row.session_id), self.own)
            except ClientError:
                return
        else:
            lines.append("It is closed; Enter opens it again.")
        self._details("\n".join(lines))

    def _image_details(self) -> str:
        image_id = self.image_id
        found = next((each.image for each in self._groups if each.image_id == image_id and each.image), None)
        if found is None:
            return "n: a new session"
        lines = [f"{printable(found.name or found.image_id)} | {printable(found.vm or '')}"]
        lines += [f"! {printable(conflict.text)}" for conflict in found.conflicts]
        lines.append("n: a new session here   u: clean up its sessions")
        return "\n".join(lines)

    def _details(self, text: str) -> None:
        for details in self.query("#details").results(Static):  # none, if the screen has gone meanwhile
            details.update(Content(text))

    # ---- doing something

    def action_act(self, what: str) -> None:
        """Do something about the line in front."""
        work.start(self, partial(self._actions.run, what, self.row, self.image_id), group="act", exclusive=True)

    def action_back(self) -> None:
        """Go back."""
        self.post_message(self.Left())


def presence_lines(who: GetPresenceResult, own: str) -> list[str]:
    """Tell who is there, who may, who drives."""
    there = [
        f"{printable(one.client_id or 'somebody')}{' (you)' if one.client_id == own else ''}" for one in who.attached
    ]
    lines = [f"here: {', '.join(sorted(set(there))) or 'nobody'}"]
    if who.shares:
        lines.append("shared with: " + ", ".join(f"{printable(name)} ({role})" for name, role in who.shares.items()))
    driver = "nobody in particular; every editor may change it" if who.driver is None else printable(who.driver)
    lines.append(f"drives: {'you' if who.driver == own else driver}")
    if who.driver_requests:
        lines.append(f"asks to drive: {', '.join(printable(name) for name in who.driver_requests)} (d: hand over)")
    return lines
