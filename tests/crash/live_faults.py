"""Proof 3, second part: the same through the asynchronous storage, with its queue, its threads and its loop."""

import asyncio
import errno
import os
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from stui_sessiond.errors import StorageError, StorageFullError
from stui_sessiond.model.session import Session
from stui_sessiond.sessions.history import advance
from stui_sessiond.storage import file as file_module
from stui_sessiond.storage.api import Commit
from stui_sessiond.storage.file import FileStorage

from .crash_states import crash_states
from .power_loss import opened
from .simulated_fs import SimulatedFileSystem, chance, no_fault
from .workload import ROOT, RULES, SEGMENT_BYTES, Ledger, fingerprint, new_session

ZERO = ("wrong",)
LAG_LIMIT_MS = 50.0
SLOW_SYNC_S = 2.0
READS_WHILE_BLOCKED = 200
TURNS = 20_000
"""Turns of the loop in which a thread that does not wait would do something."""


class Bench:
    """A file storage over a simulated disk, and what it acknowledged."""

    def __init__(self) -> None:
        self.fs = SimulatedFileSystem()
        self.ledger = Ledger()
        self.failures = 0
        self.storage = FileStorage(
            ROOT, self.fs, on_failure=self._failed, backup_interval_s=None, segment_bytes=SEGMENT_BYTES
        )

    def _failed(self) -> None:
        self.failures += 1

    async def create(self, number: int) -> Session:
        session = new_session(number)
        await self.commit(Commit(session, 100, 0, whole=True))
        return session

    async def update(self, old: Session, mark: str) -> Session:
        now = old.header.last_modified + 1
        changed, entry = advance(old, replace(old, state={**old.state, "mark": mark}), now, None, "updated", RULES)
        await self.commit(Commit(changed, 100, old.header.version, entry))
        return changed

    async def commit(self, change: Commit) -> None:
        self.ledger.submit(change.session.header.session_id, fingerprint(change.session))
        try:
            await self.storage.commit(change)
        except StorageFullError:
            self.ledger.withdraw(1)
            raise
        self.ledger.acknowledge()

    async def crash(self) -> None:
        """End the storage, and look at what a crash at this moment would have left."""
        self.fs.fault = no_fault
        left = [self.fs.contents(), *crash_states(self.fs, chance(1))]
        for contents in left:
            opened(SimulatedFileSystem(contents), self.ledger)
        await self.storage.close()


