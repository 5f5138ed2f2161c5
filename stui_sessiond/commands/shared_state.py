"""The commands about a state that is shared under a state machine: declare it, look at it, make a transition."""

from collections.abc import Iterable
from typing import Any

import msgspec

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import MachineMissingError
from stui_sessiond.model.machine import Who
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.model.view import View
from stui_sessiond.sessions.ledger import once_of
from stui_sessiond.sessions.machines import Declaration, Machines
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.shared_state import Wish, machine_of, participant, seen, who_of, written_down
from stui_sessiond.sessions.transitions import MODES
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages import shared_state as wire
from stui_sessiond.wire.timestamp import format_time


def asker(caller: Caller, header: SessionHeader) -> Who:
    """Who asks, as state machines know him."""
    return who_of(caller.client_id, caller.role, caller.token_name, header)


def view_for(caller: Caller, session: Session) -> View | None:
    """What a caller sees of a session's state; None: everything. Every command that tells of a state asks this."""
    if session.machine is None:
        return None
    return participant(session, asker(caller, session.header)).view


def state_for(caller: Caller, session: Session) -> dict[str, Any]:
    """A session's state as a caller sees it."""
    return seen(session.state, view_for(caller, session))


class SharedStateCommands:
    """Carries out the commands about shared states."""

    def __init__(self, manager: SessionManager, machines: Machines) -> None:
        self._manager = manager
        self._machines = machines

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("declare_machine", wire.DeclareMachine, self.declare),
            Command("get_machine", wire.GetMachine, self.get),
            Command("apply_transition", wire.ApplyTransition, self.apply),
        )

    async def declare(self, caller: Caller, asked: wire.DeclareMachine) -> wire.DeclareMachineResult:
        """Carry out `declare_machine`."""
        definition = None if asked.machine is None else written_down(asked.machine)
        once = once_of("declare_machine", asked, caller.client_id)
        wish = Declaration(definition, asked.reset, asked.expected_version)
        session = await self._machines.declare(asked.session_id, wish, caller.client_id, once=once)
        return wire.DeclareMachineResult(
            session_id=session.header.session_id,
            version=session.header.version,
            machine_version=None if session.machine is None else session.machine.version,
            session_state=state_for(caller, session),
        )

    async def get(self, caller: Caller, asked: wire.GetMachine) -> wire.GetMachineResult:
        """Carry out `get_machine`."""
        session = await self._manager.session(asked.session_id)
        found, declared = machine_of(session), session.machine
        if found is None or declared is None:
            msg = "the session has no state machine"
            raise MachineMissingError(msg)
        header = session.header
        by = participant(session, asker(caller, header))
        result = wire.GetMachineResult(
            session_id=header.session_id,
            machine_version=declared.version,
            declared_at=format_time(declared.at),
            name=found.machine.name,
            roles=list(by.roles),
            view=None if by.view is None else by.view.name,
            allowed=found.machine.allowed(session.state, by.who, by.roles),
            version=header.version,
            session_state=seen(session.state, by.view),
            position=Position(header.epoch, header.seq),
            max_state_bytes=found.max_state_bytes,
        )
        if by.view is None:
            result.machine = msgspec.json.decode(declared.definition)
            result.transitions = self._machines.counts(header.session_id)
        return result

    async def apply(self, caller: Caller, asked: wire.ApplyTransition) -> wire.ApplyTransitionResult:
        """Carry out `apply_transition`."""
        session = await self._machines.apply(
            asked.session_id,
            Wish(asked.transition, asked.change, MODES[asked.mode]),
            lambda header: asker(caller, header),
            expected_version=asked.expected_version,
            once=once_of("apply_transition", asked, caller.client_id),
        )
        by = participant(session, asker(caller, session.header))
        found = machine_of(session)
        return wire.ApplyTransitionResult(
            session_id=session.header.session_id,
            transition=asked.transition,
            version=session.header.version,
            last_modified=format_time(session.header.last_modified),
            session_state=seen(session.state, by.view),
            allowed=[] if found is None else found.machine.allowed(session.state, by.who, by.roles),
        )
