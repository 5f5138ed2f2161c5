"""What every storage promises, whatever it keeps sessions in: one suite, a factory for each kind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from stui_sessiond.errors import StorageError, UnsupportedOperationError
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.session import Session
from stui_sessiond.sessions.history import advance
from stui_sessiond.sessions.transitions import clear_context, found_checksum, save_context, snapshot
from stui_sessiond.storage.api import Commit, Loaded, Opened, SessionStorage
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.changes import (
    RULES,
    a_full_session,
    a_new_session,
    happening,
    header_only,
    put_versions,
    requests,
    step,
    told_step,
    whole,
)

NOBODY = SessionId("session_9_9_nobody")


class Place:
    """Where sessions are kept; every `reopen` is a new start of the daemon on the same place."""

    def __init__(self, make: Callable[[], SessionStorage]) -> None:
        self.make = make

    @asynccontextmanager
    async def reopen(self) -> AsyncIterator[SessionStorage]:
        """Open the storage, and close it at the end."""
        storage = self.make()
        await storage.open()
        try:
            yield storage
        finally:
            await storage.close()

    async def opened(self) -> Opened:
        """Start once more and tell what is found."""
        storage = self.make()
        opened = await storage.open()
        await storage.close()
        return opened

    async def headers(self) -> dict[SessionId, int]:
        """Start once more and list session ids and versions."""
        opened = await self.opened()
        assert opened.damaged == frozenset()
        return {stored.header.session_id: stored.header.version for stored in opened.sessions}


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind."""
    if request.param == "memory":
        storage = MemoryStorage()
        return Place(lambda: storage)
    return Place(lambda: FileStorage(tmp_path / "data", backup_interval_s=None))


async def read(storage: SessionStorage, session_id: SessionId) -> Session:
    """Load a session that is there and sound."""
    loaded = await storage.load(session_id)
    assert loaded is not None
    assert (loaded.integrity, loaded.note) == ("ok", None)
    return loaded.session


async def test_storage_that_is_new(place: Place) -> None:
    """There is nothing in it."""
    async with place.reopen() as storage:
        assert await storage.load(NOBODY) is None
        status = storage.status()
        assert (status.status, status.sessions, status.size_bytes, status.quarantined) == ("ok", 0, 0, 0)
        assert status.detail is None


async def test_session_is_read_back(place: Place) -> None:
    """Everything in it is as it was stored, history, snapshots and checksums included, at once and after a restart."""
    session = a_full_session()
    for _ in range(2):
        async with place.reopen() as storage:
            await storage.commit(whole(session))
            assert await storage.load(session.header.session_id) == Loaded(session)
    async with place.reopen() as storage:
        found = await read(storage, session.header.session_id)
    assert found == session
    assert [entry.version for entry in found.history.entries] == [2, 3, 4]
    assert all(found_checksum(stored) == stored.checksum for stored in found.contexts.values())
    assert found.snapshots["before ☕"].document["state"] == {"a/b": None, "~": 1}


async def test_session_is_listed_with_its_header(place: Place) -> None:
    """A start lists every session with its header, without handing over the rest."""
    session = a_full_session()
    async with place.reopen() as storage:
        await storage.commit(whole(session))
    opened = await place.opened()
    assert [stored.header for stored in opened.sessions] == [session.header]
    assert opened.sessions[0].size_bytes > 0


async def test_versions_follow_each_other(place: Place) -> None:
    """The newest content counts, and every version before it is in the history, after a restart too."""
    async with place.reopen() as storage:
        versions = await put_versions(storage, 6)
        assert await read(storage, versions[0].header.session_id) == versions[-1]
        assert storage.status().sessions == 1
    async with place.reopen() as storage:
        found = await read(storage, versions[0].header.session_id)
        assert found == versions[-1]
        for version in versions:
            assert found.history.document_at(version.header.version) == version.document()
        change = step(found, count=7)
        await storage.commit(change)
    async with place.reopen() as storage:
        assert await read(storage, versions[0].header.session_id) == change.session
    assert await place.headers() == {versions[0].header.session_id: 7}


