"""What does the daemon say of itself to whoever looks after it? Pure."""

from collections.abc import Sequence

import msgspec


class Health(msgspec.Struct, frozen=True):
    """What `/healthz` says."""

    status: str
    server_id: str
    server_version: str
    uptime_seconds: float
    sessions: int
    images: int
    storage: str


class Readiness(msgspec.Struct, frozen=True):
    """What `/readyz` says."""

    ready: bool
    reasons: Sequence[str]
    """Why not, a sentence each."""


def readiness(health: Health) -> Readiness:
    """Tell whether work should be sent here: the storage takes changes, and the daemon is not about to stop."""
    reasons = []
    if health.status == "draining":
        reasons.append("the daemon is stopping")
    if health.storage != "ok":
        reasons.append(f"the storage is {health.storage}: changes are refused")
    return Readiness(not reasons, reasons)
