"""Does an event continue what is known of a stream? Pure."""

from enum import Enum

import msgspec

from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position

GAP = "gap"
"""The name of the event with which the daemon says that others are missing."""


class Gap(msgspec.Struct, frozen=True):
    """Events that will not come any more. What follows is whole again; the present state is there to be asked for."""

    session_id: str | None
    position: Position
    """Where the stream goes on: the next event has `seq` + 1."""
    after: Position | None
    """What was known before."""
    reason: str
    announced: bool = True
    """False when the daemon left events out without a word, which it must not."""


class Verdict(Enum):
    """What to do with an event."""

    TAKE = "take"
    """It is the next one."""
    OLD = "old"
    """It was taken before."""
    GAP = "gap"
    """The daemon says that something is missing before what follows."""
    JUMP = "jump"
    """Something is missing, and nobody said so."""


def judge(known: Position | None, event: EventMessage) -> Verdict:
    """Compare an event with the position of the last one that was taken; None takes any as the first."""
    same_epoch = known is not None and event.epoch == known.epoch
    if known is not None and same_epoch and event.seq <= known.seq:
        return Verdict.OLD
    if event.event == GAP:
        return Verdict.GAP
    if known is None or (same_epoch and event.seq == known.seq + 1):
        return Verdict.TAKE
    return Verdict.JUMP


def gap_of(known: Position | None, event: EventMessage) -> Gap:
    """Read a `gap` event."""
    data = event.data if isinstance(event.data, dict) else {}
    position = Position(event.epoch, event.seq)
    return Gap(event.session_id, position, known, str(data.get("reason", "")))


def jump_to(known: Position | None, event: EventMessage) -> Gap:
    """Make the gap that the daemon should have told of before this event."""
    position = Position(event.epoch, max(0, event.seq - 1))
    text = f"the daemon left out what is between {_shown(known)} and {_shown(position)} without saying so"
    return Gap(event.session_id, position, known, text, announced=False)


def _shown(position: Position | None) -> str:
    return "the start" if position is None else f"{position.epoch}/{position.seq}"
