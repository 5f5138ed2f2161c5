"""The queue before the journal: order, sharing a sync, bounds, and what all who wait hear when the disk fails."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stui_sessiond.errors import StorageBusyError, StorageError, StorageFullError
from stui_sessiond.storage import commit_queue
from stui_sessiond.storage.commit_queue import CommitQueue
from stui_sessiond.storage.journal import RecordType, decode_header, read_chain
from tests.unit.bed.disk import TestDisk
from tests.unit.bed.wait import until
from tests.unit.storage.test_journal import a_writer


class Line:
    """A queue, its disk, and what it told of failures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = TestDisk()
        self.failures: list[StorageError] = []
        self.queue = CommitQueue(a_writer(folder, self.disk), self.failures.append)

    def written(self) -> list[bytes]:
        """The payloads of all changes on the disk."""
        found = []
        for path in sorted((self.folder / "journal").iterdir()):
            data = path.read_bytes()
            records = read_chain(data, decode_header(data))
            found += [record.payload for record in records if record.kind == RecordType.CHANGE]
        return found

    def syncs(self) -> int:
        """How often the disk was synced."""
        return sum(name == "sync" for name, _ in self.disk.calls)


@asynccontextmanager
async def a_line(folder: Path) -> AsyncIterator[Line]:
    """Start a queue, and close it at the end."""
    line = Line(folder)
    try:
        yield line
    finally:
        await line.queue.close()
        line.queue.writer.close()


async def test_record_is_durable_when_its_waiter_is_resolved(tmp_path: Path) -> None:
    """Not before: while the disk is at it the waiter waits."""
    async with a_line(tmp_path) as line:
        assert await line.queue.append(b"first") == 1
        line.disk.gate = threading.Event()
        waiter = line.queue.append(b"second")
        done, _ = await asyncio.wait([waiter], timeout=0.02)
        assert not done
        line.disk.gate.set()
        assert await waiter == 2
        assert line.written() == [b"first", b"second"]


async def test_waiters_are_resolved_in_order(tmp_path: Path) -> None:
    """LSNs count in the order of asking, and so do the answers."""
    order: list[int] = []
    async with a_line(tmp_path) as line:
        waiters = [line.queue.append(b"%d" % number) for number in range(200)]
        for waiter in waiters:
            waiter.add_done_callback(lambda done: order.append(done.result()))
        assert await asyncio.gather(*waiters) == list(range(1, 201))
        assert line.written() == [b"%d" % number for number in range(200)]
    assert order == list(range(1, 201))


async def test_records_that_come_together_share_a_sync(tmp_path: Path) -> None:
    """What gathers while the disk is busy is written at once."""
    async with a_line(tmp_path) as line:
        await line.queue.append(b"first")
        line.disk.gate = threading.Event()
        first = line.queue.append(b"second")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [line.queue.append(b"more") for _ in range(100)]
        line.disk.calls.clear()
        line.disk.gate.set()
        await asyncio.gather(first, *rest)
        assert line.syncs() == 2


