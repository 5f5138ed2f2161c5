"""What does time tell about images?

Asks for signs of life, looks after processes, notices that a condition changed. Nobody waits for it, and it waits for
nobody.
"""

from collections.abc import Callable

import structlog

from stui_sessiond.images.condition import Condition, condition_of
from stui_sessiond.images.process import look
from stui_sessiond.images.registry import ImageRegistry, KnownImage

_log = structlog.get_logger(__name__)

TICK_S = 1.0
"""Between looks."""

PROCESS_TICKS = 5
"""Every so many looks also at processes of images that are not connected."""

SETTLE_S = 5.0
"""Code that runs for a shorter time is no news: an image would else be told of at each evaluation, twice."""

_BRIEF = frozenset({"idle", "evaluating"})

Told = Callable[[KnownImage, Condition], None]
"""Hears of an image whose condition changed, and what it was before."""


class Watch:
    """Looks at all images again and again."""

    def __init__(self, images: ImageRegistry, clock: Callable[[], float], told: Told) -> None:
        self._images = images
        self._clock = clock
        self._told = told
        self._ticks = 0

    def tick(self) -> None:
        """Look at all of them."""
        self._ticks += 1
        for known in self._images.all_known():
            if known.link is not None:
                if known.link.can("ping") and known.link.pulse.is_due():
                    known.link.ping()
            elif known.process == "alive" and self._ticks % PROCESS_TICKS == 0:
                known.process = look(known.mark)
            self.note(known)

    def note(self, known: KnownImage) -> None:
        """Look at one image: if its condition is another one than before, say so."""
        found, before, now = condition_of(self._images.facts(known)), known.condition, self._clock()
        if found == before:
            known.changing_since = None
            return
        since = now
        if {found, before} == _BRIEF:
            since = known.changing_since = now if known.changing_since is None else known.changing_since
            if now - since < SETTLE_S:
                return
        known.condition, known.condition_since, known.changing_since = found, since, None
        _log.info("image.condition_changed", image_id=known.image_id, condition=found, before=before)
        self._told(known, before)
