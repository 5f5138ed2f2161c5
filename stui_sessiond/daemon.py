"""The composition root: the only place that picks implementations and knows everybody."""

import asyncio
import functools
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond import __version__, config
from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.auditing import RequestAudit
from stui_sessiond.commands.connection import ConnectionCommands, ServerFacts
from stui_sessiond.commands.context import ContextCommands
from stui_sessiond.commands.development import DevelopmentCommands
from stui_sessiond.commands.dispatch import Dispatcher
from stui_sessiond.commands.evaluation import EvaluationCommands
from stui_sessiond.commands.event import EventCommands
from stui_sessiond.commands.gate import Quotas, SessionGate
from stui_sessiond.commands.history import HistoryCommands
from stui_sessiond.commands.image import ImageCommands
from stui_sessiond.commands.interruption import InterruptionCommands
from stui_sessiond.commands.kept import SWEEP_INTERVAL_S, Kept
from stui_sessiond.commands.many import ManyImagesCommands
from stui_sessiond.commands.paging import LongResults
from stui_sessiond.commands.pending import PendingCommands
from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.commands.session import Presence, SessionCommands
from stui_sessiond.commands.sharing import SharingCommands
from stui_sessiond.commands.storage import StorageCommands
from stui_sessiond.commands.table import CommandTable
from stui_sessiond.config import Settings
from stui_sessiond.contract import load_contract
from stui_sessiond.errors import ConfigError
from stui_sessiond.ids import SessionId
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.event import Position
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.security.access import Access
from stui_sessiond.security.audit import (
    NO_AUDIT,
    AuditLog,
    Word,
    config_reloaded,
    token_created,
    token_revoked,
)
from stui_sessiond.security.keys import gather
from stui_sessiond.security.policy import Policy
from stui_sessiond.security.principal import Principal
from stui_sessiond.security.quota import Rate
from stui_sessiond.security.resume import KEY_BYTES, ResumeTokens, open_key
from stui_sessiond.security.sealing import CLEAR
from stui_sessiond.security.token import Tokens
from stui_sessiond.server.listeners import Endpoints, Server, ServerRules
from stui_sessiond.server.peer import Peer, PeerLimits
from stui_sessiond.server.reload import Reloader
from stui_sessiond.sessions.custody import CustodyTable
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.feed import Feed
from stui_sessiond.sessions.history import HistoryRules
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.sessions.manager import LEDGER, SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.sessions.retention import LifeRules
from stui_sessiond.sessions.validator import SessionRules, SessionValidator
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.storage.audit_log import AuditRules, FileAudit
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.transports.http import Health
from stui_sessiond.wire.forms import EventMessage, encode_event
from stui_sessiond.wire.limits import MAX_DEPTH, MessageLimits
from stui_sessiond.wire.messages.connection import Limits
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)


HEARTBEAT_S = 20.0
"""Between signs of life; WebSocket peers are pinged so often."""

FAIL_STOP_S = 0.5
"""Time for answers to leave before a daemon whose disk failed ends itself."""

AUDIT_START_S = 1.0
"""How long a start waits for the disk of the audit log; a full one keeps no daemon from starting."""

EXIT_DISK_FAILED = 74
"""EX_IOERR of sysexits.h."""


class Ready(msgspec.Struct, frozen=True):
    """What the ready file says: where the daemon accepts."""

    pid: int
    server_id: str
    http: str | None
    lines: str | None
    unix: str | None
    tls: bool = False
    """Whether `http` and `lines` speak TLS."""


