"""What does the daemon say of itself to whoever looks after it?"""

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
