"""Backups: which are kept, what they are linked to, and whether damage is found."""

import asyncio
import threading
from pathlib import Path

import pytest

from stui_sessiond.errors import StorageError, UnsupportedOperationError
from stui_sessiond.storage.api import BackupInfo, Commit
from stui_sessiond.storage.backups import AUTOMATIC, FAILED_MANIFEST, MANIFEST, Backups, due_for_removal
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.storage.session_file import decode_session
from stui_sessiond.storage.store import Store
from tests.unit.bed.changes import put_versions, step
from tests.unit.bed.stores import (
    NOW,
    FailingDisk,
    change,
    content,
    file_of,
    flip,
    let_go,
    new_session,
    opened,
    put,
)

HOUR, DAY = 3600.0, 86400.0


def info(name: str, made_at: float, reason: str = AUTOMATIC, *problems: str) -> BackupInfo:
    """A backup in a list."""
    return BackupInfo(name, made_at, reason, 1, problems)


def kept(backups: list[BackupInfo], *keep: str) -> list[str]:
    """The names that stay."""
    gone = due_for_removal(backups, keep)
    return [each.name for each in backups if each.name not in gone]


def two_sessions(root: Path) -> Store:
    """An open store with the files of two sessions."""
    store = opened(root)
    put(store, new_session(1, a=1))
    put(store, new_session(2, "bob", b=1))
    store.checkpoint_all()
    return store


# ---- rotation


