"""Where do peers come in? Accepts connections, bounds their number, and ends them in an orderly way."""

import asyncio
import functools
import socket
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog

from stui_sessiond.commands.dispatch import Dispatcher
from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import ConfigError, ShuttingDownError, TooManyConnectionsError
from stui_sessiond.ids import ConnectionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.security.access import Access
from stui_sessiond.security.admission import Admission, AdmissionRules, Ticket
from stui_sessiond.security.audit import NO_AUDIT, AuditLog
from stui_sessiond.security.origin import allowed_hosts
from stui_sessiond.security.principal import Principal
from stui_sessiond.security.resume import new_connection_id
from stui_sessiond.security.tls import TlsFiles
from stui_sessiond.server.binding import BACKLOG, Handed, bind_tcp, bind_unix
from stui_sessiond.server.certificate import LiveCertificate
from stui_sessiond.server.connections import ConnectionTally
from stui_sessiond.server.door import Door
from stui_sessiond.server.outline import outline
from stui_sessiond.server.peer import ImageEvents, Peer, PeerLimits
from stui_sessiond.sessions.feed import Feed
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.transports.events import Beat
from stui_sessiond.transports.lines import LineProtocol
from stui_sessiond.transports.pipe import Pipe, PipeLimits
from stui_sessiond.transports.turn import Turn
from stui_sessiond.wire.messages.overview import ConnectionRow
from stui_sessiond.wire.messages.session import ConnectionCounts

if TYPE_CHECKING:
    from stui_sessiond.transports.web import HttpServer

_log = structlog.get_logger(__name__)

POLITE_REFUSALS = 64
"""Connections above the largest number that are told so (4403); beyond them they are cut off."""

PARKED_S = 600.0
"""How long answers are kept for a connection that is gone."""

MAX_PARKED = 1024
"""Connections that answers are kept for; those gone longest are forgotten first."""


_KEEP_PATH: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""The path of the unix socket is removed here, if it is: another process may listen on it by then."""


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen; None: not there. Ports may be 0."""

    http: tuple[str, int] | None = None
    lines: tuple[str, int] | None = None
    unix: Path | None = None


class Parting(msgspec.Struct, frozen=True):
    """How long the end waits for what, in seconds."""

    grace_s: float = 0.0
    """Requests that are under way."""
    relayed_s: float = 0.0
    """Those of them that wait for images."""
    delay_s: float = 0.0
    """Before that: all is served, and whoever asks whether we are ready hears no, and sends peers elsewhere."""


class ServerRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who is let in."""

    token_needed: bool
    """Whether peers over TCP and HTTP have to show a token; over the unix socket the system vouches for them."""
    max_connections: int = 1024
    connections_per_token: int = 32
    unauthenticated: int = 64
    unauthenticated_per_address: int = 8
    failed_authentications: int = 5
    """Attempts an address has in a minute."""
    handshake_s: float = 10.0
    """How long TLS and an HTTP request may take, that of a WebSocket's handshake included."""
    hello_s: float = 5.0
    """How long a peer that has to say hello may take."""
    message_s: float = 10.0
    """How long a message may take from its first byte to its last."""
    tls: TlsFiles | None = None
    """None: TCP and HTTP are plain."""
    access: Access = msgspec.field(default_factory=Access)
    """The operator's lists; addresses are looked up there."""
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ping_interval_s: float = 20.0


