"""The file storage: a journal with group commit in front of one readable file per session, with verified backups.

Guarantees: when `commit` returns, the change survives kill -9 and power loss; the loop never waits for the disk; after
a failed sync nothing more is accepted and the owner is told to stop; on a full disk reading goes on, and writing comes
back by itself when there is room. `storage.layout` says what lies where, docs/explanation/durability.md why.
"""

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import structlog

from stui_sessiond.counting import Histogram
from stui_sessiond.errors import SessionDamagedError, StorageError, StorageFullError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import SessionHeader
from stui_sessiond.security.sealing import CLEAR, CLEAR_ID, KeyMissingError, Sealer
from stui_sessiond.storage import rekey
from stui_sessiond.storage.api import BackupInfo, Commit, Loaded, Opened, StorageStatus, StoredHeader, Survey
from stui_sessiond.storage.backups import AUTOMATIC, Backups, no_rest
from stui_sessiond.storage.change_record import encode_change
from stui_sessiond.storage.commit_queue import CommitQueue, Note
from stui_sessiond.storage.fs import FileSystem, LocalFileSystem
from stui_sessiond.storage.records import ChangeRecord
from stui_sessiond.storage.segments import SEGMENT_BYTES, DiskFailedError, DiskFullError
from stui_sessiond.storage.store import KEEP_SEGMENTS, Pending, Store
from stui_sessiond.storage.tally import BackupTally, StorageGauges
from stui_sessiond.storage.translation import entry_record, event_records, header_record, request_records, to_record
from stui_sessiond.tasks import TaskOwner

T = TypeVar("T")

_log = structlog.get_logger(__name__)

FILE_THREADS = 4
"""Threads that read and write session files."""

CHECKPOINT_INTERVAL_S = 10.0
"""How often changed sessions are written to their files, so that a person sees them and the journal stays short."""

REST = 3.0
"""How long to rest after a file was written or checked, as a multiple of what it took, where nobody waits for it: a
thread that makes or reads JSON of a session leaves little of the interpreter to others."""

MAX_REST_S = 0.02
"""The same, at most: on a slow disk it is not the processor that takes the time."""

REKEY_INTERVAL_S = 1.0
"""The same while the key changes: a session that is made meanwhile may keep it from being finished this time."""

MAX_PENDING_SESSIONS = 2000
"""Changed sessions that may wait for that; more are written at once. Bounds memory and the time of a recovery."""

TRIM_STEP = 100
"""Session files that are written in one go to free a segment; the rest of them after others had their turn."""

BALLAST_BYTES = 16 * 1024 * 1024
"""Room that is given up when the disk is full, so that the daemon can still shut down cleanly."""

RESUME_INTERVAL_S = 1.0
"""How often a full disk is tried again."""


