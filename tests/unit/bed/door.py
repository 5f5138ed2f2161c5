"""Ways to the sessions that can be compared with the model: straight to a manager, and through a daemon's socket."""

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stui_sessiond.errors import StuiError
from stui_sessiond.sessions.transitions import Change, Mode, NewSession
from stui_sessiond.sessions.validator import SessionRules
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.daemon import Running, Talker, running_daemon
from tests.unit.bed.house import House
from tests.unit.bed.model import Json

T = TypeVar("T")
MAX_PER_CLIENT = 3


class Door(Protocol):
    """A way to the sessions. Each method gives what the command tells, or the code of its error."""

    async def open(self) -> None:
        """Start."""

    async def end(self, *, crash: bool) -> None:
        """Stop, orderly or not."""

    async def create(self, client: str, timeout_s: float) -> Json | str:
        """Create a session."""

    async def update(self, session_id: str, state: Json, expected: int | None, *, merge: bool) -> Json | str:
        """Update its state."""

    async def restore(self, session_id: str, *, reopen: bool) -> Json | str:
        """Restore it."""

    async def close(self, session_id: str, *, keep: bool) -> Json | str:
        """Close it."""

    async def save_context(self, session_id: str, tool: str, sections: Json) -> Json | str:
        """Save a context."""

    async def load_context(self, session_id: str, tool: str) -> Json | str:
        """Load a context."""

    async def clear_context(self, session_id: str, tool: str | None) -> Json | str:
        """Clear contexts."""

    async def active(self, client: str) -> set[str]:
        """List a client's active sessions."""

    async def sweep(self) -> None:
        """Clean up."""


class ManagerDoor:
    """Straight to a SessionManager."""

    def __init__(self, clock: FakeClock, folder: Path | None) -> None:
        self._clock = clock
        self._folder = folder
        self._memory = MemoryStorage()
        self._house = self._build()

    def _build(self) -> House:
        storage: SessionStorage = (
            self._memory if self._folder is None else FileStorage(self._folder, backup_interval_s=None)
        )
        return House(storage, self._clock, SessionRules(max_per_client=MAX_PER_CLIENT))

    async def open(self) -> None:
        """Start a manager on the same storage."""
        self._house = self._build()
        await self._house.manager.open()

    async def end(self, *, crash: bool) -> None:
        """Close the manager, or only let go of the storage."""
        await (self._house.storage.close() if crash else self._house.manager.close())

    async def _try(self, work: Coroutine[Any, Any, T]) -> T | str:
        try:
            return await work
        except StuiError as error:
            return error.code

    async def create(self, client: str, timeout_s: float) -> Json | str:
        """Create a session."""
        session = await self._try(self._house.manager.create(NewSession(client_id=client, timeout_s=timeout_s)))
        return session if isinstance(session, str) else {"session_id": session.header.session_id}

    async def update(self, session_id: str, state: Json, expected: int | None, *, merge: bool) -> Json | str:
        """Update its state."""
        change = Change(state, Mode.MERGE if merge else Mode.REPLACE, expected_version=expected)
        session = await self._try(self._house.manager.update(session_id, change))
        if isinstance(session, str):
            return session
        return {"session_state": session.state, "version": session.header.version}

    async def restore(self, session_id: str, *, reopen: bool) -> Json | str:
        """Restore it."""
        restored = await self._try(self._house.manager.restore(session_id, reopen=reopen))
        if isinstance(restored, str):
            return restored
        return {"session_state": restored.session.state, "version": restored.session.header.version}

    async def close(self, session_id: str, *, keep: bool) -> Json | str:
        """Close it."""
        header = await self._try(self._house.manager.end(session_id, keep=keep))
        return header if isinstance(header, str) else {}

    async def save_context(self, session_id: str, tool: str, sections: Json) -> Json | str:
        """Save a context."""
        session = await self._try(self._house.manager.save_context(session_id, tool, sections))
        return session if isinstance(session, str) else {"version": session.header.version}

    async def load_context(self, session_id: str, tool: str) -> Json | str:
        """Load a context."""
        session = await self._try(self._house.manager.session(session_id))
        if isinstance(session, str):
            return session
        found = {str(name): stored.sections for name, stored in session.contexts.items()}
        return {"context": found.get(tool)}

    async def clear_context(self, session_id: str, tool: str | None) -> Json | str:
        """Clear contexts."""
        cleared = await self._try(self._house.manager.clear_context(session_id, tool))
        return cleared if isinstance(cleared, str) else {}

    async def active(self, client: str) -> set[str]:
        """List a client's active sessions."""
        return {str(header.session_id) for header in self._house.manager.of_client(client)}

    async def sweep(self) -> None:
        """Clean up."""
        await self._house.manager.sweep()


class SocketDoor:
    """Through a daemon's unix socket, one request in command form, the next in envelope form."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._storage = MemoryStorage()
        self._stack = AsyncExitStack()
        self._envelope = False
        self._running: Running
        self._talker: Talker

    async def open(self) -> None:
        """Start a daemon on the same storage."""
        daemon = running_daemon(self._storage, self._clock, sessions={"max_per_client": MAX_PER_CLIENT})
        self._running = await self._stack.enter_async_context(daemon)
        self._talker = await self._stack.enter_async_context(self._running.talker())

    async def end(self, *, crash: bool) -> None:
        """Stop the daemon; the socket machine never crashes it."""
        assert not crash
        await self._stack.aclose()

    async def _call(self, command: str, **parameters: Any) -> Json | str:  # noqa: ANN401 -- any JSON
        self._envelope = not self._envelope
        found = await self._talker.call(command, envelope=self._envelope, **parameters)
        return str(found["code"]) if "code" in found else found

    async def create(self, client: str, timeout_s: float) -> Json | str:
        """Create a session."""
        return await self._call("create_session", client_id=client, timeout=timeout_s)

    async def update(self, session_id: str, state: Json, expected: int | None, *, merge: bool) -> Json | str:
        """Update its state."""
        asked = {"session_id": session_id, "state_data": state, "expected_version": expected}
        return await self._call("update_session_state", mode="merge" if merge else "replace", **asked)

    async def restore(self, session_id: str, *, reopen: bool) -> Json | str:
        """Restore it."""
        return await self._call("restore_session", session_id=session_id, reopen=reopen)

    async def close(self, session_id: str, *, keep: bool) -> Json | str:
        """Close it."""
        return await self._call("close_session", session_id=session_id, save_state=keep)

    async def save_context(self, session_id: str, tool: str, sections: Json) -> Json | str:
        """Save a context."""
        return await self._call("save_context", session_id=session_id, tool_id=tool, context=sections)

    async def load_context(self, session_id: str, tool: str) -> Json | str:
        """Load a context."""
        return await self._call("load_context", session_id=session_id, tool_id=tool)

    async def clear_context(self, session_id: str, tool: str | None) -> Json | str:
        """Clear contexts."""
        return await self._call("clear_context", session_id=session_id, tool_id=tool)

    async def active(self, client: str) -> set[str]:
        """List a client's active sessions."""
        found = await self._call("list_client_sessions", client_id=client)
        assert not isinstance(found, str)
        return {row["session_id"] for row in found["sessions"]}

    async def sweep(self) -> None:
        """Clean up."""
        await self._running.daemon.manager.sweep()
