"""How busy was the daemon in the last minutes? A row of figures for each interval, kept in memory and bounded."""

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from stui_sessiond.timing import Taken, Timing
from stui_sessiond.wire.messages import overview as wire
from stui_sessiond.wire.timestamp import format_time

SAMPLE_S = 5.0
"""How long an interval is: short enough to see a stall, long enough that taking it costs nothing."""

KEPT_SAMPLES = 120
"""Ten minutes of them: what an operator looks at; longer series are the business of a metrics server."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEMORY = Path("/proc/self/statm")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the figures come from. What only grows is asked for its present count."""

    requests: Callable[[], int]
    events: Callable[[], int]
    evaluations: Timing
    syncs: Timing
    connections: Callable[[], int]
    sessions: Callable[[], int]
    running: Callable[[], int]


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
        self._before = (0, 0)
        self._last = monotonic()

    def start(self) -> None:
        """Begin the first interval now."""
        self._last = self._monotonic()

    def sample(self) -> None:
        """Add the interval that ends now."""
        source, now = self._source, self._monotonic()
        requests, events = source.requests(), source.events()
        evaluations, syncs = source.evaluations.take(), source.syncs.take()
        self._samples.append(
            wire.Sample(
                at=format_time(self._clock()),
                requests=requests - self._before[0],
                events=events - self._before[1],
                evaluations=evaluations.count,
                evaluation_ms=_mean_ms(evaluations),
                evaluation_max_ms=_max_ms(evaluations),
                syncs=syncs.count,
                sync_ms=_mean_ms(syncs),
                sync_max_ms=_max_ms(syncs),
                connections=source.connections(),
                sessions=source.sessions(),
                running=source.running(),
                memory_bytes=memory_bytes(),
                lag_ms=round(max(0.0, now - self._last - self.interval_s) * 1000, 2),
            )
        )
        self._before, self._last = (requests, events), now

    def newest(self, count: int) -> list[wire.Sample]:
        """Give the newest samples, the oldest of them first."""
        return list(self._samples)[-count:]


def memory_bytes() -> int | None:
    """Tell how much memory this process has in use; None where the system does not tell."""
    try:
        return int(_MEMORY.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None


def _mean_ms(taken: Taken) -> float | None:
    return None if taken.mean_s is None else round(taken.mean_s * 1000, 3)


def _max_ms(taken: Taken) -> float | None:
    return round(taken.slowest_s * 1000, 3) if taken.count else None
