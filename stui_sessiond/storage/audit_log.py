"""How does the log of operations that matter for security get onto the disk? By a thread of its own, a few at a time.

Guarantees: an entry is durable within a second after `record`, unless the disk fails. A disk that fails or is full
holds up nobody: what does not fit into the queue is counted, and an `audit.hole` entry says so as soon as one can be
written. Nothing that was written is changed: each opening begins a new file, with what it found wrong as first entries.
"""

import functools
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.security.audit import (
    GENESIS,
    Actor,
    Entry,
    Event,
    Head,
    Word,
    decode_entry,
    encode_head,
    safe_actor,
    safe_details,
    safe_id,
    seal_line,
)
from stui_sessiond.storage.audit_end import Draft, find_end, first_entry, log_files
from stui_sessiond.storage.audit_fold import Folds
from stui_sessiond.storage.fs import AppendFile, FileSystem
from stui_sessiond.storage.layout import Layout
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

GATHER_S = 0.3
"""How long the thread lets entries gather: half of the promise is left to the disk."""

RETRY_S = 1.0
"""Between attempts on a disk that failed."""

MAX_WAITING = 16384
"""Entries that wait for the disk, some 8 MB: as much as a busy daemon has in a second; further ones are counted, not
kept."""

MAX_BATCH = 2048
"""Entries that are made durable together; when so many wait, there is no point in letting more gather."""

FILE_BYTES = 4 * 1024 * 1024
"""A file this long, or of yesterday, is followed by a new one."""

ANCHOR_EVERY = 1000
"""After so many entries the hash is also told to the daemon's own log, which may be kept elsewhere."""

KEY_BYTES = 32
CLOSE_S = 5.0
"""How long a close waits for the disk."""

DAY_CHARS = len("2026-11-20")


