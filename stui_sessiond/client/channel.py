"""How do messages get to the daemon and back? One message per line, or per WebSocket text frame."""

import asyncio
import contextlib
from typing import Protocol

import websockets.asyncio.client
import websockets.exceptions

from stui_sessiond.client.address import Address
from stui_sessiond.client.ending import Ending, closed_with, cut, refused_by_http, unreachable
from stui_sessiond.client.failure import ConnectionLostError

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The longest message a client takes from its daemon, which bounds its own."""

CLOSE_GRACE_S = 1.0
"""How long the end of a connection may take before it is cut: a daemon that does not read must not hold anybody."""

STATUSES_THAT_STAY = frozenset({401, 403, 404})
"""Answers to a WebSocket handshake that the next try would get as well."""


class Channel(Protocol):
    """A connection to a daemon as a sequence of messages."""

    ending: Ending | None
    """Why it is over, once `receive` gave None."""

    async def send(self, message: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionLostError: the connection is gone.
        """

    async def receive(self) -> bytes | None:
        """Wait for the next message; None when the connection is over."""

    def abort(self) -> None:
        """Cut the connection, without waiting for anything."""

    async def close(self) -> None:
        """End the connection."""


class LineChannel:
    """Lines over TCP or a unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ending: Ending | None = None
        self._reader = reader
        self._writer = writer

    async def send(self, message: bytes) -> None:
        """Send one line."""
        try:
            self._writer.write(message + b"\n")
            await self._writer.drain()
        except OSError as error:
            msg = f"the connection broke: {error}"
            raise ConnectionLostError(msg) from error

    async def receive(self) -> bytes | None:
        """Wait for the next line."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError) as error:
            self.ending = cut(f"the connection broke: {error}")
            return None
        if line.endswith(b"\n"):
            return line
        self.ending = cut("the connection ended without a word")
        return None  # half a line is no message

    def abort(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            try:
                async with asyncio.timeout(CLOSE_GRACE_S):
                    await self._writer.wait_closed()
            except TimeoutError:
                self.abort()


class WebSocketChannel:
    """Text frames."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self.ending: Ending | None = None
        self._connection = connection

    async def send(self, message: bytes) -> None:
        """Send one text frame."""
        try:
            await self._connection.send(message, text=True)
        except websockets.exceptions.ConnectionClosed as error:
            msg = f"the connection broke: {error}"
            raise ConnectionLostError(msg) from error

    async def receive(self) -> bytes | None:
        """Wait for the next text frame."""
        try:
            return await self._connection.recv(decode=False)
        except websockets.exceptions.ConnectionClosed as error:
            frame = error.rcvd
            self.ending = closed_with(frame.code, frame.reason) if frame else cut(f"the connection broke: {error}")
            return None

    def abort(self) -> None:
        """Cut the connection."""
        self._connection.transport.abort()

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()


async def open_channel(address: Address, timeout_s: float) -> Channel:
    """Connect.

    Raises:
        ConnectionLostError: nobody answers there; its `ending` says more.
    """
    try:
        async with asyncio.timeout(timeout_s):
            if address.kind == "websocket":
                return WebSocketChannel(
                    await websockets.asyncio.client.connect(
                        str(address),
                        subprotocols=[websockets.Subprotocol("stui.v1")],
                        compression=None,
                        max_size=MAX_MESSAGE_BYTES,
                        close_timeout=CLOSE_GRACE_S,
                        proxy=None,
                    )
                )
            if address.kind == "tcp":
                streams = asyncio.open_connection(address.host, address.port, limit=MAX_MESSAGE_BYTES)
            else:
                streams = asyncio.open_unix_connection(address.path, limit=MAX_MESSAGE_BYTES)
            return LineChannel(*await streams)
    except (OSError, UnicodeError, websockets.exceptions.WebSocketException) as error:
        msg = f"no daemon answers at {address}: {str(error) or 'timeout'}"
        stays = (
            isinstance(error, websockets.exceptions.InvalidStatus) and error.response.status_code in STATUSES_THAT_STAY
        )
        raise ConnectionLostError(msg, refused_by_http(msg) if stays else unreachable(msg)) from error
