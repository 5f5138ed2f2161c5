"""How busy was the daemon in the last minutes? A row of figures for each interval, kept in memory and bounded.

The counts are those that parts keep of themselves anyway (`counting`); here the difference between two looks is told.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from stui_sessiond.counting import Histogram
from stui_sessiond.wire.messages import overview as wire
from stui_sessiond.wire.timestamp import format_time

SAMPLE_S = 5.0
"""How long an interval is: short enough to see a stall, long enough that taking it costs nothing."""

KEPT_SAMPLES = 120
"""Ten minutes of them: what an operator looks at; longer series are the business of a metrics server."""

SHARE = 0.95
"""Of what happened in an interval so much was at most as slow as is told beside the mean."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEMORY = Path("/proc/self/statm")
_MS = 1000.0


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the figures come from. What only grows is asked for its present count."""

    requests: Callable[[], int]
    events: Callable[[], int]
    evaluations: Histogram
    syncs: Callable[[], Histogram | None]
    """None: nothing is written."""
    connections: Callable[[], int]
    sessions: Callable[[], int]
    running: Callable[[], int]


class _Known(NamedTuple):
    counts: tuple[int, ...]
    total: float


_NOTHING = _Known((), 0.0)


class Figures:
    """Takes a sample whenever it is told to, and keeps the newest."""

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        interval_s: float = SAMPLE_S,
    ) -> None:
        self.interval_s = interval_s
        self._source = source
        self._clock = clock
        self._monotonic = monotonic
        self._samples: deque[wire.Sample] = deque(maxlen=KEPT_SAMPLES)
        self._counts = (0, 0)
        self._evaluations = self._syncs = _NOTHING
        self._last = monotonic()

    def start(self) -> None:
        """Begin the first interval now."""
        self._last = self._monotonic()

    def sample(self) -> None:
        """Add the interval that ends now."""
        source, now = self._source, self._monotonic()
        counts = (source.requests(), source.events())
        evaluations, self._evaluations = took_since(source.evaluations, self._evaluations)
        syncs, self._syncs = took_since(source.syncs(), self._syncs)
        self._samples.append(
            wire.Sample(
                at=format_time(self._clock()),
                requests=counts[0] - self._counts[0],
                events=counts[1] - self._counts[1],
                evaluations=evaluations.times,
                evaluation_ms=evaluations.mean_ms,
                evaluation_p95_ms=evaluations.p95_ms,
                syncs=syncs.times,
                sync_ms=syncs.mean_ms,
                sync_p95_ms=syncs.p95_ms,
                connections=source.connections(),
                sessions=source.sessions(),
                running=source.running(),
                memory_bytes=memory_bytes(),
                lag_ms=round(max(0.0, now - self._last - self.interval_s) * _MS, 2),
            )
        )
        self._counts, self._last = counts, now

    def newest(self, count: int) -> list[wire.Sample]:
        """Give the newest samples, the oldest of them first."""
        return list(self._samples)[-count:]


class Took(NamedTuple):
    """How long something took in an interval; None when there was none of it."""

    times: int = 0
    mean_ms: float | None = None
    p95_ms: float | None = None


def took_since(histogram: Histogram | None, known: _Known) -> tuple[Took, _Known]:
    """Tell what came to a histogram since it was known; and what is known now. Another thread may write meanwhile."""
    if histogram is None:
        return Took(), _NOTHING
    counts, total = tuple(histogram.counts), histogram.total
    before = known.counts or (0,) * len(counts)
    fresh = [after - earlier for after, earlier in zip(counts, before, strict=True)]
    count = sum(fresh)
    if not count:
        return Took(), _Known(counts, total)
    mean = max(0.0, total - known.total) / count
    slow = quantile(histogram.bounds, fresh, SHARE)
    return Took(count, round(mean * _MS, 3), round(slow * _MS, 3)), _Known(counts, total)


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float:
    """Estimate the value that a share of all values do not exceed: evenly within its bucket, as Prometheus does.

    What is above the last bound counts as the last bound.
    """
    rank, below, lower = share * sum(counts), 0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below, lower = below + count, bound
    return lower


def memory_bytes() -> int | None:
    """Tell how much memory this process has in use; None where the system does not tell."""
    try:
        return int(_MEMORY.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None
