"""What every storage promises, whatever it keeps sessions in: one suite, a factory for each kind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from stui_sessiond.errors import StorageError
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.session import Session
from stui_sessiond.sessions.transitions import save_context
from stui_sessiond.storage.api import Opened, SessionStorage
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.house import a_session

NOBODY = SessionId("session_9_9_nobody")


class Place:
    """Where sessions are kept; every `reopen` is a new start of the daemon on the same place."""

    def __init__(self, make: Callable[[], SessionStorage]) -> None:
        self._make = make

    @asynccontextmanager
    async def reopen(self) -> AsyncIterator[SessionStorage]:
        """Open the storage, and close it at the end."""
        storage = self._make()
        await storage.open()
        try:
            yield storage
        finally:
            await storage.close()

    async def opened(self) -> Opened:
        """Start once more and tell what is found."""
        storage = self._make()
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
    return Place(lambda: FileStorage(tmp_path / "data"))


def a_full_session() -> Session:
    """Make a session with something in every field."""
    session = a_session(1, text='ünï ☕ \u0000 \\ " \n', numbers=[1, -1.5, 2**53, None, True], deep={"a": [{}]})
    header = replace(
        session.header, image_id=ImageId("pharo"), name="my work", closed_at=1.75e9, last_modified=1.7e9 + 0.123456
    )
    session = replace(
        session,
        header=header,
        description="what it is for",
        client_version="1.0",
        client_info={"platform": "x"},
        config={"a": 1},
    )
    return save_context(session, ToolId("workspace/1"), {"workspace": {"bindings": {"x": "1"}}}, 1.7e9)


async def test_storage_that_is_new(place: Place) -> None:
    """There is nothing in it."""
    async with place.reopen() as storage:
        assert await storage.load(NOBODY) is None
        status = storage.status()
        assert (status.status, status.sessions, status.size_bytes, status.quarantined) == ("ok", 0, 0, 0)


async def test_session_is_read_back(place: Place) -> None:
    """Everything in it is as it was saved, at once and after a restart."""
    session = a_full_session()
    async with place.reopen() as storage:
        size = await storage.save(session)
        loaded = await storage.load(session.header.session_id)
        assert loaded is not None
        assert (loaded.session, loaded.size_bytes, loaded.healed) == (session, size, None)
    async with place.reopen() as storage:
        loaded = await storage.load(session.header.session_id)
        assert loaded is not None
        assert (loaded.session, loaded.healed) == (session, None)


async def test_session_is_listed_with_its_header(place: Place) -> None:
    """A start lists every session with its header, without handing over the rest."""
    session = a_full_session()
    async with place.reopen() as storage:
        size = await storage.save(session)
    opened = await place.opened()
    assert [(stored.header, stored.size_bytes) for stored in opened.sessions] == [(session.header, size)]


async def test_session_is_replaced(place: Place) -> None:
    """The newest content counts."""
    async with place.reopen() as storage:
        for version in range(1, 6):
            await storage.save(a_session(version=version, count=version))
        loaded = await storage.load(a_session().header.session_id)
        assert loaded is not None
        assert loaded.session.state == {"count": 5}
        assert storage.status().sessions == 1
    assert await place.headers() == {a_session().header.session_id: 5}


async def test_session_grows_and_shrinks(place: Place) -> None:
    """The size told is the size now."""
    async with place.reopen() as storage:
        large = await storage.save(a_session(version=1, text="x" * 10_000))
        assert storage.status().size_bytes >= large
        small = await storage.save(a_session(version=2, text=""))
        assert small < 2_000 < large


@pytest.mark.parametrize("client", ["../../etc/passwd", "CON", "a/b", "a\\b", "..", "Zoë", "Zoe\u0308", "x" * 256])
async def test_client_of_any_name(place: Place, client: str) -> None:
    """What a client calls itself never becomes a place outside."""
    session = a_session(client=client)
    async with place.reopen() as storage:
        await storage.save(session)
    async with place.reopen() as storage:
        loaded = await storage.load(session.header.session_id)
        assert loaded is not None
        assert loaded.session.header.client_id == ClientId(client)


async def test_clients_whose_names_look_alike(place: Place) -> None:
    """Two ways to write the same letter are two clients; neither sees the other's session."""
    async with place.reopen() as storage:
        await storage.save(a_session(1, client="Zoë", owner="composed"))
        await storage.save(a_session(2, client="Zoe\u0308", owner="decomposed"))
    assert len(await place.headers()) == 2


async def test_many_sessions_at_once(place: Place) -> None:
    """Different sessions do not get into each other's way."""
    sessions = [a_session(number, client=f"client-{number % 7}", at=number) for number in range(60)]
    async with place.reopen() as storage:
        await asyncio.gather(*(storage.save(session) for session in sessions))
        loaded = await asyncio.gather(*(storage.load(session.header.session_id) for session in sessions))
        assert [found.session if found else None for found in loaded] == sessions
    assert len(await place.headers()) == 60


@pytest.mark.parametrize("versions", [1, 2])
async def test_session_is_removed(place: Place, versions: int) -> None:
    """Nothing of it is left, no older content either; another session stays."""
    session_id = a_session().header.session_id
    async with place.reopen() as storage:
        await storage.save(a_session(2))
        for version in range(versions):
            await storage.save(a_session(version=version))
        await storage.remove(session_id)
        await storage.remove(session_id)
        assert await storage.load(session_id) is None
        assert storage.status().sessions == 1
    assert await place.headers() == {a_session(2).header.session_id: 1}


async def test_session_is_archived(place: Place) -> None:
    """It is not there any more, and does not come back at the next start."""
    session_id = a_session().header.session_id
    async with place.reopen() as storage:
        await storage.save(a_session())
        await storage.archive(session_id, 1.7e9)
        await storage.archive(session_id, 1.7e9)
        assert await storage.load(session_id) is None
        assert storage.status().sessions == 0
    assert await place.headers() == {}


async def test_session_comes_back_after_its_removal(place: Place) -> None:
    """A new session may have the id of one that was removed."""
    session_id = a_session().header.session_id
    async with place.reopen() as storage:
        await storage.save(a_session(version=7, old=True))
        await storage.remove(session_id)
        await storage.save(a_session(version=1, new=True))
        loaded = await storage.load(session_id)
        assert loaded is not None
        assert loaded.session.state == {"new": True}
    assert await place.headers() == {session_id: 1}


async def test_place_that_another_daemon_uses(tmp_path: Path) -> None:
    """Two daemons on one folder would overwrite each other: the second is refused, with advice."""
    first, second = FileStorage(tmp_path / "data"), FileStorage(tmp_path / "data")
    await first.open()
    with pytest.raises(StorageError, match="--data-dir"):
        await second.open()
    await second.close()
    await first.save(a_session())
    await first.close()
    third = FileStorage(tmp_path / "data")
    assert len((await third.open()).sessions) == 1
    await third.close()
