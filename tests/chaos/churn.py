"""Thousands of connections that come and go, over every transport, in every manner: what do they leave behind?

The daemon runs in this process without the collector of cycles, so that whatever is left can be counted.
"""

import asyncio
import contextlib
import gc
import json
import random
import shutil
import socket
import struct
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.protocol import SERVER, Protocol

from stui_sessiond.daemon import Daemon
from stui_sessiond.server.listeners import MAX_PARKED
from stui_sessiond.server.peer import Peer
from stui_sessiond.settings import BackupSettings, ServerSettings, Settings
from stui_sessiond.transports.web import WebProtocol

Json = dict[str, Any]

AT_ONCE = 16
PATIENCE_S = 20.0
WAITING = 100
"""Requests that wait for an image which never answers, at most: their connections are parked."""

ZERO = (
    "peers left",
    "WebSockets left",
    "HTTP connections left",
    "tasks left",
    "timers left",
    "descriptors left",
    "subscriptions left",
    "connections known",
    "parked left",
    "parked beyond the bound",
    "not resumed",
)


class Churn:
    """One run."""

    def __init__(self, rounds: int, seed: int = 1) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.rounds = rounds
        self._random = random.Random(seed)  # noqa: S311 -- has to be the same each time
        self._tokens: list[str] = []
        self._owed: list[str] = []
        self._session_id = ""

    @property
    def violations(self) -> int:
        """How much there was of what must never be."""
        return sum(self.counts[name] for name in ZERO)

    async def run(self) -> None:
        """Do it all."""
        folder = Path(tempfile.mkdtemp(prefix="stui-churn-"))
        server = ServerSettings(
            data_dir=str(folder / "data"),
            runtime_dir=str(folder / "run"),
            lines="127.0.0.1:0",
            http="127.0.0.1:0",
            auth="none",
        )
        daemon = Daemon(Settings(server=server, backups=BackupSettings(interval=0)))
        collecting = gc.isenabled()
        try:
            await daemon.start()
            gc.collect()
            gc.disable()
            await self._measure(daemon)
        finally:
            if collecting:
                gc.enable()
            await daemon.stop()
            shutil.rmtree(folder, ignore_errors=True)

    async def _measure(self, daemon: Daemon) -> None:
        began = time.perf_counter()
        async with Line(daemon) as watcher, Line(daemon) as image:
            await image.ask("hello", role="image", identity={"image_id": "hung", "instance_id": "1"})
            made = await watcher.ask("create_session", client_id="churn", image_id="hung")
            self._session_id = made["session_id"]
            await self._rounds(daemon, range(2 * AT_ONCE))  # what is made once and stays is made now
            await self._settle(daemon, 2)
            before = self._left(daemon)
            await self._rounds(daemon, range(self.rounds))
            await self._settle(daemon, 2)
            parked = len(daemon.server._parked)
            self.counts["parked"] = parked
            self.counts["parked beyond the bound"] = max(0, parked - MAX_PARKED)
            await self._resume_owed(daemon, image)
            await self._settle(daemon, 1)
            after = self._left(daemon)
        for name, number in after.items():
            self.counts[name] = max(0, number - max(0, before[name] - (name == "descriptors left")))
            if self.counts[name]:
                self.examples[name] = f"{before[name]} before, {number} after"
        self.counts["ms"] = round((time.perf_counter() - began) * 1000)

    def _left(self, daemon: Daemon) -> dict[str, int]:
        loop: Any = asyncio.get_running_loop()
        server = daemon.server
        hub = server.feed.hub
        return {
            "peers left": sum(type(each) is Peer for each in gc.get_objects()) - len(server._parked),
            "WebSockets left": sum(
                issubclass(type(each), Protocol) and each.side is SERVER for each in gc.get_objects()
            ),
            "HTTP connections left": sum(type(each) is WebProtocol for each in gc.get_objects()),
            "tasks left": len(asyncio.all_tasks()),
            "timers left": sum(not timer.cancelled() for timer in loop._scheduled) - len(server._parked),
            "descriptors left": len(list(Path("/proc/self/fd").iterdir())),
            "subscriptions left": sum(map(len, hub._sessions.values())) + len(hub._topics),
            "connections known": len(server._by_name) - len(server._parked),
            "parked left": len(server._parked),
        }

    async def _settle(self, daemon: Daemon, connections: int) -> None:
        """Wait until the daemon has read the ends of all connections, and noted them."""
        async with asyncio.timeout(PATIENCE_S):
            connections += len(self._owed)  # who only stopped sending may still wait for an answer
            while (  # noqa: ASYNC110 -- the ends of connections are announced to nobody
                daemon.server.counts().total > connections or len(daemon.server.tasks) > len(self._owed)
            ):
                await asyncio.sleep(0.01)
            await daemon._relay._notes.drain(None)
            await daemon._image_memory._tasks.drain(None)
            await daemon.manager._keeper.settle()
            for _ in range(10):  # transports say that they are lost one turn later
                await asyncio.sleep(0)

    async def _rounds(self, daemon: Daemon, numbers: range) -> None:
        queue = iter(numbers)

        async def work() -> None:
            for number in queue:
                with contextlib.suppress(OSError, WebSocketException, EOFError):
                    await self._visit(daemon, number)
                self.counts["rounds"] += 1

        async with asyncio.timeout(600), asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())

    async def _visit(self, daemon: Daemon, number: int) -> None:
        hello: Json = {"role": "client", "client_id": "churn"}
        if self._tokens and number % 4 == 0:
            hello["resume_token"] = self._tokens.pop()
        if number % 3 == 0:
            await self._visit_web(daemon, number, hello)
            return
        async with Line(daemon, tcp=number % 3 == 1) as line:
            if number % 11 == 0:  # cut inside hello
                line.writer.write(b'{"id":"1","command":"hello","parameters":{"ro')
                self._end(line, number)
                return
            greeting = await line.ask("hello", **hello)
            if number % 13 == 0 and self.counts["rounds"] > 2 * AT_ONCE and len(self._owed) < WAITING:
                self._owed.append(greeting["resume_token"])
                line.start("evaluate", session_id=self._session_id, code=f"{number}")
                await line.ask("ping")
                self._end(line, number)
                return
            self._greeted(greeting, hello)
            if number % 5 == 0:  # gone before there is an answer
                line.start("subscribe", session_id=self._session_id)
                self._end(line, number)
                return
            await line.ask("subscribe", session_id=self._session_id)
            if number % 7 == 0:
                await line.ask("subscribe", topics=["client:churn"])
            self._end(line, number)

    def _greeted(self, greeting: Json, hello: Json) -> None:
        self.counts["resumed"] += greeting["resumed"]
        if "resume_token" in hello and not greeting["resumed"]:
            self.counts["not resumed"] += 1
        self._tokens.append(greeting["resume_token"])

    def _end(self, line: "Line", number: int) -> None:
        if number % 2:
            sock: socket.socket = line.writer.get_extra_info("socket")
            if sock.family == socket.AF_INET:  # no word at all: the daemon sees a reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.writer.transport.abort()
            self.counts["aborted"] += 1
        else:
            line.writer.close()

    async def _visit_web(self, daemon: Daemon, number: int, hello: Json) -> None:
        assert daemon.ready is not None
        async with connect(f"ws://{daemon.ready.http}/", ping_interval=None, close_timeout=5) as web:
            await web.send(json.dumps({"id": "1", "command": "hello", "parameters": hello}))
            self._greeted(json.loads(await web.recv())["result"], hello)
            await web.send(
                json.dumps({"id": "2", "command": "subscribe", "parameters": {"session_id": self._session_id}})
            )
            if number % 2:
                web.transport.abort()
                self.counts["aborted"] += 1
            elif number % 5:
                await web.recv()

    async def _resume_owed(self, daemon: Daemon, image: "Line") -> None:
        """Resume what is parked: each gets the answer it is owed, that the image is lost."""
        async with contextlib.AsyncExitStack() as stack:
            owed = []
            for token in self._owed:
                line = await stack.enter_async_context(Line(daemon))
                greeting = await line.ask("hello", role="client", client_id="churn", resume_token=token)
                owed.append((line, greeting["in_flight"]))
            image.writer.transport.abort()
            for line, in_flight in owed:
                self.counts["not resumed"] += not in_flight
                for request_id in in_flight:
                    await line.answer(request_id)
                    self.counts["owed answers given"] += 1
        self._owed.clear()


