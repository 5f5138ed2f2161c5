"""Sessions as a dictionary would keep them: the simple model that the real daemon is compared with."""

import copy
from typing import Any

from tests.unit.bed.clock import FakeClock

Json = dict[str, Any]
RETENTION_S = 30 * 86400.0


class Kept:
    """One session of the model."""

    def __init__(self, client: str, now: float, timeout_s: float) -> None:
        self.client = client
        self.timeout_s = timeout_s
        self.state: Json = {}
        self.contexts: dict[str, Json] = {}
        self.version = 1
        self.active_at = now
        self.stored_active_at = now
        self.closed_at: float | None = None

    def change(self, now: float) -> None:
        """Count a change that was stored."""
        self.version += 1
        self.touch(now)
        self.stored_active_at = now

    def touch(self, now: float) -> None:
        """Count as activity, which lives in memory until it is stored."""
        self.active_at = now


class Model:
    """What each command is to do; the answer is None, or the code of the error it is to give."""

    def __init__(self, clock: FakeClock, max_per_client: int) -> None:
        self.clock = clock
        self.max_per_client = max_per_client
        self.sessions: dict[str, Kept] = {}

    def refusal(self, session_id: str) -> str | None:
        """Tell why a session cannot be used."""
        kept = self.sessions.get(session_id)
        if kept is None:
            return "session_not_found"
        if kept.closed_at is not None:
            return "session_closed"
        return "session_expired" if self.clock.now >= kept.active_at + kept.timeout_s else None

    def active(self, client: str) -> set[str]:
        """List a client's active sessions."""
        return {one for one, kept in self.sessions.items() if kept.client == client and self.refusal(one) is None}

    def room(self, client: str) -> str | None:
        """Tell whether a client may have another session."""
        return "session_limit_reached" if len(self.active(client)) >= self.max_per_client else None

    def create(self, session_id: str, client: str, timeout_s: float) -> None:
        """Keep a new session."""
        self.sessions[session_id] = Kept(client, self.clock.now, timeout_s)

    def update(self, session_id: str, state: Json, expected: int | None, *, merge: bool) -> str | None:
        """Replace or merge a state."""
        refusal = self.refusal(session_id)
        if refusal is not None:
            return refusal
        kept = self.sessions[session_id]
        if expected is not None and expected != kept.version:
            return "session_conflict"
        if merge:
            merged = {**kept.state, **state}
            kept.state = {name: value for name, value in merged.items() if value is not None or name not in state}
        else:
            kept.state = copy.deepcopy(state)
        kept.change(self.clock.now)
        return None

    def restore(self, session_id: str, *, reopen: bool) -> str | None:
        """Hand over a session, and let it live on."""
        refusal = self.refusal(session_id)
        if refusal == "session_not_found" or (refusal is not None and not reopen):
            return refusal
        kept = self.sessions[session_id]
        if refusal is not None:
            if (no_room := self.room(kept.client)) is not None:
                return no_room
            kept.closed_at = None
            kept.stored_active_at = self.clock.now
        kept.touch(self.clock.now)
        return None

    def close(self, session_id: str, *, keep: bool) -> str | None:
        """End a session."""
        refusal = self.refusal(session_id)
        if refusal in ("session_not_found", "session_closed"):
            return refusal
        if keep:
            self.sessions[session_id].closed_at = self.clock.now
            self.sessions[session_id].stored_active_at = self.sessions[session_id].active_at
        else:
            del self.sessions[session_id]
        return None

    def save_context(self, session_id: str, tool: str, sections: Json) -> str | None:
        """Store a tool's context."""
        refusal = self.refusal(session_id)
        if refusal is None:
            self.sessions[session_id].contexts[tool] = copy.deepcopy(sections)
            self.sessions[session_id].change(self.clock.now)
        return refusal

    def clear_context(self, session_id: str, tool: str | None) -> str | None:
        """Remove a tool's context, or all."""
        refusal = self.refusal(session_id)
        if refusal is None:
            kept = self.sessions[session_id]
            left = {} if tool is None else {name: one for name, one in kept.contexts.items() if name != tool}
            if left != kept.contexts:
                kept.contexts = left
                kept.change(self.clock.now)
        return refusal

    def sweep(self) -> None:
        """Forget what has been over for the retention time."""
        for session_id, kept in list(self.sessions.items()):
            ended_at = kept.active_at + kept.timeout_s if kept.closed_at is None else kept.closed_at
            if self.clock.now >= ended_at + RETENTION_S:
                del self.sessions[session_id]

    def restart(self, *, crash: bool) -> None:
        """Start again; after a crash only times of activity that were stored are known."""
        for kept in self.sessions.values():
            if crash:
                kept.active_at = kept.stored_active_at
            else:
                kept.stored_active_at = kept.active_at
