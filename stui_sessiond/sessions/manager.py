"""The SessionManager: the one who decides what happens to sessions, in what order, and when it counts.

Guarantees: a change is stored before its success is reported and before anyone sees it; changes to one session happen
one after the other, in the order asked; different sessions never wait for each other; every session that is stored is
known, only a bounded number is held in memory.
"""

import asyncio
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.errors import (
    SessionClosedError,
    SessionDamagedError,
    SessionExpiredError,
    SessionLimitError,
    SessionNotFoundError,
    SessionNotOwnedError,
    StuiError,
)
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.session import HistoryEntry, Session, SessionHeader, Status, StoredContext
from stui_sessiond.sessions import history, transitions
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.transitions import Change
from stui_sessiond.sessions.validator import SessionValidator
from stui_sessiond.storage.api import Commit, Loaded, SessionStorage
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

RESIDENT_SESSIONS = 4096
"""Sessions held whole in memory; others are read again when they are needed."""

RESIDENT_BYTES = 64 * 1024 * 1024
"""The same bound in bytes."""


class LifeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long things live; the defaults are those clients have been told."""

    retention_s: float = 30 * 86400.0
    cleanup_interval_s: float = 300.0
    autosave_interval_s: float = 300.0


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for."""

    client_id: str
    timeout_s: float | None = None
    image_id: str | None = None
    name: str | None = None
    description: str | None = None
    client_version: str | None = None
    client_info: dict[str, Any] = {}
    config: dict[str, Any] = {}


class _Resident(NamedTuple):
    loaded: Loaded
    size_bytes: int


class Totals(msgspec.Struct, frozen=True):
    """Counts over all active sessions."""

    sessions: int
    clients: int


