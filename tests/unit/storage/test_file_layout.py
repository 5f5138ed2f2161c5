"""The file storage's own layout: what is written where, what a start makes of it, what is handed over when."""

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest

from stui_sessiond.errors import StorageError
from stui_sessiond.model.session import Session
from stui_sessiond.storage import file as file_module
from stui_sessiond.storage import session_file
from stui_sessiond.storage.api import Loaded, Opened
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.layout import seal_json
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session, encode_session
from tests.unit.bed.changes import a_full_session, a_new_session, put_versions, step, whole
from tests.unit.bed.disk import TestDisk
from tests.unit.bed.wait import until

SESSION_ID = a_new_session().header.session_id


def at(folder: Path, disk: TestDisk | None = None, segment_bytes: int = 1 << 24) -> FileStorage:
    """Make a storage of this folder."""
    return FileStorage(folder, disk, backup_interval_s=None, segment_bytes=segment_bytes)


async def stored(folder: Path, count: int = 3, *, flush: bool = True) -> list[Session]:
    """Leave a folder in which the example session has so many versions, each checkpointed by itself."""
    storage = at(folder)
    await storage.open()
    versions = [a_new_session()]
    await storage.commit(whole(versions[0]))
    for version in range(2, count + 1):
        if flush:
            await storage.checkpoint()
        change = step(versions[-1], count=version)
        await storage.commit(change)
        versions.append(change.session)
    await storage.close()
    return versions


async def look(folder: Path) -> tuple[Opened, Loaded | None]:
    """Start on a folder, load the example session, stop."""
    storage = at(folder)
    opened = await storage.open()
    try:
        return opened, await storage.load(SESSION_ID)
    finally:
        await storage.close()


def current(folder: Path) -> Path:
    """Find the newest file of the example session."""
    return next(folder.glob(f"sessions/*/{SESSION_ID}.json"))


def previous(folder: Path) -> Path:
    """Find the file before that."""
    return current(folder).with_suffix(".prev.json")


def kept_aside(folder: Path) -> list[str]:
    """List the quarantine, without the random part of the names."""
    return sorted(path.name.partition("-")[2] for path in (folder / "quarantine").iterdir())


# ---- what is written


async def test_change_is_in_the_journal_before_it_is_in_a_file(tmp_path: Path) -> None:
    """A commit writes and syncs one record; the file follows at the checkpoint, in the safe order."""
    folder, disk = tmp_path / "data", TestDisk()
    storage = at(folder, disk)
    await storage.open()
    (first,) = await put_versions(storage, 1)
    await storage.checkpoint()
    disk.calls.clear()
    change = step(first, a=1)
    await storage.commit(change)
    assert [name for name, _ in disk.calls] == ["write", "sync"]
    assert "count" not in current(folder).read_text()
    disk.calls.clear()
    await storage.checkpoint()
    client = current(folder).parent.name
    assert disk.calls == [
        ("make_folder", client),
        ("write_new", f"{SESSION_ID}.1"),
        ("rename", f"{SESSION_ID}.prev.json"),
        ("rename", f"{SESSION_ID}.json"),
        ("sync_folder", client),
    ]
    disk.calls.clear()
    await storage.checkpoint()
    assert disk.calls == []
    await storage.close()
    assert decode_session(current(folder).read_bytes(), storage._store.store_id).session == change.session
    assert decode_session(previous(folder).read_bytes(), storage._store.store_id).session == first


async def test_commits_that_come_together_share_a_sync(tmp_path: Path) -> None:
    """While the disk is busy others gather, and are written at once."""
    disk = TestDisk()
    storage = at(tmp_path / "data", disk)
    await storage.open()
    await put_versions(storage, 1, 99)
    disk.calls.clear()
    await asyncio.gather(*(storage.commit(whole(a_new_session(number))) for number in range(100)))
    assert sum(name == "sync" for name, _ in disk.calls) <= 3
    await storage.close()


async def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Folders 0700, files 0600."""
    await stored(tmp_path / "data")
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


async def test_file_is_for_people_too(tmp_path: Path) -> None:
    """After a close every session is in a JSON file that a person can read."""
    await stored(tmp_path / "data", 2, flush=False)
    text = current(tmp_path / "data").read_text()
    assert text.startswith('{"format":"stui-session","format_version":2,"store_id":"')
    assert '\n "state": {\n  "count": 2\n }' in text


async def test_close_leaves_nothing_to_replay(tmp_path: Path) -> None:
    """After an orderly stop the next start reads no session file and writes none."""
    await stored(tmp_path / "data", 3)
    disk = TestDisk()
    storage = at(tmp_path / "data", disk)
    await storage.open()
    touched = {name for _, name in disk.calls}
    assert not any(name.startswith("session_") for name in touched)
    await storage.close()


async def test_folders_of_clients_tell_no_names(tmp_path: Path) -> None:
    """A client's folder is a hash, as documented: the first 32 hex digits of SHA-256 of the name."""
    await stored(tmp_path / "data")
    assert current(tmp_path / "data").parent.name == "fdee430d40bd57deeac186cd9790033d"