class FileStorage:
    """Keeps sessions in a folder."""

    def __init__(
        self,
        folder: Path,
        fs: FileSystem | None = None,
        *,
        on_failure: Callable[[], None] = lambda: None,
        backup_interval_s: float | None = 3600.0,
        clock: Callable[[], float] = time.time,
        segment_bytes: int = SEGMENT_BYTES,
        sealer: Sealer = CLEAR,
    ) -> None:
        self.on_failure = on_failure
        """Called when the disk failed in a way after which the process has to end."""
        self._store = Store(folder, fs or LocalFileSystem(), segment_bytes, sealer=sealer)
        self._backups = Backups(self._store)
        self._backup_interval_s = backup_interval_s
        self._clock = clock
        self._commits: CommitQueue | None = None
        self._threads = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="storage")
        self._tasks = TaskOwner("storage")
        self._trouble: StorageError | None = None
        self._storing: dict[SessionId, Commit] = {}
        """The newest change of each session that is on its way to the disk."""
        self._kick = asyncio.Event()
        self._checkpointing = asyncio.Lock()
        """Held while a session's file is written or deleted, and while the journal is trimmed."""
        self._backing_up = asyncio.Lock()
        """Held while files are copied and while a change of keys ends: a copy knows all the keys that it takes."""
        self._closing = False
        self.backup_tally = BackupTally()
        self._retired: tuple[str, ...] = ()
        """Keys that this process has made needless for the store."""

    # ---- opening and closing

    async def open(self) -> Opened:
        """Recover the folder and tell what is there."""
        root = self._store.layout.root
        try:
            root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            await self._on_thread(self._store.open)
        except (OSError, DiskFullError, DiskFailedError) as error:
            msg = f"the data folder {root} cannot be used: {getattr(error, 'strerror', None) or error}"
            raise StorageError(msg) from error
        self._commits = CommitQueue(self._store.writer, self._fail)
        await self._reserve_ballast()
        self._kick.set()  # many short lives leave many short segments
        self._tasks.start(self._keep_checkpoints(), "checkpoint")
        if self._backup_interval_s is not None:
            self._tasks.start(self._keep_backups(self._backup_interval_s), "backup")
        with contextlib.suppress(OSError):  # it is only told of
            known = await self._on_thread(self._backups.list)
            self.backup_tally.last_good_at = known[-1].made_at if known else None
        places = self._store.places.values()
        found = [StoredHeader(place.header, place.size_bytes) for place in places]
        damaged = frozenset(self._store.damaged.keys() - self._store.places.keys())
        return Opened(found, damaged, self._store.incarnation)

    async def close(self) -> None:
        """Write what waits and all session files, seal the journal, let go of the folder."""
        self._closing = True
        await self._tasks.close()
        if self._commits is not None:
            await self._commits.close()
            try:
                await self._close_store()
            except (OSError, DiskFullError, DiskFailedError) as error:  # everything is in the journal all the same
                _log.error("storage.close_incomplete", error=str(error))
                self._store.fs.unlock()
        else:
            self._store.fs.unlock()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)

    async def _close_store(self) -> None:
        try:
            await self._on_thread(self._store.close)
        except (OSError, DiskFullError):  # this is what the ballast is for
            if not await self._on_thread(self._store.fs.remove, self._store.layout.ballast):
                raise
            await self._on_thread(self._store.close)

    # ---- reading

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Read a session, from memory while its file is not written yet."""
        held = self._store.pending.get(session_id)
        try:
            session = held.session if held else await self._on_thread(self._store.load, session_id)
        except (OSError, KeyMissingError) as error:
            msg = f"session {session_id} cannot be read now: {getattr(error, 'strerror', None) or error}"
            raise StorageError(msg) from error
        if session is None:
            if session_id in self._store.damaged:
                msg = f"session {session_id} cannot be read: {self._store.damaged[session_id]}"
                raise SessionDamagedError(msg, session_id=session_id)
            return None
        if (why := self._store.damaged.get(session_id)) is not None:
            return Loaded(session, "damaged", why)
        if (why := self._store.healed.get(session_id)) is not None:
            return Loaded(session, "healed", why)
        return Loaded(session)

    # ---- writing

    async def commit(self, change: Commit) -> None:
        """Make a change durable."""
        session = change.session
        session_id = session.header.session_id
        place = self._store.places.get(session_id)
        # a caller that was cancelled does not know of the change that is stored all the same: this one replaces it
        unknown = session_id in self._storing or (place is not None and _moved(place.header, change))
        whole = change.whole or unknown
        record = ChangeRecord(
            session_id,
            change.base_version,
            header_record(session.header),
            None if change.entry is None or whole else entry_record(change.entry),
            to_record(session) if whole else None,
            events=[] if whole else event_records(change.events, () if change.entry is None else (change.entry,)),
            requests=[] if whole else request_records(change.requests),
        )
        stored = self._append(record, functools.partial(self._note, change))
        self._storing[session_id] = change
        await stored

    def _note(self, change: Commit, lsn: int | None) -> None:
        """Take note of what is durable, also if nobody waits for it any more."""
        session_id = change.session.header.session_id
        if self._storing.get(session_id) is change:
            del self._storing[session_id]
        if lsn is None:
            return
        self._store.note_change(change.session, lsn, change.size_bytes)
        if len(self._store.pending) > MAX_PENDING_SESSIONS:
            self._kick.set()

    async def remove(self, session_id: SessionId) -> None:
        """Delete a session for good."""
        await self._go(session_id, "removed")

    async def archive(self, session_id: SessionId, at: float) -> None:
        """Write a session to the archive, then take it out of the store."""
        loaded = await self.load(session_id)
        if loaded is not None:
            await self._disk(self._store.snapshots.archive, loaded.session, 0, at)
            await self._go(session_id, "archived")

    async def _go(self, session_id: SessionId, how: str) -> None:
        """Take a session out of the store: with its record it is gone, and then its files are deleted."""
        place = self._store.places.get(session_id)
        if place is not None:
            header = header_record(place.header)
            lsn = await self._append(ChangeRecord(session_id, place.header.version, header, gone=how))
            self._store.note_gone(session_id, lsn)
        if session_id in self._store.leftover:
            async with self._checkpointing:  # a checkpoint under way must not bring the file back
                await self._disk(self._store.delete_leftover, session_id)

    def _append(self, record: ChangeRecord, note: Note | None = None) -> asyncio.Future[int]:
        if self._commits is None:
            msg = "the storage is not open"
            raise StorageError(msg)
        return self._commits.append(encode_change(record), note)

    # ---- files, journal and backups, in the background

    async def _keep_checkpoints(self) -> None:
        while True:
            try:
                async with asyncio.timeout(REKEY_INTERVAL_S if self._store.rekeying else CHECKPOINT_INTERVAL_S):
                    await self._kick.wait()
            except TimeoutError:
                pass
            hurried = self._kick.is_set()
            self._kick.clear()
            if self._trouble is None:
                await self._checkpoint(gently=not hurried)

    async def checkpoint(self) -> None:
        """Write changed sessions to their files and free old segments; what fails is tried again later."""
        await self._checkpoint(gently=False)

    async def _checkpoint(self, *, gently: bool) -> None:
        """Do that; `gently` with rests between the files, in which requests have the processor to themselves."""
        try:
            for session_id in list(self._store.pending):
                async with self._checkpointing:  # for each alone: others who wait for it wait for one file
                    held = self._store.pending.get(session_id)
                    started = time.monotonic()
                    if held is not None:
                        await self._write_file(session_id, held)
                if gently and not self._kick.is_set():
                    await asyncio.sleep(_rest_s(time.monotonic() - started))
            async with self._checkpointing:
                wanted = self._store.trim_target(KEEP_SEGMENTS)
                if wanted is not None:
                    await self._trim(wanted)
                if self._store.rekeying and not self._backing_up.locked():
                    async with self._backing_up:
                        await self._finish_rekey()
        except (OSError, SessionDamagedError, KeyMissingError) as error:
            _log.warning("storage.checkpoint_failed", error=str(error))

    async def _write_file(self, session_id: SessionId, held: Pending) -> None:
        await self._on_thread(self._store.snapshots.write, held.session, held.lsn)
        self._store.note_file(session_id, held)

    async def _trim(self, wanted: int) -> None:
        """Free segments before `wanted`, or get a step nearer to it: the lock must not be held for long."""
        holders = await self._on_thread(self._store.holders, wanted - 1)  # it looks at all sessions
        for session_id in holders[:TRIM_STEP]:
            for _ in range(2):  # the second time moves the newest file to the place of the one before
                if self._store.holds(session_id, wanted - 1):
                    await self._on_thread(self._store.hold_pending, session_id)
                    held = self._store.pending.get(session_id)
                    if held is not None:
                        await self._write_file(session_id, held)
        if len(holders) > TRIM_STEP:
            self._kick.set()
        elif not await self._on_thread(self._store.holders, wanted - 1):
            await self._on_thread(self._store.finish_trim, wanted)

    async def _finish_rekey(self) -> None:
        retired = await self._on_thread(rekey.finish, self._store)
        if not retired:
            return
        self._retired = retired
        backups = await self._on_thread(self._backups.needing, retired)
        if backups:
            _log.warning("backup.under_old_key", keys=retired, backups=len(backups), newest=backups[-1])

    def _keys_detail(self) -> str | None:
        """What an operator has to know of the keys."""
        store = self._store
        if store.rekeying:
            old = " and ".join(key for key in store.keys if key != store.sealer.key_id)
            return (
                f"{len(store.old_files)} sessions are still to be written with {store.sealer.key_id} instead of {old}"
            )
        retired = [key for key in self._retired if key != CLEAR_ID]
        return f"only backups may still need {' and '.join(retired)}; the store does not" if retired else None

    async def _keep_backups(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(self._backups.due_in_s(self._clock(), interval_s))
            try:
                await self.back_up(AUTOMATIC)
            except (OSError, StorageError) as error:
                _log.error("storage.backup_failed", error=str(error))
                await asyncio.sleep(60)

    async def back_up(self, reason: str) -> BackupInfo:
        """Make a verified copy of everything, and let go of copies that are due.

        Raises:
            StorageError: the copy could not be made, or did not verify; nothing else changed.
            OSError: the disk failed.
        """
        at_leisure = reason == AUTOMATIC
        rest = self._rest if at_leisure else no_rest
        await self._checkpoint(gently=at_leisure)
        tally, started = self.backup_tally, time.monotonic()
        try:
            async with self._backing_up:
                name = await self._on_thread(self._backups.copy, self._clock(), reason, rest)
                made = await self._on_thread(self._backups.conclude, name, rest)
        except (OSError, StorageError):
            tally.failed += 1
            raise
        tally.made += 1
        tally.took.note(time.monotonic() - started)
        tally.last_good_at = made.made_at
        return made

    def _rest(self, took_s: float) -> None:
        """Leave the interpreter to requests for most of the time, unless everything waits for this. On a thread."""
        if not self._closing:
            time.sleep(_rest_s(took_s))

    # ---- trouble

    def stalled_s(self) -> float:
        """Tell for how long the disk has not come back from one write, in seconds."""
        return 0.0 if self._commits is None else self._commits.stalled_s()

    def status(self) -> StorageStatus:
        """Tell how it is."""
        trouble, status = self._trouble, self._word()
        store = self._store
        detail = trouble.message if trouble is not None else None
        if detail is None and store.damaged:
            detail = f"{len(store.damaged)} sessions lost acknowledged changes; see quarantine and `store check`"
        if detail is None:
            detail = self._keys_detail()
        return StorageStatus(
            kind="file",
            status=status,
            sessions=len(store.places),
            size_bytes=sum(place.size_bytes for place in store.places.values()),
            quarantined=store.snapshots.kept_aside,
            detail=detail,
        )

    async def survey(self) -> Survey:
        """Look at the disk, on a thread.

        Raises:
            OSError: it does not tell.
        """
        return await self._on_thread(self._survey)

    def _survey(self) -> Survey:
        layout = self._store.layout
        journal = 0
        for first_lsn in tuple(self._store.writer.segments):
            with contextlib.suppress(FileNotFoundError):  # it was needed no more
                journal += layout.segment(first_lsn).stat().st_size
        disk = os.statvfs(layout.root)
        return Survey(
            journal_bytes=journal,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            disk_bytes=disk.f_blocks * disk.f_frsize,
            backup_interval_s=self._backup_interval_s,
            backups=self._backups.known(),
        )

    def _word(self) -> Literal["ok", "full", "failed"]:
        if self._trouble is None:
            return "ok"
        return "full" if isinstance(self._trouble, StorageFullError) else "failed"

    def sync_times(self) -> Histogram | None:
        """How long writing to the journal took; None before it is open."""
        return None if self._commits is None else self._commits.tally.syncs

    def gauges(self) -> StorageGauges:
        """Tell how it is, without looking at its sessions."""
        return StorageGauges(
            status=self._word(),
            journal=None if self._commits is None else self._commits.state,
            unwritten=len(self._store.pending),
            damaged=len(self._store.damaged),
            quarantined=self._store.snapshots.kept_aside,
            backups=self.backup_tally,
        )

    def _fail(self, error: StorageError) -> None:
        self._trouble = error
        if isinstance(error, StorageFullError):
            _log.error("storage.full", error=error.message)
            if not self._closing:
                self._tasks.start(self._resume(), "resume")
        else:
            _log.critical("storage.failed", error=error.message)
            self.on_failure()

    async def _resume(self) -> None:
        """Give up the ballast, and take changes again as soon as there is room for it once more."""
        ballast = self._store.layout.ballast
        with contextlib.suppress(StorageError):  # then it stays
            await self._disk(self._store.fs.remove, ballast)
        while True:
            await asyncio.sleep(RESUME_INTERVAL_S)
            try:
                await self._on_thread(self._store.fs.reserve, ballast, BALLAST_BYTES)
            except OSError:
                continue
            if self._commits is not None:
                self._commits.resume()
            self._trouble = None
            _log.info("storage.resumed")
            return

    async def _reserve_ballast(self) -> None:
        try:
            await self._on_thread(self._store.fs.reserve, self._store.layout.ballast, BALLAST_BYTES)
        except OSError as error:
            _log.warning("storage.no_ballast", error=str(error))

    async def _disk(self, work: Callable[..., T], *args: object) -> T:
        try:
            return await self._on_thread(work, *args)
        except OSError as error:
            msg = f"the disk failed: {error.strerror or error}"
            raise StorageError(msg) from error

    async def _on_thread(self, work: Callable[..., T], *args: object) -> T:
        done = asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])  # a thread cannot be cancelled: nobody may take its work for over
            done.exception()  # nobody waits for it any more
            raise


def _moved(stored: SessionHeader, change: Commit) -> bool:
    """Tell whether what is stored is not what the change is based on."""
    if stored.version != change.base_version:
        return True
    return stored.epoch == change.session.header.epoch and stored.seq != change.base_seq


def _rest_s(took_s: float) -> float:
    """How long to rest after so much work."""
    return min(REST * took_s, MAX_REST_S)
