"""How do many changes share one sync? A thread writes what has gathered while it wrote what was there before.

Guarantees: a waiter is resolved only after its record is synced; waiters resolve in the order they came; the loop never
waits for the disk; what waits is bounded.
"""

import asyncio
import itertools
import queue
import threading
import time
from collections.abc import Callable

import structlog

from stui_sessiond.errors import StorageBusyError, StorageError, StorageFullError
from stui_sessiond.storage.segments import DiskFailedError, DiskFullError, JournalWriter
from stui_sessiond.storage.tally import JournalState, JournalTally

_log = structlog.get_logger(__name__)

MAX_BATCH_BYTES = 1024 * 1024
"""Above this a batch is written without waiting for more."""

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""What may wait for the disk; a change beyond it is refused, because the disk does not keep up."""

SEAL_AFTER_S = 1.0
"""Idle time after which the journal says that all of it is durable."""

SLOW_SYNC_S = 1.0
"""A batch that takes longer is worth a warning."""

Note = Callable[[int | None], None]
"""Told the LSN of a record that is durable, None of one that is not; before its waiter, also if that one has left."""

_Waiter = tuple[bytes, asyncio.Future[int], Note | None]
_Batch = list[_Waiter]


class CommitQueue:
    """Appends records to the journal from the event loop."""

    def __init__(self, writer: JournalWriter, on_failure: Callable[[StorageError], None]) -> None:
        self.writer = writer
        self.trouble: StorageError | None = None
        self.slowest_s = 0.0
        self.tally = JournalTally()
        self.refused = 0
        """Changes that were not taken because the disk does not keep up."""
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._waiting: _Batch = []
        self._idle = asyncio.Event()
        """Set while nothing waits and nothing is being written."""
        self._idle.set()
        self._waiting_bytes = 0
        self._scheduled = False
        self._busy = False
        self._busy_since = 0.0
        self._work: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, payload: bytes, note: Note | None = None) -> asyncio.Future[int]:
        """Write a record; the future gives its LSN once it is durable. Cancelling the future does not take it back.

        Raises:
            StorageError: no change is taken now: the disk is full, has failed, or does not keep up.
        """
        if self.trouble is not None:
            raise self.trouble
        if self._waiting_bytes + len(payload) > MAX_WAITING_BYTES:
            self.refused += 1
            msg = "too many changes wait for the disk; try again in a moment"
            raise StorageBusyError(msg)
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiting.append((payload, waiter, note))
        self._waiting_bytes += len(payload)
        self._idle.clear()
        if not self._busy and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._hand_over)
        return waiter

    @property
    def state(self) -> JournalState:
        """How it does."""
        segments = len(self.writer.segments)
        return JournalState(self.tally, len(self._waiting), self._waiting_bytes, self.refused, segments)

    def resume(self) -> None:
        """Take changes again after the disk was full."""
        self.trouble = None

    def stalled_s(self) -> float:
        """Tell for how long the disk has been busy with one batch, in seconds."""
        return time.monotonic() - self._busy_since if self._busy else 0.0

    async def close(self) -> None:
        """Write what waits, seal the journal, end the thread."""
        await self._idle.wait()  # not for the waiters: those may have been cancelled while their records are written
        self._work.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    # ---- on the loop

    def _hand_over(self) -> None:
        self._scheduled = False
        if self._busy or not self._waiting:
            return
        count = len(self._waiting)
        if self._waiting_bytes > MAX_BATCH_BYTES:
            sizes = itertools.accumulate(len(payload) for payload, _, _ in self._waiting)
            count = max(1, sum(1 for size in sizes if size <= MAX_BATCH_BYTES))
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._busy = True
        self._busy_since = time.monotonic()
        self._work.put(batch)

    def _written(self, batch: _Batch, first_lsn: int) -> None:
        self._settle(batch)
        for number, (_, waiter, note) in enumerate(batch):
            if note is not None:
                note(first_lsn + number)
            if not waiter.done():
                waiter.set_result(first_lsn + number)

    def _refused(self, batch: _Batch, error: StorageError) -> None:
        self.trouble = error
        self._settle(batch)
        for _, waiter, note in (*batch, *self._waiting):
            if note is not None:
                note(None)
            if not waiter.done():
                waiter.set_exception(error)
        self._waiting_bytes = 0
        self._waiting.clear()
        self._idle.set()
        self._on_failure(error)

    def _settle(self, batch: _Batch) -> None:
        self._waiting_bytes -= sum(len(payload) for payload, _, _ in batch)
        self._busy = False
        if self.trouble is None:
            self._hand_over()
        if not self._busy and not self._waiting:
            self._idle.set()

    # ---- on the thread

    def _run(self) -> None:
        while True:
            try:
                batch = self._work.get(timeout=SEAL_AFTER_S)
            except queue.Empty:
                batch = []
            if batch is None:
                self._attempt([])
                return
            self._attempt(batch)

    def _attempt(self, batch: _Batch) -> None:
        started = time.monotonic()
        try:
            if batch:
                first = self.writer.append([payload for payload, _, _ in batch])
                self._loop.call_soon_threadsafe(self._written, batch, first)
            else:
                self.writer.seal()
        except DiskFullError as error:
            full = StorageFullError(f"{error}; the change was not stored")
            self._loop.call_soon_threadsafe(self._refused, batch, full)
        except DiskFailedError as error:
            failed = StorageError(f"{error}; the change was not stored")
            self._loop.call_soon_threadsafe(self._refused, batch, failed)
        took = time.monotonic() - started
        if batch:
            self._count(batch, took)
        self.slowest_s = max(self.slowest_s, took)
        if took > SLOW_SYNC_S:
            _log.warning("storage.slow_sync", seconds=round(took, 3), records=len(batch))

    def _count(self, batch: _Batch, took_s: float) -> None:
        tally = self.tally
        tally.syncs.note(took_s)
        tally.batches.note(len(batch))
        tally.written_bytes += sum(len(payload) for payload, _, _ in batch)
