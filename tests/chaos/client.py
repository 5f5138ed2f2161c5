"""A client over raw lines that keeps to the rules of PROTOCOL.md for connections that break, and notes what it sees."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Position = tuple[str, int]

DIAL_S = 0.6
"""How long a connection and its hello may take."""

QUIET_S = 0.35
"""After so long without a byte, though a ping was sent, the connection is taken for dead."""

ASK_AGAIN_S = 0.05
"""Between two requests for an image that is not there."""

TRY_LATER = frozenset({"shutting_down"})
"""Errors that say nothing of the request."""

READS = frozenset({"get_session_info", "restore_session", "get_digest"})


class Asked:
    """One request until its outcome is known, over however many connections."""

    def __init__(self, request_id: str, command: str, parameters: Json) -> None:
        self.request_id = request_id
        self.command = command
        self.parameters = parameters
        self.answer: Json | None = None
        self.sent = 0
        self.unknown = False
        """It had no key, and its answer was lost."""

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        key: str | None = self.parameters.get("idempotency_key")
        return key

    @property
    def again(self) -> bool:
        """Whether it may be sent again."""
        return self.key is not None or self.command in READS


class Stream:
    """What was heard of one session."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.begun_at: Position | None = None
        self.heard: list[tuple[str, int, str, Json]] = []
        self.gaps: list[Json] = []


