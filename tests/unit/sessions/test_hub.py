"""Who hears of what: order, sharing, coming and going."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.model.event import News, Position
from stui_sessiond.model.session import Session
from stui_sessiond.sessions.hub import Hub, Subscription, Topic, topics_of
from stui_sessiond.sessions.log import LogRules, append
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.house import Listener, a_session, encode

RULES = LogRules()


class Encoder:
    """Writes events, and counts how often it has to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self, name: str, session_id: SessionId | None, position: Position, data: dict[str, Any] | msgspec.Raw, at: float
    ) -> bytes:
        self.calls += 1
        return encode(name, session_id, position, data, at)


class Leaver(Listener):
    """Makes somebody leave as soon as it hears of something."""

    def __init__(self, hub: Hub, session_id: SessionId, who: Listener | None = None) -> None:
        super().__init__()
        self.hub, self.session_id, self.who = hub, session_id, who or self

    def deliver(self, message: bytes) -> None:
        super().deliver(message)
        self.hub.remove(self.session_id, self.who)


def a_hub(encoder: Encoder | None = None) -> Hub:
    """Make a hub."""
    return Hub(encoder or Encoder(), FakeClock(5.0), "daemon")


def join(hub: Hub, session: Session, listener: Listener, *, deltas: bool = False) -> Subscription:
    """Let a listener hear of everything from now on."""
    subscription = Subscription(session.header.session_id, listener, session.header.position, 5.0, deltas=deltas)
    subscription.live = True
    hub.add(subscription)
    listener.joined(subscription)
    return subscription


def publish(hub: Hub, session: Session, *names: str, **data: Any) -> Session:  # noqa: ANN401 -- any JSON
    """Tell of something that is stored with a session."""
    session, events = append(session, [News(name, data, 5.0) for name in names], "e1", 5.0, RULES)
    hub.deliver(session, events)
    return session


def begun(number: int = 1, **header: Any) -> Session:  # noqa: ANN401 -- fields of SessionHeader
    """Make a session that has an event already."""
    session = a_session(number, n=number)
    session = replace(session, header=replace(session.header, **header))
    return append(session, [News("session.created", {}, 5.0)], "e1", 5.0, RULES)[0]


def test_events_are_numbered_without_gaps() -> None:
    """From the position of the subscription on, nothing is left out, whatever other sessions do."""
    hub, listener, one, two = a_hub(), Listener(), begun(1), begun(2)
    join(hub, one, listener)
    for _ in range(3):
        one = publish(hub, one, "x")
        two = publish(hub, two, "y")
    assert [(each.name, each.seq, each.epoch) for each in listener.heard] == [(("x"), seq, "e1") for seq in (2, 3, 4)]


def test_events_of_one_change_go_together() -> None:
    """All that is stored with one change is told, in order."""
    hub, listener, session = a_hub(), Listener(), begun()
    subscription = join(hub, session, listener)
    session = publish(hub, session, "a", "b", "c")
    assert (listener.names, listener.numbers) == (["a", "b", "c"], [2, 3, 4])
    assert subscription.position == session.header.position


def test_change_without_events_is_told_to_nobody() -> None:
    """There is nothing to tell."""
    hub, listener, session = a_hub(), Listener(), begun()
    join(hub, session, listener)
    hub.deliver(session, ())
    assert listener.heard == []


def test_event_nobody_hears_is_not_encoded() -> None:
    """Neither when there are subscriptions that have not begun."""
    encoder = Encoder()
    hub, session, waiting = a_hub(encoder), begun(), Listener()
    join(hub, session, waiting).live = False
    publish(hub, session, "x")
    assert (encoder.calls, waiting.heard, waiting.behind) == (0, [], [])


def test_event_many_hear_is_encoded_once() -> None:
    """All who hear it in the same way get the same bytes."""
    encoder = Encoder()
    hub, session = a_hub(encoder), begun()
    whole, deltas = [Listener() for _ in range(10)], [Listener() for _ in range(10)]
    for listener in whole:
        join(hub, session, listener)
    for listener in deltas:
        join(hub, session, listener, deltas=True)
    publish(hub, session, "x")
    assert encoder.calls == 2
    assert {listener.numbers[0] for listener in (*whole, *deltas)} == {2}


