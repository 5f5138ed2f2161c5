"""The seven session commands: from wire parameters to the SessionManager and back."""

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from stui_sessiond.commands.shared_state import state_for, view_for
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import SessionNotSharedError
from stui_sessiond.ids import SessionId
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.session import SessionHeader, Status
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.ledger import once_of
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.shared_state import declared, seen, written_down
from stui_sessiond.sessions.transitions import MODES, Change, NewSession
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.wire.messages import Position, plain
from stui_sessiond.wire.messages import session as wire
from stui_sessiond.wire.timestamp import format_time

CAPABILITIES = ["state.replace", "state.merge", "state.patch", "contexts", "events", "evaluate"]
"""What `create_session` says this daemon can do for a session."""


class Presence(msgspec.Struct, frozen=True):
    """Who is connected, and for how long the daemon has been there."""

    uptime_s: float
    connections: wire.ConnectionCounts


class SessionCommands:
    """Carries out the session commands."""

    def __init__(
        self,
        manager: SessionManager,
        hub: Hub,
        driving: Driving,
        storage: SessionStorage,
        images: ImageRegistry,
        presence: Callable[[], Presence],
        max_clients: int,
        clock: Callable[[], float],
        ended: Callable[[SessionHeader], None],
    ) -> None:
        self._manager = manager
        self._hub = hub
        self._driving = driving
        self._storage = storage
        self._images = images
        self._presence = presence
        self._max_clients = max_clients
        self._clock = clock
        self._ended = ended

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("create_session", wire.CreateSession, self.create),
            Command("restore_session", wire.RestoreSession, self.restore),
            Command("update_session_state", wire.UpdateSessionState, self.update),
            Command("rename_session", wire.RenameSession, self.rename),
            Command("close_session", wire.CloseSession, self.close),
            Command("get_session_info", wire.GetSessionInfo, self.info),
            Command("list_client_sessions", wire.ListClientSessions, self.list_of_client),
            Command("get_session_statistics", wire.GetSessionStatistics, self.statistics),
        )

    async def create(self, caller: Caller, asked: wire.CreateSession) -> wire.CreateSessionResult:
        """Carry out `create_session`."""
        del caller
        info = asked.client_info
        once = once_of("create_session", asked, None)
        definition = None if asked.machine is None else written_down(asked.machine)
        session = await self._manager.create(
            NewSession(
                client_id=asked.client_id,
                timeout_s=asked.timeout,
                image_id=asked.image_id,
                name=asked.name,
                description=asked.description,
                client_version=asked.client_version,
                client_info={} if info is None else msgspec.to_builtins(info),
                config=asked.config or {},
                key=None if once is None else f"{once.digest}:{once.key}",
                machine=definition,
                state={} if definition is None else declared(definition).machine.initial,
            )
        )
        header = session.header
        return wire.CreateSessionResult(
            session_id=header.session_id,
            client_id=header.client_id,
            created_at=format_time(header.created_at),
            timeout=plain(header.timeout_s),
            is_active=True,
            expires_at=format_time(header.expires_at),
            capabilities=CAPABILITIES,
            max_concurrent_clients=self._max_clients,
            image_id=header.image_id,
            version=header.version,
        )

    async def restore(self, caller: Caller, asked: wire.RestoreSession) -> wire.RestoreSessionResult:
        """Carry out `restore_session`. To bring a session back that is over is for its owner."""
        if asked.reopen:
            self._require_owner(caller, asked.session_id)
        restored = await self._manager.restore(asked.session_id, asked.client_id, reopen=asked.reopen)
        session = restored.session
        header = session.header
        note = msgspec.UNSET if restored.note is None else restored.note
        integrity = wire.StorageIntegrity(restored.integrity, note)
        return wire.RestoreSessionResult(
            session_id=header.session_id,
            client_id=header.client_id,
            created_at=format_time(header.created_at),
            last_modified=format_time(header.last_modified),
            timeout=plain(header.timeout_s),
            is_active=True,
            session_state=state_for(caller, session),
            workspace_context=session.section("workspace"),
            inspector_state=session.section("inspector"),
            object_registry=session.section("object_registry"),
            version=header.version,
            image_id=header.image_id,
            name=header.name,
            expires_at=format_time(header.expires_at),
            integrity=integrity,
        )

    def _require_owner(self, caller: Caller, session_id: str) -> None:
        header = self._manager.find(SessionId(session_id))
        if header is None or caller.client_id is None or header.status(self._clock()) is Status.ACTIVE:
            return
        role = header.role_of(caller.client_id)
        if role != "owner":
            msg = "restore_session with `reopen` takes the role `owner` for a session that is over"
            raise SessionNotSharedError(msg, session_id=header.session_id, role=role, needed="owner")

    async def update(self, caller: Caller, asked: wire.UpdateSessionState) -> wire.UpdateSessionStateResult:
        """Carry out `update_session_state`."""
        named = (
            ("workspace", asked.workspace_context),
            ("object_registry", asked.object_registry),
            ("inspector", asked.inspector_state),
        )
        sections = {name: section for name, section in named if section is not None}
        merging = asked.on_conflict == "merge"
        change = Change(asked.state_data, MODES[asked.mode], sections, asked.expected_version, merging)
        once = once_of("update_session_state", asked, caller.client_id)
        session = await self._manager.update(asked.session_id, change, asked.client_id, by=caller.client_id, once=once)
        return wire.UpdateSessionStateResult(
            session_id=session.header.session_id,
            last_modified=format_time(session.header.last_modified),
            session_state=state_for(caller, session),
            update_successful=True,
            version=session.header.version,
        )

    async def rename(self, caller: Caller, asked: wire.RenameSession) -> wire.RenameSessionResult:
        """Carry out `rename_session`."""
        header = await self._manager.rename(asked.session_id, asked.name, by=caller.client_id)
        return wire.RenameSessionResult(header.session_id, header.name)

    async def close(self, caller: Caller, asked: wire.CloseSession) -> wire.CloseSessionResult:
        """Carry out `close_session`, and let the image forget what it keeps for the session."""
        del caller
        header = await self._manager.end(asked.session_id, keep=asked.save_state)
        self._ended(header)
        return wire.CloseSessionResult(header.session_id, closed=True)

    def info(
        self, caller: Caller, asked: wire.GetSessionInfo
    ) -> wire.GetSessionInfoResult | Awaitable[wire.GetSessionInfoResult]:
        """Carry out `get_session_info`: at once, unless what the caller sees has to be looked at."""
        header, size_bytes = self._manager.outline(asked.session_id)
        if header.machine_version:
            return self._info_seen(caller, header, size_bytes)
        return self._info(header, size_bytes)

    async def _info_seen(self, caller: Caller, header: SessionHeader, size_bytes: int) -> wire.GetSessionInfoResult:
        """Tell of a session as the caller sees it: the size of the whole would tell of what is hidden."""
        session = await self._manager.peek(header.session_id)
        view = view_for(caller, session)
        return self._info(header, size_bytes if view is None else len(msgspec.json.encode(seen(session.state, view))))

    def _info(self, header: SessionHeader, size_bytes: int) -> wire.GetSessionInfoResult:
        now = self._clock()
        status = header.status(now)
        return wire.GetSessionInfoResult(
            session_id=header.session_id,
            client_id=header.client_id,
            created_at=format_time(header.created_at),
            last_modified=format_time(header.last_modified),
            timeout=plain(header.timeout_s),
            is_active=status is Status.ACTIVE,
            time_until_expiry=_left(header, now),
            is_expired=status is Status.EXPIRED,
            version=header.version,
            image_id=header.image_id,
            name=header.name,
            attached_clients=len(self._hub.attached(header.session_id)),
            size_bytes=size_bytes,
            position=Position(header.epoch, header.seq),
            driver=self._driving.driver(header.session_id),
        )

    def list_of_client(self, caller: Caller, asked: wire.ListClientSessions) -> wire.ListClientSessionsResult:
        """Carry out `list_client_sessions`."""
        del caller
        now = self._clock()
        rows = [
            wire.ListedSession(
                session_id=header.session_id,
                created_at=format_time(header.created_at),
                last_modified=format_time(header.last_modified),
                timeout=plain(header.timeout_s),
                is_active=header.status(now) is Status.ACTIVE,
                time_until_expiry=_left(header, now),
                name=header.name,
                image_id=header.image_id,
                version=header.version,
            )
            for header in self._manager.of_client(asked.client_id, inactive=asked.include_inactive)
        ]
        return wire.ListClientSessionsResult(asked.client_id, len(rows), rows)

    def statistics(self, caller: Caller, asked: wire.GetSessionStatistics) -> wire.GetSessionStatisticsResult:
        """Carry out `get_session_statistics`."""
        del caller, asked
        totals = self._manager.totals()
        presence = self._presence()
        storage = self._storage.status()
        return wire.GetSessionStatisticsResult(
            total_sessions=totals.sessions,
            active_clients=totals.clients,
            max_sessions_per_client=self._manager.rules.max_per_client,
            default_timeout=plain(self._manager.rules.default_timeout_s),
            cleanup_interval=plain(self._manager.life.cleanup_interval_s),
            uptime_seconds=presence.uptime_s,
            images=wire.ImageCounts(len(self._images.connected), len(self._images.all_known())),
            connections=presence.connections,
            storage=wire.StorageFacts(
                storage.kind,
                storage.status,
                storage.sessions,
                storage.size_bytes,
                storage.quarantined,
                msgspec.UNSET if storage.detail is None else storage.detail,
            ),
        )


def _left(header: SessionHeader, now: float) -> float:
    """Seconds until expiry, 0 when over."""
    return 0.0 if header.closed_at is not None else max(0.0, round(header.expires_at - now, 3))