class Daemon:
    """One daemon. Two fit into one process: nothing is global."""

    def __init__(
        self,
        settings: Settings,
        storage: SessionStorage | None = None,
        clock: Callable[[], float] = time.time,
        audit: AuditLog | None = None,
    ) -> None:
        self.settings = settings
        self.server_id = secrets.token_hex(8)
        self.ready: Ready | None = None
        self.new_token: str | None = None
        self._clock = clock
        self._started = time.monotonic()
        self._tasks = TaskOwner("daemon")
        self._tokens: Tokens | None = None
        self._access = Access(config.access_rules(settings.access))
        self._policy = Policy(config.policy_rules(settings.policy))
        self._quotas = _quotas(settings)
        self.audit: AuditLog = NO_AUDIT
        if audit is not None:
            self.audit = audit
        elif storage is None:  # who brings a storage of his own, as tests do, brings the log as well
            kept = AuditRules(max_bytes=settings.audit.bytes, max_age_s=settings.audit.age)
            self.audit = FileAudit(config.data_dir(settings.server), LocalFileSystem(), clock, kept)
        self._resume_tokens = ResumeTokens(secrets.token_bytes(KEY_BYTES))

        sessions, limits, access = settings.sessions, settings.limits, settings.access
        rules = SessionRules(
            max_per_client=sessions.max_per_client,
            default_timeout_s=sessions.default_timeout,
            max_timeout_s=sessions.max_timeout,
            max_bytes=sessions.max_bytes,
            max_client_bytes=settings.quotas.client_bytes,
            history=HistoryRules(
                max_versions=settings.history.versions,
                max_bytes=settings.history.bytes,
                max_age_s=settings.history.age,
            ),
        )
        life = LifeRules(
            retention_s=sessions.retention,
            cleanup_interval_s=sessions.cleanup_interval,
            autosave_interval_s=sessions.autosave_interval,
        )
        contract = load_contract()
        self._sealer = CLEAR if storage else gather(settings.encryption, config.data_dir(settings.server), os.environ)
        self.disk_failed = False
        """Whether the disk failed in a way after which the process has to end."""
        self.stop_asked = asyncio.Event()
        self._storage = storage or FileStorage(
            config.data_dir(settings.server),
            on_failure=self._give_up,
            backup_interval_s=settings.backups.interval or None,
            sealer=self._sealer,
        )
        validator = SessionValidator(rules, self._access)
        hub = Hub(_encode_event, clock, self.server_id)
        events = settings.events
        log_rules = LogRules(max_events=events.count, max_bytes=events.bytes, max_age_s=events.age)
        keeper = Keeper(self._storage, validator, hub, log_rules, clock)
        self.manager = SessionManager(keeper, life)
        self.images = ImageRegistry(clock)
        book = RequestBook(keeper, LEDGER, custody := CustodyTable())
        driving = Driving(keeper, hub, clock)
        feed = Feed(keeper, hub, driving, life.retention_s)
        running, long_results = RunningTable(), LongResults()
        self._image_commands = ImageCommands(self.images, self.manager, keeper, book, hub, running)
        approvals = Approvals(self._policy, keeper.post_to, clock)
        self._keeping = keeping = Kept(self.manager, keeper, book, self.images, hub, custody)
        self._relay = relay = Relay(self.manager, book, self.images, approvals, keeping, clock, running, long_results)
        self._asking = (
            InterruptionCommands(self.manager, book, self.images, running),
            ManyImagesCommands(self.images, approvals),
        )
        told = Limits(
            message_bytes=limits.client_message_bytes,
            json_depth=MAX_DEPTH,
            requests_in_flight=limits.requests_in_flight,
            evaluations_in_flight=limits.evaluations_in_flight,
            subscriptions=limits.subscriptions,
            session_bytes=sessions.max_bytes,
            sessions_per_client=sessions.max_per_client,
        )
        told_images = replace(told, message_bytes=limits.image_message_bytes)
        facts = ServerFacts(self.server_id, HEARTBEAT_S, told, told_images)
        families = (
            SessionCommands(
                self.manager,
                hub,
                driving,
                self._storage,
                self.images,
                self._presence,
                limits.max_connections,
                clock,
                keeping.end_session,
            ),
            ContextCommands(self.manager, relay, keeping.objects),
            keeping,
            DevelopmentCommands(relay, self.uptime_s),
            HistoryCommands(self.manager),
            StorageCommands(self._storage),
            self._image_commands,
            EvaluationCommands(book, relay, running, long_results),
            *self._asking,
            PendingCommands(),
            approvals,
            EventCommands(self.manager, book, relay, feed, hub, limits.subscriptions),
            SharingCommands(self.manager, feed, hub, driving),
            ConnectionCommands(
                facts,
                contract,
                validator,
                hub,
                book,
                self.images,
                self._image_commands,
                relay.receive_stray,
                self._find_token,
                self._access,
                self._crowded,
                lambda: self._resume_tokens,
                self._remembered,
            ),
        )
        table = CommandTable(contract, [command for family in families for command in family.commands()])
        self.server = Server(
            Dispatcher(
                table,
                contract.errors,
                clock,
                SessionGate(keeper.shelf, driving, self._access, self._quotas, time.monotonic),
                RequestAudit(self.audit),
            ),
            contract.close_reasons,
            self._image_commands,
            self.images.leave,
            feed,
            PeerLimits(
                messages=MessageLimits(
                    client_bytes=limits.client_message_bytes, image_bytes=limits.image_message_bytes
                ),
                requests_in_flight=limits.requests_in_flight,
                evaluations_in_flight=limits.evaluations_in_flight,
            ),
            ServerRules(
                token_needed=settings.server.auth == "token",
                access=self._access,
                max_connections=limits.max_connections,
                connections_per_token=limits.connections_per_token,
                unauthenticated=limits.unauthenticated,
                unauthenticated_per_address=limits.unauthenticated_per_address,
                failed_authentications=limits.failed_authentications,
                handshake_s=limits.handshake_timeout,
                hello_s=limits.hello_timeout,
                message_s=limits.message_timeout,
                tls=config.tls_files(settings.tls),
                ping_interval_s=HEARTBEAT_S,
                origins=tuple(access.origins),
                hosts=tuple(access.hosts),
            ),
            self.audit,
        )

    # ---- life

    async def start(self) -> Ready:
        """Open the storage, accept connections, say so in the ready file.

        Raises:
            ConfigError, StorageError: it cannot start; nothing is left running.
        """
        server = self.settings.server
        await self.manager.open()
        _remove_ready(server.ready_file)  # one that was killed left its own
        await self._note_start()
        try:
            if server.auth == "token" and (server.http or server.lines):
                self._tokens, self.new_token = Tokens.open(config.data_dir(server), self._clock)
            if isinstance(self._storage, FileStorage):
                self._resume_tokens = ResumeTokens(open_key(config.data_dir(server), self._sealer))
            asked = Endpoints(
                http=None if server.http is None else config.parse_address(server.http, "server.http"),
                lines=None if server.lines is None else config.parse_address(server.lines, "server.lines"),
                unix=config.unix_path(server),
            )
            found = await self.server.listen(asked, self._health)
            tls = self.settings.tls.certificate is not None
            self.ready = Ready(
                os.getpid(), self.server_id, _shown(found.http), _shown(found.lines), str(found.unix), tls
            )
            if server.ready_file is not None:
                _write_ready(Path(server.ready_file), self.ready)
        except BaseException:
            await self.server.drain(0)
            await self.manager.close()
            await self._note_stop("failed")
            raise
        life = self.manager.life
        self._tasks.start(_every(life.cleanup_interval_s, self.manager.sweep), "cleanup")
        self._tasks.start(_every(life.autosave_interval_s, self.manager.autosave), "autosave")
        self._tasks.start(_every(SWEEP_INTERVAL_S, self._keeping.sweep), "kept")
        _log.info("daemon.ready", version=__version__, **msgspec.to_builtins(self.ready))
        return self.ready

    async def stop(self) -> None:
        """Finish what is under way, end all connections, store everything."""
        _log.info("daemon.draining", grace_s=self.settings.server.drain_timeout)
        await self.server.drain(self.settings.server.drain_timeout)
        await self._tasks.close()
        for asking in self._asking:
            await asking.close()
        await self._relay.close()
        await self._keeping.close()
        await self._image_commands.close()
        await self.manager.close()
        await self._note_stop("ok")
        _remove_ready(self.settings.server.ready_file)
        _log.info("daemon.stopped")

    def reload_certificate(self) -> None:
        """Read certificate and key again, for new connections."""
        self.server.reload_certificate()

    async def _note_start(self) -> None:
        if isinstance(self.audit, FileAudit):
            self.audit.open()
        server = self.settings.server
        said: dict[str, Word] = {
            "version": __version__,
            "server_id": self.server_id,
            "process": os.getpid(),
            "auth": server.auth,
        }
        places: dict[str, Word] = {"http": server.http, "lines": server.lines, "unix": str(config.unix_path(server))}
        self.audit.record("daemon.started", details={**said, **places})
        if isinstance(self.audit, FileAudit):  # it is there before anybody is let in
            await asyncio.get_running_loop().run_in_executor(None, self.audit.flush, AUDIT_START_S)

    async def _note_stop(self, outcome: str) -> None:
        self.audit.record("daemon.stopped", outcome=outcome, details={"server_id": self.server_id})
        if isinstance(self.audit, FileAudit):
            await asyncio.get_running_loop().run_in_executor(None, self.audit.close)

    def _give_up(self) -> None:
        self.disk_failed = True
        self.stop_asked.set()

    # ---- what others ask of it

    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def _presence(self) -> Presence:
        return Presence(round(self.uptime_s(), 3), self.server.counts())

    def _find_token(self, token: str) -> tuple[Principal | None, str]:
        return (None, "unknown") if self._tokens is None else self._tokens.find(token)

    def _crowded(self, principal: Principal) -> bool:
        return self.server.crowded(principal)

    def _may_stay(self, peer: Peer) -> bool:
        if peer.principal is None:
            return True
        if self._tokens is not None and not self._tokens.still_valid(peer.principal):
            return False
        return peer.client_id is None or self._access.rules.clients.admits(peer.client_id)

    def _recheck(self) -> int:
        return self.server.recheck(self._may_stay)

    def apply(self, settings: Settings) -> None:
        """Put into force what can change while the daemon runs: lists, quotas, policy."""
        self._access.rules = config.access_rules(settings.access)
        self._policy.replace(config.policy_rules(settings.policy))
        config_reloaded(self.audit, ["access", "policy", "quotas"])
        fresh = _quotas(settings)
        self._quotas.requests, self._quotas.evaluations = fresh.requests, fresh.evaluations

    def _reload_tokens(self) -> None:
        for change in self._tokens.reload() if self._tokens is not None else ():
            record = change.record
            _log.info(f"token.{change.what}", name=record.name)
            if change.what == "created":
                expires_at = None if record.expires_at is None else format_time(record.expires_at)
                token_created(self.audit, None, record.name, record.rights, expires_at)
            else:
                token_revoked(self.audit, None, record.name)

    def reloader(self, reread: config.Reread) -> Reloader:
        """Make what looks at the files of settings and tokens."""
        return Reloader(
            reread.file,
            lambda: self.apply(reread.read()),
            self._reload_tokens,
            self._recheck,
        )

    def reload(self, reloader: Reloader) -> None:
        """Take up now what can change while the daemon runs: lists, quotas, policy, tokens, the certificate."""
        if self.settings.tls.certificate is not None:
            self.reload_certificate()
        reloader.check(now=True)

    def watch(self, reloader: Reloader) -> None:
        """Look at those files as long as the daemon runs."""
        self._tasks.start(reloader.run(), "reload")

    def _remembered(self, request: RequestEntry) -> bytes | None:
        return self.server.dispatcher.remembered(request)

    def _health(self) -> Health:
        storage = self._storage.status()
        return Health(
            status="draining" if self.server.draining else "ok" if storage.status == "ok" else "degraded",
            server_id=self.server_id,
            server_version=__version__,
            uptime_seconds=round(self.uptime_s(), 3),
            sessions=self.manager.totals().sessions,
            images=len(self.images.connected),
            storage=storage.status,
        )