async def test_every_kind_of_change(place: Place) -> None:
    """State, contexts, snapshots and headers, one after the other, and a restart after each."""
    session = a_new_session()

    def save(old: Session) -> Commit:
        changed = save_context(old, ToolId("one"), {"workspace": {"ü": [1]}}, 5.0)
        made, entry = advance(old, changed, 6.0, None, "context.saved", RULES)
        return Commit(made, 100, old.header.version, entry)

    def clear(old: Session) -> Commit:
        made, entry = advance(old, clear_context(old, None)[0], 7.0, None, "context.cleared", RULES)
        return Commit(made, 100, old.header.version, entry)

    changes: list[Callable[[Session], Commit]] = [
        whole,
        lambda old: step(old, a={"b": [None, True, 1]}),
        save,
        lambda old: Commit(snapshot(old, "name", 8.0), 100, old.header.version, whole=True),
        lambda old: header_only(old, image_id=ImageId("pharo")),
        clear,
        lambda old: header_only(old, closed_at=9.0),
        lambda old: header_only(old, closed_at=None, last_activity=2.0e9),
        step,
    ]
    for change in changes:
        async with place.reopen() as storage:
            made = change(session)
            await storage.commit(made)
            session = made.session
            assert await read(storage, session.header.session_id) == session
        async with place.reopen() as storage:
            assert await read(storage, session.header.session_id) == session
    opened = await place.opened()
    assert [stored.header for stored in opened.sessions] == [session.header]


async def test_events_and_requests_follow_each_other(place: Place) -> None:
    """What happened and what was asked is there after a restart, in its place, with versions and without."""
    session = a_new_session()
    changes: list[Callable[[Session], Commit]] = [
        whole,
        lambda old: happening(old, "a", "b"),
        lambda old: told_step(old, "k", a=1),
        *(lambda old, one=one: happening(old, "asked", request=one) for one in requests()),
        lambda old: happening(old, "told", request=replace(requests()[0], state="done", result="7")),
        lambda old: told_step(old, "l", a=2),
        lambda old: Commit(snapshot(old, "name", 8.0), 100, old.header.version, whole=True, base_seq=old.header.seq),
        lambda old: happening(old.without_events(), "of another epoch", epoch="e2"),
        lambda old: header_only(old.without_events(), epoch="e3"),
        lambda old: happening(old, "first of the third", epoch="no other"),
        lambda old: header_only(old, shares={ClientId("bob"): "viewer"}),
    ]
    for change in changes:
        async with place.reopen() as storage:
            made = change(session)
            await storage.commit(made)
            session = made.session
            assert await read(storage, session.header.session_id) == session
        async with place.reopen() as storage:
            assert await read(storage, session.header.session_id) == session
    assert (session.header.epoch, session.header.seq, len(session.requests.entries)) == ("e3", 1, 8)
    opened = await place.opened()
    assert [stored.header for stored in opened.sessions] == [session.header]


async def test_change_of_the_header_alone(place: Place) -> None:
    """It is stored without a new version; everything else stays."""
    async with place.reopen() as storage:
        versions = await put_versions(storage, 3)
        change = header_only(versions[-1], closed_at=1.8e9, last_activity=1.75e9)
        await storage.commit(change)
    async with place.reopen() as storage:
        found = await read(storage, versions[0].header.session_id)
        assert found == change.session
        assert (found.header.version, found.header.closed_at, found.state) == (3, 1.8e9, {"count": 3})


async def test_session_is_replaced_whole(place: Place) -> None:
    """What is stored whole counts, whatever was there."""
    async with place.reopen() as storage:
        versions = await put_versions(storage, 3)
        other = replace(versions[-1], state={"other": True}, description="another")
        await storage.commit(whole(other))
    async with place.reopen() as storage:
        assert await read(storage, other.header.session_id) == other


async def test_change_that_follows_on_one_nobody_knows_of(place: Place) -> None:
    """A caller that was cancelled goes on from where it knows: what it stores next is what counts."""
    async with place.reopen() as storage:
        first = a_new_session()
        await storage.commit(whole(first))
        lost = asyncio.ensure_future(storage.commit(step(first, a="nobody knows")))
        await asyncio.sleep(0)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        known = step(first, a="known")
        await storage.commit(known)
        assert await read(storage, first.header.session_id) == known.session
        later = step(known.session, a="later")
        await storage.commit(later)
    async with place.reopen() as storage:
        assert await read(storage, first.header.session_id) == later.session


@pytest.mark.parametrize(
    "client", ["../../etc/passwd", "CON", "a/b", "a\\b", "..", "Zoë", "Zoe\u0308", "client7", "x" * 256]
)
async def test_client_of_any_name(place: Place, client: str) -> None:
    """A client's name never is a path."""
    session = replace(a_new_session(), header=replace(a_new_session().header, client_id=ClientId(client)))
    async with place.reopen() as storage:
        await storage.commit(whole(session))
    async with place.reopen() as storage:
        assert await read(storage, session.header.session_id) == session


