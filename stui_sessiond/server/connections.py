"""How many connections are there, how did others end, and how long did they last? Counted as they come and go."""

from collections import Counter

from stui_sessiond.counting import LIFE_S, Histogram

BEFORE_HELLO = "before_hello"
"""Stands for the role of a peer that has not said which it has."""

LEFT = "left"
"""The reason of an end that is the peer's own doing, in good order."""


class ConnectionTally:
    """Counts the peers of a server. Names of transports, roles and reasons are ours, never a peer's."""

    def __init__(self) -> None:
        self.present: Counter[tuple[str, str]] = Counter()
        """By transport and role."""
        self.opened: Counter[str] = Counter()
        """By transport, since the start; those that were refused are not among them."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """By transport and the name of a close code, since the start: they came no further than the door."""
        self.ended: Counter[tuple[str, str]] = Counter()
        """By transport and reason, since the start."""
        self.lasted: dict[str, Histogram] = {}
        """By transport, in seconds."""

    def enter(self, transport: str) -> None:
        """A connection is there."""
        self.opened[transport] += 1
        self.present[transport, BEFORE_HELLO] += 1

    def greet(self, transport: str, role: str) -> None:
        """Its peer said hello."""
        self.present[transport, BEFORE_HELLO] -= 1
        self.present[transport, role] += 1

    def leave(self, transport: str, role: str | None, reason: str, lasted_s: float) -> None:
        """It is gone."""
        self.present[transport, role or BEFORE_HELLO] -= 1
        self.ended[transport, reason] += 1
        histogram = self.lasted.get(transport)
        if histogram is None:
            histogram = self.lasted[transport] = Histogram(LIFE_S)
        histogram.note(lasted_s)