# ---- one file


def test_every_byte_counts() -> None:
    """A session file with any one byte changed is never taken for a sound one that says something else."""
    session = a_new_session(a=1)
    data = encode_session(session, "store", 17)
    for place in range(len(data) - 1):  # the last byte ends the line
        for flipped in (data[place] ^ 0x01, data[place] ^ 0x80, 0x20, 0x00):
            if flipped == data[place]:
                continue
            broken = data[:place] + bytes([flipped]) + data[place + 1 :]
            with pytest.raises(UnreadableError):
                decode_session(broken, "store")


def test_every_cut_counts() -> None:
    """A session file cut anywhere is not taken for a sound one; only the line's end may be missing."""
    session = a_full_session()
    data = encode_session(session, "store", 17)
    for length in range(len(data) - 1):
        with pytest.raises(UnreadableError):
            decode_session(data[:length], "store")
    assert decode_session(data[:-1], "store").session == session


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"format":"stui-session","format_version":3}']
)
def test_what_is_no_session_file(data: bytes) -> None:
    """Anything else is told apart without a crash."""
    with pytest.raises(UnreadableError):
        decode_session(data, "store")


def test_session_file_of_another_format_or_session() -> None:
    """It says which format, which store, which session it is of."""
    data = encode_session(a_new_session(), "store", 17)
    for broken, told in (
        (data.replace(b'"format_version":2', b'"format_version":3'), "version 3 is unknown"),
        (data.replace(b"stui-session", b"stui-sessiom"), "is unknown"),
        (data.replace(b'"lsn":17', b'"lsn":18'), "checksum"),
    ):
        with pytest.raises(UnreadableError, match=told):
            decode_session(broken, "store")
    with pytest.raises(UnreadableError, match="belongs to store store"):
        decode_session(data, "elsewhere")
    with pytest.raises(UnreadableError, match="it holds session"):
        decode_session(data, "store", "session_2_1700000000_abc")


def test_session_file_whose_checksum_was_made_again() -> None:
    """Even then it has to be a session."""
    body = b'{"session_id":"session_1_1_a","state":[]}'
    file = session_file._File("stui-session", 2, "store", session_file._checksum(body, 1), msgspec.Raw(body), 1)
    with pytest.raises(UnreadableError, match="not a session file"):
        decode_session(msgspec.json.encode(file), "store")


# ---- store.json, the index, and what else lies there


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"format":"x","format_version":1,"store_id":"a"}',
        b'"\xff"',
        b'{"format":"stui-store","format_version":2,"store_id":"00112233445566778899aabbccddeeff"}\nwrong\n',
        seal_json({"format": "stui-store", "format_version": 3, "store_id": "00112233445566778899aabbccddeeff"}),
        seal_json({"format": "stui-store-restoring", "format_version": 2, "store_id": "aa"}),
    ],
)
async def test_store_file_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    """Without it no session could be told from a stranger's: the start is refused, nothing is touched."""
    folder = tmp_path / "data"
    await stored(folder)
    (folder / "store.json").write_bytes(content)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "ballast"}
    for _ in range(2):
        storage = at(folder)
        with pytest.raises(StorageError, match=r"store\.json|restore"):
            await storage.open()
        await storage.close()
    assert {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "ballast"
    } == before


@pytest.mark.parametrize("change", [None, b"", b"{}\n", b"flip", b"foreign"])
async def test_index_that_is_gone_or_damaged(tmp_path: Path, change: bytes | None) -> None:
    """It is only a help: without it the session files are read, and all is there."""
    folder = tmp_path / "data"
    versions = await stored(folder)
    index = folder / "index.json"
    if change is None:
        index.unlink()
    elif change == b"flip":
        index.write_bytes(index.read_bytes().replace(b'"ada"', b'"adb"'))
    elif change == b"foreign":
        index.write_bytes(
            seal_json({"format": "stui-index", "format_version": 2, "store_id": "x", "lsn": 9, "sessions": []})
        )
    else:
        index.write_bytes(change)
    opened, loaded = await look(folder)
    assert [stored.header for stored in opened.sessions] == [versions[-1].header]
    assert loaded == Loaded(versions[-1])
    assert kept_aside(folder) == ([] if change is None else ["damaged-index.json"])
    assert (await look(folder))[1] == Loaded(versions[-1])


