"""Who gets which of the messages that come over one connection? Answers by id, events by name, in any order."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable
from typing import Any, TypeVar

from stui_sessiond.testing.patterns import Names, differences
from stui_sessiond.testing.talk import DifferenceError, Talk

T = TypeVar("T")

Json = dict[str, Any]

MAX_EVENTS = 10_000
"""Events that are kept until a step asks for them; the oldest are dropped first. No case waits for so many."""


class Desk:
    """One connection of a client, with the patience of `patience_s` for each thing that it waits for."""

    def __init__(self, talk: Talk, patience_s: float) -> None:
        self._talk = talk
        self._patience_s = patience_s
        self._answers: dict[str, Json] = {}
        self._events: deque[Json] = deque(maxlen=MAX_EVENTS)
        self._serial = itertools.count(1)
        self._asked: set[str] = set()

    async def ask(self, command: str, parameters: Json) -> str:
        """Send a request; return its id without waiting."""
        request_id = f"c-{next(self._serial)}"
        self._asked.add(request_id)
        await self._talk.send({"id": request_id, "command": command, "parameters": parameters})
        return request_id

    async def answer(self, request_id: str) -> Json:
        """Wait for the answer to a request.

        Raises:
            DifferenceError: it does not come in time, or comes twice.
            LinkEndedError: the connection is over.
        """

        async def wait() -> Json:
            while request_id not in self._answers:
                self._take(await self._talk.receive())
            return self._answers.pop(request_id)

        return await self._in_time(wait(), "no answer")

    async def event(self, name: str, data: object, names: Names) -> None:
        """Wait for an event with this name whose data match; those before it are dropped.

        Raises:
            DifferenceError: it does not come in time.
            LinkEndedError: the connection is over.
        """
        nearest: list[str] = []

        async def wait() -> None:
            nonlocal nearest
            while True:
                while not self._events:
                    self._take(await self._talk.receive())
                event = self._events.popleft()
                if event.get("event") != name:
                    continue
                captured = dict(names)
                nearest = differences(data, event.get("data"), captured, "data")
                if not nearest:
                    names.update(captured)
                    return

        try:
            await self._in_time(wait(), f"no event {name}")
        except DifferenceError as error:
            if nearest:
                raise DifferenceError(*error.lines, "the last one of that name differs:", *nearest) from None
            raise

    def _take(self, message: Json) -> None:
        if "event" in message:
            self._events.append(message)
            return
        request_id = message.get("id")
        if not isinstance(request_id, str) or request_id not in self._asked:
            msg = f"an answer to nothing that was asked: {str(message)[:200]}"
            raise DifferenceError(msg)
        self._asked.remove(request_id)
        self._answers[request_id] = message

    async def _in_time(self, work: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(self._patience_s):
                return await work
        except TimeoutError:
            msg = f"{what} within {self._patience_s:g} s"
            raise DifferenceError(msg) from None
