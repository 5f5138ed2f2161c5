"""The file storage's own layout: what is written in which order, what damage does, what a failing disk leaves."""

import errno
from pathlib import Path

import pytest

from stui_sessiond.errors import SessionDamagedError, StorageError, StorageFullError
from stui_sessiond.model.session import Session
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.records import UnreadableError, decode_session, encode_session
from tests.unit.bed.disk import TestDisk
from tests.unit.bed.house import a_session

SESSION_ID = a_session().header.session_id
OLD, NEW = a_session(version=1, a="old"), a_session(version=2, a="new")


async def stored(folder: Path, *sessions: Session, disk: TestDisk | None = None) -> FileStorage:
    """Open a storage and save these sessions one after the other."""
    storage = FileStorage(folder, disk)
    await storage.open()
    for session in sessions:
        await storage.save(session)
    return storage


def current(folder: Path) -> Path:
    """Find the newest file of the example session."""
    return next(folder.glob(f"sessions/*/{SESSION_ID}.json"))


def previous(folder: Path) -> Path:
    """Find the file before that."""
    return current(folder).with_suffix(".prev.json")


def kept_aside(folder: Path) -> list[str]:
    """List the quarantine, without the random part of the names."""
    return sorted(path.name.partition("-")[2] for path in (folder / "quarantine").iterdir())


# ---- order and modes


async def test_save_replaces_in_the_safe_order(tmp_path: Path) -> None:
    """New file synced, present one to `.prev`, new one into place, names synced: a sound file at every moment."""
    disk = TestDisk()
    storage = await stored(tmp_path / "data", OLD, disk=disk)
    disk.calls.clear()
    await storage.save(NEW)
    await storage.close()
    client = current(tmp_path / "data").parent.name
    assert disk.calls == [
        ("write_new", f"{SESSION_ID}.1.new"),
        ("rename", f"{SESSION_ID}.prev.json"),
        ("rename", f"{SESSION_ID}.json"),
        ("sync_folder", client),
    ]


async def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Folders 0700, files 0600."""
    await (await stored(tmp_path / "data", OLD, NEW)).close()
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


async def test_file_is_for_people_too(tmp_path: Path) -> None:
    """It is JSON that a person can read."""
    await (await stored(tmp_path / "data", NEW)).close()
    text = current(tmp_path / "data").read_text()
    assert text.startswith('{"format":"stui-session","format_version":1,"store_id":"')
    assert '\n "state": {\n  "a": "new"\n }' in text


# ---- damage


def test_every_byte_counts() -> None:
    """A session file with any one byte changed is never taken for a sound one that says something else."""
    session = a_session(a=1)
    data = encode_session(session, "store")
    for place in range(len(data) - 1):  # the last byte ends the line
        for flipped in (data[place] ^ 0x01, data[place] ^ 0x80, 0x20, 0x00):
            if flipped == data[place]:
                continue
            broken = data[:place] + bytes([flipped]) + data[place + 1 :]
            with pytest.raises(UnreadableError):
                decode_session(broken, "store")


def test_every_cut_counts() -> None:
    """A session file cut anywhere is not taken for a sound one; only the line's end may be missing."""
    data = encode_session(a_session(a=1), "store")
    for length in range(len(data) - 1):
        with pytest.raises(UnreadableError):
            decode_session(data[:length], "store")
    assert decode_session(data[:-1], "store") == a_session(a=1)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"format":"stui-session","format_version":2}']
)
def test_what_is_no_session_file(data: bytes) -> None:
    """Anything else is told apart without a crash."""
    with pytest.raises(UnreadableError):
        decode_session(data, "store")


