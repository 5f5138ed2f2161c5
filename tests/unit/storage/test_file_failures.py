"""The file storage on a disk that fails: what is refused, what is still there, and how it goes on."""

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from stui_sessiond.errors import StorageBusyError, StorageError, StorageFullError
from stui_sessiond.storage import commit_queue
from stui_sessiond.storage import file as file_module
from stui_sessiond.storage.api import Loaded
from stui_sessiond.storage.file import FileStorage
from tests.unit.bed.changes import a_new_session, put_versions, step, whole
from tests.unit.bed.disk import TestDisk
from tests.unit.bed.wait import until
from tests.unit.storage.test_file_layout import SESSION_ID, at, kept_aside, look, stored

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
OUTSIDE = frozenset({"reserve", "remove"})
"""Calls of the ballast, which come at times of their own."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No seal in the midst of a count of calls, and no long wait for room."""
    monkeypatch.setattr(commit_queue, "SEAL_AFTER_S", 60.0)
    monkeypatch.setattr(file_module, "RESUME_INTERVAL_S", 0.001)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(
    ("fresh", "call"), [(True, 1), (True, 2), (True, 3), (True, 4), (True, 5), (True, 6), (False, 1), (False, 2)]
)
async def test_disk_that_fails_in_a_commit(tmp_path: Path, number: int, fresh: bool, call: int) -> None:
    """Whichever call fails, the error says so, what was there is there, and a restart finds it.

    The first commit after a start begins a segment; others only write and sync.
    """
    folder, disk, stopped = tmp_path / "data", TestDisk(), asyncio.Event()
    old = (await stored(folder, 2))[-1]
    storage = FileStorage(folder, disk, backup_interval_s=None, on_failure=stopped.set)
    await storage.open()
    if not fresh:
        change = step(old, number=0)
        await storage.commit(change)
        old = change.session
    disk.fail(number, at=call, spare=OUTSIDE)
    new = step(old, number=1)
    with pytest.raises(StorageError) as caught:
        await storage.commit(new)
    calls = ["append_new", "write", "sync", "sync_folder", "write", "sync"]
    assert disk.failed == [calls[call - 1] if fresh else calls[call]]
    full = number in NO_ROOM and disk.failed != ["sync"]
    assert type(caught.value) is (StorageFullError if full else StorageError)
    assert "was not stored" in caught.value.message
    assert await storage.load(SESSION_ID) == Loaded(old)
    disk.heal()
    if full:
        assert not stopped.is_set()
        await until(lambda: storage.status().status == "ok")
        await storage.commit(new)
    else:
        await stopped.wait()
        assert storage.status().status == "failed"
        for _ in range(2):
            with pytest.raises(StorageError):
                await storage.commit(new)
    await storage.close()
    opened, loaded = await look(folder)
    assert opened.damaged == frozenset()
    assert loaded is not None
    assert loaded.integrity == "ok"
    may_be_there = disk.failed == ["sync"] and call == (6 if fresh else 2)  # written, and nobody knows how far
    assert loaded.session in ([old, new.session] if may_be_there else [new.session if full else old])


async def test_disk_that_is_full(tmp_path: Path) -> None:
    """Every change is refused, every session can be read; the ballast goes, and comes back with the room."""
    folder, disk = tmp_path / "data", TestDisk()
    storage = at(folder, disk)
    await storage.open()
    versions = await put_versions(storage, 2)
    ballast = folder / "ballast"
    assert ballast.exists()
    disk.fail(errno.ENOSPC, spare=frozenset({"remove", "read", "truncate", "sync"}))
    with pytest.raises(StorageFullError):
        await storage.commit(step(versions[-1]))
    await until(lambda: not ballast.exists())
    assert storage.status().status == "full"
    assert storage.status().detail is not None
    for change in (step(versions[-1]), whole(a_new_session(2))):
        with pytest.raises(StorageFullError):
            await storage.commit(change)
    with pytest.raises(StorageFullError):
        await storage.remove(SESSION_ID)
    assert await storage.load(SESSION_ID) == Loaded(versions[-1])
    disk.heal()
    await until(lambda: storage.status().status == "ok")
    assert ballast.exists()
    assert storage.status().detail is None
    change = step(versions[-1], after=True)
    await storage.commit(change)
    await storage.close()
    assert (await look(folder))[1] == Loaded(change.session)


async def test_disk_that_is_full_until_the_end(tmp_path: Path) -> None:
    """Closing gives up what cannot be written; the journal has it."""
    folder, disk = tmp_path / "data", TestDisk()
    storage = at(folder, disk)
    await storage.open()
    versions = await put_versions(storage, 3)
    disk.fail(errno.ENOSPC)
    await storage.close()
    assert (await look(folder))[1] == Loaded(versions[-1])


