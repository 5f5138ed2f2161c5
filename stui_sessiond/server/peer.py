"""One pipe, one protocol state, one dispatcher: what happens to a message between the socket and the command.

Guarantees: every request gets one answer; a peer that sends nonsense, floods or does not read harms only itself; what a
peer asked for goes on when it leaves, only the answer is dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
import structlog

from stui_sessiond.commands.dispatch import Dispatcher
from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import ShuttingDownError, TooManyInFlightError, WireError
from stui_sessiond.ids import SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.transports.pipe import Pipe
from stui_sessiond.wire.codec import decode_message
from stui_sessiond.wire.forms import PushedEvent, Reply, Request
from stui_sessiond.wire.limits import MessageLimits
from stui_sessiond.wire.messages.connection import Hello

_log = structlog.get_logger(__name__)

_EVERYTHING = frozenset({"connect", "session", "eval", "observe", "admin"})
_NOBODY = frozenset({"connect"})
RIGHTS_OF_ROLE = {
    "client": _EVERYTHING,
    "observer": frozenset({"connect", "observe"}),
    "image": frozenset({"connect", "image"}),
}
"""What a peer may do once it was let in, by the role it took up."""


class PeerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one peer may have under way."""

    messages: MessageLimits = MessageLimits()
    requests_in_flight: int = 64
    """Above this, nothing more is read from the peer until an answer is out."""
    evaluations_in_flight: int = 32
    """Requests that wait for an image; one more is refused, so that others still get through."""


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
    image_events: ImageEvents
    leave_image: Callable[[ImageLink], bool]
    unsubscribe: Callable[[SessionId, "Peer"], object]
    close_reasons: Mapping[str, CloseReason]
    draining: bool

    def forget(self, peer: "Peer") -> None:
        """The peer is gone."""


class Peer:
    """One connected peer; a `commands.table.Caller` and a `transports.pipe.Receiver`."""

    def __init__(self, pipe: Pipe, host: PeerHost, *, must_greet: bool) -> None:
        self.role: str | None = None
        self.client_id: str | None = None
        self.must_greet = must_greet
        self.greeted = False
        self.rights = _NOBODY if must_greet else _EVERYTHING
        self.proof = pipe.bearer
        self.subscriptions: set[Any] = set()
        self._pipe = pipe
        self._host = host
        self._link: ImageLink | None = None
        self._understood = False
        self._in_flight = 0
        self._relayed = 0
        self._holding = False
        self._ended = False
        self._lost = False
        self._refused: str | None = None
        messages = host.limits.messages
        self._limit_bytes = messages.before_hello_bytes if must_greet else messages.client_bytes

    # ---- what comes in

    def receive(self, payload: bytes) -> None:
        """Take one message."""
        try:
            message = decode_message(payload, self._limit_bytes, mend=self._link is not None)
        except WireError as error:
            self.receive_broken(error)
            return
        self._understood = True
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
        """Answer something that was no message."""
        self._pipe.send(self._host.dispatcher.refuse(error))
        if self._pipe.strict_start and not self._understood:
            self.close("protocol_violation")

    def _receive_request(self, request: Request) -> None:
        host = self._host
        if host.draining:
            self._pipe.send(host.dispatcher.refuse_request(request, ShuttingDownError("the daemon is stopping")))
            return
        relays = host.dispatcher.relays(request)
        if relays and self._relayed >= host.limits.evaluations_in_flight:
            text = f"{self._relayed} requests of this connection wait for an image already"
            self._pipe.send(host.dispatcher.refuse_request(request, TooManyInFlightError(text)))
            return
        answer = host.dispatcher.answer(request, self)
        if isinstance(answer, bytes):
            self._pipe.send(answer)
            if self._refused is not None:
                self.close(self._refused)
            return
        self._in_flight += 1
        self._relayed += relays
        host.tasks.start(self._finish(answer, relays=relays), f"request.{request.command}")
        if self._in_flight - self._relayed >= host.limits.requests_in_flight and not self._holding:
            self._holding = True
            self._pipe.hold(reading=False)

    async def _finish(self, answer: Awaitable[bytes], *, relays: bool) -> None:
        try:
            message = await answer
        finally:
            self._in_flight -= 1
            self._relayed -= relays
        if self._lost:
            return
        self._pipe.send(message)
        if self._holding and self._in_flight - self._relayed < self._host.limits.requests_in_flight:
            self._holding = False
            self._pipe.hold(reading=True)
        if self._ended and not self._in_flight:
            self._pipe.finish()

    def ended(self) -> bool:
        """The peer sends no more: stay until it has all its answers."""
        self._ended = True
        return self._in_flight > 0

    def lost(self) -> None:
        """The pipe is gone: leave everything this peer took part in."""
        self._lost = True
        for session_id in self.subscriptions:
            self._host.unsubscribe(session_id, self)
        self.subscriptions.clear()
        if self._link is not None and self._host.leave_image(self._link):
            self._host.image_events.announce(self._link, connected=False)
        self._host.forget(self)

    # ---- what commands do

    def greet(self, hello: Hello, link: ImageLink | None) -> None:
        """Take up a role."""
        self.greeted = True
        self.must_greet = False
        self.role = hello.role
        self.client_id = hello.client_id
        self.rights = RIGHTS_OF_ROLE[hello.role]
        self._link = link
        messages = self._host.limits.messages
        self._limit_bytes = messages.client_bytes if link is None else messages.image_bytes
        _log.info("peer.greeted", role=hello.role, transport=self._pipe.transport_name, client_id=hello.client_id)

    def send(self, message: bytes) -> None:
        """Send one message."""
        self._pipe.send(message)

    def deliver(self, message: bytes) -> None:
        """Take an event of a subscription."""
        self._pipe.send(message)

    def unsubscribed(self, session_id: SessionId) -> None:
        """Forget a subscription whose session is gone."""
        self.subscriptions.discard(session_id)

    def close(self, close_name: str) -> None:
        """End the connection."""
        self._pipe.close(self._host.close_reasons[close_name])

    def refuse_later(self, close_name: str) -> None:
        """End the connection once the present answer is out."""
        self._refused = close_name


async def hello_watch(peer: Peer, patience_s: float) -> None:
    """End a connection whose peer has to say hello and does not."""
    await asyncio.sleep(patience_s)
    if peer.must_greet:
        peer.close("hello_timeout")
