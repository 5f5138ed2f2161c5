"""The fuzzer's own image: it is asked by the daemon, and answers as a script says, well or badly."""

import asyncio
import contextlib
import json
import secrets
from typing import Any, Final

from stui_sessiond.testing.fuzz.shapes import instance
from stui_sessiond.testing.fuzz.source import Seeded, chance, pick
from stui_sessiond.testing.fuzz.tally import FailureError
from stui_sessiond.testing.fuzz.values import any_json
from stui_sessiond.testing.fuzz.wishes import Book
from stui_sessiond.testing.link import Link, LinkEndedError, open_link

CODES: Final = ("class_not_found", "object_not_found", "evaluation_error", "invalid_parameters", "x", None)
EVENTS: Final = ("transcript", "code_changed", "debugger_opened", "progress", "made_up")
FIELDS: Final = ("text", "version", "patch", "client_id", "evaluation", "session_state", "data", "", "seq", "mode")
NAMES: Final = frozenset({"handle", "debugger_id"})
STATES: Final = ("suspended", "finished", "terminated", "x", None)
ODD_TEXT: Final = (
    rb'{"result":"\ud83d","result_type":null,"execution_time":0,"has_error":false,"\udc00":"\ud83d\ude00"}'
)


class ImagePeer:
    """One connection of an image; `image_id` names it."""

    def __init__(self, url: str, token: str | None, book: Book, image_id: str) -> None:
        self.image_id = image_id
        self.asked = 0
        """Requests it got."""
        self._url = url
        self._token = token
        self._book = book
        self._moves: tuple[str, ...] = ("answer",)
        self._source = Seeded(0)
        self._instance_id = secrets.token_hex(8)
        self._link: Link | None = None
        self._held: list[bytes] = []
        self._task: asyncio.Task[None] | None = None

    async def prepare(self, moves: tuple[str, ...], seed: int) -> None:
        """Be there, and from now on answer like this.

        Raises:
            FailureError: the daemon does not let it in.
            UnreachableError, LinkEndedError: the daemon is gone.
        """
        self.asked = 0
        self._moves = moves
        self._source = Seeded(seed)
        self._held.clear()
        if self._task is None or self._task.done():
            await self.stop()
            await self._start()

    async def _start(self) -> None:
        self._link = await open_link(self._url)
        identity = {"image_id": self.image_id, "instance_id": self._instance_id, "dialect": "Fuzz"}
        parameters = {"role": "image", "protocol": ["1.0.0"], "identity": identity, "token": self._token}
        await self._link.send(json.dumps({"id": "hello", "command": "hello", "parameters": parameters}).encode())
        async with asyncio.timeout(10):
            answer = json.loads(await self._link.receive())
        if answer.get("status") != "success":
            msg = f"the fuzzer's own image is refused: {answer}"
            raise FailureError(msg, "image_refused")
        self._task = asyncio.create_task(self._serve(self._link), name="fuzz.image")

    async def stop(self) -> None:
        """Leave."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._link is not None:
            await self._link.close()

    async def release(self) -> None:
        """Give the answers that were held back."""
        held, self._held = self._held, []
        await self._send(*held)

    async def _send(self, *messages: bytes) -> None:
        if self._link is not None:
            with contextlib.suppress(LinkEndedError):
                for message in messages:
                    await self._link.send(message)

    async def _serve(self, link: Link) -> None:
        with contextlib.suppress(LinkEndedError):
            while True:
                try:
                    message = json.loads(await link.receive())
                except (ValueError, RecursionError):  # only a fuzzer that plays the daemon sends such a thing
                    continue
                if isinstance(message, dict) and isinstance(message.get("command"), str) and message.get("id"):
                    move = self._moves[self.asked % len(self._moves)]
                    self.asked += 1
                    await self._answer(move, message, link)

    async def _answer(self, move: str, request: dict[str, Any], link: Link) -> None:
        good = self._good(request)
        match move:
            case "late":
                self._held.append(good)
            case "error":
                code = pick(self._source, CODES)
                refusal = {"id": request["id"], "status": "error", "error": "no", "code": code, "details": {"x": [1]}}
                await self._send(json.dumps(refusal).encode())
            case "wrong":
                odd = {"id": request["id"], "status": "success", "result": any_json(self._source)}
                await self._send(json.dumps(odd).encode())
            case "twice":
                await self._send(good, good)
            case "stranger":
                await self._send(json.dumps({"id": "d-999999", "status": "success", "result": {}}).encode(), good)
            case "noise":
                await self._send(b"nonsense", b'{"id":"x","command":"ping"}', b'{"status":"success"}', good)
            case "odd_text":
                head = json.dumps({"id": request["id"], "status": "success"}).encode()[:-1]
                await self._send(head + b',"result":' + ODD_TEXT + b"}")
            case "event":
                session = (request.get("parameters") or {}).get("session_id") or "session_1_1_none"
                pushed = {"event": pick(self._source, EVENTS), "session_id": session, "data": self._told()}
                await self._send(json.dumps(pushed).encode(), good)
            case "hang_up":
                await link.close()
            case _:
                await self._send(good)

    def _told(self) -> dict[str, Any]:
        """Make the data of an event: with the names that the daemon's own events have, and other types behind them."""
        return {pick(self._source, FIELDS): any_json(self._source, 2) for _ in range(self._source.below(4))}

    def _name(self, result: dict[str, Any]) -> None:
        """Let what names an object or a process be a name, most of the time, and now and then one that was there."""
        for place in (result, result.get("error"), result.get("debug_info")):
            if isinstance(place, dict):
                for field in sorted(NAMES & place.keys()):
                    if chance(self._source, 80):
                        place[field] = f"{field[0]}{self._source.below(9)}"
        info = result.get("debug_info")
        if isinstance(info, dict) and chance(self._source, 60):
            info["state"] = pick(self._source, STATES)

    def _good(self, request: dict[str, Any]) -> bytes:
        root = self._book.schemas.get(request["command"], {})
        answer = root.get("properties", {}).get("answer")
        result = {} if answer is None else instance(self._source, answer, root)
        self._name(result)
        return json.dumps({"id": request["id"], "status": "success", "result": result}).encode()
