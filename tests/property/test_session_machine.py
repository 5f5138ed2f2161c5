"""Any sequence of commands, time and restarts, compared with a dictionary: a manager, and a daemon."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, precondition, rule

from tests.unit.bed.clock import FakeClock
from tests.unit.bed.door import MAX_PER_CLIENT, Door, ManagerDoor, SocketDoor
from tests.unit.bed.model import Json, Model

T = TypeVar("T")
CLIENTS = ["ada", "bob"]
TOOLS = st.sampled_from(["default", "two"])
VALUES = st.none() | st.integers(0, 3) | st.text(max_size=3) | st.lists(st.integers(0, 9), max_size=2)
STATES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
SECTIONS = st.fixed_dictionaries({}, optional={"workspace": STATES, "client": STATES})
TIMEOUTS = st.sampled_from([60.0, 60.0, 3600.0])
SPANS = st.sampled_from([30.0, 59.0, 60.0, 3600.0])
NOBODY = "session_9_9_nobody"


class Machine(RuleBasedStateMachine):
    """Does the same to the real thing and to the model, and compares what both say."""

    sessions: Bundle[str] = Bundle("sessions")
    can_crash: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.model = Model(self.clock, MAX_PER_CLIENT)
        self.runner = asyncio.Runner()
        self.door = self.make_door()
        self.run(self.door.open())

    def make_door(self) -> Door:
        """Choose the way to the sessions."""
        return ManagerDoor(self.clock, None)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Stop."""
        self.run(self.door.end(crash=False))
        self.runner.close()

    def check(self, told: Json | str, refusal: str | None) -> Json:
        """Compare an answer with the model's; what was refused tells nothing."""
        if refusal is not None:
            assert told == refusal
            return {}
        assert not isinstance(told, str), f"refused as {told}"
        return told

    # ---- what clients do

    @rule(target=sessions, client=st.sampled_from(CLIENTS), timeout_s=TIMEOUTS)
    def create(self, client: str, timeout_s: float) -> str | MultipleResults[str]:
        """Create a session; refused when there is no room."""
        told = self.check(self.run(self.door.create(client, timeout_s)), self.model.room(client))
        if not told:
            return multiple()
        session_id: str = told["session_id"]
        self.model.create(session_id, client, timeout_s)
        return session_id

    @rule(
        session_id=sessions | st.just(NOBODY),
        state=STATES,
        merge=st.booleans(),
        offset=st.sampled_from([None, 0, 0, 1]),
    )
    def update(self, session_id: str, state: Json, offset: int | None, *, merge: bool) -> None:
        """Update a state, perhaps expecting a version, perhaps the wrong one."""
        kept = self.model.sessions.get(session_id)
        expected = None if offset is None or kept is None else kept.version + offset
        told = self.run(self.door.update(session_id, state, expected, merge=merge))
        self.compare(session_id, told, self.model.update(session_id, state, expected, merge=merge))

    @rule(session_id=sessions | st.just(NOBODY), reopen=st.booleans())
    def restore(self, session_id: str, *, reopen: bool) -> None:
        """Restore a session, perhaps one that is over."""
        told = self.run(self.door.restore(session_id, reopen=reopen))
        self.compare(session_id, told, self.model.restore(session_id, reopen=reopen))

    def compare(self, session_id: str, told: Json | str, refusal: str | None) -> None:
        """Compare state and version that were told with the model's."""
        found = self.check(told, refusal)
        if found:
            kept = self.model.sessions[session_id]
            assert (found["session_state"], found["version"]) == (kept.state, kept.version)

    @rule(session_id=sessions, keep=st.booleans())
    def close(self, session_id: str, *, keep: bool) -> None:
        """Close a session."""
        self.check(self.run(self.door.close(session_id, keep=keep)), self.model.close(session_id, keep=keep))

    @rule(session_id=sessions, tool=TOOLS, sections=SECTIONS)
    def save_context(self, session_id: str, tool: str, sections: Json) -> None:
        """Save a context."""
        told = self.run(self.door.save_context(session_id, tool, sections))
        found = self.check(told, self.model.save_context(session_id, tool, sections))
        if found:
            assert found["version"] == self.model.sessions[session_id].version

    @rule(session_id=sessions, tool=TOOLS)
    def load_context(self, session_id: str, tool: str) -> None:
        """Load a context."""
        found = self.check(self.run(self.door.load_context(session_id, tool)), self.model.refusal(session_id))
        if found:
            assert found["context"] == self.model.sessions[session_id].contexts.get(tool)

    @rule(session_id=sessions, tool=TOOLS | st.none())
    def clear_context(self, session_id: str, tool: str | None) -> None:
        """Clear a context, or all."""
        told = self.run(self.door.clear_context(session_id, tool))
        self.check(told, self.model.clear_context(session_id, tool))

    # ---- what happens

    @rule(seconds=SPANS)
    def time_passes(self, seconds: float) -> None:
        """Sessions expire by themselves."""
        self.clock.pass_time(seconds)

    @rule(session_id=sessions, seconds=SPANS)
    def somebody_looks_in(self, session_id: str, seconds: float) -> None:
        """A session that is restored now lives on from now, also after a restart."""
        self.restore(session_id, reopen=False)
        self.clock.pass_time(seconds)

    @rule(days=st.sampled_from([0, 0, 0, 29, 31]))
    def sweep(self, days: int) -> None:
        """What is over for long is put away."""
        self.clock.pass_time(days * 86400.0)
        self.run(self.door.sweep())
        self.model.sweep()

    @rule()
    def restart(self) -> None:
        """Everything is there again after an orderly stop."""
        self.run(self.door.end(crash=False))
        self.model.restart(crash=False)
        self.run(self.door.open())

    @precondition(lambda self: self.can_crash)
    @rule()
    def crash(self) -> None:
        """Everything that was acknowledged is there again after a crash; only times of activity may be older."""
        self.run(self.door.end(crash=True))
        self.model.restart(crash=True)
        self.run(self.door.open())

    @invariant()
    def lists_agree(self) -> None:
        """The lists of active sessions are the model's."""
        for client in CLIENTS:
            assert self.run(self.door.active(client)) == self.model.active(client)


class FileMachine(Machine):
    """The same on files."""

    def make_door(self) -> Door:
        """Take a folder of its own."""
        self.folder = tempfile.TemporaryDirectory(prefix="stui-")
        return ManagerDoor(self.clock, Path(self.folder.name) / "data")

    def teardown(self) -> None:
        """Stop, and remove the folder."""
        super().teardown()
        self.folder.cleanup()


class SocketMachine(Machine):
    """The same through a daemon's socket."""

    can_crash = False

    def make_door(self) -> Door:
        """Take a daemon."""
        return SocketDoor(self.clock)


TestManagerInMemory = Machine.TestCase
TestManagerInMemory.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestManagerOnFiles = FileMachine.TestCase
TestManagerOnFiles.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestDaemonOverItsSocket = SocketMachine.TestCase
TestDaemonOverItsSocket.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