class Server:
    """Holds the listeners and all peers. A `server.peer.PeerHost`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        close_reasons: Mapping[str, CloseReason],
        image_events: ImageEvents,
        leave_image: Callable[[ImageLink], bool],
        feed: Feed,
        limits: PeerLimits,
        rules: ServerRules,
        audit: AuditLog = NO_AUDIT,
    ) -> None:
        self.dispatcher = dispatcher
        self.audit = audit
        self.close_reasons = close_reasons
        self.image_events = image_events
        self.leave_image = leave_image
        self.feed = feed
        self.limits = limits
        self.tasks = TaskOwner("server")
        self.relayed = TaskOwner("relayed")
        """Requests that wait for images, which may be long."""
        self.draining = False
        self.leaving = False
        """Whether the end has begun; all is served still."""
        self.hurried = asyncio.Event()
        """Set when the end must not wait for anything."""
        self.connections = ConnectionTally()
        self.rules = rules
        self._peers: set[Peer] = set()
        self._unchecked: set[Peer] = set()
        """Those of them that `recheck` has not looked at since they are known."""
        self._decided: object = None
        """What decided who may stay when it looked at all."""
        self._hellos: dict[Peer, asyncio.TimerHandle] = {}
        """Those that have to say hello, and what ends their connection if they do not."""
        self._by_token: Counter[str | None] = Counter()
        """Peers that said hello, by the token they showed."""
        self._by_name: dict[ConnectionId, Peer] = {}
        """The newest peer of each connection: those that are there, and those that are parked."""
        self._parked: OrderedDict[ConnectionId, asyncio.TimerHandle] = OrderedDict()
        """Peers that are gone and are owed answers, and what ends that."""
        self._watches = TaskOwner("hello")
        self._listeners: list[asyncio.AbstractServer] = []
        self._doors: list[Door] = []
        self._uvicorn: HttpServer | None = None
        self._handed = Handed()
        self.sockets: dict[str, Sequence[socket.socket]] = {}
        """What listens, by listener. The listeners have descriptors of their own of the same sockets."""
        self._unix: Path | None = None
        self.hosts: set[str] = set()
        """What `Host` may be. Changes with the certificate; the listeners hold this very set."""
        self._http: tuple[str, int] | None = None
        self._certificate: LiveCertificate | None = None
        messages = limits.messages
        self.pipe_limits = PipeLimits(
            message_bytes=max(messages.client_bytes, messages.image_bytes), message_s=rules.message_s
        )
        admission = AdmissionRules(
            connections=rules.max_connections + POLITE_REFUSALS,
            unauthenticated=rules.unauthenticated,
            unauthenticated_per_address=rules.unauthenticated_per_address,
            failures=rules.failed_authentications,
        )
        self.admission = Admission(admission, time.monotonic)
        self.turn = Turn()
        self.beat = Beat()

    # ---- listening

    async def listen(
        self, endpoints: Endpoints, make_app: Callable[[], Any], handed: Handed | None = None
    ) -> Endpoints:
        """Start to accept; tell where, with the real ports. `make_app` makes the ASGI application, if HTTP is wanted.

        A listener whose sockets are handed in binds none.

        Raises:
            ConfigError: a place cannot be listened on; the text says why and what to do.
        """
        http = lines = None
        self._handed = handed or Handed()
        if self.rules.tls is not None and (endpoints.lines or endpoints.http):
            self._certificate = LiveCertificate(self.rules.tls, self._take_names)
            self._watches.start(self._certificate.watch(), "certificate")
        if endpoints.unix is not None:
            await self._listen_unix(endpoints.unix)
        if endpoints.lines is not None:
            lines = self._listen_lines(endpoints.lines)
        if endpoints.http is not None:
            http = await self._listen_http(endpoints.http, make_app)
        return Endpoints(http=http, lines=lines, unix=endpoints.unix)

    async def _listen_unix(self, path: Path) -> None:
        (sock,) = self._take_sockets("unix", lambda: [bind_unix(path)])
        self._unix = path
        factory = functools.partial(LineProtocol, self._accept, self.pipe_limits, turn=self.turn, same_user=True)
        loop = asyncio.get_running_loop()
        self._listeners.append(await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG, **_KEEP_PATH))

    def _take_sockets(self, kind: str, bind: Callable[[], Sequence[socket.socket]]) -> Sequence[socket.socket]:
        """Take the sockets that are handed in, or bind; return descriptors that their listener may close."""
        given = self._handed.sockets.get(kind)
        self.sockets[kind] = bind() if given is None else given
        return [sock.dup() for sock in self.sockets[kind]]

    def _listen_lines(self, place: tuple[str, int]) -> tuple[str, int]:
        factory = functools.partial(LineProtocol, self._accept, self.pipe_limits, turn=self.turn, same_user=False)
        return self._open_door("lines", place, factory)

    async def _listen_http(self, place: tuple[str, int], make_app: Callable[[], Any]) -> tuple[str, int]:
        # Starlette, uvicorn and websockets are a third of what is imported; a daemon on its unix socket needs none.
        import uvicorn  # noqa: PLC0415

        from stui_sessiond.transports.web import HttpServer  # noqa: PLC0415
        from stui_sessiond.transports.websocket import WebSocketProtocol, WebSocketRules  # noqa: PLC0415

        rules = WebSocketRules(hosts=self.hosts, origins=self.rules.origins, ping_interval_s=self.rules.ping_interval_s)
        config = uvicorn.Config(
            make_app(),
            ws=functools.partial(WebSocketProtocol, self._accept, self.pipe_limits, rules, turn=self.turn),  # type: ignore[arg-type]  # uvicorn only calls it
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # who says what they like about addresses and schemes is believed nothing
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._uvicorn = HttpServer(config, self.rules.handshake_s, self.limits.messages.client_bytes)
        self._uvicorn_task = self._watches.start(self._uvicorn.serve(), "http")
        while not self._uvicorn.started:  # it tells by this flag alone
            if self._uvicorn_task.done():
                msg = "http: the HTTP server did not start; the log says why"
                raise ConfigError(msg)
            await asyncio.sleep(0.001)
        self._http = self._open_door("http", place, self._uvicorn.make_protocol)
        self._take_names(self._certificate.names if self._certificate is not None else ())
        return self._http

    def _open_door(
        self, kind: Literal["lines", "http"], place: tuple[str, int], make: Callable[[Ticket], asyncio.Protocol]
    ) -> tuple[str, int]:
        sockets = self._take_sockets(kind, lambda: bind_tcp(place, kind))
        door = Door(kind, sockets, make, self.admission, self.close_reasons, self._certificate, self.rules.handshake_s)
        self._doors.append(door)
        door.open()
        return place[0], sockets[0].getsockname()[1]

    def _take_names(self, names: Collection[str]) -> None:
        """Answer to the names of the certificate, and to those of the settings."""
        if self._http is not None:
            self.hosts.clear()
            self.hosts.update(allowed_hosts(*self._http, self.rules.hosts, names))

    def reload_certificate(self) -> None:
        """Read certificate and key again; new connections get them. What is wrong with them is in the log."""
        if self._certificate is not None:
            self._certificate.reload()

    # ---- peers

    def _accept(self, pipe: Pipe) -> Peer | None:
        must_greet = self.rules.token_needed and not pipe.same_user
        peer = Peer(pipe, self, must_greet=must_greet)
        if pipe.ticket is not None and not self.rules.access.rules.addresses.admits(pipe.ticket.address):
            _log.warning("peer.address_not_allowed", address=pipe.ticket.address)
            self._refuse(peer, "address_not_allowed")
            return None
        if len(self._peers) >= self.rules.max_connections or self.draining:
            self._refuse(peer, "shutting_down" if self.draining else "too_many_connections")
            return None
        self._add(peer)
        self.connections.enter(peer.transport_name)
        if must_greet:
            wait = asyncio.get_running_loop().call_later(self.rules.hello_s, peer.refuse, "hello_timeout")
            self._hellos[peer] = wait
        elif pipe.ticket is not None:
            pipe.ticket.known()
        return peer

    def _refuse(self, peer: Peer, close_name: str) -> None:
        self.connections.refused[peer.transport_name, close_name] += 1
        peer.refuse(close_name)

    def enter(self, pipe: Pipe, principal: Principal, client_id: str | None, *, lasting: bool) -> Peer:
        """Make the peer of somebody whom the transport's own handshake told of; `lasting`: for more than one request.

        Raises:
            ShuttingDownError, TooManyConnectionsError: there is no place for it.
        """
        if self.draining:
            msg = "the daemon is stopping"
            raise ShuttingDownError(msg)
        if len(self._peers) >= self.rules.max_connections or self.crowded(principal):
            msg = "the daemon, or the token, has as many connections as it may have; each request counts as one"
            raise TooManyConnectionsError(msg)
        peer = Peer(pipe, self, must_greet=False)
        self._add(peer)
        if lasting:
            self.connections.enter(peer.transport_name)
        peer.enter(principal, client_id, new_connection_id() if lasting else None)
        return peer

    def crowded(self, principal: Principal) -> bool:
        """Tell whether somebody has as many connections as one token may have. The daemon's own user is not counted."""
        if principal.trusted:
            return False
        return self._by_token[principal.token_id] >= self.rules.connections_per_token

    def _add(self, peer: Peer) -> None:
        self._peers.add(peer)
        self._unchecked.add(peer)

    def recheck(self, may_stay: Callable[[Peer], bool], decides: object) -> int:
        """End the connections of peers that may not stay; tell how many.

        As long as what decides is equal to what did the last time, only those are looked at that are new: to look at
        10,000 takes tens of milliseconds, in which nobody is answered.
        """
        ended = [peer for peer in (self._unchecked if decides == self._decided else self._peers) if not may_stay(peer)]
        self._decided = decides
        self._unchecked = {peer for peer in self._unchecked if not peer.greeted}
        for peer in ended:
            _log.warning(
                "peer.access_revoked", client_id=peer.client_id, connection_id=peer.connection_id, role=peer.role
            )
            peer.close("access_revoked")
        return len(ended)

    def forget(self, peer: Peer) -> None:
        """The peer is gone. While it is owed answers its name is kept, so that it can be resumed with them."""
        self._peers.discard(peer)
        self._unchecked.discard(peer)
        self._forget_hello(peer)
        if not peer.once:
            lasted_s = time.monotonic() - peer.began_at
            self.connections.leave(peer.transport_name, peer.role, peer.end_reason, lasted_s)
        name = peer.connection_id
        if peer.counted and peer.principal is not None:
            token_id = peer.principal.token_id
            self._by_token[token_id] -= 1
            if not self._by_token[token_id]:
                del self._by_token[token_id]
        if name is None or self._by_name.get(name) is not peer:
            return
        if not peer.owes or self.draining:
            del self._by_name[name]
            return
        self._parked[name] = asyncio.get_running_loop().call_later(PARKED_S, self._let_go, name)
        if len(self._parked) > MAX_PARKED:
            self._let_go(next(iter(self._parked)))

    def _let_go(self, name: ConnectionId) -> None:
        self._parked.pop(name).cancel()
        del self._by_name[name]

    def _forget_hello(self, peer: Peer) -> None:
        """Nothing waits for its hello any more, and nothing keeps it in memory for that."""
        wait = self._hellos.pop(peer, None)
        if wait is not None:
            wait.cancel()

    def take_over(self, peer: Peer) -> Peer | None:
        """Let the peer have the name of its connection; return the one that had it before."""
        self._forget_hello(peer)
        name = peer.connection_id
        if peer.principal is None:
            return None
        if not peer.once:
            self.connections.greet(peer.transport_name, peer.role or "")
        peer.counted = True
        self._by_token[peer.principal.token_id] += 1
        if name is None:
            return None
        elder, self._by_name[name] = self._by_name.get(name), peer
        if name in self._parked:
            self._parked.pop(name).cancel()
        return elder

    def counts(self) -> ConnectionCounts:
        """Count connections by role."""
        roles = [peer.role for peer in self._peers]
        return ConnectionCounts(
            total=len(roles),
            clients=roles.count("client"),
            images=roles.count("image"),
            observers=roles.count("observer"),
            before_hello=roles.count(None),
        )

    def outlines(self) -> list[ConnectionRow]:
        """Tell of every connection, in no order."""
        now, monotonic = time.time(), time.monotonic()
        return [outline(peer, now, monotonic) for peer in self._peers]

    # ---- the end

    @property
    def ready(self) -> bool:
        """Whether the end has not begun."""
        return not self.leaving and not self.draining

    async def drain(self, parting: Parting, reason: str = "shutting_down", *, keep_sockets: bool = False) -> None:
        """Accept nobody and nothing new, wait for what is under way, then end all connections.

        Args:
            parting: how long to wait for what.
            reason: the name of the close code that peers are told.
            keep_sockets: leave `sockets` open: who connects meanwhile waits in them for whoever accepts next.
        """
        self.leaving = True
        if parting.delay_s:
            await self._unless_hurried(asyncio.sleep(parting.delay_s))
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for door in self._doors:
            await door.close()
        if not keep_sockets:
            self.close_sockets()
        await self._unless_hurried(self._finish_requests(parting))
        if left := len(self.tasks) + len(self.relayed):
            _log.warning("server.drain_cut", unfinished=left)
        await self.tasks.close()
        await self.relayed.close()
        for peer in list(self._peers):
            try:
                peer.close(reason)
            except Exception:  # noqa: BLE001 -- one connection must not keep the store from being closed
                _log.exception("peer.close_failed", connection_id=peer.connection_id)
        for name in list(self._parked):
            self._let_go(name)
        if self._uvicorn is not None:
            self._uvicorn.end()
            await asyncio.wait([self._uvicorn_task], timeout=5)
        await self._watches.close()

    async def _finish_requests(self, parting: Parting) -> None:
        await asyncio.gather(self.tasks.drain(parting.grace_s), self.relayed.drain(parting.relayed_s))

    async def _unless_hurried(self, waiting: Coroutine[Any, Any, object]) -> None:
        owner = TaskOwner("parting")
        tasks = {owner.start(waiting, "wait"), owner.start(self.hurried.wait(), "hurry")}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await owner.close()

    def close_sockets(self) -> None:
        """Listen no more; who connects is refused, unless a service manager holds the socket."""
        if self._unix is not None and "unix" not in self._handed.managed:
            self._unix.unlink(missing_ok=True)
        self._unix = None
        for sockets in self.sockets.values():
            for sock in sockets:
                sock.close()
        self.sockets.clear()
