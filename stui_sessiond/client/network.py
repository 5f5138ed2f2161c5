"""Has the network changed under us, or has the machine slept? Then a connection that looks alive may be dead."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable

import msgspec

_log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often the clocks are compared, and the addresses where the system does not tell of changes."""

SLEPT_S = 5.0
"""A tick that comes later than this, or clocks that differ by more, mean that the process did not run meanwhile.

A busy machine is late by less; a clock that somebody set costs one ping.
"""

SETTLE_S = 0.2
"""Changes of the network come in bursts; they are reported once, when it has been quiet for so long."""

_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV6_IFADDR = 0x100
_BURST_BYTES = 65_536

_FAR_V4 = ("192.0.2.1", 9)
_FAR_V6 = ("2001:db8::1", 9)
"""Addresses for documentation. Connecting a UDP socket sends nothing; it tells the address it would send from."""


class Tick(msgspec.Struct, frozen=True):
    """What three clocks said at one moment, in seconds."""

    running: float
    """Stands still while the machine sleeps."""
    boot: float
    """Goes on while the machine sleeps, where the system has such a clock."""
    wall: float
    """Goes on while a virtual machine is stopped from outside; people may set it."""


def read_clocks() -> Tick:
    """Look at the clocks."""
    running = time.monotonic()
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else running
    return Tick(running, boot, time.time())


def slept_s(before: Tick, after: Tick, expected_s: float = TICK_S) -> float:
    """Tell how many seconds longer than expected the time between two ticks was, by the clock that saw most; 0 if few.

    A clock set back says nothing.
    """
    passed = max(after.running - before.running, after.boot - before.boot, after.wall - before.wall)
    late = passed - expected_s
    return late if late > SLEPT_S else 0.0


def fingerprint() -> tuple[object, ...]:
    """Tell interfaces and own addresses, as something to compare."""
    try:
        interfaces = tuple(name for _, name in socket.if_nameindex())
    except OSError:
        interfaces = ()
    return (*interfaces, _source(socket.AF_INET, _FAR_V4), _source(socket.AF_INET6, _FAR_V6))


def _source(family: socket.AddressFamily, far: tuple[str, int]) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(far)
            return str(probe.getsockname()[0])
    except OSError:
        return None


def open_netlink() -> socket.socket | None:
    """Open a socket on which Linux tells of links and addresses; None where there is none, or it is not permitted."""
    if not hasattr(socket, "AF_NETLINK"):
        return None
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        listener.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError:
        listener.close()
        return None
    return listener


class NetworkWatch:
    """Reports changes of the network and that the machine slept."""

    def __init__(
        self,
        clocks: Callable[[], Tick] = read_clocks,
        addresses: Callable[[], tuple[object, ...]] = fingerprint,
        netlink: Callable[[], socket.socket | None] = open_netlink,
    ) -> None:
        self._clocks = clocks
        self._addresses = addresses
        self._netlink = netlink
        self._stirred = asyncio.Event()

    async def run(self, changed: Callable[[str], None]) -> None:
        """Call `changed` with what happened, until cancelled."""
        listener = self._netlink()
        if listener is None:
            await self._tick(changed, poll=True)
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._drain, listener)
        try:
            await self._tick(changed, poll=False)
        finally:
            loop.remove_reader(listener)
            listener.close()

    def _drain(self, listener: socket.socket) -> None:
        try:
            while listener.recv(_BURST_BYTES):
                pass
        except BlockingIOError:
            pass
        except OSError as error:  # the kernel had more to tell than fits: something changed all the same
            _log.debug("network.overrun: %s", error)
        self._stirred.set()

    async def _tick(self, changed: Callable[[str], None], *, poll: bool) -> None:
        clocks, addresses = self._clocks(), self._addresses() if poll else ()
        while True:
            stirred = await self._pause()
            now = self._clocks()
            late = slept_s(clocks, now)
            clocks = now
            if late:
                changed(f"the machine slept for {late:.0f} s")
            if poll and (found := self._addresses()) != addresses:
                addresses, stirred = found, True
            if stirred:
                changed("the network changed")

    async def _pause(self) -> bool:
        """Wait for the next tick, or for a burst of changes to be over; tell whether there was one."""
        try:
            async with asyncio.timeout(TICK_S):
                await self._stirred.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(SETTLE_S)
        self._stirred.clear()
        return True