class Line:
    """A peer over lines."""

    def __init__(self, daemon: Daemon, *, tcp: bool = False) -> None:
        self._daemon = daemon
        self._tcp = tcp
        self._serial = 0
        self._answers: dict[str, Json] = {}
        self.reader: StreamReader
        self.writer: StreamWriter

    async def __aenter__(self) -> Self:
        ready = self._daemon.ready
        assert ready is not None
        if self._tcp:
            assert ready.lines is not None
            host, _, port = ready.lines.rpartition(":")
            self.reader, self.writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        else:
            assert ready.unix is not None
            self.reader, self.writer = await asyncio.open_unix_connection(ready.unix, limit=1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def start(self, command: str, **parameters: object) -> str:
        """Send a request."""
        self._serial += 1
        request_id = f"{id(self):x}-{self._serial}"
        message = {"id": request_id, "command": command, "parameters": parameters}
        self.writer.write(json.dumps(message).encode() + b"\n")
        return request_id

    async def answer(self, request_id: str) -> Json:
        """The answer to a request."""
        while request_id not in self._answers:
            line = await self.reader.readline()
            if not line:
                raise EOFError
            message = json.loads(line)
            if message.get("id"):
                self._answers[message["id"]] = message
        return self._answers.pop(request_id)

    async def ask(self, command: str, **parameters: object) -> Json:
        """The result of a request."""
        answer = await self.answer(self.start(command, **parameters))
        assert answer["status"] == "success", answer
        result: Json = answer["result"]
        return result
