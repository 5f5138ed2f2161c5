"""The receiving end of a pipe that says back what it hears, and peers that talk to it over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stui_sessiond.contract import load_contract
from stui_sessiond.errors import WireError
from stui_sessiond.transports.pipe import Pipe
from stui_sessiond.transports.stream import StreamPipe

PLENTY = 1_000_000


class Echo:
    """Says every message back; `stays` keeps the pipe open when the peer has ended."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.heard: list[bytes] = []
        self.broken: list[WireError] = []
        self.stays = False
        self.answers = True
        self.gone = asyncio.Event()
        self.has_ended = asyncio.Event()
        self.losses = 0
        self.drains = 0
        self.has_drained = asyncio.Event()
        self.has_stalled = asyncio.Event()

    def receive(self, payload: bytes) -> None:
        """Take a message and say it back."""
        self.heard.append(payload)
        if self.answers:
            self.pipe.send(b"echo " + payload)

    def receive_broken(self, error: WireError) -> None:
        """Take note of what was no message."""
        self.broken.append(error)
        self.pipe.send(f"broken {error.code} {error.request_id}".encode())

    def unsent_bytes(self) -> int:
        """How much the peer has not taken."""
        assert isinstance(self.pipe, StreamPipe)
        return self.pipe.unsent_bytes()

    def ended(self) -> bool:
        """The peer sends no more."""
        self.has_ended.set()
        return self.stays

    def dribbled(self) -> None:
        """A message was begun and is not complete."""
        self.pipe.close(load_contract().close_reasons["too_slow"])

    def drained(self) -> None:
        """There is room again."""
        self.drains += 1
        self.has_drained.set()

    def stalled(self) -> None:
        """Nothing was read for long."""
        self.has_stalled.set()

    def lost(self) -> None:
        """The pipe is gone."""
        self.losses += 1
        self.gone.set()


class Echoes:
    """Makes an echo for every pipe, and lets the test wait for it."""

    def __init__(self) -> None:
        self.made: asyncio.Queue[Echo] = asyncio.Queue()
        self.refuses = False

    def __call__(self, pipe: Pipe) -> Echo | None:
        if self.refuses:
            return None
        echo = Echo(pipe)
        self.made.put_nowait(echo)
        return echo


class LinePeer:
    """The other end of a connection, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    async def line(self) -> bytes:
        """Read a line; empty at the end."""
        try:
            return (await self.reader.readline()).removesuffix(b"\n")
        except ConnectionResetError:
            return b""

    async def rest(self) -> bytes:
        """Read to the end."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read()
        return b""

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def listening(make: Callable[[], asyncio.Protocol]) -> AsyncIterator[tuple[str, int]]:
    """Accept connections on a free port."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield host, port
    finally:
        server.close()


@asynccontextmanager
async def line_peer(place: tuple[str, int]) -> AsyncIterator[LinePeer]:
    """Connect, and hang up at the end."""
    peer = LinePeer(*await asyncio.open_connection(*place, limit=PLENTY))
    try:
        yield peer
    finally:
        await peer.close()