@pytest.mark.parametrize("restart", [False, True])
async def test_newest_file_that_is_damaged(tmp_path: Path, restart: bool) -> None:
    """The one before it is handed over with the reason; the damaged one is kept aside."""
    folder = tmp_path / "data"
    storage = await stored(folder, OLD, NEW)
    if restart:
        await storage.close()
    current(folder).write_bytes(b"damaged")
    if restart:
        storage = FileStorage(folder)
        opened = await storage.open()
        assert [found.header for found in opened.sessions] == [OLD.header]
        assert opened.damaged == frozenset()
    for _ in range(2):
        loaded = await storage.load(SESSION_ID)
        assert loaded is not None
        assert loaded.session == OLD
        assert loaded.healed is not None
        assert "damaged" in loaded.healed
    assert kept_aside(folder) == [f"damaged-{SESSION_ID}.json"]
    assert storage.status().quarantined == 1
    await storage.save(NEW)
    loaded = await storage.load(SESSION_ID)
    assert loaded is not None
    assert (loaded.session, loaded.healed) == (NEW, None)
    await storage.close()


async def test_both_files_that_are_damaged(tmp_path: Path) -> None:
    """That is reported as damage, now and after every restart, and both files are kept."""
    folder = tmp_path / "data"
    storage = await stored(folder, OLD, NEW)
    before, now = previous(folder), current(folder)
    before.write_bytes(b"one")
    now.write_bytes(b"two")
    with pytest.raises(SessionDamagedError) as caught:
        await storage.load(SESSION_ID)
    assert caught.value.details == {"session_id": SESSION_ID}
    await storage.close()
    for _ in range(2):
        storage = FileStorage(folder)
        opened = await storage.open()
        assert (opened.sessions, opened.damaged) == ([], frozenset({SESSION_ID}))
        await storage.close()
    assert kept_aside(folder) == [f"damaged-{SESSION_ID}.json", f"damaged-{SESSION_ID}.prev.json"]
    assert sorted(path.read_bytes() for path in (folder / "quarantine").iterdir()) == [b"one", b"two"]


async def test_file_of_another_store(tmp_path: Path) -> None:
    """A file that was copied from elsewhere is not taken for ours."""
    folder = tmp_path / "data"
    await (await stored(folder, OLD)).close()
    current(folder).write_bytes(encode_session(OLD, "elsewhere"))
    storage = FileStorage(folder)
    assert (await storage.open()).damaged == frozenset({SESSION_ID})
    await storage.close()


async def test_file_under_another_name(tmp_path: Path) -> None:
    """A sound file that was renamed by hand is not another session."""
    folder = tmp_path / "data"
    await (await stored(folder, OLD)).close()
    path = current(folder)
    path.rename(path.with_name("session_2_1700000000_abc.json"))
    storage = FileStorage(folder)
    opened = await storage.open()
    assert (opened.sessions, opened.damaged) == ([], frozenset({"session_2_1700000000_abc"}))
    await storage.close()


async def test_write_that_was_not_finished(tmp_path: Path) -> None:
    """What a crash left half-written is kept aside; the session is as it was."""
    folder = tmp_path / "data"
    await (await stored(folder, OLD)).close()
    current(folder).with_suffix(".7.new").write_bytes(b"half a file")
    storage = FileStorage(folder)
    assert len((await storage.open()).sessions) == 1
    await storage.close()
    assert kept_aside(folder) == [f"unfinished-{SESSION_ID}.7.new"]


@pytest.mark.parametrize("content", [b"{", b'{"format":"x","format_version":1,"store_id":"a"}', b'"\xff"'])
async def test_store_file_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    """Without it no session could be told from a stranger's: the start is refused, nothing is touched."""
    folder = tmp_path / "data"
    await (await stored(folder, OLD)).close()
    (folder / "store.json").write_bytes(content)
    storage = FileStorage(folder)
    with pytest.raises(StorageError, match=r"store\.json"):
        await storage.open()
    await storage.close()
    assert current(folder).exists()
    assert (folder / "store.json").read_bytes() == content


# ---- a disk that fails