async def test_clients_whose_names_look_alike(place: Place) -> None:
    """Names that a file system may take for one are two."""
    names = ["ada", "ADA", "Zoë", "Zoe\u0308"]
    async with place.reopen() as storage:
        for number, name in enumerate(names):
            await storage.commit(whole(a_new_session(number, client=name, name=name)))
    async with place.reopen() as storage:
        for number, name in enumerate(names):
            found = await read(storage, a_new_session(number).header.session_id)
            assert (found.header.client_id, found.state) == (name, {"name": name})


async def test_many_sessions_at_once(place: Place) -> None:
    """Sessions that are stored and read at the same time do not get into each other's way."""
    async with place.reopen() as storage:

        async def live(number: int) -> Session:
            versions = await put_versions(storage, 5, number)
            session_id = versions[0].header.session_id
            assert await read(storage, session_id) == versions[-1]
            if number % 3 == 0:
                await storage.remove(session_id)
            return versions[-1]

        made = await asyncio.gather(*(live(number) for number in range(60)))
        assert storage.status().sessions == 40
    kept = {session.header.session_id: session for number, session in enumerate(made) if number % 3}
    async with place.reopen() as storage:
        for session_id, session in kept.items():
            assert await read(storage, session_id) == session
    assert await place.headers() == dict.fromkeys(kept, 5)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("versions", [1, 3])
async def test_session_is_removed(place: Place, versions: int, restart: bool) -> None:
    """Nothing of it is left, no older content either; another session stays; once more is no mistake."""
    session_id = a_new_session().header.session_id
    async with place.reopen() as storage:
        await storage.commit(whole(a_new_session(2)))
        await put_versions(storage, versions)
        if not restart:
            await storage.remove(session_id)
    async with place.reopen() as storage:
        await storage.remove(session_id)
        await storage.remove(session_id)
        assert await storage.load(session_id) is None
        assert storage.status().sessions == 1
    assert await place.headers() == {a_new_session(2).header.session_id: 1}


@pytest.mark.parametrize("restart", [False, True])
async def test_session_is_archived(place: Place, restart: bool) -> None:
    """It is not there any more, and does not come back at the next start."""
    session_id = a_new_session().header.session_id
    async with place.reopen() as storage:
        await put_versions(storage, 3)
        if not restart:
            await storage.archive(session_id, 1.7e9)
    async with place.reopen() as storage:
        await storage.archive(session_id, 1.7e9)
        await storage.archive(session_id, 1.7e9)
        assert await storage.load(session_id) is None
        assert storage.status().sessions == 0
    assert await place.headers() == {}


async def test_session_comes_back_after_its_removal(place: Place) -> None:
    """A new session may have the id of one that was removed."""
    session_id = a_new_session().header.session_id
    async with place.reopen() as storage:
        await put_versions(storage, 7)
        await storage.remove(session_id)
        await storage.commit(whole(a_new_session(new=True)))
        assert (await read(storage, session_id)).state == {"new": True}
    async with place.reopen() as storage:
        assert (await read(storage, session_id)).state == {"new": True}
    assert await place.headers() == {session_id: 1}


async def test_closing_while_others_wait(place: Place) -> None:
    """What was asked for before the storage is closed is stored before it is."""
    storage = place.make()
    await storage.open()
    sessions = [a_new_session(number) for number in range(50)]
    asked = [asyncio.ensure_future(storage.commit(whole(session))) for session in sessions]
    await asyncio.sleep(0)
    await storage.close()
    await asyncio.gather(*asked)
    assert await place.headers() == {session.header.session_id: 1 for session in sessions}


async def test_closing_twice_and_without_opening(place: Place) -> None:
    """Letting go of what was never taken is no mistake."""
    await place.make().close()
    async with place.reopen() as storage:
        await storage.commit(whole(a_new_session()))
    await place.make().close()
    assert len(await place.headers()) == 1


async def test_backup_of_sessions_in_memory() -> None:
    """There is nothing to copy them to."""
    with pytest.raises(UnsupportedOperationError):
        await MemoryStorage().back_up("manual")


async def test_place_that_another_daemon_uses(tmp_path: Path) -> None:
    """Two daemons on one folder would overwrite each other: the second is refused, with advice."""
    first, second, third = (FileStorage(tmp_path / "data", backup_interval_s=None) for _ in range(3))
    await first.open()
    with pytest.raises(StorageError, match="--data-dir"):
        await second.open()
    await second.close()
    await first.commit(whole(a_new_session()))
    await first.close()
    assert len((await third.open()).sessions) == 1
    await third.close()


async def test_commit_before_the_storage_is_open(tmp_path: Path) -> None:
    """It is refused, not lost."""
    storage = FileStorage(tmp_path / "data", backup_interval_s=None)
    with pytest.raises(StorageError, match="not open"):
        await storage.commit(whole(a_new_session()))
    await storage.close()
