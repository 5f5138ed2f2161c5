"""The file storage: one readable JSON file per session, replaced atomically, with the one before it kept.

    <data>/store.json                          which store this is
    <data>/sessions/<client>/<session>.json    <client> is a hash: what a client calls itself never names a file
    <data>/sessions/<client>/<session>.prev.json
    <data>/archive/<year>-<month>/             sessions whose retention is over
    <data>/quarantine/                         what could not be read; nothing here is ever deleted

A save writes a new file and syncs it, renames the present one to `.prev`, renames the new one into place and syncs the
folder. At every moment of that, one sound file at least has a name. Disk work runs on a few threads; the loop never waits.
"""

import asyncio
import errno
import hashlib
import itertools
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import structlog

from stui_sessiond.errors import SessionDamagedError, StorageError, StorageFullError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session
from stui_sessiond.storage.api import Loaded, Opened, StorageStatus, StoredHeader
from stui_sessiond.storage.fs import FileSystem, LocalFileSystem
from stui_sessiond.storage.records import UnreadableError, decode_session, encode_session

T = TypeVar("T")

_log = structlog.get_logger(__name__)

WRITERS = 4
"""Threads for disk work: enough to keep a disk's queue busy, few enough to bound what waits in the kernel."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DAMAGED = re.compile(r"[0-9a-f]+-damaged-(session_[^.]+)\..*")
_NEW = ".new"
_PREVIOUS = ".prev.json"
_CURRENT = ".json"


class _StoreFile(msgspec.Struct):
    format: str
    format_version: int
    store_id: str


class FileStorage:
    """Keeps sessions in files. When `save` returns, the content and its name are synced."""

    def __init__(self, folder: Path, fs: FileSystem | None = None) -> None:
        self._root = folder
        self._sessions = folder / "sessions"
        self._quarantine = folder / "quarantine"
        self._fs = fs or LocalFileSystem()
        self._store_id = ""
        self._places: dict[SessionId, Path] = {}
        self._sizes: dict[SessionId, int] = {}
        self._healed: dict[SessionId, str] = {}
        self._quarantined = 0
        self._trouble: StorageError | None = None
        self._serial = itertools.count()
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="storage")

    # ---- opening

    async def open(self) -> Opened:
        """Lock the folder, put aside what cannot be read, and list the rest."""
        return await self._on_thread(self._open)

    def _open(self) -> Opened:
        try:
            self._root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot make the data folder {self._root}: {error.strerror}"
            raise StorageError(msg) from error
        for folder in (self._root, self._sessions, self._root / "archive", self._quarantine):
            if self._fs.make_folder(folder):
                self._fs.sync_folder(folder.parent)
        if not self._fs.lock(self._root / "lock"):
            msg = f"another daemon uses the data folder {self._root}; stop it, or give this one another --data-dir"
            raise StorageError(msg)
        self._store_id = self._identify()
        sessions = list(self._scan())
        kept_aside = self._fs.names(self._quarantine)
        self._quarantined = len(kept_aside)
        damaged = {SessionId(match.group(1)) for name in kept_aside if (match := _DAMAGED.fullmatch(name))}
        return Opened(sessions, frozenset(damaged - self._places.keys()))

    def _identify(self) -> str:
        path = self._root / "store.json"
        data = self._fs.read(path)
        if data is None:
            made = _StoreFile("stui-store", 1, secrets.token_hex(16))
            self._fs.write_new(path, msgspec.json.encode(made) + b"\n")
            self._fs.sync_folder(self._root)
            return made.store_id
        try:
            found = msgspec.json.decode(data, type=_StoreFile)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{path} cannot be read ({error}); put the original back, its store_id is in every session file"
            raise StorageError(msg) from None
        if (found.format, found.format_version) != ("stui-store", 1):
            msg = f"{path} is of format {found.format} {found.format_version}, which this version cannot read"
            raise StorageError(msg)
        return found.store_id

    def _scan(self) -> Iterator[StoredHeader]:
        for client in self._fs.names(self._sessions):
            folder = self._sessions / client
            seen: set[str] = set()
            for name in self._fs.names(folder):
                if name.endswith(_NEW):
                    self._put_aside(folder / name, "unfinished")
                elif name.endswith(_PREVIOUS):
                    seen.add(name.removesuffix(_PREVIOUS))
                elif name.endswith(_CURRENT):
                    seen.add(name.removesuffix(_CURRENT))
            for stem in sorted(seen):
                session_id = SessionId(stem)
                self._places[session_id] = folder
                try:
                    loaded = self._load(session_id)
                except SessionDamagedError:
                    del self._places[session_id]
                    continue
                if loaded is not None:
                    yield StoredHeader(loaded.session.header, loaded.size_bytes)

    # ---- reading

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Read a session, the previous file if the newest is damaged."""
        return await self._on_thread(self._load, session_id)

    def _load(self, session_id: SessionId) -> Loaded | None:
        folder = self._places.get(session_id)
        if folder is None:
            return None
        current, previous = folder / f"{session_id}{_CURRENT}", folder / f"{session_id}{_PREVIOUS}"
        damage: str | None = None
        for path in (current, previous):
            data = self._fs.read(path)
            if data is None:
                continue
            try:
                session = decode_session(data, self._store_id, session_id)
            except UnreadableError as error:
                damage = str(error)
                self._put_aside(path, "damaged", detail=damage)
                continue
            self._sizes[session_id] = len(data)
            if damage is not None:
                self._healed[session_id] = f"the newest file was damaged ({damage}); this is the one before it"
            return Loaded(session, len(data), self._healed.get(session_id))
        if damage is not None:
            msg = f"session {session_id} cannot be read: {damage}; its files are in quarantine"
            raise SessionDamagedError(msg, session_id=session_id)
        return None

    def _put_aside(self, path: Path, why: str, detail: str = "") -> None:
        kept = self._quarantine / f"{secrets.token_hex(4)}-{why}-{path.name}"
        self._fs.rename(path, kept)
        self._fs.sync_folder(self._quarantine)
        self._fs.sync_folder(path.parent)
        self._quarantined += 1
        _log.warning("storage.quarantined", file=path.name, kept_as=kept.name, why=why, detail=detail)

    # ---- writing

    async def save(self, session: Session) -> int:
        """Replace the session's file; synced when this returns."""
        return await self._on_thread(self._save, session)

    def _save(self, session: Session) -> int:
        session_id = session.header.session_id
        data = encode_session(session, self._store_id)
        folder = self._places.get(session_id) or self._client_folder(session.header.client_id)
        new = folder / f"{session_id}.{next(self._serial)}{_NEW}"
        current = folder / f"{session_id}{_CURRENT}"
        self._fs.write_new(new, data)
        self._fs.rename(current, folder / f"{session_id}{_PREVIOUS}")
        self._fs.rename(new, current)
        self._fs.sync_folder(folder)
        self._places[session_id] = folder
        self._sizes[session_id] = len(data)
        self._healed.pop(session_id, None)
        self._trouble = None
        return len(data)

    def _client_folder(self, client_id: str) -> Path:
        folder = self._sessions / hashlib.sha256(client_id.encode()).hexdigest()[:32]
        if self._fs.make_folder(folder):
            self._fs.sync_folder(self._sessions)
        return folder

    async def remove(self, session_id: SessionId) -> None:
        """Delete both files of a session."""
        await self._on_thread(self._remove, session_id)

    def _remove(self, session_id: SessionId) -> None:
        folder = self._places.get(session_id)
        if folder is None:
            return
        for suffix in (_PREVIOUS, _CURRENT):
            self._fs.remove(folder / f"{session_id}{suffix}")
        self._fs.sync_folder(folder)
        self._forget(session_id)

    async def archive(self, session_id: SessionId, at: float) -> None:
        """Move a session's file to this month's archive."""
        await self._on_thread(self._archive, session_id, at)

    def _archive(self, session_id: SessionId, at: float) -> None:
        folder = self._places.get(session_id)
        if folder is None:
            return
        month = self._root / "archive" / datetime.fromtimestamp(at, UTC).strftime("%Y-%m")
        if self._fs.make_folder(month):
            self._fs.sync_folder(month.parent)
        self._fs.rename(folder / f"{session_id}{_CURRENT}", month / f"{session_id}{_CURRENT}")
        self._fs.sync_folder(month)
        self._fs.remove(folder / f"{session_id}{_PREVIOUS}")
        self._fs.sync_folder(folder)
        self._forget(session_id)

    def _forget(self, session_id: SessionId) -> None:
        self._places.pop(session_id, None)
        self._sizes.pop(session_id, None)
        self._healed.pop(session_id, None)

    # ---- the rest

    async def close(self) -> None:
        """Finish what was begun, then let go of the folder."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        self._fs.unlock()

    def status(self) -> StorageStatus:
        """Tell how the last operations went."""
        trouble = self._trouble
        status: Literal["ok", "full", "failed"] = "ok"
        if trouble is not None:
            status = "full" if isinstance(trouble, StorageFullError) else "failed"
        return StorageStatus(
            kind="file",
            status=status,
            sessions=len(self._sizes),
            size_bytes=sum(self._sizes.values()),
            quarantined=self._quarantined,
            detail=None if trouble is None else trouble.message,
        )

    async def _on_thread(self, work: Callable[..., T], *args: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except OSError as error:
            if error.errno in _NO_ROOM:
                msg = "the disk is full; the change was not stored"
                self._trouble = StorageFullError(msg)
            else:
                msg = f"the disk failed: {error.strerror or error}"
                self._trouble = StorageError(msg)
            _log.error("storage.failed", error=str(error))
            raise self._trouble from error
