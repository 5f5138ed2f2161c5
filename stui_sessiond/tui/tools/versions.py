"""What was the session before? Its versions, the difference between two of them, snapshots, and the way back."""

from typing import Any, ClassVar

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.timer import Timer
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stui_sessiond.client import Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.dialogs import Ask, Confirm
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.tools.asking import AskingTool
from stui_sessiond.tui.tools.difference import Change, compare, written
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages.history import GetSessionAtResult, RevertSession, Version

PAGE = 50
"""Versions that are asked for at once."""
MAX_SHOWN = 1_000
"""Versions in the list, however often somebody asks for more."""
SETTLE_S = 0.5
"""After a change, before the list is asked for again: while somebody types, versions come every second."""

_STYLES = {Change.GONE: "red", Change.NEW: "green", Change.SKIPPED: "dim", Change.SAME: ""}


class VersionsState(msgspec.Struct):
    """Which version is compared with which."""

    version: int | None = None
    marked: int | None = None


class Versions(AskingTool[VersionsState]):
    """The versions of the session, the newest first; on the right what is different."""

    kind: ClassVar[str] = "versions"
    label: ClassVar[str] = "History"
    state_type: ClassVar[type[msgspec.Struct]] = VersionsState

    DEFAULT_CSS = """
    Versions OptionList { width: 1fr; height: 1fr; }
    Versions VerticalScroll { width: 1fr; height: 1fr; border-left: vkey $panel; padding: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "look", "Whole", priority=True),
        Binding("space", "mark", "Compare with"),
        Binding("s", "snapshot", "Snapshot"),
        Binding("v", "revert", "Revert"),
        Binding("m", "more", "More"),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: VersionsState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.rows: list[Version] = []
        self.marked = state.marked
        """The version that others are compared with; None: each with the one before it."""
        self.shown = Text()
        """What is on the right."""
        self._names: dict[int, list[str]] = {}
        self._list = OptionList()
        self._side = Static()
        self._wanted = PAGE
        self._oldest = 1
        self._newest = 0
        self._version = state.version
        self._soon: Timer | None = None
        self._whole: int | None = None
        """The version that the right side shows whole; None while it shows a difference."""

    def compose(self) -> ComposeResult:
        """The list left, the difference right."""
        with Horizontal():
            yield self._list
            with VerticalScroll():
                yield self._side
        yield self.status

    def on_mount(self) -> None:
        """Get the list."""
        self.ask(self._fetch(), "list")

    def focus_inside(self) -> None:
        """Put the cursor into the list."""
        self._list.focus()

    def present_state(self) -> VersionsState:
        """Tell what has to be kept."""
        return VersionsState(self._version, self.marked)

    def hear(self, item: EventMessage | Gap) -> None:
        """Get the list again soon after a change; not for what this terminal itself saves while it is not looked at."""
        changes = {"session.updated", "session.snapshot", "context.saved", "context.cleared"}
        if (isinstance(item, Gap) or item.event in changes) and self._soon is None and self.display:
            self._soon = self.set_timer(SETTLE_S, self._fetch_soon)

    def _fetch_soon(self) -> None:
        self._soon = None
        self.ask(self._fetch(quiet=not self.said.startswith("version ")), "list")

    async def _fetch(self, *, quiet: bool = False) -> None:
        client, session_id = self.link.client, self.link.session_id
        answer = await client.get_session_history(session_id, limit=self._wanted)
        snapshots = await client.list_snapshots(session_id)
        self._note_cursor()  # that it has moved may still be on its way here
        self._names = {}
        for one in snapshots.snapshots:
            self._names.setdefault(one.version, []).append(one.name)
        self.rows, self._oldest, self._newest = answer.versions, answer.oldest_version, answer.version
        versions = [one.version for one in self.rows]
        at = versions.index(self._version) if self._version in versions else 0
        with self.prevent(OptionList.OptionHighlighted):
            self._list.clear_options().add_options([Option(self._line(one)) for one in self.rows])
            self._list.highlighted = at if self.rows else None
        more = "; m shows older ones" if self._has_older else ""
        if not quiet:  # what was done is read longer than it takes to hear of it
            self.say(f"version {self._newest}, {len(self.rows)} shown, kept from {self._oldest} on{more}")
        chosen = self._chosen()
        if chosen is None or self._whole != chosen.version:  # who reads one whole goes on reading
            self._compare()

    def _line(self, one: Version) -> Text:
        names = "".join(f" '{printable(name, 30)}'" for name in self._names.get(one.version, ()))
        mark = "▸" if one.version == self.marked else " "
        who = printable(one.client_id or "-", 12)
        line = Text(f"{mark}{one.version:5} ", "bold", no_wrap=True, overflow="ellipsis")
        line.append(f"{printable(one.at)[5:19].replace('T', ' ')} ", "not bold dim")
        what = printable(one.what, 24).removeprefix("session.")  # what has no room is the least telling
        return line.append(what, "not bold not dim").append(names, "italic").append(f" {who}", "not italic dim")

    @property
    def _has_older(self) -> bool:
        """Whether there are more than were asked for."""
        return len(self.rows) >= self._wanted and self.rows[-1].version > self._oldest

    def _chosen(self) -> Version | None:
        at = self._list.highlighted
        return None if at is None or at >= len(self.rows) else self.rows[at]

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show what is different."""
        event.stop()
        self._note_cursor()
        self.changed()
        self._compare()

    def _note_cursor(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self._version = None if self._list.highlighted == 0 else chosen.version  # None: the newest, always

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense for the version at the cursor."""
        chosen = self._chosen()
        if action in {"look", "mark"}:
            return chosen is not None
        if action == "revert":
            return chosen is not None and chosen.version != self._newest
        if action == "more":
            return self._has_older and self._wanted < MAX_SHOWN
        return super().check_action(action, parameters)

    # ---- looking

    def _compare(self) -> None:
        self.refresh_bindings()
        chosen = self._chosen()
        if chosen is None:
            return
        if self.marked is not None and self.marked != chosen.version:
            older, newer = sorted((self.marked, chosen.version))
        else:
            older, newer = chosen.version - 1, chosen.version
        self._whole = None
        self.ask(self._difference(older, newer), "compare")

    async def _difference(self, older: int, newer: int) -> None:
        before = await self._at(older) if older >= self._oldest else {}
        after = await self._at(newer)
        lines = compare(written(before), written(after)) if before else compare([], written(after))
        text = Text(f"from {older} to {newer}\n" if before else f"{newer}, the oldest that is kept\n", "bold")
        for line in lines:
            text.append(f"{line.change} {line.text}\n", f"not bold {_STYLES[line.change]}")
        if not lines:
            text.append("nothing is different", "not bold italic")
        self._put(text)

    async def _at(self, version: int) -> dict[str, Any]:
        found = await self.link.client.get_session_at(self.link.session_id, version)
        return _content(found)

    def action_look(self) -> None:
        """Show all of the version at the cursor."""
        chosen = self._chosen()
        if chosen is not None:
            self._whole = chosen.version
            self.ask(self._look(chosen.version), "compare")

    async def _look(self, version: int) -> None:
        text = Text(f"version {version}\n", "bold")
        self._put(text.append("\n".join(written(await self._at(version))), "not bold"))

    def _put(self, text: Text) -> None:
        self.shown = text
        self._side.update(text)

    def action_mark(self) -> None:
        """Compare all others with the version at the cursor; again: each with the one before."""
        chosen = self._chosen()
        if chosen is not None:
            self.marked = None if self.marked == chosen.version else chosen.version
            self.changed()
            for number, one in enumerate(self.rows):
                self._list.replace_option_prompt_at_index(number, self._line(one))
            self._compare()

    def action_more(self) -> None:
        """Get older ones, too."""
        self._wanted = min(self._wanted + PAGE, MAX_SHOWN)
        self.ask(self._fetch(), "list")

    # ---- changing

    def action_snapshot(self) -> None:
        """Ask for a name for the present version."""

        def answered(name: str | None) -> None:
            if name:
                self.ask(self._snapshot(name), "change")

        self.app.push_screen(Ask("Name for the present version", hint="before the change"), answered)

    async def _snapshot(self, name: str) -> None:
        done = await self.link.client.snapshot_session(self.link.session_id, name)
        await self._fetch()
        self.say(f"version {done.version} is called '{printable(name)}' from now on")

    def action_revert(self) -> None:
        """Ask whether the version at the cursor is to be the newest."""
        chosen = self._chosen()
        if chosen is None:
            return
        version = chosen.version

        def answered(yes: bool | None) -> None:  # noqa: FBT001 -- the answer of a dialog
            if yes:
                self.ask(self._revert(version), "change")

        lines = ["The session's state will be as it was then. What is there now stays in the history."]
        self.app.push_screen(Confirm(f"Go back to version {version}?", lines, dangerous=True), answered)

    async def _revert(self, version: int) -> None:
        done = await self.link.client.revert_session(RevertSession(self.link.session_id, version=version))
        await self._fetch()
        self.say(f"went back to version {version}, as version {done.version}")


def _content(found: GetSessionAtResult) -> dict[str, Any]:
    """What is compared: the state, and what each tool holds."""
    return {"state": found.session_state, **{f"tool {name}": one for name, one in found.contexts.items()}}