def test_rotation_of_two_months_keeps_24_hours_7_days_and_4_weeks() -> None:
    """Of hourly backups over two months those of the last 24 hours stay, one of each of 7 days, and of 4 weeks."""
    start = 20_000 * DAY
    backups = [info(f"h{number}", start + number * HOUR) for number in range(60 * 24)]
    names = kept(backups, backups[-1].name)
    left = [each for each in backups if each.name in names]
    newest = backups[-1].made_at
    assert [each.made_at for each in left[-24:]] == [newest - hours * HOUR for hours in range(23, -1, -1)]
    assert len({int(each.made_at // DAY) for each in left[-24:]} | {int(each.made_at // DAY) for each in left}) >= 7
    days = sorted({int(each.made_at // DAY) for each in left}, reverse=True)
    assert days[:7] == [int(newest // DAY) - number for number in range(7)]
    assert len({int(each.made_at // (7 * DAY)) for each in left}) == 4
    assert len(left) <= 24 + 7 + 4


def test_rotation_done_every_hour_comes_to_the_same_bound() -> None:
    """Carried out each hour over two months, there are never more than 24 + 7 + 4, and two weeks are reached back."""
    backups: list[BackupInfo] = []
    start = 20_000 * DAY
    for number in range(60 * 24):
        backups.append(info(f"h{number}", start + number * HOUR))
        gone = due_for_removal(backups, {backups[-1].name})
        backups = [each for each in backups if each.name not in gone]
        assert len(backups) <= 24 + 7 + 4
    assert backups[-1].made_at - backups[0].made_at >= 14 * DAY


def test_rotation_never_removes_what_a_person_asked_for() -> None:
    """A backup with another reason stays, however old it is."""
    backups = [info("mine", 0.0, "manual"), *(info(f"h{n}", 400 * DAY + n * HOUR) for n in range(200))]
    assert "mine" in kept(backups, "h199")


def test_rotation_never_removes_the_newest_sound_one_when_newer_ones_are_damaged() -> None:
    """Damaged backups never stand for their hour: the newest sound one stays even if nothing else asks for it."""
    sound = info("sound", 10.0)
    damaged = [info(f"d{n}", 500 * DAY + n * HOUR, AUTOMATIC, "x is damaged") for n in range(100)]
    assert "sound" in kept([sound, *damaged])


def test_rotation_never_removes_the_one_just_verified() -> None:
    """The name that the caller has verified stays."""
    assert kept([info("a", 1.0), info("b", 2.0), info("c", 3.0)], "a") == ["a", "c"]


def test_create_that_does_not_verify_removes_nothing(tmp_path: Path) -> None:
    """A copy that is damaged as it is written ends with an error; it is no backup, and no older one goes."""

    class LyingDisk(FailingDisk):
        lying = False

        def write_new(self, path: Path, data: bytes) -> None:
            super().write_new(path, data[:-30] + b"\0" + data[-29:] if self.lying and "backups" in path.parts else data)

    let_go(two_sessions(tmp_path / "data"))
    disk = LyingDisk()
    store = Store(tmp_path / "data", disk)
    store.open()
    backups = Backups(store)
    old = [backups.create(NOW + hours * HOUR, AUTOMATIC).name for hours in range(3)]
    change(store, content(tmp_path / "data")[new_session(1).header.session_id], a=2)
    store.checkpoint_all()
    disk.lying = True
    with pytest.raises(StorageError, match=r"verif|there is no complete"):
        backups.create(NOW + 500 * DAY, AUTOMATIC)
    let_go(store)
    assert [each.name for each in backups.list()] == old
    assert all(not backups.verify(name).problems for name in old)
    left = {path.name for path in (tmp_path / "data/backups").rglob("manifest*") if path.parent.name not in old}
    assert left <= {FAILED_MANIFEST, MANIFEST}


def test_create_keeps_the_newest_backup_of_a_session_that_cannot_be_read(tmp_path: Path) -> None:
    """While no file of a session is readable, the newest backup that has it stays though its time is over."""
    root = tmp_path / "data"
    store = two_sessions(root)
    backups = Backups(store)
    first = backups.create(NOW, AUTOMATIC)
    flip(file_of(root, new_session(1)))
    for days in range(1, 40):
        made = backups.create(NOW + days * DAY, AUTOMATIC)
        assert len(made.missing) == 1
        assert made.sessions == 1
    names = [each.name for each in backups.list()]
    let_go(store)
    assert first.name in names
    assert len(names) <= 24 + 1 + 1


def test_create_with_a_damaged_session_takes_the_file_before_and_says_so(tmp_path: Path) -> None:
    """One damaged file does not end all backups: the one before it is copied, and `missing` tells."""
    root = tmp_path / "data"
    store = two_sessions(root)
    session = change(store, content(root)[new_session(1).header.session_id], a=2)
    store.checkpoint_all()
    flip(file_of(root, session))
    made = Backups(store).create(NOW, "manual")
    data = Backups(store).session_data(made.name, session.header.session_id)
    let_go(store)
    assert decode_session(data, store.store_id).session.header.version == 1
    assert [text.partition(":")[0] for text in made.missing] == [session.header.session_id]
    assert made.sessions == 2


# ---- what is in a backup


def test_unchanged_files_are_linked_to_the_backup_before_and_never_to_live_files(tmp_path: Path) -> None:
    """What has not changed is one file under two names in two backups; live files have one name each."""
    root = tmp_path / "data"
    store = two_sessions(root)
    backups = Backups(store)
    one = backups.create(NOW, "manual")
    changed = change(store, content(root)[new_session(1).header.session_id], a=2)
    store.checkpoint_all()
    two = backups.create(NOW + 1, "manual")
    let_go(store)
    links = {path.stem: path.stat().st_nlink for path in (root / "backups" / two.name / "sessions").rglob("*.json")}
    assert links == {changed.header.session_id: 1, new_session(2).header.session_id: 2}
    assert {path.stat().st_nlink for path in (root / "sessions").rglob("*.json")} == {1}
    assert (root / "backups" / one.name / MANIFEST).stat().st_nlink == 1


def test_damaged_copy_is_not_linked_again(tmp_path: Path) -> None:
    """What the disk did to the backup before is not passed on: the next one has a sound copy of its own."""
    root = tmp_path / "data"
    store = two_sessions(root)
    backups = Backups(store)
    one = backups.create(NOW, "manual")
    flip(next((root / "backups" / one.name / "sessions").rglob("*.json")))
    two = backups.create(NOW + 1, "manual")
    let_go(store)
    assert len(backups.verify(one.name).problems) == 1
    assert backups.verify(two.name).problems == ()


def test_manifest_is_written_last(tmp_path: Path) -> None:
    """Interrupted at any call, a backup either is in the list and sound, or is not in the list."""
    root = tmp_path / "data"
    let_go(two_sessions(root))
    calls = 0
    for at in range(1, 200):
        disk = FailingDisk()
        store = Store(root, disk)
        store.open()
        disk.at, disk.dead = disk.calls + at, True
        backups = Backups(store)
        try:
            backups.create(NOW + at * HOUR, AUTOMATIC)
        except OSError:
            calls = at
        else:
            disk.at = 0
            store.writer.close()
            disk.unlock()
            break
        disk.at = 0
        assert all(not backups.verify(each.name).problems for each in backups.list())
        store.writer.close()
        disk.unlock()
    assert calls > 20
    assert len(content(root)) == 2


@pytest.mark.parametrize("what", ["session", "store.json", "manifest", "gone"])
def test_verify_finds_what_is_damaged(tmp_path: Path, what: str) -> None:
    """A flipped byte in any file of a backup is told; with a damaged manifest it is none."""
    root = tmp_path / "data"
    store = two_sessions(root)
    backups = Backups(store)
    name = backups.create(NOW, "manual").name
    let_go(store)
    folder = root / "backups" / name
    session = next((folder / "sessions").rglob("*.json"))
    if what == "manifest":
        flip(folder / MANIFEST, 10)
        assert backups.list() == []
        with pytest.raises(StorageError, match="no complete backup"):
            backups.verify(name)
        return
    if what == "gone":
        session.unlink()
    else:
        flip(session if what == "session" else folder / "store.json", 30)
    found = backups.verify(name)
    assert len(found.problems) == 1
    assert ("missing" if what == "gone" else "damaged") in found.problems[0]


@pytest.mark.parametrize("reason", ["", "a b", "../x", "A", "x" * 41, "a\n", "a/b"])
def test_create_refuses_a_reason_that_is_no_name(tmp_path: Path, reason: str) -> None:
    """A reason becomes part of the name of a folder, so only a few characters may be in it."""
    store = two_sessions(tmp_path / "data")
    with pytest.raises(StorageError, match="reason"):
        Backups(store).create(NOW, reason)
    let_go(store)
    assert list((tmp_path / "data/backups").iterdir()) == []


def test_create_twice_in_a_second_makes_two(tmp_path: Path) -> None:
    """Names do not collide."""
    store = two_sessions(tmp_path / "data")
    backups = Backups(store)
    names = {backups.create(NOW, "manual").name for _ in range(3)}
    let_go(store)
    assert len(names) == 3


@pytest.mark.parametrize("name", ["nothing", "..", "../data", ""])
def test_verify_of_a_name_that_is_none_says_so(tmp_path: Path, name: str) -> None:
    """Only what lies in the folder of backups is one."""
    store = two_sessions(tmp_path / "data")
    with pytest.raises(StorageError, match="backup list"):
        Backups(store).verify(name)
    let_go(store)


async def test_storage_in_memory_has_no_backups() -> None:
    """What has no copies says so."""
    with pytest.raises(UnsupportedOperationError):
        await MemoryStorage().back_up("manual")


async def test_file_storage_backs_up_what_is_only_in_the_journal(tmp_path: Path) -> None:
    """A backup that is asked for right after a change has the change."""
    storage = FileStorage(tmp_path / "data", backup_interval_s=None, clock=lambda: NOW)
    await storage.open()
    session = new_session(1, a=1)
    await storage.commit(Commit(session, 100, 0, whole=True))
    made = await storage.back_up("manual")
    await storage.close()
    store = opened(tmp_path / "data")
    data = Backups(store).session_data(made.name, session.header.session_id)
    store.close()
    assert decode_session(data, store.store_id).session == session


async def test_backup_while_sessions_change_and_go(tmp_path: Path) -> None:
    """What was acknowledged before is in it and it is sound; to delete a session does not wait for it."""
    storage = FileStorage(tmp_path / "data", backup_interval_s=None)
    await storage.open()
    versions = {number: (await put_versions(storage, 2, number))[-1] for number in range(1, 9)}
    gone = versions[8].header.session_id
    copying, go_on = threading.Event(), threading.Event()
    read = storage._store.fs.read

    def slow_read(path: Path) -> bytes | None:
        if not copying.is_set() and path.parent.parent.name == "sessions":
            copying.set()
            go_on.wait()
        return read(path)

    storage._store.fs.read = slow_read  # type: ignore[method-assign]
    backing_up = asyncio.ensure_future(storage.back_up("manual"))
    await asyncio.to_thread(copying.wait)
    for _ in range(3):
        for number in range(1, 8):
            later = step(versions[number], count=number)
            await storage.commit(later)
            versions[number] = later.session
        await storage.checkpoint()
    await storage.remove(gone)
    assert not backing_up.done()
    go_on.set()
    made = await backing_up
    assert (made.problems, made.missing) == ((), ())
    files = storage._backups.manifest(made.name).files
    assert sum(path.startswith("sessions/") for path in files) in {7, 8}
    for number in range(1, 8):
        session_id = versions[number].header.session_id
        data = storage._backups.session_data(made.name, session_id)
        assert decode_session(data, storage._store.store_id).session.header.version >= 2
    await storage.close()
    assert storage._backups.verify(made.name).problems == ()
