"""A SessionManager with everything around it, in memory, with a clock to turn by hand."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from stui_sessiond.ids import ClientId, SessionId
from stui_sessiond.model.event import Event
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.retention import LifeRules
from stui_sessiond.sessions.transitions import Change, NewSession
from stui_sessiond.sessions.validator import AccessLists, SessionRules, SessionValidator
from stui_sessiond.storage.api import BackupInfo, Commit, Loaded, Opened, SessionStorage, StorageStatus
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.clock import FakeClock

EVERYONE = AccessLists()


def a_session(number: int = 1, *, version: int = 1, client: str = "ada", **state: Any) -> Session:  # noqa: ANN401 -- any JSON
    """Make a session as the manager would."""
    header = SessionHeader(
        session_id=SessionId(f"session_{number}_1700000000_abc"),
        client_id=ClientId(client),
        created_at=1.7e9,
        last_modified=1.7e9,
        last_activity=1.7e9,
        timeout_s=3600.0,
        version=version,
    )
    return Session(header=header, state=state)


class TestStorage:
    """A MemoryStorage whose saves can be held back (`gate`) and whose calls can be made to fail (`failure`)."""

    __test__ = False

    def __init__(self, inner: MemoryStorage | None = None) -> None:
        self.inner = inner or MemoryStorage()
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.saving: asyncio.Queue[Session] = asyncio.Queue()
        self.loads = 0
        self.commits: list[Commit] = []
        self.damage: dict[SessionId, Loaded] = {}
        self.damaged: frozenset[SessionId] = frozenset()

    async def open(self) -> Opened:
        """List what is there."""
        opened = await self.inner.open()
        return Opened(opened.sessions, self.damaged)

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Read a session; what the test put into `damage`, if there is something for it."""
        self.loads += 1
        self._maybe_fail()
        return self.damage.get(session_id) or await self.inner.load(session_id)

    async def commit(self, change: Commit) -> None:
        """Keep a session, once the gate is open."""
        self.saving.put_nowait(change.session)
        gate = self.gate
        if gate is not None:
            await gate.wait()
        self._maybe_fail()
        self.commits.append(change)
        await self.inner.commit(change)

    async def remove(self, session_id: SessionId) -> None:
        """Forget a session."""
        self._maybe_fail()
        await self.inner.remove(session_id)

    async def archive(self, session_id: SessionId, at: float) -> None:
        """Put a session aside."""
        self._maybe_fail()
        await self.inner.archive(session_id, at)

    async def back_up(self, reason: str) -> BackupInfo:
        """Refuse, as what is inside does."""
        self._maybe_fail()
        return await self.inner.back_up(reason)

    async def close(self) -> None:
        """Let go."""

    def status(self) -> StorageStatus:
        """Tell how it is."""
        return self.inner.status()

    def _maybe_fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Heard(NamedTuple):
    """An event as a subscriber heard of it."""

    name: str
    seq: int
    data: dict[str, Any]


class House:
    """A manager and what it was built from; `events` has everything that was published."""

    def __init__(
        self,
        storage: SessionStorage | None = None,
        clock: FakeClock | None = None,
        rules: SessionRules | None = None,
        clients: AccessLists = EVERYONE,
        life: LifeRules | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.storage = storage or MemoryStorage()
        self.heard: dict[SessionId, list[Heard]] = {}
        self.gone: list[SessionId] = []
        serial = itertools.count(1)
        self.hub = Hub(self._encode, self.clock, lambda: f"epoch-{next(serial)}")
        validator = SessionValidator(rules or SessionRules(), clients)
        self.manager = SessionManager(self.storage, validator, self.hub, life or LifeRules(), self.clock)

    def _encode(self, event: Event) -> bytes:
        self.heard.setdefault(event.session_id, []).append(Heard(event.name, event.position.seq, event.data))
        return b"event"

    def deliver(self, message: bytes) -> None:
        """Be a subscriber; what is heard was noted when it was encoded."""

    def unsubscribed(self, session_id: SessionId) -> None:
        """Take note that there will be no more events of a session."""
        self.gone.append(session_id)

    async def create(self, client: str = "ada", **wishes: Any) -> SessionId:  # noqa: ANN401 -- fields of NewSession
        """Start a session and listen to it."""
        session = await self.manager.create(NewSession(client_id=client, **wishes))
        self.hub.subscribe(session.header.session_id, self)
        return session.header.session_id

    async def put(self, session_id: str, **state: Any) -> Session:  # noqa: ANN401 -- any JSON
        """Replace a session's state."""
        return await self.manager.update(session_id, Change(state))

    async def state(self, session_id: str) -> dict[str, Any]:
        """Read a session's state."""
        return (await self.manager.restore(session_id)).session.state

    def names(self, session_id: SessionId) -> list[str]:
        """List the names of the events of a session."""
        return [heard.name for heard in self.heard.get(session_id, [])]


@asynccontextmanager
async def open_house(
    storage: SessionStorage | None = None,
    clock: FakeClock | None = None,
    rules: SessionRules | None = None,
    clients: AccessLists = EVERYONE,
    life: LifeRules | None = None,
) -> AsyncIterator[House]:
    """Open a manager, and close it at the end."""
    house = House(storage, clock, rules, clients, life)
    await house.manager.open()
    try:
        yield house
    finally:
        await house.manager.close()
