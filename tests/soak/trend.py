"""Does a figure rise over time? Pure: samples in, a verdict out.

The slope is that of Theil and Sen: the median of the slopes between all pairs of samples. A third of the samples may be
wild (a backup, a collection, a burst of clients) without moving it.
"""

import statistics
from collections.abc import Sequence
from itertools import combinations

import msgspec

HOUR_S = 3600.0

MAX_POINTS = 300
"""Samples that are compared with each other; of more, the medians of neighbours are taken. 300 make 45,000 pairs."""


class Bound(msgspec.Struct, frozen=True):
    """How much a figure may rise."""

    per_hour: float
    """In the figure's unit."""
    noise: float
    """A rise over the time that was looked at which says nothing: what one burst or one collection makes."""
    filling: float
    """The same while what is kept for minutes is still growing."""

    def allowed(self, seconds: float, *, filling: bool) -> float:
        """Tell how much a figure may rise in this time."""
        return self.filling if filling else max(self.noise, self.per_hour * seconds / HOUR_S)


class Verdict(msgspec.Struct, frozen=True):
    """What became of a figure."""

    first: float
    """Median of the first tenth of the samples."""
    last: float
    """Median of the last tenth."""
    highest: float
    per_hour: float
    """The slope."""
    rise: float
    """The slope over the time that was looked at."""
    allowed: float
    """How much that may be."""
    flat: bool


def thin(points: Sequence[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Take medians of neighbours until there are at most so many."""
    step = -(-len(points) // most)
    groups = [points[start : start + step] for start in range(0, len(points), max(1, step))]
    return [
        (statistics.median(at for at, _ in group), statistics.median(value for _, value in group)) for group in groups
    ]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Tell the slope of Theil and Sen: units of the value per second; 0 of fewer than two points."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(thin(points), 2) if a[0] != b[0]]
    return statistics.median(slopes) if slopes else 0.0


def judge(points: Sequence[tuple[float, float]], bound: Bound, *, filling: bool = False) -> Verdict:
    """Tell whether samples (seconds, value) rise by no more than they may; `filling` as in `Bound`.

    Raises:
        ValueError: there are fewer than ten: they say nothing, and nothing must not look like flat.
    """
    if len(points) < 10:
        msg = f"{len(points)} samples say nothing of a trend"
        raise ValueError(msg)
    tenth = max(1, len(points) // 10)
    values = [value for _, value in points]
    per_s = slope(points)
    seconds = points[-1][0] - points[0][0]
    rise, allowed = per_s * seconds, bound.allowed(seconds, filling=filling)
    return Verdict(
        first=statistics.median(values[:tenth]),
        last=statistics.median(values[-tenth:]),
        highest=max(values),
        per_hour=per_s * HOUR_S,
        rise=rise,
        allowed=allowed,
        flat=rise <= allowed,
    )
