"""The composition root: the only place that picks implementations and knows everybody."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from stui_sessiond import __version__, config, logs, rules
from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.auditing import RequestAudit
from stui_sessiond.commands.authentication import Authenticator
from stui_sessiond.commands.code import CodeCommands
from stui_sessiond.commands.connection import ConnectionCommands
from stui_sessiond.commands.context import ContextCommands
from stui_sessiond.commands.development import DevelopmentCommands
from stui_sessiond.commands.evaluation import EvaluationCommands
from stui_sessiond.commands.event import EventCommands
from stui_sessiond.commands.gate import SessionGate
from stui_sessiond.commands.history import HistoryCommands
from stui_sessiond.commands.image import ImageCommands
from stui_sessiond.commands.image_session import ImageSessionCommands
from stui_sessiond.commands.image_switch import SwitchCommands
from stui_sessiond.commands.interruption import InterruptionCommands
from stui_sessiond.commands.kept import SWEEP_INTERVAL_S, Kept
from stui_sessiond.commands.many import ManyImagesCommands
from stui_sessiond.commands.mirror import Mirror
from stui_sessiond.commands.operation import OperationCommands
from stui_sessiond.commands.overview import OverviewCommands
from stui_sessiond.commands.paging import LongResults
from stui_sessiond.commands.reapply import ReapplyCommands
from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.commands.session import Presence, SessionCommands
from stui_sessiond.commands.shared_state import SharedStateCommands
from stui_sessiond.commands.sharing import SharingCommands
from stui_sessiond.commands.storage import StorageCommands
from stui_sessiond.commands.table import CommandTable
from stui_sessiond.contract import load_contract
from stui_sessiond.errors import ConfigError
from stui_sessiond.ids import SessionId
from stui_sessiond.images.memory import ImageMemory
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.images.watch import TICK_S
from stui_sessiond.life import note_start, note_stop
from stui_sessiond.model.event import Position
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.observe.choice import make_dispatcher
from stui_sessiond.observe.parts import ObservedParts
from stui_sessiond.observe.sampler import Sampler
from stui_sessiond.ready import Ready, remove_ready, shown, write_ready
from stui_sessiond.security.access import Access
from stui_sessiond.security.audit import NO_AUDIT, AuditLog, config_reloaded
from stui_sessiond.security.keys import gather
from stui_sessiond.security.policy import Policy
from stui_sessiond.security.principal import Principal
from stui_sessiond.security.resume import KEY_BYTES, ResumeTokens, open_key
from stui_sessiond.security.sealing import CLEAR
from stui_sessiond.security.token import Tokens
from stui_sessiond.server.binding import Handed
from stui_sessiond.server.listeners import Endpoints, Parting, Server
from stui_sessiond.server.peer import Peer
from stui_sessiond.server.reload import Reloader, reload_tokens
from stui_sessiond.sessions.belonging import Belonging
from stui_sessiond.sessions.custody import CustodyTable
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.feed import Feed
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.machines import Machines
from stui_sessiond.sessions.manager import LEDGER, SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.sessions.validator import SessionValidator
from stui_sessiond.settings import Settings
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.storage.audit_log import AuditRules, FileAudit
from stui_sessiond.storage.changes import CHANGE_TABLES, DatabaseChanges
from stui_sessiond.storage.database import Database, Tables
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.image_store import TABLES as IMAGE_TABLES
from stui_sessiond.storage.image_store import DatabaseImages
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.web.caller import Callers
from stui_sessiond.web.health import Health
from stui_sessiond.wire.forms import EventMessage, encode_event
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

ORPHANED_INTERVAL_S = 15.0
"""Between looks for sessions whose images have been gone for too long."""

DATABASE_TABLES: tuple[Tables, ...] = (IMAGE_TABLES, CHANGE_TABLES)
"""What is kept of images, each part with its own tables."""


class Daemon:
    """One daemon. Two fit into one process: nothing is global."""

    def __init__(
        self,
        settings: Settings,
        storage: SessionStorage | None = None,
        clock: Callable[[], float] = time.time,
        audit: AuditLog | None = None,
        handed: Handed | None = None,
    ) -> None:
        self.settings = settings
        self._handed = handed or Handed()
        self.server_id = secrets.token_hex(8)
        self.ready: Ready | None = None
        self.new_token: str | None = None
        self._clock = clock
        self._started = time.monotonic()
        self._tasks = TaskOwner("daemon")
        self._tokens: Tokens | None = None
        self._access = Access(config.access_rules(settings.access))
        self._policy = Policy(config.policy_rules(settings.policy))
        self._quotas = rules.quotas(settings)
        self.audit: AuditLog = NO_AUDIT
        if audit is not None:
            self.audit = audit
        elif storage is None:  # who brings a storage of his own, as tests do, brings the log as well
            kept = AuditRules(max_bytes=settings.audit.bytes, max_age_s=settings.audit.age)
            self.audit = FileAudit(config.data_dir(settings.server), LocalFileSystem(), clock, kept)
        self._resume_tokens = ResumeTokens(secrets.token_bytes(KEY_BYTES))

        contract = load_contract()
        self._sealer = CLEAR if storage else gather(settings.encryption, config.data_dir(settings.server), os.environ)
        self.database = Database(
            None if storage is not None else config.data_dir(settings.server), DATABASE_TABLES, self._sealer
        )
        self.disk_failed = False
        """Whether the disk failed in a way after which the process has to end."""
        self.stop_asked = asyncio.Event()
        self.storage = storage or FileStorage(
            config.data_dir(settings.server),
            on_failure=self._give_up,
            backup_interval_s=settings.backups.interval or None,
            sealer=self._sealer,
        )
        validator = SessionValidator(rules.session_rules(settings), self._access)
        self._authenticator = Authenticator(self._find_token, validator)
        hub = Hub(_encode_event, clock, self.server_id)
        keeper = Keeper(self.storage, validator, hub, rules.log_rules(settings), clock, ledger_rules=LEDGER)
        self.manager = SessionManager(keeper, life := rules.life_rules(settings))
        self._image_memory = ImageMemory(DatabaseImages(self.database), clock)
        self.images = ImageRegistry(clock, self._image_memory)
        running, long_results = RunningTable(), LongResults()
        book = RequestBook(keeper, custody := CustodyTable())
        driving = Driving(keeper, hub, clock)
        feed = Feed(keeper, hub, driving, life.retention_s)
        self._mirror = mirror = Mirror(DatabaseChanges(self.database, clock), keeper, hub, clock)
        self.machines = machines = Machines(keeper, self.manager)
        approvals = Approvals(self._policy, keeper.post_to, clock)
        self._keeping = keeping = Kept(self.manager, keeper, book, self.images, hub, custody)
        self._image_commands, self._image_sessions, switching = self._image_families(
            keeper, book, hub, running, keeping
        )
        self._relay = relay = Relay(self.manager, book, self.images, approvals, keeping, clock, running, long_results)
        self._code = code = CodeCommands(relay, mirror, clock)
        self._asking = (
            InterruptionCommands(self.manager, book, self.images, running),
            ManyImagesCommands(self.images, approvals),
        )
        families = (
            SessionCommands(
                self.manager,
                hub,
                driving,
                self.storage,
                self.images,
                self._presence,
                settings.limits.max_connections,
                clock,
                keeping.end_session,
            ),
            ContextCommands(self.manager, relay, keeping.objects),
            keeping,
            DevelopmentCommands(relay, self.uptime_s),
            code,
            mirror,
            ReapplyCommands(self.images, mirror, approvals, clock),
            HistoryCommands(self.manager),
            SharedStateCommands(self.manager, machines),
            StorageCommands(self.storage),
            OperationCommands(logs.LEVELS),
            overview := OverviewCommands(
                self.manager, hub, running, self.storage, self.images, lambda: self.server, clock, self.server_id
            ),
            EvaluationCommands(book, relay, running, long_results),
            *self._asking,
            self._image_sessions,
            switching,
            approvals,
            EventCommands(self.manager, book, relay, feed, hub, settings.limits.subscriptions),
            SharingCommands(self.manager, feed, hub, driving),
            greeting := ConnectionCommands(
                rules.server_facts(self.server_id, settings),
                contract,
                validator,
                hub,
                book,
                self.images,
                self._image_commands,
                lambda link, reply: code.receive_stray(link, reply) or relay.receive_stray(link, reply),
                self._authenticator,
                self._access,
                lambda who: self.server.crowded(who),  # noqa: PLW0108 -- it is made later
                lambda: self._resume_tokens,
                self._remembered,
            ),
        )
        self._figures = overview.figures
        table = CommandTable(contract, [command for family in families for command in family.commands()])
        self.server = Server(
            make_dispatcher(
                settings.observe,
                self.server_id,
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
            rules.peer_limits(settings),
            rules.server_rules(settings, self._access),
            self.audit,
        )
        self.observed = ObservedParts(
            version=__version__,
            uptime_s=self.uptime_s,
            server=self.server,
            connections=greeting,
            quotas=self._quotas,
            running=running,
            transitions=machines.totals,
            images=self.images,
            storage=lambda: self.storage.gauges() if isinstance(self.storage, FileStorage) else None,
            audit=lambda: self.audit.state if isinstance(self.audit, FileAudit) else None,
            sampler=Sampler(keeper.shelf, clock),
            log=logs.SINK.tally,
        )

    def _image_families(
        self, keeper: Keeper, book: RequestBook, hub: Hub, running: RunningTable, kept: Kept
    ) -> tuple[ImageCommands, ImageSessionCommands, SwitchCommands]:
        """Make what deals with images and their sessions."""
        manager, images, wanted = self.manager, self.images, self.settings.images
        belonging = Belonging(keeper, manager)
        events = ImageCommands(
            images, manager, keeper, book, hub, running, mirror=self._mirror, probing=wanted.probe, audit=self.audit
        )
        sessions = ImageSessionCommands(
            images,
            manager,
            belonging,
            hub,
            running,
            kept.end_session,
            self._clock,
            grace_s=wanted.grace,
            close_after_s=wanted.close_orphaned_after,
        )
        return events, sessions, SwitchCommands(images, belonging, running, kept)

    # ---- life

    async def start(self) -> Ready:
        """Open the storage, accept connections, say so in the ready file.

        Raises:
            ConfigError, StorageError: it cannot start; nothing is left running.
        """
        server = self.settings.server
        await self.manager.open()
        remove_ready(server.ready_file)  # one that was killed left its own
        await note_start(self.audit, self.settings.server, self.server_id)
        try:
            await self.database.open()  # the storage has the lock of the folder
            await self.images.open()
            if server.auth == "token" and (server.http or server.lines):
                self._tokens, self.new_token = Tokens.open(config.data_dir(server), self._clock)
            if isinstance(self.storage, FileStorage):
                self._resume_tokens = ResumeTokens(open_key(config.data_dir(server), self._sealer))
            asked = Endpoints(
                http=None if server.http is None else config.parse_address(server.http, "server.http"),
                lines=None if server.lines is None else config.parse_address(server.lines, "server.lines"),
                unix=config.unix_path(server),
            )
            found = await self.server.listen(asked, self._make_web, self._handed)
            tls = self.settings.tls.certificate is not None
            self.ready = Ready(os.getpid(), self.server_id, shown(found.http), shown(found.lines), str(found.unix), tls)
            if server.ready_file is not None:
                write_ready(Path(server.ready_file), self.ready)
        except BaseException:
            await self.server.drain(Parting(), keep_sockets=bool(self._handed.sockets))
            await self.database.close()
            await self.manager.close()
            await note_stop(self.audit, self.server_id, "failed")
            raise
        life = self.manager.life
        self._tasks.start(_every(life.cleanup_interval_s, self.manager.sweep), "cleanup")
        self._tasks.start(_every(life.autosave_interval_s, self.manager.autosave), "autosave")
        self._tasks.start(_every(SWEEP_INTERVAL_S, self._keeping.sweep), "kept")
        self._figures.start()
        self._tasks.start(_every(self._figures.interval_s, self._figures.sample), "figures")
        self._tasks.start(_every(TICK_S, self._image_commands.watch.tick), "images")
        self._tasks.start(_every(ORPHANED_INTERVAL_S, self._image_sessions.close_orphaned), "orphaned")
        if server.http is not None:  # somebody may want to know
            self._tasks.start(self.observed.sampler.run(), "sampler")
        _log.info("daemon.ready", version=__version__, **msgspec.to_builtins(self.ready))
        return self.ready

    async def stop(self, *, hand_over: bool = False) -> None:
        """Finish what is under way, end all connections, store everything.

        With `hand_over` another process waits for the store and the sockets, so little is waited for here.
        """
        parting = rules.parting(self.settings, hand_over=hand_over)
        _log.info("daemon.draining", grace_s=parting.grace_s, hand_over=hand_over)
        await self.server.drain(parting, "restarting" if hand_over else "shutting_down", keep_sockets=hand_over)
        await self._tasks.close()
        await self.server.dispatcher.close()
        for asking in self._asking:
            await asking.close()
        await self._relay.close()
        await self._keeping.close()
        await self._image_commands.close()
        await self._code.close()
        await self._mirror.close()
        await self._image_memory.close()
        await self.database.close()
        await self.manager.close()
        await note_stop(self.audit, self.server_id, "ok")
        remove_ready(self.settings.server.ready_file)
        _log.info("daemon.stopped")

    def reload_certificate(self) -> None:
        """Read certificate and key again, for new connections."""
        self.server.reload_certificate()

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
        if self._tokens is None:
            return None, "unknown"
        found = self._tokens.find(token)
        if found[0] is None:  # perhaps it was made just now
            with contextlib.suppress(ConfigError):  # the next look says so
                reload_tokens(self._tokens, self.audit)
            found = self._tokens.find(token)
        return found

    def _may_stay(self, peer: Peer) -> bool:
        if peer.principal is None:
            return True
        if self._tokens is not None and not self._tokens.still_valid(peer.principal):
            return False
        return peer.client_id is None or self._access.rules.clients.admits(peer.client_id)

    def _recheck(self) -> int:
        return self.server.recheck(
            self._may_stay, (self._access.rules, None if self._tokens is None else self._tokens.edition)
        )

    def apply(self, settings: Settings) -> None:
        """Put into force what can change while the daemon runs: lists, quotas, policy."""
        self._access.rules = config.access_rules(settings.access)
        self._policy.replace(config.policy_rules(settings.policy))
        config_reloaded(self.audit, ["access", "policy", "quotas"])
        fresh = rules.quotas(settings)
        self._quotas.requests, self._quotas.evaluations = fresh.requests, fresh.evaluations

    def reloader(self, reread: config.Reread) -> Reloader:
        """Make what looks at the files of settings and tokens."""
        return Reloader(
            reread.file,
            lambda: self.apply(reread.read()),
            lambda: reload_tokens(self._tokens, self.audit),
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

    def _make_web(self) -> Any:  # noqa: ANN401 -- an ASGI application
        # A daemon on its unix socket needs no Starlette.
        from stui_sessiond.web.app import Failures, WebParts, make_app  # noqa: PLC0415

        needed = self.settings.server.auth == "token"
        callers = Callers(self._authenticator, self._access, self.audit, token_needed=needed)
        return make_app(WebParts(
            health=self._health,
            callers=callers,
            failures=Failures(load_contract().errors, self.server.dispatcher.refuse),
            observed=self.observed,
            metrics_open=self.settings.observe.metrics_open,
            server=self.server,
        ))  # fmt: skip

    def _health(self) -> Health:
        storage = self.storage.status()
        return Health(
            status=("ok" if storage.status == "ok" else "degraded") if self.server.ready else "draining",
            server_id=self.server_id,
            server_version=__version__,
            uptime_seconds=round(self.uptime_s(), 3),
            sessions=self.manager.totals().sessions,
            images=len(self.images.connected),
            storage=storage.status,
        )


async def _every(interval_s: float, work: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        result = work()
        if asyncio.iscoroutine(result):
            await result


def _encode_event(
    name: str, session_id: SessionId | None, position: Position, data: dict[str, Any] | msgspec.Raw, at: float
) -> bytes:
    return encode_event(EventMessage(name, session_id, position.epoch, position.seq, data, format_time(at)))
