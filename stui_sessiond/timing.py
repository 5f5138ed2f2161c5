"""How long does something take that happens often? A count, a sum and the slowest, as cheap as an addition."""

import msgspec


class Taken(msgspec.Struct, frozen=True):
    """What a `Timing` had gathered since it was taken before. Seconds."""

    count: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0

    @property
    def mean_s(self) -> float | None:
        """How long one took; None when there was none."""
        return self.seconds / self.count if self.count else None


class Timing:
    """Gathers durations. One thread adds; another may take: a duration is counted before or after, never twice."""

    __slots__ = ("_taken", "count", "seconds", "slowest_s")

    def __init__(self) -> None:
        self.count = 0
        """Since the start."""
        self.seconds = 0.0
        """All of them together."""
        self.slowest_s = 0.0
        """Since it was taken."""
        self._taken = (0, 0.0)

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.seconds += seconds
        self.slowest_s = max(self.slowest_s, seconds)

    def take(self) -> Taken:
        """Tell what was added since the last time. There is one who takes: what keeps the figures."""
        count, seconds, slowest_s = self.count, self.seconds, self.slowest_s
        before, self._taken, self.slowest_s = self._taken, (count, seconds), 0.0
        return Taken(count - before[0], max(0.0, seconds - before[1]), slowest_s)
