"""Two echo servers for the Autobahn|Testsuite: our `WebSocketProtocol`, and the bare library beside it.

    python tests/autobahn/echo.py 9001 9002 &
    wstest -m fuzzingclient -s tests/autobahn/cases.json    # Python 2.7: pip install autobahntestsuite
    python tests/autobahn/compare.py reports/index.json

Ours gets one change: binary messages, which the daemon refuses, are echoed as the suite wants.
"""

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from stui_sessiond.errors import WireError
from stui_sessiond.security.origin import allowed_hosts
from stui_sessiond.transports.pipe import Pipe, PipeLimits
from stui_sessiond.transports.websocket import WebSocketProtocol, WebSocketRules

MESSAGE_BYTES = 32 * 1024 * 1024


class Echo:
    """Says back what it hears."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def receive(self, payload: bytes) -> None:
        """Take a message."""
        self._pipe.send(payload)

    def receive_broken(self, error: WireError) -> None:
        """The pipe closes the connection."""

    def ended(self) -> bool:
        """Nothing is left to say."""
        return False

    def drained(self) -> None:
        """Nothing waits."""

    def stalled(self) -> None:
        """It will read in the end."""

    def dribbled(self) -> None:
        """The daemon would close the connection: so the suite has to be fast enough."""
        print("too slow")

    def lost(self) -> None:
        """Nothing is kept."""


class EchoProtocol(WebSocketProtocol):
    """Ours, with binary messages."""

    _binary: bytearray | None = None

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            self._binary = bytearray()
        if self._binary is None or frame.opcode not in {Opcode.BINARY, Opcode.CONT}:
            super()._take_frame(frame)
            return
        self._binary += frame.data
        if frame.fin:
            whole, self._binary = bytes(self._binary), None
            if self._ws.state is State.OPEN:
                self._write_out()
                self._ws.send_binary(whole)


async def bare_echo(connection: ServerConnection) -> None:
    """Echo with the library alone."""
    async for message in connection:
        await connection.send(message)


async def main(own_port: int, bare_port: int) -> None:
    """Serve for ever."""
    limits = PipeLimits(message_bytes=MESSAGE_BYTES, outbound_soft_bytes=2**26, outbound_hard_bytes=2**28)
    rules = WebSocketRules(hosts=allowed_hosts("127.0.0.1", own_port, ()), origins=(), ping_interval_s=0)
    loop = asyncio.get_running_loop()
    own = await loop.create_server(lambda: EchoProtocol(Echo, limits, rules), "127.0.0.1", own_port)
    async with own, serve(bare_echo, "127.0.0.1", bare_port, compression=None, max_size=MESSAGE_BYTES):
        await own.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