class Client:
    """One named client."""

    def __init__(
        self, place: tuple[str, int], client_id: str, rng: random.Random, complain: Callable[[str, str], None]
    ) -> None:
        self.client_id = client_id
        self.asked: list[Asked] = []
        self.streams: dict[str, Stream] = {}
        self.counts: Counter[str] = Counter()
        self.reconnects_s: list[float] = []
        self.changed = asyncio.Event()
        """Set whenever something was heard or answered."""
        self.connection_id: str | None = None
        self._place = place
        self._random = rng
        self._complain = complain
        self._pending: dict[str, Asked] = {}
        self._serial = 0
        self._token: str | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._lost_at: float | None = None
        self._subscribing: dict[str, str] = {}
        self._task = asyncio.create_task(self._live())

    async def close(self) -> None:
        """End."""
        self._task.cancel()
        (ended,) = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(ended, Exception):
            self._complain("wrong answers", f"{self.client_id} broke down: {ended!r}")

    # ---- what it is told to do

    def ask(self, command: str, **parameters: object) -> Asked:
        """Make a request; it is sent as soon as there is a connection."""
        asked = Asked(self._new_id(), command, parameters)
        self.asked.append(asked)
        self._pending[asked.request_id] = asked
        if self._writer is not None:
            self._send(asked)
        return asked

    def listen(self, session_id: str) -> None:
        """Subscribe to a session, and again after each reconnect."""
        self.streams.setdefault(session_id, Stream())
        if self._writer is not None:
            self._subscribe(session_id)

    def hang_up(self) -> None:
        """Drop the connection and make another."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def until_answered(self, asked: Asked) -> None:
        """Wait for an answer."""
        while asked.answer is None:
            self.changed.clear()
            await self.changed.wait()

    async def until_all_answered(self) -> None:
        """Wait until nothing is without an answer that may have one."""
        while self._pending:
            self.changed.clear()
            await self.changed.wait()

    async def until_heard(self, session_id: str, seq: int) -> None:
        """Wait until a session's events have been heard up to this one."""
        stream = self.streams[session_id]
        while stream.position is None or stream.position[1] < seq:
            self.changed.clear()
            await self.changed.wait()

    @property
    def waiting(self) -> list[Asked]:
        """Requests without an answer."""
        return list(self._pending.values())

    # ---- the connection

    async def _live(self) -> None:
        while True:
            try:
                async with asyncio.timeout(DIAL_S):
                    reader, writer = await asyncio.open_connection(*self._place, limit=1 << 24)
            except (OSError, TimeoutError) as error:
                self.counts["connections refused"] += isinstance(error, ConnectionRefusedError)
                await asyncio.sleep(self._random.uniform(0.005, 0.04))
                continue
            try:
                await self._talk(reader, writer)
            except (OSError, TimeoutError):
                pass
            finally:
                self._writer = None
                self._subscribing.clear()
                self._lost_at = self._lost_at or time.perf_counter()
                writer.transport.abort()
            self.counts["connections lost"] += 1
            await asyncio.sleep(self._random.uniform(0.0, 0.02))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello: Json = {"role": "client", "client_id": self.client_id}
        sent_before = [asked.request_id for asked in self._pending.values() if asked.sent]
        if self._token is not None:
            hello |= {"resume_token": self._token, "unanswered": sent_before}
        hello_id = self._new_id()
        writer.write(json.dumps({"id": hello_id, "command": "hello", "parameters": hello}).encode() + b"\n")
        async with asyncio.timeout(DIAL_S):
            line = await reader.readline()
        if not line.endswith(b"\n"):
            return
        answer = json.loads(line)
        if answer.get("event") == "connection.closing" or answer.get("code") in TRY_LATER:
            return
        if answer.get("id") != hello_id or answer["status"] != "success":
            self._complain("wrong answers", f"hello of {self.client_id}: {answer}")
            return
        self._greeted(answer["result"], writer, sent_before)
        await self._read(reader, writer)

    def _greeted(self, result: Json, writer: asyncio.StreamWriter, sent_before: list[str]) -> None:
        if self._token is not None and not (result["resumed"] and result["connection_id"] == self.connection_id):
            self._complain("wrong answers", f"{self.client_id} was not resumed: {result}")
        self.counts["resumed"] += result["resumed"]
        self._token, self.connection_id = result["resume_token"], result["connection_id"]
        if self._lost_at is not None:
            self.reconnects_s.append(time.perf_counter() - self._lost_at)
            self._lost_at = None
        self._writer = writer
        in_flight = set(result["in_flight"])
        self.counts["answered without asking again"] += len(in_flight & set(sent_before))
        for session_id in self.streams:
            self._subscribe(session_id)
        for asked in list(self._pending.values()):
            if asked.request_id in in_flight:
                continue
            if not asked.sent or asked.again:
                self.counts["sent again"] += bool(asked.sent)
                self._send(asked)
            else:
                asked.unknown = True
                del self._pending[asked.request_id]

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        asked_for_life = False
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    data = await reader.read(65536)
            except TimeoutError:
                if asked_for_life:
                    self.counts["given up as dead"] += 1
                    return
                asked_for_life = True
                message = {"id": self._new_id(), "command": "ping", "parameters": {}}
                writer.write(json.dumps(message).encode() + b"\n")
                continue
            if not data:
                return
            asked_for_life = False
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            self.changed.set()

    def _new_id(self) -> str:
        self._serial += 1
        return f"{self.client_id}-{self._serial}"

    def _send(self, asked: Asked) -> None:
        assert self._writer is not None
        asked.sent += 1
        message = {"id": asked.request_id, "command": asked.command, "parameters": asked.parameters}
        self._writer.write(json.dumps(message).encode() + b"\n")

    def _send_if_waiting(self, asked: Asked) -> None:
        if self._writer is not None and asked.request_id in self._pending:
            self._send(asked)

    def _subscribe(self, session_id: str) -> None:
        assert self._writer is not None
        stream = self.streams[session_id]
        parameters: Json = {"session_id": session_id, "deltas": True}
        if stream.position is not None:
            parameters["since"] = {"epoch": stream.position[0], "seq": stream.position[1]}
        request_id = self._new_id()
        self._subscribing[request_id] = session_id
        message = {"id": request_id, "command": "subscribe", "parameters": parameters}
        self._writer.write(json.dumps(message).encode() + b"\n")

    # ---- what comes in

    def _take(self, message: Json) -> None:
        if "event" in message:
            stream = self.streams.get(message.get("session_id") or "")
            if stream is not None:
                self._hear(stream, message)
            return
        request_id = message["id"]
        if request_id in self._subscribing:
            self._subscribed(self._subscribing.pop(request_id), message)
            return
        asked = self._pending.get(request_id)
        if asked is None or message.get("code") in TRY_LATER:
            return
        if message.get("code") == "image_unavailable" and asked.again:  # nothing was done: ask until it is
            self.counts["asked again, for want of an image"] += 1
            asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._send_if_waiting, asked)
        else:
            del self._pending[request_id]
            asked.answer = message

    def _subscribed(self, session_id: str, answer: Json) -> None:
        stream = self.streams[session_id]
        if answer["status"] != "success":
            if answer["code"] not in TRY_LATER:
                self._complain("wrong answers", f"subscribe of {self.client_id}: {answer}")
            return
        if stream.position is None:
            position = answer["result"]["position"]
            stream.position = stream.begun_at = (position["epoch"], position["seq"])

    def _hear(self, stream: Stream, event: Json) -> None:
        epoch, seq = event["epoch"], event["seq"]
        if event["event"] == "gap" and "from" in event["data"]:
            stream.gaps.append(event)
            stream.position = (epoch, seq)
            return
        if stream.position is None or (epoch, seq) != (stream.position[0], stream.position[1] + 1):
            self._complain("wrong order", f"{self.client_id} at {stream.position} heard {epoch} {seq} {event['event']}")
        stream.position = (epoch, seq)
        stream.heard.append((epoch, seq, event["event"], event["data"]))
