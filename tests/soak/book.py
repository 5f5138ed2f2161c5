"""Was every acknowledged change kept, once, and did everybody hear the same? Pure; memory does not grow with time."""

from collections import OrderedDict

import msgspec

MAX_COMPARED = 3_000
"""Events of a room that are remembered for comparison; more than a daemon keeps for those who come late."""


class Heard:
    """What one listener heard of one room: each event once, in order, or a gap that was announced."""

    def __init__(self) -> None:
        self.epoch = ""
        self.seq = -1
        self.gaps = 0

    @property
    def since(self) -> dict[str, object] | None:
        """Where it is, for `subscribe`; None before its first subscription."""
        return {"epoch": self.epoch, "seq": self.seq} if self.seq >= 0 else None

    def subscribed(self, epoch: str, seq: int, *, recovered: bool) -> str | None:
        """A subscription began. Tell what is wrong with its answer.

        The first one begins at its position. Later ones go on from where the listener is:
        the events between are replayed.
        """
        if self.seq < 0:
            self.epoch, self.seq = epoch, seq
            return None
        if epoch == self.epoch and seq < self.seq:
            return f"the stream is at {seq}, and {self.seq} was heard"
        if epoch != self.epoch and recovered:
            return f"recovered, and the epoch changed from {self.epoch} to {epoch}"
        return None

    def heard(self, epoch: str, seq: int, *, gap: bool) -> str | None:
        """An event came. Tell what is wrong with it."""
        if gap:
            self.gaps += 1
            self.epoch, self.seq = epoch, seq
            return None
        before = (self.epoch, self.seq)
        self.epoch, self.seq = epoch, seq
        if before != (epoch, seq - 1):
            return f"after {before} came {(epoch, seq)}"
        return None


class _Field(msgspec.Struct):
    asked: int = 0
    acknowledged: int = 0
    heard: int = 0


class Room:
    """The fields of one shared session: each belongs to one person, who counts it up."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._fields: dict[str, _Field] = {}
        self._events: OrderedDict[tuple[str, int], int] = OrderedDict()

    def next_value(self, field: str) -> int:
        """Tell what to set the field to."""
        found = self._fields.setdefault(field, _Field())
        found.asked += 1
        return found.asked

    def acknowledge(self, field: str, value: int) -> None:
        """The daemon said that it has the value."""
        found = self._fields[field]
        found.acknowledged = max(found.acknowledged, value)

    def heard_change(self, field: str, value: int) -> str | None:
        """The auditor heard of a change. Tell what is wrong with it."""
        found = self._fields.setdefault(field, _Field())
        before, found.heard = found.heard, value
        if value <= before:
            return f"{field} became {value} after {before}: changed twice, or in another order than asked"
        return None

    def compare(self, epoch: str, seq: int, content: int) -> str | None:
        """Compare an event (its hash) with what others heard under the same number."""
        known = self._events.setdefault((epoch, seq), content)
        if len(self._events) > MAX_COMPARED:
            self._events.popitem(last=False)
        return None if known == content else f"{epoch}/{seq} of {self.session_id} is not the same for all"

    def disagreements(self, stored: dict[str, object]) -> list[str]:
        """Compare with what is stored at the end: not less than acknowledged, not more than asked for, as was told."""
        wrong = []
        for name, field in self._fields.items():
            value = stored.get(name, 0)
            if not isinstance(value, int) or not field.acknowledged <= value <= field.asked:
                wrong.append(f"{name} is {value}, {field.acknowledged} was acknowledged, {field.asked} was asked for")
            if value != field.heard:
                wrong.append(f"{name} is {value}, {field.heard} was heard last")
        return wrong
