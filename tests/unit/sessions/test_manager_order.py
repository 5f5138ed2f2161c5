"""The SessionManager when much happens at once, when time passes, and when the storage fails."""

import asyncio

import pytest

from stui_sessiond.errors import (
    SessionExpiredError,
    SessionLimitError,
    SessionNotFoundError,
    StorageError,
    StorageFullError,
)
from stui_sessiond.ids import ImageId
from stui_sessiond.sessions import shelf, transitions
from stui_sessiond.sessions.retention import LifeRules
from stui_sessiond.sessions.transitions import Change, Mode
from stui_sessiond.sessions.validator import SessionRules
from stui_sessiond.storage.api import Loaded
from tests.unit.bed.house import TestStorage, open_house

FULL = StorageFullError("the disk is full")
DAY = 86400.0

# ---- at once


async def test_updates_at_once_all_count() -> None:
    """A hundred changes asked for together happen one after the other, in order, and none is lost."""
    async with open_house(TestStorage()) as house:
        session_id = await house.create()
        changes = [Change({str(number): number}, Mode.MERGE) for number in range(100)]
        done = await asyncio.gather(*(house.manager.update(session_id, change) for change in changes))
        assert [session.header.version for session in done] == list(range(2, 102))
        assert await house.state(session_id) == {str(number): number for number in range(100)}
        assert [heard.seq for heard in house.heard[session_id]] == list(range(2, 102))


async def test_updates_at_once_with_an_expected_version() -> None:
    """Of many that expect the same version one wins."""
    async with open_house(TestStorage()) as house:
        session_id = await house.create()
        change = Change({}, expected_version=1)
        asked = (house.manager.update(session_id, change) for _ in range(10))
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(not isinstance(outcome, BaseException) for outcome in done) == 1


async def test_creates_at_once_never_pass_the_limit() -> None:
    """Those still being stored count."""
    storage = TestStorage()
    async with open_house(storage) as house:
        storage.gate = asyncio.Event()
        asked = [asyncio.ensure_future(house.create()) for _ in range(20)]
        for _ in range(5):
            await storage.saving.get()
        storage.gate.set()
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(outcome, SessionLimitError) for outcome in done) == 15
        assert len(house.manager.of_client("ada")) == 5


async def test_reopenings_at_once_never_pass_the_limit() -> None:
    """Two closed sessions that come back at the same time count, too, and so does one that is being created."""
    storage = TestStorage()
    async with open_house(storage, rules=SessionRules(max_per_client=3)) as house:
        old = [await house.create() for _ in range(3)]
        for session_id in old:
            await house.manager.end(session_id, keep=True)
        await house.create()
        storage.gate = asyncio.Event()
        storage.saving = asyncio.Queue()
        asked = [
            *(asyncio.ensure_future(house.manager.restore(session_id, reopen=True)) for session_id in old),
            asyncio.ensure_future(house.create()),
        ]
        await storage.saving.get()
        await storage.saving.get()
        storage.gate.set()
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(outcome, SessionLimitError) for outcome in done) == 2
        assert len(house.manager.of_client("ada")) == 3


async def test_sessions_do_not_wait_for_each_other() -> None:
    """While one session is being stored, another is created and read."""
    storage = TestStorage()
    async with open_house(storage) as house:
        slow, other = await house.create(), await house.create()
        gate = storage.gate = asyncio.Event()
        storage.saving = asyncio.Queue()
        saving = asyncio.ensure_future(house.put(slow, a=1))
        await storage.saving.get()
        storage.gate = None
        await house.put(other, b=2)
        assert await house.state(other) == {"b": 2}
        assert not saving.done()
        gate.set()
        await saving


async def test_looking_during_a_slow_save() -> None:
    """What is not stored yet is seen by nobody: the header tells the old version, and no event went out."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        storage.gate = asyncio.Event()
        storage.saving = asyncio.Queue()
        saving = asyncio.ensure_future(house.put(session_id, a=1))
        await storage.saving.get()
        assert house.manager.header(session_id).version == 1
        assert house.names(session_id) == []
        reading = asyncio.ensure_future(house.state(session_id))
        storage.gate.set()
        assert await reading == {"a": 1}
        assert (await saving).header.version == 2


async def test_use_during_a_slow_save() -> None:
    """Activity while a change is being stored is not lost when the save is over."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        storage.gate = asyncio.Event()
        storage.saving = asyncio.Queue()
        saving = asyncio.ensure_future(house.put(session_id))
        await storage.saving.get()
        house.clock.pass_time(100)
        house.manager.use(session_id)
        storage.gate.set()
        await saving
        assert house.manager.header(session_id).last_activity == house.clock.now


