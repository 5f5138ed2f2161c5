"""What does the service manager hear of a daemon that starts, runs and stops? More time, signs of life, its status.

A sign of life means that the event loop turns and the disk takes what is given to it. A daemon that cannot say so is
killed by the manager's watchdog and started again; nothing that was acknowledged is lost by that.
"""

import asyncio
from collections.abc import Callable

import structlog

from stui_sessiond.service.notify import Notifier

_log = structlog.get_logger(__name__)

EXTEND_EVERY_S = 5.0
EXTEND_BY_S = 30.0
"""While it starts or stops the daemon asks again and again for so much time: a long recovery is no failure; a hung
loop is."""

STALLED_S = 60.0
"""A write that takes longer is taken for a disk that hangs. Half a minute happens to network disks that recover."""

PER_PERIOD = 3
"""Signs of life in the time the watchdog waits: one may be late and one lost. systemd recommends two."""

CHECK_EVERY_S = 5.0
"""How often the disk is looked at where there is no watchdog: the log says so all the same."""


class Heart:
    """Beats as long as its task runs."""

    def __init__(self, notifier: Notifier, stalled_s: Callable[[], float]) -> None:
        self._notifier = notifier
        self._stalled_s = stalled_s
        self._stalled = False

    async def ask_for_time(self) -> None:
        """Ask for more time until cancelled."""
        while True:
            self._notifier.extend(EXTEND_BY_S)
            await asyncio.sleep(EXTEND_EVERY_S)

    async def beat(self) -> None:
        """Give signs of life until cancelled."""
        watchdog_s = self._notifier.watchdog_s
        while True:
            if self.check() and watchdog_s is not None:
                self._notifier.tell("WATCHDOG=1")
            await asyncio.sleep(CHECK_EVERY_S if watchdog_s is None else watchdog_s / PER_PERIOD)

    def check(self) -> bool:
        """Tell whether the disk takes what is given to it; say so when that changes."""
        waited_s = self._stalled_s()
        stalled = waited_s >= STALLED_S
        if stalled and not self._stalled:
            _log.error("storage.stalled", seconds=round(waited_s, 1))
            self._notifier.status(f"the disk has taken nothing for {waited_s:.0f} s")
        elif self._stalled and not stalled:
            _log.info("storage.moves_again")
            self._notifier.status("serving")
        self._stalled = stalled
        return not stalled
