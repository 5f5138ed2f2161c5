"""Who may do what with a session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stui_sessiond.commands.gate import Quotas, SessionGate
from stui_sessiond.contract import load_contract
from stui_sessiond.errors import NotDrivingError, RateLimitedError, SessionNotSharedError
from stui_sessiond.ids import SessionId
from stui_sessiond.security.access import Access
from stui_sessiond.security.principal import Principal
from stui_sessiond.security.quota import Rate
from tests.unit.bed.caller import TestCaller
from tests.unit.bed.house import House, Listener, open_house

VIEW, EDIT, OWN, DRIVE = "get_digest", "evaluate", "share_session", "drive_session"
EVERYTHING = {VIEW, EDIT, OWN}

FREE = Rate(0.0, 1)
"""Without bound."""


@asynccontextmanager
async def a_gate() -> AsyncIterator[tuple[SessionGate, House, SessionId]]:
    """Make a gate in front of a session of ada's, which bob may edit and tom may see."""
    async with open_house() as house:
        session_id = await house.create("ada")
        await house.manager.share(session_id, "bob", "editor", by="ada")
        await house.manager.share(session_id, "tom", "viewer", by="ada")
        yield (
            SessionGate(house.keeper.shelf, house.driving, Access(), Quotas(FREE, FREE), house.clock),
            house,
            session_id,
        )


def admits(gate: SessionGate, command: str, session_id: str, caller: TestCaller) -> bool:
    """Tell whether a caller may."""
    try:
        gate.check(load_contract().commands[command], session_id, caller)
    except (SessionNotSharedError, NotDrivingError):
        return False
    return True


@pytest.mark.parametrize(
    ("client", "allowed"),
    [("ada", EVERYTHING), ("bob", {VIEW, EDIT}), ("tom", {VIEW}), ("eve", set()), (None, EVERYTHING)],
)
async def test_gate_asks_for_the_role(client: str | None, allowed: set[str]) -> None:
    """Each role may do what those before it may; who named itself needs one; who did not knows the id, a secret."""
    async with a_gate() as (gate, _, session_id):
        caller = TestCaller(client_id=client)
        assert {command for command in EVERYTHING if admits(gate, command, session_id, caller)} == allowed


async def test_gate_says_what_is_lacking() -> None:
    """The role there is, and the one it takes."""
    async with a_gate() as (gate, _, session_id):
        with pytest.raises(SessionNotSharedError) as caught:
            gate.check(load_contract().commands[EDIT], session_id, TestCaller(client_id="tom"))
        assert caught.value.details == {"session_id": session_id, "role": "viewer", "needed": "editor"}


async def test_gate_lets_observers_look() -> None:
    """What they may do at all is a matter of their rights."""
    async with a_gate() as (gate, _, session_id):
        assert admits(gate, VIEW, session_id, TestCaller(client_id="eve", role="observer"))


async def test_gate_holds_observers_to_the_clients_of_their_token() -> None:
    """A token for some clients looks at what is theirs, or shared with them, in every role."""
    async with a_gate() as (gate, _, session_id):
        for client, sees in (("ada", True), ("tom", True), ("eve", False)):
            caller = TestCaller(client_id=client, role="observer")
            caller.principal = Principal(name="guest", clients=[client], token_id="t-1")
            assert admits(gate, VIEW, session_id, caller) is sees


async def test_gate_leaves_missing_sessions_to_the_command() -> None:
    """It knows nothing of them."""
    async with a_gate() as (gate, _, _session_id):
        assert admits(gate, OWN, "session_9_9_nobody", TestCaller(client_id="eve"))
        assert admits(gate, OWN, "nonsense", TestCaller(client_id="eve"))


async def test_gate_follows_the_shares() -> None:
    """A share that is taken back ends at once."""
    async with a_gate() as (gate, house, session_id):
        await house.manager.share(session_id, "bob", "none", by="ada")
        await house.manager.share(session_id, "tom", "editor", by="ada")
        assert not admits(gate, VIEW, session_id, TestCaller(client_id="bob"))
        assert admits(gate, EDIT, session_id, TestCaller(client_id="tom"))


async def test_gate_holds_while_somebody_drives() -> None:
    """Only the driver changes the session; others look, ask to drive, and the owner stays the owner."""
    async with a_gate() as (gate, house, session_id):
        bob = Listener("bob", "conn-1")
        await house.listen(session_id, bob)
        house.driving.request(house.manager.header(session_id), "bob")
        for client in ("ada", None):
            caller = TestCaller(client_id=client)
            assert not admits(gate, EDIT, session_id, caller)
            assert admits(gate, VIEW, session_id, caller)
            assert admits(gate, OWN, session_id, caller)
            assert admits(gate, DRIVE, session_id, caller)
        assert admits(gate, EDIT, session_id, TestCaller(client_id="bob"))
        house.feed.unsubscribe(session_id, bob, "bye")
        assert admits(gate, EDIT, session_id, TestCaller(client_id="ada"))


async def test_gate_lets_code_be_ended_when_too_much_was_begun() -> None:
    """Whoever has used up the rate of evaluations can interrupt what runs; the rate of requests holds for that too."""
    async with open_house() as house:
        quotas = Quotas(Rate(0.1, 3), Rate(0.1, 1))
        gate = SessionGate(house.keeper.shelf, house.driving, Access(), quotas, house.clock)
        commands = load_contract().commands
        caller = TestCaller(client_id="ada")
        caller.principal = Principal(name="guest", rights=frozenset({"eval"}), token_id="t-1")
        gate.admit(commands["evaluate"], caller)
        with pytest.raises(RateLimitedError):
            gate.admit(commands["evaluate"], caller)
        gate.admit(commands["interrupt_evaluation"], caller)
        with pytest.raises(RateLimitedError):
            gate.admit(commands["interrupt_evaluation"], caller)
