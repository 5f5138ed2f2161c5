"""How is a session held, read, changed and made durable? What the managers of sessions, requests and feeds share.

Guarantees: one holder of a session at a time, in the order of asking; what is stored is the truth, nothing else; an
event is stored before anybody hears of it, in the order in which it was told; what was told and could not be stored
ends the epoch.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.errors import (
    SessionDamagedError,
    SessionNotFoundError,
    SessionNotOwnedError,
    StorageError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import News
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.model.session import HistoryEntry, Session, SessionHeader
from stui_sessiond.sessions import ledger, log
from stui_sessiond.sessions.holding import Held, HeldFromNow, Mark
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.shelf import Entry, Newsbox, Shelf
from stui_sessiond.sessions.validator import SessionValidator
from stui_sessiond.storage.api import Commit, Loaded, SessionStorage
from stui_sessiond.tasks import TaskOwner

_log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode

BEGIN_S = 0.02
"""After so long the beginning of a request is written for itself. What an image answers sooner costs one record in the
place of two: that is most of what is evaluated, also when 64 clients do so at once and each waits for the others.
Nobody sees such a delay, and a slow disk would take as long."""


class Keeper:
    """Holds the shelf of all sessions and writes through it."""

    def __init__(
        self,
        storage: SessionStorage,
        validator: SessionValidator,
        hub: Hub,
        rules: log.LogRules,
        clock: Callable[[], float],
        new_epoch: Callable[[], str] = lambda: secrets.token_hex(8),
        ledger_rules: ledger.LedgerRules | None = None,
    ) -> None:
        self.shelf = Shelf()
        self.storage = storage
        self.validator = validator
        self.hub = hub
        self.clock = clock
        self.damaged: frozenset[SessionId] = frozenset()
        self.ledger_rules = ledger_rules or ledger.LedgerRules()
        self._rules = rules
        self._new_epoch = new_epoch
        self._epoch_end = ""
        self._closed = False
        self._tasks = TaskOwner("news")
        self._beginnings: deque[_Beginning] = deque()
        """Boxes in which the beginning of a request waits, or waited, by the time at which it is written."""
        self._alarm: asyncio.TimerHandle | None = None

    async def open(self) -> frozenset[SessionId]:
        """Open the storage and learn what is in it; tell which sessions are damaged beyond use.

        Raises:
            StorageError: the storage cannot be used.
        """
        opened = await self.storage.open()
        if opened.incarnation:  # what was told after the backup may be known to clients, and is not here
            self._epoch_end = f".{opened.incarnation}"
        for stored in sorted(
            opened.sessions, key=lambda stored: stored.header.created_at
        ):  # lists show the newest first
            entry = Entry(stored.header, stored.size_bytes)
            if not entry.header.epoch or not entry.header.epoch.endswith(self._epoch_end):
                self.end_epoch(entry)
            self.shelf.add(entry)
        self.damaged = opened.damaged
        _log.info("sessions.opened", stored=len(self.shelf), damaged=len(self.damaged))
        return opened.damaged

    # ---- finding and holding

    def find(self, session_id: str) -> Entry:
        """Look a session up.

        Raises:
            ParameterError: that is no id.
            SessionNotFoundError, SessionDamagedError: there is none to use.
        """
        entry = self.shelf.find(SessionId(session_id))
        if entry is not None:
            return entry
        known = self.validator.session_id(session_id)
        if known in self.damaged:
            msg = f"session {known} cannot be read; its files are in quarantine"
            raise SessionDamagedError(msg, session_id=known)
        msg = f"there is no session {known}"
        raise SessionNotFoundError(msg, session_id=known)

    def hold(self, session_id: str, client_id: str | None = None) -> Held:
        """Have a session to oneself, in the order of asking. `client_id`, if given, has to be the owner.

        Entering it raises:
            SessionNotOwnedError, ClientNotAllowedError: not for this client.
            ParameterError, SessionNotFoundError, SessionDamagedError: as `find`.
        """
        return Held(self, session_id, client_id)

    def admit(self, session_id: str, client_id: str | None) -> Entry:
        """Look a session up for somebody; see `hold`."""
        entry = self.find(session_id)
        owner = self.validator.admit_client(entry.header.client_id)
        if client_id is not None and client_id != owner and entry.header.role_of(client_id) == "none":
            msg = f"session {entry.header.session_id} belongs to another client"
            raise SessionNotOwnedError(msg, session_id=entry.header.session_id)
        return entry

    # ---- reading

    async def load(self, entry: Entry) -> Session:
        """Read a session that is held.

        Raises:
            StorageError: it cannot be read.
        """
        return (await self.load_noted(entry)).session

    async def load_noted(self, entry: Entry) -> Loaded:
        """Read a session that is held, with what is wrong with it.

        Raises:
            StorageError: it cannot be read.
        """
        session_id = entry.header.session_id
        held = self.shelf.content(session_id)
        if held is not None:
            return held
        loaded = await self.storage.load(session_id)
        if loaded is None:
            msg = f"session {session_id} is not in the storage any more"
            raise SessionDamagedError(msg, session_id=session_id)
        if loaded.session.header.version != entry.header.version:  # damaged: believe what can be read
            self.shelf.change(entry, loaded.session.header, entry.size_bytes)
            if not entry.header.epoch:
                self.end_epoch(entry)
        # closing, reopening and binding count no version: what is known is as new or newer
        loaded = replace(loaded, session=_with_header_of(entry, loaded.session))
        self.shelf.hold(loaded, entry.size_bytes)
        return loaded

    # ---- writing

    async def store(
        self,
        entry: Entry,
        session: Session,
        news: Sequence[News] = (),
        *,
        size_bytes: int | None = None,
        version: HistoryEntry | None = None,
        requests: Sequence[RequestEntry] = (),
        whole: bool = False,
        mark: Mark | None = None,
        answer_first: bool = False,
    ) -> Session:
        """Make a session durable with what happened to it, and only then the truth; then tell who listens.

        What was told by `post` before, or before `mark`, goes first. The newest time of activity is stored with it.
        With `answer_first`, `news` and what follows is told when whoever stores it has gone on, that is, has answered.

        Raises:
            StorageError: nothing of it happened, except that news told before is lost and the epoch ends.
        """
        before, behind = self._take_news(entry, mark)
        base = entry.header
        activity = max(session.header.last_activity, base.last_activity)
        session = _brought_up(session, activity, base)
        told = (*before, *news, *behind)
        if told:
            session, requests = self._with_begun(session, told, requests)
            session, events = log.append(session, told, base.epoch or self._another_epoch(), self.clock(), self._rules)
        else:
            events = ()
        size_bytes = entry.size_bytes if size_bytes is None else size_bytes
        change = Commit(session, size_bytes, base.version, version, whole, base.seq, events, requests)
        try:
            await self.storage.commit(change)
        except BaseException:
            if before or behind:
                self.end_epoch(entry)
            raise
        newest = entry.header.last_activity
        header = (
            replace(session.header, last_activity=newest) if newest > activity else session.header
        )  # used meanwhile
        self.shelf.change(entry, header, size_bytes)
        entry.saved_activity = activity
        self.shelf.hold(Loaded(session), size_bytes)
        if answer_first and self.hub.is_heard(header.session_id):
            self.hub.deliver(session, events[: len(before)])
            asyncio.get_running_loop().call_soon(self.hub.deliver, session, events[len(before) :])
        else:
            self.hub.deliver(session, events)
        return session

    def _with_begun(
        self, session: Session, told: Sequence[News], requests: Sequence[RequestEntry]
    ) -> tuple[Session, Sequence[RequestEntry]]:
        """Put into the book what has begun and not ended in the same record."""
        ended = {one.key for one in requests}
        begun = [one.begins for one in told if one.begins is not None and one.begins.key not in ended]
        if not begun:
            return session, requests
        book = session.requests
        noted = list(requests)
        for one in begun:
            for each in ledger.begun(book, one):
                book = ledger.noted(book, each, self.clock(), self.ledger_rules)
                noted.append(each)
        return replace(session, requests=book), noted

    async def begin(self, entry: Entry, session: Session, news: Sequence[News]) -> Session:
        """Make a new session durable, and only then known.

        Raises:
            StorageError: there is none.
        """
        session, events = log.append(session, news, self._another_epoch(), self.clock(), self._rules)
        await self.storage.commit(Commit(session, entry.size_bytes, 0, whole=True))
        entry.header = session.header
        self.shelf.add(entry)
        self.shelf.hold(Loaded(session), entry.size_bytes)
        self.hub.deliver(session, events)
        return session

    async def remove(self, entry: Entry, session: Session, news: Sequence[News]) -> None:
        """Delete a session for good, and tell who listens: nobody can read that in its log later.

        Raises:
            StorageError: it is as it was.
        """
        await self.storage.remove(entry.header.session_id)
        news = (*self._take_news(entry)[0], *news)
        told, events = log.append(session, news, self._another_epoch(), self.clock(), self._rules)
        self.hub.deliver(told, events)
        self.shelf.remove(entry)
        self.hub.forget(entry.header.session_id)

    def news(self, name: str, data: dict[str, Any]) -> News:
        """Make a piece of news that happens now."""
        return News(name, data, self.clock())

    def hold_from_now(self, session_id: SessionId) -> HeldFromNow:
        """Have a session to oneself, with a mark of the moment of asking.

        What is told of it from now on comes behind what is stored with the mark, however long it takes.

        Entering it raises:
            ParameterError, SessionNotFoundError, SessionDamagedError, ClientNotAllowedError: as `hold`.
        """
        return HeldFromNow(self, session_id)

    def post(self, entry: Entry, name: str, data: dict[str, Any]) -> None:
        """Let something be stored and told soon, after all that was told before. Never blocks.

        More than the disk takes is counted, and told as `gap`; so is what could not be stored, by another epoch.
        """
        news = self._newsbox(entry)
        if news is not None:
            news.put(News(name, data, self.clock()), len(_encode(data)))

    def post_beginning(self, session_id: SessionId, *news: News) -> None:
        """Let a request be in the book with whatever is stored next of its session, and after `BEGIN_S` at the latest.

        Never blocks. If it cannot be stored, that is as with all that was told: another epoch begins.
        """
        entry = self.shelf.find(session_id)
        if entry is None or self._closed:
            return
        if entry.news is None:
            entry.news = Newsbox()
        entry.news.begin(*news)
        loop = asyncio.get_running_loop()
        self._beginnings.append(_Beginning(loop.time() + BEGIN_S, entry, entry.news))
        if self._alarm is None:
            self._alarm = loop.call_later(BEGIN_S, self._write_beginnings)

    def _write_beginnings(self, *, everything: bool = False) -> None:
        """Write what has waited long enough, unless it has gone with something else meanwhile."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._beginnings and (everything or self._beginnings[0].due <= now):
            _, entry, box = self._beginnings.popleft()
            if entry.news is box:
                self.write_soon(entry)
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_at(self._beginnings[0].due, self._write_beginnings) if self._beginnings else None

    def begun(self, entry: Entry) -> list[RequestEntry]:
        """The requests whose beginning waits to be stored."""
        return [] if entry.news is None else entry.news.begun()

    def miss(self, session_id: SessionId, reason: str) -> None:
        """Let it be told in its place, as `gap`, that something happened which is not taken. Never blocks."""
        entry = self.shelf.find(session_id)
        news = None if entry is None else self._newsbox(entry)
        if news is not None:
            news.miss(reason)

    def _newsbox(self, entry: Entry) -> Newsbox | None:
        """Where news of a session waits to be stored; None when nothing is stored any more."""
        if self._closed:
            return None
        if entry.news is None:
            entry.news = Newsbox()
            self.write_soon(entry)
        return entry.news

    def write_soon(self, entry: Entry) -> None:
        """Store what was told of a session, as soon as nobody holds it."""
        self._tasks.start(self._write_news(entry), f"news.{entry.header.session_id}")

    def post_to(self, session_id: SessionId, name: str, data: dict[str, Any]) -> None:
        """Do that for a session by its id, if it is there."""
        entry = self.shelf.find(session_id)
        if entry is not None:
            self.post(entry, name, data)

    async def settle(self) -> None:
        """Wait until all that was told is stored, or lost."""
        while self._beginnings or len(self._tasks):
            self._write_beginnings(everything=True)
            await self._tasks.drain(None)

    async def close(self) -> None:
        """Store what was told, then let go of the storage. What is told from now on is not kept.

        Raises:
            StorageError: see `SessionStorage.close`.
        """
        await self.settle()
        self._closed = True
        await self.storage.close()

    async def _write_news(self, entry: Entry) -> None:
        async with entry.lock:
            if entry.news is None:  # somebody else has stored it with a change
                return
            if self.shelf.find(entry.header.session_id) is not entry:
                entry.news = None
                return
            try:
                session = await self.load(entry)
                await self.store(entry, session)
            except StorageError as error:
                entry.news = None
                self.end_epoch(entry)
                _log.warning("session.events_lost", session_id=entry.header.session_id, code=error.code)

    def _take_news(self, entry: Entry, mark: Mark | None = None) -> tuple[Sequence[News], Sequence[News]]:
        """Take what was told and waits: before a mark (without one, all), and behind it."""
        box = entry.news
        if box is None:
            return (), ()
        if mark is None:
            before, behind = box.take(self.clock())
        elif mark.box is box and mark.fence is not None:
            before, behind = box.take(self.clock(), mark.fence)
        else:
            behind, before = box.take(self.clock())
        if not box:
            entry.news = None
        return before, behind

    def end_epoch(self, entry: Entry) -> None:
        """Take note that events are lost: another epoch begins, so that who listens from now on misses nothing."""
        entry.header = replace(entry.header, epoch=self._another_epoch(), seq=0)
        held = self.shelf.content(entry.header.session_id)
        if held is not None:
            session = replace(held.session.without_events(), header=entry.header)
            self.shelf.hold(replace(held, session=session), entry.size_bytes)

    def _another_epoch(self) -> str:
        return self._new_epoch() + self._epoch_end

    def touch(self, entry: Entry) -> None:
        """Count as activity now."""
        entry.header = replace(entry.header, last_activity=max(self.clock(), entry.header.last_activity))


class _Beginning(NamedTuple):
    due: float
    """By the loop's clock."""
    entry: Entry
    box: Newsbox


def _brought_up(session: Session, activity: float, base: SessionHeader) -> Session:
    """The session as it is to be stored: with the newest time of activity, and its events go on from `base`."""
    header = session.header
    if (header.last_activity, header.epoch, header.seq) == (activity, base.epoch, base.seq):
        return session
    return replace(session, header=replace(header, last_activity=activity, epoch=base.epoch, seq=base.seq))


def _with_header_of(entry: Entry, session: Session) -> Session:
    """What is known of a session is as new as what was read, or newer; only not of its events."""
    log_kept = session.header.position == entry.header.position
    return replace(session if log_kept else session.without_events(), header=entry.header)
