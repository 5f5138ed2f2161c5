"""In which order are keys obeyed that come at once, as a slow line brings them? In the one in which they were pressed.

Textual gives a letter to the widget with the cursor at once, a key with a meaning (Backspace, an arrow, F3) its meaning
only when it has gone through all that is around that widget, and a key with priority before either. Of `ab`, Backspace
and `c` in one packet it makes `ab`, and code is run without its last letters. Here a key waits until the one before it
has gone all the way; a message that goes the same way behind it tells when.
"""

from collections import deque
from typing import Any, TypeVar

from textual import events
from textual.app import App
from textual.message import Message

T = TypeVar("T")

LOST_S = 0.25
"""After so long the message was lost with the widget that had it: a tool was closed, or a dialog has gone."""


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
        self._on_its_way = False
        self._cursor_at: Any = None

    async def on_event(self, event: events.Event) -> None:
        """Let keys, and what is pasted, wait for each other."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._waiting.append(event)
        if self._on_its_way:
            self._give_up_later()
        else:
            await self._obey_next()

    async def _obey_next(self) -> None:
        while self._waiting and not self._on_its_way:
            event = self._waiting.popleft()
            self._number += 1
            self._cursor_at, cursor = None, self.focused or self.screen
            self._on_its_way = True
            await super().on_event(event)
            self._on_its_way = cursor.post_message(self.Through(self._number))
            if self._waiting:
                self._give_up_later()

    def _give_up_later(self) -> None:
        number = self._number

        def give_up() -> None:
            if number == self._number:
                self._cursor_at = self.focused or self.screen
                self.post_message(self.Through(number))

        self.set_timer(LOST_S, give_up)

    async def on_key_order_through(self, message: Through) -> None:
        """Go on with the next key once the cursor stays where it is: a second round tells what came of the first."""
        if message.number != self._number or not self._on_its_way:
            return
        cursor = self.focused or self.screen
        if cursor is not self._cursor_at:
            self._cursor_at = cursor
            if cursor.post_message(self.Through(self._number)):
                return
        self._on_its_way = False
        await self._obey_next()