def test_change_of_the_state_is_told_whole_or_as_its_patch() -> None:
    """Who asked for deltas gets what changed; who did not gets the state as well, once, with the newest change."""
    hub, session, whole, deltas = a_hub(), begun(), Listener(), Listener()
    join(hub, session, whole)
    join(hub, session, deltas, deltas=True)
    session, events = append(
        replace(session, state={"a": 2}),
        [News("session.updated", {"version": version, "patch": []}, 5.0) for version in (2, 3)]
        + [News("transcript", {"text": "x"}, 5.0)],
        "e1",
        5.0,
        RULES,
    )
    hub.deliver(session, events)
    assert [each.data for each in deltas.heard] == [event.data for event in events]
    assert [each.data.get("session_state") for each in whole.heard] == [None, {"a": 2}, None]
    assert "session_state" not in session.log.events[-2].data


def test_subscriber_that_leaves_during_delivery() -> None:
    """Whoever leaves, or is made to leave, while an event goes round disturbs nobody."""
    hub, session = a_hub(), begun()
    session_id = session.header.session_id
    first = Leaver(hub, session_id)
    others = [Leaver(hub, session_id, first), Listener()]
    for listener in (first, *others):
        join(hub, session, listener)
    session = publish(hub, session, "x")
    publish(hub, session, "x")
    assert [len(listener.heard) for listener in (first, *others)] == [1, 2, 2]


def test_subscribing_twice() -> None:
    """One subscriber hears an event once."""
    hub, listener, session = a_hub(), Listener(), begun()
    first = join(hub, session, listener)
    second = join(hub, session, listener)
    publish(hub, session, "x")
    assert listener.numbers == [2]
    assert hub.attached(session.header.session_id) == [second]
    assert (hub.holds(first), hub.holds(second)) == (False, True)


def test_unsubscribing() -> None:
    """It gives the subscription there was, and ends it."""
    hub, listener, session = a_hub(), Listener(), begun()
    session_id = session.header.session_id
    assert hub.remove(session_id, listener) is None
    subscription = join(hub, session, listener)
    assert hub.remove(session_id, Listener()) is None
    assert hub.remove(session_id, listener) is subscription
    assert hub.remove(session_id, listener) is None
    publish(hub, session, "x")
    assert (listener.heard, hub.attached(session_id), hub.holds(subscription)) == ([], [], False)


def test_session_that_was_forgotten() -> None:
    """Those who listened are told, once; those of other sessions are not."""
    hub, listener, other, one, two = a_hub(), Listener(), Listener(), begun(1), begun(2)
    join(hub, one, listener)
    join(hub, two, other)
    hub.forget(one.header.session_id)
    hub.forget(one.header.session_id)
    assert (listener.gone, other.gone) == ([one.header.session_id], [])
    assert hub.attached(one.header.session_id) == []


# ---- who does not keep up


def test_subscriber_without_room_is_left_out() -> None:
    """It is told once that it fell behind; where it was is kept, and the others go on."""
    hub, slow, quick, session = a_hub(), Listener(), Listener(), begun()
    subscription = join(hub, session, slow)
    join(hub, session, quick)
    session = publish(hub, session, "a")
    slow.room = 0
    for name in "bcd":
        session = publish(hub, session, name)
    slow.room = None
    session = publish(hub, session, "e")
    assert (slow.names, slow.behind) == (["a"], [subscription])
    assert (subscription.live, subscription.position) == (False, Position("e1", 2))
    assert quick.names == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("position", [Position("e0", 1), Position("e1", 0), Position("e1", 2)])
def test_subscriber_that_is_elsewhere_is_left_out(position: Position) -> None:
    """An event goes only to those who know everything before it."""
    hub, listener, session = a_hub(), Listener(), begun()
    subscription = join(hub, session, listener)
    subscription.position = position
    publish(hub, session, "x")
    assert (listener.heard, listener.behind, subscription.position) == ([], [subscription], position)


