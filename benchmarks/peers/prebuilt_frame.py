"""The limit of a broadcast: one frame, made once, written to every other transport. uvloop, nothing else.

It reads whole, unfragmented frames below 64 KB and one at a time, which is all that its publisher sends.
"""

import asyncio
import base64
import hashlib
import sys
from typing import cast

import uvloop

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
everybody: set[asyncio.WriteTransport] = set()


class Subscriber(asyncio.Protocol):
    """Whoever connects listens; whoever sends something tells all others."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake."""
        self.transport = cast("asyncio.Transport", transport)
        self.open = False
        self.kept = b""

    def data_received(self, data: bytes) -> None:
        """Answer the handshake, then pass on each frame."""
        self.kept += data
        if not self.open:
            head, end, self.kept = self.kept.partition(b"\r\n\r\n")
            if not end:
                self.kept = head
                return
            key = head.lower().partition(b"sec-websocket-key:")[2].partition(b"\r\n")[0]
            at = head.lower().index(b"sec-websocket-key:") + len(b"sec-websocket-key:")
            key = head[at : at + len(key)].strip()
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 -- the RFC says so
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self.open = True
            everybody.add(self.transport)
        while len(self.kept) >= 8:
            size = self.kept[1] & 127
            start = 2
            if size == 126:
                size, start = int.from_bytes(self.kept[2:4], "big"), 4
            if len(self.kept) < start + 4 + size:
                return
            mask = self.kept[start : start + 4] * (size // 4 + 1)
            payload = self.kept[start + 4 : start + 4 + size]
            self.kept = self.kept[start + 4 + size :]
            plain = (int.from_bytes(payload, "big") ^ int.from_bytes(mask[:size], "big")).to_bytes(size, "big")
            length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
            frame = b"\x81" + length + plain
            for transport in everybody:
                if transport is not self.transport:
                    transport.write(frame)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget it."""
        everybody.discard(self.transport)


async def serve() -> None:
    """Run for ever."""
    server = await asyncio.get_running_loop().create_server(Subscriber, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(serve())
