"""HTTP as a channel of messages: a `POST /rpc` on a connection of its own for each, events from `GET /events`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from stui_sessiond.client import ConnectionLostError
from stui_sessiond.client.ending import Ending, closed_with, cut

Json = dict[str, Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpChannel:
    """A `client.channel.Channel`. `hello` stays here: HTTP says with each request who asks.

    Args:
        streams: the connection for the stream of events; it is the one that may break.
        dial: makes one for a request.
        host: what HTTP calls the daemon.
    """

    def __init__(self, streams: Streams, dial: Callable[[], Awaitable[Streams]], host: str) -> None:
        self.ending: Ending | None = None
        self._reader, self._writer = streams
        self._dial = dial
        self._host = host
        self._headers = ""
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False

    async def send(self, message: bytes) -> None:
        """Send one message."""
        if self._over:
            msg = "the stream of events is over"
            raise ConnectionLostError(msg)
        request: Json = json.loads(message)
        if request["command"] == "hello":
            said = request["parameters"]
            self._headers = f"Authorization: Bearer {said['token']}\r\nStui-Client-Id: {said['client_id']}\r\n"
            greeting = {"id": request["id"], "status": "success", "result": {"resumed": False}}
            self._messages.put_nowait(json.dumps(greeting).encode())
        elif request["command"] == "subscribe":
            self._start(self._listen(request["id"], request["parameters"]))
        else:
            self._start(self._ask(message))

    async def receive(self) -> bytes | None:
        """Wait for the next message."""
        return None if self._over and self._messages.empty() else await self._messages.get()

    def abort(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()
        self._end(None)

    async def close(self) -> None:
        """End the connection."""
        self.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, ending: Ending | None) -> None:
        if not self._over:
            self._over = True
            self.ending = ending
            self._messages.put_nowait(None)
            for task in self._tasks - {asyncio.current_task()}:
                task.cancel()

    def _head(self, start: str) -> str:
        return f"{start} HTTP/1.1\r\nHost: {self._host}\r\n{self._headers}"

    async def _ask(self, message: bytes) -> None:
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await self._dial()
            head = self._head("POST /rpc") + "Content-Type: application/json\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(message)}\r\n\r\n".encode() + message)
            _, _, body = (await reader.read()).partition(b"\r\n\r\n")
            if not body.strip():
                self._end(cut("a request over HTTP was not answered"))
            elif not self._over:
                self._messages.put_nowait(body)
        except OSError as error:
            self._end(cut(f"a request over HTTP broke: {error}"))
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _listen(self, request_id: str, asked: Json) -> None:
        """Open the stream; its first event is the answer to `subscribe`."""
        query = {name: value for name, value in asked.items() if isinstance(value, str)}
        query |= {"topics": ",".join(asked["topics"])} if "topics" in asked else {"deltas": "true"}
        head = self._head(f"GET /events?{urlencode(query)}")
        if since := asked.get("since"):
            head += f"Last-Event-ID: {since['epoch']}:{since['seq']}\r\n"
        try:
            self._writer.write(f"{head}\r\n".encode())
            status = await self._reader.readline()
            if status and b" 200 " not in status:
                _, _, body = (await self._reader.read()).partition(b"\r\n\r\n")
                self._messages.put_nowait(json.dumps(json.loads(body) | {"id": request_id}).encode())
                return
            while (line := await self._reader.readline()).endswith(b"\n"):
                if line.startswith(b"data: "):
                    self._take(request_id, line.removeprefix(b"data: "))
        except OSError:
            pass
        self._end(self.ending or cut("the stream of events ended without a word"))

    def _take(self, request_id: str, data: bytes) -> None:
        if data.startswith(b'{"event":"connection.opened"'):
            told = json.loads(data)["data"]["subscription"]
            self._messages.put_nowait(json.dumps({"id": request_id, "status": "success", "result": told}).encode())
            return
        if data.startswith(b'{"event":"connection.closing"'):
            told = json.loads(data)["data"]
            self.ending = closed_with(told["code"], told["name"])
        self._messages.put_nowait(data)