class _Entry:
    """What is known of one session: its header always, the rest only while it is resident."""

    __slots__ = ("announced_expiry", "header", "lock", "saved_activity", "size_bytes")

    def __init__(self, header: SessionHeader, size_bytes: int) -> None:
        self.header = header
        self.size_bytes = size_bytes
        self.lock: asyncio.Lock | None = None
        self.saved_activity = header.last_activity
        self.announced_expiry = False


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
        self._entries: dict[SessionId, _Entry] = {}
        self._by_client: dict[ClientId, set[SessionId]] = {}
        self._starting: Counter[ClientId] = Counter()
        self._resident: OrderedDict[SessionId, _Resident] = OrderedDict()
        self._resident_bytes = 0
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
            self._know(_Entry(stored.header, stored.size_bytes))
        self._damaged = opened.damaged
        numbers = [
            int(session_id.split("_")[1])
            for session_id in (*self._entries, *opened.damaged)
            if self._validator.is_session_id(session_id)  # a file somebody put there may be called anything
        ]
        self._next_number = max(numbers, default=0) + 1
        _log.info("sessions.opened", stored=len(self._entries), damaged=len(self._damaged))

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
        header = SessionHeader(
            session_id=self._new_id(now),
            client_id=client,
            created_at=now,
            last_modified=now,
            last_activity=now,
            timeout_s=timeout_s,
            version=1,
            image_id=None if wish.image_id is None else ImageId(wish.image_id),
            name=wish.name,
        )
        session = Session(
            header=header,
            description=wish.description,
            client_version=wish.client_version,
            client_info=wish.client_info,
            config=wish.config,
        )
        size_bytes = self._validator.measure(session)
        with self._starting_one(client):
            await self._storage.commit(Commit(session, size_bytes, 0, whole=True))
        self._know(_Entry(header, size_bytes))
        self._keep_resident(Loaded(session), size_bytes)
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

    async def update(self, session_id: str, change: Change, client_id: str | None = None) -> Session:
        """Change a session's state.

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
            changed = await self._advance(entry, session, changed, now, client_id, "updated")
            data = {
                "client_id": client_id or changed.header.client_id,
                "version": changed.header.version,
                "mode": change.mode.value,
                "session_state": changed.state,
            }
            self._hub.publish(entry.header.session_id, "session.updated", data)
            return changed

    async def end(self, session_id: str, *, keep: bool) -> SessionHeader:
        """Close a session, keeping what is stored for the retention time or deleting it.

        Raises:
            SessionNotFoundError, SessionClosedError: there is none to close.
            StorageError: it is as it was.
        """
        async with self._hold(session_id) as entry:
            header = entry.header
            if header.closed_at is not None:
                raise self._closed(header)
            if keep:
                session = await self._load(entry)
                await self._store(entry, transitions.close(session, self._clock()))
            else:
                await self._storage.remove(header.session_id)
            self._hub.publish(header.session_id, "session.closed", {"kept": keep})
            if not keep:
                self._forget(entry)
            return header

    def header(self, session_id: str) -> SessionHeader:
        """Tell about a session, also an expired one.

        Raises:
            SessionNotFoundError, SessionClosedError: there is none.
        """
        entry = self._find(session_id)
        if entry.header.closed_at is not None:
            raise self._closed(entry.header)
        return entry.header

    def size_bytes(self, session_id: SessionId) -> int:
        """Size of what is stored of a session."""
        return self._entries[session_id].size_bytes

    def of_client(self, client_id: str, *, inactive: bool = False) -> list[SessionHeader]:
        """List a client's sessions, oldest first."""
        now = self._clock()
        mine = self._by_client.get(ClientId(client_id), ())
        headers = (self._entries[session_id].header for session_id in mine)
        wanted = [header for header in headers if inactive or header.status(now) is Status.ACTIVE]
        return sorted(wanted, key=lambda header: (header.created_at, header.session_id))

    def of_image(self, image_id: ImageId) -> list[SessionId]:
        """List the active sessions that belong to an image."""
        return [header.session_id for header in self._active() if header.image_id == image_id]

    def count_by_image(self) -> Mapping[ImageId, int]:
        """Count active sessions by the image they belong to."""
        return Counter(header.image_id for header in self._active() if header.image_id is not None)

    def totals(self) -> Totals:
        """Count active sessions and their clients."""
        active = list(self._active())
        return Totals(len(active), len({header.client_id for header in active}))

    # ---- contexts

    async def save_context(
        self, session_id: str, tool_id: str, sections: dict[str, Any], *, into: bool = False
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
                sections = _put_into(session.contexts[tool].sections, sections)
            now = self._clock()
            changed = transitions.save_context(session, tool, sections, now)
            changed = await self._advance(entry, session, changed, now, None, "context.saved")
            stored = changed.contexts[tool]
            data = {"tool_id": tool, "version": changed.header.version, "checksum": stored.checksum}
            self._hub.publish(entry.header.session_id, "context.saved", data)
            return changed

    async def clear_context(self, session_id: str, tool_id: str | None) -> list[ToolId]:
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
                changed = await self._advance(entry, session, changed, self._clock(), None, "context.cleared")
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
        self, session_id: str, name: str | None, version: int | None, client_id: str | None = None
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
            changed = await self._advance(entry, session, changed, self._clock(), client_id, "reverted")
            data = {
                "client_id": client_id or changed.header.client_id,
                "version": changed.header.version,
                "mode": "revert",
                "session_state": changed.state,
            }
            self._hub.publish(entry.header.session_id, "session.updated", data)
            return changed

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
        now = self._clock()
        for entry in list(self._entries.values()):
            header = entry.header
            ended_at = header.ended_at(now)
            if ended_at is None:
                entry.announced_expiry = False
            elif now >= ended_at + self.life.retention_s:
                await self._archive(header.session_id, now)
            elif header.closed_at is None and not entry.announced_expiry:
                entry.announced_expiry = True
                self._hub.publish(header.session_id, "session.expired", {"expired_at": format_time(header.expires_at)})
                _log.info("session.expired", session_id=header.session_id)

    async def _archive(self, session_id: SessionId, now: float) -> None:
        try:
            async with self._hold(session_id) as entry:
                ended_at = entry.header.ended_at(self._clock())
                if ended_at is not None and now >= ended_at + self.life.retention_s:
                    await self._storage.archive(session_id, now)
                    self._forget(entry)
                    _log.info("session.archived", session_id=session_id)
        except StuiError as error:  # the next sweep tries again
            _log.warning("session.archive_failed", session_id=session_id, code=error.code, error=error.message)

    async def autosave(self) -> None:
        """Store times of activity that changed since the last save."""
        for entry in list(self._entries.values()):
            if entry.header.last_activity == entry.saved_activity:
                continue
            try:
                async with self._hold(entry.header.session_id):
                    session = await self._load(entry)
                    await self._store(entry, session)
            except StuiError as error:  # only the time of the last activity is at stake
                _log.warning("session.autosave_failed", session_id=entry.header.session_id, code=error.code)

    # ---- inside

    def _active(self) -> Iterator[SessionHeader]:
        now = self._clock()
        return (entry.header for entry in self._entries.values() if entry.header.status(now) is Status.ACTIVE)

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

    def _find(self, session_id: str) -> _Entry:
        known = self._validator.session_id(session_id)
        entry = self._entries.get(known)
        if entry is not None:
            return entry
        if known in self._damaged:
            msg = f"session {known} cannot be read; its files are in quarantine"
            raise SessionDamagedError(msg, session_id=known)
        msg = f"there is no session {known}"
        raise SessionNotFoundError(msg, session_id=known)

    @asynccontextmanager
    async def _hold(self, session_id: str, client_id: str | None = None) -> AsyncIterator[_Entry]:
        """Have a session to oneself, in the order of asking."""
        entry = self._find(session_id)
        owner = self._validator.admit_client(entry.header.client_id)
        if client_id not in (None, owner):
            msg = f"session {entry.header.session_id} belongs to another client"
            raise SessionNotOwnedError(msg, session_id=entry.header.session_id)
        if entry.lock is None:
            entry.lock = asyncio.Lock()
        async with entry.lock:
            yield self._find(session_id)  # it may have gone while we waited

    def _require_active(self, entry: _Entry) -> None:
        header = entry.header
        status = header.status(self._clock())
        if status is Status.CLOSED:
            raise self._closed(header)
        if status is Status.EXPIRED:
            until = format_time(header.expires_at + self.life.retention_s)
            msg = (
                f"session {header.session_id} expired at {format_time(header.expires_at)}; "
                f"restore_session with reopen=true brings it back until {until}"
            )
            raise SessionExpiredError(msg, session_id=header.session_id, retained_until=until)

    def _closed(self, header: SessionHeader) -> SessionClosedError:
        until = format_time((header.closed_at or 0.0) + self.life.retention_s)
        msg = f"session {header.session_id} is closed; restore_session with reopen=true brings it back until {until}"
        return SessionClosedError(msg, session_id=header.session_id, retained_until=until)

    async def _load(self, entry: _Entry) -> Session:
        return (await self._load_noted(entry)).session

    async def _load_noted(self, entry: _Entry) -> Loaded:
        session_id = entry.header.session_id
        held = self._resident.get(session_id)
        if held is not None:
            self._resident.move_to_end(session_id)
            return held.loaded
        loaded = await self._storage.load(session_id)
        if loaded is None:
            msg = f"session {session_id} is not in the storage any more"
            raise SessionDamagedError(msg, session_id=session_id)
        if loaded.session.header.version != entry.header.version:  # damaged: believe what can be read
            entry.header = loaded.session.header
        else:  # closing, reopening and binding count no version: what is known is as new or newer
            loaded = replace(loaded, session=replace(loaded.session, header=entry.header))
        self._keep_resident(loaded, entry.size_bytes)
        return loaded

    async def _advance(
        self, entry: _Entry, old: Session, new: Session, now: float, client_id: str | None, what: str
    ) -> Session:
        """Make `new` the next version, durably."""
        size_bytes = self._validator.measure(new)
        versioned, version = history.advance(old, new, now, client_id, what, self.rules.history)
        await self._store(entry, versioned, size_bytes, version)
        return versioned

    async def _store(
        self,
        entry: _Entry,
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
        self._keep_resident(Loaded(session), size_bytes)

    def _touch(self, entry: _Entry) -> None:
        entry.header = replace(entry.header, last_activity=max(self._clock(), entry.header.last_activity))

    def _know(self, entry: _Entry) -> None:
        self._entries[entry.header.session_id] = entry
        self._by_client.setdefault(entry.header.client_id, set()).add(entry.header.session_id)

    def _forget(self, entry: _Entry) -> None:
        header = entry.header
        del self._entries[header.session_id]
        mine = self._by_client[header.client_id]
        mine.discard(header.session_id)
        if not mine:
            del self._by_client[header.client_id]
        self._drop_resident(header.session_id)
        self._hub.forget(header.session_id)

    def _keep_resident(self, loaded: Loaded, size_bytes: int) -> None:
        session_id = loaded.session.header.session_id
        self._drop_resident(session_id)
        self._resident[session_id] = _Resident(loaded, size_bytes)
        self._resident_bytes += size_bytes
        while len(self._resident) > RESIDENT_SESSIONS or (
            self._resident_bytes > RESIDENT_BYTES and len(self._resident) > 1
        ):
            self._drop_resident(next(iter(self._resident)))

    def _drop_resident(self, session_id: SessionId) -> None:
        held = self._resident.pop(session_id, None)
        if held is not None:
            self._resident_bytes -= held.size_bytes


def _put_into(present: dict[str, Any], captured: dict[str, Any]) -> dict[str, Any]:
    """Let what the image told replace the same keys, section by section; what only the client knows stays."""
    result = dict(present)
    for name, section in captured.items():
        result[name] = {**result.get(name, {}), **section}
    return result
