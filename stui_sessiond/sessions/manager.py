"""The SessionManager: the one who decides what happens to sessions, in what order, and when it counts.

Guarantees: a change is stored before its success is reported and before anyone sees it; changes to one session happen
one after the other, in the order asked; different sessions never wait for each other; every session that is stored is
known, only a bounded number is held in memory.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.errors import (
    SessionDamagedError,
    SessionLimitError,
    SessionNotFoundError,
    SessionNotOwnedError,
)
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.session import HistoryEntry, Session, SessionHeader, Status
from stui_sessiond.sessions import history, transitions
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.retention import LifeRules, Retention
from stui_sessiond.sessions.shelf import Entry, Shelf
from stui_sessiond.sessions.transitions import Change, NewSession
from stui_sessiond.sessions.validator import SessionValidator
from stui_sessiond.storage.api import Commit, Loaded, SessionStorage

_log = structlog.get_logger(__name__)


class Totals(msgspec.Struct, frozen=True):
    """Counts over all active sessions."""

    sessions: int
    clients: int


class SessionManager:
    """Owns all sessions of the daemon."""

    def __init__(
        self,
        storage: SessionStorage,
        validator: SessionValidator,
        hub: Hub,
        life: LifeRules,
        clock: Callable[[], float],
    ) -> None:
        self.rules = validator.rules
        self.life = life
        self._storage = storage
        self._validator = validator
        self._hub = hub
        self._clock = clock
        self._shelf = Shelf()
        self._retention = Retention(self._shelf, storage, hub, life, clock, self._save_header)
        self._starting: Counter[ClientId] = Counter()
        self._damaged: frozenset[SessionId] = frozenset()
        self._next_number = 1

    # ---- start and stop

    async def open(self) -> None:
        """Open the storage and learn what is in it.

        Raises:
            StorageError: the storage cannot be used.
        """
        opened = await self._storage.open()
        for stored in opened.sessions:
            self._shelf.add(Entry(stored.header, stored.size_bytes))
        self._damaged = opened.damaged
        numbers = [
            int(session_id.split("_")[1])
            for session_id in (*(stored.header.session_id for stored in opened.sessions), *opened.damaged)
            if self._validator.is_session_id(session_id)  # a file somebody put there may be called anything
        ]
        self._next_number = max(numbers, default=0) + 1
        _log.info("sessions.opened", stored=len(self._shelf), damaged=len(self._damaged))

    async def close(self) -> None:
        """Store what is only in memory (times of activity), then close the storage."""
        await self.autosave()
        await self._storage.close()

    # ---- the seven session commands

    async def create(self, wish: NewSession) -> Session:
        """Start a session.

        Raises:
            ParameterError, ClientNotAllowedError: refused by the validator.
            SessionLimitError: the client has as many active sessions as it may have.
            StorageError: it could not be stored.
        """
        client = self._validator.admit_client(wish.client_id)
        for field, text in (("name", wish.name), ("image_id", wish.image_id)):
            self._validator.check_text(text, field)
        timeout_s = self._validator.timeout_s(wish.timeout_s)
        self._check_room(client)
        now = self._clock()
        session = transitions.create(self._new_id(now), client, timeout_s, wish, now)
        header = session.header
        size_bytes = self._validator.measure(session)
        with self._starting_one(client):
            await self._storage.commit(Commit(session, size_bytes, 0, whole=True))
        self._shelf.add(Entry(header, size_bytes))
        self._shelf.hold(Loaded(session), size_bytes)
        self._hub.publish(header.session_id, "session.created", {"client_id": client, "version": 1})
        return session

    async def restore(self, session_id: str, client_id: str | None = None, *, reopen: bool = False) -> Loaded:
        """Hand over a session whole; with `reopen` also one that expired or was closed.

        Raises:
            SessionNotFoundError, SessionClosedError, SessionExpiredError: there is none to hand over.
            SessionNotOwnedError, ClientNotAllowedError: not to this client.
            SessionLimitError: reopening it would be one session too many.
            StorageError: it cannot be read.
        """
        async with self._hold(session_id, client_id) as entry:
            now = self._clock()
            status = entry.header.status(now)
            if status is not Status.ACTIVE and not reopen:
                self._require_active(entry)
            loaded = await self._load_noted(entry)
            session = loaded.session
            if status is not Status.ACTIVE:
                self._check_room(entry.header.client_id)
                session = transitions.reopen(session, now)
                with self._starting_one(entry.header.client_id):
                    await self._store(entry, session)
                entry.announced_expiry = False
                self._hub.publish(entry.header.session_id, "session.reopened", {"version": session.header.version})
            self._touch(entry)
            return replace(loaded, session=replace(session, header=entry.header))

    async def update(
        self, session_id: str, change: Change, client_id: str | None = None, *, by: str | None = None
    ) -> Session:
        """Change a session's state. `client_id`, if given, has to be the owner; `by` is who asked, for the history.

        Raises:
            SessionError: it is not there, over, or not at the expected version.
            ParameterError, SessionTooLargeError: the change is not acceptable.
            StorageError: it could not be stored; nothing changed.
        """
        async with self._hold(session_id, client_id) as entry:
            self._require_active(entry)
            session = await self._load(entry)
            now = self._clock()
            changed = transitions.update(session, change, now, self.rules.max_bytes)
            changed = await self._advance(entry, session, changed, now, client_id or by, "updated")
            return self._announce_state(changed, client_id or by, change.mode.value)

    async def end(self, session_id: str, *, keep: bool) -> SessionHeader:
        """Close a session, keeping what is stored for the retention time or deleting it.

        Raises:
            SessionNotFoundError, SessionClosedError: there is none to close.
            StorageError: it is as it was.
        """
        async with self._hold(session_id) as entry:
            header = entry.header
            transitions.require_open(header, self.life.retention_s)
            if keep:
                session = await self._load(entry)
                await self._store(entry, transitions.close(session, self._clock()))
            else:
                await self._storage.remove(header.session_id)
            self._hub.publish(header.session_id, "session.closed", {"kept": keep})
            if not keep:
                self._shelf.remove(entry)
                self._hub.forget(header.session_id)
            return header

    def header(self, session_id: str) -> SessionHeader:
        """Tell about a session, also an expired one.

        Raises:
            SessionNotFoundError, SessionClosedError: there is none.
        """
        entry = self._find(session_id)
        transitions.require_open(entry.header, self.life.retention_s)
        return entry.header

    def size_bytes(self, session_id: str) -> int:
        """Size of what is in a session.

        Raises:
            SessionNotFoundError: there is none.
        """
        return self._find(session_id).size_bytes

    def of_client(self, client_id: str, *, inactive: bool = False) -> list[SessionHeader]:
        """List a client's sessions, oldest first."""
        now = self._clock()
        headers = self._shelf.of_client(ClientId(client_id))
        wanted = [header for header in headers if inactive or header.status(now) is Status.ACTIVE]
        return sorted(wanted, key=lambda header: (header.created_at, header.session_id))

    def of_image(self, image_id: ImageId) -> list[SessionId]:
        """List the active sessions that belong to an image."""
        return [header.session_id for header in self._shelf.active(self._clock()) if header.image_id == image_id]

    def count_by_image(self) -> Mapping[ImageId, int]:
        """Count active sessions by the image they belong to."""
        return Counter(header.image_id for header in self._shelf.active(self._clock()) if header.image_id is not None)

    def totals(self) -> Totals:
        """Count active sessions and their clients."""
        active = list(self._shelf.active(self._clock()))
        return Totals(len(active), len({header.client_id for header in active}))

    # ---- contexts

    async def save_context(
        self, session_id: str, tool_id: str, sections: dict[str, Any], *, into: bool = False, by: str | None = None
    ) -> Session:
        """Store a tool's context: exactly this, or, with `into`, put into what is stored.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        tool = self._validator.tool_id(tool_id)
        async with self._hold(session_id) as entry:
            self._require_active(entry)
            session = await self._load(entry)
            if into and tool in session.contexts:
                sections = transitions.put_into(session.contexts[tool].sections, sections)
            now = self._clock()
            changed = transitions.save_context(session, tool, sections, now)
            changed = await self._advance(entry, session, changed, now, by, "context.saved")
            stored = changed.contexts[tool]
            data = {"tool_id": tool, "version": changed.header.version, "checksum": stored.checksum}
            self._hub.publish(entry.header.session_id, "context.saved", data)
            return changed

    async def clear_context(self, session_id: str, tool_id: str | None, *, by: str | None = None) -> list[ToolId]:
        """Remove a tool's stored context, or all; tell which there were.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        tool = None if tool_id is None else self._validator.tool_id(tool_id)
        async with self._hold(session_id) as entry:
            self._require_active(entry)
            session = await self._load(entry)
            changed, cleared = transitions.clear_context(session, tool)
            if cleared:
                changed = await self._advance(entry, session, changed, self._clock(), by, "context.cleared")
                data = {"tools": list(cleared), "version": changed.header.version}
                self._hub.publish(entry.header.session_id, "context.cleared", data)
            return cleared

    # ---- versions

    async def session(self, session_id: str) -> Session:
        """Hand over an active session with its history and snapshots.

        Raises:
            SessionError, StorageError: as for `restore`.
        """
        async with self._hold(session_id) as entry:
            self._require_active(entry)
            return await self._load(entry)

    async def snapshot(self, session_id: str, name: str) -> Session:
        """Keep the present version under a name.

        Raises:
            SessionError, ParameterError, StorageError: as for `update`.
        """
        self._validator.check_text(name, "name")
        async with self._hold(session_id) as entry:
            self._require_active(entry)
            session = transitions.snapshot(await self._load(entry), name, self._clock())
            await self._store(entry, session, self._validator.measure(session), whole=True)
            data = {"name": name, "version": session.header.version}
            self._hub.publish(entry.header.session_id, "session.snapshot", data)
            return session

    async def revert(
        self,
        session_id: str,
        name: str | None,
        version: int | None,
        client_id: str | None = None,
        *,
        by: str | None = None,
    ) -> Session:
        """Make the session what it was, as a new version.

        Raises:
            VersionNotFoundError: that is not kept.
            SessionError, ParameterError, StorageError: as for `update`.
        """
        async with self._hold(session_id, client_id) as entry:
            self._require_active(entry)
            session = await self._load(entry)
            changed = session.with_document(transitions.document_of(session, name, version))
            changed = await self._advance(entry, session, changed, self._clock(), client_id or by, "reverted")
            return self._announce_state(changed, client_id or by, "revert")

    # ---- for requests that are relayed to an image

    def use(self, session_id: str) -> SessionHeader:
        """Find an active session and count this as activity.

        Raises:
            SessionError: there is none, or it is over.
        """
        entry = self._find(session_id)
        self._require_active(entry)
        self._touch(entry)
        return entry.header

    async def bind_image(self, session_id: SessionId, image_id: ImageId) -> None:
        """Let a session without an image belong to this one from now on.

        Raises:
            SessionError, StorageError: as for `update`.
        """
        async with self._hold(session_id) as entry:
            if entry.header.image_id is None:
                session = await self._load(entry)
                await self._store(entry, transitions.bind_image(session, image_id))

    # ---- what time brings

    async def sweep(self) -> None:
        """Announce sessions that expired, and archive those whose retention is over."""
        await self._retention.sweep()

    async def autosave(self) -> None:
        """Store times of activity that changed since the last save."""
        await self._retention.autosave()

    async def _save_header(self, entry: Entry) -> None:
        await self._store(entry, await self._load(entry))

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

    def _find(self, session_id: str) -> Entry:
        known = self._validator.session_id(session_id)
        entry = self._shelf.find(known)
        if entry is not None:
            return entry
        if known in self._damaged:
            msg = f"session {known} cannot be read; its files are in quarantine"
            raise SessionDamagedError(msg, session_id=known)
        msg = f"there is no session {known}"
        raise SessionNotFoundError(msg, session_id=known)

    @asynccontextmanager
    async def _hold(self, session_id: str, client_id: str | None = None) -> AsyncIterator[Entry]:
        """Have a session to oneself, in the order of asking."""
        entry = self._find(session_id)
        owner = self._validator.admit_client(entry.header.client_id)
        if client_id not in (None, owner):
            msg = f"session {entry.header.session_id} belongs to another client"
            raise SessionNotOwnedError(msg, session_id=entry.header.session_id)
        async with entry.lock:
            yield self._find(session_id)  # it may have gone while we waited

    def _require_active(self, entry: Entry) -> None:
        transitions.require_active(entry.header, self._clock(), self.life.retention_s)

    async def _load(self, entry: Entry) -> Session:
        return (await self._load_noted(entry)).session

    async def _load_noted(self, entry: Entry) -> Loaded:
        session_id = entry.header.session_id
        held = self._shelf.content(session_id)
        if held is not None:
            return held
        loaded = await self._storage.load(session_id)
        if loaded is None:
            msg = f"session {session_id} is not in the storage any more"
            raise SessionDamagedError(msg, session_id=session_id)
        if loaded.session.header.version != entry.header.version:  # damaged: believe what can be read
            entry.header = loaded.session.header
        else:  # closing, reopening and binding count no version: what is known is as new or newer
            loaded = replace(loaded, session=replace(loaded.session, header=entry.header))
        self._shelf.hold(loaded, entry.size_bytes)
        return loaded

    async def _advance(
        self, entry: Entry, old: Session, new: Session, now: float, client_id: str | None, what: str
    ) -> Session:
        """Make `new` the next version, durably."""
        size_bytes = self._validator.measure(new)
        versioned, version = history.advance(old, new, now, client_id, what, self.rules.history)
        await self._store(entry, versioned, size_bytes, version)
        return versioned

    def _announce_state(self, session: Session, client_id: str | None, mode: str) -> Session:
        header = session.header
        data = {
            "client_id": client_id or header.client_id,
            "version": header.version,
            "mode": mode,
            "session_state": session.state,
        }
        self._hub.publish(header.session_id, "session.updated", data)
        return session

    async def _store(
        self,
        entry: Entry,
        session: Session,
        size_bytes: int | None = None,
        version: HistoryEntry | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Make a session durable, with the newest time of activity, and only then the truth."""
        activity = max(session.header.last_activity, entry.header.last_activity)
        session = replace(session, header=replace(session.header, last_activity=activity))
        size_bytes = entry.size_bytes if size_bytes is None else size_bytes
        await self._storage.commit(Commit(session, size_bytes, entry.header.version, version, whole))
        newest = max(activity, entry.header.last_activity)  # it may have been used meanwhile
        entry.header = replace(session.header, last_activity=newest)
        entry.saved_activity = activity
        entry.size_bytes = size_bytes
        self._shelf.hold(Loaded(session), size_bytes)

    def _touch(self, entry: Entry) -> None:
        entry.header = replace(entry.header, last_activity=max(self._clock(), entry.header.last_activity))
