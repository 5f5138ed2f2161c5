"""Any sequence of requests by anybody, with restarts: the state satisfies its schema, each step is an allowed one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import jsonpatch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stui_sessiond.errors import StuiError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.delta import apply
from stui_sessiond.model.machine import Who
from stui_sessiond.model.session import SessionHeader
from stui_sessiond.sessions.machines import Machines
from stui_sessiond.sessions.shared_state import Wish, declared, participant, seen, who_of, written_down
from stui_sessiond.sessions.transitions import Change, Mode
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.game import HIDDEN, MACHINE
from tests.unit.bed.house import House, Listener

T = TypeVar("T")
DEFINITION = written_down(MACHINE)
COMPILED = declared(DEFINITION)
WHO = st.sampled_from(["one", "two", "viewer", "editor", "table", "stranger"])
TRANSITIONS = st.sampled_from(["draw", "play", "end", "again", "cheat"])
HANDS = st.dictionaries(st.sampled_from(["one", "two"]), st.sampled_from(["ace", "king"]), max_size=2)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "turn": st.sampled_from(["one", "two", None]),
        "points": st.integers(-1, 6),
        "status": st.sampled_from(["open", "over", "lost"]),
        HIDDEN: HANDS | st.none(),
        "more": st.just(1),
    },
)
PATCHES = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "replace", "remove", "test", "copy", "move"]),
            "path": st.sampled_from(["/points", "/turn", f"/{HIDDEN}/one", f"/{HIDDEN}/two", ""]),
            "from": st.sampled_from(["/turn", f"/{HIDDEN}/one", f"/{HIDDEN}"]),
            "value": st.sampled_from([1, 2, "one", "two", "ace"]),
        }
    ),
    max_size=2,
)


async def outcome(work: Coroutine[Any, Any, object]) -> str | None:
    """The code of the error that something ends with, None for success."""
    try:
        await work
    except StuiError as error:
        return error.code
    return None


class SharedStateMachine(RuleBasedStateMachine):
    """Asks as anybody, and keeps what each listener would know from patches alone."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.storage, self.clock = MemoryStorage(), FakeClock()
        self.session_id = SessionId("")
        self.run(self.begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.runner.run(work)

    async def begin(self) -> None:
        """Open the house, with what was in it; everybody listens."""
        self.house = House(self.storage, self.clock)
        await self.house.manager.open()
        self.machines = Machines(self.house.keeper, self.house.manager)
        if not self.session_id:
            self.session_id = await self.house.create("table", machine=DEFINITION, state=COMPILED.machine.initial)
            for client, role in (("one", "viewer"), ("two", "viewer"), ("viewer", "viewer"), ("editor", "editor")):
                await self.house.manager.share(self.session_id, client, role, by="table")  # type: ignore[arg-type]
        self.listeners = {name: Listener(name) for name in ("one", "two", "viewer", "table")}
        self.known: dict[str, Any] = {}
        for name, listener in self.listeners.items():
            start = await self.house.listen(self.session_id, listener, deltas=True)
            view = participant(start.session, who_of(name, "client", None, start.session.header)).view
            self.known[name] = {"state": seen(start.session.state, view)}

    def teardown(self) -> None:
        """Stop."""
        self.run(self.house.manager.close())
        self.runner.close()

    async def ask(self, wish: Wish, client: str, version: int | None) -> None:
        """Ask for a transition, whatever comes of it."""

        def asker(header: SessionHeader) -> Who:
            return who_of(client, "client", None, header)

        before = await self.house.manager.session(self.session_id)
        expected = None if version is None else before.header.version + version
        refused = await outcome(self.machines.apply(self.session_id, wish, asker, expected_version=expected))
        after = await self.house.manager.session(self.session_id)
        same = (after.state, after.header.version) == (before.state, before.header.version)
        assert same == (refused is not None)

    @rule(client=WHO, name=TRANSITIONS, change=CHANGES, replaces=st.booleans(), version=st.sampled_from([None, 0, -1]))
    def transition(
        self, client: str, name: str, change: dict[str, Any], version: int | None, *, replaces: bool
    ) -> None:
        """Change something, or everything that is seen."""
        self.run(self.ask(Wish(name, change, Mode.REPLACE if replaces else Mode.MERGE), client, version))

    @rule(client=st.sampled_from(["one", "two"]))
    def fair_move(self, client: str) -> None:
        """Make a move as a player would, so that games go on."""
        state = self.run(self.house.manager.session(self.session_id)).state
        other = "two" if client == "one" else "one"
        self.run(self.ask(Wish("play", {"turn": other, "points": state["points"] + 1}, Mode.MERGE), client, 0))

    @rule(client=WHO, name=TRANSITIONS, patch=PATCHES)
    def patch(self, client: str, name: str, patch: list[Any]) -> None:
        """Change something by a patch."""
        self.run(self.ask(Wish(name, patch, Mode.PATCH), client, None))

    @rule(client=WHO, state=CHANGES)
    def update(self, client: str, state: dict[str, Any]) -> None:
        """Try the way that is closed."""
        refused = self.run(outcome(self.house.manager.update(self.session_id, Change(state), by=client)))
        assert refused == "transition_required"

    @rule(client=WHO, back=st.integers(0, 3))
    def revert(self, client: str, back: int) -> None:
        """Go back, who may."""

        async def revert() -> None:
            session = await self.house.manager.session(self.session_id)
            version = max(session.header.version - back, 1)
            asker = lambda header: who_of(client, "client", None, header)  # noqa: E731 -- one line
            work = self.house.manager.revert(self.session_id, None, version, asker=asker, by=client)
            assert (await outcome(work) is None) == (client == "table")

        self.run(revert())

    @rule()
    def restart(self) -> None:
        """Close everything and open it again."""
        self.run(self.house.manager.close())
        self.run(self.begin())

    @invariant()
    def state_is_valid(self) -> None:
        """It satisfies the schema; what is in the history are steps that the machine has, and lead to it."""
        session = self.run(self.house.manager.session(self.session_id))
        document = session.history.base
        for entry in session.history.entries:
            before = document["state"]
            document = apply(document, entry.steps)
            assert COMPILED.schema.fault(document["state"]) is None
            kind, _, name = entry.what.partition(":")
            assert (kind == "transition" and name in COMPILED.machine.transitions) or kind == "reverted"
            if kind == "transition":
                transition = COMPILED.machine.transitions[name]
                assert transition.source is None or before["status"] in transition.source
                target = transition.target or [before["status"]]
                assert document["state"]["status"] in target
                changed = {key for key in before if before[key] != document["state"].get(key)} - {"status"}
                assert changed <= {path[0] for path in transition.may_change}
        assert document["state"] == session.state

    @invariant()
    def views_are_kept(self) -> None:
        """Each listener knows, from what it was told, just what its view shows; numbers are consecutive."""
        session = self.run(self.house.manager.session(self.session_id))
        for name, listener in self.listeners.items():
            view = participant(session, who_of(name, "client", None, session.header)).view
            for heard in listener.heard:
                if heard.name == "session.updated":
                    self.known[name] = jsonpatch.apply_patch(self.known[name], heard.data["patch"])
                if name == "viewer":
                    assert HIDDEN not in str(heard.data)
            numbers = listener.numbers
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
            listener.heard.clear()
            assert self.known[name]["state"] == seen(session.state, view)


TestSharedState = SharedStateMachine.TestCase
TestSharedState.settings = settings(max_examples=120, stateful_step_count=25)
