"""How does a session get a state machine, and how is a transition made? The decisions are in `shared_state`."""

from collections import Counter, OrderedDict
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from stui_sessiond.errors import (
    ClientQuotaError,
    MachineMissingError,
    SessionConflictError,
    SessionTooLargeError,
    StuiError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.model.machine import Who
from stui_sessiond.model.session import DeclaredMachine, Session, SessionHeader
from stui_sessiond.sessions import transitions
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.ledger import Once
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.shared_state import (
    Wish,
    declared,
    names_of,
    next_state,
    participant,
    require_satisfied,
)
from stui_sessiond.sessions.shelf import Entry
from stui_sessiond.sessions.telling import state_event

COUNTED_SESSIONS = 1000
"""Sessions whose transitions are counted; beyond them the counts of those that were asked least recently go."""

APPLIED = "applied"

Asker = Callable[[SessionHeader], Who]


class Declaration(msgspec.Struct, frozen=True):
    """A wish to give a session a machine, or, without a definition, to take it away."""

    definition: str | None
    reset: bool
    """Let the state be the machine's initial one; otherwise it stays, and has to satisfy the schema."""
    expected_version: int | None


class Machines:
    """Declares machines, makes transitions, counts them by name and outcome since the daemon's start."""

    def __init__(self, keeper: Keeper, manager: SessionManager) -> None:
        self._keeper = keeper
        self._manager = manager
        self._counts: OrderedDict[SessionId, dict[str, Counter[str]]] = OrderedDict()
        self.totals: Counter[str] = Counter()
        """Transitions of all sessions by outcome: `applied`, or the code of the error."""

    def counts(self, session_id: SessionId) -> dict[str, dict[str, int]]:
        """A session's transitions by name and outcome, since the daemon's start."""
        return {name: dict(outcomes) for name, outcomes in self._counts.get(session_id, {}).items()}

    async def declare(
        self, session_id: str, wish: Declaration, client_id: str | None, *, once: Once | None = None
    ) -> Session:
        """Give a session a machine, another one, or none.

        Raises:
            MachineInvalidError, StateInvalidError: the declaration is wrong, or the state does not satisfy its schema.
            SessionError, ParameterError, StorageError: as `SessionManager.update`; nothing changed.
        """
        found = None if wish.definition is None else declared(wish.definition)
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            if (before := await self._manager.repeated(entry, once)) is not None:
                return before
            session = await self._keeper.load(entry)
            _require_version(session, wish.expected_version)
            now = self._keeper.clock()
            version = session.header.machine_version + 1
            state = found.machine.initial if found is not None and wish.reset else session.state
            if found is not None:
                require_satisfied(found, state, None)
            changed = replace(
                session,
                header=replace(session.header, machine_version=version),
                state=state,
                machine=None if wish.definition is None else DeclaredMachine(version, now, client_id, wish.definition),
            )
            data = {
                "client_id": client_id,
                "machine_version": version if wish.definition is not None else None,
                "version": session.header.version + 1,
            }
            told = self._keeper.news("machine.declared", data)
            event = state_event(session, client_id, "reset" if wish.reset else "declare")
            return await self._manager.advance(
                entry, session, changed, client_id, "machine.declared", event, once, (told,), whole=True
            )

    async def apply(
        self,
        session_id: str,
        wish: Wish,
        asker: Asker,
        *,
        expected_version: int | None = None,
        once: Once | None = None,
    ) -> Session:
        """Make a transition, if the machine lets whoever asks.

        Raises:
            TransitionRefusal: it does not; `details` say what failed, and what is allowed.
            MachineMissingError: there is no machine.
            SessionError, ParameterError, StorageError: as `SessionManager.update`; nothing changed.
        """
        async with self._keeper.hold(session_id) as entry:
            self._require_active(entry)
            if (before := await self._manager.repeated(entry, once)) is not None:
                return before
            session = await self._keeper.load(entry)
            if session.machine is None:
                msg = "the session has no state machine; the owner gives it one with declare_machine"
                raise MachineMissingError(msg)
            _require_version(session, expected_version)
            by = participant(session, asker(entry.header))
            known = wish.transition if wish.transition in names_of(session) else ""
            try:
                state = next_state(session, wish, by, self._manager.rules.max_bytes)
                event = state_event(session, by.who.client_id, "transition", wish.transition)
                changed = replace(session, state=state)
                what = f"transition:{wish.transition}"
                after = await self._manager.advance(entry, session, changed, by.who.client_id, what, event, once)
            except StuiError as error:
                self._count(entry.header.session_id, known, error.code)
                if by.view is not None and isinstance(error, SessionTooLargeError | ClientQuotaError):
                    msg = "the session would be too large"  # by how much tells how much is hidden
                    raise type(error)(msg) from None
                raise
            self._count(entry.header.session_id, known, APPLIED)
            return after

    def _count(self, session_id: SessionId, transition: str, outcome: str) -> None:
        self.totals[outcome] += 1
        counts = self._counts.setdefault(session_id, {})
        self._counts.move_to_end(session_id)
        counts.setdefault(transition, Counter())[outcome] += 1
        if len(self._counts) > COUNTED_SESSIONS:
            self._counts.popitem(last=False)

    def _require_active(self, entry: Entry) -> None:
        transitions.require_active(entry.header, self._keeper.clock(), self._manager.life.retention_s)


def _require_version(session: Session, expected: int | None) -> None:
    version = session.header.version
    if expected is not None and expected != version:
        msg = f"the session is at version {version}, not {expected}"
        raise SessionConflictError(msg, expected_version=expected, version=version)
