"""Which sessions does the client listen to, and how do their watches go on over a new connection?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from stui_sessiond.client.conversation import Conversation
from stui_sessiond.client.failure import CallFailedError, ClientError, ConnectionLostError
from stui_sessiond.client.keeper import Keeper
from stui_sessiond.client.version import Versions
from stui_sessiond.client.watch import Watch
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.connection import StateAt, Subscribe, SubscribeResult, Unsubscribe


class Subscriber:
    """Keeps the watches; a `watch.Reader`.

    The daemon has one subscription for a session and a connection. When a session is watched several times, it begins
    where the one that knows least needs it, and each watch drops what it had.
    """

    def __init__(self, keeper: Keeper, versions: Versions, tasks: TaskOwner) -> None:
        self._keeper = keeper
        self._versions = versions
        self._tasks = tasks
        self._watches: dict[str, list[Watch]] = {}

    @asynccontextmanager
    async def watch(
        self, session_id: str, since: Position | None, *, deltas: bool, with_state: bool
    ) -> AsyncIterator[Watch]:
        """Watch a session for the time of the block; see `LastingClient.watch`."""
        watch = Watch(session_id, since, deltas=deltas, reader=self)
        watches = self._watches.setdefault(session_id, [])
        watches.append(watch)
        try:
            while not watch.opened:
                conversation = await self._keeper.connection()
                with contextlib.suppress(ConnectionLostError):
                    await self._subscribe(conversation, watch, with_state=with_state)
            yield watch
        finally:
            watch.end()
            watches.remove(watch)
            if not watches:
                del self._watches[session_id]
                self._unsubscribe(session_id)

    async def restore(self, conversation: Conversation) -> None:
        """Subscribe again over a new connection, each watch from where it is."""
        again = [
            self._tasks.start(self._resubscribe(conversation, watch), "resubscribe")
            for watch in self._all()
            if watch.opened
        ]
        if again:
            await asyncio.wait(again)

    def heard(self, event: EventMessage, size: int) -> None:
        """Pass an event on."""
        for watch in self._watches.get(event.session_id or "", ()):
            watch.take(event, size)

    def end(self, error: ClientError | None = None) -> None:
        """End all watches."""
        for watch in self._all():
            watch.end(error)

    # ---- from watches

    def delivered(self, event: EventMessage) -> None:
        """The application took an event."""
        self._versions.learn_event(event.session_id, event.event, event.data)

    def replayed(self) -> None:
        """An event came that happened before the subscription."""
        if (visit := self._keeper.history.last) is not None:
            visit.replayed += 1

    def gap(self) -> None:
        """Events are missing."""
        if (visit := self._keeper.history.last) is not None:
            visit.gaps += 1

    def catch_up(self, watch: Watch) -> None:
        """The watch let go of events; ask for them again. Without a connection, the next one does."""
        conversation = self._keeper.conversation
        if conversation is not None:
            self._tasks.start(self._resubscribe(conversation, watch), "catch-up")

    # ----

    def _all(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]

    async def _subscribe(self, conversation: Conversation, watch: Watch, *, with_state: bool = False) -> None:
        watches = self._watches.get(watch.session_id, [watch])
        asked = Subscribe(
            watch.session_id,
            since=_oldest(watch.known, [other.known for other in watches if other.opened]),
            deltas=all(other.deltas for other in watches),
            with_state=with_state,
        )
        watch.ask()
        result = msgspec.json.decode(await conversation.ask("subscribe", asked), type=SubscribeResult)
        if isinstance(result.state, StateAt):
            watch.state = result.state
            self._versions.learn(watch.session_id, result.state.version, whole=True)
        watch.open(result.position)

    async def _resubscribe(self, conversation: Conversation, watch: Watch) -> None:
        try:
            await self._subscribe(conversation, watch)
        except CallFailedError as error:
            watch.end(error)
        except ConnectionLostError:
            return  # the next connection does it

    def _unsubscribe(self, session_id: str) -> None:
        conversation = self._keeper.conversation
        if conversation is not None:
            self._tasks.start(self._leave(conversation, session_id), "unsubscribe")

    async def _leave(self, conversation: Conversation, session_id: str) -> None:
        if session_id in self._watches:  # watched again meanwhile
            return
        with contextlib.suppress(CallFailedError, ConnectionLostError):  # then there is no subscription either
            await conversation.ask("unsubscribe", Unsubscribe(session_id))


def _oldest(own: Position | None, others: Sequence[Position | None]) -> Position | None:
    """Tell from where one subscription serves all; of other epochs than its own a watch cannot tell what is older."""
    known = [position for position in (own, *others) if position is not None]
    comparable = [position for position in known if position.epoch == known[0].epoch]
    return min(comparable, key=lambda position: position.seq, default=None)