@pytest.mark.parametrize("index", [False, True])
async def test_strange_things_among_the_sessions(tmp_path: Path, index: bool) -> None:
    """Files and folders that nobody of ours made do not stop a start, and sound sessions are there."""
    folder = tmp_path / "data"
    versions = await stored(folder)
    client = current(folder).parent
    (folder / "sessions" / "notes.txt").write_text("mine")
    (folder / "sessions" / "empty").mkdir()
    (client / "README").write_text("mine")
    (client / "session_7_1_handmade.json").write_text("{}")
    (client / "ünï \n.json").write_text("{}")
    (folder / "journal" / "notes.txt").write_text("mine")
    (folder / "more").mkdir()
    if not index:
        (folder / "index.json").unlink()
    for _ in range(2):
        opened, loaded = await look(folder)
        assert [stored.header for stored in opened.sessions] == [versions[-1].header]
        assert loaded == Loaded(versions[-1])
        assert (folder / "sessions" / "notes.txt").read_text() == "mine"


async def test_file_that_was_not_finished(tmp_path: Path) -> None:
    """What a crash left half-written is kept aside; the session is as it was."""
    folder = tmp_path / "data"
    versions = await stored(folder)
    (folder / "tmp" / f"{SESSION_ID}.7").write_bytes(b"half a file")
    assert (await look(folder))[1] == Loaded(versions[-1])
    assert kept_aside(folder) == [f"unfinished-{SESSION_ID}.7"]
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[]\nx\n"])
async def test_list_of_damaged_sessions_that_is_damaged(tmp_path: Path, content: bytes) -> None:
    """It is kept aside, and the start goes on."""
    folder = tmp_path / "data"
    versions = await stored(folder)
    (folder / "damaged.json").write_bytes(content)
    assert (await look(folder))[1] == Loaded(versions[-1])
    assert kept_aside(folder) == ["damaged-damaged.json"]


async def test_copy_taken_while_the_daemon_runs(tmp_path: Path) -> None:
    """A copy of the folder, taken in the midst of it as a crash would, has everything that was acknowledged."""
    folder = tmp_path / "data"
    storage = at(folder)
    await storage.open()
    versions = [a_new_session()]
    await storage.commit(whole(versions[0]))
    for version in range(2, 8):
        if version == 4:
            await storage.checkpoint()
        change = step(versions[-1], count=version)
        await storage.commit(change)
        versions.append(change.session)
        copy = tmp_path / f"copy-{version}"
        shutil.copytree(folder, copy)
        opened, loaded = await look(copy)
        assert loaded == Loaded(change.session)
        assert opened.damaged == frozenset()
    await storage.close()


# ---- the journal is kept short


async def test_journal_is_trimmed(tmp_path: Path) -> None:
    """Old segments go as soon as both files of every session are newer; everything is there all the same."""
    folder = tmp_path / "data"
    storage = at(folder, segment_bytes=2000)
    await storage.open()
    idle = a_new_session(2)
    await storage.commit(whole(idle))
    versions = await put_versions(storage, 60)
    segments = folder / "journal"
    assert len(list(segments.iterdir())) > 10
    await storage.checkpoint()
    assert len(list(segments.iterdir())) <= 3
    assert await storage.load(SESSION_ID) == Loaded(versions[-1])
    assert await storage.load(idle.header.session_id) == Loaded(idle)
    assert previous(folder).exists()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert (await look(copy))[1] == Loaded(versions[-1])
    await storage.close()
    assert (await look(folder))[1] == Loaded(versions[-1])


async def test_journal_of_many_sessions_is_trimmed_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step writes more than a few files, and at the end the journal is short."""
    monkeypatch.setattr(file_module, "TRIM_STEP", 2)
    folder = tmp_path / "data"
    storage = at(folder, segment_bytes=2000)
    await storage.open()
    sessions = [(await put_versions(storage, 2, number))[-1] for number in range(20)]
    for _ in range(12):
        await storage.checkpoint()
    assert len(list((folder / "journal").iterdir())) <= 3
    for session in sessions:
        assert await storage.load(session.header.session_id) == Loaded(session)
    await storage.close()


async def test_many_changed_sessions_are_written_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When more than so many wait for their files, the checkpoint does not wait for its time."""
    monkeypatch.setattr(file_module, "MAX_PENDING_SESSIONS", 3)
    storage = at(tmp_path / "data")
    await storage.open()
    for number in range(5):
        await storage.commit(whole(a_new_session(number)))
    await until(lambda: not storage._store.pending)
    assert len(list((tmp_path / "data").glob("sessions/*/*.json"))) >= 4
    await storage.close()
