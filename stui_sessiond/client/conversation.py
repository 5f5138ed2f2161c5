"""What is said over one connection? Requests with their answers, events, and why it ended."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from stui_sessiond.client.channel import Channel
from stui_sessiond.client.ending import Ending, closed_with, cut, left, unreadable
from stui_sessiond.client.failure import CallFailedError, ConnectionLostError
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import ClosingData, EventMessage, encode_request

CLOSING = "connection.closing"


class Answer(Struct):
    """Any message from the daemon, read in one pass: an answer when `event` is None."""

    id: str | None = None
    status: str | None = None
    result: Raw | UnsetType = UNSET
    error: str = ""
    error_type: str = "Error"
    code: str = "internal_error"
    retryable: bool = False
    details: dict[str, Any] = {}
    event: str | None = None
    session_id: str | None = None
    epoch: str = ""
    seq: int = 0
    data: Any = None
    timestamp: str = ""

    def outcome(self) -> Raw:
        """Give the result's JSON text.

        Raises:
            CallFailedError: the daemon answered with an error.
        """
        if self.status == "success" and self.result is not UNSET:
            return self.result
        raise CallFailedError(
            self.error,
            code=self.code,
            error_type=self.error_type,
            retryable=self.retryable,
            details=self.details,
        )


_decode = msgspec.json.Decoder(Answer).decode


class Conversation:
    """Guarantees: `ask` ends with a result, an error, or the end of the connection; `ending` says why that was.

    `heard` gets each event with the size of its message, `answered` each answer to what was sent with `send`; both in
    the order they came. They must not block.
    """

    def __init__(
        self,
        channel: Channel,
        tasks: TaskOwner,
        ids: Iterator[str],
        heard: Callable[[EventMessage, int], None],
        answered: Callable[[Answer], None],
    ) -> None:
        self.ending: Ending | None = None
        self.heard_at = asyncio.get_running_loop().time()
        """When the daemon last gave a sign of life, in the loop's time."""
        self._channel = channel
        self._ids = ids
        self._heard = heard
        self._answered = answered
        self._over = asyncio.Event()
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        self._cause: Ending | None = None
        tasks.start(self._read(), "read")

    async def ask(self, command: str, parameters: object) -> Raw:
        """Send a request and wait for its answer on this connection.

        Raises:
            CallFailedError: the daemon answered with an error.
            ConnectionLostError: the connection broke; the request may have been carried out.
        """
        self._check()
        request_id = next(self._ids)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[request_id] = answer
        try:
            await self.send(request_id, command, parameters)
            reply = await answer
        finally:
            self._asked.pop(request_id, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen: when sending failed, that is what the caller hears of
        return reply.outcome()

    async def send(self, request_id: str, command: str, parameters: object) -> None:
        """Send a request whose answer `answered` gets.

        Raises:
            ConnectionLostError: the connection is gone.
        """
        self._check()
        try:
            await self._channel.send(encode_request(request_id, command, parameters))
        except ConnectionLostError as error:
            raise ConnectionLostError(str(error), await self.over()) from error

    async def over(self) -> Ending:
        """Wait for the end of the connection, and tell why it ended."""
        await self._over.wait()
        return self.ending or left()

    def abort(self, cause: Ending) -> None:
        """Cut the connection, because of `cause`."""
        self._cause = self._cause or cause
        self._channel.abort()

    async def close(self) -> None:
        """End the connection."""
        self._cause = self._cause or left()
        await self._channel.close()
        await self._over.wait()

    def _check(self) -> None:
        if self.ending is not None:
            msg = f"the connection is gone: {self.ending.text}"
            raise ConnectionLostError(msg, self.ending)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (message := await self._channel.receive()) is not None:
                self.heard_at = loop.time()
                self._take(_decode(message), len(message))
        except msgspec.DecodeError as error:
            web = message is not None and message.startswith(b"HTTP/")
            said = (
                "HTTP is spoken there; the address is ws:// or wss://" if web else f"what came is no message: {error}"
            )
            self.abort(unreadable(said))
        finally:
            self.ending = self._cause or self._channel.ending or cut("the connection broke")
            msg = f"the connection broke: {self.ending.text}"
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(ConnectionLostError(msg, self.ending))
            self._over.set()

    def _take(self, message: Answer, size: int) -> None:
        if message.event == CLOSING:
            data = msgspec.convert(message.data, ClosingData)
            self._cause = self._cause or closed_with(data.code, data.name, data.meaning, reconnect=data.reconnect)
        elif message.event is not None:
            event = EventMessage(
                message.event, message.session_id, message.epoch, message.seq, message.data, message.timestamp
            )
            self._heard(event, size)
        elif (answer := self._asked.get(message.id or "")) is None:
            self._answered(message)
        elif not answer.done():
            answer.set_result(message)
