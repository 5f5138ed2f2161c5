"""What is the terminal front end as a whole? One connection at a time, and the screens that use it."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import msgspec
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from stui_sessiond.client import ConnectionState, LastingClient, Status, Visit
from stui_sessiond.printable import printable
from stui_sessiond.tui import work
from stui_sessiond.tui.beginning import Beginning
from stui_sessiond.tui.connection import Connection, Seen, note_seen, put
from stui_sessiond.tui.dialogs import Read
from stui_sessiond.tui.help_text import help_lines
from stui_sessiond.tui.household import Household
from stui_sessiond.tui.key_order import KeyOrder
from stui_sessiond.tui.network_screen import FRESH, OFFLINE, RECONNECT, NetworkDialog, network_lines
from stui_sessiond.tui.palette import commands
from stui_sessiond.tui.preferences import SharedPreferences, effective
from stui_sessiond.tui.proof import TokenError
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.session_screen import SessionScreen
from stui_sessiond.tui.sessions_screen import SessionsScreen
from stui_sessiond.tui.status_bar import StatusBar, StatusSource
from stui_sessiond.tui.themes import THEMES
from stui_sessiond.tui.tools.tool import TEXT_MODE
from stui_sessiond.tui.welcome_screen import WelcomeScreen
from stui_sessiond.wire.messages import Position

KEEP_POSITION_S = 10.0
"""How often it is written down how far events were seen; after a kill so much is told of again."""


BOTTOM = 2
"""Screens that are always there: Textual's own, and the first one."""


class Start(msgspec.Struct, frozen=True):
    """Where to begin: at the welcome screen, at a daemon, or in a session."""

    connection: Connection | None = None
    session_id: str | None = None
    restore: bool = False


