"""The file storage and damage at rest: nothing damaged is ever handed over as sound, nothing is deleted."""

from pathlib import Path

import pytest

from stui_sessiond.errors import SessionDamagedError
from stui_sessiond.model.session import Session
from stui_sessiond.storage.api import Loaded
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.session_file import decode_session, encode_session
from tests.unit.bed.changes import a_new_session, header_only, step, whole
from tests.unit.bed.stores import flip
from tests.unit.storage.test_file_layout import SESSION_ID, at, current, kept_aside, look, previous, stored


async def outcome(storage: FileStorage) -> Loaded | str:
    """Load the example session; an error becomes its code."""
    try:
        loaded = await storage.load(SESSION_ID)
    except SessionDamagedError as error:
        return f"{error.code} {error.details['session_id']}"
    assert loaded is not None
    return loaded


def drop_journal(folder: Path) -> None:
    """Take away all of the journal, as if it had been trimmed."""
    for path in (folder / "journal").iterdir():
        path.unlink()


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("how", ["flip", "empty", "gone"])
async def test_newest_file_that_is_damaged(tmp_path: Path, restart: bool, how: str) -> None:
    """The one before it and the journal together have everything: healed, and said so, until the next change."""
    folder = tmp_path / "data"
    versions = await stored(folder, 4)
    storage = at(folder)
    if not restart:
        await storage.open()
    if how == "gone":
        current(folder).unlink()
    else:
        current(folder).write_bytes(b"" if how == "empty" else current(folder).read_bytes().replace(b"count", b"cownt"))
    if restart:
        await storage.open()
    for _ in range(2):
        loaded = await outcome(storage)
        assert isinstance(loaded, Loaded)
        assert (loaded.session, loaded.integrity) == (versions[-1], "healed")
        assert loaded.note is not None
        assert "nothing that was acknowledged is missing" in loaded.note
    assert kept_aside(folder) == ([] if how == "gone" else [f"damaged-{SESSION_ID}.json"])
    change = step(versions[-1], count=5)
    await storage.commit(change)
    assert await outcome(storage) == Loaded(change.session)
    await storage.close()
    assert (await look(folder))[1] == Loaded(change.session)


async def test_every_byte_of_the_newest_file(tmp_path: Path) -> None:
    """Whichever byte is changed, the session is whole: healed, or the byte meant nothing."""
    folder = tmp_path / "data"
    versions = await stored(folder, 3)
    storage = at(folder)
    await storage.open()
    sound = current(folder).read_bytes()
    for place in range(0, len(sound), 7):
        flip(current(folder), place)
        loaded = await outcome(storage)
        assert isinstance(loaded, Loaded)
        assert loaded.session == versions[-1], place
        assert loaded.integrity == "healed", place
        await storage.checkpoint()
        assert current(folder).read_bytes() == sound
        storage._store.healed.clear()
    assert storage.status().detail is None
    await storage.close()


async def test_healed_session_is_written_anew(tmp_path: Path) -> None:
    """The next checkpoint makes a sound file, so that the next start finds nothing to heal."""
    folder = tmp_path / "data"
    versions = await stored(folder, 3)
    flip(current(folder))
    storage = at(folder)
    await storage.open()
    loaded = await outcome(storage)
    assert isinstance(loaded, Loaded)
    assert loaded.integrity == "healed"
    await storage.close()
    assert (await look(folder))[1] == Loaded(versions[-1])


async def test_file_before_the_newest_that_is_damaged(tmp_path: Path) -> None:
    """Nobody needs it now; what is newer is handed over as sound."""
    folder = tmp_path / "data"
    versions = await stored(folder, 3)
    flip(previous(folder))
    assert (await look(folder))[1] == Loaded(versions[-1])


@pytest.mark.parametrize("restart", [False, True])
async def test_newest_file_and_the_journal_that_are_damaged(tmp_path: Path, restart: bool) -> None:
    """The older version is handed over, and it is said which versions are lost; after a restart, too."""
    folder = tmp_path / "data"
    versions = await stored(folder, 4)
    storage = at(folder)
    if not restart:
        await storage.open()
    drop_journal(folder)
    flip(current(folder))
    if restart:
        await storage.open()
    loaded = await outcome(storage)
    assert isinstance(loaded, Loaded)
    assert (loaded.session, loaded.integrity) == (versions[-2], "damaged")
    assert loaded.note is not None
    assert "4" in loaded.note
    assert storage.status().detail is not None
    await storage.close()
    assert (await look(folder))[1] == loaded
    storage = at(folder)
    await storage.open()
    change = step(versions[-2], other=True)
    await storage.commit(change)
    assert await outcome(storage) == Loaded(change.session)
    await storage.close()
    assert (await look(folder))[1] == Loaded(change.session)


@pytest.mark.parametrize("restart", [False, True])
async def test_both_files_that_are_damaged(tmp_path: Path, restart: bool) -> None:
    """If all of it is in the journal nothing is missing; both files are kept aside."""
    folder = tmp_path / "data"
    versions = await stored(folder, 4)
    storage = at(folder)
    if not restart:
        await storage.open()
    flip(previous(folder))
    flip(current(folder))
    if restart:
        await storage.open()
    loaded = await outcome(storage)
    assert isinstance(loaded, Loaded)
    assert (loaded.session, loaded.integrity) == (versions[-1], "healed")
    assert kept_aside(folder) == [f"damaged-{SESSION_ID}.json", f"damaged-{SESSION_ID}.prev.json"]
    await storage.close()
    assert (await look(folder))[1] == Loaded(versions[-1])


