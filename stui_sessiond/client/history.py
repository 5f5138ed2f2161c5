"""What has happened to the connection so far? Pure: the times are arguments."""

from collections import deque

import msgspec

from stui_sessiond.client.ending import Ending

MAX_VISITS = 100
"""Connections that are remembered; enough for a day with bad network, and a screen of a user interface."""


class Visit(msgspec.Struct):
    """One connection, from hello to its end. Times are seconds since 1970."""

    connected_at: float
    server_id: str
    connection_id: str
    attempts: int
    """Tries it took."""
    away_s: float
    """How long there had been no connection before; 0 for the first."""
    resumed: bool
    """Whether the daemon knew the connection before this one."""
    same_daemon: bool
    """Whether the daemon had not been started again since."""
    in_flight: int = 0
    """Requests of before whose answers came over this connection without being sent again."""
    sent_again: int = 0
    """Requests of before that were sent again."""
    replayed: int = 0
    """Events of the time without connection that came after all."""
    gaps: int = 0
    """Times the daemon said that events are missing."""
    ended_at: float | None = None
    ending: Ending | None = None

    def lasted_s(self, now: float) -> float:
        """How long it lasted, or has lasted."""
        return max(0.0, (now if self.ended_at is None else self.ended_at) - self.connected_at)


class History:
    """The last connections, oldest first, and how many there were in all."""

    def __init__(self) -> None:
        self.count = 0
        self._visits: deque[Visit] = deque(maxlen=MAX_VISITS)

    def begin(self, visit: Visit) -> None:
        """Note a connection."""
        self.count += 1
        self._visits.append(visit)

    def end(self, ended_at: float, ending: Ending) -> None:
        """Note the end of the last one."""
        if self._visits and self._visits[-1].ended_at is None:
            self._visits[-1].ended_at = ended_at
            self._visits[-1].ending = ending

    @property
    def last(self) -> Visit | None:
        """The newest connection."""
        return self._visits[-1] if self._visits else None

    def visits(self) -> tuple[Visit, ...]:
        """List them, oldest first."""
        return tuple(self._visits)
