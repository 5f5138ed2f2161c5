"""One pipe, one protocol state, one dispatcher: what happens to a message between the socket and the command.

Guarantees: every request gets one answer; a peer that sends nonsense, floods or does not read harms only itself; what a
peer asked for goes on when it leaves, and the answer is kept for a while for the connection that resumes this one.
"""

import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from stui_sessiond.commands.dispatch import Answer, Dispatcher
from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import ShuttingDownError, TooManyAttemptsError, TooManyInFlightError, WireError
from stui_sessiond.ids import ConnectionId, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.model.request import Origin
from stui_sessiond.security.audit import Actor, AuditLog
from stui_sessiond.security.principal import LOCAL, Principal
from stui_sessiond.server.connections import LEFT
from stui_sessiond.server.rights import EVERYTHING, NOBODY, rights_in_role
from stui_sessiond.sessions.feed import Feed
from stui_sessiond.sessions.hub import Subscription, Topic
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.transports.pipe import Pipe
from stui_sessiond.wire.codec import decode_message, leading_id
from stui_sessiond.wire.forms import PushedEvent, Reply, Request
from stui_sessiond.wire.limits import MessageLimits
from stui_sessiond.wire.messages.connection import Hello

_log = structlog.get_logger(__name__)

_serials = itertools.count()
"""Numbers requests over all peers, so that one means the same to the peer that resumes another."""


class PeerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one peer may have under way."""

    messages: MessageLimits = MessageLimits()
    requests_in_flight: int = 64
    """Above this, nothing more is read from the peer until an answer is out."""
    evaluations_in_flight: int = 32
    """Requests that wait for an image; one more is refused, so that others still get through."""


KEPT_ANSWERS = 256
"""Answers that are kept for a connection that is gone."""

KEPT_BYTES = 4 * 1024 * 1024
"""The same bound in bytes."""


_OWN = frozenset({"hello", "subscribe", "unsubscribe"})
"""Requests about the connection they come over: another one has no use for their answers."""


class ImageEvents(Protocol):
    """Who hears of images."""

    def pass_on(self, link: ImageLink, pushed: PushedEvent) -> None:
        """An image told something."""

    def announce(self, link: ImageLink, *, connected: bool) -> None:
        """An image came or went."""


class PeerHost(Protocol):
    """What a peer needs of the server it is connected to."""

    dispatcher: Dispatcher
    limits: PeerLimits
    tasks: TaskOwner
    relayed: TaskOwner
    image_events: ImageEvents
    leave_image: Callable[[ImageLink], bool]
    feed: Feed
    close_reasons: Mapping[str, CloseReason]
    draining: bool
    audit: AuditLog

    def forget(self, peer: "Peer") -> None:
        """The peer is gone."""

    def take_over(self, peer: "Peer") -> "Peer | None":
        """Let the peer have the name of its connection; return the one that had it before."""


class Peer:
    """One connected peer; a `commands.table.Caller` and a `transports.pipe.Receiver`."""

    __slots__ = (
        "_behind", "_catching_up", "_claimed", "_close_name", "_ended", "_holding", "_host", "_kept", "_kept_bytes",
        "_limit_bytes", "_link", "_lost", "_open", "_owed", "_own", "_pipe", "_refused", "_relayed", "_successor",
        "_understood", "began_at", "client_id", "connection_id", "counted", "greeted", "must_greet", "once", "origin",
        "principal", "process_id", "proof", "rights", "role", "subscriptions", "take", "topics",
    )  # fmt: skip

    def __init__(self, pipe: Pipe, host: PeerHost, *, must_greet: bool) -> None:
        self.role: str | None = None
        self.client_id: str | None = None
        self.must_greet = must_greet
        self.greeted = False
        self.principal: Principal | None = None if must_greet else LOCAL
        self.rights = NOBODY if must_greet else EVERYTHING
        self.proof = pipe.bearer
        self.process_id = pipe.process_id
        self.connection_id: ConnectionId | None = None
        self.counted = False
        """Whether the host counts it among the connections of its token."""
        self.once = False
        self.origin: Origin | None = None
        self.subscriptions: dict[SessionId, Subscription] = {}
        self.topics: set[Topic] = set()
        self._behind: dict[SessionId, Subscription] = {}
        self._catching_up = False
        self._pipe = pipe
        self.take = pipe.take
        """Takes events that others get as well: straight into the pipe, it is done for each event and subscriber."""
        self._host = host
        self._link: ImageLink | None = None
        self._understood = False
        self._open: dict[int, str] = {}
        """Ids of requests that are not answered."""
        self._own: set[int] = set()
        """Those of them that concern this connection alone."""
        self._owed: dict[int, str] = {}
        """The same of earlier connections of this name, by the request's place there."""
        self._kept: list[tuple[str, bytes]] = []
        self._kept_bytes = 0
        self._claimed = False
        """Whether the answer to hello is out; others that are owed here come after it."""
        self._successor: Peer | None = None
        self._relayed = 0
        self._holding = False
        self._ended = False
        self._lost = False
        self._refused: str | None = None
        self._close_name: str | None = None
        self.began_at = time.monotonic()
        messages = host.limits.messages
        self._limit_bytes = messages.before_hello_bytes if must_greet else messages.client_bytes
        pipe.limit_messages(self._limit_bytes, strict=must_greet)

    @property
    def confined_to(self) -> str | None:
        """The client whose role decides what it may look at: its own, unless it is an observer whose token allows all.

        A token that is for some clients is so in every role; otherwise its holder would see all as an observer.
        """
        principal = self.principal
        sees_all = self.role == "observer" and not (principal is not None and principal.bound)
        return None if sees_all else self.client_id

    @property
    def token_name(self) -> str | None:
        """The name of its token; the daemon's own user has none."""
        principal = self.principal
        return None if principal is None or principal.token_id is None else principal.name

    @property
    def transport_name(self) -> str:
        """How it is connected."""
        return self._pipe.transport_name

    @property
    def end_reason(self) -> str:
        """Why it ended: a close code's name if we ended it, or what broke."""
        return self._close_name or self._pipe.broke or LEFT

    @property
    def actor(self) -> Actor:
        """Who it is, for the audit log."""
        return Actor(
            principal=None if self.principal is None else self.principal.name,
            client_id=self.client_id,
            connection_id=self.connection_id,
            role=self.role,
            transport=self._pipe.transport_name,
            address=self._pipe.address,
        )

    # ---- what comes in

    def receive(self, payload: bytes) -> None:
        """Take one message."""
        try:
            message = decode_message(payload, self._limit_bytes, mend=self._link is not None)
        except WireError as error:
            if self._link is not None and error.request_id is None:
                error.request_id = leading_id(payload)
            self.receive_broken(error)
            return
        self._understood = True
        if self._link is not None:
            self._link.heard()
        if isinstance(message, Request):
            self._receive_request(message)
        elif self._link is None:
            text = "only an image that said hello answers requests and tells events"
            self._pipe.send(self._host.dispatcher.refuse(WireError(text)))
        elif isinstance(message, Reply):
            self._link.receive_reply(message)
        else:
            self._host.image_events.pass_on(self._link, message)

    def receive_broken(self, error: WireError) -> None:
        """Answer something that was no message. If it was to be an image's answer, its request ends with that."""
        if self._link is not None and error.request_id is not None:
            self._link.receive_unreadable(error.request_id, error.message)
        self._pipe.send(self._host.dispatcher.refuse(error))
        if self._pipe.strict_start and not self._understood:
            self.refuse("protocol_violation")

    def _receive_request(self, request: Request) -> None:
        host = self._host
        if host.draining:
            self._pipe.send(host.dispatcher.refuse_request(request, ShuttingDownError("the daemon is stopping")))
            return
        if self.must_greet and self._pipe.ticket is not None and self._pipe.ticket.blocked:
            text = "too many attempts to authenticate failed from this address"
            self._pipe.send(host.dispatcher.refuse_request(request, TooManyAttemptsError(text)))
            self.close("too_many_attempts")
            return
        relays = host.dispatcher.relays(request)
        if relays and self._relayed >= host.limits.evaluations_in_flight:
            text = f"{self._relayed} requests of this connection wait for an image already"
            self._pipe.send(host.dispatcher.refuse_request(request, TooManyInFlightError(text)))
            return
        if relays and self.connection_id is not None:
            self.origin = Origin(self.connection_id, request.id, envelope=request.envelope)
        answer = host.dispatcher.answer(request, self)
        if isinstance(answer, Answer):
            self._send_answer(answer)
            if self._refused is not None:
                self.close(self._refused)
            return
        serial = next(_serials)
        self._open[serial] = request.id
        if request.command in _OWN:
            self._own.add(serial)
        self._relayed += relays
        owner = host.relayed if relays else host.tasks
        owner.start(self._finish(serial, answer, relays=relays), f"request.{request.command}")
        if len(self._open) - self._relayed >= host.limits.requests_in_flight and not self._holding:
            self._holding = True
            self._pipe.hold(reading=False)

    async def _finish(self, serial: int, answering: Awaitable[Answer], *, relays: bool) -> None:
        try:
            answer = await answering
        finally:
            request_id = self._open.pop(serial)
            owed = serial not in self._own
            self._own.discard(serial)
            self._relayed -= relays
        if self._lost or self._successor is not None:
            if owed and self.connection_id is not None:
                self._send_late(serial, request_id, answer.message)
            if self._lost:  # it may have subscribed only now
                self._leave_sessions()
            return
        self._send_answer(answer)
        if self._holding and len(self._open) - self._relayed < self._host.limits.requests_in_flight:
            self._holding = False
            self._pipe.hold(reading=True)
        if self._ended and not self._open:
            self._pipe.finish()

    def _send_answer(self, answer: Answer) -> None:
        self._pipe.send(answer.message)
        if answer.then is not None:
            answer.then()

    # ---- resuming

    def _send_late(self, serial: int, request_id: str, message: bytes) -> None:
        """Give an answer to the connection that goes on from this one, or keep it for that."""
        heir = self
        while heir._successor is not None:
            heir = heir._successor
            heir._owed.pop(serial, None)  # noqa: SLF001 -- another Peer
        heir._take_late(request_id, message)  # noqa: SLF001 -- another Peer

    def _take_late(self, request_id: str, message: bytes) -> None:
        if self._claimed and not self._lost:
            self._pipe.send(message)
        elif len(self._kept) < KEPT_ANSWERS and self._kept_bytes + len(message) <= KEPT_BYTES:
            self._kept.append((request_id, message))
            self._kept_bytes += len(message)

    @property
    def owes(self) -> bool:
        """Whether there are answers, or will be, for the connection that resumes this one."""
        return bool(len(self._open) > len(self._own) or self._owed or self._kept)

    def _inherit(self, elder: "Peer") -> Sequence[str]:
        """Continue another connection: its answers come here from now on. Ends it if it is still open."""
        elder._successor = self  # noqa: SLF001 -- another Peer
        theirs = {serial: each for serial, each in elder._open.items() if serial not in elder._own}  # noqa: SLF001 -- another Peer
        self._owed = {**elder._owed, **theirs}  # noqa: SLF001 -- another Peer
        self._kept, self._kept_bytes, elder._kept = elder._kept, elder._kept_bytes, []  # noqa: SLF001 -- another Peer
        elder.close("resumed")
        return [*(request_id for request_id, _ in self._kept), *self._owed.values()]

    def claim(self) -> None:
        """Send the answers that were kept for an earlier connection of this name."""
        self._claimed = True
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        for _, message in kept:
            self._pipe.send(message)

    # ---- the end

    def ended(self) -> bool:
        """The peer sends no more: stay until it has all its answers."""
        self._ended = True
        return bool(self._open)

    def lost(self) -> None:
        """The pipe is gone: leave everything this peer took part in."""
        self._lost = True
        if self.greeted and not self.once:
            lasted_s = round(time.monotonic() - self.began_at, 3)
            _log.info("peer.left", reason=self.end_reason, lasted_s=lasted_s, **self._shown())
        self._leave_sessions()
        if self._link is not None and self._host.leave_image(self._link):
            self._host.image_events.announce(self._link, connected=False)
        self._host.forget(self)

    def _leave_sessions(self) -> None:
        feed = self._host.feed
        for topic in self.topics:
            feed.ignore(topic, self, self.subscriptions)
        self.topics.clear()
        reason = "the connection went on elsewhere" if self._successor is not None else "the connection ended"
        for session_id in self.subscriptions:
            feed.unsubscribe(session_id, self, reason)
        self.subscriptions.clear()
        self._behind.clear()

    def _shown(self) -> dict[str, str | None]:
        """Say in the log who it is."""
        known = {"connection_id": self.connection_id, "client_id": self.client_id}
        image = {} if self._link is None else {"image_id": self._link.image_id}
        return {"transport": self._pipe.transport_name, "address": self._pipe.address, **known, **image}

    # ---- what commands do

    def greet(
        self, hello: Hello, link: ImageLink | None, connection_id: ConnectionId, principal: Principal
    ) -> Sequence[str]:
        """Take up a role, and the name of a connection; tell which requests of that are owed an answer here."""
        self.greeted = True
        self.must_greet = False
        self.role = hello.role
        self.client_id = hello.client_id
        self.principal = principal
        self.rights = rights_in_role(hello.role, principal.rights)
        self._link = link
        messages = self._host.limits.messages
        self._limit_bytes = messages.client_bytes if link is None else messages.image_bytes
        self._pipe.limit_messages(self._limit_bytes, strict=False)
        self._pipe.whole_only = link is not None
        if self._pipe.ticket is not None:
            self._pipe.ticket.known()
        self.connection_id = connection_id
        _log.info("peer.greeted", role=hello.role, **self._shown())
        elder = self._host.take_over(self)
        return [] if elder is None else self._inherit(elder)

    def enter(self, principal: Principal, client_id: str | None, connection_id: ConnectionId | None) -> None:
        """Be a client that the transport's own handshake told of. Without a name it is there for one request."""
        self.greeted = True
        self.once = connection_id is None
        self.role = "client"
        self.client_id = client_id
        self.principal = principal
        self.rights = rights_in_role("client", principal.rights)
        self.connection_id = connection_id
        self._host.take_over(self)

    def send(self, message: bytes) -> None:
        """Send one message."""
        self._pipe.send(message)

    # ---- events

    def has_room(self) -> bool:
        """Whether the peer reads what it is sent."""
        return self._pipe.has_room()

    def deliver(self, message: bytes) -> None:
        """Take an event of a subscription."""
        self._pipe.send(message)

    def joined(self, subscription: Subscription) -> None:
        """Take note of a subscription."""
        self.subscriptions[subscription.session_id] = subscription

    def fell_behind(self, subscription: Subscription) -> None:
        """Take note that events wait in a session's log for this peer."""
        self._behind[subscription.session_id] = subscription
        self.drained()

    def drained(self) -> None:
        """There is room again: go on where events were left out."""
        if self._behind and not self._catching_up and not self._lost and not self._host.draining:
            self._catching_up = True
            self._host.tasks.start(self._catch_up(), "catch_up")

    async def _catch_up(self) -> None:
        try:
            while self._behind and not self._lost and self._pipe.has_room():
                await self._host.feed.catch_up(self._behind.pop(next(iter(self._behind))))
        finally:
            self._catching_up = False

    def stalled(self) -> None:
        """The peer has not read anything for long."""
        _log.warning("peer.slow", **self._shown())
        self.close("slow_consumer")

    def dribbled(self) -> None:
        """A message was begun long ago and is not complete."""
        _log.warning("peer.too_slow", **self._shown())
        self.close("too_slow")

    def unsubscribed(self, subscription: Subscription) -> None:
        """Forget a subscription that was ended."""
        self.subscriptions.pop(subscription.session_id, None)
        self._behind.pop(subscription.session_id, None)
        if self._pipe.only_events and not self.subscriptions and not self.topics:
            self._pipe.finish()

    def close(self, close_name: str) -> None:
        """End the connection."""
        if self._link is not None and self._link.end_reason is None:
            self._link.end_reason = close_name
        self._close_name = self._close_name or close_name
        self._pipe.close(self._host.close_reasons[close_name])

    def refuse(self, close_name: str) -> None:
        """Do not let the peer in, and write it down."""
        self._host.audit.record("peer.refused", self.actor, outcome=close_name)
        self.close(close_name)

    def refuse_later(self, close_name: str) -> None:
        """End the connection once the present answer is out."""
        self._refused = close_name
        if close_name == "authentication_failed" and self._pipe.ticket is not None:
            self._pipe.ticket.failed()
            _log.warning("peer.authentication_failed", address=self._pipe.ticket.address)
