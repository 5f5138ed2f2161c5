"""What has to be looked at now and then, because nobody counts it: how late the loop is, how many sessions are active.

Whether a session has expired is a matter of time alone, so sessions are looked at a slice at a time; a scrape reads
what was found last.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from stui_sessiond.counting import FAST_S, Histogram
from stui_sessiond.sessions.shelf import Shelf

LAG_INTERVAL_S = 0.5
"""Between looks at the loop's lateness: two wakings a second."""

CENSUS_INTERVAL_S = 1.0
CENSUS_PER_SESSION_S = 0.0001
"""Between counts of the sessions, and so much longer for each: 11 s for 100,000. It takes a thousandth of the time."""

SLICE = 1000
"""Sessions that are looked at before others have their turn: well under a millisecond."""


class Sampler:
    """Looks again and again. What it found is there to be read."""

    def __init__(self, shelf: Shelf, clock: Callable[[], float]) -> None:
        self._shelf = shelf
        self._clock = clock
        self.lag = Histogram(FAST_S)
        """How much later than it wanted the loop came back to something, in seconds."""
        self.sessions: Counter[str] = Counter()
        """By state: `active`, `expired`, `closed`."""

    async def run(self) -> None:
        """Look again and again, without end."""
        loop = asyncio.get_running_loop()
        count_at = loop.time()
        while True:
            due = loop.time() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self.lag.note(max(0.0, loop.time() - due))
            if loop.time() >= count_at:
                await self.count_sessions()
                count_at = loop.time() + CENSUS_INTERVAL_S + CENSUS_PER_SESSION_S * len(self._shelf)

    async def count_sessions(self) -> None:
        """Count the sessions once."""
        found: Counter[str] = Counter()
        now, entries = self._clock(), self._shelf.entries()
        for start in range(0, len(entries), SLICE):
            active = closed = 0
            chosen = entries[start : start + SLICE]
            for entry in chosen:
                header = entry.header
                if header.closed_at is not None:
                    closed += 1
                elif now < header.last_activity + header.timeout_s:
                    active += 1
            found["active"] += active
            found["closed"] += closed
            found["expired"] += len(chosen) - active - closed
            await asyncio.sleep(0)
        self.sessions = found
