"""What happens in the session? One line for each event, the newest last."""

import json
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.widgets import Log

from stui_sessiond.client import Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.tools.tool import Tool
from stui_sessiond.wire.forms import EventMessage

MAX_LINES = 2_000
"""Lines that are kept; the daemon has the rest."""

MAX_CHARS = 300
"""Of an event: a line or two."""


class EventsState(msgspec.Struct):
    """Nothing: events are the daemon's to keep."""


class Events(Tool[EventsState]):
    """The events of a session as they come."""

    kind: ClassVar[str] = "events"
    label: ClassVar[str] = "Events"
    state_type: ClassVar[type[msgspec.Struct]] = EventsState

    def compose(self) -> ComposeResult:
        """Make a log."""
        yield Log(max_lines=MAX_LINES, auto_scroll=True)

    def present_state(self) -> EventsState:
        """Nothing has to be kept."""
        return EventsState()

    def hear(self, item: EventMessage | Gap) -> None:
        """Write a line."""
        log = self.query_one(Log)
        if isinstance(item, Gap):
            log.write_line(f"-- events are missing: {printable(item.reason)}")
            return
        data = json.dumps(msgspec.to_builtins(item.data), ensure_ascii=False)
        log.write_line(f"{item.seq:6} {printable(item.event)} {printable(data, MAX_CHARS)}")
