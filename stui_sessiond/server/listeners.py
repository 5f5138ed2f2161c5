"""Where do peers come in? Accepts connections, bounds their number, and ends them in an orderly way."""

import asyncio
import functools
import os
import socket
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog
import uvicorn

from stui_sessiond.commands.dispatch import Dispatcher
from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import ConfigError
from stui_sessiond.ids import ConnectionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.security.audit import NO_AUDIT, AuditLog
from stui_sessiond.security.origin import allowed_hosts
from stui_sessiond.server.peer import ImageEvents, Peer, PeerLimits, hello_watch
from stui_sessiond.sessions.feed import Feed
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.transports.http import Health, make_app
from stui_sessiond.transports.lines import LineProtocol
from stui_sessiond.transports.pipe import Pipe, PipeLimits
from stui_sessiond.transports.websocket import WebSocketProtocol, WebSocketRules
from stui_sessiond.wire.messages.session import ConnectionCounts

_log = structlog.get_logger(__name__)

HELLO_TIMEOUT_S = 5.0
"""How long a peer that has to say hello may take."""

PARKED_S = 600.0
"""How long answers are kept for a connection that is gone."""

MAX_PARKED = 1024
"""Connections that answers are kept for; those gone longest are forgotten first."""

_UNIX_PATH_BYTES = 107
"""What fits into a socket address on Linux (macOS: 103)."""


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen; None: not there. Ports may be 0."""

    http: tuple[str, int] | None = None
    lines: tuple[str, int] | None = None
    unix: Path | None = None


class ServerRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who is let in."""

    token_needed: bool
    """Whether peers over TCP and HTTP have to show a token; over the unix socket the system vouches for them."""
    max_connections: int = 1024
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
        self.draining = False
        self._rules = rules
        self._peers: set[Peer] = set()
        self._by_name: dict[ConnectionId, Peer] = {}
        """The newest peer of each connection: those that are there, and those that are parked."""
        self._parked: OrderedDict[ConnectionId, Peer] = OrderedDict()
        """Peers that are gone and are owed answers."""
        self._watches = TaskOwner("hello")
        self._listeners: list[asyncio.AbstractServer] = []
        self._uvicorn: uvicorn.Server | None = None
        self._unix: Path | None = None
        messages = limits.messages
        self._pipe_limits = PipeLimits(message_bytes=max(messages.client_bytes, messages.image_bytes))

    # ---- listening

    async def listen(self, endpoints: Endpoints, health: Callable[[], Health]) -> Endpoints:
        """Start to accept; tell where, with the real ports.

        Raises:
            ConfigError: a place cannot be listened on; the text says why and what to do.
        """
        http = lines = None
        if endpoints.unix is not None:
            await self._listen_unix(endpoints.unix)
        if endpoints.lines is not None:
            sock = _bind(endpoints.lines, "lines")
            loop = asyncio.get_running_loop()
            factory = functools.partial(LineProtocol, self._accept, self._pipe_limits, same_user=False)
            self._listeners.append(await loop.create_server(factory, sock=sock, backlog=1024))
            lines = sock.getsockname()[:2]
        if endpoints.http is not None:
            sock = _bind(endpoints.http, "http")
            http = sock.getsockname()[:2]
            await self._listen_http(sock, health)
        return Endpoints(http=http, lines=lines, unix=endpoints.unix)

    async def _listen_unix(self, path: Path) -> None:
        sock = _bind_unix(path)
        self._unix = path
        factory = functools.partial(LineProtocol, self._accept, self._pipe_limits, same_user=True)
        self._listeners.append(await asyncio.get_running_loop().create_unix_server(factory, sock=sock, backlog=1024))

    async def _listen_http(self, sock: socket.socket, health: Callable[[], Health]) -> None:
        host, port = sock.getsockname()[:2]
        hosts = allowed_hosts(host, port, self._rules.hosts)
        rules = WebSocketRules(hosts=hosts, origins=self._rules.origins, ping_interval_s=self._rules.ping_interval_s)
        config = uvicorn.Config(
            make_app(health, lambda: hosts, self._rules.origins),
            ws=functools.partial(WebSocketProtocol, self._accept, self._pipe_limits, rules),  # type: ignore[arg-type]  # uvicorn only calls it
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._uvicorn = _QuietServer(config)
        self._uvicorn_task = self._watches.start(self._uvicorn.serve(sockets=[sock]), "http")
        while not self._uvicorn.started:  # it tells by this flag alone
            if self._uvicorn_task.done():
                msg = "http: the HTTP server did not start; the log says why"
                raise ConfigError(msg)
            await asyncio.sleep(0.001)

    # ---- peers

    def _accept(self, pipe: Pipe) -> Peer | None:
        must_greet = self._rules.token_needed and not pipe.same_user
        peer = Peer(pipe, self, must_greet=must_greet)
        if len(self._peers) >= self._rules.max_connections or self.draining:
            peer.refuse("shutting_down" if self.draining else "too_many_connections")
            return None
        self._peers.add(peer)
        if must_greet:
            self._watches.start(hello_watch(peer, HELLO_TIMEOUT_S), "watch")
        return peer

    def forget(self, peer: Peer) -> None:
        """The peer is gone. While it is owed answers its name is kept, so that it can be resumed with them."""
        self._peers.discard(peer)
        name = peer.connection_id
        if name is None or self._by_name.get(name) is not peer:
            return
        if not peer.owes or self.draining:
            del self._by_name[name]
            return
        self._parked[name] = peer
        while len(self._parked) > MAX_PARKED:
            oldest = next(iter(self._parked))
            del self._parked[oldest], self._by_name[oldest]
        asyncio.get_running_loop().call_later(PARKED_S, self._let_go, name, peer)

    def _let_go(self, name: ConnectionId, peer: Peer) -> None:
        if self._parked.get(name) is peer:
            del self._parked[name], self._by_name[name]

    def take_over(self, peer: Peer) -> Peer | None:
        """Let the peer have the name of its connection; return the one that had it before."""
        name = peer.connection_id
        if name is None:
            return None
        elder, self._by_name[name] = self._by_name.get(name), peer
        self._parked.pop(name, None)
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

    # ---- the end

    async def drain(self, grace_s: float) -> None:
        """Accept nobody and nothing new, wait for what is under way, then end all connections."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        if self._unix is not None:
            self._unix.unlink(missing_ok=True)
        left = await self.tasks.drain(grace_s)
        if left:
            _log.warning("server.drain_cut", unfinished=left, grace_s=grace_s)
        await self.tasks.close()
        for peer in list(self._peers):
            peer.close("shutting_down")
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
            await asyncio.wait([self._uvicorn_task], timeout=5)
        await self._watches.close()


class _QuietServer(uvicorn.Server):
    """uvicorn without its own handling of signals: the daemon decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _bind(place: tuple[str, int], what: str) -> socket.socket:
    host, port = place
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        why = error.strerror or error
        msg = f"{what}: cannot listen on {host}:{port}: {why}; choose another port, or 0 for a free one"
        raise ConfigError(msg) from error
    return sock


def _bind_unix(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _UNIX_PATH_BYTES:
        msg = f"unix: {path} has more than {_UNIX_PATH_BYTES} bytes; choose a shorter --unix or --runtime-dir"
        raise ConfigError(msg)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(path.parent)
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(str(path))  # nobody can connect before listen(), so there is time to set the mode
            path.chmod(0o600)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        msg = f"unix: cannot listen on {path}: {error.strerror or error}"
        raise ConfigError(msg) from error
    return sock


def _check_folder(folder: Path) -> None:
    """Refuse a folder in which somebody else could put another socket in the place of ours."""
    found = folder.stat()
    foreign = found.st_uid not in {0, os.geteuid()}
    open_to_all = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if foreign or open_to_all:
        msg = f"unix: other users can change {folder}; choose a folder that is yours alone with --runtime-dir"
        raise ConfigError(msg)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that died; leave anything else alone."""
    if not path.exists():
        return
    if not path.is_socket():
        msg = f"unix: {path} exists and is no socket; remove it, or choose another --unix"
        raise ConfigError(msg)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, TimeoutError):
            path.unlink()
            return
    msg = f"unix: another daemon listens on {path}; stop it, or choose another --unix or --runtime-dir"
    raise ConfigError(msg)
