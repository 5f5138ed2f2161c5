"""One connection of a vector or transcript: each step in time, each difference in words."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

from msgspec import Struct

from stui_sessiond.contract import Contract
from stui_sessiond.testing.link import Link, LinkEndedError
from stui_sessiond.testing.patterns import MAX_SHOWN_CHARS, Names, differences
from stui_sessiond.testing.vectors import Kind, encode

T = TypeVar("T")

STEP_TIMEOUT_S = 10.0
"""How long the daemon may take for one step."""

SYNC_ID = "conformance-sync"
"""The id of requests that the runner itself puts in, to see that all else is answered."""

OWN_ACCORD = "p-"
"""How ids of requests begin that a daemon asks images of its own accord."""

SILENT = "silent"
"""The end of a connection for which no reason is given."""


MAX_MESSAGE_CHARS = 1000
"""How much of a message that differs is shown."""


class Target(Struct, frozen=True):
    """A daemon, and how to talk to it."""

    open: Callable[[], Awaitable[Link]]
    kind: Kind
    token: str | None = None
    must_greet: bool = False
    """Whether a connection has to say hello with the token first."""
    step_timeout_s: float = STEP_TIMEOUT_S


class DifferenceError(Exception):
    """Something else came than was expected; one line for each difference."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


class Talk:
    """A connection with the patience and the vocabulary of the runner."""

    def __init__(self, target: Target, link: Link) -> None:
        self.link = link
        self._target = target

    async def send(self, message: object) -> None:
        """Send a message."""
        await self.send_bytes(encode(message))

    async def send_bytes(self, payload: bytes) -> None:
        """Send a payload as it is. If the connection is over, the next look at it tells so, and why."""
        with contextlib.suppress(LinkEndedError):
            await self._in_time(self.link.send(payload), "taking what is sent")

    async def receive(self) -> dict[str, Any]:
        """Wait for the next message, which is a JSON object.

        What the daemon asks images of its own accord is left out, and unanswered (VECTORS.md).
        """
        while True:
            message = await self._receive_any()
            if not ("command" in message and str(message.get("id")).startswith(OWN_ACCORD)):
                return message

    async def _receive_any(self) -> dict[str, Any]:
        payload = await self._in_time(self.link.receive(), "the next message")
        try:
            message = json.loads(payload, parse_constant=_no_json)
        except ValueError as error:
            msg = f"what came is not JSON: {error}: {payload[:MAX_SHOWN_CHARS]!r}"
            raise DifferenceError(msg) from None
        if not isinstance(message, dict):
            msg = f"what came is no JSON object: {payload[:MAX_SHOWN_CHARS]!r}"
            raise DifferenceError(msg)
        return message

    async def expect(self, pattern: object, names: Names) -> None:
        """Wait for a message that matches."""
        found = await self.receive()
        lines = differences(pattern, found, names)
        if lines:
            raise DifferenceError(*lines, f"in {_shown(found)}")

    async def expect_end(self, reason: str | int, contract: Contract) -> None:
        """Wait for the end of the connection, as the next thing."""
        known = contract.close_reasons.get(str(reason))
        expected = None if reason == SILENT else reason if known is None else known.code
        try:
            found = await self.receive()
        except LinkEndedError as ended:
            if expected != ended.code:
                msg = f"expected the end with code {expected} ({reason}), got code {ended.code}"
                raise DifferenceError(msg) from None
            return
        msg = f"expected the end of the connection ({reason}), got {_shown(found)}"
        raise DifferenceError(msg)

    async def prove_usable(self, when: str = "") -> None:
        """See that a request is answered, and that nothing else was still to come."""
        if self._target.must_greet:
            await self.send(hello(self._target.token))
            pattern: dict[str, Any] = {"id": SYNC_ID}
        else:
            await self.send({"id": SYNC_ID, "command": "ping"})
            pattern = {"id": SYNC_ID, "status": "success", "result": {"status": "ready"}}
        found = await self.receive()
        lines = differences(pattern, found, {})
        if self._target.must_greet and found.get("code") not in (None, "already_greeted"):
            lines.append(f"code: expected already_greeted or a success, got {found['code']}")
        if lines:
            msg = f"{when}a ping was not answered as the next thing: {'; '.join(lines)}"
            raise DifferenceError(msg, f"in {_shown(found)}")

    async def begin_session(self, run: str) -> str:
        """Create a session for a vector that needs one."""
        await self.send({"id": SYNC_ID, "command": "create_session", "parameters": {"client_id": f"conformance-{run}"}})
        names: Names = {}
        await self.expect({"id": SYNC_ID, "result": {"session_id": "{{session_id:string}}"}}, names)
        return str(names["session_id"])

    async def end_session(self, session_id: str) -> None:
        """Close it."""
        parameters = {"session_id": session_id, "save_state": False}
        await self.send({"id": SYNC_ID, "command": "close_session", "parameters": parameters})
        await self.expect({"id": SYNC_ID, "result": {"closed": True}}, {})

    async def _in_time(self, work: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(self._target.step_timeout_s):
                return await work
        except TimeoutError:
            msg = f"{what}: nothing within {self._target.step_timeout_s:g} s"
            raise DifferenceError(msg) from None


def hello(token: str | None) -> dict[str, Any]:
    """Make the request that lets a connection in."""
    parameters = {"role": "client", "protocol": ["1.0.0"], "token": token}
    return {"id": SYNC_ID, "command": "hello", "parameters": parameters}


def is_hello(message: object) -> bool:
    """Tell whether a message says hello, in either form."""
    if not isinstance(message, dict):
        return False
    envelope = message.get("payload")
    data = envelope.get("data") if isinstance(envelope, dict) else None
    asked = data.get("request_type") if isinstance(data, dict) else None
    return message.get("command") == "hello" or asked == "Hello"


def _shown(message: object) -> str:
    text = encode(message).decode()
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}..."


def _no_json(word: str) -> NoReturn:
    msg = f"{word} is not JSON"
    raise ValueError(msg)