async def test_disk_that_fails_while_many_wait(tmp_path: Path) -> None:
    """All that waited are refused, and none of them is there afterwards."""
    folder, disk = tmp_path / "data", TestDisk()
    stopped: list[bool] = []
    storage = FileStorage(folder, disk, backup_interval_s=None, on_failure=lambda: stopped.append(True))
    await storage.open()
    versions = await put_versions(storage, 1)
    disk.fail(errno.EIO, spare=frozenset({"truncate"}))
    asked = [storage.commit(whole(a_new_session(number))) for number in range(2, 30)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(outcome) for outcome in done} == {StorageError}
    assert stopped == [True]
    disk.heal()
    await storage.close()
    opened, loaded = await look(folder)
    assert [stored.header for stored in opened.sessions] == [versions[0].header]
    assert loaded == Loaded(versions[0])


async def test_disk_that_does_not_keep_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded; beyond it changes are refused at once, until the disk goes on."""
    monkeypatch.setattr(commit_queue, "MAX_WAITING_BYTES", 10_000)
    folder, disk = tmp_path / "data", TestDisk()
    storage = at(folder, disk)
    await storage.open()
    disk.gate = threading.Event()
    asked = [
        asyncio.ensure_future(storage.commit(whole(a_new_session(number, text="x" * 1000)))) for number in range(9)
    ]
    await until(lambda: any(one.done() for one in asked))
    refused = [one for one in asked if one.done()]
    assert 0 < len(refused) < 9
    assert storage._commits is not None
    assert storage._commits._waiting_bytes <= 10_000
    for one in refused:
        with pytest.raises(StorageBusyError):
            await one
    assert storage.status().status == "ok"
    disk.gate.set()
    await asyncio.gather(*(one for one in asked if one not in refused))
    await storage.commit(whole(a_new_session(50)))
    await storage.close()
    assert len((await look(folder))[0].sessions) == 9 - len(refused) + 1


async def test_disk_that_fails_in_a_load(tmp_path: Path) -> None:
    """A read error is no damage: nothing is put aside, and the next read may work."""
    folder, disk = tmp_path / "data", TestDisk()
    versions = await stored(folder)
    storage = at(folder, disk)
    await storage.open()
    disk.fail(errno.EIO)
    with pytest.raises(StorageError) as caught:
        await storage.load(SESSION_ID)
    assert type(caught.value) is StorageError
    disk.heal()
    assert await storage.load(SESSION_ID) == Loaded(versions[-1])
    assert (storage.status().quarantined, storage.status().status) == (0, "ok")
    await storage.close()


@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_disk_that_fails_in_a_checkpoint(tmp_path: Path, call: int, number: int) -> None:
    """Whichever call fails, the session is there, also after a restart at this moment, and the next one works."""
    folder, disk = tmp_path / "data", TestDisk()
    old = (await stored(folder, 3))[-1]
    storage = at(folder, disk)
    await storage.open()
    change = step(old, new=True)
    await storage.commit(change)
    disk.fail(number, at=call)
    await storage.checkpoint()
    assert len(disk.failed) == 1
    assert await storage.load(SESSION_ID) == Loaded(change.session)
    disk.heal()
    await storage.checkpoint()
    assert await storage.load(SESSION_ID) == Loaded(change.session)
    storage._store.writer.close()
    storage._store.fs.unlock()  # as kill -9 does
    assert (await look(folder))[1] == Loaded(change.session)
    await storage.close()


@pytest.mark.parametrize("call", range(1, 12))
async def test_disk_that_fails_while_the_journal_is_trimmed(tmp_path: Path, call: int) -> None:
    """Nothing is lost, and it works another time."""
    folder, disk = tmp_path / "data", TestDisk()
    storage = at(folder, disk, segment_bytes=1000)
    await storage.open()
    versions = await put_versions(storage, 20)
    disk.fail(errno.EIO, at=call)
    await storage.checkpoint()
    disk.heal()
    assert await storage.load(SESSION_ID) == Loaded(versions[-1])
    await storage.checkpoint()
    assert len(list((folder / "journal").iterdir())) <= 3
    await storage.close()
    assert (await look(folder))[1] == Loaded(versions[-1])


async def test_disk_that_fails_in_a_removal(tmp_path: Path) -> None:
    """It is reported, and after a restart the session is there whole, or gone."""
    for call in range(1, 8):
        folder, disk = tmp_path / f"data-{call}", TestDisk()
        versions = await stored(folder)
        storage = at(folder, disk)
        await storage.open()
        await storage.commit(whole(a_new_session(2)))
        disk.fail(errno.EIO, at=call)
        try:
            await storage.remove(SESSION_ID)
        except (StorageError, OSError):
            assert disk.failed
        disk.heal()
        await storage.close()
        opened, loaded = await look(folder)
        assert opened.damaged == frozenset()
        assert loaded in (None, Loaded(versions[-1]))
        assert kept_aside(folder) == []


async def test_disk_that_fails_in_a_removal_says_so_in_our_words(tmp_path: Path) -> None:
    """Whichever call fails, the error is one that a client can be told."""
    for call in range(1, 8):
        folder, disk = tmp_path / f"data-{call}", TestDisk()
        await stored(folder)
        storage = at(folder, disk)
        await storage.open()
        disk.fail(errno.EIO, at=call)
        try:
            await storage.remove(SESSION_ID)
        except StorageError:
            assert disk.failed
        finally:
            disk.heal()
            await storage.close()


async def test_removal_that_is_asked_for_again(tmp_path: Path) -> None:
    """When the files could not be deleted, the next try deletes them: success means that nothing is left."""
    folder, disk = tmp_path / "data", TestDisk()
    await stored(folder)
    storage = at(folder, disk)
    await storage.open()
    await storage.commit(whole(a_new_session(2)))
    disk.fail(errno.EIO, at=4)
    with pytest.raises(StorageError):
        await storage.remove(SESSION_ID)
    assert disk.failed == ["remove"]
    disk.heal()
    await storage.remove(SESSION_ID)
    await storage.close()
    await look(folder)
    assert [path.name for path in folder.glob(f"sessions/*/{SESSION_ID}*")] == []


async def test_disk_that_is_full_at_the_end(tmp_path: Path) -> None:
    """The ballast is given up, and with that room all session files are written."""
    folder, disk = tmp_path / "data", TestDisk()
    storage = at(folder, disk)
    await storage.open()
    versions = await put_versions(storage, 2)
    disk.fail(errno.ENOSPC, at=1, spare=OUTSIDE | {"write", "sync"})  # not the seal of the journal
    await storage.close()
    assert disk.failed == ["make_folder"]
    left = await asyncio.to_thread(lambda: [path.name for path in folder.rglob("*")])
    assert "ballast" not in left
    assert f"{SESSION_ID}.json" in left
    assert (await look(folder))[1] == Loaded(versions[-1])


async def test_disk_that_gets_full_while_the_storage_is_closed(tmp_path: Path) -> None:
    """Those who waited are told; nothing crashes in the loop."""
    crashes: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: crashes.append(context))
    disk = TestDisk()
    storage = at(tmp_path / "data", disk)
    await storage.open()
    versions = await put_versions(storage, 2)
    disk.fail(errno.ENOSPC, spare=frozenset({"truncate", "sync"}))
    waiting = asyncio.ensure_future(storage.commit(step(versions[-1])))
    await asyncio.sleep(0)
    await storage.close()
    with pytest.raises(StorageFullError):
        await waiting
    loop.set_exception_handler(before)
    assert crashes == []


async def test_disk_that_fails_in_archiving(tmp_path: Path) -> None:
    """The session is where it was, and the next try puts it into its month."""
    for call in range(1, 7):
        folder, disk = tmp_path / f"data-{call}", TestDisk()
        versions = await stored(folder)
        storage = at(folder, disk)
        await storage.open()
        assert await storage.load(SESSION_ID) == Loaded(versions[-1])
        disk.fail(errno.ENOSPC, at=call)
        with pytest.raises(StorageError):
            await storage.archive(SESSION_ID, 1.7e9)
        disk.heal()
        assert await storage.load(SESSION_ID) == Loaded(versions[-1])
        await storage.archive(SESSION_ID, 1.7e9)
        await storage.close()
        assert (folder / "archive" / "2023-11" / f"{SESSION_ID}.json").exists()
        assert (await look(folder))[1] is None


@pytest.mark.parametrize("crashed", [False, True])
async def test_disk_that_fails_at_the_start(tmp_path: Path, crashed: bool) -> None:
    """Whichever call fails, the start is refused with the system's words, and another one finds everything."""
    call, folder, told = 0, tmp_path / "data", []
    versions = await stored(folder)
    while True:
        call += 1
        if crashed:
            storage = at(folder)
            await storage.open()
            change = step(versions[-1], call=call)
            await storage.commit(change)
            versions.append(change.session)
            storage._store.writer.close()
            storage._store.pending.clear()
            storage._store.fs.unlock()
            storage._store.writer._sealed = True
        disk = TestDisk()
        disk.fail(errno.EIO, at=call, spare=frozenset({"reserve"}))
        again = at(folder, disk)
        try:
            await again.open()
        except StorageError as error:
            told.append(error.message)
        await again.close()
        if not disk.failed:
            break
        assert (await look(folder))[1] == Loaded(versions[-1]), disk.calls
    assert len(told) > 10  # the last calls are those of the close
    assert all("Input/output error" in message for message in told)


async def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_bytes(b"")
    storage = at(tmp_path / "file" / "below" / "data")
    with pytest.raises(StorageError, match=r"the data folder .*below/data cannot be used"):
        await storage.open()
    await storage.close()
