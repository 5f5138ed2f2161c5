"""A client that outlives its connections: calls, events and updates go on when the connection, or the daemon, is back.

    async with LastingClient("unix:///run/daemon.sock", client_id="me") as client:
        async with client.watch(session_id) as events:
            async for event in events: ...

What is kept is kept in memory: a program that ends keeps `Watch.position` itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar, cast

import msgspec
from msgspec import Raw

from stui_sessiond.client.address import parse_url
from stui_sessiond.client.calls import Call, CallTable, with_key
from stui_sessiond.client.commands import Commands
from stui_sessiond.client.conversation import Conversation
from stui_sessiond.client.failure import (
    CallFailedError,
    ConnectionFailedError,
    ConnectionLostError,
    OfflineError,
)
from stui_sessiond.client.history import Visit
from stui_sessiond.client.keeper import Guest, Keeper, Surroundings
from stui_sessiond.client.outbox import Update
from stui_sessiond.client.patience import OUTCOME_WAITS, Patience
from stui_sessiond.client.saver import Delivery, Resolver, Saver, Superseded, Wire, result_of
from stui_sessiond.client.status import Status
from stui_sessiond.client.subscriber import Subscriber
from stui_sessiond.client.version import Versions
from stui_sessiond.client.watch import Watch
from stui_sessiond.contract import load_contract
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import PROTOCOL_VERSION, EventMessage, command_name
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.connection import Hello, HelloResult
from stui_sessiond.wire.messages.context import SaveContext
from stui_sessiond.wire.messages.history import RevertSessionResult
from stui_sessiond.wire.messages.session import (
    CreateSessionResult,
    RestoreSession,
    RestoreSessionResult,
    UpdateSessionState,
)

T = TypeVar("T")

_TELLS_STATE = (CreateSessionResult, RestoreSessionResult, RevertSessionResult)
"""Results from which the application knows the state at their version."""


class LastingClient(Commands):
    """Guarantees: nothing is carried out twice, nothing is left out without a word, no wait hides what it waits for.

    Without a connection a call waits for one; `within` sets how long. `update_session_state`, and `save_context` with
    sections, go through a queue that keeps their order and joins what a newer one replaces; `save` is the same without
    waiting. Raises what `failure` lists; a call after the end raises `ConnectionFailedError`.

    Args:
        url: where the daemon is (`address.parse_url`).
        client_id: the name of this client.
        token: proof of identity, where the daemon wants one.
        patience: how long to wait for what.
        resolve: settles conflicts of updates; without it they are told to who waits for the update.
        surroundings: for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        token: str | None = None,
        patience: Patience | None = None,
        resolve: Resolver | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        hello = Hello("client", [PROTOCOL_VERSION], token=token, client_id=client_id)
        self.address = parse_url(url)
        self._contract = load_contract()
        self._calls = CallTable()
        self._versions = Versions()
        self._tasks = TaskOwner("client.work")
        guest = Guest(self._hear, self._calls.answered, self._restore, self._calls.running, self._fail)
        self._patience = patience or Patience()
        world = surroundings or Surroundings()
        self._draw = world.draw
        self._keeper = Keeper(self.address, hello, guest, self._patience, world)
        self._subscriber = Subscriber(self._keeper, self._versions, self._tasks)
        wire = Wire(self._send_update, self._keeper.connection, self._look, self._keeper.note_unsaved)
        self._saver = Saver(wire, self._versions, self._tasks, resolve)

    async def __aenter__(self) -> Self:
        self._keeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection and everything that waits for it. What is not stored yet is told to who waits for it."""
        await self._keeper.close()
        error = self._keeper.failure.result()
        self._calls.fail_all(error)
        self._saver.close(error)
        self._subscriber.end()
        await self._tasks.close()

    # ---- the connection

    @property
    def status(self) -> Status:
        """How the connection is now."""
        return self._keeper.board.status

    def statuses(self) -> AsyncIterator[Status]:
        """Go through the statuses, from the present one on; ends with the client."""
        return self._keeper.board.statuses()

    def visits(self) -> tuple[Visit, ...]:
        """Tell of the last connections, oldest first: how long each lasted, why it ended, what came back."""
        return self._keeper.history.visits()

    @property
    def greeting(self) -> HelloResult | None:
        """What the daemon answered to the last hello."""
        return self._keeper.greeting

    async def connected(self, timeout_s: float | None = None) -> None:
        """Wait until there is a connection.

        Raises:
            OfflineError: there is none after `timeout_s`.
            ConnectionFailedError: there will be none by itself.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._keeper.connection()
        except TimeoutError:
            msg = f"no connection within {timeout_s:g} s"
            raise self._offline(msg) from None

    def reconnect(self, token: str | None = None) -> None:
        """Try at once, also after a failure. With a connection, check it. `token` takes the place of the old one."""
        self._keeper.reconnect(token)

    def pause(self) -> None:
        """Hang up, and try no more until `reconnect`: for who wants to work offline. Calls and updates wait.

        After a failure there is nothing to pause.
        """
        self._keeper.pause()

    # ---- calls

    async def call(
        self, command: str, parameters: dict[str, Any], *, wait: bool = True, timeout_s: float | None = None
    ) -> Any:  # noqa: ANN401 -- any JSON
        """Call a command by name, with parameters and result as plain JSON values; see `ask`."""
        return msgspec.json.decode(await self._call(command, parameters, wait=wait, timeout_s=timeout_s))

    async def ask(self, parameters: object, wanted: type[T], *, wait: bool = True, timeout_s: float | None = None) -> T:
        """Call the command whose parameters these are (`CreateSession` calls `create_session`).

        Args:
            parameters: a Struct of the contract. Where it takes an idempotency key and has none, it gets one.
            wanted: the Struct of the result.
            wait: False fails at once when there is no connection now.
            timeout_s: how long to wait for connection and answer together.

        Raises:
            CallFailedError: the daemon answered with an error.
            ConflictError: an update met another one, and nobody decided.
            OfflineError: there was no connection (in time); nothing was sent.
            OutcomeUnknownError: it was sent, and there is no answer.
            ConnectionFailedError: there will be no connection by itself.
            QueueFullError: too much waits already.
        """
        if isinstance(parameters, UpdateSessionState) or (
            isinstance(parameters, SaveContext) and parameters.context is not None
        ):
            return cast("T", await self._save_and_wait(parameters, wait=wait, timeout_s=timeout_s))
        command = command_name(type(parameters).__name__)
        answer = msgspec.json.decode(await self._call(command, parameters, wait=wait, timeout_s=timeout_s), type=wanted)
        if isinstance(answer, _TELLS_STATE):
            self._versions.learn(answer.session_id, answer.version, whole=True)
        return answer

    def within(self, timeout_s: float | None = None, *, wait: bool = True) -> Commands:
        """Give the same commands with another patience: `client.within(2.0).get_session_info(...)`."""
        return _Within(self, timeout_s, wait=wait)

    def save(self, update: Update) -> Delivery:
        """Store an update some time soon: at once if there is a connection, else when there is one again.

        A `replace` takes the place of an update of the same session that waits, with nothing in between. Made without
        a connection, an update says which version it was made from, and the daemon merges it with what others did
        meanwhile; what cannot be merged is a `Conflict`.

        Raises:
            QueueFullError: too much waits; it was not taken.
        """
        self._check(wait=True)
        keyed, _ = with_key(self._contract, command_name(type(update).__name__), update)
        return self._saver.save(keyed, online=self._keeper.conversation is not None)

    def unsaved(self) -> list[Update]:
        """List the updates that are not stored yet, oldest first."""
        return self._saver.unsaved()

    async def flush(self) -> None:
        """Wait until no update waits any more."""
        await self._saver.flush()

    async def _save_and_wait(self, update: Update, *, wait: bool, timeout_s: float | None) -> object:
        self._check(wait=wait)
        delivery, failure = self.save(update), self._keeper.failure
        ends: set[asyncio.Future[Any]] = {delivery.settled, failure}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    outcome = delivery.outcome
                    if outcome is None:
                        raise failure.result()
                    if not isinstance(outcome, Superseded):
                        return result_of(outcome)
                    delivery = outcome.by
                    ends = {delivery.settled, failure}
        except TimeoutError:
            msg = f"the update is not stored after {timeout_s:g} s; it stays in the queue"
            raise OfflineError(msg, self.status.reason) from None

    async def _call(self, command: str, parameters: Any, *, wait: bool = True, timeout_s: float | None = None) -> Raw:  # noqa: ANN401 -- Struct or JSON
        self._check(wait=wait)
        parameters, key = with_key(self._contract, command, parameters)
        call = Call(next(self._keeper.ids), self._contract, command, parameters, key)
        self._calls.add(call)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._outcome(call)
        except TimeoutError:
            why = f"no answer came within {timeout_s:g} s"
            raise call.unknown(why) if call.may_have_run else self._offline(why) from None
        finally:
            self._calls.remove(call)

    async def _outcome(self, call: Call) -> Raw:
        """Send a call and wait for what comes of it; as long as the daemon does not know itself, ask again."""
        loop = asyncio.get_running_loop()
        wait_s, since = None, None
        while True:
            if (conversation := self._keeper.conversation) is not None:
                await self._send(conversation, call)
            answer = await call.answer
            try:
                return answer.outcome()
            except CallFailedError as error:
                since = loop.time() if since is None else since
                if not call.is_open(error.code) or loop.time() - since >= self._patience.outcome_s:
                    raise
            wait_s = OUTCOME_WAITS.wait(wait_s, self._draw)
            await asyncio.sleep(wait_s)
            self._check(wait=True)
            self._calls.again(call)

    async def _send(self, conversation: Conversation, call: Call) -> None:
        call.sends += 1
        try:
            await conversation.send(call.request_id, call.command, call.parameters)
        except ConnectionLostError:
            return  # it waits for the next connection

    async def _send_update(self, update: Update) -> Raw:
        return await self._call(command_name(type(update).__name__), update)

    async def _look(self, session_id: str) -> RestoreSessionResult:
        return msgspec.json.decode(
            await self._call("restore_session", RestoreSession(session_id)), type=RestoreSessionResult
        )

    def _check(self, *, wait: bool) -> None:
        if self._keeper.failure.done():
            raise self._keeper.failure.result()
        if not wait and self._keeper.conversation is None:
            msg = "there is no connection now"
            raise self._offline(msg)

    def _offline(self, text: str) -> OfflineError:
        return OfflineError(f"{text} ({self.status}); nothing was sent", self.status.reason)

    # ---- events

    @asynccontextmanager
    async def watch(
        self, session_id: str, since: Position | None = None, *, deltas: bool = False, with_state: bool = False
    ) -> AsyncIterator[Watch]:
        """Get the events of a session for the time of the block: each once, in order, or a `Gap` that says otherwise.

        Args:
            session_id: the session.
            since: the position after which events are wanted; from now on if None.
            deltas: True leaves `session_state` out of `session.updated`, which then has the `patch` only.
            with_state: True gets the state as well, into `Watch.state`.

        Raises:
            CallFailedError: the daemon does not let us.
            ConnectionFailedError: there will be no connection by itself.
        """
        async with self._subscriber.watch(session_id, since, deltas=deltas, with_state=with_state) as watch:
            yield watch

    # ---- from the keeper

    def _hear(self, event: EventMessage, size: int) -> None:
        self._subscriber.heard(event, size)

    async def _restore(self, conversation: Conversation, greeting: HelloResult, visit: Visit) -> None:
        calls = self._calls.sort_out(frozenset(greeting.in_flight), again=self._keeper.history.count > 1)
        visit.in_flight = len(greeting.in_flight)
        visit.sent_again = sum(call.sends > 0 for call in calls)
        for call in calls:
            await self._send(conversation, call)
        await self._subscriber.restore(conversation)
        self._saver.resume()

    def _fail(self, error: ConnectionFailedError) -> None:
        self._calls.fail_all(error)
        self._subscriber.end(error)


class _Within(Commands):
    def __init__(self, client: LastingClient, timeout_s: float | None, *, wait: bool) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._wait = wait

    async def ask(self, parameters: object, wanted: type[T]) -> T:
        return await self._client.ask(parameters, wanted, wait=self._wait, timeout_s=self._timeout_s)
