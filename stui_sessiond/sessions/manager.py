"""The SessionManager: the one who decides what happens to sessions, in what order, and when it counts.

Guarantees: a change is stored before its success is reported and before anyone sees it; changes to one session happen
one after the other, in the order asked; different sessions never wait for each other; every session that is stored is
known, only a bounded number is held in memory.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from stui_sessiond.errors import KeyReusedError, SessionLimitError, SessionNotFoundError
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.event import News
from stui_sessiond.model.machine import Who
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.model.session import HistoryEntry, Role, Session, SessionHeader, Status
from stui_sessiond.sessions import history, ledger, transitions
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.ledger import Once
from stui_sessiond.sessions.retention import LifeRules, Retention
from stui_sessiond.sessions.shared_state import nobody, participant, require_free, require_revert
from stui_sessiond.sessions.shelf import Entry
from stui_sessiond.sessions.telling import state_event
from stui_sessiond.sessions.transitions import Change, NewSession
from stui_sessiond.storage.api import Loaded

LEDGER = ledger.LedgerRules()


class Totals(msgspec.Struct, frozen=True):
    """Counts over all active sessions."""

    sessions: int
    clients: int


class SessionManager:
    """Owns all sessions of the daemon."""

    def __init__(
        self,
        keeper: Keeper,
        life: LifeRules,
    ) -> None:
        self.rules = keeper.validator.rules
        self.life = life
        self._keeper = keeper
        self._clock = keeper.clock
        self._shelf = keeper.shelf
        self._retention = Retention(keeper, life)
        self._starting: Counter[ClientId] = Counter()
        self._creating: dict[tuple[ClientId, str], asyncio.Future[Session]] = {}
        self._next_number = 1

    # ---- start and stop

    async def open(self) -> None:
        """Open the storage and learn what is in it.

        Raises:
            StorageError: the storage cannot be used.
        """
        damaged = await self._keeper.open()
        numbers = [
            int(session_id.split("_")[1])
            for session_id in (*(entry.header.session_id for entry in self._shelf.entries()), *damaged)
            if self._keeper.validator.is_session_id(session_id)  # a file somebody put there may be called anything
        ]
        self._next_number = max(numbers, default=0) + 1

    async def close(self) -> None:
        """Store what is only in memory (times of activity), then close the storage."""
        await self._keeper.settle()
        await self.autosave()
        await self._keeper.close()

    # ---- the seven session commands

    async def create(self, wish: NewSession) -> Session:
        """Start a session; with a key that was used before, hand over the one that was started then.

        Raises:
            ParameterError, ClientNotAllowedError: refused by the validator.
            SessionLimitError: the client has as many active sessions as it may have.
            StorageError: it could not be stored.
        """
        validator = self._keeper.validator
        client = validator.admit_client(wish.client_id)
        for field, text in (("name", wish.name), ("image_id", wish.image_id)):
            validator.check_text(text, field)
        timeout_s = validator.timeout_s(wish.timeout_s)
        if wish.key is None:
            return await self._create(client, timeout_s, wish)
        for header in list(self._shelf.of_client(client)):
            if _same_key(header.key, wish.key):
                with suppress(SessionNotFoundError):  # it is just being deleted, and its key with it
                    async with self._keeper.hold(header.session_id) as entry:
                        return await self._keeper.load(entry)
        for (other, key), under_way in self._creating.items():
            if other == client and _same_key(key, wish.key):
                return await asyncio.shield(under_way)
        place = (client, wish.key)
        made = self._creating[place] = asyncio.ensure_future(self._create(client, timeout_s, wish))
        made.add_done_callback(lambda _: self._creating.pop(place))
        return await asyncio.shield(made)

    async def _create(self, client: ClientId, timeout_s: float, wish: NewSession) -> Session:
        self._check_room(client)
        now = self._clock()
        session = transitions.create(self._new_id(now), client, timeout_s, wish, now)
        size_bytes = self._keeper.validator.measure(session)
        self._check_client_bytes(client, size_bytes)
        entry = Entry(session.header, size_bytes)
        with self._starting_one(client):
            news = [self._keeper.news("session.created", {"client_id": client, "version": 1})]
            if session.machine is not None:
                news.append(
                    self._keeper.news("machine.declared", {"client_id": client, "machine_version": 1, "version": 1})
                )
            return await self._keeper.begin(entry, session, news)

    async def restore(self, session_id: str, client_id: str | None = None, *, reopen: bool = False) -> Loaded:
        """Hand over a session whole; with `reopen` also one that expired or was closed.

        Raises:
            SessionNotFoundError, SessionClosedError, SessionExpiredError: there is none to hand over.
            SessionNotOwnedError, ClientNotAllowedError: not to this client.
            SessionLimitError: reopening it would be one session too many.
            StorageError: it cannot be read.
        """
        async with self._keeper.hold(session_id, client_id) as entry:
            now = self._clock()
            status = entry.header.status(now)
            if status is not Status.ACTIVE and not reopen:
                self._require_active(entry)
            loaded = await self._keeper.load_noted(entry)
            session = loaded.session
            if status is not Status.ACTIVE:
                self._check_room(entry.header.client_id)
                session = transitions.reopen(session, now)
                with self._starting_one(entry.header.client_id):
                    news = (self._keeper.news("session.reopened", {"version": session.header.version}),)
                    session = await self._keeper.store(entry, session, news)
                entry.announced_expiry = False
            self._keeper.touch(entry)
            return replace(loaded, session=replace(session, header=entry.header))

    async def update(
        self,
        session_id: str,
        change: Change,
        client_id: str | None = None,
        *,
        by: str | None = None,
        once: Once | None = None,
    ) -> Session:
        """Change a session's state. `client_id`, if given, has to be the owner; `by` is who asked, for the history.

        Raises:
            SessionError: it is not there, over, or not at the expected version.
            ParameterError, SessionTooLargeError: the change is not acceptable.
            RequestError: it was carried out before, and what came of it cannot be told.
            StorageError: it could not be stored; nothing changed.
        """
        async with self._keeper.hold(session_id, client_id) as entry:
            self._require_active(entry)
            if (before := await self.repeated(entry, once)) is not None:
                return before
            session = await self._keeper.load(entry)
            who = by or client_id
            require_free(session)
            changed = transitions.update(session, change, self._clock(), self.rules.max_bytes)
            event = state_event(session, who, change.mode.value)
            return await self.advance(entry, session, changed, who, "updated", event, once)

    async def end(self, session_id: str, *, keep: bool) -> SessionHeader:
        """Close a session, keeping what is stored for the retention time or deleting it.

        Raises:
            SessionNotFoundError, SessionClosedError: there is none to close.
            StorageError: it is as it was.
        """
        async with self._keeper.hold(session_id) as entry:
            header = entry.header
            transitions.require_open(header, self.life.retention_s)
            news = [self._keeper.news("session.closed", {"kept": keep})]
            session = await self._keeper.load(entry)
            if keep:
                session = transitions.close(session, self._clock())
                requests, ended = ledger.without_waiting(session.requests)
                over = [{"debugger_id": each, "how": "terminated"} for each in ended]
                news = [*(self._keeper.news("debugger.closed", each) for each in over), *news]
                session = replace(session, requests=requests)
                await self._keeper.store(entry, session, news, requests=list(ended.values()))
            else:
                await self._keeper.remove(entry, session, news)
            return header

    def header(self, session_id: str) -> SessionHeader:
        """Tell about a session, also an expired one.

        Raises:
            SessionNotFoundError, SessionClosedError: there is none.
        """
        return self.outline(session_id)[0]

    def outline(self, session_id: str) -> tuple[SessionHeader, int]:
        """Tell about a session, and how large what is in it is.

        Raises:
            SessionNotFoundError, SessionClosedError: there is none.
        """
        entry = self._keeper.find(session_id)
        transitions.require_open(entry.header, self.life.retention_s)
        return entry.header, entry.size_bytes

    def find(self, session_id: SessionId) -> SessionHeader | None:
        """Look a session up, whatever has become of it."""
        entry = self._shelf.find(session_id)
        return None if entry is None else entry.header

    def size_bytes(self, session_id: str) -> int:
        """Size of what is in a session.

        Raises:
            SessionNotFoundError: there is none.
        """
        return self._keeper.find(session_id).size_bytes

    def of_client(self, client_id: str, *, inactive: bool = False) -> list[SessionHeader]:
        """List a client's sessions, oldest first."""
        now = self._clock()
        headers = self._shelf.of_client(ClientId(client_id))
        wanted = [header for header in headers if inactive or header.status(now) is Status.ACTIVE]
        return sorted(wanted, key=lambda header: (header.created_at, header.session_id))

    def of_image(self, image_id: ImageId) -> list[SessionId]:
        """List the active sessions that belong to an image."""
        return [header.session_id for header in self._shelf.active_of_image(image_id, self._clock())]

    def count_of_image(self, image_id: ImageId) -> int:
        """Count the active sessions that belong to an image."""
        return len(self._shelf.active_of_image(image_id, self._clock()))

    def count_by_image(self) -> Mapping[ImageId, int]:
        """Count active sessions by the image they belong to."""
        counts = Counter([header.image_id for header in self._shelf.active(self._clock())])
        return {image_id: count for image_id, count in counts.items() if image_id is not None}

    @property
    def count(self) -> int:
        """How many sessions are kept, whatever has become of them."""
        return len(self._shelf)

    def newest(self, before: int | None) -> Iterator[Entry]:
        """Go through all sessions from the newest on, as `Shelf.newest`."""
        return self._shelf.newest(before)

    def totals(self) -> Totals:
        """Count active sessions and their clients."""
        active = self._shelf.active(self._clock())
        return Totals(len(active), len({header.client_id for header in active}))

    # ---- contexts

    async def save_context(
        self,
        session_id: str,
        tool_id: str,
        sections: dict[str, Any],
        *,
        into: bool = False,
        by: str | None = None,
        once: Once | None = None,
    ) -> Session:
        """Store a tool's context: exactly this, or, with `into`, put into what is stored.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        tool = self._keeper.validator.tool_id(tool_id)
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            if (before := await self.repeated(entry, once)) is not None:
                return before
            session = await self._keeper.load(entry)
            if into and tool in session.contexts:
                sections = transitions.put_into(session.contexts[tool].sections, sections)
            changed = transitions.save_context(session, tool, sections, self._clock())

            def event(session: Session, version: HistoryEntry) -> News:
                checksum = session.contexts[tool].checksum
                data = {"tool_id": tool, "version": version.version, "checksum": checksum, "client_id": by}
                return News("context.saved", data, version.at)

            return await self.advance(entry, session, changed, by, "context.saved", event, once)

    async def clear_context(self, session_id: str, tool_id: str | None, *, by: str | None = None) -> list[ToolId]:
        """Remove a tool's stored context, or all; tell which there were.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        tool = None if tool_id is None else self._keeper.validator.tool_id(tool_id)
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            session = await self._keeper.load(entry)
            changed, cleared = transitions.clear_context(session, tool)
            if cleared:

                def event(_session: Session, version: HistoryEntry) -> News:
                    data = {"tools": list(cleared), "version": version.version, "client_id": by}
                    return News("context.cleared", data, version.at)

                await self.advance(entry, session, changed, by, "context.cleared", event)
            return cleared

    async def carried_out(self, session_id: str, once: Once | None) -> Session | None:
        """The session as a request has left it, if that was carried out before.

        Raises:
            SessionError, RequestError, StorageError: as for `update`.
        """
        async with self._keeper.hold(session_id) as entry:
            return await self.repeated(entry, once)

    # ---- versions

    async def session(self, session_id: str) -> Session:
        """Hand over an active session with its history and snapshots.

        Raises:
            SessionError, StorageError: as for `restore`.
        """
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            return await self._keeper.load(entry)

    async def peek(self, session_id: str) -> Session:
        """Hand over a session, whatever has become of it.

        Raises:
            SessionNotFoundError, SessionDamagedError, StorageError: there is none to read.
        """
        async with self._keeper.hold(session_id) as entry:
            return await self._keeper.load(entry)

    async def snapshot(self, session_id: str, name: str) -> Session:
        """Keep the present version under a name.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        self._keeper.validator.check_text(name, "name")
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            session = transitions.snapshot(await self._keeper.load(entry), name, self._clock())
            news = (self._keeper.news("session.snapshot", {"name": name, "version": session.header.version}),)
            size_bytes = self._keeper.validator.measure(session)
            return await self._keeper.store(entry, session, news, size_bytes=size_bytes, whole=True)

    async def revert(
        self,
        session_id: str,
        name: str | None,
        version: int | None,
        client_id: str | None = None,
        *,
        asker: Callable[[SessionHeader], Who] = nobody,
        by: str | None = None,
        once: Once | None = None,
    ) -> Session:
        """Make the session what it was, as a new version. With a state machine that depends on who asks.

        Raises:
            VersionNotFoundError: that is not kept.
            RevertNotAllowedError, StateInvalidError: the session's state machine says no.
            SessionError, ParameterError, StorageError: as for `update`.
        """
        async with self._keeper.hold(session_id, client_id) as entry:
            self._require_active(entry)
            if (before := await self.repeated(entry, once)) is not None:
                return before
            session = await self._keeper.load(entry)
            changed = session.with_document(transitions.document_of(session, name, version))
            require_revert(session, changed.state, participant(session, asker(session.header)))
            who = by or client_id
            return await self.advance(
                entry, session, changed, who, "reverted", state_event(session, who, "revert"), once
            )

    async def share(self, session_id: str, client_id: str, role: Role, *, by: str | None) -> SessionHeader:
        """Let another client take part in a session, in this role; `none` ends it.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        client = self._keeper.validator.admit_client(client_id)
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            session = transitions.share(await self._keeper.load(entry), client, role)
            news = (self._keeper.news("session.shared", {"client_id": client, "role": role, "by": by}),)
            return (await self._keeper.store(entry, session, news)).header

    async def rename(self, session_id: str, name: str | None, *, by: str | None) -> SessionHeader:
        """Call a session something else; None takes its name away.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        self._keeper.validator.check_text(name, "name")
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            data = {"name": name, "previous": entry.header.name, "client_id": by}
            session = transitions.rename(await self._keeper.load(entry), name)
            news = (self._keeper.news("session.renamed", data),)
            return (await self._keeper.store(entry, session, news)).header

    # ---- for requests that are relayed to an image

    def use(self, session_id: str, *, over: bool = False) -> SessionHeader:
        """Find an active session and count this as activity. With `over`, find one that is over as well: that stays so.

        Raises:
            SessionError: there is none, or it is over.
        """
        entry = self._keeper.find(session_id)
        if not over or entry.header.status(self._clock()) is Status.ACTIVE:
            self._require_active(entry)
            self._keeper.touch(entry)
        return entry.header

    async def bind_image(self, session_id: SessionId, image_id: ImageId) -> None:
        """Let a session without an image belong to this one from now on.

        Raises:
            SessionError, StorageError: as for `update`.
        """
        async with self._keeper.hold(session_id) as entry:
            if entry.header.image_id is None:
                session = await self._keeper.load(entry)
                await self._keeper.store(entry, transitions.bind_image(session, image_id))

    # ---- what time brings

    async def sweep(self) -> None:
        """Announce sessions that expired, and archive those whose retention is over."""
        await self._retention.sweep()

    async def autosave(self) -> None:
        """Store times of activity that changed since the last save."""
        await self._retention.autosave()

    # ---- inside

    def _new_id(self, now: float) -> SessionId:
        number = self._next_number
        self._next_number += 1
        return SessionId(f"session_{number}_{int(now)}_{secrets.token_urlsafe(18)}")

    def _check_room(self, client: ClientId) -> None:
        active = len(self.of_client(client)) + self._starting[client]
        if active >= self.rules.max_per_client:
            msg = f"client {client!r} has {active} sessions; {self.rules.max_per_client} are allowed"
            raise SessionLimitError(msg, limit=self.rules.max_per_client)

    def _check_client_bytes(self, client: ClientId, grown: int) -> None:
        if grown > 0:
            self._keeper.validator.check_client_bytes(client, self._shelf.client_bytes(client) + grown, grown)

    @contextmanager
    def _starting_one(self, client: ClientId) -> Iterator[None]:
        """Let a session that is being stored count already, so that many at once do not pass the limit."""
        self._starting[client] += 1
        try:
            yield
        finally:
            self._starting[client] -= 1
            if not self._starting[client]:
                del self._starting[client]

    def _require_active(self, entry: Entry) -> None:
        transitions.require_active(entry.header, self._clock(), self.life.retention_s)

    async def repeated(self, entry: Entry, once: Once | None) -> Session | None:
        """The session, which is held, as it was after this request, if it was carried out before.

        Raises:
            KeyReusedError: the key named another request.
            RequestError: it was, and that version is not kept any more.
        """
        if once is None:
            return None
        session = await self._keeper.load(entry)
        found = ledger.recall(session.requests, once.key, once.digest)
        if found is None:
            return None
        document = session.history.document_at(found.version or 0)
        if document is None:
            raise ledger.not_kept(found)
        header = replace(session.header, version=found.version, last_modified=found.accepted_at)
        return replace(session, header=header).with_document(document)

    async def advance(
        self,
        entry: Entry,
        old: Session,
        new: Session,
        client_id: str | None,
        what: str,
        event: Callable[[Session, HistoryEntry], News],
        once: Once | None = None,
        also: Sequence[News] = (),
        *,
        whole: bool = False,
    ) -> Session:
        """Make `new` the next version of a session that is held, durably, and tell of it; `also` is told before.

        `whole`: more of it is new than its document.

        Raises:
            SessionError, StorageError: as `update`.
        """
        size_bytes = self._keeper.validator.measure(new)
        self._check_client_bytes(entry.header.client_id, size_bytes - entry.size_bytes)
        versioned, version = history.advance(old, new, self._clock(), client_id, what, self.rules.history)
        requests: tuple[RequestEntry, ...] = ()
        if once is not None:
            requests = (ledger.carried_out(once, version),)
            noted = ledger.noted(versioned.requests, requests[0], version.at, self._keeper.ledger_rules)
            versioned = replace(versioned, requests=noted)
        news = (*also, event(versioned, version))
        return await self._keeper.store(
            entry, versioned, news, size_bytes=size_bytes, version=version, whole=whole, requests=requests
        )


def _same_key(known: str | None, asked: str) -> bool:
    """Tell whether two keys with their digests are the same.

    Raises:
        KeyReusedError: the keys are, and the digests are not.
    """
    if known is None or known.partition(":")[2] != asked.partition(":")[2]:
        return False
    if known != asked:
        msg = "the key named another create_session before"
        raise KeyReusedError(msg, command="create_session")
    return True
