"""A peer over HTTP that can also do what no honest one does: any head, any bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from examples.events_over_http import Event, Reader

Json = dict[str, Any]


class Response(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 -- any JSON
        """What the body says."""
        return json.loads(self.body)


class HttpPeer:
    """One connection."""

    def __init__(self, place: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.place = place
        self.reader = reader
        self.writer = writer
        self._events = Reader()
        self._waiting: list[Event] = []

    def write(self, text: str, body: bytes = b"") -> None:
        """Send a request as it is, with our line ends and the server's name for HOST."""
        self.writer.write(text.replace("HOST", self.place).replace("\n", "\r\n").encode("latin-1") + body)

    def ask(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> None:
        """Send a proper request; `_` in the names of headers is `-`."""
        lines = [f"{method} {path} HTTP/1.1", "Host: HOST"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.write("\n".join([*lines, "", ""]), body or b"")

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers of the next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.rstrip("\r\n").split("\r\n")
        return int(status.split()[1]), {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}

    async def response(self, *, has_body: bool = True) -> Response:
        """Read the next response."""
        status, headers = await self.head()
        length = int(headers.get("content-length", "0")) if has_body else 0
        return Response(status, headers, await self.reader.readexactly(length))

    async def call(
        self, command: str, /, *, envelope: bool = False, headers: dict[str, str] | None = None, **given: object
    ) -> Response:
        """Send a message to /rpc, and give the response."""
        message: Json = {"id": "r", "command": command, "parameters": given}
        if envelope:
            message = {"id": "r", "payload": {"type": "Request", "data": {"request_type": command, "params": given}}}
        self.ask("POST", "/rpc", json.dumps(message).encode(), **(headers or {}))
        return await self.response()

    async def result(self, command: str, /, **given: Any) -> Json:  # noqa: ANN401 -- any JSON
        """Send a message that is to succeed, and give its result."""
        response = await self.call(command, **given)
        assert response.status == 200, response
        result: Json = response.json["result"]
        return result

    async def event(self) -> Event | None:
        """Wait for the next event of a stream whose head was read; None at its end."""
        while not self._waiting:
            piece = await self.reader.read(65536)
            if not piece:
                return None
            self._waiting += self._events.feed(piece)
        return self._waiting.pop(0)

    async def message(self) -> Json:
        """Wait for the next event, and give its message."""
        event = await self.event()
        assert event is not None, "the stream ended"
        message: Json = json.loads(event.data)
        assert message["event"] == event.name
        return message

    async def ended(self) -> bool:
        """Read to the end."""
        return await self.reader.read() is not None


@asynccontextmanager
async def http_peer(place: str | None) -> AsyncIterator[HttpPeer]:
    """Connect; hang up at the end."""
    assert place is not None
    host, _, port = place.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
    try:
        yield HttpPeer(place, reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def stream(place: str | None, query: str, **headers: str) -> AsyncIterator[HttpPeer]:
    """Open a stream of events; its first is `connection.opened`."""
    async with http_peer(place) as peer:
        peer.ask("GET", f"/events?{query}", None, **headers)
        status, told = await peer.head()
        assert status == 200, (status, await peer.reader.read(2000))
        assert told["content-type"].startswith("text/event-stream")
        yield peer
