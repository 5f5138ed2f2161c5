"""Who is told how the connection is? Each listener gets the latest status first, then the changes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from stui_sessiond.client.status import ConnectionState, Status

MAX_UNREAD = 64
"""Changes a listener has not looked at yet; the oldest make room, because only the newest are still true."""


class _Listener:
    def __init__(self, first: Status) -> None:
        self.unread: deque[Status] = deque([first], maxlen=MAX_UNREAD)
        self.news = asyncio.Event()
        self.news.set()


class Board:
    """Keeps the present status, and tells it."""

    def __init__(self, status: Status) -> None:
        self.status = status
        self._listeners: set[_Listener] = set()

    def post(self, status: Status) -> None:
        """Put up a new status."""
        self.status = status
        for listener in self._listeners:
            listener.unread.append(status)
            listener.news.set()

    async def statuses(self) -> AsyncIterator[Status]:
        """Go through the statuses, from the present one on; ends after `closed`."""
        listener = _Listener(self.status)
        self._listeners.add(listener)
        try:
            while True:
                await listener.news.wait()
                listener.news.clear()
                while listener.unread:
                    status = listener.unread.popleft()
                    yield status
                    if status.state is ConnectionState.CLOSED:
                        return
        finally:
            self._listeners.discard(listener)
