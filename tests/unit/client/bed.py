"""What the tests of the client stand on: a daemon on a socket that does what the test says, and time that jumps."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, Self

from stui_sessiond.client import Backoff, LastingClient, Patience
from stui_sessiond.client.keeper import Surroundings
from stui_sessiond.client.status import ConnectionState, Status

Json = dict[str, Any]

SESSION = "session_1_1_one"
EPOCH = "e1"
LIMITS = dict.fromkeys(
    ("message_bytes", "json_depth", "requests_in_flight", "evaluations_in_flight", "subscriptions"), 1
) | {"session_bytes": 1, "sessions_per_client": 1}


def hello_result(**changes: object) -> Json:
    """What a daemon answers to hello."""
    return {
        "server_id": "server-1",
        "server_version": "0.3.0",
        "protocol": "1.0.0",
        "connection_id": "conn-1",
        "resume_token": "token-1",
        "resumed": False,
        "in_flight": [],
        "heartbeat_interval": 20,
        "limits": LIMITS,
        "position": {"epoch": "d1", "seq": 0},
        **changes,
    }


def saved_result(version: int, state: object = None) -> Json:
    """What a daemon answers to update_session_state."""
    told = {"session_id": SESSION, "last_modified": "", "session_state": state, "update_successful": True}
    return {**told, "version": version}


def evaluated(value: str) -> Json:
    """What a daemon answers to evaluate."""
    return {"result": value, "result_type": "Number", "execution_time": 1, "has_error": False}


class Talk:
    """One connection, at the daemon's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.last: Json | None = None
        """The request that was taken last."""

    async def read(self) -> Json | None:
        """The next request; None when the client is gone."""
        with contextlib.suppress(ConnectionError):
            line = await self._reader.readline()
            if line:
                message: Json = json.loads(line)
                return message
        return None

    async def take(self, command: str) -> Json:
        """The next request, which has to be this command; pings on the way are answered."""
        while True:
            message = await self.read()
            assert message is not None, "the client closed the connection"
            if message["command"] == "ping" != command:
                self.answer(message, {"status": "ready"})
                continue
            assert message["command"] == command, message
            self.last = message
            return message

    def write(self, message: Json) -> None:
        """Send anything."""
        self.writer.write(json.dumps(message).encode() + b"\n")

    def answer(self, request: Json | str, result: object) -> None:
        """Answer a request, or the id of one."""
        name = request if isinstance(request, str) else request["id"]
        self.write({"id": name, "status": "success", "result": result, "timestamp": ""})

    def refuse(self, request: Json, code: str, **details: object) -> None:
        """Answer a request with an error."""
        error = {"error": f"it is {code}", "error_type": "Error", "code": code, "retryable": False}
        self.write({"id": request["id"], "status": "error", **error, "details": details, "timestamp": ""})

    def tell(
        self, seq: int, event: str = "transcript", *, epoch: str = EPOCH, session: str = SESSION, **data: object
    ) -> None:
        """Send an event."""
        place = {"session_id": session, "epoch": epoch, "seq": seq}
        self.write({"event": event, **place, "data": data, "timestamp": ""})

    def subscribed(self, request: Json, seq: int, **more: object) -> None:
        """Answer a subscribe: the stream is at `seq`."""
        self.answer(request, {"recovered": True, "position": {"epoch": EPOCH, "seq": seq}, **more})

    async def greet(self, **changes: object) -> Json:
        """Answer hello; tell its parameters."""
        request = await self.take("hello")
        self.answer(request, hello_result(**changes))
        parameters: Json = request["parameters"]
        return parameters

    def closing(self, code: int, name: str, *, reconnect: bool) -> None:
        """Say why the connection is about to be closed, and close it."""
        data = {"code": code, "name": name, "reconnect": reconnect, "meaning": f"because of {name}"}
        self.write({"event": "connection.closing", "data": data})
        self.writer.close()

    def cut(self) -> None:
        """Break the connection without a word."""
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has closed the connection; what it still sends is dropped."""
        while await self.read() is not None:
            pass
        self.writer.close()


class ScriptedDaemon:
    """Accepts connections and hands them to the test."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._talks: asyncio.Queue[Talk] = asyncio.Queue()
        self._all: list[Talk] = []

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(reader, writer)
        self._all.append(talk)
        self._talks.put_nowait(talk)

    async def start(self) -> None:
        """Listen, at the same place as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=2**26)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening; connections stay."""
        if self._server is not None:
            self._server.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        for talk in self._all:
            talk.cut()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"tcp://127.0.0.1:{self.port}"

    async def accept(self) -> Talk:
        """The next connection."""
        return await self._talks.get()

    async def greeted(self, **changes: object) -> Talk:
        """The next connection, after hello."""
        talk = await self.accept()
        await talk.greet(**changes)
        return talk


class StillNetwork:
    """A network that changes when the test says so."""

    def __init__(self) -> None:
        self.changed: Callable[[str], None] = print

    async def run(self, changed: Callable[[str], None]) -> None:
        """Remember whom to tell."""
        self.changed = changed
        await asyncio.Event().wait()


class Journey:
    """Lets the loop's time jump, so that nobody has to wait."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead_s = 0.0
        loop.__dict__["time"] = self.now

    def now(self) -> float:
        """The loop's time."""
        return self._real() + self._ahead_s

    def jump(self, seconds: float) -> None:
        """Go ahead."""
        self._ahead_s += seconds


PATIENT = Patience(backoff=Backoff(first_s=0.001, cap_s=0.01))
"""Tries again at once."""


def lasting(daemon: ScriptedDaemon | str, network: StillNetwork | None = None, **options: Any) -> LastingClient:  # noqa: ANN401
    """A lasting client of the scripted daemon, in a quiet world without chance."""
    url = daemon if isinstance(daemon, str) else daemon.url
    still = network or StillNetwork()
    world = Surroundings(network=lambda: still, draw=lambda: 0.5)
    return LastingClient(url, client_id="me", **{"patience": PATIENT, "surroundings": world, **options})


async def reach(client: LastingClient, *states: ConnectionState) -> Status:
    """Wait until the client is in one of these states."""
    async for status in client.statuses():
        if status.state in states:
            return status
    raise AssertionError(f"closed before {states}")  # noqa: TRY003, EM102


async def turn(times: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(times):
        await asyncio.sleep(0)
