"""How is the connection, in words and numbers that a user interface can show? Pure."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from stui_sessiond.client.ending import Ending

WARNING_S = 0.3
"""An answer to a ping that takes longer is felt by people who type."""

CRITICAL_S = 2.0
"""An answer to a ping that takes longer leaves people wondering whether anything happens."""

HEARTBEATS = 5
"""The health is that of the median of so many heartbeats: one slow answer is no illness."""


class ConnectionState(StrEnum):
    """Where a connection is."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    RESTORED = "restored"
    """Connected again; becomes `connected` with the first heartbeat after."""
    FAILED = "failed"
    """It is not tried any more, because it would fail again; `advice` tells what to do."""
    PAUSED = "paused"
    """The application wants no connection for now; calls and updates wait until it wants one again."""
    CLOSED = "closed"
    """The application ended it."""


class Health(StrEnum):
    """How quickly the daemon answers."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Status(msgspec.Struct, frozen=True):
    """The connection at a moment. Times are seconds since 1970."""

    state: ConnectionState
    since: float
    """Since when it is in this state."""
    attempt: int = 0
    """Which try this is, while connecting or reconnecting."""
    next_try_at: float | None = None
    """When the next try is; None while one is under way, or none is needed."""
    latency_s: float | None = None
    """How long the last heartbeat took."""
    health: Health = Health.UNKNOWN
    server_id: str | None = None
    """Of the daemon's present run; another one means that the daemon was started again."""
    connection_id: str | None = None
    resumed: bool = False
    """Whether the daemon knew the connection that this one continues."""
    unsaved: int = 0
    """How many updates wait to be stored."""
    reason: Ending | None = None
    """Why there is no connection, or why the one before this one ended."""

    @property
    def online(self) -> bool:
        """Whether calls go through now."""
        return self.state in {ConnectionState.CONNECTED, ConnectionState.RESTORED}

    @property
    def advice(self) -> str:
        """What a person can do about it; empty when nothing has to be done."""
        return "" if self.online or self.reason is None else self.reason.advice

    def __str__(self) -> str:
        text = str(self.state)
        if self.state in {ConnectionState.CONNECTING, ConnectionState.RECONNECTING} and self.attempt:
            text += f" (attempt {self.attempt})"
        if not self.online and self.reason is not None:
            text += f": {self.reason.text}"
        return text


def health_of(latencies_s: Sequence[float]) -> Health:
    """Judge the last heartbeats, the newest last."""
    newest = sorted(latencies_s[-HEARTBEATS:])
    if not newest:
        return Health.UNKNOWN
    median = newest[len(newest) // 2]
    if median >= CRITICAL_S:
        return Health.CRITICAL
    return Health.WARNING if median >= WARNING_S else Health.HEALTHY
