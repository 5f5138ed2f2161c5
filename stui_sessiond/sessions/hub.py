"""Who hears of what happens to a session?

Guarantees: events of one session carry consecutive `seq`; an event is encoded once for all who hear it; a subscriber
that cannot keep up harms only itself (it bounds its own memory and answers by leaving).
"""

from collections.abc import Callable
from typing import Any, Protocol

from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Event, Position


class Subscriber(Protocol):
    """Whoever wants events, already encoded. Must not block and must not raise."""

    def deliver(self, message: bytes) -> None:
        """Take one encoded event."""

    def unsubscribed(self, session_id: SessionId) -> None:
        """Take note that the session is gone and no more events of it will come."""


class _Stream:
    __slots__ = ("epoch", "seq", "subscribers")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.seq = 0
        self.subscribers: set[Subscriber] = set()


class Hub:
    """Fans events out to subscribers, session by session."""

    def __init__(
        self, encode: Callable[[Event], bytes], clock: Callable[[], float], new_epoch: Callable[[], str]
    ) -> None:
        self._encode = encode
        self._clock = clock
        self._new_epoch = new_epoch
        self._streams: dict[SessionId, _Stream] = {}

    def subscribe(self, session_id: SessionId, subscriber: Subscriber) -> Position:
        """Deliver every event after the returned position."""
        stream = self._stream(session_id)
        stream.subscribers.add(subscriber)
        return Position(stream.epoch, stream.seq)

    def unsubscribe(self, session_id: SessionId, subscriber: Subscriber) -> bool:
        """Stop delivering; tell whether there was a subscription."""
        stream = self._streams.get(session_id)
        if stream is None or subscriber not in stream.subscribers:
            return False
        stream.subscribers.discard(subscriber)
        return True

    def publish(self, session_id: SessionId, name: str, data: dict[str, Any]) -> None:
        """Tell all subscribers of the session."""
        stream = self._stream(session_id)
        stream.seq += 1
        if not stream.subscribers:
            return
        position = Position(stream.epoch, stream.seq)
        message = self._encode(Event(name, session_id, position, data, self._clock()))
        for subscriber in tuple(stream.subscribers):
            subscriber.deliver(message)

    def attached(self, session_id: SessionId) -> int:
        """Count the subscribers of a session."""
        stream = self._streams.get(session_id)
        return len(stream.subscribers) if stream else 0

    def forget(self, session_id: SessionId) -> None:
        """Drop the stream of a session that is gone for good."""
        stream = self._streams.pop(session_id, None)
        for subscriber in stream.subscribers if stream else ():
            subscriber.unsubscribed(session_id)

    def _stream(self, session_id: SessionId) -> _Stream:
        stream = self._streams.get(session_id)
        if stream is None:
            stream = self._streams[session_id] = _Stream(self._new_epoch())
        return stream
