"""What is a session, and what is a stored context?"""

from enum import Enum
from typing import Any

import msgspec

from stui_sessiond.ids import DEFAULT_TOOL, ClientId, ImageId, SessionId, ToolId


class Status(Enum):
    """Where a session is in its life. Expiry is computed, never stored."""

    ACTIVE = "active"
    EXPIRED = "expired"
    CLOSED = "closed"


class StoredContext(msgspec.Struct, frozen=True):
    """The context of one tool as it was saved."""

    sections: dict[str, Any]
    checksum: str
    saved_at: float
    size_bytes: int


class SessionHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon remembers of every session without reading it. Times are seconds since 1970."""

    session_id: SessionId
    client_id: ClientId
    created_at: float
    last_modified: float
    last_activity: float
    timeout_s: float
    version: int
    image_id: ImageId | None = None
    name: str | None = None
    closed_at: float | None = None

    @property
    def expires_at(self) -> float:
        """When it expires if nothing happens."""
        return self.last_activity + self.timeout_s

    def status(self, now: float) -> Status:
        """Tell where it is in its life."""
        if self.closed_at is not None:
            return Status.CLOSED
        return Status.EXPIRED if now >= self.expires_at else Status.ACTIVE

    def ended_at(self, now: float) -> float | None:
        """When it was closed or expired; None while it is active."""
        if self.closed_at is not None:
            return self.closed_at
        return self.expires_at if now >= self.expires_at else None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session with everything in it. Never changed: a change makes another one."""

    header: SessionHeader
    state: dict[str, Any] = {}
    contexts: dict[ToolId, StoredContext] = {}
    description: str | None = None
    client_version: str | None = None
    client_info: dict[str, Any] = {}
    config: dict[str, Any] = {}

    def section(self, name: str) -> dict[str, Any]:
        """One section of the default tool's context, empty when there is none."""
        stored = self.contexts.get(DEFAULT_TOOL)
        found: dict[str, Any] = stored.sections.get(name, {}) if stored else {}
        return found
