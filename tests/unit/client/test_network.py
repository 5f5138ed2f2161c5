"""How a client finds out that the network changed, or that the machine slept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from stui_sessiond.client.network import NetworkWatch, Tick, fingerprint, open_netlink, read_clocks, slept_s
from tests.unit.client.bed import Journey


@pytest.mark.parametrize(
    ("after", "slept"),
    [
        (Tick(1.0, 1.0, 1.0), 0.0),
        (Tick(4.0, 4.0, 4.0), 0.0),
        (Tick(1.0, 3601.0, 1.0), 3600.0),
        (Tick(1.0, 1.0, 601.0), 600.0),
        (Tick(61.0, 61.0, 61.0), 60.0),
        (Tick(1.0, 1.0, -3600.0), 0.0),
    ],
    ids=["on time", "busy", "slept", "stopped from outside", "held", "clock set back"],
)
def test_sleep_is_what_some_clock_saw_and_nobody_expected(after: Tick, slept: float) -> None:
    """A tick that comes late by any clock is a sleep; a busy machine or a clock set back is not."""
    assert slept_s(Tick(0.0, 0.0, 0.0), after) == slept


def test_clocks_and_addresses_of_this_machine_can_be_read() -> None:
    """The clocks go forward, and the interfaces are the same when nothing changes."""
    before, after = read_clocks(), read_clocks()
    assert after.running >= before.running
    assert after.boot >= before.boot
    assert fingerprint() == fingerprint()


class World:
    """Clocks and addresses that the test sets, and what was reported."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.asleep_s = 0.0
        self.addresses: tuple[object, ...] = ("lo", "10.0.0.1")
        self.reports: asyncio.Queue[str] = asyncio.Queue()
        self.looked = asyncio.Event()

    def clocks(self) -> Tick:
        """The clocks."""
        self.looked.set()
        now = self.journey.now()
        return Tick(now, now + self.asleep_s, now)

    async def tick(self) -> None:
        """Let a second pass, and wait until the watch has looked."""
        self.looked.clear()
        self.journey.jump(1.0)
        await self.looked.wait()


@contextlib.asynccontextmanager
async def watching(netlink: Callable[[], socket.socket | None]) -> AsyncIterator[World]:
    """A watch at work."""
    world = World(Journey())
    watch = NetworkWatch(world.clocks, lambda: world.addresses, netlink)
    task = asyncio.ensure_future(watch.run(world.reports.put_nowait))
    await world.looked.wait()
    try:
        yield world
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_other_address_is_reported_where_it_has_to_be_polled() -> None:
    """Without netlink, another address is noticed at the next tick, once."""
    async with watching(lambda: None) as world:
        await world.tick()
        assert world.reports.empty()
        world.addresses = ("lo", "192.168.1.7")
        await world.tick()
        assert await world.reports.get() == "the network changed"
        await world.tick()
        assert world.reports.empty()


async def test_sleep_is_reported() -> None:
    """When the boot clock jumps ahead of the running one, the machine slept."""
    async with watching(lambda: None) as world:
        world.asleep_s = 3600.0
        await world.tick()
        assert await world.reports.get() == "the machine slept for 3600 s"


async def test_burst_of_messages_of_the_system_is_reported_once() -> None:
    """Where the system tells of changes, many at once are one report, and polling is not needed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    os.set_blocking(ours.fileno(), False)
    with theirs:
        async with watching(lambda: ours) as world:
            for _ in range(5):
                theirs.send(b"link")
            world.addresses = ("not looked at",)
            assert await world.reports.get() == "the network changed"
            await world.tick()
            assert world.reports.empty()
    assert ours.fileno() == -1


async def test_real_network_is_watched_without_harm() -> None:
    """The watch starts and ends on this machine, whether netlink is permitted or not."""
    listener = open_netlink()
    if listener is not None:
        assert os.get_blocking(listener.fileno()) is False
        listener.close()
    task = asyncio.ensure_future(NetworkWatch().run(print))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
