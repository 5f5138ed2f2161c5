"""Does an image stand what a daemon, or something worse, sends it? Plays the daemon: listens, greets, asks, checks.

Guarantees: one image at a time; every proper request has to have one answer in the agreed shape; after everything else
the image still has to answer.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from stui_sessiond.contract import load_contract
from stui_sessiond.testing.fuzz.image_requests import NUMBER_ID, Question, question
from stui_sessiond.testing.fuzz.judge import MAX_SHOWN, Judge, read_message
from stui_sessiond.testing.fuzz.source import Seeded, Source
from stui_sessiond.testing.fuzz.tally import WORKED, Failure, FailureError, Tally
from stui_sessiond.testing.fuzz.wishes import Book, load_schemas
from stui_sessiond.testing.link import MAX_LINE_BYTES, LineLink, LinkEndedError

ANSWER_S: Final = 30.0
"""How long an image may take for an answer (PROTOCOL.md, Limits)."""

COME_S: Final = 60.0
"""How long to wait for an image to connect."""

MAX_BATCH: Final = 8
PROGRESS_S: Final = 5.0
HOSTILE_PERCENT: Final = (0, 10, 30)


class WantedImage(Struct, frozen=True, kw_only=True):
    """Where to wait for the image, and how long to fuzz it."""

    host: str
    port: int
    seconds: float = 60.0
    rounds: int | None = None
    """At most so many batches."""
    seed: int = 0
    answer_s: float = ANSWER_S


class ImageTrial:
    """Fuzzes the first image that connects."""

    def __init__(self, wanted: WantedImage) -> None:
        self.tally = Tally()
        self.book = Book(load_contract(), load_schemas())
        self.image_id = ""
        self._wanted = wanted
        self._judge = Judge(self.book.contract, self.book.schemas)
        self._links: asyncio.Queue[LineLink] = asyncio.Queue()
        self._serial = 0
        self._heard: list[tuple[str, Any]] = []

    async def run(self, listening: Callable[[int], None], progress: Callable[[str], None]) -> Failure | None:
        """Wait for an image and ask it until the time is up or something is wrong; then give that.

        `listening` is told the port.

        Raises:
            TimeoutError: no image came.
            OSError: the address cannot be listened on.
        """
        server = await asyncio.start_server(self._accept, self._wanted.host, self._wanted.port, limit=MAX_LINE_BYTES)
        async with server:
            listening(server.sockets[0].getsockname()[1])
            link = await asyncio.wait_for(self._links.get(), COME_S)
            try:
                await self._greet(link)
                return await self._ask_all(link, progress)
            except FailureError as error:
                return Failure(error.kind, error.text, None, self._wanted.seed, tuple(self._heard))
            except LinkEndedError:
                text = "the image ended the connection, or died"
                return Failure("image_gone", text, None, self._wanted.seed, tuple(self._heard))
            finally:
                await link.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.image_id:  # it was here before: the trial looks at one connection only
            writer.close()
            return
        await self._links.put(LineLink(reader, writer))

    async def _greet(self, link: LineLink) -> None:
        hello = await self._receive(link)
        parameters = hello.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        identity = parameters.get("identity")
        if hello.get("command") != "hello" or not isinstance(identity, dict) or parameters.get("role") != "image":
            msg = f"an image begins with hello, role image and its identity; this one with {_shown(hello)}"
            raise FailureError(msg, "no_hello")
        problems = self._judge.result("hello", "parameters", parameters)
        if problems:
            raise FailureError("; ".join(problems), "hello")
        self.image_id = str(identity["image_id"])
        limits = {"message_bytes": 10_000_000, "json_depth": 64, "requests_in_flight": 64, "evaluations_in_flight": 32}
        result = {
            "server_id": secrets.token_hex(8),
            "server_version": "0.0.0",
            "protocol": "1.0.0",
            "connection_id": "conn_fuzz",
            "resume_token": "none",
            "resumed": False,
            "in_flight": [],
            "heartbeat_interval": 20,
            "limits": {**limits, "subscriptions": 128, "session_bytes": 10_000_000, "sessions_per_client": 5},
            "position": {"epoch": "fuzz", "seq": 0},
        }
        answer = {"status": "success", "id": hello["id"], "result": result, "timestamp": "2026-01-01T00:00:00.000Z"}
        await link.send(json.dumps(answer).encode())

    async def _ask_all(self, link: LineLink, progress: Callable[[str], None]) -> Failure | None:
        source = Seeded(self._wanted.seed)
        started = told = time.monotonic()
        while True:
            now = time.monotonic()
            if now - told >= PROGRESS_S:
                told = now
                progress(self.tally.line(now - started))
            rounds = self._wanted.rounds
            if now - started >= self._wanted.seconds or (rounds is not None and self.tally.conversations >= rounds):
                return None
            percent = HOSTILE_PERCENT[self.tally.conversations % len(HOSTILE_PERCENT)]
            self.tally.conversations += 1
            self._heard.clear()
            await self._batch(link, source, percent)

    async def _batch(self, link: LineLink, source: Source, hostile_percent: int) -> None:
        asked: list[Question] = []
        for _ in range(1 + source.below(MAX_BATCH)):
            self._serial += 1
            asked.append(question(source, self.book, self._serial, hostile_percent))
        self._serial += 1
        ping = json.dumps({"id": f"d-{self._serial}", "command": "ping", "parameters": {"tool_id": "default"}})
        asked.append(Question(f"d-{self._serial}", ping.encode(), "ping", proper=True))
        by_id = {each.id: each for each in asked}
        waiting = {each.id for each in asked if each.proper}
        for each in asked:
            self._heard.append((">", each))
            self.tally.requests += 1
            self.tally.hostile += not each.proper
            await link.send(each.data)
        started = time.monotonic()
        while waiting:
            try:
                message = await asyncio.wait_for(self._receive(link), self._wanted.answer_s)
            except TimeoutError:
                left = "; ".join(_shown(by_id[name].data.decode()) for name in sorted(waiting)[:3])
                msg = f"no answer within {self._wanted.answer_s:g} s to {left}"
                raise FailureError(msg, "no_answer") from None
            self._take(message, by_id, waiting)
        self.tally.slowest_ping_s = max(self.tally.slowest_ping_s, time.monotonic() - started)

    def _take(self, message: dict[str, Any], by_id: dict[str, Question], waiting: set[str]) -> None:
        if "event" in message:
            self.tally.events += 1
            self._refuse("image-event", message)
            return
        if "command" in message:
            return  # an image may ask the daemon, too
        request_id = message.get("id")
        asked = by_id.get(request_id) if isinstance(request_id, str) else None
        if asked is None and (not request_id or request_id == NUMBER_ID):
            return  # asked with such an id, it may answer with it
        if asked is None:
            number = str(request_id).removeprefix("d-")
            if number.isdecimal() and int(number) <= self._serial:
                return  # a late answer to what was no proper request of an earlier batch
            msg = f"an answer to {request_id!r}, which nobody waits for: {_shown(message)}"
            raise FailureError(msg, "unasked")
        if asked.proper and request_id not in waiting:
            msg = f"a second answer to {_shown(asked.data.decode())}: {_shown(message)}"
            raise FailureError(msg, "twice")
        waiting.discard(asked.id)
        failed = message.get("status") == "error"
        self.tally.outcomes[asked.command or "-", str(message.get("code")) if failed else WORKED] += 1
        self._refuse("image-failure" if failed else "image-success", message)
        if not failed and asked.command is not None:
            problems = self._judge.result(asked.command, "answer", message["result"])
            if problems and asked.command in self._judge.commands:
                text = f"{'; '.join(problems)}; asked: {_shown(asked.data.decode())}; answered: {_shown(message)}"
                raise FailureError(text, f"answer:{asked.command}")

    def _refuse(self, name: str, message: dict[str, Any]) -> None:
        problems = self._judge.outside(name, message)
        if problems:
            msg = f"{'; '.join(problems)}: {_shown(message)}"
            raise FailureError(msg, "shape")

    async def _receive(self, link: LineLink) -> dict[str, Any]:
        payload = await link.receive()
        try:
            message = read_message(payload)
        except ValueError as error:
            msg = f"what came is no message: {error}: {payload[:MAX_SHOWN]!r}"
            raise FailureError(msg, "no_message") from None
        self._heard.append(("<", message))
        return message


def as_transcript(failure: Failure) -> str:
    """Write what was said since the image last answered well, as a transcript from the daemon's side."""
    lines = [f"# {failure.kind}: {' '.join(failure.text.split())[:MAX_SHOWN]}"]
    lines.append(f"# Again: stui-sessiond fuzz-image --listen HOST:PORT --seed {failure.seed}")
    for sign, what in failure.heard:
        if sign == "<":
            lines.append(f"image>> {json.dumps(what, ensure_ascii=False)}")
            continue
        text = what.data.decode("utf-8", "backslashreplace")
        proper = what.proper or what.command is not None
        lines.append(f"image<< {text}" if proper else f"# the image gets what is no request: {text[:MAX_SHOWN]}")
    return "\n".join([*lines, ""])


def _shown(message: object) -> str:
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    return text[:MAX_SHOWN]
