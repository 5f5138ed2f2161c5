"""The reference storage: sessions in a dictionary, through the same records as on disk. For tests and experiments."""

from stui_sessiond.counting import Histogram
from stui_sessiond.errors import UnsupportedOperationError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session
from stui_sessiond.storage.api import BackupInfo, Commit, Loaded, Opened, StorageStatus, StoredHeader, Survey
from stui_sessiond.storage.session_file import decode_session, encode_session

_STORE = "memory"


class MemoryStorage:
    """Keeps sessions as long as the object lives."""

    def __init__(self) -> None:
        self._files: dict[SessionId, bytes] = {}
        self.archived: dict[SessionId, bytes] = {}

    async def open(self) -> Opened:
        """List what is there."""
        files = self._files.values()
        return Opened([StoredHeader(_read(data).header, len(data)) for data in files])

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Read a session."""
        data = self._files.get(session_id)
        return None if data is None else Loaded(_read(data))

    async def commit(self, change: Commit) -> None:
        """Keep a session."""
        self._files[change.session.header.session_id] = encode_session(change.session, _STORE, 0)

    async def remove(self, session_id: SessionId) -> None:
        """Forget a session."""
        self._files.pop(session_id, None)

    async def archive(self, session_id: SessionId, at: float) -> None:  # noqa: ARG002 -- part of the Protocol
        """Put a session aside."""
        data = self._files.pop(session_id, None)
        if data is not None:
            self.archived[session_id] = data

    async def back_up(self, reason: str) -> BackupInfo:  # noqa: ARG002 -- part of the Protocol
        """Refuse: what is only in memory has no copies."""
        msg = "sessions in memory are not backed up"
        raise UnsupportedOperationError(msg)

    async def checkpoint(self) -> None:
        """Nothing to write."""

    def stalled_s(self) -> float:
        """Memory does not stall."""
        return 0.0

    async def close(self) -> None:
        """Nothing to let go of."""

    def status(self) -> StorageStatus:
        """Always well."""
        size = sum(map(len, self._files.values()))
        return StorageStatus("memory", "ok", len(self._files), size, 0)

    def sync_times(self) -> Histogram | None:
        """Nothing is written."""
        return None

    async def survey(self) -> Survey:
        """There is no disk."""
        return Survey()


def _read(data: bytes) -> Session:
    return decode_session(data, _STORE).session
