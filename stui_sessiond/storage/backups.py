"""Verified copies of session files and the database: made hourly and on demand, kept by age, put back without loss.

    backups/<time>-<reason>/sessions/<client>/<session>.json
    backups/<time>-<reason>/store.json
    backups/<time>-<reason>/images.sqlite3
    backups/<time>-<reason>/manifest.json     hashes of all files; written last, so a copy without it is none

A file that has not changed since the backup before is linked to it, not copied; live files are never linked, so that
damage to one does not reach the other. Kept are 24 hourly, 7 daily and 4 weekly ones, always the newest verified, and
for a session that cannot be read any more the newest one that has it.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from stui_sessiond.errors import StorageError
from stui_sessiond.ids import SessionId
from stui_sessiond.security.sealing import CLEAR_ID, KeyMissingError
from stui_sessiond.storage.api import BackupInfo
from stui_sessiond.storage.database import copy_database, examine_copy
from stui_sessiond.storage.layout import CURRENT, DATABASE, PREVIOUS, seal_json, unseal_json
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session

if TYPE_CHECKING:
    from stui_sessiond.storage.store import Store

_log = structlog.get_logger(__name__)

HOURLY, DAILY, WEEKLY = 24, 7, 4
FIRST_AFTER_S = 60.0
"""A daemon that has just started has better things to do."""

REASON = r"^[a-z0-9-]{1,40}$"
"""Why a backup is made is part of the name of its folder."""

AUTOMATIC = "automatic"
MAX_SAME_SECOND = 100
MANIFEST = "manifest.json"
FAILED_MANIFEST = "manifest.failed.json"
"""The manifest of a backup that did not verify: kept to look at, and no backup."""

_TIME = "%Y%m%dT%H%M%SZ"


Rest = Callable[[float], None]
"""Leaves the processor to others for a while, after so many seconds of work."""


def no_rest(_took_s: float) -> None:
    """Go on at once."""


class Manifest(msgspec.Struct, frozen=True):
    """What is in a backup: paths within it, and the SHA-256 of each file."""

    store_id: str
    made_at: float
    reason: str
    lsn: int
    files: dict[str, str]
    missing: dict[str, str] = {}
    """Sessions that could not be copied as they should be, and why."""
    keys: tuple[str, ...] = ()
    """Ids of the master keys that it takes to read it; empty when all of it is clear text."""


class Backups:
    """The backups of one store. Nothing here is called on the event loop."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._known: dict[str, BackupInfo] = {}
        """Backups whose manifests were read for `known`: a manifest never changes."""

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

    def known(self) -> Sequence[BackupInfo]:
        """List complete backups as `list` does, reading only the manifests of those that are new."""
        names = set(self._store.fs.names(self.folder))
        known = {name: info for name, info in self._known.items() if name in names}
        for name in sorted(names - known.keys()):
            manifest = self._manifest(name)
            if manifest is not None:
                known[name] = _info(name, manifest)
        self._known = known
        return sorted(known.values(), key=lambda info: info.made_at)

    def needing(self, key_ids: Collection[str]) -> Sequence[str]:
        """Name the backups that take one of these keys, the oldest first; `clear` finds those with clear text."""
        wanted = set(key_ids)
        return [info.name for info in self.list() if wanted & set(info.keys or (CLEAR_ID,))]

    def due_in_s(self, now: float, interval_s: float) -> float:
        """Seconds until the next automatic one: never right after the start."""
        newest = max((info.made_at for info in self.list()), default=0.0)
        return min(interval_s, max(FIRST_AFTER_S, newest + interval_s - now))

    def create(self, now: float, reason: str) -> BackupInfo:
        """Copy all session files, verify the copy, let go of what is due.

        Raises:
            StorageError, OSError: as `copy` and `conclude`.
        """
        return self.conclude(self.copy(now, reason))

    def copy(self, now: float, reason: str, rest: Rest = no_rest) -> str:
        """Copy all session files; tell the name of the copy. Session files may be replaced or removed meanwhile.

        Raises:
            StorageError: `reason` is none.
            OSError: it could not be written; an unfinished copy is removed.
        """
        store, fs = self._store, self._store.fs
        if not re.fullmatch(REASON, reason):
            msg = f"{reason!r} is no reason for a backup: 1 to 40 of a-z, 0-9 and -"
            raise StorageError(msg)
        folder = self._make_folder(now, reason)
        name = folder.name
        try:
            files, missing = self._copy(folder, rest)
            manifest = Manifest(
                store.store_id, now, reason, store.writer.durable_lsn, files, missing, store.listed_keys
            )
            fs.write_new(folder / MANIFEST, seal_json(manifest))
            fs.sync_folder(folder)
            fs.sync_folder(self.folder)
        except OSError:
            with contextlib.suppress(OSError):  # the disk fails, and the first failure tells more
                fs.remove_tree(folder)
            raise
        return name

    def conclude(self, name: str, rest: Rest = no_rest) -> BackupInfo:
        """Verify a copy, and let go of what is due.

        Raises:
            StorageError: it does not verify; nothing was let go of.
            OSError: the disk failed; it is tried again with the next copy.
        """
        store, fs = self._store, self._store.fs
        checked = self.verify(name, rest=rest)
        if checked.problems:
            folder = self.folder / name
            fs.rename(folder / MANIFEST, folder / FAILED_MANIFEST)
            fs.sync_folder(folder)
            msg = f"backup {name} does not verify: {'; '.join(checked.problems[:3])}"
            raise StorageError(msg)
        missing = self.manifest(name).missing
        _log.info("backup.made", name=name, sessions=checked.sessions, missing=sorted(missing))
        for old in due_for_removal(self.list(), {name, *self._only_copies(store.damaged.keys() | missing.keys())}):
            self._drop(old)
        return checked

    def _make_folder(self, now: float, reason: str) -> Path:
        name = f"{datetime.fromtimestamp(now, UTC).strftime(_TIME)}-{reason}"
        for number in range(1, MAX_SAME_SECOND):
            folder = self.folder / (name if number == 1 else f"{name}-{number}")
            if self._store.fs.make_folder(folder):
                return folder
        msg = f"there are too many backups {name}; ask again in a second"
        raise StorageError(msg)

    def _only_copies(self, session_ids: Collection[str]) -> set[str]:
        """The newest backups that have these sessions: of the store nothing is to be had."""
        wanted, found = set(session_ids), set()
        for info in reversed(self.list() if wanted else []):
            manifest = self._manifest(info.name)
            if manifest is None:
                continue
            ids = {Path(path).stem for path in manifest.files if path.startswith("sessions/")}
            if wanted & (ids - manifest.missing.keys()):
                found.add(info.name)
                wanted -= ids - manifest.missing.keys()
        return found

    def _drop(self, name: str) -> None:
        """Let go of a backup; its manifest goes first, so that half of it never passes for one."""
        fs = self._store.fs
        fs.remove(self.folder / name / MANIFEST)
        fs.sync_folder(self.folder / name)
        fs.remove_tree(self.folder / name)
        _log.info("backup.dropped", name=name)

    def verify(
        self, name: str, progress: Callable[[int, int], None] = lambda _done, _of: None, rest: Rest = no_rest
    ) -> BackupInfo:
        """Open every file of a backup; what is wrong is in `problems`.

        Raises:
            StorageError: there is no such backup.
            KeyMissingError: it takes another key to open it.
            OSError: it cannot be read now.
        """
        manifest = self.manifest(name)
        self._store.sealer.require(manifest.keys, f"backup {name}")
        problems = []
        for done, (path, sha256) in enumerate(manifest.files.items(), start=1):
            progress(done, len(manifest.files))
            started = time.monotonic()
            data = self._store.fs.read(self.folder / name / path)
            if data is None:
                problems.append(f"{path} is missing")
            elif hashlib.sha256(data).hexdigest() != sha256:
                problems.append(f"{path} is damaged")
            elif path.startswith("sessions/"):
                try:
                    stem = Path(path).name.removesuffix(PREVIOUS).removesuffix(CURRENT)
                    decode_session(data, manifest.store_id, stem, self._store.sealer)
                except UnreadableError as error:
                    problems.append(f"{path}: {error}")
            elif path == DATABASE and (problem := examine_copy(data)) is not None:
                problems.append(f"{path}: {problem}")
            rest(time.monotonic() - started)
        return _info(name, manifest, tuple(problems))

    def session_data(self, name: str, session_id: str) -> bytes:
        """Get one session's file out of a backup.

        Raises:
            StorageError: it is not in there, or damaged.
            OSError: it cannot be read now.
        """
        for path, sha256 in self.manifest(name).files.items():
            if path.startswith("sessions/") and path.endswith(f"/{session_id}.json"):
                data = self._store.fs.read(self.folder / name / path)
                if data is None or hashlib.sha256(data).hexdigest() != sha256:
                    msg = f"session {session_id} is damaged in backup {name}"
                    raise StorageError(msg)
                return data
        msg = f"session {session_id} is not in backup {name}"
        raise StorageError(msg)

    def manifest(self, name: str) -> Manifest:
        """Read what is in a backup.

        Raises:
            StorageError: there is no such backup.
            OSError: it cannot be read now.
        """
        found = self._manifest(name) if name in self._store.fs.names(self.folder) else None
        if found is None:
            msg = f"there is no complete backup {name!r}; `store backup list` shows them"
            raise StorageError(msg)
        return found

    def _copy(self, folder: Path, rest: Rest) -> tuple[dict[str, str], dict[str, str]]:
        store, fs = self._store, self._store.fs
        before = self.list()
        previous = before[-1].name if before else None
        known = self._manifest(previous) if previous else None
        files: dict[str, str] = {}
        missing: dict[str, str] = {}
        fs.make_folder(folder / "sessions")
        made: dict[Path, None] = {}  # in order
        for session_id, place in sorted(store.places.items()):
            started = time.monotonic()
            client = store.layout.client_folder(place.header.client_id)
            data, why = self._live(client, session_id)
            if why is not None:
                missing[session_id] = why
            if data is None:
                continue
            path = f"sessions/{client.name}/{session_id}.json"
            target = folder / path
            if target.parent not in made:
                fs.make_folder(target.parent)
                made[target.parent] = None
            sha256 = hashlib.sha256(data).hexdigest()
            before_it = self.folder / previous / path if previous else None
            same = before_it is not None and known is not None and known.files.get(path) == sha256
            # what the disk did to the copy before must not be passed on
            if not (same and before_it and fs.read(before_it) == data and fs.link(before_it, target)):
                fs.write_new(target, data)
            files[path] = sha256
            rest(time.monotonic() - started)
        identity = fs.read(store.layout.identity) or b""
        fs.write_new(folder / "store.json", identity)
        files["store.json"] = hashlib.sha256(identity).hexdigest()
        if DATABASE in fs.names(store.layout.root):
            self._copy_database(folder, files, missing)
        for parent in (*made, folder / "sessions"):
            fs.sync_folder(parent)
        return files, missing

    def _copy_database(self, folder: Path, files: dict[str, str], missing: dict[str, str]) -> None:
        """Copy the database of images; one that is damaged must not end all backups."""
        try:
            data = copy_database(self._store.layout.database)
            if (problem := examine_copy(data)) is not None:
                raise StorageError(problem)  # noqa: TRY301 -- one way out for what cannot be copied
        except StorageError as error:
            missing[DATABASE] = error.message
            _log.error("backup.database_missing", reason=error.message)
            return
        self._store.fs.write_new(folder / DATABASE, data)
        files[DATABASE] = hashlib.sha256(data).hexdigest()

    def _live(self, client: Path, session_id: SessionId) -> tuple[bytes | None, str | None]:
        """The newest sound file of a session, and what is wrong with it. One damaged file must not end all backups."""
        store = self._store
        why: str | None = None
        for path in store.snapshots.paths(client, session_id):
            data = store.fs.read(path)
            if data is None:
                continue
            try:
                decode_session(data, store.store_id, session_id, store.sealer)
            except (UnreadableError, KeyMissingError) as error:
                why = why or f"its newest file is damaged ({error})"
            else:
                return data, None if why is None else f"{why}; this is the one before it"
        if why is not None:
            _log.error("backup.session_missing", session_id=session_id, reason=why)
        return None, why

    def _manifest(self, name: str) -> Manifest | None:
        data = self._store.fs.read(self.folder / name / MANIFEST)
        text = None if data is None else unseal_json(data)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def due_for_removal(backups: Sequence[BackupInfo], keep: Collection[str]) -> list[str]:
    """Choose which to let go of: all but the newest of each of the last 24 hours, 7 days and 4 weeks, and `keep`.

    The caller puts into `keep` the newest one that it has verified. A damaged one never stands for its hour, day or
    week. Only automatic ones are let go of; what a person asked for stays.
    """
    kept = set(keep)
    sound = sorted((info for info in backups if not info.problems), key=lambda info: info.made_at, reverse=True)
    kept.update(info.name for info in sound[:1])
    for length_s, count in ((3600, HOURLY), (86400, DAILY), (7 * 86400, WEEKLY)):
        spans: dict[int, str] = {}
        for info in sound:
            spans.setdefault(int(info.made_at // length_s), info.name)
        kept.update(list(spans.values())[:count])
    return [info.name for info in backups if info.name not in kept and info.reason == AUTOMATIC]


def _info(name: str, manifest: Manifest, problems: tuple[str, ...] = ()) -> BackupInfo:
    sessions = sum(1 for path in manifest.files if path.startswith("sessions/") and not path.endswith(PREVIOUS))
    missing = tuple(f"{session_id}: {why}" for session_id, why in sorted(manifest.missing.items()))
    return BackupInfo(name, manifest.made_at, manifest.reason, sessions, problems, missing, manifest.keys)
