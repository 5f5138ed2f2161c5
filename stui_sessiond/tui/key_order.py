"""In which order are keys obeyed that come at once, as a slow line brings them? In the one in which they were pressed.

Textual gives a letter to the widget with the cursor at once, a key with a meaning (Backspace, an arrow, F3) its meaning
only when it has gone through all that is around that widget, and a key with priority before either. Of `ab`, Backspace
and `c` in one packet it makes `ab`, and code is run without its last letters. Here a key waits until the one before it
has gone all the way; a message that goes the same way behind it tells when.
"""

import asyncio
from collections import deque
from typing import TypeVar

from textual import events
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump

T = TypeVar("T")

AGAIN_S = 0.25
"""After so long another message is sent: the first may be lost with the widget that had it, a tool that was closed."""


class KeyOrder(App[T]):
    """An application whose keys are obeyed one after the other."""

    class Through(Message):
        """A key has gone all the way."""

        def __init__(self, number: int) -> None:
            self.number = number
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[events.Event] = deque()
        self._number = 0
        self._on_its_way: asyncio.TimerHandle | None = None
        self._cursor_at: MessagePump | None = None

    @property
    def keys_obeyed(self) -> bool:
        """Whether no key that has come is on its way, or waits."""
        return self._on_its_way is None and not self._waiting

    async def on_event(self, event: events.Event) -> None:
        """Let keys, and what is pasted, wait for each other."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._waiting.append(event)
        if self._on_its_way is None:
            await self._obey_next()

    async def _obey_next(self) -> None:
        if not self._waiting:
            return
        event = self._waiting.popleft()
        self._number += 1
        screen, cursor = self.screen, self.focused or self.screen
        self._cursor_at = None
        self._arm()
        await super().on_event(event)
        self._send_after(cursor if self.screen is screen else self.focused or self.screen)

    async def on_key_order_through(self, message: Through) -> None:
        """Go on with the next key once the cursor stays where it is: a second round tells what came of the first."""
        if message.number != self._number or self._on_its_way is None:
            return
        cursor = self.focused or self.screen
        if cursor is not self._cursor_at:
            self._cursor_at = cursor
            self._send_after(cursor)
            return
        self._on_its_way.cancel()
        self._on_its_way = None
        await self._obey_next()

    def _send_after(self, cursor: MessagePump) -> None:
        message = self.Through(self._number)
        message.set_sender(cursor)  # what the application itself sent to a screen would not come back
        cursor.post_message(message)

    def _arm(self) -> None:
        self._on_its_way = asyncio.get_running_loop().call_later(AGAIN_S, self._send_again)

    def _send_again(self) -> None:
        if self.is_running:
            self._arm()
            self._send_after(self.focused or self.screen)
