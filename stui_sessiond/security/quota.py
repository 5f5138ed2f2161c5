"""How often may somebody ask? The generic cell rate algorithm (ITU-T I.371), on a clock that never goes back.

Each rate is `per_second` with a `burst` on top: whoever was silent for long may ask `burst` times at once. One number
is kept per asker: the time at which it would have used up nothing.
"""

from collections import OrderedDict

import msgspec

MAX_ASKERS = 10_000
"""Askers whose use is remembered; the one that was silent longest is forgotten first."""


class Rate(msgspec.Struct, frozen=True):
    """How often: 0 per second is without bound."""

    per_second: float
    burst: int


class RateLimiter:
    """Counts the use of many askers against one rate."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._free_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._free_at)

    def take(self, asker: str, now: float) -> float:
        """Use one; 0 if that is granted, else the seconds until it would be. `now` is a monotonic time."""
        rate = self.rate
        if rate.per_second <= 0:
            return 0.0
        interval = 1.0 / rate.per_second
        free_at = max(self._free_at.get(asker, now), now)
        wait = free_at - now - interval * (rate.burst - 1)
        if wait > 1e-9:  # noqa: PLR2004 -- what rounding leaves
            return wait
        self._free_at[asker] = free_at + interval
        self._free_at.move_to_end(asker)
        while len(self._free_at) > MAX_ASKERS or self._free_at[next(iter(self._free_at))] <= now:
            self._free_at.popitem(last=False)  # it has used up nothing by now, as somebody who never asked
        return 0.0
