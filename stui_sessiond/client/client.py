"""A client of one daemon: calls with typed results, and the events of the sessions it subscribed to."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from stui_sessiond.client.address import Address, parse_url
from stui_sessiond.client.channel import Channel, open_channel
from stui_sessiond.client.failure import CallFailedError, ConnectionLostError
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import EventMessage, command_name, encode_request
from stui_sessiond.wire.messages import connection, context, development, session

T = TypeVar("T")

CONNECT_TIMEOUT_S = 30.0
"""The protocol's connect timeout."""

MAX_WAITING_EVENTS = 10_000
"""Events nobody has taken yet; the oldest make room, and `missed_events` counts them."""


class _Incoming(Struct):
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


_decode = msgspec.json.Decoder(_Incoming).decode


class Client:
    """Guarantees: a call ends with its result, its error, or the loss of the connection; events keep their order."""

    def __init__(self, channel: Channel, address: Address) -> None:
        self.address = address
        self.greeting: connection.HelloResult | None = None
        self.missed_events = 0
        self._channel = channel
        self._serial = itertools.count(1)
        self._calls: dict[str, asyncio.Future[_Incoming]] = {}
        self._events: asyncio.Queue[EventMessage | None] = asyncio.Queue()
        self._lost = False
        self._tasks = TaskOwner("client")
        self._tasks.start(self._read(), "read")

    # ---- calls

    async def call(self, command: str, parameters: object) -> Any:  # noqa: ANN401 -- any JSON
        """Call a command by name, with parameters and result as plain JSON values.

        Raises:
            CallFailedError: the daemon answered with an error.
            ConnectionLostError: the connection broke; the request may have been carried out.
        """
        return msgspec.json.decode(await self._call(command, parameters))

    async def ask(self, parameters: object, wanted: type[T]) -> T:
        """Call the command whose parameters these are (`CreateSession` calls `create_session`).

        Raises:
            CallFailedError, ConnectionLostError: see `call`.
        """
        command = command_name(type(parameters).__name__)
        return msgspec.json.decode(await self._call(command, parameters), type=wanted)

    async def _call(self, command: str, parameters: object) -> Raw:
        if self._lost:
            msg = f"the connection to {self.address} is gone"
            raise ConnectionLostError(msg)
        request_id = f"c-{next(self._serial)}"
        answer: asyncio.Future[_Incoming] = asyncio.get_running_loop().create_future()
        self._calls[request_id] = answer
        try:
            await self._channel.send(encode_request(request_id, command, parameters))
            reply = await answer
        finally:
            self._calls.pop(request_id, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen: when sending failed, that is what the caller hears of
        if reply.status == "success" and reply.result is not UNSET:
            return reply.result
        raise CallFailedError(
            reply.error,
            code=reply.code,
            error_type=reply.error_type,
            retryable=reply.retryable,
            details=reply.details,
        )

    # ---- events

    async def events(self) -> AsyncIterator[EventMessage]:
        """Go through the events of all subscriptions as they come; ends with the connection."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # for whoever asks after the end

    async def _read(self) -> None:
        try:
            while (message := await self._channel.receive()) is not None:
                self._take(_decode(message))
        finally:
            self._lost = True
            msg = f"the connection to {self.address} broke"
            for answer in self._calls.values():
                if not answer.done():
                    answer.set_exception(ConnectionLostError(msg))
            self._events.put_nowait(None)

    def _take(self, incoming: _Incoming) -> None:
        if incoming.event is not None:
            if self._events.qsize() >= MAX_WAITING_EVENTS:
                self._events.get_nowait()
                self.missed_events += 1
            self._events.put_nowait(
                EventMessage(
                    incoming.event,
                    incoming.session_id,
                    incoming.epoch,
                    incoming.seq,
                    incoming.data,
                    incoming.timestamp,
                )
            )
            return
        answer = self._calls.get(incoming.id or "")
        if answer is not None and not answer.done():
            answer.set_result(incoming)

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()
        await self._tasks.drain(1.0)
        await self._tasks.close()

    # ---- the commands, by name

    async def hello(self, parameters: connection.Hello) -> connection.HelloResult:
        """Say who is there."""
        self.greeting = await self.ask(parameters, connection.HelloResult)
        return self.greeting

    async def create_session(self, parameters: session.CreateSession) -> session.CreateSessionResult:
        """Start a session."""
        return await self.ask(parameters, session.CreateSessionResult)

    async def restore_session(self, session_id: str, *, reopen: bool = False) -> session.RestoreSessionResult:
        """Get a stored session whole."""
        return await self.ask(session.RestoreSession(session_id, reopen=reopen), session.RestoreSessionResult)

    async def update_session_state(self, parameters: session.UpdateSessionState) -> session.UpdateSessionStateResult:
        """Change a session's state."""
        return await self.ask(parameters, session.UpdateSessionStateResult)

    async def close_session(self, session_id: str, *, save_state: bool = True) -> session.CloseSessionResult:
        """End a session."""
        return await self.ask(session.CloseSession(session_id, save_state), session.CloseSessionResult)

    async def get_session_info(self, session_id: str) -> session.GetSessionInfoResult:
        """Tell about a session."""
        return await self.ask(session.GetSessionInfo(session_id), session.GetSessionInfoResult)

    async def list_client_sessions(self, client_id: str) -> session.ListClientSessionsResult:
        """List a client's active sessions."""
        return await self.ask(session.ListClientSessions(client_id), session.ListClientSessionsResult)

    async def get_session_statistics(self) -> session.GetSessionStatisticsResult:
        """Tell how the daemon is."""
        return await self.ask(session.GetSessionStatistics(), session.GetSessionStatisticsResult)

    async def save_context(
        self,
        session_id: str,
        sections: context.ContextSections | None = None,
        tool_id: str | None = None,
    ) -> context.SaveContextResult:
        """Store a tool's context; without sections, what the image knows of the tool."""
        return await self.ask(context.SaveContext(session_id, tool_id, sections), context.SaveContextResult)

    async def load_context(self, session_id: str, tool_id: str | None = None) -> context.LoadContextResult:
        """Get a tool's stored context."""
        return await self.ask(context.LoadContext(session_id, tool_id), context.LoadContextResult)

    async def get_context_summary(self, session_id: str, tool_id: str | None = None) -> context.GetContextSummaryResult:
        """Count what is in the stored contexts."""
        return await self.ask(context.GetContextSummary(session_id, tool_id), context.GetContextSummaryResult)

    async def clear_context(self, session_id: str, tool_id: str | None = None) -> context.ClearContextResult:
        """Remove stored contexts."""
        return await self.ask(context.ClearContext(session_id, tool_id), context.ClearContextResult)

    async def evaluate(self, code: str, *, session_id: str, tool_id: str | None = None) -> development.EvaluateResult:
        """Run Smalltalk code in the session's image."""
        asked = development.Evaluate(code=code, session_id=session_id, tool_id=tool_id)
        return await self.ask(asked, development.EvaluateResult)

    async def inspect(self, target: str, *, session_id: str, tool_id: str | None = None) -> development.InspectResult:
        """Look into an object."""
        asked = development.Inspect(target=target, session_id=session_id, tool_id=tool_id)
        return await self.ask(asked, development.InspectResult)

    async def list_images(self) -> connection.ListImagesResult:
        """List the images the daemon has seen."""
        return await self.ask(connection.ListImages(), connection.ListImagesResult)

    async def ping(self, message: str | None = None) -> development.PingResult:
        """Ask the daemon for a sign of life."""
        return await self.ask(development.Ping(message=message), development.PingResult)

    async def subscribe(self, session_id: str, since: connection.Position | None = None) -> connection.SubscribeResult:
        """Get the session's events through `events` from now on."""
        return await self.ask(connection.Subscribe(session_id, None, since), connection.SubscribeResult)


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
                await client.hello(connection.Hello("client", protocol=["1.0.0"], token=token, client_id=client_id))
        except TimeoutError:
            msg = f"no daemon answers at {address}: no answer to hello within {timeout_s:g} s"
            raise ConnectionLostError(msg) from None
        yield client
    finally:
        await client.close()
