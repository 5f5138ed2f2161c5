"""What comes after a connection was given up is nobody's message. Found by the fuzz targets `lines` and `handshake`."""

import asyncio

import pytest

from stui_sessiond.transports.lines import LineProtocol
from stui_sessiond.transports.pipe import Pipe, PipeLimits
from stui_sessiond.transports.websocket import WebSocketProtocol, WebSocketRules
from tests.fuzz.wire_targets import HANDSHAKE, Listener, Wire

LIMITS = PipeLimits(message_bytes=100)


class Made:
    """Makes listeners, and keeps them."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []

    def __call__(self, pipe: Pipe) -> Listener:
        self.listeners.append(Listener(pipe))
        return self.listeners[-1]


async def test_half_of_a_refused_line_is_no_message() -> None:
    """An HTTP request that came in two pieces ends the connection; its first piece is not read at the end."""
    made = Made()
    protocol = LineProtocol(made, LIMITS, same_user=False)
    wire = Wire()
    protocol.connection_made(wire)
    protocol.data_received(b"GET / HT")
    protocol.data_received(b"TP/1.1\r\n")
    assert wire.closed
    assert not protocol.eof_received()
    protocol.connection_lost(None)
    assert made.listeners[0].heard == []


@pytest.mark.parametrize("more", [b"", b"Origin: https://evil.example\r\n"])
async def test_handshake_with_bad_frames_behind_it(more: bytes) -> None:
    """Nobody may send frames before the answer; wrong ones in the same read end the connection, and nothing raises."""
    made = Made()
    rules = WebSocketRules(hosts=["127.0.0.1:80"], origins=[], ping_interval_s=0)
    protocol = WebSocketProtocol(made, LIMITS, rules)
    wire = Wire()
    protocol.connection_made(wire)
    protocol.data_received(HANDSHAKE + more + b"\r\n\\ud83d")
    await asyncio.sleep(0)
    assert wire.closed
    assert made.listeners == []
    protocol.connection_lost(None)
