"""A client over one connection: calls with typed results, and the events of the sessions it subscribed to.

It ends with its connection; `lasting.LastingClient` does not.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from stui_sessiond.client.address import Address, parse_url
from stui_sessiond.client.channel import Channel, open_channel
from stui_sessiond.client.commands import SubscribingCommands
from stui_sessiond.client.conversation import Answer, Conversation
from stui_sessiond.client.ending import Ending
from stui_sessiond.client.failure import ConnectionLostError
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import PROTOCOL_VERSION, EventMessage, command_name
from stui_sessiond.wire.messages import connection

T = TypeVar("T")

CONNECT_TIMEOUT_S = 30.0
"""The protocol's connect timeout."""

MAX_WAITING_EVENTS = 10_000
"""Events nobody has taken yet; the oldest make room, and `missed_events` counts them."""


class Client(SubscribingCommands):
    """Guarantees: a call ends with its result, its error, or the loss of the connection; events keep their order."""

    def __init__(self, channel: Channel, address: Address) -> None:
        self.address = address
        self.greeting: connection.HelloResult | None = None
        self.missed_events = 0
        self._events: asyncio.Queue[EventMessage | None] = asyncio.Queue()
        self._tasks = TaskOwner("client")
        ids = (f"c-{number}" for number in itertools.count(1))
        self._conversation = Conversation(channel, self._tasks, ids, self._hear, _ignore)
        self._tasks.start(self._end(), "end")

    @property
    def ending(self) -> Ending | None:
        """Why the connection is over; None while it is not."""
        return self._conversation.ending

    async def call(self, command: str, parameters: object) -> Any:  # noqa: ANN401 -- any JSON
        """Call a command by name, with parameters and result as plain JSON values.

        Raises:
            CallFailedError: the daemon answered with an error.
            ConnectionLostError: the connection broke; the request may have been carried out.
        """
        return msgspec.json.decode(await self._conversation.ask(command, parameters))

    async def ask(self, parameters: object, wanted: type[T]) -> T:
        """Call the command whose parameters these are (`CreateSession` calls `create_session`).

        Raises:
            CallFailedError, ConnectionLostError: see `call`.
        """
        command = command_name(type(parameters).__name__)
        return msgspec.json.decode(await self._conversation.ask(command, parameters), type=wanted)

    async def hello(self, parameters: connection.Hello) -> connection.HelloResult:
        """Say who is there."""
        self.greeting = await self.ask(parameters, connection.HelloResult)
        return self.greeting

    async def events(self) -> AsyncIterator[EventMessage]:
        """Go through the events of all subscriptions as they come; ends with the connection."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # for whoever asks after the end

    def _hear(self, event: EventMessage, size: int) -> None:
        del size
        if self._events.qsize() >= MAX_WAITING_EVENTS:
            self._events.get_nowait()
            self.missed_events += 1
        self._events.put_nowait(event)

    async def _end(self) -> None:
        try:
            await self._conversation.over()
        finally:
            self._events.put_nowait(None)

    async def close(self) -> None:
        """End the connection."""
        await self._conversation.close()
        await self._tasks.drain(1.0)
        await self._tasks.close()


def _ignore(answer: Answer) -> None:
    """Answers to nobody: to a caller that was cancelled."""


@asynccontextmanager
async def connect(
    url: str,
    *,
    client_id: str | None = None,
    token: str | None = None,
    timeout_s: float = CONNECT_TIMEOUT_S,
) -> AsyncIterator[Client]:
    """Connect to a daemon, say hello, and disconnect at the end.

    Raises:
        ValueError: the URL is no address of a daemon.
        ConnectionLostError: nobody answers there.
        CallFailedError: the daemon refused the hello.
    """
    address = parse_url(url)
    client = Client(await open_channel(address, timeout_s), address)
    try:
        try:
            async with asyncio.timeout(timeout_s):
                await client.hello(connection.Hello("client", [PROTOCOL_VERSION], token=token, client_id=client_id))
        except TimeoutError:
            msg = f"no daemon answers at {address}: no answer to hello within {timeout_s:g} s"
            raise ConnectionLostError(msg) from None
        yield client
    finally:
        await client.close()
