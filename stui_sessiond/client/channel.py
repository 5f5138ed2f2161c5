"""How do messages get to the daemon and back? One message per line, or per WebSocket text frame."""

import asyncio
import contextlib
from typing import Protocol

import websockets.asyncio.client
import websockets.exceptions

from stui_sessiond.client.address import Address
from stui_sessiond.client.failure import ConnectionLostError

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The longest message a client takes from its daemon, which bounds its own."""


class Channel(Protocol):
    """A connection to a daemon as a sequence of messages."""

    async def send(self, message: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionLostError: the connection is gone.
        """

    async def receive(self) -> bytes | None:
        """Wait for the next message; None when the connection is over."""

    async def close(self) -> None:
        """End the connection."""


class LineChannel:
    """Lines over TCP or a unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
        except (OSError, ValueError):
            return None
        return line or None

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class WebSocketChannel:
    """Text frames."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
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
        except websockets.exceptions.ConnectionClosed:
            return None

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()


async def open_channel(address: Address, timeout_s: float) -> Channel:
    """Connect.

    Raises:
        ConnectionLostError: nobody answers there.
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
                        proxy=None,
                    )
                )
            if address.kind == "tcp":
                streams = asyncio.open_connection(address.host, address.port, limit=MAX_MESSAGE_BYTES)
            else:
                streams = asyncio.open_unix_connection(address.path, limit=MAX_MESSAGE_BYTES)
            return LineChannel(*await streams)
    except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as error:
        msg = f"no daemon answers at {address}: {str(error) or 'timeout'}"
        raise ConnectionLostError(msg) from error
