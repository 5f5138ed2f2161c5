"""A SessionManager with everything around it, in memory, with a clock to turn by hand."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from stui_sessiond.counting import Histogram
from stui_sessiond.ids import ClientId, ConnectionId, SessionId
from stui_sessiond.model.event import Event, Position
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.security.access import Access, AccessLists, AccessRules
from stui_sessiond.sessions.custody import CustodyTable
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.feed import Feed, Start
from stui_sessiond.sessions.hub import Hub, Subscription
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.sessions.retention import LifeRules
from stui_sessiond.sessions.transitions import Change, NewSession
from stui_sessiond.sessions.validator import SessionRules, SessionValidator
from stui_sessiond.storage.api import BackupInfo, Commit, Loaded, Opened, SessionStorage, StorageStatus, Survey
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.wire.bundle import Bundle
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
        self.incarnation = ""

    async def open(self) -> Opened:
        """List what is there."""
        opened = await self.inner.open()
        return Opened(opened.sessions, self.damaged, self.incarnation)

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

    async def checkpoint(self) -> None:
        await self.inner.checkpoint()

    def stalled_s(self) -> float:
        return self.inner.stalled_s()

    def status(self) -> StorageStatus:
        """Tell how it is."""
        return self.inner.status()

    def sync_times(self) -> Histogram | None:
        """How long writing took, if anything is written."""
        return self.inner.sync_times()

    async def survey(self) -> Survey:
        """Look at the disk, if there is one."""
        return await self.inner.survey()

    def _maybe_fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Heard(NamedTuple):
    """An event as a subscriber heard of it."""

    name: str
    seq: int
    data: dict[str, Any]
    epoch: str = ""


class Listener:
    """A subscriber; `room` is how many more events it takes before it has to be `drained`."""

    def __init__(
        self, client_id: str | None = None, connection_id: str | None = None, *, role: str | None = None
    ) -> None:
        self.client_id = client_id
        self.connection_id = None if connection_id is None else ConnectionId(connection_id)
        self.role = role
        self.token_name: str | None = None
        self.room: int | None = None
        self.heard: list[Heard] = []
        self.by_session: dict[SessionId | None, list[Heard]] = {}
        self.subscriptions: dict[SessionId, Subscription] = {}
        self.behind: list[Subscription] = []
        self.gone: list[SessionId] = []

    @property
    def confined_to(self) -> str | None:
        """The client whose role decides what it may look at."""
        return None if self.role == "observer" else self.client_id

    def has_room(self) -> bool:
        """Tell whether another event is taken."""
        return self.room is None or self.room > 0

    def deliver(self, message: bytes) -> None:
        """Take an event."""
        told = json.loads(message)
        heard = Heard(told["event"], told["seq"], told["data"], told["epoch"])
        self.heard.append(heard)
        self.by_session.setdefault(told["session_id"], []).append(heard)
        if self.room is not None:
            self.room -= 1

    def take(self, bundle: Bundle) -> bool:
        """Take events, if there is room."""
        if not self.has_room():
            return False
        for message in bundle.messages:
            self.deliver(message)
        return True

    def joined(self, subscription: Subscription) -> None:
        """Take note of a subscription."""
        self.subscriptions[subscription.session_id] = subscription

    def fell_behind(self, subscription: Subscription) -> None:
        """Take note that there are events in the log."""
        self.behind.append(subscription)

    def unsubscribed(self, subscription: Subscription) -> None:
        """Take note that no more will come."""
        self.gone.append(subscription.session_id)
        self.subscriptions.pop(subscription.session_id, None)

    @property
    def names(self) -> list[str]:
        """List the names of what was heard."""
        return [each.name for each in self.heard]

    @property
    def numbers(self) -> list[int]:
        """List the `seq` of what was heard."""
        return [each.seq for each in self.heard]


def encode(
    name: str, session_id: SessionId | None, position: Position, data: dict[str, Any] | msgspec.Raw, at: float
) -> bytes:
    """Write an event as the tests read it."""
    told = {"event": name, "session_id": session_id, "epoch": position.epoch, "seq": position.seq, "at": at}
    return msgspec.json.encode({**told, "data": data})


class House:
    """A manager and what it was built from; `heard` has every event of the sessions that `create` made."""

    def __init__(
        self,
        storage: SessionStorage | None = None,
        clock: FakeClock | None = None,
        rules: SessionRules | None = None,
        clients: AccessLists = EVERYONE,
        life: LifeRules | None = None,
        log: LogRules | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.storage = storage or MemoryStorage()
        self.listener = Listener()
        serial = itertools.count(next(_houses) * 1000 + 1)
        self.hub = Hub(encode, self.clock, "daemon")
        validator = SessionValidator(rules or SessionRules(), Access(AccessRules(clients=clients)))
        life = life or LifeRules()
        self.keeper = Keeper(
            self.storage, validator, self.hub, log or LogRules(), self.clock, lambda: f"epoch-{next(serial)}"
        )
        self.manager = SessionManager(self.keeper, life)
        self.driving = Driving(self.keeper, self.hub, self.clock)
        self.feed = Feed(self.keeper, self.hub, self.driving, life.retention_s)
        self.custody = CustodyTable()
        self.book = RequestBook(self.keeper, self.custody)

    @property
    def heard(self) -> dict[SessionId | None, list[Heard]]:
        """What was heard, by session."""
        return self.listener.by_session

    async def create(self, client: str = "ada", **wishes: Any) -> SessionId:  # noqa: ANN401 -- fields of NewSession
        """Start a session and listen to it."""
        session = await self.manager.create(NewSession(client_id=client, **wishes))
        await self.listen(session.header.session_id, self.listener)
        return session.header.session_id

    async def listen(
        self, session_id: str, listener: Listener, since: Position | None = None, *, deltas: bool = False
    ) -> Start:
        """Subscribe as a connection does: the answer first, then what is missing, then what comes."""
        start = await self.feed.subscribe(session_id, listener, since, deltas=deltas)
        if not self.feed.begin(start.subscription):
            listener.fell_behind(start.subscription)
            await self.drained(listener)
        return start

    async def drained(self, listener: Listener) -> None:
        """Go on with what the listener missed, as far as it has room."""
        while listener.behind and listener.has_room():
            await self.feed.catch_up(listener.behind.pop(0))

    async def put(self, session_id: str, **state: Any) -> Session:  # noqa: ANN401 -- any JSON
        """Replace a session's state."""
        return await self.manager.update(session_id, Change(state))

    async def state(self, session_id: str) -> dict[str, Any]:
        """Read a session's state."""
        return (await self.manager.restore(session_id)).session.state

    async def log(self, session_id: str) -> list[Event]:
        """Read what is kept of a session's events."""
        return list((await self.manager.session(session_id)).log.events)

    async def tell(self, session_id: str, *names: str, **data: Any) -> None:  # noqa: ANN401 -- any JSON
        """Let events of these names happen, and wait until they are stored."""
        self.post(session_id, *names, **data)
        await self.keeper.settle()

    def post(self, session_id: str, *names: str, **data: Any) -> None:  # noqa: ANN401 -- any JSON
        """Let events of these names happen."""
        for name in names:
            self.keeper.post(self.keeper.find(session_id), name, data)

    def position(self, session_id: str) -> Position:
        """Tell where a session's events are."""
        return self.keeper.find(session_id).header.position

    def names(self, session_id: SessionId) -> list[str]:
        """List the names of the events of a session."""
        return [heard.name for heard in self.heard.get(session_id, [])]


_houses = itertools.count(1)
"""Epochs are never the same in two houses."""


@asynccontextmanager
async def open_house(
    storage: SessionStorage | None = None,
    clock: FakeClock | None = None,
    rules: SessionRules | None = None,
    clients: AccessLists = EVERYONE,
    life: LifeRules | None = None,
    log: LogRules | None = None,
) -> AsyncIterator[House]:
    """Open a manager, and close it at the end."""
    house = House(storage, clock, rules, clients, life, log)
    await house.manager.open()
    try:
        yield house
    finally:
        await house.manager.close()
