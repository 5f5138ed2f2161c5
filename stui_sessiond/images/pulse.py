"""When did an image give a sign of life, and when is it to be asked for one?

Whatever comes from an image is a sign of life of its link. Only the answer to a `ping` tells how its user interface is.
"""

from collections import OrderedDict
from collections.abc import Callable

from stui_sessiond.images.condition import SILENT_S

QUIET_S = 20.0
"""An image from which nothing came for so long is asked."""

SUSPECT_S = 5.0
"""The same while one answer is missing already: a lost request must not look like a hung image for long."""

MAX_UNANSWERED = 16
"""Of our signs of life; an image that hangs for days must not find a mountain of them."""


class Pulse:
    """The signs of life of one link. `clock` gives seconds that only go forward."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unanswered: OrderedDict[str, float] = OrderedDict()
        self._asked_at = self._heard_at = clock()
        self.latency_s: float | None = None
        """How long the newest answer took."""
        self.blocked = False
        """It said that its user interface is blocked, and has not said otherwise."""
        self.busy = False
        """It said that code runs, and has not said otherwise."""

    @property
    def silent_s(self) -> float:
        """For how long a sign of life has been missing that was asked for; 0 when none is missing."""
        if not self._unanswered:
            return 0.0
        oldest = next(iter(self._unanswered.values()))
        return max(0.0, self._clock() - max(oldest, self._heard_at))

    @property
    def quiet_s(self) -> float:
        """For how long nothing has come from the image."""
        return max(0.0, self._clock() - self._heard_at)

    def is_due(self) -> bool:
        """Whether the image is to be asked now."""
        now = self._clock()
        if not self._unanswered:
            return now - max(self._asked_at, self._heard_at) >= QUIET_S
        if len(self._unanswered) >= MAX_UNANSWERED:
            return False
        return now - self._asked_at >= (SUSPECT_S if self.silent_s >= SILENT_S else QUIET_S)

    def asked(self, request_id: str) -> None:
        """Take note that the image was asked."""
        self._asked_at = self._unanswered[request_id] = self._clock()

    def heard(self) -> None:
        """Take note that anything came from the image."""
        self._heard_at = self._clock()

    def answered(self, request_id: str, status: str | None) -> bool:
        """Take an answer, `status` as the image gave it; False when it was not asked so."""
        asked_at = self._unanswered.pop(request_id, None)
        if asked_at is None:
            return False
        for older in [name for name, at in self._unanswered.items() if at < asked_at]:
            del self._unanswered[older]  # answers may come in any order, but a newer one says as much
        self.latency_s = self._clock() - asked_at
        self.blocked = status == "interface_blocked"
        self.busy = status == "busy"
        return True
