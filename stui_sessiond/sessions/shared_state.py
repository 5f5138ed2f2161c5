"""May this change be made to a shared state, and what does each participant see of it? Pure.

Everything is decided on the whole state; whoever asks changes only what he sees of it, and is told nothing else.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import msgspec

from stui_sessiond.errors import (
    ChangeNotAllowedError,
    GuardFailedError,
    MachineInvalidError,
    RevertNotAllowedError,
    SessionTooLargeError,
    StateInvalidError,
    TransitionNotFromHereError,
    TransitionNotYoursError,
    TransitionRefusal,
    TransitionRequiredError,
    TransitionUnknownError,
)
from stui_sessiond.model import guard
from stui_sessiond.model.delta import diff
from stui_sessiond.model.machine import Machine, MachineError, Transition, Who, may, read
from stui_sessiond.model.pointer import Path, changed_outside, written
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.model.view import BlindError, View
from stui_sessiond.sessions.state_schema import Fault, StateSchema
from stui_sessiond.sessions.transitions import Mode, changed_state

COMPILED_MACHINES = 32
"""Machines that are held compiled: some 100 KB each, with regular expressions 16 MB at the worst. Games of one kind
share one."""

MAX_WORK = 8 * 1024 * 1024
"""Bytes of a state, times what a machine has to compare its values with: at the worst a few tenths of a second."""

POINTER_WORK = 10
"""What one pointer costs for each value, in values of a schema: those are compared by a library of machine code."""

MAX_TOLD = 5
"""Places that an error tells."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Compiled(NamedTuple):
    """A machine that was read, and its schema."""

    machine: Machine
    schema: StateSchema

    @property
    def max_state_bytes(self) -> int:
        """How large a state may be."""
        pointers = sum(len(view.patterns) for _, view in self.machine.views)
        pointers += max(len(each.may_change) for each in self.machine.transitions.values())
        return MAX_WORK // (self.schema.nodes + POINTER_WORK * pointers)


class Participant(NamedTuple):
    """Somebody as a machine knows him."""

    who: Who
    roles: Sequence[str]
    view: View | None
    """What he sees; None: everything."""


def written_down(document: dict[str, Any]) -> str:
    """Write a declaration as it is kept: the same whoever declares it."""
    return _encode(document).decode()


def declared(definition: str) -> Compiled:
    """Read a declaration that somebody wants to make; its initial state has to satisfy its schema.

    Raises:
        MachineInvalidError: it is none; `details.place` is a JSON Pointer into it.
    """
    try:
        found = compiled(definition)
        size, most = _size(found.machine.initial), found.max_state_bytes
        if size > most:
            _wrong("/initial", f"it has {size} bytes; states of this machine have at most {most}")
        fault = found.schema.fault(found.machine.initial)
        if fault is not None:
            _wrong(written(("initial", *fault.place)), f"it does not satisfy the schema ({fault.keyword})")
        if found.machine.status is not None and found.machine.status_of(found.machine.initial) is None:
            _wrong("/initial", "it has no status, which has to be a text")
    except MachineError as error:
        raise MachineInvalidError(str(error), place=error.place, reason=error.reason) from None
    return found


def _size(state: dict[str, Any]) -> int:
    return len(_encode(state))


def _wrong(place: str, reason: str) -> NoReturn:
    raise MachineError(place, reason)


@lru_cache(maxsize=COMPILED_MACHINES)
def compiled(definition: str) -> Compiled:
    """Compile a declaration.

    Raises:
        MachineError: it is none.
    """
    machine = read(definition)
    return Compiled(machine, StateSchema(machine.schema))


def machine_of(session: Session) -> Compiled | None:
    """The machine of a session; None when it has none."""
    return None if session.machine is None else compiled(session.machine.definition)


def names_of(session: Session) -> Collection[str]:
    """The names of its transitions."""
    found = machine_of(session)
    return () if found is None else found.machine.transitions.keys()


def participant(session: Session, who: Who) -> Participant:
    """Somebody in a session."""
    found = machine_of(session)
    if found is None:
        return Participant(who, (), None)
    roles = found.machine.roles_of(who)
    return Participant(who, roles, found.machine.view_of(who, roles))