async def test_damage_that_is_found_after_the_start_is_counted(tmp_path: Path) -> None:
    """The status tells how many files are in quarantine now, not how many there were at the start."""
    folder = tmp_path / "data"
    await stored(folder, 4)
    storage = at(folder)
    await storage.open()
    flip(current(folder))
    await outcome(storage)
    counted = storage.status().quarantined
    await storage.close()
    assert counted == len(kept_aside(folder)) == 1


@pytest.mark.parametrize("restart", [False, True])
async def test_both_files_and_the_journal_that_are_damaged(tmp_path: Path, restart: bool) -> None:
    """That is reported as damage, now and after every restart, and both files are kept."""
    folder = tmp_path / "data"
    await stored(folder, 3)
    drop_journal(folder)
    if restart:
        (folder / "index.json").unlink()
    storage = at(folder)
    if not restart:
        await storage.open()
    before, now = previous(folder), current(folder)
    before.write_bytes(b"one")
    now.write_bytes(b"two")
    if restart:
        opened = await storage.open()
        assert (opened.sessions, opened.damaged) == ([], frozenset({SESSION_ID}))
    for _ in range(2):
        assert await outcome(storage) == f"session_damaged {SESSION_ID}"
    await storage.close()
    for _ in range(2):
        storage = at(folder)
        opened = await storage.open()
        assert (opened.sessions, opened.damaged) == ([], frozenset({SESSION_ID}))
        assert await outcome(storage) == f"session_damaged {SESSION_ID}"
        await storage.close()
    assert sorted(path.read_bytes() for path in (folder / "quarantine").iterdir()) == [b"one", b"two"]


async def test_file_that_is_older_than_what_was_written(tmp_path: Path) -> None:
    """A file that somebody put back from an old copy is not taken for the newest."""
    folder = tmp_path / "data"
    await stored(folder, 2)
    old = current(folder).read_bytes()
    storage = at(folder)
    await storage.open()
    loaded = await outcome(storage)
    assert isinstance(loaded, Loaded)
    change = step(loaded.session, count=3)
    await storage.commit(change)
    await storage.close()
    current(folder).write_bytes(old)
    (_, found) = await look(folder)
    assert found is not None
    assert (found.session, found.integrity) == (change.session, "healed")


@pytest.mark.parametrize("index", [False, True])
async def test_file_of_another_store(tmp_path: Path, index: bool) -> None:
    """A file that was copied from elsewhere is not taken for ours."""
    folder = tmp_path / "data"
    versions = await stored(folder, 1)
    drop_journal(folder)
    if not index:
        (folder / "index.json").unlink()
    current(folder).write_bytes(encode_session(versions[0], "elsewhere", 1))
    storage = at(folder)
    opened = await storage.open()
    assert opened.damaged == (frozenset() if index else frozenset({SESSION_ID}))
    assert await outcome(storage) == f"session_damaged {SESSION_ID}"
    await storage.close()
    assert kept_aside(folder) == [f"damaged-{SESSION_ID}.json"]


async def test_file_under_another_name(tmp_path: Path) -> None:
    """A sound file that was renamed by hand is not another session."""
    folder = tmp_path / "data"
    await stored(folder, 1)
    drop_journal(folder)
    (folder / "index.json").unlink()
    path = current(folder)
    path.rename(path.with_name("session_2_1700000000_abc.json"))
    storage = at(folder)
    opened = await storage.open()
    assert (opened.sessions, opened.damaged) == ([], frozenset({"session_2_1700000000_abc"}))
    await storage.close()


async def test_damaged_session_that_its_owner_removes(tmp_path: Path) -> None:
    """It is gone, and is not reported any more."""
    folder = tmp_path / "data"
    versions: list[Session] = await stored(folder, 3)
    drop_journal(folder)
    flip(current(folder))
    storage = at(folder)
    await storage.open()
    loaded = await outcome(storage)
    assert isinstance(loaded, Loaded)
    assert loaded.session == versions[1]
    await storage.remove(SESSION_ID)
    assert await storage.load(SESSION_ID) is None
    await storage.close()
    opened, found = await look(folder)
    assert (opened.sessions, opened.damaged, found) == ([], frozenset(), None)


async def test_header_that_changed_after_the_newest_file(tmp_path: Path) -> None:
    """What only the journal has is there as well, when the file is damaged."""
    folder = tmp_path / "data"
    storage = at(folder)
    await storage.open()
    session = a_new_session()
    await storage.commit(whole(session))
    await storage.checkpoint()
    change = header_only(session, closed_at=1.8e9)
    await storage.commit(change)
    await storage.checkpoint()
    flip(current(folder))
    storage._store.pending.clear()
    loaded = await outcome(storage)
    assert isinstance(loaded, Loaded)
    assert (loaded.session, loaded.integrity) == (change.session, "healed")
    await storage.close()


# ---- archive


async def test_archive_is_a_file_of_its_month(tmp_path: Path) -> None:
    """The session lies there whole, readable, and both of its files are gone."""
    folder = tmp_path / "data"
    versions = await stored(folder)
    storage = at(folder)
    await storage.open()
    await storage.archive(SESSION_ID, 1.7e9)
    await storage.close()
    archived = folder / "archive" / "2023-11" / f"{SESSION_ID}.json"
    assert decode_session(archived.read_bytes(), storage._store.store_id).session == versions[-1]
    assert list(folder.glob("sessions/*/*")) == []


async def test_session_that_cannot_be_archived(tmp_path: Path) -> None:
    """What is damaged stays where it is, and is reported."""
    folder = tmp_path / "data"
    await stored(folder, 1)
    for path in (folder / "journal").iterdir():
        path.unlink()
    storage = at(folder)
    await storage.open()
    current(folder).write_bytes(b"damaged")
    with pytest.raises(SessionDamagedError):
        await storage.archive(SESSION_ID, 1.7e9)
    assert list((folder / "archive").iterdir()) == []
    await storage.close()