# ---- a storage that fails


async def test_storage_that_fails_changes_nothing() -> None:
    """State, version and events are as before, and the next change counts on from there."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.manager.save_context(session_id, "two", {})
        await house.put(session_id, a=1)
        storage.failure = FULL
        for refused in (
            house.put(session_id, a=2),
            house.manager.save_context(session_id, "one", {}),
            house.manager.clear_context(session_id, "two"),
            house.manager.snapshot(session_id, "name"),
            house.manager.revert(session_id, None, 1),
            house.manager.end(session_id, keep=True),
            house.manager.end(session_id, keep=False),
            house.manager.bind_image(session_id, ImageId("pharo")),
            house.create(),
        ):
            with pytest.raises(StorageFullError):
                await refused
        assert await house.state(session_id) == {"a": 1}
        assert list((await house.manager.session(session_id)).contexts) == ["two"]
        assert (await house.manager.session(session_id)).snapshots == {}
        assert len(house.manager.of_client("ada")) == 1
        storage.failure = None
        assert (await house.put(session_id, a=3)).header.version == 4
        assert [heard.seq for heard in house.heard[session_id]] == [2, 3, 4]


async def test_reopening_that_cannot_be_stored() -> None:
    """The session is as closed as before, and does not count."""
    storage = TestStorage()
    async with open_house(storage, rules=SessionRules(max_per_client=1)) as house:
        session_id = await house.create()
        await house.manager.end(session_id, keep=True)
        storage.failure = FULL
        with pytest.raises(StorageFullError):
            await house.manager.restore(session_id, reopen=True)
        storage.failure = None
        await house.create()


async def test_session_that_was_damaged() -> None:
    """The older content is handed over with the reason, and its version is the version now, until it is changed."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        older = await house.put(session_id, a=1)
        await house.put(session_id, a=2)
    async with open_house(storage) as house:
        storage.damage[session_id] = Loaded(older, "damaged", "version 3 is lost")
        for _ in range(2):
            restored = await house.manager.restore(session_id)
            assert restored.session.state == {"a": 1}
            assert (restored.integrity, restored.note) == ("damaged", "version 3 is lost")
        assert house.manager.header(session_id).version == 2
        assert (await house.put(session_id, a=3)).header.version == 3
        restored = await house.manager.restore(session_id)
        assert (restored.integrity, restored.note) == ("ok", None)


async def test_session_that_was_healed() -> None:
    """All of it is there; that a file was damaged is told all the same."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        newest = await house.put(session_id, a=1)
    async with open_house(storage) as house:
        storage.damage[session_id] = Loaded(newest, "healed", "the newest file was damaged")
        restored = await house.manager.restore(session_id)
        assert (restored.session.state, restored.integrity) == ({"a": 1}, "healed")
        assert house.manager.header(session_id).version == 2


async def test_session_that_was_healed_from_before_it_was_reopened() -> None:
    """What the daemon knows of its life is newer than the file: it stays open and keeps its image."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.manager.end(session_id, keep=True)
        reopened = (await house.manager.restore(session_id, reopen=True)).session
        await house.manager.bind_image(session_id, ImageId("pharo"))
    async with open_house(storage) as house:
        storage.damage[session_id] = Loaded(transitions.close(reopened, 1.0), "healed", "the newest was damaged")
        await house.put(session_id, a=1)
        header = house.manager.header(session_id)
        assert (header.closed_at, header.image_id) == (None, "pharo")


# ---- memory