async def test_batches_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size a batch is written without more; one record larger than that goes alone."""
    monkeypatch.setattr(commit_queue, "MAX_BATCH_BYTES", 100)
    async with a_line(tmp_path) as line:
        await line.queue.append(b"first")
        line.disk.calls.clear()
        sizes = [40, 40, 40, 300, 10, 10]
        waiters = [line.queue.append(b"x" * size) for size in sizes]
        assert await asyncio.gather(*waiters) == [2, 3, 4, 5, 6, 7]
        assert line.syncs() == 4  # 40 + 40, 40, 300, 10 + 10
        assert [len(payload) for payload in line.written()] == [5, *sizes]


async def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a record is refused at once, the others are written, and then there is room again."""
    monkeypatch.setattr(commit_queue, "MAX_WAITING_BYTES", 100)
    async with a_line(tmp_path) as line:
        line.disk.gate = threading.Event()
        waiters = [line.queue.append(b"x" * 50) for _ in range(2)]
        for _ in range(2):
            with pytest.raises(StorageBusyError):
                line.queue.append(b"x")
            await asyncio.sleep(0)
        line.disk.gate.set()
        assert await asyncio.gather(*waiters) == [1, 2]
        assert await line.queue.append(b"x" * 100) == 3
        assert (line.failures, line.queue.trouble) == ([], None)


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StorageFullError), (errno.EIO, StorageError)])
async def test_failure_is_told_to_all_who_wait(tmp_path: Path, number: int, kind: type[StorageError]) -> None:
    """Those in the batch and those behind it, in order; later ones are refused at once, and nothing was written."""
    async with a_line(tmp_path) as line:
        await line.queue.append(b"first")
        line.disk.fail(number, at=1)
        waiters = [line.queue.append(b"in the batch")]
        await asyncio.sleep(0)
        waiters += [line.queue.append(b"behind it") for _ in range(5)]
        done = await asyncio.gather(*waiters, return_exceptions=True)
        assert {type(outcome) for outcome in done} == {kind}
        with pytest.raises(kind):
            line.queue.append(b"later")
        line.disk.heal()
        with pytest.raises(kind):
            line.queue.append(b"later")
        assert [type(failure) for failure in line.failures] == [kind]
        assert line.written() == [b"first"]


async def test_queue_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """After a full disk the next record has the LSN that was not used."""
    async with a_line(tmp_path) as line:
        await line.queue.append(b"first")
        line.disk.fail(errno.ENOSPC, at=1)
        with pytest.raises(StorageFullError):
            await line.queue.append(b"refused")
        line.disk.heal()
        line.queue.resume()
        assert await line.queue.append(b"second") == 2
        assert line.written() == [b"first", b"second"]


async def test_queue_does_not_go_on_after_a_failure(tmp_path: Path) -> None:
    """Even if somebody asks it to: the journal cannot be trusted."""
    async with a_line(tmp_path) as line:
        line.disk.fail(errno.EIO, at=1)
        with pytest.raises(StorageError):
            await line.queue.append(b"refused")
        line.disk.heal()
        line.queue.resume()
        with pytest.raises(StorageError, match="failed before"):
            await line.queue.append(b"again")


async def test_waiter_that_was_cancelled(tmp_path: Path) -> None:
    """Its record is written all the same, and the others get their own LSN."""
    async with a_line(tmp_path) as line:
        waiters = [line.queue.append(b"%d" % number) for number in range(3)]
        waiters[1].cancel()
        assert await waiters[0] == 1
        assert await waiters[2] == 3
        assert line.written() == [b"0", b"1", b"2"]


async def test_idle_queue_seals_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without work the journal says that all of it is durable."""
    monkeypatch.setattr(commit_queue, "SEAL_AFTER_S", 0.001)
    async with a_line(tmp_path) as line:
        await line.queue.append(b"first")
        await until(lambda: line.queue.writer.next_lsn == 3)
        assert await line.queue.append(b"second") == 3


async def test_closing_writes_what_waits_and_seals(tmp_path: Path) -> None:
    """Nothing that was asked for is forgotten."""
    line = Line(tmp_path)
    waiters = [line.queue.append(b"%d" % number) for number in range(50)]
    await line.queue.close()
    assert await asyncio.gather(*waiters) == list(range(1, 51))
    assert line.queue.writer.next_lsn == 52
    line.queue.writer.close()
    assert len(line.written()) == 50


async def test_slow_sync_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator can see that the disk is slow, and how slow at worst."""
    monkeypatch.setattr(commit_queue, "SLOW_SYNC_S", 0.0)
    with capture_logs() as logs:
        async with a_line(tmp_path) as line:
            await line.queue.append(b"first")
        assert line.queue.slowest_s > 0
    assert {"storage.slow_sync"} <= {entry["event"] for entry in logs}
