"""How do messages get to the daemon and back? One message per line, or per WebSocket text frame."""

import asyncio
import contextlib
import ssl
from typing import Protocol

import websockets.asyncio.client
import websockets.exceptions

from stui_sessiond.client.address import Address
from stui_sessiond.client.ending import Ending, closed_with, cut, refused_by_http, unreachable
from stui_sessiond.client.failure import ConnectionLostError
from stui_sessiond.security.client_tls import NOT_SPOKEN, ClientTlsFiles, make_context, why

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The longest message a client takes from its daemon, which bounds its own."""

CLOSE_GRACE_S = 1.0
"""How long the end of a connection may take before it is cut: a daemon that does not read must not hold anybody."""

MAX_SAID = 200
"""Characters of what is repeated of an HTTP answer."""

STATUSES_THAT_STAY = frozenset({400, 401, 403, 404})
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

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str = "") -> None:
        self.ending: Ending | None = None
        self._host = host
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
            explained = why(error, self._host)  # with TLS 1.3 the daemon judges our certificate after the handshake
            self.ending = tls_failed(explained) if explained else cut(f"the connection broke: {error}")
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


class _Telling(websockets.asyncio.client.ClientConnection):
    """A connection that passes on why it was lost, which the library's error for a failed handshake does not say."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        super().connection_lost(exc)
        if exc is not None and self.protocol.handshake_exc is not None:
            self.protocol.handshake_exc.__cause__ = exc


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


def tls_failed(text: str) -> Ending:
    """The other end does not speak TLS as we need it; the next try would end the same way."""
    return Ending("tls_failed", text, reconnect=False, advice=text)


def _tls_of(
    address: Address, ca_file: str | None, cert_file: str | None, key_file: str | None
) -> ssl.SSLContext | None:
    """Make the context of an address; files that are given go before those in the address."""
    if address.tls is None:
        return None
    files = ClientTlsFiles(
        ca_file=ca_file or address.tls.ca_file,
        cert_file=cert_file or address.tls.cert_file,
        key_file=key_file or address.tls.key_file,
    )
    try:
        return make_context(files)
    except OSError as error:
        text = why(error, address.host) or error.strerror or str(error)
        msg = f"cannot connect to {address}: {text}"
        raise ConnectionLostError(msg, tls_failed(text)) from error


async def open_channel(
    address: Address,
    timeout_s: float,
    *,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
) -> Channel:
    """Connect.

    Args:
        address: where to.
        timeout_s: how long it may take.
        ca_file: with TLS, whose certificates are trusted; the system's if None.
        cert_file: the certificate that is shown to a daemon that wants one.
        key_file: its key, where it is not in the same file.

    Raises:
        ConnectionLostError: nobody answers there; its `ending` says more.
    """
    tls = _tls_of(address, ca_file, cert_file, key_file)
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
                        ssl=tls,
                        create_connection=_Telling,
                    )
                )
            if address.kind == "tcp":
                streams = asyncio.open_connection(address.host, address.port, limit=MAX_MESSAGE_BYTES, ssl=tls)
            else:
                streams = asyncio.open_unix_connection(address.path, limit=MAX_MESSAGE_BYTES)
            return LineChannel(*await streams, address.host)
    except (OSError, UnicodeError, websockets.exceptions.WebSocketException) as error:
        raise _failure(address, error) from error


def _failure(address: Address, error: Exception) -> ConnectionLostError:
    """Tell what went wrong, and whether another try is worth it."""
    explained = why(error, address.host)
    if explained is None and address.tls is not None and isinstance(error, ConnectionResetError):
        explained = NOT_SPOKEN
    if explained is not None:
        return ConnectionLostError(f"cannot connect to {address}: {explained}", tls_failed(explained))
    if isinstance(error, websockets.exceptions.InvalidStatus):
        said = bytes(error.response.body or b"").decode("utf-8", "replace").strip()[:MAX_SAID]
        msg = f"no daemon answers at {address}: {error}" + (f": {said}" if said else "")
        stays = error.response.status_code in STATUSES_THAT_STAY
        return ConnectionLostError(msg, refused_by_http(msg) if stays else unreachable(msg))
    said = str(error) or "timeout"
    if isinstance(error, websockets.exceptions.InvalidMessage):
        said = f"{said}; if the port is the one for lines, the address is tcp:// or tls://"
    msg = f"no daemon answers at {address}: {said}"
    return ConnectionLostError(msg, unreachable(msg))
