"""How often was each command asked, what came of it, and how long did it take?

It is for every request, so it is additions. Only every `SAMPLED`th request of a command is timed, the first one too.
"""

from collections import Counter

from stui_sessiond.counting import FAST_S, Histogram

SAMPLED = 16
"""A power of two. Looking at the clock twice for each request would cost more than all other counting together."""


class CommandTally:
    """One command since the start."""

    __slots__ = ("answered", "begun", "failed", "took")

    def __init__(self) -> None:
        self.begun = 0
        """Requests that passed the gate."""
        self.answered = 0
        """Requests that were answered with a result."""
        self.failed: Counter[str] = Counter()
        """Requests that were answered with an error, by its code."""
        self.took = Histogram(FAST_S)
        """From the message to its answer, in seconds, of every `SAMPLED`th that was begun."""
