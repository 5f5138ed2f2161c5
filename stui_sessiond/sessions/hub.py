"""Who hears of what happens to sessions?

Guarantees: to each subscription events go in order, each once, without a hole or with a `gap` before it; an event is
encoded once for all who hear it in the same way; a subscriber that does not keep up is left out, and catches up from
the session's log when it reads again, so nothing is queued for it here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from stui_sessiond.ids import ClientId, ConnectionId, SessionId
from stui_sessiond.model.event import Event, Position, with_member
from stui_sessiond.model.session import DeclaredMachine, Role, Session, SessionHeader
from stui_sessiond.model.view import View
from stui_sessiond.sessions.shared_state import participant, seen, who_of
from stui_sessiond.sessions.telling import STATE_EVENT, shown
from stui_sessiond.wire.bundle import Bundle

GAP_EVENT = "gap"

_encode_state = msgspec.json.Encoder().encode

EncodeEvent = Callable[[str, SessionId | None, Position, dict[str, Any] | msgspec.Raw, float], bytes]
"""Makes the message of an event: name, session, position, data, time."""


class Subscriber(Protocol):
    """Whoever wants events, already encoded. Its methods must not block and must not raise."""

    @property
    def client_id(self) -> str | None:
        """The name it gave itself."""

    @property
    def connection_id(self) -> ConnectionId | None:
        """The name of its connection."""

    @property
    def role(self) -> str | None:
        """The role it said it has."""

    @property
    def confined_to(self) -> str | None:
        """The client whose role in a session decides whether it may look; None: it may look at every session."""

    @property
    def token_name(self) -> str | None:
        """The name of its token, if it was let in by one."""

    def has_room(self) -> bool:
        """Tell whether it takes another event now; if not, it calls `Feed.catch_up` for `fell_behind` later."""

    def deliver(self, message: bytes) -> None:
        """Take one encoded event."""

    def take(self, bundle: Bundle) -> bool:
        """Take events that others get as well, all or none; tell whether there was room. If not, as `has_room`."""

    def joined(self, subscription: "Subscription") -> None:
        """Take note of a new subscription of its own."""

    def fell_behind(self, subscription: "Subscription") -> None:
        """Take note that events wait in the log for it."""

    def unsubscribed(self, subscription: "Subscription") -> None:
        """Take note that no more events will come: the session is gone, or its owner wants it so."""


class _Sight(NamedTuple):
    """What a subscriber sees, as long as all of this is as it was."""

    machine: DeclaredMachine
    shares: dict[ClientId, Role]
    client_id: str | None
    view: View | None


class Subscription:
    """One subscriber's way through one session's events. `live`: what is published goes to it at once."""

    __slots__ = ("at", "by_topic", "deltas", "live", "position", "session_id", "sight", "subscriber", "take")

    def __init__(
        self, session_id: SessionId, subscriber: Subscriber, position: Position, at: float, *, deltas: bool
    ) -> None:
        self.session_id = session_id
        self.subscriber = subscriber
        self.take = subscriber.take
        self.position = position
        self.at = at
        self.deltas = deltas
        self.live = False
        self.sight: _Sight | None = None
        self.by_topic = False
        """Made for a topic, not for the session: nobody counts as attached by it."""


class Topic(msgspec.Struct, frozen=True):
    """The events of several sessions: a kind and what is meant by it."""

    kind: str
    """`client`, `image` or `all`."""
    name: str = ""


class Hub:
    """Fans events out to subscriptions."""

    def __init__(self, encode: EncodeEvent, clock: Callable[[], float], daemon_epoch: str) -> None:
        self._encode = encode
        self._clock = clock
        self._sessions: dict[SessionId, dict[Subscriber, Subscription]] = {}
        self._topics: dict[Topic, dict[Subscriber, bool]] = {}
        self.position = Position(daemon_epoch, 0)
        """Where the daemon's own stream is: events of no session."""
        self.subscriptions = 0
        """To sessions, at present."""
        self.subscribed_topics = 0
        """Of all subscribers together, at present."""
        self.published = 0
        """Events that were told, since the start."""
        self.deliveries = 0
        """The same, each as often as it was handed to a subscriber at once."""
        self.fell_behind = 0
        """How often a subscriber did not take an event at once, since the start."""

    # ---- subscriptions

    def add(self, subscription: Subscription) -> None:
        """Take up a subscription; one of the same subscriber to the same session is replaced."""
        theirs = self._sessions.setdefault(subscription.session_id, {})
        self.subscriptions -= len(theirs)
        theirs[subscription.subscriber] = subscription
        self.subscriptions += len(theirs)

    def remove(self, session_id: SessionId, subscriber: Subscriber) -> Subscription | None:
        """Let go of a subscription, if there is one."""
        subscriptions = self._sessions.get(session_id)
        if subscriptions is None:
            return None
        found = subscriptions.pop(subscriber, None)
        self.subscriptions -= found is not None
        if not subscriptions:
            del self._sessions[session_id]
        return found

    def holds(self, subscription: Subscription) -> bool:
        """Tell whether a subscription is still there."""
        return self._sessions.get(subscription.session_id, {}).get(subscription.subscriber) is subscription

    def listen(self, topic: Topic, subscriber: Subscriber, *, deltas: bool) -> None:
        """Deliver the events of all sessions of a topic from now on."""
        theirs = self._topics.setdefault(topic, {})
        self.subscribed_topics += subscriber not in theirs
        theirs[subscriber] = deltas

    def ignore(self, topic: Topic, subscriber: Subscriber) -> bool:
        """Stop that; tell whether it was there. Subscriptions made for it end."""
        subscribers = self._topics.get(topic)
        if subscribers is None or subscriber not in subscribers:
            return False
        del subscribers[subscriber]
        self.subscribed_topics -= 1
        if not subscribers:
            del self._topics[topic]
        return True

    def listens(self, subscriber: Subscriber, topics: Iterable[Topic]) -> bool:
        """Tell whether a subscriber hears of one of these topics."""
        return any(subscriber in self._topics.get(topic, ()) for topic in topics)

    def attached(self, session_id: SessionId) -> list[Subscription]:
        """List who listens to a session because it asked for this session."""
        return [each for each in self._sessions.get(session_id, {}).values() if not each.by_topic]

    def listeners(self, session_id: SessionId) -> list[Subscription]:
        """List all who hear of a session, also by a topic."""
        return list(self._sessions.get(session_id, {}).values())

    def is_heard(self, session_id: SessionId) -> bool:
        """Tell whether anybody may hear of what happens to a session."""
        return bool(self._topics) or session_id in self._sessions

    def forget(self, session_id: SessionId) -> None:
        """End all subscriptions of a session that is gone for good."""
        gone = self._sessions.pop(session_id, {})
        self.subscriptions -= len(gone)
        for subscription in gone.values():
            subscription.subscriber.unsubscribed(subscription)

    # ---- events

    def deliver(self, session: Session, events: Sequence[Event]) -> None:
        """Tell of events that are stored, in their order."""
        if not events:
            return
        self.published += len(events)
        header = session.header
        if self._topics:
            self._join(header, events[0].seq)
        subscriptions = self._sessions.get(header.session_id)
        if not subscriptions:
            return
        bundles: dict[object, Bundle] = {}
        alike = session.machine is None
        missed = 0
        epoch, before, here = header.epoch, events[0].seq - 1, Position(header.epoch, events[-1].seq)
        for each in tuple(subscriptions.values()):  # this loop is the price of an event: nothing is made in it
            if not each.live:
                missed += 1
                continue
            known = each.position
            if known.seq == before and known.epoch == epoch:
                key = each.deltas if alike else self._way_of(session, each)
                bundle = bundles.get(key)
                if bundle is None:
                    view = self.view_of(session, each)
                    bundle = bundles[key] = Bundle(self.encode(session, events, deltas=each.deltas, view=view))
                if each.take(bundle):
                    each.position = here
                    continue
            missed += 1
            self.fell_behind += 1
            each.live = False
            each.subscriber.fell_behind(each)
        self.deliveries += len(events) * (len(subscriptions) - missed)

    def _way_of(self, session: Session, subscription: Subscription) -> object:
        """What those have in common who are told in the same way."""
        view = self.view_of(session, subscription)
        return subscription.deltas if view is None else (subscription.deltas, view.name)

    def view_of(self, session: Session, subscription: Subscription) -> View | None:
        """What a subscriber sees of a session's state; None: everything."""
        machine, header = session.machine, session.header
        if machine is None:
            return None
        subscriber, known = subscription.subscriber, subscription.sight
        client_id = subscriber.client_id
        if (
            known is None
            or known.machine is not machine
            or known.shares is not header.shares
            or known.client_id != client_id
        ):
            who = who_of(client_id, subscriber.role, subscriber.token_name, header)
            known = _Sight(machine, header.shares, client_id, participant(session, who).view)
            subscription.sight = known
        return known.view

    def encode(
        self, session: Session, events: Sequence[Event], *, deltas: bool, view: View | None = None
    ) -> list[bytes]:
        """Make the messages of events, as they are seen; the newest change of the state has the whole of it.

        With `deltas` only if a change among them is too large to have its patch.
        """
        header = session.header
        if header.machine_version:
            events = [shown(session, event, view) for event in events]
        changes = [one for one in events if one.name == STATE_EVENT]
        whole = not deltas or any(one.patch is None for one in changes)
        newest = changes[-1] if changes and whole else None
        messages = []
        for event in events:
            text = event.text
            if event is newest:
                text = with_member(text, b'"session_state":', _encode_state(seen(session.state, view)))
            position = Position(header.epoch, event.seq)
            messages.append(self._encode(event.name, header.session_id, position, msgspec.Raw(text), event.at))
        return messages

    def gap(self, subscription: Subscription, header: SessionHeader, first_seq: int, reason: str) -> bytes:
        """Make the message that says what is missing before an event."""
        position = Position(header.epoch, first_seq - 1)
        known = subscription.position
        data = {"from": {"epoch": known.epoch, "seq": known.seq}, "reason": reason}
        return self._encode(GAP_EVENT, header.session_id, position, data, self._clock())

    def announce(self, name: str, data: dict[str, Any], topics: Iterable[Topic]) -> None:
        """Tell of something that concerns no session. It is told once and not kept."""
        self.published += 1
        self.position = Position(self.position.epoch, self.position.seq + 1)
        bundle: Bundle | None = None
        told: set[Subscriber] = set()
        for topic in topics:
            for subscriber in tuple(self._topics.get(topic, ())):
                if subscriber not in told:
                    if bundle is None:
                        bundle = Bundle([self._encode(name, None, self.position, data, self._clock())])
                    self.deliveries += subscriber.take(bundle)
                    told.add(subscriber)

    def _join(self, header: SessionHeader, first_seq: int) -> None:
        """Make subscriptions for those who listen to a topic of the session."""
        known = self._sessions.get(header.session_id, {})
        for topic in topics_of(header):
            for subscriber, deltas in self._topics.get(topic, {}).items():
                if subscriber not in known and (topic.kind == "all" or may_hear(subscriber, header)):
                    position = Position(header.epoch, first_seq - 1)
                    made = Subscription(header.session_id, subscriber, position, self._clock(), deltas=deltas)
                    made.live = made.by_topic = True
                    self.add(made)
                    subscriber.joined(made)
                    known = self._sessions[header.session_id]


def may_hear(subscriber: Subscriber, header: SessionHeader) -> bool:
    """Tell whether somebody who listens to a topic, or lists sessions, hears of one: who is confined needs a role."""
    client_id = subscriber.confined_to
    return client_id is None or header.role_of(client_id) != "none"


def topics_of(header: SessionHeader) -> list[Topic]:
    """List the topics that a session belongs to."""
    found = [Topic("all"), Topic("client", header.client_id)]
    return found if header.image_id is None else [*found, Topic("image", header.image_id)]