async def serve(settings: Settings, reread: config.Reread) -> None:
    """Run a daemon until SIGTERM or SIGINT; a second SIGINT ends it at once. SIGHUP reads lists and tokens again.

    Raises:
        ConfigError, StorageError: it cannot start.
    """
    daemon = Daemon(settings)
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if daemon.stop_asked.is_set():
            os._exit(130)
        daemon.stop_asked.set()

    loop.add_signal_handler(signal.SIGTERM, daemon.stop_asked.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    reloader = daemon.reloader(reread)
    loop.add_signal_handler(signal.SIGHUP, functools.partial(daemon.reload, reloader))
    await daemon.start()
    daemon.watch(reloader)
    if daemon.new_token is not None:
        print(  # noqa: T201 -- the one time the token is shown; it must not reach the log
            f"A token was made for this data folder; it is shown only now:\n\n    {daemon.new_token}\n\n"
            "Clients and images give it with hello; `stui-sessiond call` takes it from STUI_SESSIOND_TOKEN.",
            file=sys.stderr,
            flush=True,
        )
    await daemon.stop_asked.wait()
    if daemon.disk_failed:
        await asyncio.sleep(FAIL_STOP_S)  # answers that say so are on their way
        os._exit(EXIT_DISK_FAILED)
    await daemon.stop()


async def _every(interval_s: float, work: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        result = work()
        if asyncio.iscoroutine(result):
            await result


def _quotas(settings: Settings) -> Quotas:
    quotas = settings.quotas
    return Quotas(
        Rate(quotas.requests_per_second, quotas.requests_burst),
        Rate(quotas.evaluations_per_second, quotas.evaluations_burst),
    )


def _encode_event(
    name: str, session_id: SessionId | None, position: Position, data: dict[str, Any], at: float
) -> bytes:
    return encode_event(EventMessage(name, session_id, position.epoch, position.seq, data, format_time(at)))


def _shown(place: tuple[str, int] | None) -> str | None:
    if place is None:
        return None
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write_ready(path: Path, ready: Ready) -> None:
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_bytes(msgspec.json.encode(ready) + b"\n")
        new.replace(path)
    except OSError as error:
        msg = f"server.ready_file: cannot write {path}: {error.strerror or error}"
        raise ConfigError(msg) from error


def _remove_ready(path: str | None) -> None:
    if path is not None:
        Path(path).unlink(missing_ok=True)