def test_gap_says_what_is_missing() -> None:
    """From where the subscriber was to the event before the next one."""
    hub, listener, session = a_hub(), Listener(), begun()
    subscription = join(hub, session, listener)
    told = json.loads(hub.gap(subscription, replace(session.header, epoch="e2", seq=9), 7, "lost"))
    assert (told["event"], told["epoch"], told["seq"], told["at"]) == ("gap", "e2", 6, 5.0)
    assert told["data"] == {"from": {"epoch": "e1", "seq": 1}, "reason": "lost"}


# ---- topics


def heard_by_topic(topic: Topic, sessions: Sequence[Session]) -> list[int]:
    """List the sessions of which somebody hears who listens to a topic."""
    hub, listener = a_hub(), Listener()
    hub.listen(topic, listener, deltas=False)
    for session in sessions:
        publish(hub, session, "x")
    ids = [session.header.session_id for session in sessions]
    return [ids.index(session_id) + 1 for session_id in listener.subscriptions]


def test_topics_of_a_session() -> None:
    """All, its client's, and its image's if it has one."""
    assert topics_of(begun().header) == [Topic("all"), Topic("client", "ada")]
    assert topics_of(begun(image_id=ImageId("p")).header)[2:] == [Topic("image", "p")]


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (Topic("all"), [1, 2, 3]),
        (Topic("client", "ada"), [1, 2]),
        (Topic("client", "bob"), [3]),
        (Topic("image", "pharo"), [2]),
        (Topic("image", "amber"), []),
    ],
)
def test_topic_brings_the_sessions_it_is_about(topic: Topic, expected: list[int]) -> None:
    """Also those that were not there when it was asked for."""
    sessions = [begun(1), begun(2, image_id=ImageId("pharo")), begun(3, client_id="bob")]
    assert heard_by_topic(topic, sessions) == expected


def test_topic_begins_with_the_event_that_comes_next() -> None:
    """Nothing before it, everything from it on; the subscription that is made for it attaches nobody."""
    hub, listener, session = a_hub(), Listener(), begun()
    hub.listen(Topic("all"), listener, deltas=True)
    session = publish(hub, session, "a", "b")
    session = publish(hub, session, "c")
    assert (listener.names, listener.numbers) == (["a", "b", "c"], [2, 3, 4])
    assert hub.attached(session.header.session_id) == []
    assert listener.subscriptions[session.header.session_id].deltas


def test_session_that_is_heard_of_in_several_ways() -> None:
    """Each event once."""
    hub, listener, session = a_hub(), Listener(), begun()
    join(hub, session, listener)
    for topic in topics_of(session.header):
        hub.listen(topic, listener, deltas=False)
    publish(hub, session, "a")
    assert listener.names == ["a"]


def test_topic_that_is_left() -> None:
    """It tells whether there was one."""
    hub, listener, session = a_hub(), Listener(), begun()
    assert not hub.ignore(Topic("all"), listener)
    hub.listen(Topic("all"), listener, deltas=False)
    assert not hub.ignore(Topic("all"), Listener())
    assert hub.listens(listener, topics_of(session.header))
    assert hub.ignore(Topic("all"), listener)
    assert not hub.listens(listener, topics_of(session.header))
    publish(hub, session, "x")
    assert (listener.heard, listener.subscriptions) == ([], {})


def test_announcement_reaches_its_topics_once() -> None:
    """It has a place in the daemon's own stream and is about no session; who has no room goes without."""
    encoder = Encoder()
    hub, both, other, slow = a_hub(encoder), Listener(), Listener(), Listener()
    for topic in (Topic("all"), Topic("image", "pharo")):
        hub.listen(topic, both, deltas=False)
    hub.listen(Topic("image", "amber"), other, deltas=False)
    hub.listen(Topic("all"), slow, deltas=False)
    slow.room = 0
    hub.announce("image.connected", {"image_id": "pharo"}, (Topic("all"), Topic("image", "pharo")))
    assert [(each.name, each.seq, each.epoch) for each in both.heard] == [("image.connected", 1, "daemon")]
    assert list(both.by_session) == [None]
    assert (other.heard, slow.heard, encoder.calls) == ([], [], 1)
    hub.announce("image.connected", {}, (Topic("client", "x"),))
    assert (hub.position, encoder.calls) == (Position("daemon", 2), 1)
