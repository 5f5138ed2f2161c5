"""What does the SessionManager ask of a storage?

Every implementation promises: when `save` or `remove` returns, the change survives a crash and a power loss; what
cannot be read is kept aside and reported, never deleted.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session, SessionHeader


class StoredHeader(msgspec.Struct, frozen=True):
    """A session in the index: its header, and how large the whole is."""

    header: SessionHeader
    size_bytes: int


class Opened(msgspec.Struct, frozen=True):
    """What was found at the start: sound sessions, and ids of those of which no sound copy is left."""

    sessions: Sequence[StoredHeader]
    damaged: frozenset[SessionId] = frozenset()


class Loaded(msgspec.Struct, frozen=True):
    """A session read back; `healed` says why it is not the newest that was written, None if it is."""

    session: Session
    size_bytes: int
    healed: str | None = None


class StorageStatus(msgspec.Struct, frozen=True):
    """How the storage is, for people and health checks."""

    kind: str
    status: Literal["ok", "full", "failed"]
    sessions: int
    size_bytes: int
    quarantined: int
    detail: str | None = None


class SessionStorage(Protocol):
    """Keeps sessions. One caller at a time per session; different sessions do not wait for each other."""

    async def open(self) -> Opened:
        """Get ready and tell what is there.

        Raises:
            StorageError: the place cannot be used; the text says what to do.
        """

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Read a session; None when there is none.

        Raises:
            SessionDamagedError: there is one and no good copy of it.
            StorageError: it cannot be read now.
        """

    async def save(self, session: Session) -> int:
        """Make this the session's stored content and return its size in bytes.

        Raises:
            StorageFullError: no room; the old content stands.
            StorageError: the old content stands, as far as the disk can still be trusted.
        """

    async def remove(self, session_id: SessionId) -> None:
        """Delete a session for good, because its owner asked for it.

        Raises:
            StorageError: it is still there.
        """

    async def archive(self, session_id: SessionId, at: float) -> None:
        """Put a session whose retention is over where the operator may delete it.

        Raises:
            StorageError: it is still where it was.
        """

    async def close(self) -> None:
        """Finish what was begun and let go."""

    def status(self) -> StorageStatus:
        """Tell how it is, from memory."""
