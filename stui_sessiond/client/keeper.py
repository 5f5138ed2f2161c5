"""How is one connection kept? Connects, greets, listens for its heart, finds out why it ended, and connects again."""

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from stui_sessiond.client.address import Address
from stui_sessiond.client.board import Board
from stui_sessiond.client.channel import Channel, open_channel
from stui_sessiond.client.conversation import Answer, Conversation
from stui_sessiond.client.ending import Ending, cut, gave_up, left, paused, refused, silent, unreachable
from stui_sessiond.client.failure import CallFailedError, ConnectionFailedError, ConnectionLostError
from stui_sessiond.client.history import History, Visit
from stui_sessiond.client.network import NetworkWatch
from stui_sessiond.client.patience import Patience
from stui_sessiond.client.status import HEARTBEATS, ConnectionState, Status, health_of
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages.connection import Hello, HelloResult
from stui_sessiond.wire.messages.development import Ping

_log = logging.getLogger(__name__)


RESTARTING = "restarting"
"""The close reason of a daemon that hands over to another process."""


class Network(Protocol):
    """What tells of changes of the network."""

    async def run(self, changed: Callable[[str], None]) -> None:
        """Call `changed` with what happened, until cancelled."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a test puts in the place of the world. Durations are in the loop's time."""

    connect: Callable[[Address, float], Awaitable[Channel]] = open_channel
    network: Callable[[], Network] = NetworkWatch
    draw: Callable[[], float] = random.random
    wall: Callable[[], float] = time.time


class Guest(msgspec.Struct, frozen=True):
    """Who uses the connection. None of these may block."""

    heard: Callable[[EventMessage, int], None]
    """An event came, with the size of its message."""
    answered: Callable[[Answer], None]
    """An answer came to what was sent with `Conversation.send`."""
    restore: Callable[[Conversation, HelloResult, Visit], Awaitable[None]]
    """There is a connection: put everything back. What is asked of it fails when it ends."""
    unanswered: Callable[[], list[str]]
    """Ids of requests that ran code and have no answer."""
    failed: Callable[[ConnectionFailedError], None]
    """There will be no connection by itself any more."""