def seen(document: dict[str, Any], view: View | None) -> dict[str, Any]:
    """A state as it is seen."""
    return document if view is None else view.of(document)


def who_of(client_id: str | None, role: str | None, token: str | None, header: SessionHeader) -> Who:
    """Somebody by what is known of his connection: its client id, the role of its hello, the name of its token.

    An observer only looks on, under no name but that of its token.
    """
    if client_id is None or role == "observer":
        return Who(None, "none", token)
    return Who(client_id, header.role_of(client_id), token)


def nobody(header: SessionHeader) -> Who:
    """Somebody of whom nothing is known."""
    return who_of(None, None, None, header)


# ---- changes


def require_free(session: Session) -> None:
    """Go on only with a session whose state anybody may change who may change the session.

    Raises:
        TransitionRequiredError: it has a machine.
    """
    if session.machine is not None:
        msg = (
            "the session has a state machine: change its state with apply_transition; get_machine tells what is allowed"
        )
        raise TransitionRequiredError(msg)


def require_revert(session: Session, to: dict[str, Any], by: Participant) -> None:
    """Go on only if somebody may make the state what it was, and the machine still takes it.

    Raises:
        RevertNotAllowedError: he may not.
        SessionTooLargeError, StateInvalidError: that state is larger than the machine takes, or does not satisfy its
            schema.
    """
    found = machine_of(session)
    if found is None:
        return
    if by.who.share != "owner" and found.machine.revert.isdisjoint(by.roles):
        msg = "to go back is for the owner, and for the roles that the state machine names in `revert`"
        raise RevertNotAllowedError(msg)
    require_satisfied(found, to, by.view)


class Wish(NamedTuple):
    """A change that somebody wants to make."""

    transition: str
    data: dict[str, Any] | list[Any]
    mode: Mode


def next_state(session: Session, wish: Wish, by: Participant, limit_bytes: int) -> dict[str, Any]:
    """Make the state that a transition leads to.

    Raises:
        TransitionUnknownError, TransitionNotYoursError, TransitionNotFromHereError, ChangeNotAllowedError,
        GuardFailedError, StateInvalidError: it is not allowed; `details.allowed` says what is.
        ParameterError, InvalidPatchError: the change does not apply to what is seen.
        SessionTooLargeError: the state would be larger than the machine takes.
    """
    found = compiled(session.machine.definition if session.machine else "")
    machine = found.machine
    before = session.state
    refusal = _Refusal(machine, before, by)
    transition = machine.transitions.get(wish.transition)
    if transition is None:
        refusal.refuse(
            TransitionUnknownError, f"there is no transition {wish.transition!r}", transition=wish.transition
        )
    if not may(transition, by.who, by.roles):
        refusal.refuse(
            TransitionNotYoursError, f"the transition {transition.name!r} is for others", transition=transition.name
        )
    if transition.source is not None and machine.status_of(before) not in transition.source:
        refusal.refuse(
            TransitionNotFromHereError,
            f"the transition {transition.name!r} does not lead on from here",
            transition=transition.name,
        )
    after = _changed(before, wish, transition, by, limit_bytes, refusal)
    after = _arrived(machine, transition, before, after, refusal)
    _require_size(found, after, by.view)
    fault = found.schema.fault(after)
    if fault is not None:
        told = _told(fault, by.view)
        where = f" at {told['place']!r} ({fault.keyword})" if told else ""
        refusal.refuse(
            StateInvalidError,
            f"the state after it does not satisfy the schema{where}",
            transition=transition.name,
            **told,
        )
    _require_guard(transition, before, after, by, refusal)
    return after


class _Refusal:
    """What every refusal tells: where we are, and what leads on."""

    def __init__(self, machine: Machine, state: dict[str, Any], by: Participant) -> None:
        self._machine, self._state, self._by = machine, state, by

    def settable(self, transition: Transition) -> list[Path]:
        """The place of the status, if a transition leads to another one."""
        status = self._machine.status
        return [] if status is None or transition.target is None else [status]

    def refuse(self, kind: type[TransitionRefusal], message: str, **details: object) -> NoReturn:
        view, machine = self._by.view, self._machine
        told = machine.status is not None and (view is None or view.sees(machine.status))
        status = machine.status_of(self._state) if told else None
        allowed = machine.allowed(self._state, self._by.who, self._by.roles)
        raise kind(message, **details, status=status, allowed=allowed)


