"""How does the runner reach a daemon, byte by byte, and how does it learn why a connection ended?"""

import asyncio
import contextlib
import json
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import websockets.asyncio.client
import websockets.exceptions

from stui_sessiond.security.client_tls import make_context, read_files, why
from stui_sessiond.testing.vectors import Kind

MAX_LINE_BYTES = 64 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0
CLOSING_EVENT = "connection.closing"
"""The last line of a connection over lines; over WebSocket the close frame says the same."""

_KINDS: dict[str, Kind] = {"tcp": "tcp", "tls": "tcp", "unix": "unix", "ws": "websocket", "wss": "websocket"}


class UnreachableError(Exception):
    """Nobody answers there."""


class LinkEndedError(Exception):
    """The daemon ended the connection; `code` is the close code it gave, if any."""

    def __init__(self, code: int | None) -> None:
        super().__init__("the connection ended" if code is None else f"the connection ended with code {code}")
        self.code = code


class Link(Protocol):
    """A connection as a sequence of payloads, whatever is in them."""

    async def send(self, payload: bytes) -> None:
        """Send one payload as it is.

        Raises:
            LinkEndedError: the connection is over.
        """

    async def receive(self) -> bytes:
        """Wait for the next message.

        Raises:
            LinkEndedError: the connection is over.
        """

    async def close(self) -> None:
        """End the connection."""


class LineLink:
    """Lines over TCP or a unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, payload: bytes) -> None:
        """Send one line."""
        try:
            self._writer.write(payload + b"\n")
            await self._writer.drain()
        except OSError:
            raise LinkEndedError(None) from None

    async def receive(self) -> bytes:
        """Wait for the next line; a line that announces the end, and the end, are the end."""
        line = await self._read()
        code = _announced_end(line)
        if code is None:
            return line
        with contextlib.suppress(LinkEndedError):
            while True:
                await self._read()
        raise LinkEndedError(code)

    async def _read(self) -> bytes:
        try:
            line = await self._reader.readline()
        except OSError:
            raise LinkEndedError(None) from None
        if not line.endswith(b"\n"):
            raise LinkEndedError(None)
        return line[:-1]

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class WebSocketLink:
    """Text frames."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self._connection = connection

    async def send(self, payload: bytes) -> None:
        """Send one text frame, also with bytes that are no text."""
        try:
            await self._connection.send(payload, text=True)
        except websockets.exceptions.ConnectionClosed as error:
            raise LinkEndedError(_code(error)) from None

    async def receive(self) -> bytes:
        """Wait for the next text frame."""
        try:
            return await self._connection.recv(decode=False)
        except websockets.exceptions.ConnectionClosed as error:
            raise LinkEndedError(_code(error)) from None

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()


def _announced_end(line: bytes) -> int | None:
    """Read the code from a line that announces the end; None for any other line."""
    if CLOSING_EVENT.encode() not in line:
        return None
    try:
        message = json.loads(line)
        return int(message["data"]["code"]) if message["event"] == CLOSING_EVENT else None
    except (ValueError, KeyError, TypeError):
        return None


def _code(error: websockets.exceptions.ConnectionClosed) -> int | None:
    return None if error.rcvd is None else error.rcvd.code


def kind_of(url: str) -> Kind:
    """Tell the transport of a URL.

    Raises:
        ValueError: it is no address of a daemon.
    """
    return _split(url)[1]


async def open_link(url: str) -> Link:
    """Connect.

    Raises:
        UnreachableError: nobody answers there.
        ValueError: it is no address of a daemon.
    """
    parts, kind = _split(url)
    try:
        tls = make_context(read_files(parts.query)) if parts.scheme in {"tls", "wss"} else None
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if kind == "websocket":
                return WebSocketLink(
                    await websockets.asyncio.client.connect(
                        parts._replace(query="").geturl(),
                        subprotocols=[websockets.Subprotocol("stui.v1")],
                        compression=None,
                        max_size=MAX_LINE_BYTES,
                        proxy=None,
                        ssl=tls,
                    )
                )
            if kind == "unix":
                return LineLink(*await asyncio.open_unix_connection(parts.path, limit=MAX_LINE_BYTES))
            streams = await asyncio.open_connection(parts.hostname, parts.port, limit=MAX_LINE_BYTES, ssl=tls)
            return LineLink(*streams)
    except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as error:
        text = why(error, parts.hostname or "") or str(error) or "timeout"
        msg = f"no daemon answers at {url.partition('?')[0]}: {text}"
        raise UnreachableError(msg) from error


def _split(url: str) -> tuple[SplitResult, Kind]:
    parts = urlsplit(url)
    kind = _KINDS.get(parts.scheme)
    usable = parts.path and not parts.netloc if kind == "unix" else parts.hostname and parts.port
    if kind is None or not usable:
        msg = f"{url!r} is no address of a daemon: ws://HOST:PORT/, tcp://HOST:PORT or unix:///PATH, with TLS wss:// or tls://"
        raise ValueError(msg)
    return parts, kind
