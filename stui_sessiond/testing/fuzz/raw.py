"""How do bytes get onto the wire as a script says? Lines, and WebSocket frames that a good library never sends."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from stui_sessiond.testing.link import (
    CONNECT_TIMEOUT_S,
    MAX_LINE_BYTES,
    LineLink,
    LinkEndedError,
    UnreachableError,
    kind_of,
)
from stui_sessiond.testing.vectors import Kind

READ_BYTES = 256 * 1024
SWITCHING = 101


class RawLink(Protocol):
    """A connection whose bytes are ours to choose."""

    kind: Kind

    def frame(self, payload: bytes, fragments: int = 0) -> bytes:
        """Write one message as the transport does, in one frame or, over WebSocket, in several."""

    def bad_frame(self, kind: str) -> bytes | None:
        """Write what fails the connection; None where the transport has nothing of that kind."""

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Send bytes, each piece in a write of its own. What the other side does not take any more is lost."""

    async def receive(self) -> bytes:
        """Wait for the next message.

        Raises:
            LinkEndedError: the connection is over.
        """

    def shut(self) -> bool:
        """Send no more, and go on reading; False where the transport cannot do that."""

    def abort(self) -> None:
        """Cut the connection off."""

    async def close(self) -> None:
        """End the connection."""


class _Writing:
    """What both have in common."""

    _writer: asyncio.StreamWriter

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Send bytes."""
        with contextlib.suppress(OSError, RuntimeError):
            for piece in pieces:
                self._writer.write(piece)
                await self._writer.drain()
                if len(pieces) > 1:
                    await asyncio.sleep(0)

    def abort(self) -> None:
        """Cut the connection off."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class RawLines(_Writing, LineLink):
    """Lines over TCP or a unix socket."""

    def __init__(self, kind: Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.kind = kind

    def frame(self, payload: bytes, fragments: int = 0) -> bytes:
        """Write a line."""
        del fragments
        return payload + b"\n"

    def bad_frame(self, kind: str) -> bytes | None:
        """Lines have no frames."""
        del kind
        return None

    def shut(self) -> bool:
        """Send no more."""
        with contextlib.suppress(OSError):
            self._writer.write_eof()
        return True


class RawWebSocket(_Writing):
    """Frames of our own making; the library only shakes hands and reads."""

    kind: Kind = "websocket"

    def __init__(self, protocol: ClientProtocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._protocol = protocol
        self._reader = reader
        self._writer = writer
        self._messages: list[bytes] = []
        self._part = bytearray()

    async def shake_hands(self) -> None:
        """Ask for the upgrade.

        Raises:
            UnreachableError: it was refused.
        """
        self._protocol.send_request(self._protocol.connect())
        self._send_own()
        while True:
            data = await self._reader.read(READ_BYTES)
            self._protocol.receive_data(data) if data else self._protocol.receive_eof()
            for event in self._protocol.events_received():
                if isinstance(event, Response) and event.status_code == SWITCHING and not self._protocol.handshake_exc:
                    return
                msg = f"the WebSocket was refused: {self._protocol.handshake_exc}"
                raise UnreachableError(msg)
            if not data:
                msg = "the connection ended during the handshake"
                raise UnreachableError(msg)

    def frame(self, payload: bytes, fragments: int = 0) -> bytes:
        """Write a text message, with a ping between its fragments."""
        step = max(1, -(-len(payload) // (fragments + 1)))
        parts = [payload[at : at + step] for at in range(0, len(payload), step)] or [b""]
        data = b""
        for index, part in enumerate(parts):
            opcode = Opcode.CONT if index else Opcode.TEXT
            data += _frame(opcode, part, fin=index == len(parts) - 1)
            if index == 0 and fragments:
                data += _frame(Opcode.PING, b"between")
        return data

    def bad_frame(self, kind: str) -> bytes | None:
        """Write what fails the connection."""
        return _BAD_FRAMES[kind]

    async def receive(self) -> bytes:
        """Wait for the next text message."""
        while not self._messages:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError:
                data = b""
            self._protocol.receive_data(data) if data else self._protocol.receive_eof()
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.CONT}:
                    self._part += event.data
                    if event.fin:
                        self._messages.append(bytes(self._part))
                        self._part.clear()
            self._send_own()
            if not data and not self._messages:
                end = self._protocol.close_rcvd
                raise LinkEndedError(None if end is None else int(end.code))
        return self._messages.pop(0)

    def shut(self) -> bool:
        """A WebSocket does not go on in one direction."""
        return False

    def _send_own(self) -> None:
        """Send what the library wants to say: the request, pongs, the answer to a close frame."""
        with contextlib.suppress(OSError, RuntimeError):
            for data in self._protocol.data_to_send():
                if data:
                    self._writer.write(data)


def _frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True, extensions=[])


_TEXT: Final = _frame(Opcode.TEXT, b"{}")
_BAD_FRAMES: Final = {
    "binary": _frame(Opcode.BINARY, b"{}"),
    "reserved": bytes([0x83]) + _TEXT[1:],
    "rsv": bytes([_TEXT[0] | 0x40]) + _TEXT[1:],
    "unmasked": b"\x81\x02{}",
    "orphan": _frame(Opcode.CONT, b"{}"),
    "long_ping": bytes([0x89, 0xFE, 0x00, 0x80]) + bytes(132),
    "odd_close": _frame(Opcode.CLOSE, b"\x03\xed"),
    "bad_utf8": _frame(Opcode.TEXT, b"\xff\xfe"),
    "nested": _frame(Opcode.TEXT, b"{", fin=False) + _TEXT,
}


async def open_raw(url: str) -> RawLink:
    """Connect.

    Raises:
        UnreachableError: nobody answers there.
        ValueError: it is no address of a daemon.
    """
    kind, parts = kind_of(url), urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if kind == "unix":
                return RawLines(kind, *await asyncio.open_unix_connection(parts.path, limit=MAX_LINE_BYTES))
            streams = await asyncio.open_connection(parts.hostname, parts.port, limit=MAX_LINE_BYTES)
            if kind == "tcp":
                return RawLines(kind, *streams)
            protocol = ClientProtocol(parse_uri(url), subprotocols=[Subprotocol("stui.v1")], max_size=None)
            link = RawWebSocket(protocol, *streams)
            await link.shake_hands()
            return link
    except (OSError, TimeoutError, WebSocketException) as error:
        msg = f"no daemon answers at {url}: {str(error) or 'timeout'}"
        raise UnreachableError(msg) from error
