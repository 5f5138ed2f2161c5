"""What does the status bar say? One line that is true now, and a word for its colour. Pure."""

from typing import Literal

import msgspec

from stui_sessiond.client import ConnectionState, Health, Status, Visit
from stui_sessiond.printable import printable
from stui_sessiond.tui.moment import lasting, latency

Mood = Literal["good", "doubtful", "bad", "quiet"]

GAP_SHOWN_S = 60.0
"""How long a gap is told of: long enough to be read after coming back."""


class StatusLine(msgspec.Struct, frozen=True):
    """A line, and how it is. The mark says in a letter what the colour says."""

    mark: str
    text: str
    mood: Mood

    def __str__(self) -> str:
        return f"{self.mark} {self.text}"


def status_line(status: Status, now: float, *, visit: Visit | None = None, gap_at: float | None = None) -> StatusLine:
    """Tell how the connection is.

    Args:
        status: of the client.
        now: seconds since 1970.
        visit: the present connection, for what came back with it.
        gap_at: when events were last found missing.
    """
    state = status.state
    if state in {ConnectionState.CONNECTING, ConnectionState.RECONNECTING}:
        return StatusLine("~", _trying(status, now), "doubtful")
    if state is ConnectionState.FAILED:
        why = status.reason.text if status.reason else "it will not connect by itself"
        advice = f" - {status.advice}" if status.advice else ""
        return StatusLine("!", f"failed (F4: what you can do): {printable(why)}{printable(advice)}", "bad")
    if state is ConnectionState.PAUSED:
        return StatusLine("=", f"working offline as you asked{_unsaved(status)} (F4: reconnect)", "quiet")
    if state is ConnectionState.CLOSED:
        return StatusLine(".", "closed", "quiet")
    text = _online(status, visit)
    if gap_at is not None and now - gap_at < GAP_SHOWN_S:
        return StatusLine("?", f"{text}, but some events are missing (F4: why){_unsaved(status)}", "doubtful")
    slow = status.health in {Health.WARNING, Health.CRITICAL}
    if slow:
        text += ", the daemon is slow to answer"
    return StatusLine("?" if slow else "*", text + _unsaved(status), "doubtful" if slow else "good")


def _trying(status: Status, now: float) -> str:
    again = status.state is ConnectionState.RECONNECTING
    text = "reconnecting" if again else "connecting"
    if status.attempt:
        text += f", attempt {status.attempt}"
    if status.next_try_at is not None:
        text += f" in {lasting(max(0.0, status.next_try_at - now))}"
    text += _unsaved(status) + (", type on" if again else "")
    return text if status.reason is None else f"{text}: {printable(status.reason.text)}"


def _online(status: Status, visit: Visit | None) -> str:
    took = "" if status.latency_s is None else f" {latency(status.latency_s)}"
    if status.state is ConnectionState.RESTORED and visit is not None:
        caught = f", {visit.replayed} event{'' if visit.replayed == 1 else 's'} caught up" if visit.replayed else ""
        anew = "" if visit.same_daemon else "; the daemon was started again"
        return f"restored after {lasting(visit.away_s)}{caught}{anew}"
    return f"connected{took}"


def _unsaved(status: Status) -> str:
    return f", {status.unsaved} unsaved" if status.unsaved else ""