class StuiApp(KeyOrder[str], StatusSource):
    """The application. Its result is what is to be said after it has left the screen.

    Args:
        household: the user's files.
        start: where to begin.
    """

    TITLE = "stui"
    CSS = """
    .-text Dialog > #box { border: none; }
    .-text OptionList { border: none; }
    OptionList:blur > .option-list--option-highlighted { color: $block-cursor-blurred-foreground; }
    ToastRack { margin-bottom: 3; } /* above the lines that tell what became of code, and of the connection */
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help_keys", "Help", priority=True),
        Binding("f2", "sessions", "Sessions"),
        Binding("f4", "network", "Connection"),
        Binding("ctrl+p", "command_palette", "Commands", priority=True),
        Binding("f10", "leave", "Quit"),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
    ]

    def __init__(self, household: Household, start: Start | None = None) -> None:
        super().__init__()
        self.household = household
        self.client: LastingClient | None = None
        self.drafts = household.places.drafts
        self.writer = household.writer
        self.pace = household.pace
        self._start = start or Start()
        self._connection: Connection | None = None
        self._beginning = Beginning(self)
        self._shared = SharedPreferences()
        self._sessions: SessionsScreen | None = None
        self._open: SessionScreen | None = None
        self._leaving = False
        for theme in THEMES:
            self.register_theme(theme)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what does something where the user is."""
        if action == "sessions":
            return isinstance(self.screen, SessionScreen)
        if action == "network":
            return self.client is not None
        return super().check_action(action, parameters)

    # ---- beginning and ending

    async def on_mount(self) -> None:
        """Show the first screen, or go where we were told to."""
        self._apply_preferences()
        await self.push_screen(WelcomeScreen(self.household.places.local_url, self.household.name_for))
        self.show_welcome()
        self.theme_changed_signal.subscribe(self, self._theme_chosen)
        self.set_interval(KEEP_POSITION_S, self._keep_positions)
        self.tell_problems()
        if self._start.connection is not None:
            await self.connect(self._start.connection, self._start.session_id)
        elif self._start.restore or self.household.preferences.restore:
            work.start(self, self._beginning.go_on, "welcome")
        work.start(self, self._beginning.look, "look")

    async def action_leave(self) -> None:
        """Keep everything, then go."""
        if self._leaving:
            return
        self._leaving = True
        left = await self._leave_daemon()
        self.exit(
            f"What {left} tools hold is not in the session yet. It is kept here, and saved next time." if left else ""
        )

    async def _leave_daemon(self) -> int:
        """Let go of session and daemon; tell how many tools have unsaved work."""
        left = 0 if self._open is None else await self._open.leave()
        if not self._leaving:
            await self._pop_to_welcome()
            await self._forget_screen()
        self._keep_positions()
        if self.client is not None:
            client, self.client = self.client, None
            await client.close()
        self._open = self._sessions = self._connection = None
        self.status = None
        self.gap_at = None
        return left

    async def on_unmount(self) -> None:
        """Hang up, whatever ended us."""
        if self.client is not None:
            await self.client.close()

    # ---- the status, for all status bars

    def now(self) -> float:
        """Seconds since 1970."""
        return self.household.clock()

    def visit(self) -> Visit | None:
        """The present connection."""
        visits = () if self.client is None else self.client.visits()
        return visits[-1] if visits else None

    def _follow(self, status: Status | None) -> None:
        self.status = status
        for screen in self.screen_stack:
            for bar in screen.query(StatusBar):
                bar.follow()

    # ---- the daemon

    async def connect(self, connection: Connection, session_id: str | None = None) -> None:
        """Connect to a daemon, and show its sessions, or one of them at once."""
        try:
            client = self.household.client_for(connection)
        except (TokenError, ValueError, OSError) as error:
            self.complain(f"{connection.shown_name}: {error}")
            self.note_result(connection, str(error))
            return
        await self._leave_daemon()
        self._connection = connection
        self.client = client
        await client.__aenter__()
        work.start(self, partial(self._watch_status, client, connection), group="status", exclusive=True)
        if session_id is None:
            await self._show_sessions()
        else:
            await self._show_session(session_id, connection.session_name)

    async def _watch_status(self, client: LastingClient, connection: Connection) -> None:
        noted, checked = "", False
        async for status in client.statuses():
            if self.client is not client:
                return  # we have left it
            self._follow(status)
            result = "connected" if status.online else ""
            failed = status.state is ConnectionState.FAILED
            if status.reason is not None and not status.online and (failed or not noted):
                result = status.reason.text
            if result and result != noted:
                noted = result
                self.note_result(connection, result)
            if status.online and not checked:
                checked = True
                client.reconnect()  # with a connection this checks it, and so tells the latency at once
                if self._sessions is not None and self._sessions.is_mounted:
                    self._sessions.action_refresh_list()

    def note_result(self, connection: Connection, result: str) -> None:
        """Remember what came of using a connection."""
        known = self.household.connections.find(connection.url) or connection
        noted = msgspec.structs.replace(known, used_at=self.now(), result=printable(result, 120))
        self.household.remember(put(self.household.connections, noted))
        self.tell_problems()

    # ---- sessions

    async def _show_session(self, session_id: str, name: str) -> None:
        client, connection = self.client, self._connection
        if client is None or connection is None:
            return
        await self._pop_to_welcome()
        before = self._open
        if before is not None and before.link.session_id == session_id and before.ready and not before.over:
            await self.push_screen(before)
            return
        if before is not None:
            await before.leave()
            await self._forget_screen()
        own = self.household.name_for(connection)
        screen = SessionScreen(SessionLink(client, session_id, own=own), self, own)
        self._open = screen
        self.install_screen(screen, f"session-{session_id}")  # it stays as it is while another screen is in front
        await self.push_screen(screen)
        known = self.household.connections.find(connection.url) or connection
        opened = msgspec.structs.replace(known, used_at=self.now(), session_id=session_id, session_name=name)
        self.household.remember(put(self.household.connections, opened))

    async def _pop_to_welcome(self) -> None:
        """Take away what is over the first screen."""
        while len(self.screen_stack) > BOTTOM:
            await self.pop_screen()

    async def _forget_screen(self) -> None:
        """Remove the screen of the session that was open; it is not in front any more."""
        screen, self._open = self._open, None
        if screen is not None:
            self.uninstall_screen(screen)
            await screen.remove()

    async def _show_sessions(self) -> None:
        if self.client is not None and self._connection is not None:
            own = self.household.name_for(self._connection)
            self._sessions = SessionsScreen(self.client, own, self.now)
            await self.push_screen(self._sessions)

    async def on_sessions_screen_chosen(self, message: SessionsScreen.Chosen) -> None:
        """Open a session."""
        await self._show_session(message.row.session_id, message.row.shown_name)

    async def on_sessions_screen_left(self) -> None:
        """Go back to the session that is open, or to the first screen."""
        if self._open is not None and self._open.ready and not self._open.over:
            await self.pop_screen()
        else:
            await self._to_welcome()

    async def action_sessions(self) -> None:
        """Show the sessions of this daemon."""
        if isinstance(self.screen, SessionScreen):
            await self._show_sessions()

    async def _to_welcome(self) -> None:
        left = await self._leave_daemon()
        if left:
            self.complain(f"{left} tools have work that is not in the session yet; it is kept here for the next time.")
        self._follow(None)
        self.show_welcome()

    # ---- the first screen

    def show_welcome(self) -> None:
        """Show the first screen as things are now."""
        for screen in self.screen_stack:
            if isinstance(screen, WelcomeScreen):
                screen.show(self.household.connections, self._beginning.running, self.now())

    async def on_welcome_screen_chosen(self, message: WelcomeScreen.Chosen) -> None:
        """Go where the user wants."""
        work.start(self, partial(self._beginning.choose, message.option), group="welcome")

    async def on_welcome_screen_changed(self, message: WelcomeScreen.Changed) -> None:
        """Do something about a line."""
        work.start(self, partial(self._beginning.change, message.what, message.option), group="welcome")

    # ---- the connection, by hand

    async def action_network(self) -> None:
        """Show how the connection is, and what can be done."""
        client, connection = self.client, self._connection
        if client is None or connection is None or isinstance(self.screen, NetworkDialog):
            return
        status = self.status or client.status
        lines = network_lines(status, client.visits(), connection.shown_name, self.now(), self.gap_at)

        async def ordered(order: str | None) -> None:
            if order == RECONNECT:
                client.reconnect()
            elif order == OFFLINE:
                client.pause()
            elif order == FRESH:
                await self._to_welcome()

        await self.push_screen(NetworkDialog(status, lines), ordered)

    # ---- what sessions ask of us

    def seen(self, session_id: str) -> tuple[Position, float] | None:
        """How far the events of a session were seen before, and when."""
        mark = self.household.connections.seen.get(session_id)
        return None if mark is None else (Position(mark.epoch, mark.seq), mark.at)

    def note_seen(self, session_id: str, position: Position) -> None:
        """An event was seen; it is written down soon."""
        marked = note_seen(self.household.connections, session_id, Seen(position.epoch, position.seq, self.now()))
        self.household.connections = marked
        self._positions_changed = True

    _positions_changed = False

    def _keep_positions(self) -> None:
        if self._positions_changed:
            self._positions_changed = False
            self.household.remember(self.household.connections)

    def note_gap(self) -> None:
        """Events are missing."""
        self.gap_at = self.now()
        self._follow(self.status)

    def shared(self) -> SharedPreferences:
        """What the session is to carry to other machines."""
        return self._shared

    def adopt(self, shared: SharedPreferences) -> None:
        """What the session carried here; what was chosen on this machine goes before it."""
        self._shared = shared
        self._apply_preferences()

    # ---- preferences

    def _apply_preferences(self) -> None:
        theme, text_mode = effective(self.household.preferences, self._shared)
        self.set_class(text_mode, TEXT_MODE)
        if theme in self.available_themes and self.theme != theme:
            with self.prevent():
                self._applied = theme
                self.theme = theme

    _applied = ""

    def _theme_chosen(self, theme: object) -> None:
        del theme
        if self.theme != self._applied:
            self._applied = self.theme
            self._prefer(theme=self.theme)

    def action_text_mode(self) -> None:
        """Lists as plain lines, or as tables."""
        self._prefer(text_mode=not self.has_class(TEXT_MODE))
        self._apply_preferences()
        self.show_welcome()
        if self._sessions is not None and self._sessions.is_attached:
            self._sessions.show_groups(self._sessions.groups)

    def action_restore_always(self) -> None:
        """Begin with the last session, or with the first screen."""
        restore = not self.household.preferences.restore
        self._prefer(restore=restore)
        self.notify(
            "From now on stui begins with the last session." if restore else "stui begins with the first screen."
        )

    def _prefer(self, **changes: object) -> None:
        self.household.prefer(msgspec.structs.replace(self.household.preferences, **changes))
        self.tell_problems()
        chosen = self.household.preferences
        self._shared = SharedPreferences(chosen.theme or self._shared.theme, chosen.text_mode)
        if self._open is not None:
            self._open.share_preferences(self._shared)

    # ---- help and the palette

    async def action_help_keys(self) -> None:
        """Tell which keys work here."""
        if isinstance(self.screen, Read):
            return
        active = self.screen.active_bindings.values()
        lines = help_lines([(one.node, one.binding, one.enabled) for one in active], self.get_key_display)
        await self.push_screen(Read("Keys", lines))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette finds."""
        yield from commands(self, screen, super().get_system_commands(screen))

    # ---- telling

    def tell_problems(self) -> None:
        """Tell what was wrong with files."""
        for problem in self.household.problems:
            self.complain(problem)
        self.household.problems.clear()

    def complain(self, text: str) -> None:
        """Tell of something that is not as it should be."""
        self.notify(printable(text), severity="warning", markup=False, timeout=10)
