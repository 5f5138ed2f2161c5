"""An image that knows a few sentences of Smalltalk by heart, keeps its word, and lies when it is told to."""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.conformance.bed import Bed

Json = dict[str, Any]

Answer = Callable[[str, Json], Json | None]
"""Takes a command and its parameters; gives what the answer has besides its id, or None: no answer."""

SENTENCES = {"3 + 4": "7", "nil": "nil", "3 > 4": "false", "'ab' , 'cd'": "'abcd'", "(Array with: 3 with: 4) size": "2"}
_ASSIGNMENT = re.compile(r"(\w+) := (?:(\d+)|\1 \* 10 \+ (\d+))")


def ok(result: Json) -> Json:
    """An answer that is a success."""
    return {"status": "success", "result": result}


def value(printed: str) -> Json:
    """The answer to an `evaluate` that worked."""
    return ok({"result": printed, "result_type": "SmallInteger", "execution_time": 0, "has_error": False})


class Honest:
    """Answers as an image has to."""

    def __init__(self) -> None:
        self.variables: dict[tuple[str, str, str], int] = {}

    def __call__(self, command: str, parameters: Json) -> Json | None:
        """Answer."""
        if command == "ping":
            return ok({"message": parameters.get("message"), "status": "ready", "uptime": 1})
        if command == "evaluate":
            return self.evaluate(parameters["code"], (parameters.get("session_id") or "", parameters["tool_id"]))
        if command == "release_session":
            self.variables = {
                name: kept for name, kept in self.variables.items() if name[0] != parameters["session_id"]
            }
            return ok({"released": True})
        return {"status": "error", "code": "unsupported_operation", "error": f"no {command} here"}

    def evaluate(self, code: str, place: tuple[str, str]) -> Json:
        """Look the sentence up, or assign, or read a variable."""
        if code in SENTENCES:
            return value(SENTENCES[code])
        assigned = _ASSIGNMENT.fullmatch(code)
        if assigned is not None:
            name, number, digit = assigned.groups()
            known = (*place, name)
            self.variables[known] = int(number) if number else self.variables[known] * 10 + int(digit)
            return value(str(self.variables[known]))
        return value(str(self.variables.get((*place, code), "nil")))


class ScriptedImage:
    """Connects to a daemon, and answers as `answer` says."""

    def __init__(self, answer: Answer, image_id: str, capabilities: list[str]) -> None:
        self.image_id = image_id
        self.requests: list[str] = []
        self._answer = answer
        self._identity = {"image_id": image_id, "instance_id": secrets.token_hex(6), "capabilities": capabilities}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self, url: str) -> None:
        """Dial and say hello."""
        host, _, port = url.removeprefix("tcp://").rpartition(":")
        reader, self._writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        self._write({"id": "hello", "command": "hello", "parameters": {"role": "image", "identity": self._identity}})
        greeting = json.loads(await reader.readline())
        assert greeting["status"] == "success", greeting
        self._task = asyncio.get_running_loop().create_task(self._live(reader))

    async def _live(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            request = json.loads(line)
            self.requests.append(request["command"])
            answer = self._answer(request["command"], request["parameters"])
            if answer == {}:
                self._writer.close()  # type: ignore[union-attr]  # it is there as long as this runs
                return
            if answer is not None:
                self._write({"id": request["id"], **answer})

    def _write(self, message: Json) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def close(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._task
        if self._writer is not None:
            self._writer.close()


@contextmanager
def connected(bed: Bed, answer: Answer, *capabilities: str) -> Iterator[ScriptedImage]:
    """Have an image connected to the daemon of a bed."""
    image = ScriptedImage(answer, f"scripted-{secrets.token_hex(4)}", list(capabilities))
    bed.runner.run(image.connect(bed.url))
    try:
        yield image
    finally:
        bed.runner.run(image.close())
