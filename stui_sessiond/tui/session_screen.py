"""How does a person work in one session? The desk with its tools, kept in the session, and who else is there."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from stui_sessiond.client import CallFailedError, ClientError, Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui import work
from stui_sessiond.tui.autosave import Autosave, Pace
from stui_sessiond.tui.desk import Desk
from stui_sessiond.tui.dialogs import Choose, Read
from stui_sessiond.tui.digest_text import digest_lines, is_news
from stui_sessiond.tui.draft_journal import DraftJournal
from stui_sessiond.tui.layout import LAYOUT_ID, Direction, KeptTool, Layout, Opening, Plan, plan
from stui_sessiond.tui.preferences import SharedPreferences
from stui_sessiond.tui.restoring import fetch
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.status_bar import StatusBar
from stui_sessiond.tui.tools import FIRST, KINDS
from stui_sessiond.tui.tools.tool import AnyTool, Tool
from stui_sessiond.tui.widgets.key_line import KeyLine
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.session import GetSessionInfoResult
from stui_sessiond.wire.messages.sharing import GetPresenceResult

NUMBERS = range(1, 10)

WIDE = 120
"""Columns from which two tools beside each other are a pleasure."""

PRESENCE_EVENTS = frozenset(
    {
        "client.attached",
        "client.detached",
        "driver.changed",
        "driver.requested",
        "image.connected",
        "image.disconnected",
        "session.image_switched",
        "session.renamed",
        "session.shared",
    }
)
"""After these it is asked again who is there, and whether the image is."""


class Host(Protocol):
    """What the application does for a session."""

    drafts: Path
    writer: str
    pace: Pace

    def now(self) -> float:
        """Seconds since 1970."""

    def seen(self, session_id: str) -> tuple[Position, float] | None:
        """How far the events were seen before, and when."""

    def note_seen(self, session_id: str, position: Position) -> None:
        """An event was seen."""

    def note_gap(self) -> None:
        """Events are missing."""

    def shared(self) -> SharedPreferences:
        """What the session is to carry to other machines."""

    def adopt(self, shared: SharedPreferences) -> None:
        """What the session carried here."""


class SessionScreen(Screen[None]):
    """The tools of one session.

    Args:
        link: the session.
        host: the application.
        own: the name of this client.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f3", "new_tool", "New tool"),
        Binding("f8", "pin", "Pin"),
        Binding("shift+f8", "turn", "Beside or below", show=False),
        Binding("alt+q", "close_tool", "Close tool", show=False, priority=True),
        Binding("ctrl+pagedown", "step(1)", "Next tool", show=False),
        Binding("ctrl+pageup", "step(-1)", "Previous tool", show=False),
        *(
            Binding(f"alt+{number}", f"go_to({number})", f"Tool {number}", show=False, priority=True)
            for number in NUMBERS
        ),
    ]

    DEFAULT_CSS = """
    SessionScreen > #heading { height: 1; background: $primary-background; color: $text; padding: 0 1; }
    SessionScreen > #waiting { height: 1fr; content-align: center middle; color: $text-muted; }
    """

    def __init__(self, link: SessionLink, host: Host, own: str | None = None) -> None:
        super().__init__()
        self.link = link
        self.ready = False
        """Whether everything is back."""
        self.over = False
        """Whether the session was closed, or nothing is heard of it any more: who comes back opens it anew."""
        self._host = host
        self._own = own
        self._info: GetSessionInfoResult | None = None
        self._presence: GetPresenceResult | None = None
        self._image_there = True
        self._shared = SharedPreferences()
        self._foreign: tuple[Opening, ...] = ()
        self._ending = False
        self._journal = DraftJournal(host.drafts, link.session_id, host.writer)
        self._autosave = Autosave(
            link.session_id, self, link.client, self._journal, host.writer, self._not_saved, host.pace
        )

    def compose(self) -> ComposeResult:
        """One line about the session, the desk, how the connection is, which keys there are."""
        yield Static(Content(""), id="heading")
        yield Static(Content("waiting for the daemon; what was not saved is kept on this machine"), id="waiting")
        yield Desk(self.link)
        yield StatusBar()
        yield KeyLine()

    def on_mount(self) -> None:
        """Put everything back, then listen."""
        self.query_one(Desk).display = False
        work.start(self, self._begin)

    # ---- beginning and ending

    async def _begin(self) -> None:
        try:
            left, problems = await asyncio.to_thread(self._journal.adopt)
            drafts = {draft.tool_id: draft for draft in left}
            found = await fetch(self.link.client, self.link.session_id, drafts)
        except ClientError as error:
            self.query_one("#waiting", Static).update(Content(f"this session cannot be opened: {error}\nF2: others"))
            return
        self._info = found.info
        self.link.image_id = found.info.image_id
        await self._restore(plan(found.layout, found.tools, drafts))
        for problem in (*problems, *found.problems):
            self._complain(problem)
        self._autosave.start()
        await self._autosave.settle()
        self.ready = True
        self._heading()
        work.start(self, self._listen)
        await self._look_who_is_there()

    async def _restore(self, begin: Plan) -> None:
        desk = self.query_one(Desk)
        layout = begin.layout
        desk.opened, desk.pinned, desk.direction = layout.opened, layout.pinned, layout.direction
        self._shared = layout.preferences
        self._host.adopt(layout.preferences)
        if begin.layout_stored is not None:
            self._autosave.stored(LAYOUT_ID, begin.layout_stored)
        self._foreign = tuple(one for one in begin.openings if one.tool.kind not in KINDS)
        with self.app.batch_update():
            for opening in begin.openings:
                await self._reopen(desk, opening)
            self.query_one("#waiting").display = False
            desk.display = True
            if not begin.openings:
                await self._first_tools()
            elif desk.tools:
                there = desk.tool(layout.active or "") or desk.tools[0]
                desk.bring_to_front(there.tool_id)
        if begin.beside:
            text = "Somebody changed it elsewhere meanwhile: what was not saved here is opened beside it."
            self.notify(text, title="Unsaved work", severity="warning", timeout=15)
        elif begin.recovered:
            self.notify("What was not saved when the terminal ended is back.", title="Unsaved work")

    async def _reopen(self, desk: Desk, opening: Opening) -> None:
        kind = KINDS.get(opening.tool.kind)
        if kind is None:
            return
        tool_id = opening.tool.tool_id
        if opening.stored is not None:
            self._autosave.stored(tool_id, opening.stored)
        try:
            state = msgspec.convert(opening.state or {}, kind.state_type)
        except msgspec.ValidationError as error:
            self._complain(f"{opening.tool.title} is of another version and begins empty: {error}")
            state = kind.state_type()
        await desk.add(opening.tool, state)
        if opening.unsaved:
            self._autosave.changed(tool_id)
            self._autosave.changed(LAYOUT_ID)

    async def _first_tools(self) -> None:
        desk = self.query_one(Desk)
        for kind in FIRST:
            await desk.add(desk.new_tool(kind), KINDS[kind].state_type())
        if desk.tools:
            if len(desk.tools) > 1 and self.size.width >= WIDE:
                desk.pinned = desk.tools[1].tool_id
            desk.bring_to_front(desk.tools[0].tool_id)
        self._autosave.changed(LAYOUT_ID)

    async def leave(self) -> int:
        """Keep everything before the screen goes; tell how many tools have work that only this machine has."""
        if self._ending:
            return 0
        self._ending = True
        if not self.ready:
            await self._autosave.abandon()
            return 0
        return await self._autosave.close(online=self.link.online)

    async def on_unmount(self) -> None:
        """Whatever ended the screen, the journal is complete, and closed."""
        if not self._ending:
            self._ending = True
            await self._autosave.abandon()

    # ---- what is to be kept

    def state_of(self, tool_id: str) -> dict[str, Any] | None:
        """The state of a tool, or of the layout, as JSON."""
        desk = self.query_one(Desk)
        if tool_id == LAYOUT_ID:
            foreign = tuple(one.tool for one in self._foreign)
            return self._as_json(
                Layout(desk.kept() + foreign, desk.active, desk.pinned, desk.direction, desk.opened, self._shared)
            )
        tool = desk.tool(tool_id)
        return None if tool is None else self._as_json(tool.present_state())

    def tool_of(self, tool_id: str) -> KeptTool | None:
        """What kind of tool it is."""
        tool = self.query_one(Desk).tool(tool_id)
        return None if tool is None else KeptTool(tool_id, tool.kind, tool.title)

    @staticmethod
    def _as_json(state: msgspec.Struct) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(state)
        return built

    def share_preferences(self, shared: SharedPreferences) -> None:
        """The user chose something that the session is to carry."""
        if shared != self._shared:
            self._shared = shared
            if self.ready:
                self._autosave.changed(LAYOUT_ID)

    def on_tool_state_changed(self, message: Tool.StateChanged) -> None:
        """Keep it."""
        if self.ready:
            self._autosave.changed(message.tool.tool_id)

    def on_tool_title_changed(self, message: Tool.TitleChanged) -> None:
        """Show it."""
        self.query_one(Desk).retitle(message.tool)

    def on_desk_rearranged(self) -> None:
        """Keep it."""
        if self.ready:
            self._autosave.changed(LAYOUT_ID)

    # ---- tools

    @property
    def tools(self) -> list[AnyTool]:
        """The open tools, in the order of their tabs."""
        return self.query_one(Desk).tools

    async def open_tool(self, kind: str, state: msgspec.Struct | None = None, title: str | None = None) -> AnyTool:
        """Open a tool, and bring it to the front.

        Raises:
            ValueError: too many are open.
        """
        desk = self.query_one(Desk)
        tool = await desk.add(desk.new_tool(kind, title), KINDS[kind].state_type() if state is None else state)
        desk.bring_to_front(tool.tool_id)
        if self.ready:
            self._autosave.changed(tool.tool_id)
        return tool

    async def on_tool_open(self, wish: Tool.Open) -> None:
        """Open a tool because another one wants it."""
        try:
            await self.open_tool(wish.kind, wish.state, wish.title)
        except ValueError as error:
            self._complain(str(error))

    async def action_new_tool(self) -> None:
        """Ask which tool, and open it."""

        async def chosen(kind: str | None) -> None:
            if kind is not None:
                await self.on_tool_open(Tool.Open(kind))

        if self.ready:
            await self.app.push_screen(
                Choose("Open a tool", [(name, kind.label) for name, kind in KINDS.items()]), chosen
            )

    def action_go_to(self, number: int) -> None:
        """Bring the tool with this number to the front."""
        if number <= len(self.tools):
            self.query_one(Desk).bring_to_front(self.tools[number - 1].tool_id)

    def action_step(self, by: int) -> None:
        """Go to the next tool, or the one before."""
        order = [tool.tool_id for tool in self.tools]
        if order:
            desk = self.query_one(Desk)
            here = order.index(desk.active) if desk.active in order else 0
            desk.bring_to_front(order[(here + by) % len(order)])

    def action_pin(self) -> None:
        """Keep the tool in front in sight beside the others, or let go of it."""
        desk = self.query_one(Desk)
        desk.pin(None if desk.pinned == desk.active else desk.active)
        if desk.pinned is not None and len(desk.tools) == 1:
            self.notify("It stays in sight when another tool is in front. F8: let go of it")

    def action_turn(self) -> None:
        """Put the pinned tool beside or below."""
        desk = self.query_one(Desk)
        other: Direction = "below" if desk.direction == "beside" else "beside"
        desk.turn(other)

    async def action_close_tool(self) -> None:
        """Close the tool in front; what is in it stays in the session's history."""
        desk = self.query_one(Desk)
        if desk.active is not None:
            gone = desk.active
            await desk.close(gone)
            self._autosave.closed(gone)

    # ---- the session

    async def _listen(self) -> None:
        session_id, seen = self.link.session_id, self._host.seen(self.link.session_id)
        since, at = seen if seen is not None else (None, 0.0)
        if since is not None:
            work.start(self, partial(self._tell_news, since, self._host.now() - at))
        try:
            async with self.link.client.watch(session_id, since=since, deltas=True) as events:
                async for item in events:
                    if isinstance(item, Gap):
                        self._host.note_gap()
                    elif item.event in {"session.closed", "session.expired", "session.reopened"}:
                        self.over = item.event != "session.reopened"
                    for tool in self.query(Tool):
                        if tool.is_mounted:  # what is just being made asks for itself
                            tool.hear(item)
                    if events.position is not None:
                        self._host.note_seen(session_id, events.position)
                    if not isinstance(item, Gap) and item.event in PRESENCE_EVENTS:
                        self._autosave.retry()
                        work.start(self, self._look_who_is_there, group="presence", exclusive=True)
        except ClientError as error:
            self.over = True
            self._complain(f"no events any more: {error}")

    async def _tell_news(self, since: Position, away_s: float) -> None:
        try:
            digest = await self.link.client.get_digest(self.link.session_id, since)
        except ClientError:
            return  # the events themselves come all the same
        if is_news(digest, self._own):
            lines = digest_lines(digest, self._own, away_s, self._host.now())
            await self.app.push_screen(Read("While you were away", lines))

    async def look_again(self) -> None:
        """Ask again about the session: something was done to it elsewhere."""
        await self._look_who_is_there()

    async def _look_who_is_there(self) -> None:
        try:
            self._info = await self.link.client.get_session_info(self.link.session_id)
            self._image_there = await self._is_connected(self._info.image_id)
            self._presence = await self.link.client.get_presence(self.link.session_id)
        except CallFailedError:
            self._presence = None  # it is not for everybody
        except ClientError:
            return
        self.link.image_id = self._info.image_id if self._info else None
        self._heading()

    async def _is_connected(self, image_id: str | None) -> bool:
        """Tell whether an image is there, as far as that is told to us."""
        if image_id is None:
            return True
        try:
            images = (await self.link.client.list_images()).images
        except CallFailedError:
            return True
        return any(one.image_id == image_id and one.status == "connected" for one in images)

    def _heading(self) -> None:
        parts = ["a session" if self._info is None else printable(self._info.name or "session without a name", 40)]
        if self._info is not None:
            gone = "" if self._image_there else " is not connected"
            parts.append(printable(self._info.image_id or "no image", 30) + gone)
        who = self._presence
        if who is not None:
            others = sorted({one.client_id for one in who.attached if one.client_id not in {None, self._own}}, key=str)
            parts += [f"with {printable(', '.join(map(str, others)), 40)}"] if others else []
            if who.driver is not None:
                parts.append(
                    "you drive" if who.driver == self._own else f"{printable(who.driver, 20)} drives, you read"
                )
            if who.driver_requests and who.driver == self._own:
                parts.append(f"{printable(who.driver_requests[0], 20)} asks to drive (F2)")
        if self._autosave.refused:
            parts.append("not saved in the session")
        for heading in self.query("#heading").results(Static):  # none, if the screen has gone meanwhile
            heading.update(Content(" | ".join(parts)))

    def _not_saved(self, text: str) -> None:
        self._complain(text)
        self._heading()

    def _complain(self, text: str) -> None:
        self.notify(printable(text), severity="warning", title="stui", markup=False, timeout=10)
