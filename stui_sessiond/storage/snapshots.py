"""The session files: one readable file per session and the one before it, each replaced whole.

Guarantee: at every moment one sound file at least has a name, and what cannot be read is moved to quarantine.
"""

import itertools
import secrets
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session
from stui_sessiond.security.sealing import CLEAR, Sealer
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.index import Place
from stui_sessiond.storage.layout import CURRENT, PREVIOUS, Layout
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import SessionFile, decode_session, encode_session

_log = structlog.get_logger(__name__)


class Found(msgspec.Struct, frozen=True):
    """The newest sound snapshot; `damaged` says what was wrong with a newer one."""

    file: SessionFile | None
    damaged: str | None
    size_bytes: int = 0


class Scan(msgspec.Struct, frozen=True):
    """What all session files together say."""

    places: dict[SessionId, Place]
    healed: dict[SessionId, str]
    """Sessions whose newest file was damaged, and how."""
    unread: dict[SessionId, str]
    """Sessions of which no file could be read."""


class Snapshots:
    """Reads and writes session files."""

    def __init__(self, fs: FileSystem, layout: Layout, store_id: str, sealer: Sealer = CLEAR) -> None:
        self._fs = fs
        self._layout = layout
        self._store_id = store_id
        self._sealer = sealer
        self._serial = itertools.count()
        self.kept_aside = len(fs.names(layout.quarantine))
        """How many files are in quarantine."""

    def paths(self, folder: Path, session_id: SessionId) -> tuple[Path, Path]:
        """The newest file and the one before it."""
        return folder / f"{session_id}{CURRENT}", folder / f"{session_id}{PREVIOUS}"

    def write(self, session: Session, lsn: int) -> int:
        """Make this the newest file, and the newest the one before; give its size.

        Raises:
            OSError: the files are as they were, or only the previous one is there.
        """
        header = session.header
        folder = self._layout.client_folder(header.client_id)
        data = encode_session(session, self._store_id, lsn, self._sealer)
        new = self._layout.tmp / f"{header.session_id}.{next(self._serial)}"
        if self._fs.make_folder(folder):
            self._fs.sync_folder(self._layout.sessions)
        self._fs.write_new(new, data)
        current, previous = self.paths(folder, header.session_id)
        self._fs.rename(current, previous)
        self._fs.rename(new, current)
        self._fs.sync_folder(folder)
        return len(data)

    def read(self, folder: Path, session_id: SessionId) -> Found:
        """Find the newest sound file.

        Raises:
            OSError: they cannot be read now.
            KeyMissingError: they cannot be read without another key; they stay where they are.
        """
        damaged: str | None = None
        for path in self.paths(folder, session_id):
            data = self._fs.read(path)
            if data is None:
                continue
            try:
                return Found(decode_session(data, self._store_id, session_id, self._sealer), damaged, len(data))
            except UnreadableError as error:
                damaged = damaged or str(error)
                self.put_aside(path, "damaged", str(error))
        return Found(None, damaged)

    def scan(self) -> Scan:
        """Read all session files, because there is no index.

        Raises:
            OSError: they cannot be read now.
            KeyMissingError: some cannot be read without another key.
        """
        scan = Scan({}, {}, {})
        for client in self._fs.names(self._layout.sessions):
            folder = self._layout.sessions / client
            for stem in sorted({_stem(name) for name in self._fs.names(folder) if name.endswith(CURRENT)}):
                session_id = SessionId(stem)
                found = self.read(folder, session_id)
                if found.file is None:
                    scan.unread[session_id] = found.damaged or "it is missing"
                    continue
                if found.damaged:
                    scan.healed[session_id] = found.damaged
                lsn = found.file.lsn
                scan.places[session_id] = Place(found.file.session.header, found.size_bytes, lsn, -1, lsn)
        if scan.places:
            _log.warning("storage.index_rebuilt", sessions=len(scan.places))
        return scan

    def remove(self, folder: Path, session_id: SessionId) -> None:
        """Delete both files.

        Raises:
            OSError: one of them may still be there.
        """
        current, previous = self.paths(folder, session_id)
        self._fs.remove(previous)
        self._fs.remove(current)
        self._fs.sync_folder(folder)

    def archive(self, session: Session, lsn: int, at: float) -> None:
        """Write a session to the archive of a month.

        Raises:
            OSError: it is not there.
        """
        month = self._layout.archive / datetime.fromtimestamp(at, UTC).strftime("%Y-%m")
        self._fs.make_folder(month)
        self._fs.sync_folder(self._layout.archive)
        new = self._layout.tmp / f"{session.header.session_id}.{next(self._serial)}"
        self._fs.write_new(new, encode_session(session, self._store_id, lsn, self._sealer))
        self._fs.rename(new, month / f"{session.header.session_id}{CURRENT}")
        self._fs.sync_folder(month)

    def put_aside(self, path: Path, why: str, detail: str = "") -> None:
        """Move a file to quarantine.

        Raises:
            OSError: it is where it was.
        """
        kept = self._layout.quarantine / f"{secrets.token_hex(4)}-{why}-{path.name}"
        self._fs.rename(path, kept)
        self._fs.sync_folder(self._layout.quarantine)
        self._fs.sync_folder(path.parent)
        self.kept_aside += 1
        _log.warning("storage.quarantined", file=path.name, kept_as=kept.name, why=why, detail=detail)

    def keep_copy(self, name: str, why: str, data: bytes) -> None:
        """Put a copy of bytes into quarantine.

        Raises:
            OSError: they are not there.
        """
        kept = self._layout.quarantine / f"{secrets.token_hex(4)}-{why}-{name}"
        self._fs.write_new(kept, data)
        self._fs.sync_folder(self._layout.quarantine)
        self.kept_aside += 1
        _log.warning("storage.quarantined", file=name, kept_as=kept.name, why=why)


def _stem(name: str) -> str:
    return name.removesuffix(PREVIOUS) if name.endswith(PREVIOUS) else name.removesuffix(CURRENT)
