"""What can a person do about the connection, and what has happened to it? The manual override."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stui_sessiond.client import ConnectionState, Status, Visit
from stui_sessiond.printable import printable
from stui_sessiond.tui.dialogs import Dialog
from stui_sessiond.tui.moment import ago, lasting
from stui_sessiond.tui.status_text import status_line

SHOWN = 6
"""Connections of before: what has happened in the last minutes of a bad network."""

RECONNECT, OFFLINE, FRESH = "reconnect", "offline", "fresh"


def network_lines(status: Status, visits: Sequence[Visit], where: str, now: float, gap_at: float | None) -> list[str]:
    """Tell how the connection is and was, the newest first. Pure."""
    lines = [where, str(status_line(status, now, visit=visits[-1] if visits else None, gap_at=gap_at))]
    if status.advice:
        lines.append(f"What helps: {printable(status.advice)}")
    if gap_at is not None:
        lines.append(
            f"Events were missing {ago(max(0.0, now - gap_at))}: the daemon did not keep them. "
            "What the session holds is complete; lists of events are not."
        )
    for visit in reversed(visits[-SHOWN:]):
        ended = "until now" if visit.ending is None else f"ended: {printable(visit.ending.text, 60)}"
        lines.append(f"  {ago(max(0.0, now - visit.connected_at))}: lasted {lasting(visit.lasted_s(now))}, {ended}")
    return lines


class NetworkDialog(Dialog[str]):
    """Shows how the connection is, and takes an order: `RECONNECT`, `OFFLINE`, `FRESH`."""

    def __init__(self, status: Status, lines: Sequence[str]) -> None:
        super().__init__("The connection", "Enter: do it   Esc: leave it to stui")
        self._status = status
        self._lines = lines

    def contents(self) -> ComposeResult:
        """What can be done, and what has been."""
        again = "Check the connection now" if self._status.online else "Reconnect now"
        options = [Option(Content(again), id=RECONNECT)]
        if self._status.state not in {ConnectionState.PAUSED, ConnectionState.FAILED}:
            options.append(Option(Content("Work offline, until I reconnect"), id=OFFLINE))
        options.append(Option(Content("Start fresh: leave this daemon, and choose again where to go"), id=FRESH))
        yield OptionList(*options)
        with VerticalScroll(id="lines", can_focus=False):
            yield Static(Content("\n".join(self._lines)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Do it."""
        self.dismiss(event.option.id)
