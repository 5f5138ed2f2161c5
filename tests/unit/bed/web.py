"""A WebSocket peer that can also do what no honest peer does: any frame, any header."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri


class WebPeer:
    """Speaks WebSocket frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uri: str, *offers: str) -> None:
        self.reader = reader
        self.writer = writer
        self.answers_pings = True
        self.ws = ClientProtocol(parse_uri(uri), subprotocols=[Subprotocol(offer) for offer in offers] or None)
        self.frames: list[Frame] = []
        self.response: Response | None = None

    async def shake_hands(self, headers: Headers | None = None) -> Response:
        """Ask for the upgrade, with other headers where the test gives some (an empty value leaves one out)."""
        request = self.ws.connect()
        for name in set(headers or ()):
            if name in request.headers:
                del request.headers[name]
            for value in (headers or Headers()).get_all(name):
                if value:
                    request.headers[name] = value
        self.ws.send_request(request)
        self.flush()
        while self.response is None and await self._read():
            pass
        assert self.response is not None
        return self.response

    def flush(self) -> None:
        """Send what the library made."""
        for piece in self.ws.data_to_send():
            if piece:
                self.writer.write(piece)

    def raw(self, data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> None:
        """Send one frame as it is."""
        self.writer.write(Frame(opcode, data, fin).serialize(mask=True))

    async def frame(self) -> Frame | None:
        """Wait for the next frame; None at the end."""
        while not self.frames:
            if not await self._read():
                return None
        return self.frames.pop(0)

    async def text(self) -> bytes | None:
        """Wait for the next message."""
        frame = await self.frame()
        return None if frame is None or frame.opcode is not Opcode.TEXT else bytes(frame.data)

    async def close_code(self) -> int | None:
        """Read to the end and tell why the other end closed."""
        while await self._read():
            pass
        return self.ws.close_rcvd.code if self.ws.close_rcvd else None

    async def _read(self) -> bool:
        try:
            data = await self.reader.read(65536)
        except ConnectionResetError:
            return False
        if not data:
            return False
        self.ws.receive_data(data)
        for event in self.ws.events_received():
            if isinstance(event, Frame):
                self.frames.append(event)
            elif isinstance(event, Response):
                self.response = event
        if self.answers_pings:
            self.flush()
        return True

    async def hang_up(self) -> None:
        """Close the socket."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def web_peer(place: tuple[str, int], path: str = "/", *offers: str) -> AsyncIterator[WebPeer]:
    """Connect, without the handshake; hang up at the end."""
    host, port = place
    streams = await asyncio.open_connection(host, port)
    peer = WebPeer(*streams, f"ws://{host}:{port}{path}", *offers)
    try:
        yield peer
    finally:
        await peer.hang_up()
