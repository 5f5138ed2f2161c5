"""How does a client get to the daemon? Each kind of transport behind one small interface, most over a bad network."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Self

import websockets.asyncio.client
from websockets import Subprotocol
from websockets.exceptions import WebSocketException

from stui_sessiond.client import ConnectionLostError
from stui_sessiond.client.channel import MAX_MESSAGE_BYTES, Channel, LineChannel, WebSocketChannel
from tests.chaos.process import DaemonProcess
from tests.chaos.proxy import Cable, Proxy

from .http import HttpChannel

DIAL_S = 20.0
"""How long a connection may take on a machine that others use too."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Road:
    """One connection: the channel to talk through, and the cable it runs over, where there is one to be spoiled."""

    def __init__(self, kind: str, channel: Channel, cable: Cable | None) -> None:
        self.kind = kind
        self.channel = channel
        self.cable = cable
        self.trusted = kind == "unix"
        """Whether the daemon asks for no token here: its own user's socket, where a token is not looked at."""
        self.resumes = kind != "http"
        """Whether a connection can be continued by its token; over HTTP only the stream of events can, by its place."""


class Network:
    """The ways to one daemon. A kind is a name and a method that opens a road."""

    def __init__(self, daemon: DaemonProcess, rng: random.Random) -> None:
        self.images: Proxy = Proxy(self.dial_lines)
        """Between images and the daemon."""
        self._daemon = daemon
        self._random = rng
        self._unix = Proxy(self.dial_unix)
        self._lines = Proxy(self.dial_lines)
        self._http = Proxy(self.dial_http)
        self._stack = AsyncExitStack()
        self.kinds: dict[str, Callable[[], Awaitable[Road]]] = {
            "unix": self._open_unix,
            "unix, spoiled": lambda: self._open_lines("unix", self._unix),
            "lines": lambda: self._open_lines("lines", self._lines),
            "websocket": self._open_websocket,
            "http": self._open_http,
        }

    async def __aenter__(self) -> Self:
        for proxy in (self.images, self._unix, self._lines, self._http):
            await self._stack.enter_async_context(proxy)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def heal(self) -> None:
        """Cut what is left of clients' connections."""
        for proxy in (self._unix, self._lines, self._http):
            proxy.heal()

    async def open(self, kind: str) -> Road:
        """Open a road.

        Raises:
            ConnectionLostError: there is none.
        """
        try:
            async with asyncio.timeout(DIAL_S):
                return await self.kinds[kind]()
        except (OSError, WebSocketException) as error:
            msg = f"no connection over {kind}: {error!r}"
            raise ConnectionLostError(msg) from error

    # ---- straight to the daemon

    async def dial_unix(self) -> Streams:
        """Connect to the unix socket."""
        return await asyncio.open_unix_connection(str(self._daemon.unix), limit=MAX_MESSAGE_BYTES)

    async def dial_lines(self, source: str = "127.0.0.1") -> Streams:
        """Connect to the port for lines, from an address of this machine."""
        if self._daemon.lines is None:
            raise ConnectionRefusedError
        return await asyncio.open_connection(*self._daemon.lines, limit=MAX_MESSAGE_BYTES, local_addr=(source, 0))

    async def dial_http(self, source: str = "127.0.0.1") -> Streams:
        """Connect to the port for HTTP and WebSocket."""
        if self._daemon.http is None:
            raise ConnectionRefusedError
        return await asyncio.open_connection(*self._daemon.http, limit=MAX_MESSAGE_BYTES, local_addr=(source, 0))

    async def dial_slow(self) -> socket.socket:
        """Connect to the port for lines with little room for what is not read."""
        assert self._daemon.lines is not None
        sock = socket.socket()
        sock.setblocking(False)  # noqa: FBT003 -- its name in the library
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(sock, self._daemon.lines)
        return sock

    @property
    def host(self) -> str:
        """What HTTP calls the daemon."""
        assert self._daemon.http is not None
        return f"127.0.0.1:{self._daemon.http[1]}"

    # ---- kinds

    async def _open_unix(self) -> Road:
        return Road("unix", LineChannel(*await self.dial_unix()), None)

    async def _open_lines(self, kind: str, proxy: Proxy) -> Road:
        reader, writer = await asyncio.open_connection(*proxy.place, limit=MAX_MESSAGE_BYTES)
        return Road(kind, LineChannel(reader, writer), await _cable(proxy, writer.get_extra_info("sockname")))

    async def _open_http(self) -> Road:
        streams = await asyncio.open_connection(*self._http.place, limit=MAX_MESSAGE_BYTES)
        cable = await _cable(self._http, streams[1].get_extra_info("sockname"))
        return Road("http", HttpChannel(streams, self.dial_http, self.host), cable)

    async def _open_websocket(self) -> Road:
        connection = await websockets.asyncio.client.connect(
            f"ws://{self.host}/",
            host=self._http.place[0],
            port=self._http.place[1],
            subprotocols=[Subprotocol("stui.v1")],
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            close_timeout=5,
            ping_interval=None,
            proxy=None,
        )
        cable = await _cable(self._http, connection.transport.get_extra_info("sockname"))
        return Road("websocket", WebSocketChannel(connection), cable)


async def _cable(proxy: Proxy, name: tuple[str, int]) -> Cable:
    """Find the cable of the connection that we know under this name."""
    while True:
        for cable in proxy.cables:
            writer = cable.writers[0]  # one that is closing had the same port before
            if writer.get_extra_info("peername") == name and not writer.is_closing():
                return cable
        await asyncio.sleep(0.01)  # the proxy accepts it in a turn of its own