def fail(kinds: set[str], error: int) -> Callable[[str, Path, int], int]:
    """Make a fault of all calls of some kinds."""

    def fault(kind: str, path: Path, size: int) -> int:
        if kind in kinds:
            raise OSError(error, os.strerror(error), str(path))
        return size

    return fault


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until this is so."""
    while not condition():  # noqa: ASYNC110 -- a thread brings it about
        await asyncio.sleep(0)


async def _must_raise(error: type[Exception], work: Awaitable[object]) -> None:
    try:
        await work
    except error as found:
        if type(found) is not error:
            msg = f"{type(found).__name__} instead of {error.__name__}"
            raise AssertionError(msg) from found
    else:
        msg = f"no {error.__name__}"
        raise AssertionError(msg)


async def failed_sync(counts: Counter[str]) -> None:
    """After a failed sync nothing more is accepted, the owner is told, reading goes on."""
    bench = Bench()
    await bench.storage.open()
    session = await bench.create(1)
    bench.fs.fault = fail({"sync"}, errno.EIO)
    await _must_raise(StorageError, bench.update(session, "lost"))
    bench.fs.fault = no_fault
    assert bench.failures == 1, "the owner was not told"
    del bench.ledger.changes[bench.ledger.acknowledged + 1 :]
    await _must_raise(StorageError, bench.storage.commit(Commit(session, 100, 1)))
    assert await bench.storage.load(session.header.session_id) is not None, "it cannot be read"
    assert bench.storage.status().status == "failed", bench.storage.status()
    await bench.crash()
    counts["syncs failed"] += 1


async def full_disk(counts: Counter[str]) -> None:
    """While the disk is full changes are refused and reading goes on; afterwards it works again by itself."""
    bench = Bench()
    await bench.storage.open()
    session = await bench.create(1)
    for kinds in ({"write", "reserve"}, {"create", "reserve"}, {"write", "reserve", "remove"}):
        bench.fs.fault = fail(kinds, errno.ENOSPC)
        if "create" in kinds:
            for number in range(10, 60):  # until a new segment is needed
                try:
                    await bench.create(number)
                except StorageFullError:
                    break
        else:
            await _must_raise(StorageFullError, bench.update(session, "no room"))
        await _must_raise(StorageFullError, bench.create(98))
        assert bench.storage.status().status == "full", bench.storage.status()
        assert await bench.storage.load(session.header.session_id) is not None, "it cannot be read"
        bench.fs.fault = no_fault
        await until(lambda: bench.storage.status().status == "ok")
        session = await bench.update(session, "room again")
        counts["full disks"] += 1
    assert bench.failures == 0, "a full disk is no reason to end"
    await bench.crash()


async def slow_sync(slow_sync_s: float, counts: Counter[str]) -> None:
    """A sync that blocks stalls neither the loop nor reading."""
    bench = Bench()
    await bench.storage.open()
    session = await bench.create(1)
    other = await bench.create(2)
    await bench.storage.checkpoint()
    blocked, release = threading.Event(), threading.Event()

    def block(kind: str, path: Path, size: int) -> int:  # noqa: ARG001 -- the shape of a fault
        if kind == "sync":
            blocked.set()
            release.wait()
        return size

    bench.fs.fault = block
    commit = asyncio.ensure_future(bench.update(session, "slow"))
    worst, reads, started = 0.0, 0, 0.0
    while reads < READS_WHILE_BLOCKED or time.perf_counter() - started < slow_sync_s:
        before = time.perf_counter()
        await asyncio.sleep(0)
        worst = max(worst, time.perf_counter() - before)
        if blocked.is_set():
            started = started or before
            before = time.perf_counter()
            reading = asyncio.ensure_future(bench.storage.load(other.header.session_id))
            while not reading.done():
                await asyncio.sleep(0)
                worst = max(worst, time.perf_counter() - before)
                before = time.perf_counter()
            reads += 1
    assert not commit.done(), "acknowledged before the sync"
    assert worst * 1000 < LAG_LIMIT_MS, f"the loop stood still for {worst * 1000:.0f} ms"
    release.set()
    await commit
    await bench.crash()
    counts["reads while a sync blocked"] += reads
    counts["worst loop lag, us"] = round(worst * 1_000_000)


async def cancelled_caller(counts: Counter[str]) -> None:
    """A caller that goes away while its change is written does not harm the changes after it."""
    bench = Bench()
    await bench.storage.open()
    session = await bench.create(1)
    blocked, release = threading.Event(), threading.Event()

    def block(kind: str, path: Path, size: int) -> int:  # noqa: ARG001 -- the shape of a fault
        if kind == "sync":
            blocked.set()
            release.wait()
        return size

    bench.fs.fault = block
    commit = asyncio.ensure_future(bench.update(session, "gone"))
    await until(blocked.is_set)
    commit.cancel()
    await asyncio.wait([commit])
    bench.fs.fault = no_fault
    release.set()
    await bench.update(session, "after it")  # of the same version as the one that nobody waited for
    await bench.crash()
    counts["cancelled"] += 1


async def closed_while_writing(counts: Counter[str]) -> None:
    """A session file that is being written when the storage is closed does not come after a newer one."""
    bench = Bench()
    await bench.storage.open()
    session = await bench.create(1)
    blocked, release, renames = threading.Event(), threading.Event(), 0

    def block(kind: str, path: Path, size: int) -> int:  # noqa: ARG001 -- the shape of a fault
        nonlocal renames
        if kind == "rename":
            renames += 1
            if not blocked.is_set():
                blocked.set()
                release.wait()
        return size

    bench.fs.fault = block
    bench.storage._kick.set()
    await until(blocked.is_set)
    await bench.update(session, "newer")
    closing = asyncio.ensure_future(bench.storage.close())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    early = renames
    release.set()
    await closing
    assert early == 1, "two writers at once"
    opened(SimulatedFileSystem(bench.fs.contents()), bench.ledger)
    counts["closed while writing"] += 1


class LiveFaults:
    """Plays the scenes."""

    def __init__(self, slow_sync_s: float) -> None:
        self._scenes: tuple[Callable[[Counter[str]], Coroutine[Any, Any, None]], ...] = (
            failed_sync,
            full_disk,
            partial(slow_sync, slow_sync_s),
            cancelled_caller,
            closed_while_writing,
        )
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def failures(self) -> int:
        return self.counts["wrong"]

    def run(self) -> None:
        interval, file_module.RESUME_INTERVAL_S = file_module.RESUME_INTERVAL_S, 0.01
        try:
            for number, scene in enumerate(self._scenes):
                self.counts["scenes"] += 1
                try:
                    asyncio.run(scene(self.counts))
                except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
                    self.counts["wrong"] += 1
                    self.examples[f"scene {number}"] = f"{type(error).__name__}: {error}"
        finally:
            file_module.RESUME_INTERVAL_S = interval


def prove(slow_sync_s: float = SLOW_SYNC_S) -> LiveFaults:
    """Run it."""
    proof = LiveFaults(slow_sync_s)
    started = time.perf_counter()
    proof.run()
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