async def test_sessions_beyond_the_memory_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many sessions are held whole; the one used longest ago makes room and is read when needed."""
    monkeypatch.setattr(shelf, "RESIDENT_SESSIONS", 2)
    storage = TestStorage()
    async with open_house(storage) as house:
        sessions = [await house.create() for _ in range(3)]
        for number, session_id in enumerate(sessions):
            await house.put(session_id, number=number)
        assert storage.loads == 3  # each had made room for the next
        assert await house.state(sessions[2]) == {"number": 2}
        assert await house.state(sessions[1]) == {"number": 1}
        assert storage.loads == 3
        assert await house.state(sessions[0]) == {"number": 0}
        assert storage.loads == 4
        assert len(house.manager._shelf._resident) == 2


async def test_bytes_beyond_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large sessions make room for each other; one is always held."""
    monkeypatch.setattr(shelf, "RESIDENT_BYTES", 9000)
    async with open_house() as house:
        for _ in range(3):
            await house.put(await house.create(), text="x" * 2000)
        assert len(house.manager._shelf._resident) == 1
        assert house.manager._shelf._resident_bytes < 9000
        await house.put(house.manager.of_client("ada")[0].session_id, text="x" * 5000)
        assert len(house.manager._shelf._resident) == 1


# ---- time


async def test_sweep_announces_expiry_once() -> None:
    """Subscribers hear of it at the first sweep after it."""
    async with open_house() as house:
        session_id = await house.create()
        await house.manager.sweep()
        house.clock.pass_time(3600)
        await house.manager.sweep()
        await house.manager.sweep()
        await house.keeper.settle()
        assert house.names(session_id) == ["session.expired"]


async def test_sweep_announces_expiry_again() -> None:
    """A session that came back and expired again between two sweeps is announced again."""
    async with open_house() as house:
        session_id = await house.create(timeout_s=60)
        house.clock.pass_time(300)
        await house.manager.sweep()
        await house.manager.restore(session_id, reopen=True)
        house.clock.pass_time(300)
        await house.manager.sweep()
        await house.keeper.settle()
        assert house.names(session_id) == ["session.expired", "session.reopened", "session.expired"]


@pytest.mark.parametrize("closed", [False, True])
async def test_sweep_archives_after_the_retention(closed: bool) -> None:
    """Expired and closed sessions can come back for thirty days; then they are put into the archive."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        if closed:
            await house.manager.end(session_id, keep=True)
        else:
            house.clock.pass_time(3600)
        house.clock.pass_time(30 * DAY - 1)
        await house.manager.sweep()
        assert storage.inner.archived == {}
        house.clock.pass_time(1)
        await house.manager.sweep()
        assert list(storage.inner.archived) == [session_id]
        with pytest.raises(SessionNotFoundError):
            await house.manager.restore(session_id, reopen=True)


async def test_sweep_that_cannot_archive() -> None:
    """The next one tries again."""
    storage = TestStorage()
    async with open_house(storage, life=LifeRules(retention_s=10)) as house:
        session_id = await house.create()
        await house.manager.end(session_id, keep=True)
        house.clock.pass_time(10)
        storage.failure = StorageError("the disk failed")
        await house.manager.sweep()
        storage.failure = None
        await house.manager.sweep()
        assert list(storage.inner.archived) == [session_id]


async def test_activity_is_stored_by_autosave() -> None:
    """Times of activity live in memory until the autosave; after a restart they count."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        house.clock.pass_time(3000)
        house.manager.use(session_id)
        saves = storage.saving.qsize()
        await house.manager.autosave()
        await house.manager.autosave()
        assert storage.saving.qsize() == saves + 1
    async with open_house(storage, house.clock) as house:
        house.clock.pass_time(3599)
        await house.manager.restore(session_id)


async def test_activity_is_stored_at_the_end() -> None:
    """Closing the manager saves what autosave would have."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        house.clock.pass_time(3000)
        house.manager.use(session_id)
    async with open_house(storage, house.clock) as house:
        house.clock.pass_time(3000)
        await house.manager.restore(session_id)
        house.clock.pass_time(3600)
        with pytest.raises(SessionExpiredError):
            await house.manager.restore(session_id)


async def test_autosave_that_fails() -> None:
    """Only a time of activity is at stake: the others are still saved, and the next autosave tries again."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        house.clock.pass_time(10)
        house.manager.use(session_id)
        storage.failure = FULL
        await house.manager.autosave()
        storage.failure = None
        await house.manager.autosave()
        loaded = await storage.load(session_id)
        assert loaded is not None
        assert loaded.session.header.last_activity == house.clock.now
