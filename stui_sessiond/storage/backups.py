"""Verified copies of all session files: made every hour and on demand, kept by age, put back without losing anything.

    backups/<time>-<reason>/sessions/<client>/<session>.json
    backups/<time>-<reason>/store.json
    backups/<time>-<reason>/manifest.json     hashes of all files; written last, so a copy without it is none

A file that has not changed since the backup before is linked to it, not copied; live files are never linked, so that
damage to one does not reach the other. Kept are 24 hourly, 7 daily and 4 weekly ones, and always the newest verified.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from stui_sessiond.errors import StorageError
from stui_sessiond.storage.layout import seal_json, unseal_json
from stui_sessiond.storage.records import UnreadableError, decode_session

if TYPE_CHECKING:
    from stui_sessiond.storage.store import Store

_log = structlog.get_logger(__name__)

HOURLY, DAILY, WEEKLY = 24, 7, 4
FIRST_AFTER_S = 60.0
"""A daemon that has just started has better things to do."""

MANIFEST = "manifest.json"
_TIME = "%Y%m%dT%H%M%SZ"


class Manifest(msgspec.Struct, frozen=True):
    """What is in a backup: paths within it, and the SHA-256 of each file."""

    store_id: str
    made_at: float
    reason: str
    lsn: int
    files: dict[str, str]


class BackupInfo(msgspec.Struct, frozen=True):
    """A backup in a list. `problems` is empty when it was verified and is sound."""

    name: str
    made_at: float
    reason: str
    sessions: int
    problems: tuple[str, ...] = ()


class Backups:
    """The backups of one store. Nothing here is called on the event loop."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._store.layout.backups

    def list(self) -> list[BackupInfo]:
        """List complete backups, the oldest first."""
        found = []
        for name in self._store.fs.names(self.folder):
            manifest = self._manifest(name)
            if manifest is not None:
                found.append(_info(name, manifest))
        return sorted(found, key=lambda info: info.made_at)

    def due_in_s(self, now: float, interval_s: float) -> float:
        """Seconds until the next automatic one: never right after the start."""
        newest = max((info.made_at for info in self.list()), default=0.0)
        return min(interval_s, max(FIRST_AFTER_S, newest + interval_s - now))

    def create(self, now: float, reason: str) -> BackupInfo:
        """Copy all session files, verify the copy, let go of what is due.

        Raises:
            StorageError: the copy does not verify.
            OSError: it could not be written; an unfinished copy is removed.
        """
        store, fs = self._store, self._store.fs
        name = f"{datetime.fromtimestamp(now, UTC).strftime(_TIME)}-{reason}"
        folder = self.folder / name
        if not fs.make_folder(folder):
            msg = f"backup {name} is there already"
            raise StorageError(msg)
        try:
            files = self._copy(folder)
            manifest = Manifest(store.store_id, now, reason, store.writer.durable_lsn, files)
            fs.write_new(folder / MANIFEST, seal_json(manifest))
            fs.sync_folder(folder)
            fs.sync_folder(self.folder)
        except OSError:
            fs.remove_tree(folder)
            raise
        checked = self.verify(name)
        if checked.problems:
            msg = f"backup {name} does not verify: {'; '.join(checked.problems[:3])}"
            raise StorageError(msg)
        _log.info("backup.made", name=name, sessions=checked.sessions)
        for old in due_for_removal(self.list(), keep=name):
            fs.remove_tree(self.folder / old)
            _log.info("backup.dropped", name=old)
        return checked

    def verify(self, name: str) -> BackupInfo:
        """Open every file of a backup; what is wrong is in `problems`.

        Raises:
            StorageError: there is no such backup.
            OSError: it cannot be read now.
        """
        manifest = self._manifest(name)
        if manifest is None:
            msg = f"there is no complete backup {name!r}; `store backup list` shows them"
            raise StorageError(msg)
        problems = []
        for path, sha256 in manifest.files.items():
            data = self._store.fs.read(self.folder / name / path)
            if data is None:
                problems.append(f"{path} is missing")
            elif hashlib.sha256(data).hexdigest() != sha256:
                problems.append(f"{path} is damaged")
            elif path.startswith("sessions/"):
                try:
                    decode_session(data, manifest.store_id)
                except UnreadableError as error:
                    problems.append(f"{path}: {error}")
        return _info(name, manifest, tuple(problems))

    def session_data(self, name: str, session_id: str) -> bytes:
        """Get one session's file out of a backup.

        Raises:
            StorageError: it is not in there, or damaged.
            OSError: it cannot be read now.
        """
        manifest = self._manifest(name)
        if manifest is None:
            msg = f"there is no complete backup {name!r}; `store backup list` shows them"
            raise StorageError(msg)
        for path, sha256 in manifest.files.items():
            if path.endswith(f"/{session_id}.json"):
                data = self._store.fs.read(self.folder / name / path)
                if data is None or hashlib.sha256(data).hexdigest() != sha256:
                    msg = f"session {session_id} is damaged in backup {name}"
                    raise StorageError(msg)
                return data
        msg = f"session {session_id} is not in backup {name}"
        raise StorageError(msg)

    def _copy(self, folder: Path) -> dict[str, str]:
        store, fs = self._store, self._store.fs
        before = self.list()
        previous = before[-1].name if before else None
        known = self._manifest(previous) if previous else None
        files: dict[str, str] = {}
        fs.make_folder(folder / "sessions")
        made: set[Path] = set()
        for session_id, place in sorted(store.places.items()):
            client = store.layout.client_folder(place.header.client_id)
            data = fs.read(client / f"{session_id}.json")
            if data is None:
                continue
            path = f"sessions/{client.name}/{session_id}.json"
            target = folder / path
            if target.parent not in made:
                fs.make_folder(target.parent)
                made.add(target.parent)
            sha256 = hashlib.sha256(data).hexdigest()
            same = known is not None and previous is not None and known.files.get(path) == sha256
            if not (same and previous and fs.link(self.folder / previous / path, target)):
                fs.write_new(target, data)
            files[path] = sha256
        identity = fs.read(store.layout.identity) or b""
        fs.write_new(folder / "store.json", identity)
        files["store.json"] = hashlib.sha256(identity).hexdigest()
        for parent in (*made, folder / "sessions"):
            fs.sync_folder(parent)
        return files

    def _manifest(self, name: str) -> Manifest | None:
        data = self._store.fs.read(self.folder / name / MANIFEST)
        text = None if data is None else unseal_json(data)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def due_for_removal(backups: list[BackupInfo], keep: str) -> list[str]:
    """Choose which to let go of: all but the newest of each of the last 24 hours, 7 days and 4 weeks, and `keep`.

    Only automatic ones are let go of; what a person asked for stays.
    """
    kept = {keep}
    newest_first = sorted(backups, key=lambda info: info.made_at, reverse=True)
    for length_s, count in ((3600, HOURLY), (86400, DAILY), (7 * 86400, WEEKLY)):
        spans: dict[int, str] = {}
        for info in newest_first:
            spans.setdefault(int(info.made_at // length_s), info.name)
        kept.update(list(spans.values())[:count])
    return [info.name for info in backups if info.name not in kept and info.reason == "automatic"]


def _info(name: str, manifest: Manifest, problems: tuple[str, ...] = ()) -> BackupInfo:
    sessions = sum(1 for path in manifest.files if path.startswith("sessions/"))
    return BackupInfo(name, manifest.made_at, manifest.reason, sessions, problems)
