"""An image that a test can count on: it knows how often it ran which code, and says again what may be lost."""

import asyncio
import json
import random
import secrets
from collections import Counter
from typing import Any

Json = dict[str, Any]

_RUNS_S = (0.0, 0.005, 0.05, 0.3, 1.0, 2.0)
"""How long code may run: the longest outlasts a restart of the daemon."""

DIAL_S = 0.5
"""How long a connection and its hello may take."""


class Image:
    """One image over all its lives. A life is an instance; what it worked on ends with it.

    With `keeps` it forgets all but so many of the newest pieces of code, so that it may run for hours.
    """

    def __init__(
        self,
        place: tuple[str, int],
        image_id: str,
        rng: random.Random,
        *,
        token: str | None = None,
        keeps: int | None = None,
    ) -> None:
        self.image_id = image_id
        self.runs: Counter[str] = Counter()
        """How often each piece of code was begun."""
        self.finished: dict[str, str] = {}
        """What came of it."""
        self.ran_in: dict[str, str] = {}
        """The instance that ran it."""
        self.instance_id = secrets.token_hex(6)
        self.greeted = asyncio.Event()
        self.links = 0
        self.said_again = 0
        self._place = place
        self._random = rng
        self._token = token
        self._keeps = keeps
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[str, bytes] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._live())

    async def close(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._die()

    def restart(self) -> None:
        """Die, with all that is under way and all answers, and come back as another instance."""
        self._die()
        self.instance_id = secrets.token_hex(6)
        self.redial()

    def _die(self) -> None:
        for task in self._work:
            task.cancel()
        self._work.clear()
        self._answers.clear()

    def redial(self) -> None:
        """Let go of the connection and make another."""
        if self._writer is not None:
            self._writer.transport.abort()

    @property
    def busy(self) -> bool:
        """Whether something is still being worked on."""
        return bool(self._work)

    async def _live(self) -> None:
        while True:
            try:
                async with asyncio.timeout(DIAL_S):
                    reader, writer = await asyncio.open_connection(*self._place, limit=1 << 24)
            except (OSError, TimeoutError):
                await asyncio.sleep(self._random.uniform(0.01, 0.05))
                continue
            self._writer = writer
            try:
                await self._talk(reader, writer)
            except (OSError, TimeoutError, ValueError):
                pass
            finally:
                self._writer = None
                self.greeted.clear()
                writer.transport.abort()
            await asyncio.sleep(self._random.uniform(0.005, 0.03))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        identity = {"image_id": self.image_id, "instance_id": self.instance_id, "dialect": "Scripted"}
        hello: Json = {"id": "hello", "command": "hello", "parameters": {"role": "image", "identity": identity}}
        if self._token is not None:
            hello["parameters"] |= {"token": self._token}
        writer.write(json.dumps(hello).encode() + b"\n")
        async with asyncio.timeout(DIAL_S):
            answer = json.loads(await reader.readline())
        if answer.get("id") != "hello" or answer["status"] != "success":
            return
        self.links += 1
        for line in self._answers.values():
            self.said_again += 1
            writer.write(line)
        self.greeted.set()
        while (line := await reader.readline()).endswith(b"\n"):
            message = json.loads(line)
            if message.get("command") == "evaluate":
                self._begin(message)
            elif message.get("command") == "ping":
                alive = {"message": None, "status": "busy" if self.busy else "ready", "uptime": 0}
                writer.write(json.dumps({"id": message["id"], "status": "success", "result": alive}).encode() + b"\n")

    def _begin(self, request: Json) -> None:
        code: str = request["parameters"]["code"]
        self.runs[code] += 1
        self.ran_in[code] = self.instance_id
        task = asyncio.create_task(self._run(request["id"], code))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _run(self, request_id: str, code: str) -> None:
        if self._random.randrange(3):
            await asyncio.sleep(self._random.choice(_RUNS_S))
        shown = f"{code} -> {self.runs[code]}"
        self.finished[code] = shown
        answer: Json
        if code.startswith("error"):
            answer = {"status": "error", "code": "evaluation_error", "error": shown}
        else:
            result = {"result": shown, "result_type": "String", "execution_time": 0, "has_error": False}
            answer = {"status": "success", "result": result}
        line = json.dumps({"id": request_id, **answer}).encode() + b"\n"
        self._answers[request_id] = line
        if self._keeps is not None and len(self._answers) > self._keeps:
            for known in (self._answers, self.runs, self.finished, self.ran_in):
                del known[next(iter(known))]
        if self.greeted.is_set() and self._writer is not None:
            self._writer.write(line)
