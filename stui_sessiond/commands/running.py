"""Which requests that run code are under way in this daemon?"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import msgspec

from stui_sessiond.ids import SessionId
from stui_sessiond.images.link import RUNS_CODE, ImageLink
from stui_sessiond.model.request import Origin, RequestEntry
from stui_sessiond.tasks import TaskOwner

T = TypeVar("T")


class Running(msgspec.Struct, eq=False):
    """A request that is under way, and how it ends: with its result, or an error that is not raised."""

    session_id: SessionId
    request: RequestEntry
    """As it will be in the book; from the moment an image is chosen with its `relay_id`."""
    link: ImageLink | None = None
    """Over which it was asked; None as long as it was not."""
    ended: "asyncio.Future[Any] | None" = None
    """For who waits for it besides whoever carries it out: its task, or made when somebody does."""
    waiting: asyncio.Timeout | None = None
    """Set while it waits for somebody to approve it."""
    given_up: bool = False

    @property
    def key(self) -> str:
        """Its name in the session."""
        return self.request.key

    def join(self) -> "asyncio.Future[Any]":
        """Wait for it as well."""
        if self.ended is None:
            self.ended = asyncio.get_running_loop().create_future()
        return self.ended

    def dropped(self) -> bool:
        """Tell whether it is to end before an image is asked."""
        return self.given_up

    def drop(self) -> bool:
        """Let it end before an image is asked; False when one was."""
        if self.link is not None:
            return False
        if self.waiting is not None and not self.given_up:
            self.waiting.reschedule(asyncio.get_running_loop().time())
        self.given_up = True
        return True


class RunningTable:
    """What is under way, by session and key, for as long as its task goes on."""

    def __init__(self) -> None:
        self._tasks = TaskOwner("relay")
        self._by_place: dict[tuple[SessionId, str], Running] = {}
        self._by_relay_id: dict[str, Running] = {}

    def __len__(self) -> int:
        return len(self._by_place)

    def find(self, session_id: str, key: str) -> Running | None:
        """Look a request up."""
        return self._by_place.get((SessionId(session_id), key))

    def of_session(self, session_id: str) -> list[Running]:
        """Everything of a session that is under way, the oldest first."""
        return [one for (where, _), one in self._by_place.items() if where == session_id]

    def evaluating(self) -> Counter[SessionId]:
        """How much of each session is under way that runs code."""
        return Counter(where for (where, _), one in self._by_place.items() if one.request.command in RUNS_CODE)

    def all(self) -> Iterator[Running]:
        """Everything that is under way, the oldest first; nothing may change meanwhile."""
        return iter(self._by_place.values())

    def name_of(self, relay_id: str) -> str | None:
        """The name of the evaluation that an image was asked for under this id, if it is under way."""
        running = self._by_relay_id.get(relay_id)
        return None if running is None else running.key

    def on(self, link: ImageLink) -> Iterator[Running]:
        """Everything that an image was asked over this link and has not answered, the oldest first."""
        return (one for one in self._by_place.values() if one.link is link)

    def start(self, running: Running, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Put a request into the table and begin to work on it; it is in the table until that ends."""
        self._by_place[(running.session_id, running.key)] = running
        running.ended = task = self._tasks.start(work, f"{running.request.command}.{running.key}")
        task.add_done_callback(lambda _: self._remove(running))
        return task

    async def carry_out(self, running: Running, work: Coroutine[Any, Any, T]) -> T:
        """Do the same without a task: the work is that of whoever waits here, and ends with it."""
        self._by_place[(running.session_id, running.key)] = running
        try:
            answer = await work
            if running.ended is not None and not running.ended.done():
                running.ended.set_result(answer)
            return answer
        finally:
            if running.ended is not None:
                running.ended.cancel()  # unless it has the answer
            self._remove(running)

    def ask(self, running: Running, request: RequestEntry, link: ImageLink) -> None:
        """Take note that an image is asked now: this cannot be taken back any more."""
        running.request, running.link = request, link
        if request.relay_id is not None:
            self._by_relay_id[request.relay_id] = running

    def _remove(self, running: Running) -> None:
        del self._by_place[(running.session_id, running.key)]
        self._by_relay_id.pop(running.request.relay_id or "", None)

    def own_key(self, session_id: SessionId, origin: Origin | None) -> str:
        """The key of a request that has none. An id may be used again, so only the newest one is known by it."""
        if origin is None:
            return secrets.token_hex(12)
        key = f"{origin.connection_id}:{origin.request_id}"
        return key if (session_id, key) not in self._by_place else f"{key}:{secrets.token_hex(4)}"

    def status_of(self, session_id: SessionId, key: str) -> str | None:
        """Tell whether a request is under way: `queued` until the image has been asked, then `running`."""
        running = self._by_place.get((session_id, key))
        return None if running is None else "queued" if running.link is None else "running"

    async def close(self) -> None:
        """Stop waiting for images."""
        await self._tasks.close()
