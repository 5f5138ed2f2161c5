"""The commands about what a session was before: history, named snapshots, revert."""

from collections.abc import Iterable
from typing import Any

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.sessions.ledger import once_of
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.transitions import document_of
from stui_sessiond.wire.messages import history as wire
from stui_sessiond.wire.timestamp import format_time


class HistoryCommands:
    """Carries out the history commands."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("get_session_history", wire.GetSessionHistory, self.history),
            Command("get_session_at", wire.GetSessionAt, self.at),
            Command("snapshot_session", wire.SnapshotSession, self.snapshot),
            Command("list_snapshots", wire.ListSnapshots, self.list_snapshots),
            Command("revert_session", wire.RevertSession, self.revert),
        )

    async def history(self, caller: Caller, asked: wire.GetSessionHistory) -> wire.GetSessionHistoryResult:
        """Carry out `get_session_history`."""
        del caller
        session = await self._manager.session(asked.session_id)
        kept = session.history
        entries = [
            entry for entry in kept.entries if asked.before_version is None or entry.version < asked.before_version
        ]
        if asked.limit is not None:
            entries = entries[max(0, len(entries) - asked.limit) :]
        versions = [
            wire.Version(
                entry.version,
                format_time(entry.at),
                entry.client_id,
                entry.what,
                [step.to_json() for step in entry.steps],
                entry.size_bytes,
            )
            for entry in reversed(entries)
        ]
        return wire.GetSessionHistoryResult(asked.session_id, session.header.version, kept.base_version, versions)

    async def at(self, caller: Caller, asked: wire.GetSessionAt) -> wire.GetSessionAtResult:
        """Carry out `get_session_at`."""
        del caller
        session = await self._manager.session(asked.session_id)
        document = document_of(session, asked.name, asked.version)
        version = asked.version if asked.name is None else session.snapshots[asked.name].version
        contexts: dict[str, dict[str, Any]] = {
            tool: stored["sections"] for tool, stored in document["contexts"].items()
        }
        return wire.GetSessionAtResult(asked.session_id, version or 0, document["state"], contexts)

    async def snapshot(self, caller: Caller, asked: wire.SnapshotSession) -> wire.SnapshotSessionResult:
        """Carry out `snapshot_session`."""
        del caller
        session = await self._manager.snapshot(asked.session_id, asked.name)
        kept = session.snapshots[asked.name]
        return wire.SnapshotSessionResult(
            asked.session_id, asked.name, kept.version, format_time(kept.at), kept.size_bytes
        )

    async def list_snapshots(self, caller: Caller, asked: wire.ListSnapshots) -> wire.ListSnapshotsResult:
        """Carry out `list_snapshots`."""
        del caller
        session = await self._manager.session(asked.session_id)
        rows = [
            wire.ListedSnapshot(name, kept.version, format_time(kept.at), kept.size_bytes)
            for name, kept in sorted(session.snapshots.items(), key=lambda item: (item[1].at, item[0]))
        ]
        return wire.ListSnapshotsResult(asked.session_id, rows)

    async def revert(self, caller: Caller, asked: wire.RevertSession) -> wire.RevertSessionResult:
        """Carry out `revert_session`."""
        once = once_of("revert_session", asked, caller.client_id)
        session = await self._manager.revert(
            asked.session_id, asked.name, asked.version, asked.client_id, by=caller.client_id, once=once
        )
        return wire.RevertSessionResult(asked.session_id, session.header.version, session.state)
