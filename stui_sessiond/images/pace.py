"""How often may an image come, and how much may it tell? What is beyond costs the others nothing.

An image that keeps its word reaches neither bound: it dials again with growing pauses, and nobody reads so fast.
"""

import time
from collections.abc import Callable

from stui_sessiond.errors import RateLimitedError
from stui_sessiond.ids import ImageId
from stui_sessiond.security.quota import Rate, RateLimiter

EVENTS = Rate(per_second=1000, burst=5000)
"""Events of one image: each is written to the disk, a session keeps a thousand, and nobody reads so many a second.
The burst lets a program print a long listing at once."""

ARRIVALS = Rate(per_second=5, burst=30)
"""Connections of one image: each is told to all its sessions, which is written to the disk."""


class Pace:
    """Counts what images do, each by itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events = RateLimiter(EVENTS)
        self._arrivals = RateLimiter(ARRIVALS)

    def admits_event(self, image_id: ImageId) -> bool:
        """Count an event; tell whether it is taken."""
        return not self._events.take(image_id, self._clock())

    def check_arrival(self, image_id: ImageId) -> None:
        """Count an arrival.

        Raises:
            RateLimitedError: it comes too often; `details.retry_after` says when to come again.
        """
        wait = self._arrivals.take(image_id, self._clock())
        if wait:
            msg = f"image {image_id!r} connects too often; dial again with growing pauses"
            raise RateLimitedError(msg, retry_after=round(wait, 3), image_id=image_id)
