"""How does an application get the events of a session, whole and in order, over any number of connections?"""

import asyncio
import logging
from collections import deque
from typing import Protocol, Self

from stui_sessiond.client.stream import Gap, Verdict, gap_of, judge, jump_to
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.connection import StateAt

_log = logging.getLogger(__name__)

MAX_WAITING_EVENTS = 10_000
"""Events nobody has taken yet."""

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""The size of their messages together. Over either bound the watch lets go of what comes, and asks for it again from
where it stopped when the application has caught up: the daemon keeps it, or says that there is a gap."""

Item = EventMessage | Gap


class Reader(Protocol):
    """Who reads watches on behalf of the application."""

    def delivered(self, event: EventMessage) -> None:
        """The application took an event."""

    def replayed(self) -> None:
        """An event came that happened before the subscription."""

    def gap(self) -> None:
        """Events are missing."""

    def catch_up(self, watch: "Watch") -> None:
        """The watch let go of events; ask for them again, from `known` on."""


class Watch:
    """The events of one session: `async for item in watch`, where an item is an `EventMessage` or a `Gap`.

    Ends when the client is closed or the watch is left; raises what ended it otherwise. Taking the next item may be
    cancelled without losing one.
    """

    def __init__(
        self,
        session_id: str,
        since: Position | None,
        *,
        deltas: bool,
        reader: "Reader",
    ) -> None:
        self.session_id = session_id
        self.deltas = deltas
        self.position = since
        """Of the last item the application took. Keep it, and `since` continues there another day."""
        self.state: StateAt | None = None
        """The state when the watch began, if it was asked for."""
        self.known = since
        """Of the last event that came."""
        self.opened = False
        self._reader = reader
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._held: list[tuple[EventMessage, int]] = []
        self._replay_to: Position | None = None
        self._asking = False
        self._taken: list[Position] = []
        """While the daemon is asked to subscribe us: which of these are replayed is known when its answer is."""
        self._behind = False
        self._asked_again = False
        self._over = False
        self._error: Exception | None = None
        self._news = asyncio.Event()

    # ---- from the connection

    def ask(self) -> None:
        """The daemon is about to be asked to subscribe us, from `known` on."""
        self._asking = True

    def open(self, position: Position) -> None:
        """The daemon subscribed us; `position` is the end of the stream."""
        self._replay_to = position
        self._asking = False
        taken, self._taken = self._taken, []
        for place in taken:
            self._count(place)
        if self.opened:
            return
        self.opened = True
        if self.known is None:
            self.known = self.position = position
        held, self._held = self._held, []
        for event, size in held:
            self.take(event, size)

    def take(self, event: EventMessage, size: int) -> None:
        """Put an event behind the others, if it is the next one."""
        if self._over or (self._behind and not self._asked_again):
            return
        waiting = len(self._items) + len(self._held)
        full = waiting >= MAX_WAITING_EVENTS or self._bytes + size > MAX_WAITING_BYTES
        if full and waiting:  # one alone may be larger than the bound
            self._behind, self._asked_again = True, False
        elif not self.opened:  # it may come before we know the reply to `subscribe`, which says what is old
            self._held.append((event, size))
        else:
            self._judge(event, size)

    def _judge(self, event: EventMessage, size: int) -> None:
        verdict = judge(self.known, event)
        if verdict is Verdict.OLD or (verdict is Verdict.JUMP and self._behind):
            return  # behind, what does not follow was under way before we asked again
        self._behind = self._asked_again = False
        if verdict is Verdict.GAP:
            self._reader.gap()
            self._put(gap_of(self.known, event), size)
        elif verdict is Verdict.JUMP:
            gap = jump_to(self.known, event)
            _log.error("watch.jumped: session %s: %s", self.session_id, gap.reason)
            self._reader.gap()
            self._put(gap, 0)
            self._put(event, size)
        else:
            self._put(event, size)
            place = Position(event.epoch, event.seq)
            if self._asking:
                self._taken.append(place)
            else:
                self._count(place)
        self.known = Position(event.epoch, event.seq)

    def _count(self, place: Position) -> None:
        until = self._replay_to
        if until is not None and until.epoch == place.epoch and place.seq <= until.seq:
            self._reader.replayed()

    def _put(self, item: Item, size: int) -> None:
        self._items.append((item, size))
        self._bytes += size
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """No more will come; what waits is still delivered, then `error` is raised."""
        if not self._over:
            self._over, self._error = True, error
            self._news.set()

    # ---- to the application

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            if self._over:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            if self._behind and not self._asked_again:
                self._asked_again = True
                self._reader.catch_up(self)
            self._news.clear()
            await self._news.wait()
        item, size = self._items.popleft()
        self._bytes -= size
        if isinstance(item, Gap):
            self.position = item.position
        else:
            self.position = Position(item.epoch, item.seq)
            self._reader.delivered(item)
        return item
