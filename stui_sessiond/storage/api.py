"""What does the SessionManager ask of a storage?

Every implementation promises: when `commit` or `remove` returns, the change survives a crash and a power loss; what
cannot be read is kept aside and reported, never deleted.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from stui_sessiond.counting import Histogram
from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Event
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.model.session import HistoryEntry, Session, SessionHeader


class StoredHeader(msgspec.Struct, frozen=True):
    """A session in the index: its header, and how large the whole is."""

    header: SessionHeader
    size_bytes: int


class Opened(msgspec.Struct, frozen=True):
    """What was found at the start: sound sessions, and ids of those of which no sound copy is left."""

    sessions: Sequence[StoredHeader]
    damaged: frozenset[SessionId] = frozenset()
    incarnation: str = ""
    """New each time the store was put back to a backup: positions in events that came after it mean nothing then."""


class Loaded(msgspec.Struct, frozen=True):
    """A session read back; `note` says what is wrong with it when `integrity` is not `ok`."""

    session: Session
    integrity: Literal["ok", "healed", "damaged"] = "ok"
    """`healed`: a file was damaged, nothing is missing. `damaged`: acknowledged changes are missing."""
    note: str | None = None


class Commit(msgspec.Struct, frozen=True):
    """A change to make durable: the session after it, and what it was."""

    session: Session
    size_bytes: int
    base_version: int
    entry: HistoryEntry | None = None
    """The new version, when the change is one to what the session holds; None when only the header changed."""
    whole: bool = False
    """Write the whole session: it is new, or more than header and document changed."""
    base_seq: int = 0
    """The newest event before `events`, in the same epoch."""
    events: Sequence[Event] = ()
    """What happened with the change; part of the session's log already."""
    requests: Sequence[RequestEntry] = ()
    """Requests that it begins or ends; part of the session's requests already."""


class StorageStatus(msgspec.Struct, frozen=True):
    """How the storage is, for people and health checks."""

    kind: str
    status: Literal["ok", "full", "failed"]
    sessions: int
    size_bytes: int
    quarantined: int
    detail: str | None = None


class BackupInfo(msgspec.Struct, frozen=True):
    """A backup in a list. `problems` is empty when it was verified and is sound.

    `missing` says what was wrong with the store when it was made: the backup is as good as it could be.
    """

    name: str
    made_at: float
    reason: str
    sessions: int
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Ids of the master keys that it takes to read it; empty when it is clear text."""


class Survey(msgspec.Struct, frozen=True):
    """What a storage takes on the disk, and its copies; None where there is no disk."""

    journal_bytes: int | None = None
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    backup_interval_s: float | None = None
    """None: no copies are made without being asked for."""
    backups: Sequence[BackupInfo] = ()


class SessionStorage(Protocol):
    """Keeps sessions. One caller at a time per session; different sessions do not wait for each other."""

    async def open(self) -> Opened:
        """Get ready and tell what is there.

        Raises:
            StorageError, ConfigError: the place cannot be used; the text says what to do.
        """

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Read a session; None when there is none.

        Raises:
            SessionDamagedError: there is one and no good copy of it.
            StorageError: it cannot be read now.
        """

    async def commit(self, change: Commit) -> None:
        """Make a change durable.

        Raises:
            StorageFullError, StorageBusyError: not now; nothing changed.
            StorageError: nothing changed, as far as the disk can still be trusted.
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

    async def back_up(self, reason: str) -> BackupInfo:
        """Make a verified copy of everything; `reason` becomes part of its name.

        Raises:
            UnsupportedOperationError: this storage has no backups.
            StorageError: there is no new copy; nothing else changed.
            OSError: the disk failed; there is no new copy.
        """

    async def checkpoint(self) -> None:
        """Write now what would have to be written at the end; all goes on meanwhile. What fails is tried again then."""

    def stalled_s(self) -> float:
        """Tell for how long the disk has not come back from one write, in seconds."""

    async def close(self) -> None:
        """Finish what was begun and let go."""

    def status(self) -> StorageStatus:
        """Tell how it is, from memory."""

    def sync_times(self) -> Histogram | None:
        """How long changes took to become durable, many in one go; None where nothing is written."""

    async def survey(self) -> Survey:
        """Look at the disk, beside everything else that goes on.

        Raises:
            OSError: it does not tell.
        """


class ImageStore(Protocol):
    """Keeps what is known of images beyond the life of a daemon: bodies that mean nothing here."""

    async def read(self) -> list[bytes]:
        """Read all records, the one that changed last at the end.

        Raises:
            StorageError: not now.
        """

    async def keep(self, records: Mapping[str, bytes], at: float) -> None:
        """Put records, by image id, in the place of what is there; of too many, the oldest go.

        Raises:
            StorageError: nothing changed.
        """
