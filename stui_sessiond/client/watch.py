"""How does an application get the events of a session, whole and in order, over any number of connections?"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

import structlog

from stui_sessiond.client.stream import Gap, Verdict, gap_of, judge, jump_to
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.connection import StateAt

_log = structlog.get_logger(__name__)

MAX_WAITING_EVENTS = 10_000
"""Events nobody has taken yet."""

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""The size of their messages together. Over either bound the watch lets go of what comes, and asks for it again from
where it stopped when the application has caught up: the daemon keeps it, or says that there is a gap."""

Item = EventMessage | Gap


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
        delivered: Callable[[EventMessage], None],
        behind: Callable[["Watch"], None],
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
        self.replayed = 0
        """Events of a time without connection, or before the watch, that came after all."""
        self.gaps = 0
        self._delivered = delivered
        self._tell_behind = behind
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._held: list[tuple[EventMessage, int]] = []
        self._replay_to: Position | None = None
        self._behind = False
        self._over = False
        self._error: Exception | None = None
        self._news = asyncio.Event()

    # ---- from the connection

    def open(self, position: Position) -> None:
        """The daemon subscribed us; `position` is the end of the stream."""
        self._replay_to = position
        self._behind = False
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
        if self._over or self._behind:
            return
        if len(self._items) + len(self._held) >= MAX_WAITING_EVENTS or self._bytes + size > MAX_WAITING_BYTES:
            self._behind = bool(self._items)  # one alone may be larger than the bound
            if self._behind:
                return
        if not self.opened:  # it may come before we know the reply to `subscribe`, which says what is old
            self._held.append((event, size))
            return
        verdict = judge(self.known, event)
        if verdict is Verdict.OLD:
            return
        if verdict is Verdict.TAKE:
            self._put(event, size)
        elif verdict is Verdict.GAP:
            self.gaps += 1
            self._put(gap_of(self.known, event), size)
        else:
            self.gaps += 1
            gap = jump_to(self.known, event)
            _log.error("watch.jumped", session_id=self.session_id, reason=gap.reason)
            self._put(gap, 0)
            self._put(event, size)
        self.known = Position(event.epoch, event.seq)
        until = self._replay_to
        if verdict is Verdict.TAKE and until is not None and until.epoch == event.epoch and event.seq <= until.seq:
            self.replayed += 1

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
            if self._behind:
                self._tell_behind(self)
            self._news.clear()
            await self._news.wait()
        item, size = self._items.popleft()
        self._bytes -= size
        if isinstance(item, Gap):
            self.position = item.position
        else:
            self.position = Position(item.epoch, item.seq)
            self._delivered(item)
        return item
