"""What a pipe tells of a peer that does not read: whether there is room, when again, and when it is hopeless."""

import asyncio
from typing import Any, cast

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.transports import lines
from stui_sessiond.transports.lines import TURN_BYTES, LineProtocol
from stui_sessiond.transports.pipe import PipeLimits
from stui_sessiond.wire.bundle import Bundle
from tests.unit.bed.pipe import Echo, Echoes

LIMITS = PipeLimits(message_bytes=100, outbound_soft_bytes=1000, outbound_hard_bytes=10_000, stall_s=0.0)
CLOSING = load_contract().close_reasons["slow_consumer"]


class FakeTransport:
    """A socket whose other end takes as much as the test says."""

    def __init__(self) -> None:
        self.waiting = 0
        self.reading = True
        self.closing = self.aborted = False

    def write(self, data: bytes) -> None:
        """Take bytes."""
        self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        """Tell how much waits."""
        return self.waiting

    def set_write_buffer_limits(self, high: int) -> None:
        """Take note."""

    def get_extra_info(self, name: str) -> None:
        """There is no socket."""

    def is_closing(self) -> bool:
        """Tell whether it is over."""
        return self.closing

    def pause_reading(self) -> None:
        """Read no more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self.reading = True

    def close(self) -> None:
        """End when everything is written."""
        self.closing = True

    def abort(self) -> None:
        """End at once."""
        self.closing = self.aborted = True


def a_pipe() -> tuple[LineProtocol, FakeTransport, Echo]:
    """Make a pipe over a fake socket, and who is behind it."""
    echoes, transport = Echoes(), FakeTransport()
    pipe = LineProtocol(echoes, LIMITS, same_user=True)
    pipe.connection_made(cast("Any", transport))
    return pipe, transport, echoes.made.get_nowait()


async def turn() -> None:
    """Let the loop go round."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_pipe_has_room() -> None:
    """As long as little waits; nobody is told of room that was always there."""
    pipe, _, echo = a_pipe()
    assert pipe.has_room()
    pipe.send(b"x" * 500)
    assert pipe.has_room()
    await turn()
    assert echo.drains == 0


async def test_pipe_with_a_long_message_in_this_turn() -> None:
    """There is no room until it is written, and then that is told, once."""
    pipe, transport, echo = a_pipe()
    pipe.send(b"x" * 1001)
    assert not pipe.has_room()
    assert not pipe.has_room()
    await turn()
    assert (transport.waiting, echo.drains) == (1002, 1)
    assert pipe.has_room()


async def test_pipe_whose_peer_does_not_read() -> None:
    """There is no room, and nothing more is read from it, until it reads."""
    pipe, transport, echo = a_pipe()
    pipe.pause_writing()
    assert (pipe.has_room(), transport.reading) == (False, False)
    pipe.send(b"x")
    await turn()
    assert echo.drains == 0
    pipe.resume_writing()
    assert (pipe.has_room(), transport.reading, echo.drains) == (True, True, 1)


async def test_pipe_that_nobody_asked_for_room() -> None:
    """Nobody is told that there is some."""
    pipe, _, echo = a_pipe()
    pipe.pause_writing()
    pipe.resume_writing()
    await turn()
    assert echo.drains == 0


async def test_pipe_whose_peer_never_reads() -> None:
    """After the time for it, it is told to be stalled; the receiver decides."""
    pipe, transport, echo = a_pipe()
    transport.waiting = 2000
    pipe.pause_writing()
    await echo.has_stalled.wait()
    assert not transport.closing


async def test_pipe_whose_peer_reads_slowly() -> None:
    """As long as it reads anything it gets more time."""
    pipe, transport, echo = a_pipe()
    transport.waiting = 2000
    pipe.pause_writing()
    for _ in range(50):
        transport.waiting -= 10
        await turn()
    assert transport.waiting == 1500
    assert not echo.has_stalled.is_set() or transport.waiting < 2000
    pipe.resume_writing()
    pipe.connection_lost(None)
    await turn()
    assert echo.losses == 1


async def test_pipe_that_ends_while_its_peer_does_not_read() -> None:
    """Nobody is told of anything any more."""
    pipe, transport, echo = a_pipe()
    transport.waiting = 2000
    pipe.pause_writing()
    assert not pipe.has_room()
    pipe.connection_lost(None)
    await turn()
    assert (echo.losses, echo.drains, echo.has_stalled.is_set()) == (1, 0, False)


@pytest.mark.parametrize("reads", [True, False])
async def test_pipe_that_is_closed_while_something_waits(monkeypatch: pytest.MonkeyPatch, reads: bool) -> None:
    """Who does not read gets a moment to learn why; then the socket is ended, unless it has ended by then."""
    monkeypatch.setattr(lines, "LINGER_S", 0.0)
    pipe, transport, _ = a_pipe()
    pipe.send(b"x" * 500)
    pipe.close(CLOSING)
    assert (transport.closing, transport.aborted, pipe._linger is not None) == (True, False, True)
    if reads:
        pipe.connection_lost(None)
    await asyncio.sleep(0.001)
    assert transport.aborted is not reads


async def test_pipe_with_far_too_much_unread() -> None:
    """It is cut off instead of getting the next message."""
    pipe, transport, _ = a_pipe()
    transport.waiting = 10_001
    pipe.pause_writing()
    pipe.send(b"x")
    await turn()
    assert transport.aborted


async def test_peer_that_sends_much_at_once_waits_for_its_next_turn() -> None:
    """After a large piece nothing is read until the loop has gone round; a small one costs no turn."""
    pipe, transport, echo = a_pipe()
    pipe.data_received(b"x" * 100 + b"\n")
    assert transport.reading
    pipe.data_received(b"\n" * TURN_BYTES)
    states = [transport.reading]
    await turn()
    states.append(transport.reading)
    pipe.data_received(b"\n" * TURN_BYTES)
    pipe.hold(reading=False)
    await turn()
    states.append(transport.reading)  # it is held for another reason
    pipe.hold(reading=True)
    states.append(transport.reading)
    assert states == [False, True, False, True]
    assert len(echo.heard) == 1


async def test_pipe_with_an_event_that_others_get_as_well() -> None:
    """It is written at once, but never before what was queued for this peer."""
    pipe, transport, _ = a_pipe()
    assert pipe.take(Bundle([b"event"]))
    assert transport.waiting == len(b"event\n")
    pipe.send(b"answer")
    assert pipe.take(Bundle([b"event"]))
    assert transport.waiting == len(b"event\n")
    await turn()
    assert transport.waiting == len(b"event\nanswer\nevent\n")


async def test_pipe_that_was_cut_off_takes_no_event() -> None:
    """Nothing is written to a socket that is closed already."""
    pipe, transport, _ = a_pipe()
    transport.abort()
    pipe.take(Bundle([b"event"]))
    await turn()
    assert transport.waiting == 0