class Keeper:
    """Guarantees: at most one connection at a time; `status` is never better than the truth; every wait is bounded."""

    def __init__(
        self, address: Address, hello: Hello, guest: Guest, patience: Patience, surroundings: Surroundings
    ) -> None:
        self.greeting: HelloResult | None = None
        self.history = History()
        self.board = Board(Status(ConnectionState.CONNECTING, surroundings.wall()))
        self.prefix = secrets.token_hex(4)
        self.ids = (f"{self.prefix}-{number}" for number in itertools.count(1))
        """Ids of requests, unique over all connections: an answer of before must not be taken for one of now."""
        self._conversation: Conversation | None = None
        self._address = address
        self._hello = hello
        self._guest = guest
        self._patience = patience
        self._world = surroundings
        self._tasks = TaskOwner("client")
        self._failure: asyncio.Future[ConnectionFailedError] | None = None
        self._there = asyncio.Event()
        self._urge = asyncio.Event()
        self._asked = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._keeping: asyncio.Task[None] | None = None
        self._try: asyncio.Task[Any] | None = None
        self._last_wait_s: float | None = None
        self._latencies: deque[float] = deque(maxlen=HEARTBEATS)

    # ---- to the client

    def start(self) -> None:
        """Begin to connect."""
        self._failure = asyncio.get_running_loop().create_future()
        self._keeping = self._tasks.start(self._run(), "keep")
        self._tasks.start(self._world.network().run(self.stir), "network")

    @property
    def conversation(self) -> Conversation | None:
        """The connection that can be used now."""
        present = self._conversation
        return present if present is not None and present.ending is None else None

    @property
    def failure(self) -> asyncio.Future[ConnectionFailedError]:
        """Done with the error when there will be no connection by itself any more."""
        if self._failure is None:
            msg = "the client was not started: async with LastingClient(...) as client"
            raise RuntimeError(msg)
        return self._failure

    async def connection(self) -> Conversation:
        """Wait for a connection.

        Raises:
            ConnectionFailedError: there will be none by itself.
        """
        while (conversation := self.conversation) is None:
            if self.failure.done():
                raise self.failure.result()
            self._there.clear()
            await self._there.wait()
        return conversation

    def reconnect(self, token: str | None = None) -> None:
        """Try at once, also after a failure: somebody did something about it. `token` replaces the old one."""
        if token is not None:
            self._hello = msgspec.structs.replace(self._hello, token=token)
        self._wanted.set()
        if self.failure.done() and self.board.status.state is ConnectionState.FAILED:
            self._failure = asyncio.get_running_loop().create_future()
            self._post(state=ConnectionState.RECONNECTING if self.history.last else ConnectionState.CONNECTING)
            self._asked.set()
        self.stir("asked to connect")

    def pause(self) -> None:
        """Hang up, and do not try again until `reconnect`. What waits goes on waiting."""
        if self.failure.done():
            return
        self._wanted.clear()
        if self._conversation is not None:
            self._conversation.abort(paused())
        self._urge.set()
        if self._try is not None:
            self._try.cancel()

    def stir(self, why: str) -> None:
        """What is known of the connection may not be true any more: look at once."""
        _log.info("connection.stirred: %s", why)
        conversation = self.conversation
        if conversation is not None:
            self._tasks.start(self._beat(conversation, self._patience.probe_s), "probe")
            return
        self._last_wait_s = None
        self._urge.set()
        if self._try is not None:
            self._try.cancel()

    def note_unsaved(self, count: int) -> None:
        """Show how many updates wait."""
        if count != self.board.status.unsaved:
            self._post(unsaved=count)

    async def close(self) -> None:
        """End it all."""
        if self.board.status.state is ConnectionState.CLOSED:
            return
        conversation = self._conversation
        if self._keeping is not None:
            self._keeping.cancel()  # first: it would connect again
            await asyncio.wait({self._keeping})
        if conversation is not None:
            await conversation.close()
        self.history.end(self._world.wall(), left())
        if not self.failure.done():
            self.failure.set_result(ConnectionFailedError("the client was closed", left()))
        self._there.set()
        await self._tasks.close()
        self._post(state=ConnectionState.CLOSED, next_try_at=None)

    # ---- keeping

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        alone_since, attempt = loop.time(), 0
        while True:
            if not self._wanted.is_set():
                self._post(state=ConnectionState.PAUSED, reason=paused(), attempt=0, next_try_at=None)
                await self._wanted.wait()
                self._post(state=ConnectionState.RECONNECTING if self.history.last else ConnectionState.CONNECTING)
                attempt = 0
            attempt += 1
            self._urge.clear()
            self._post(attempt=attempt, next_try_at=None)
            conversation = await self._attempt()
            if isinstance(conversation, Conversation):
                began = loop.time()
                ending = await self._stay(conversation, attempt, began - alone_since)
                alone_since, attempt = loop.time(), 0
                restarts = ending.name == RESTARTING  # somebody else listens already, or is about to
                lasted_s = alone_since - began
                self._last_wait_s = None if restarts else self._patience.backoff.after(self._last_wait_s, lasted_s)
                self._post(state=ConnectionState.RECONNECTING, reason=ending, health=health_of(()), latency_s=None)
            else:
                ending = conversation
            patience_s = self._patience.give_up_s
            if not self._wanted.is_set():
                continue
            if ending.reconnect and patience_s is not None and loop.time() - alone_since >= patience_s:
                ending = gave_up(patience_s)
            if ending.reconnect:
                await self._pause(ending, attempt + 1)
            else:
                await self._fail(ending)
                alone_since, attempt = loop.time(), 0

    async def _attempt(self) -> Conversation | Ending:
        """Try once; when the network changes meanwhile, the try is given up."""
        task = self._try = self._tasks.start(self._open(), "try")
        try:
            await asyncio.wait({task})
        finally:
            self._try = None
            task.cancel()
        if task.cancelled():
            return cut("the network changed")
        error = task.exception()
        return task.result() if error is None else Ending("fault", f"a fault in the client: {error!r}")

    async def _open(self) -> Conversation | Ending:
        conversation = None
        try:
            channel = await self._world.connect(self._address, self._patience.connect_s)
            conversation = Conversation(channel, self._tasks, self.ids, self._guest.heard, self._guest.answered)
            hello = msgspec.structs.replace(self._hello, unanswered=self._guest.unanswered())
            async with asyncio.timeout(self._patience.connect_s):
                raw = await conversation.ask("hello", hello)
            self.greeting = msgspec.json.decode(raw, type=HelloResult)
        except CallFailedError as error:
            ending = refused(error.code, error.message)
        except TimeoutError:
            ending = silent(f"{self._address} does not answer hello within {self._patience.connect_s:g} s")
        except msgspec.DecodeError as error:
            ending = unreachable(f"what answers at {self._address} is no daemon of this version: {error}")
        except ConnectionLostError as error:
            ending = error.ending or cut(str(error))
        else:
            kept, conversation = conversation, None
            return kept
        finally:
            if conversation is not None:
                conversation.abort(left())
        return ending

    async def _stay(self, conversation: Conversation, attempts: int, away_s: float) -> Ending:
        greeting = self.greeting
        assert greeting is not None, "hello was answered"  # noqa: S101 -- for the type checker
        before = self.history.last
        visit = Visit(
            self._world.wall(),
            greeting.server_id,
            greeting.connection_id,
            attempts,
            away_s if before else 0.0,
            greeting.resumed,
            before is None or before.server_id == greeting.server_id,
        )
        self.history.begin(visit)
        self._hello = msgspec.structs.replace(self._hello, resume_token=greeting.resume_token)
        self._latencies.clear()
        beating = self._tasks.start(self._beat_on(conversation, greeting.heartbeat_interval), "heart")
        try:
            self._conversation = conversation
            await self._guest.restore(conversation, greeting, visit)
            if conversation.ending is None:
                self._post(
                    state=ConnectionState.RESTORED if before else ConnectionState.CONNECTED,
                    server_id=greeting.server_id,
                    connection_id=greeting.connection_id,
                    resumed=greeting.resumed,
                    attempt=attempts,
                )
                self._there.set()
            ending = await conversation.over()
        finally:
            self._conversation = None
            beating.cancel()
        conversation.abort(ending)
        self.history.end(self._world.wall(), ending)
        _log.info("connection.ended: %s", ending.text)
        return ending

    async def _pause(self, ending: Ending, attempt: int) -> None:
        """Wait for the next try, or for a reason not to."""
        wait_s = self._last_wait_s = self._patience.backoff.wait(self._last_wait_s, self._world.draw)
        self._post(reason=ending, attempt=attempt, next_try_at=self._world.wall() + wait_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._urge.wait()

    async def _fail(self, ending: Ending) -> None:
        """Give up until somebody asks for another try."""
        self._asked.clear()
        self._post(state=ConnectionState.FAILED, reason=ending, next_try_at=None)
        advice = f": {ending.advice}" if ending.advice else ""
        error = ConnectionFailedError(f"{ending.text}{advice}", ending)
        self.failure.set_result(error)
        self._guest.failed(error)
        self._there.set()
        await self._asked.wait()

    # ---- the heart

    async def _beat_on(self, conversation: Conversation, interval_s: float) -> None:
        while True:
            await asyncio.sleep(self._patience.between_heartbeats_s(interval_s))
            await self._beat(conversation, self._patience.silence_s)

    async def _beat(self, conversation: Conversation, patience_s: float) -> None:
        """Ask for a sign of life; if none of any kind comes, the connection is dead."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            async with asyncio.timeout(patience_s):
                await conversation.ask("ping", Ping())
        except TimeoutError:
            if conversation.heard_at <= asked:
                conversation.abort(silent(f"no sign of life for {patience_s:g} s"))
                return
        except (CallFailedError, ConnectionLostError):
            return
        self._latencies.append(loop.time() - asked)
        if self.conversation is conversation and self.board.status.online:
            latency_s, health = self._latencies[-1], health_of(tuple(self._latencies))
            self._post(state=ConnectionState.CONNECTED, latency_s=latency_s, health=health)

    def _post(self, **changes: Any) -> None:  # noqa: ANN401 -- fields of Status
        present = self.board.status
        if changes.get("state", present.state) is not present.state:
            changes["since"] = self._world.wall()
        self.board.post(msgspec.structs.replace(present, **changes))
