"""The commands that show an operator how the daemon is: sessions, connections, evaluations, the store, figures.

Each looks at what is in memory, or at the disk from a thread, and gives a bounded answer: a page shows a daemon of
100,000 sessions without asking for all of them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from stui_sessiond.commands.dispatch import Dispatcher
from stui_sessiond.commands.figures import Figures, Source
from stui_sessiond.commands.running import Running, RunningTable
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import StorageError
from stui_sessiond.images.link import RUNS_CODE
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.session import SessionHeader, Status
from stui_sessiond.sessions.hub import Hub, may_hear
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.shelf import Entry
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.wire.messages import overview as wire
from stui_sessiond.wire.messages import plain
from stui_sessiond.wire.messages.session import ConnectionCounts
from stui_sessiond.wire.timestamp import format_time

MAX_LOOKED_AT = 20_000
"""Sessions that are looked at for one page: some 10 ms in which the loop does nothing else."""

MAX_BACKUPS = 100
"""Backups that are told one by one; the daemon itself keeps some 35."""

_WORDS: dict[Status, wire.SessionStatus] = {
    Status.ACTIVE: "active",
    Status.EXPIRED: "expired",
    Status.CLOSED: "closed",
}


class Host(Protocol):
    """What is asked of the server; it is there when the first request comes."""

    dispatcher: Dispatcher

    def counts(self) -> ConnectionCounts:
        """Count connections by role."""

    def outlines(self) -> Sequence[wire.ConnectionRow]:
        """Tell of every connection."""


class OverviewCommands:
    """Carries out the commands about how the daemon is."""

    def __init__(
        self,
        manager: SessionManager,
        hub: Hub,
        running: RunningTable,
        storage: SessionStorage,
        images: ImageRegistry,
        host: Callable[[], Host],
        clock: Callable[[], float],
        server_id: str,
    ) -> None:
        self._manager = manager
        self._hub = hub
        self._running = running
        self._storage = storage
        self._host = host
        self.figures = Figures(
            Source(
                requests=lambda: host().dispatcher.table.asked,
                events=lambda: hub.published,
                evaluations=images.evaluations.took,
                syncs=storage.sync_times,
                connections=lambda: host().counts().total,
                sessions=lambda: manager.count,
                running=lambda: running.evaluating().total(),
            ),
            clock,
        )
        self._clock = clock
        self._server_id = server_id

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("list_sessions", wire.ListSessions, self.list_sessions),
            Command("list_connections", wire.ListConnections, self.list_connections),
            Command("list_running_evaluations", wire.ListRunningEvaluations, self.list_running),
            Command("get_store_status", wire.GetStoreStatus, self.store_status),
            Command("get_figures", wire.GetFigures, self.get_figures),
        )

    # ---- sessions

    def list_sessions(self, caller: Caller, asked: wire.ListSessions) -> wire.ListSessionsResult:
        """Carry out `list_sessions`: it stops at a full page, or when it has looked at enough."""
        now, evaluating = self._clock(), self._running.evaluating()
        rows: list[wire.SessionRow] = []
        last = None
        for looked_at, entry in enumerate(self._manager.newest(asked.before)):
            if len(rows) >= asked.limit or looked_at >= MAX_LOOKED_AT:
                return wire.ListSessionsResult(rows, last)
            last = entry.number
            if _is_wanted(entry.header, asked, now) and may_hear(caller, entry.header):
                rows.append(self._session_row(caller, entry, now, evaluating[entry.header.session_id]))
        return wire.ListSessionsResult(rows, None)

    def _session_row(self, caller: Caller, entry: Entry, now: float, running: int) -> wire.SessionRow:
        header = entry.header
        return wire.SessionRow(
            session_id=header.session_id,
            client_id=header.client_id,
            name=header.name,
            image_id=header.image_id,
            status=_WORDS[header.status(now)],
            created_at=format_time(header.created_at),
            last_activity=format_time(header.last_activity),
            expires_at=format_time(header.expires_at),
            version=header.version,
            attached_clients=len(self._hub.attached(header.session_id)),
            running=running,
            size_bytes=entry.size_bytes if _may_measure(caller, header) else 0,
        )

    # ---- connections

    def list_connections(self, caller: Caller, asked: wire.ListConnections) -> wire.ListConnectionsResult:
        """Carry out `list_connections`: who may not look at every session sees its own."""
        rows = self._host().outlines()
        if caller.confined_to is not None:
            rows = [row for row in rows if row.client_id == caller.confined_to]
        rows = sorted(rows, key=lambda row: (row.since, row.connection_id or ""), reverse=True)
        return wire.ListConnectionsResult(list(rows[asked.offset : asked.offset + asked.limit]), len(rows))

    # ---- evaluations

    def list_running(self, caller: Caller, asked: wire.ListRunningEvaluations) -> wire.ListRunningEvaluationsResult:
        """Carry out `list_running_evaluations`."""
        found = [one for one in self._running.all() if self._is_shown(one, caller, asked.image_id)]
        return wire.ListRunningEvaluationsResult([_running_row(one) for one in found[: asked.limit]], len(found))

    def _is_shown(self, one: Running, caller: Caller, image_id: str | None) -> bool:
        if one.request.command not in RUNS_CODE or image_id not in (None, one.request.image_id):
            return False
        header = self._manager.find(one.session_id)
        return header is not None and may_hear(caller, header)

    # ---- the store

    async def store_status(self, caller: Caller, asked: wire.GetStoreStatus) -> wire.GetStoreStatusResult:
        """Carry out `get_store_status`.

        Raises:
            StorageError: the disk does not tell.
        """
        del caller, asked
        status = self._storage.status()
        try:
            survey = await self._storage.survey()
        except OSError as error:
            msg = f"the disk does not tell how it is: {error.strerror or error}"
            raise StorageError(msg) from error
        newest = sorted(survey.backups, key=lambda info: info.made_at, reverse=True)
        return wire.GetStoreStatusResult(
            kind=status.kind,
            status=status.status,
            detail=status.detail,
            sessions=status.sessions,
            size_bytes=status.size_bytes,
            quarantined=status.quarantined,
            journal_bytes=survey.journal_bytes,
            disk_free_bytes=survey.disk_free_bytes,
            disk_bytes=survey.disk_bytes,
            backup_interval=None if survey.backup_interval_s is None else plain(survey.backup_interval_s),
            backups=[
                wire.BackupRow(
                    info.name,
                    format_time(info.made_at),
                    info.reason,
                    info.sessions,
                    len(info.problems) + len(info.missing),
                )
                for info in newest[:MAX_BACKUPS]
            ],
            backup_count=len(newest),
        )

    # ---- figures

    def get_figures(self, caller: Caller, asked: wire.GetFigures) -> wire.GetFiguresResult:
        """Carry out `get_figures`."""
        del caller
        return wire.GetFiguresResult(plain(self.figures.interval_s), self.figures.newest(asked.limit), self._server_id)


def _may_measure(caller: Caller, header: SessionHeader) -> bool:
    """Tell whether the size of a session is for somebody: with a state machine it would tell how much is hidden."""
    owner = caller.client_id is not None and header.role_of(caller.client_id) == "owner"
    return not header.machine_version or owner or "admin" in caller.rights


def _is_wanted(header: SessionHeader, asked: wire.ListSessions, now: float) -> bool:
    """Tell whether a session is of the kind that was asked for."""
    if asked.image_id not in (None, header.image_id) or asked.client_id not in (None, header.client_id):
        return False
    if asked.status not in ("all", _WORDS[header.status(now)]):
        return False
    if asked.search is None:
        return True
    wanted = asked.search.casefold()
    return any(wanted in text.casefold() for text in (header.session_id, header.client_id, header.name or ""))


def _running_row(one: Running) -> wire.RunningRow:
    request = one.request
    return wire.RunningRow(
        evaluation=request.key,
        session_id=one.session_id,
        command=request.command,
        status="queued" if one.link is None else "running",
        client_id=request.client_id,
        tool_id=request.tool_id,
        code=request.code,
        truncated=request.code_cut,
        accepted_at=format_time(request.accepted_at),
        image_id=request.image_id,
    )
