"""How does somebody come to hear of a session's events, from a position on, and without a hole?

A subscription begins behind the answer that tells of it, and catches up from the session's log; so does one whose
subscriber did not keep up. Only then is it live. What is not in the log any more is told as a gap.
"""

from typing import Any

import msgspec

from stui_sessiond.errors import StorageError, StuiError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Position
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.sessions import log
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.hub import Hub, Subscriber, Subscription, Topic, topics_of
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.transitions import require_open


class Start(msgspec.Struct, frozen=True):
    """Where a subscription begins: `missing` says what is not kept between what was known and what follows."""

    subscription: Subscription
    session: Session
    position: Position
    missing: str | None


class Resumes:
    """What became of subscriptions that went on from a position, since the start."""

    __slots__ = ("gaps", "recovered", "replayed", "with_gap")

    def __init__(self) -> None:
        self.recovered = 0
        """Subscriptions that were told all they had missed."""
        self.with_gap = 0
        """Subscriptions of which some of that was not kept."""
        self.gaps = 0
        """Times that a subscriber was told so later, because it did not read for too long."""
        self.replayed = 0
        """Events that were sent from a session's log."""


class Feed:
    """Makes subscriptions and keeps them going."""

    def __init__(self, keeper: Keeper, hub: Hub, driving: Driving, retention_s: float) -> None:
        self.keeper = keeper
        self.hub = hub
        self._driving = driving
        self._retention_s = retention_s
        self.resumes = Resumes()

    # ---- coming

    async def subscribe(
        self, session_id: str, subscriber: Subscriber, since: Position | None, *, deltas: bool, by_topic: bool = False
    ) -> Start:
        """Begin a subscription. Nothing is delivered before `begin` is called for it.

        With `by_topic` it is part of a topic, and nobody is attached by it.

        Raises:
            SessionError, StorageError: there is nothing to subscribe to.
        """
        async with self.keeper.hold(session_id) as entry:
            require_open(entry.header, self._retention_s)
            session = await self.keeper.load(entry)
            here = session.header.position
            start = since or here
            missing = log.follow_up(session.header, session.log, start).missing
            if since is not None:
                self.resumes.recovered += missing is None
                self.resumes.with_gap += missing is not None
            known = self.hub.remove(session.header.session_id, subscriber)
            made = Subscription(session.header.session_id, subscriber, start, self.keeper.clock(), deltas=deltas)
            made.by_topic = by_topic
            self.hub.add(made)
            subscriber.joined(made)
            if not by_topic and subscriber.client_id is not None and (known is None or known.by_topic):
                self.keeper.post(entry, "client.attached", _who(subscriber))
            return Start(made, session, here, missing)

    def begin(self, subscription: Subscription) -> bool:
        """Go live if nothing was missed; else `catch_up` has to be called."""
        entry = self.keeper.shelf.find(subscription.session_id)
        if entry is not None and entry.header.position == subscription.position:
            subscription.live = True
        return subscription.live

    async def catch_up(self, subscription: Subscription) -> None:
        """Deliver what is missing, as far as the subscriber takes it, and go live when that is all."""
        try:
            async with self.keeper.hold(subscription.session_id) as entry:
                session = await self.keeper.load(entry)
                if self.hub.holds(subscription) and not subscription.live:
                    self._replay(subscription, session)
        except StorageError:  # the next event finds that it is behind, and tries again
            subscription.live = True
        except StuiError:  # it is gone: whoever listened is told by `unsubscribed`
            return

    def _replay(self, subscription: Subscription, session: Session) -> None:
        header = session.header
        replay = log.follow_up(header, session.log, subscription.position)
        subscriber = subscription.subscriber
        if replay.missing is not None:
            first = replay.events[0].seq if replay.events else header.seq + 1
            self.resumes.gaps += 1
            subscriber.deliver(self.hub.gap(subscription, header, first, replay.missing))
            subscription.position = Position(header.epoch, first - 1)
        view = self.hub.view_of(session, subscription)
        messages = self.hub.encode(session, replay.events, deltas=subscription.deltas, view=view)
        for event, message in zip(replay.events, messages, strict=True):
            if not subscriber.has_room():
                subscriber.fell_behind(subscription)
                return
            subscriber.deliver(message)
            self.resumes.replayed += 1
            subscription.position = Position(header.epoch, event.seq)
        subscription.live = True

    # ---- topics

    def listen(self, topics: list[Topic], subscriber: Subscriber, *, deltas: bool) -> None:
        """Deliver the events of all sessions of these topics from now on."""
        for topic in topics:
            self.hub.listen(topic, subscriber, deltas=deltas)

    def ignore(self, topic: Topic, subscriber: Subscriber, subscriptions: dict[SessionId, Subscription]) -> bool:
        """Stop that, and end the subscriptions that were made for it and no other topic."""
        found = self.hub.ignore(topic, subscriber)
        for session_id, each in list(subscriptions.items()):
            entry = self.keeper.shelf.find(session_id)
            topics = [] if entry is None else topics_of(entry.header)
            if each.by_topic and (entry is None or topic in topics) and not self.hub.listens(subscriber, topics):
                self.hub.remove(session_id, subscriber)
                del subscriptions[session_id]
        return found

    # ---- going

    def unsubscribe(self, session_id: SessionId, subscriber: Subscriber, reason: str) -> Subscription | None:
        """End a subscription, if there is one."""
        found = self.hub.remove(session_id, subscriber)
        entry = self.keeper.shelf.find(session_id)
        if found is not None and not found.by_topic and entry is not None and subscriber.client_id is not None:
            self.keeper.post(entry, "client.detached", {**_who(subscriber), "reason": reason})
        self._driving.left(session_id, subscriber.client_id)
        return found

    async def detach(self, session_id: str, client_id: str, connection_id: str | None, by: str | None) -> int:
        """End a client's subscriptions to a session, telling it so; tell how many there were.

        Raises:
            SessionError: there is no such session.
        """
        header = self.header(session_id)
        ended = 0
        for each in self.hub.listeners(header.session_id):
            subscriber = each.subscriber
            if subscriber.client_id != client_id or connection_id not in (None, subscriber.connection_id):
                continue
            async with self.keeper.hold(session_id) as entry:
                if not self.hub.holds(each):
                    continue
                session = await self.keeper.load(entry)
                news = self.keeper.news("client.detached", {**_who(subscriber), "reason": "detached", "by": by})
                await self.keeper.store(entry, session, (news,))
                self.hub.remove(header.session_id, subscriber)
                subscriber.unsubscribed(each)
                self._driving.left(header.session_id, client_id)
                ended += 1
        return ended

    def header(self, session_id: str) -> SessionHeader:
        """Find an open session.

        Raises:
            SessionError: there is none.
        """
        header = self.keeper.find(session_id).header
        require_open(header, self._retention_s)
        return header


def _who(subscriber: Subscriber) -> dict[str, Any]:
    return {
        "client_id": subscriber.client_id,
        "connection_id": subscriber.connection_id,
        "role": subscriber.role or "client",
    }
