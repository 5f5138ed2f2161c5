"""The commands about what a session was before: history, named snapshots, revert."""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from stui_sessiond.commands.shared_state import asker, state_for, view_for
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.model.session import NamedSnapshot
from stui_sessiond.model.view import View
from stui_sessiond.sessions.ledger import once_of
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.shared_state import seen
from stui_sessiond.sessions.telling import HIDDEN, history_seen
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
        session = await self._manager.session(asked.session_id)
        entries = [
            one
            for one in history_seen(session, view_for(caller, session))
            if asked.before_version is None or one.entry.version < asked.before_version
        ]
        if asked.limit is not None:
            entries = entries[max(0, len(entries) - asked.limit) :]
        versions = [
            wire.Version(
                one.entry.version,
                format_time(one.entry.at),
                None if one.hidden else one.entry.client_id,
                HIDDEN if one.hidden else one.entry.what,
                cast("list[dict[str, Any]]", one.patch),  # a text that is one goes out as it is
                one.size_bytes,
            )
            for one in reversed(entries)
        ]
        return wire.GetSessionHistoryResult(
            asked.session_id, session.header.version, session.history.base_version, versions
        )

    async def at(self, caller: Caller, asked: wire.GetSessionAt) -> wire.GetSessionAtResult:
        """Carry out `get_session_at`."""
        session = await self._manager.session(asked.session_id)
        document = document_of(session, asked.name, asked.version)
        version = asked.version if asked.name is None else session.snapshots[asked.name].version
        contexts: dict[str, dict[str, Any]] = {
            tool: stored["sections"] for tool, stored in document["contexts"].items()
        }
        state = seen(document["state"], view_for(caller, session))
        return wire.GetSessionAtResult(asked.session_id, version or 0, state, contexts)

    async def snapshot(self, caller: Caller, asked: wire.SnapshotSession) -> wire.SnapshotSessionResult:
        """Carry out `snapshot_session`."""
        session = await self._manager.snapshot(asked.session_id, asked.name)
        kept = session.snapshots[asked.name]
        return wire.SnapshotSessionResult(
            asked.session_id,
            asked.name,
            kept.version,
            format_time(kept.at),
            _size_seen(kept, view_for(caller, session)),
        )

    async def list_snapshots(self, caller: Caller, asked: wire.ListSnapshots) -> wire.ListSnapshotsResult:
        """Carry out `list_snapshots`."""
        session = await self._manager.session(asked.session_id)
        view = view_for(caller, session)
        rows = [
            wire.ListedSnapshot(name, kept.version, format_time(kept.at), _size_seen(kept, view))
            for name, kept in sorted(session.snapshots.items(), key=lambda item: (item[1].at, item[0]))
        ]
        return wire.ListSnapshotsResult(asked.session_id, rows)

    async def revert(self, caller: Caller, asked: wire.RevertSession) -> wire.RevertSessionResult:
        """Carry out `revert_session`."""
        once = once_of("revert_session", asked, caller.client_id)
        session = await self._manager.revert(
            asked.session_id,
            asked.name,
            asked.version,
            asked.client_id,
            asker=lambda header: asker(caller, header),
            by=caller.client_id,
            once=once,
        )
        return wire.RevertSessionResult(asked.session_id, session.header.version, state_for(caller, session))


def _size_seen(kept: NamedSnapshot, view: View | None) -> int:
    return kept.size_bytes if view is None else len(msgspec.json.encode(seen(kept.document["state"], view)))