def _changed(
    before: dict[str, Any], wish: Wish, transition: Transition, by: Participant, limit_bytes: int, refusal: _Refusal
) -> dict[str, Any]:
    """The state after the change to what is seen of it, if it is in places that the transition may change."""
    visible = seen(before, by.view)
    changed = changed_state(visible, wish.data, wish.mode, limit_bytes, field="change")
    patterns = [*transition.may_change, *refusal.settable(transition)]
    outside = changed_outside(visible, changed, patterns, MAX_TOLD)
    try:
        after = changed if by.view is None else by.view.put(before, changed)
    except BlindError:  # said as if the place were none of those that may be changed: it might be one
        outside = outside or [step.path for step in diff(visible, changed)[:MAX_TOLD]]
        after = before
    if outside:
        refusal.refuse(
            ChangeNotAllowedError,
            f"the transition {transition.name!r} may not change {', '.join(outside)}",
            transition=transition.name,
            places=outside,
        )
    return after


def _arrived(
    machine: Machine, transition: Transition, before: dict[str, Any], after: dict[str, Any], refusal: _Refusal
) -> dict[str, Any]:
    """The state with the status that the transition leads to; with one only, the daemon sets it."""
    if machine.status is None:
        return after
    old, new = machine.status_of(before), machine.status_of(after)
    target = transition.target
    if target is not None and len(target) == 1 and new == old:
        return _with(after, machine.status, target[0])
    if not (new == old if target is None else new in target):
        where = f"to one of {', '.join(target)}" if target else "nowhere else"
        refusal.refuse(
            ChangeNotAllowedError,
            f"the transition {transition.name!r} leads {where}",
            transition=transition.name,
            places=[written(machine.status)],
        )
    return after


def _with(document: dict[str, Any], path: Sequence[str], value: str) -> dict[str, Any]:
    """A copy with a value at a place. What is on the way is an object, or becomes one: the schema says if it may."""
    first, *rest = path
    inner = document.get(first)
    return {**document, first: _with(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


def _require_guard(
    transition: Transition, before: dict[str, Any], after: dict[str, Any], by: Participant, refusal: _Refusal
) -> None:
    who = {"client_id": by.who.client_id, "roles": list(by.roles), "share": by.who.share}
    try:
        holds = guard.holds(transition.guard, {"before": before, "after": after, "who": who})
    except guard.GuardError:  # its reason may be about what is hidden
        holds = False
    if not holds:
        refusal.refuse(
            GuardFailedError,
            f"the guard of the transition {transition.name!r} does not hold for this change",
            transition=transition.name,
        )


def require_satisfied(found: Compiled, state: dict[str, Any], view: View | None) -> None:
    """Go on only if a state satisfies the schema, and has a status.

    Raises:
        SessionTooLargeError: it is larger than the machine takes.
        StateInvalidError: it does not.
    """
    _require_size(found, state, view)
    fault = found.schema.fault(state)
    if fault is None and (found.machine.status is None or found.machine.status_of(state) is not None):
        return
    msg = "that state does not satisfy the schema of the machine"
    raise StateInvalidError(msg, **({} if fault is None else _told(fault, view)))


def _told(fault: Fault, view: View | None) -> dict[str, Any]:
    """What an error tells of a fault to whom sees this."""
    if view is not None and not view.sees(fault.place):
        return {}
    return {"place": written(fault.place), "keyword": fault.keyword}


def _require_size(found: Compiled, state: dict[str, Any], view: View | None) -> None:
    size, most = _size(state), found.max_state_bytes
    if size <= most:
        return
    if view is not None:  # by how much tells how much is hidden
        msg = f"the state would be too large; {most} bytes are allowed with this state machine"
        raise SessionTooLargeError(msg, limit_bytes=most)
    msg = f"the state would have {size} bytes; {most} are allowed with this state machine"
    raise SessionTooLargeError(msg, size_bytes=size, limit_bytes=most)
