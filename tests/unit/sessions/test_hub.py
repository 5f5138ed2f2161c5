"""Who hears of what: order, sharing, coming and going."""

import itertools
import json

from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Event, Position
from stui_sessiond.sessions.hub import Hub
from tests.unit.bed.clock import FakeClock

ONE, TWO = SessionId("session_1_1_a"), SessionId("session_2_1_a")


class Listener:
    """Keeps what it hears; may do something about it at once."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.gone: list[SessionId] = []
        self.leaves: tuple[Hub, SessionId, Listener] | None = None

    def deliver(self, message: bytes) -> None:
        """Take an event; make somebody leave if the test says so."""
        self.heard.append(message)
        if self.leaves is not None:
            hub, session_id, who = self.leaves
            hub.unsubscribe(session_id, who)

    def unsubscribed(self, session_id: SessionId) -> None:
        """Take note that a session is gone."""
        self.gone.append(session_id)

    def numbers(self) -> list[int]:
        """List the `seq` of what was heard."""
        return [json.loads(message)["seq"] for message in self.heard]


class Encoder:
    """Writes events, and counts how often it has to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event: Event) -> bytes:
        self.calls += 1
        place = {"epoch": event.position.epoch, "seq": event.position.seq}
        return json.dumps({"name": event.name, "at": event.at, **place}).encode()


def a_hub(encoder: Encoder | None = None) -> Hub:
    """Make a hub whose epochs are e1, e2..."""
    serial = itertools.count(1)
    return Hub(encoder or Encoder(), FakeClock(5.0), lambda: f"e{next(serial)}")


def test_events_are_numbered_without_gaps() -> None:
    """From the position of the subscription on, nothing is left out, whatever other sessions do."""
    hub, listener = a_hub(), Listener()
    hub.publish(ONE, "before", {})
    assert hub.subscribe(ONE, listener) == Position("e1", 1)
    for _ in range(3):
        hub.publish(ONE, "x", {})
        hub.publish(TWO, "y", {})
    assert listener.numbers() == [2, 3, 4]
    assert json.loads(listener.heard[0]) == {"name": "x", "at": 5.0, "epoch": "e1", "seq": 2}


def test_event_nobody_hears() -> None:
    """It is counted, and not encoded."""
    encoder = Encoder()
    hub = a_hub(encoder)
    hub.publish(ONE, "x", {})
    assert encoder.calls == 0
    assert hub.subscribe(ONE, Listener()).seq == 1


def test_event_many_hear() -> None:
    """It is encoded once, and all get the same bytes."""
    encoder = Encoder()
    hub, listeners = a_hub(encoder), [Listener() for _ in range(10)]
    for listener in listeners:
        hub.subscribe(ONE, listener)
    hub.publish(ONE, "x", {})
    assert encoder.calls == 1
    assert len({id(listener.heard[0]) for listener in listeners}) == 1


def test_subscriber_that_leaves_during_delivery() -> None:
    """Whoever leaves, or is made to leave, while an event goes round disturbs nobody."""
    hub, listeners = a_hub(), [Listener() for _ in range(3)]
    for listener in listeners:
        hub.subscribe(ONE, listener)
        listener.leaves = (hub, ONE, listeners[0])
    hub.publish(ONE, "x", {})
    hub.publish(ONE, "x", {})
    assert [len(listener.heard) for listener in listeners] == [1, 2, 2]


def test_subscribing_twice() -> None:
    """One subscriber hears an event once."""
    hub, listener = a_hub(), Listener()
    hub.subscribe(ONE, listener)
    hub.subscribe(ONE, listener)
    hub.publish(ONE, "x", {})
    assert listener.numbers() == [1]
    assert hub.attached(ONE) == 1


def test_unsubscribing() -> None:
    """It tells whether there was a subscription, and ends it."""
    hub, listener = a_hub(), Listener()
    assert not hub.unsubscribe(ONE, listener)
    hub.subscribe(ONE, listener)
    assert not hub.unsubscribe(ONE, Listener())
    assert hub.unsubscribe(ONE, listener)
    assert not hub.unsubscribe(ONE, listener)
    hub.publish(ONE, "x", {})
    assert listener.heard == []
    assert hub.attached(ONE) == 0
    assert hub.attached(TWO) == 0


def test_stream_that_was_forgotten() -> None:
    """History is lost, so the epoch is another; those who listened are told, once."""
    hub, listener, other = a_hub(), Listener(), Listener()
    hub.publish(ONE, "x", {})
    assert hub.subscribe(ONE, listener) == Position("e1", 1)
    hub.subscribe(TWO, other)
    hub.forget(ONE)
    hub.forget(ONE)
    assert (listener.gone, other.gone) == ([ONE], [])
    assert hub.subscribe(ONE, Listener()) == Position("e3", 0)