@pytest.mark.parametrize(
    ("number", "kind", "status"),
    [
        (errno.ENOSPC, StorageFullError, "full"),
        (errno.EDQUOT, StorageFullError, "full"),
        (errno.EIO, StorageError, "failed"),
        (errno.EROFS, StorageError, "failed"),
    ],
)
async def test_disk_that_fails_in_a_save(tmp_path: Path, number: int, kind: type[StorageError], status: str) -> None:
    """Whichever call fails, the error says so, and a sound content is there; the next save that works counts."""
    for call in range(1, 5):
        folder = tmp_path / f"data-{call}"
        disk = TestDisk()
        storage = await stored(folder, OLD, disk=disk)
        disk.fail(number, at=call)
        with pytest.raises(kind) as caught:
            await storage.save(NEW)
        assert type(caught.value) is kind
        assert storage.status().status == status
        disk.heal()
        loaded = await storage.load(SESSION_ID)
        assert loaded is not None
        last_call = 4  # the folder's sync: the name is there, if the disk can still be trusted
        assert loaded.session == (NEW if call == last_call else OLD)
        await storage.save(NEW)
        assert storage.status().status == "ok"
        await storage.close()
        again = FileStorage(folder)
        assert [found.header for found in (await again.open()).sessions] == [NEW.header]
        await again.close()


async def test_disk_that_fails_in_a_first_save(tmp_path: Path) -> None:
    """A session that could not be stored whole is not there afterwards, unless its name was already written."""
    for call in range(1, 7):
        disk = TestDisk()
        storage = await stored(tmp_path / f"data-{call}", disk=disk)
        disk.fail(errno.ENOSPC, at=call)
        with pytest.raises(StorageFullError):
            await storage.save(OLD)
        disk.heal()
        await storage.save(OLD)
        loaded = await storage.load(SESSION_ID)
        assert loaded is not None
        assert loaded.session == OLD
        await storage.close()


async def test_disk_that_fails_in_a_load(tmp_path: Path) -> None:
    """A read error is no damage: nothing is put aside, and the next read may work."""
    disk = TestDisk()
    storage = await stored(tmp_path / "data", OLD, NEW, disk=disk)
    disk.fail(errno.EIO)
    with pytest.raises(StorageError):
        await storage.load(SESSION_ID)
    disk.heal()
    loaded = await storage.load(SESSION_ID)
    assert loaded is not None
    assert loaded.session == NEW
    assert storage.status().quarantined == 0
    await storage.close()


async def test_disk_that_fails_in_a_removal(tmp_path: Path) -> None:
    """It is reported, and can be asked for again."""
    disk = TestDisk()
    storage = await stored(tmp_path / "data", OLD, NEW, disk=disk)
    disk.fail(errno.EIO, at=1)
    with pytest.raises(StorageError):
        await storage.remove(SESSION_ID)
    disk.heal()
    assert await storage.load(SESSION_ID) is not None
    await storage.remove(SESSION_ID)
    assert await storage.load(SESSION_ID) is None
    await storage.close()


async def test_disk_that_fails_in_archiving(tmp_path: Path) -> None:
    """The session is where it was, and the next try puts it into its month."""
    disk = TestDisk()
    storage = await stored(tmp_path / "data", OLD, NEW, disk=disk)
    disk.fail(errno.ENOSPC, at=1)
    with pytest.raises(StorageFullError):
        await storage.archive(SESSION_ID, 1.7e9)
    disk.heal()
    assert await storage.load(SESSION_ID) is not None
    await storage.archive(SESSION_ID, 1.7e9)
    await storage.close()
    archived = tmp_path / "data" / "archive" / "2023-11" / f"{SESSION_ID}.json"
    assert archived.exists()


async def test_disk_that_fails_at_the_start(tmp_path: Path) -> None:
    """The start is refused with the system's words."""
    storage = FileStorage(tmp_path / "data", disk := TestDisk())
    disk.fail(errno.EACCES)
    with pytest.raises(StorageError, match="Permission denied"):
        await storage.open()
    await storage.close()


async def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_bytes(b"")
    storage = FileStorage(tmp_path / "file" / "below" / "data")
    with pytest.raises(StorageError, match="cannot make the data folder"):
        await storage.open()
    await storage.close()