class AuditRules(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept."""

    max_bytes: int = 256 * 1024 * 1024
    max_age_s: float = 400 * 86400.0


class AuditState(NamedTuple):
    """How a log is, since the daemon started."""

    written: int
    """Entries that are durable."""
    waiting: int
    lost: int
    """Entries that the log has no place for; it says so itself."""
    failing: bool
    """Whether its disk did not take the newest entries."""


class FileAudit:
    """The log of one data folder. A `security.audit.AuditLog`."""

    def __init__(
        self, root: Path, fs: FileSystem, clock: Callable[[], float] = time.time, rules: AuditRules | None = None
    ) -> None:
        self._layout = Layout(root)
        self._fs = fs
        self._clock = clock
        self._rules = rules or AuditRules()
        self._changed = threading.Condition()
        self._waiting: deque[Draft] = deque()
        self._folds = Folds()
        self._lost = 0
        self._lost_ever = 0
        self._lost_since = ""
        self._taken = 0
        """How many drafts were ever put into the queue, and how many of them are durable."""
        self._durable = 0
        self._hurry = False
        self._idle = False
        """Whether the thread waits for the first entry of a batch."""
        self._closing = False
        self._thread: threading.Thread | None = None
        # only the thread uses what follows
        self._file: AppendFile | None = None
        self._path = Path()
        self._size = 0
        self._day = ""
        self._key = b""
        self._locked = False
        self._head = Head(seq=0, hash=GENESIS)
        self._anchored = 0
        self._failing = False

    # ---- for everybody

    def open(self) -> None:
        """Begin to write, on a thread."""
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def record(
        self,
        event: Event,
        actor: Actor | None = None,
        *,
        outcome: str = "ok",
        session_id: str | None = None,
        image_id: str | None = None,
        command: str | None = None,
        details: Mapping[str, Word] | None = None,
    ) -> None:
        """Take an entry down. Never blocks, never raises."""
        now = self._clock()
        draft = Draft(
            event,
            format_time(now),
            outcome,
            None if actor is None else safe_actor(actor),
            safe_id(session_id),
            safe_id(image_id),
            safe_id(command),
            safe_details(details or {}),
        )
        with self._changed:
            if not self._folds.takes(draft):
                self._put(draft)
            if self._idle or len(self._waiting) == MAX_BATCH:  # else the thread is at work, or comes by itself
                self._idle = False
                self._changed.notify_all()

    @property
    def state(self) -> AuditState:
        """How it is, as far as can be told without waiting for its thread."""
        return AuditState(self._durable, len(self._waiting), self._lost_ever, self._failing)

    def flush(self, timeout_s: float = CLOSE_S) -> bool:
        """Wait until what was recorded is durable; False when the disk does not let it."""
        with self._changed:
            wanted = self._taken
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._durable >= wanted, timeout_s)

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Write what waits, and say that nothing follows; False when the disk does not let it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._durable >= self._taken

    # ---- the queue, under the lock

    def _put(self, draft: Draft) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._lost_since = self._lost_since if self._lost else draft.at
            self._lost += 1
            self._lost_ever += 1
            return
        self._waiting.append(draft)
        self._taken += 1

    def _unfold(self, *, everything: bool) -> None:
        for draft in self._folds.due(everything=everything):
            self._put(draft)

    def _next_batch(self) -> list[Draft]:
        """Wait for something to write. Empty: it is time to end."""
        while not self._waiting and not self._lost and not self._closing:
            self._idle = True
            self._changed.wait(RETRY_S if self._folds else None)
            self._unfold(everything=False)
        self._idle = False
        self._changed.wait_for(lambda: self._hurry or self._closing or len(self._waiting) >= MAX_BATCH, GATHER_S)
        self._unfold(everything=self._closing)
        batch = list(itertools.islice(self._waiting, MAX_BATCH))
        if self._lost and len(batch) == len(self._waiting):
            details: dict[str, Word] = {"lost": self._lost, "since": self._lost_since}
            batch.append(Draft("audit.hole", format_time(self._clock()), "storage_full", details=details))
        return batch

    # ---- the thread

    def _run(self) -> None:
        last_tries = 3
        while True:
            with self._changed:
                batch = self._next_batch()
                closing = self._closing
            if not batch:
                break
            if self._attempt(functools.partial(self._write, batch)):
                self._settle(batch)
            elif closing and last_tries == 0:
                _log.error("audit.lost", entries=len(batch))
                break
            elif closing:
                last_tries -= 1
                time.sleep(RETRY_S / 10)
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, RETRY_S)
        if self._file is not None:
            self._attempt(self._seal)
        if self._locked:
            self._fs.unlock()

    def _settle(self, batch: Sequence[Draft]) -> None:
        with self._changed:
            count = sum(1 for draft in batch if draft.event != "audit.hole")
            for draft in batch:
                if draft.event == "audit.hole":
                    self._lost -= int(str(draft.details["lost"]))
                    self._lost_since = draft.at
                else:
                    self._waiting.popleft()
            self._durable += count
            if not self._waiting:
                self._hurry = False
            self._changed.notify_all()

    def _attempt(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except OSError as error:
            if not self._failing:
                _log.error("audit.failed", reason=error.strerror or str(error), path=str(error.filename or self._path))
            self._failing = True
            self._let_go()
            return False
        if self._failing:
            _log.info("audit.recovered")
        self._failing = False
        return True

    def _let_go(self) -> None:
        """After a failure nothing about the file can be trusted: cut off what is not durable, and look again later."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.truncate(self._size)
            file.close()
            if not self._size:
                self._fs.remove(self._path)
        except OSError:
            _log.warning("audit.left_unfinished", path=str(self._path))

    def _write(self, batch: Sequence[Draft]) -> None:
        """Append entries and make them durable.

        Raises:
            OSError: they may be on the disk or not.
        """
        file = self._file
        notes: list[Draft] = []
        if file is None:
            notes = self._begin(batch[0].at)
        elif self._size >= FILE_BYTES or batch[0].at[:DAY_CHARS] != self._day:
            self._file = None
            file.close()
            self._new_file(batch[0].at)
        notes += self._too_old()
        begun = not self._size
        self._append([*notes, *batch])
        if begun:
            self._drop_old()

    def _append(self, drafts: Sequence[Draft]) -> None:
        seq, last = self._head.seq, self._head.hash
        lines: list[bytes] = []
        for draft in drafts:
            seq += 1
            entry = Entry(
                seq=seq,
                at=draft.at,
                event=draft.event,
                outcome=draft.outcome,
                actor=draft.actor,
                session_id=draft.session_id,
                image_id=draft.image_id,
                command=draft.command,
                details=draft.details,
                prev=last,
            )
            last, line = seal_line(entry)
            lines += (line, b"\n")
        data = b"".join(lines)
        file = self._file
        if file is None:  # `_begin` made it
            return
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        file.sync()
        self._write_head(replace(self._head, seq=seq, hash=last, clean=False))
        self._size += len(data)  # only now: without its head a batch is cut off, and written again
        if seq - self._anchored >= ANCHOR_EVERY:
            self._anchor()

    def _write_head(self, head: Head) -> None:
        """Write the head. Its rename need not be synced: an older head is true as well."""
        new = self._layout.audit / "head.new"
        self._fs.remove(new)
        self._fs.write_new(new, encode_head(head, self._key))
        self._fs.rename(new, self._layout.audit_head)
        self._head = head

    def _seal(self) -> None:
        self._write_head(replace(self._head, clean=True))
        self._fs.sync_folder(self._layout.audit)
        self._anchor()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _anchor(self) -> None:
        self._anchored = self._head.seq
        _log.info("audit.anchor", seq=self._head.seq, hash=self._head.hash)

    # ---- opening

    def _begin(self, at: str) -> list[Draft]:
        """Find where the chain goes on, and begin a file; tell what has to be said of what was found."""
        if not self._locked:
            self._fs.make_folder(self._layout.root)
            self._fs.make_folder(self._layout.audit)
            if not self._fs.lock(self._layout.audit / "lock"):
                raise BlockingIOError(0, "another process writes the audit log", str(self._layout.audit))
            self._locked = True
        notes = self._open_key(at)
        found = find_end(self._layout, self._fs, self._key, at)
        self._head = Head(
            seq=found.seq, hash=found.hash, first_seq=found.first_seq, first_prev=found.first_prev, clean=False
        )
        self._new_file(at)
        return [*notes, *found.notes]

    def _open_key(self, at: str) -> list[Draft]:
        key = self._fs.read(self._layout.audit_key)
        notes = []
        if key is not None and len(key) != KEY_BYTES:
            self._fs.rename(self._layout.audit_key, self._layout.root / "audit.key.damaged")
            notes = [Draft("audit.damaged", at, "damaged", details={"what": "audit.key"})]
            key = None
        if key is None:
            key = token_bytes(KEY_BYTES)
            self._fs.write_new(self._layout.audit_key, key)
            self._fs.sync_folder(self._layout.root)
        self._key = key
        return notes

    def _new_file(self, at: str) -> None:
        names = log_files(self._layout, self._fs)
        first = f"{self._head.seq + 1:016d}"
        number = max((int(name[17:20]) + 1 for name in names if name.startswith(f"{first}.")), default=0)
        self._path = self._layout.audit / f"{first}.{number:03d}.jsonl"
        self._file = self._fs.append_new(self._path)
        self._size = 0
        self._day = at[:DAY_CHARS]
        self._fs.sync_folder(self._layout.audit)

    # ---- what is old

    def _too_old(self) -> list[Draft]:
        """Choose files to let go of when a file has just begun; an entry says so, and the log begins later."""
        if self._size:
            return []
        files = log_files(self._layout, self._fs)
        sizes = [(self._layout.audit / name).stat().st_size for name in files]
        limit = format_time(self._clock() - self._rules.max_age_s)
        drafts = []
        total = sum(sizes)
        for number, name in enumerate(files[:-1]):  # never the one that has just begun
            newest, after = self._last_of(name), first_entry(self._layout, self._fs, files[number + 1 :])
            old = newest is not None and newest.at < limit
            if total <= self._rules.max_bytes and not old:
                break
            first_seq, first_prev = (self._head.seq + 1, self._head.hash) if after is None else (after.seq, after.prev)
            entries = max(0, first_seq - self._head.first_seq)
            if entries:
                details: dict[str, Word] = {"file": name, "entries": entries, "up_to": first_seq - 1}
                drafts.append(Draft("audit.dropped", format_time(self._clock()), details=details))
            self._head = replace(self._head, first_seq=first_seq, first_prev=first_prev)
            total -= sizes[number]
        return drafts

    def _drop_old(self) -> None:
        """Delete files of which nothing is in the log any more; the head says so by now."""
        try:
            for name, after in itertools.pairwise(log_files(self._layout, self._fs)):
                if int(after[:16]) > self._head.first_seq:
                    break
                self._fs.remove(self._layout.audit / name)
        except OSError as error:  # the entries are durable; the next file tries again
            _log.warning("audit.not_dropped", reason=error.strerror or str(error))

    def _last_of(self, name: str) -> Entry | None:
        lines = (self._fs.read(self._layout.audit / name) or b"").split(b"\n")
        return next((entry for line in reversed(lines) if (entry := decode_entry(line))), None)


def note_tool(root: Path, fs: FileSystem, tool: str, details: Mapping[str, Word], outcome: str = "ok") -> bool:
    """Write down that an operator's tool changed the data folder, such as `store repair` or a change of the key.

    False: the entry is not durable (a daemon has the log, or the disk fails); the tool has done its work all the same.
    """
    log = FileAudit(root, fs)
    log.open()
    actor = Actor(transport="command line", address=f"user {os.getuid()} process {os.getpid()}")
    log.record("tool.ran", actor, outcome=outcome, command=tool, details=details)
    return log.close()
