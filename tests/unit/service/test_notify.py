"""What a service manager is told, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stui_sessiond.service.heart import STALLED_S, Heart
from stui_sessiond.service.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_facts_arrive_in_one_datagram(manager: socket.socket) -> None:
    """A line each."""
    Notifier(manager.getsockname()).tell("READY=1", "STATUS=serving")
    assert manager.recv(4096) == b"READY=1\nSTATUS=serving"


def test_abstract_address() -> None:
    """`@` stands for the byte that begins such names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"stui-test-{os.getpid()}"
        sock.bind(f"\0{name}")
        sock.settimeout(5)
        Notifier(f"@{name}").extend(1.5)
        assert sock.recv(4096) == b"EXTEND_TIMEOUT_USEC=1500000"


def test_reload_has_a_time(manager: socket.socket) -> None:
    """Systemd tells reloads apart by it."""
    Notifier(manager.getsockname()).reloading()
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_manager_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    """Nobody hears, nothing fails."""
    Notifier(str(tmp_path / "nobody")).tell("READY=1")
    Notifier().tell("READY=1")
    assert Notifier().settle() is False


def test_settle_waits_until_it_was_read(manager: socket.socket) -> None:
    """The barrier's descriptor is closed by the manager when it gets there."""
    read = threading.Event()

    def listen() -> None:
        message, descriptors, _, _ = socket.recv_fds(manager, 4096, 4)
        read.set()
        assert message == b"BARRIER=1"
        for descriptor in descriptors:
            os.close(descriptor)

    thread = threading.Thread(target=listen)
    thread.start()
    assert Notifier(manager.getsockname()).settle() is True
    assert read.is_set()
    thread.join()


def test_settle_gives_up(manager: socket.socket) -> None:
    """A manager that does not read holds nobody up for long."""
    assert Notifier(manager.getsockname()).settle(0.01) is False


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_watchdog_is_read_from_the_environment(environment: dict[str, str], watchdog_s: float | None) -> None:
    """Only what is meant for this process counts."""
    found = Notifier.from_environment({"NOTIFY_SOCKET": "/run/notify", **environment})
    assert found.watchdog_s == watchdog_s
    assert bool(found)


def test_successor_takes_the_watchdog_over() -> None:
    """The one before was named; its place is taken."""
    environment = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    assert Notifier.from_environment(environment, successor=True).watchdog_s == 1.0


def test_address_that_is_none_is_ignored() -> None:
    """Vsock and relative paths are not ours."""
    assert not Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1"})


async def test_disk_that_hangs_ends_the_signs_of_life(manager: socket.socket) -> None:
    """The loop turns, and still the watchdog is not told so; when the disk moves again, it is."""
    waited_s = 0.0
    heart = Heart(Notifier(manager.getsockname(), 0.001), lambda: waited_s)
    manager.setblocking(False)  # noqa: FBT003 -- as the socket module has it
    loop = asyncio.get_running_loop()
    beating = asyncio.create_task(heart.beat())
    assert await loop.sock_recv(manager, 4096) == b"WATCHDOG=1"
    waited_s = STALLED_S
    while not (told := await loop.sock_recv(manager, 4096)).startswith(b"STATUS="):
        assert told == b"WATCHDOG=1"
    assert b"disk" in told
    assert heart.check() is False
    waited_s = 0.0
    assert await loop.sock_recv(manager, 4096) == b"STATUS=serving"
    assert await loop.sock_recv(manager, 4096) == b"WATCHDOG=1"
    beating.cancel()
