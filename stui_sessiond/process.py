"""How does a daemon live as a process: signals, the one showing of a new token, its successor, its end?

Exit codes: 0 it stopped, or handed over; 2 it could not start; 74 the disk failed; 130 and 143 it was ended at once.
"""

import asyncio
import functools
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path

import msgspec
import structlog

from stui_sessiond import config, logs
from stui_sessiond.daemon import Daemon
from stui_sessiond.security.kept_file import replace_file
from stui_sessiond.server.binding import Handed
from stui_sessiond.service import activation
from stui_sessiond.service.activation import Given, Inherited
from stui_sessiond.service.heart import Heart
from stui_sessiond.service.notify import Notifier
from stui_sessiond.service.succession import OUTCOME_FILE, Arrival, Outcome, SuccessionError, Successor, Word
from stui_sessiond.settings import Settings
from stui_sessiond.tasks import TaskOwner

_log = structlog.get_logger(__name__)

FAIL_STOP_S = 0.5
"""Time for answers to leave before a daemon whose disk failed ends itself."""

COLLECTOR = (10_000, 5, 200)
"""Of objects that may have cycles: so many more before the youngest are looked at, and so many such rounds before the
next generation, and all. Python's own are (700, 10, 10)."""

COLLECT_INTERVAL_S = 600.0
"""Between two looks at all of them. A daemon that serves the same all day has as many objects in the evening as in the
morning, so that nothing would be looked at: what was in use when its turn came, and is not any more, would stay."""

EXIT_DISK_FAILED = 74
"""EX_IOERR of sysexits.h."""

PREPARE_S = 60.0
"""How long a successor may take to load; meanwhile all is served."""

TAKE_OVER_S = 60.0
"""How long it may take to open a store that was closed in order, before it is ended and we serve again."""


class Launch(msgspec.Struct, frozen=True):
    """What a process is started with."""

    settings: Settings
    reread: config.Reread
    inherited: Inherited
    arrival: Arrival | None
    notifier: Notifier


def launch(
    file: Path | None,
    given: Mapping[str, str | None],
    environment: MutableMapping[str, str],
    arrival: Arrival | None,
) -> Launch:
    """Gather the settings, and what was handed in; set up the log.

    Raises:
        ConfigError: something is wrong with them.
    """
    inherited = arrival.inherited if arrival is not None else activation.from_manager(environment)
    notifier = Notifier.from_environment(environment, successor=arrival is not None)
    said = dict(environment)

    def read(over: Mapping[str, str]) -> Settings:
        return config.load_settings(file, said, {**given, **over})

    inherited = activation.fitting(inherited, read({}))
    reader = functools.partial(read, activation.overrides(inherited))
    settings = reader()
    server = settings.server
    logs.set_up_logs(server.log_format, server.log_level, config.log_file(server))
    return Launch(settings, config.Reread(file, reader), inherited, arrival, notifier)


async def serve(launched: Launch) -> None:
    """Run a daemon until SIGTERM or SIGINT, or until SIGUSR2 made another process take over.

    A second SIGTERM does not wait for requests, a third or a second SIGINT ends it at once. SIGHUP reads again what can
    change.

    Raises:
        ConfigError, StorageError: it cannot start.
    """
    await Process(launched).run()


class Process:
    """One process; at most one daemon at a time."""

    def __init__(self, launched: Launch) -> None:
        self._launch = launched
        self._notifier = launched.notifier
        self._tasks = TaskOwner("process")
        self._heart = Heart(launched.notifier, self._stalled_s)
        self._restart = asyncio.Event()
        self._stop = asyncio.Event()
        self._terms = 0
        self._successor: Successor | None = None
        """Who gets ready to take over, or does."""
        sockets = {kind: given.sockets for kind, given in launched.inherited.items()}
        managed = [kind for kind, given in launched.inherited.items() if given.managed]
        self._daemon = Daemon(launched.settings, handed=Handed(sockets, managed))
        self._take_daemon(self._daemon)

    def _take_daemon(self, daemon: Daemon) -> None:
        self._daemon = daemon
        daemon.stop_asked = self._stop
        self._reloader = daemon.reloader(self._launch.reread)

    async def run(self) -> None:
        """Live."""
        self._catch_signals()
        arrival = self._launch.arrival
        if arrival is not None:
            _load_the_rest(self._launch.settings)
            arrival.channel.say(Word("prepared"))
            await arrival.channel.hear("go")
        try:
            await self._start(self._daemon)
        finally:
            self._show_token()  # one that was made is good, whatever went wrong after it, and is never shown again
        if arrival is not None:
            ready = self._daemon.ready
            arrival.channel.say(Word("ready", pid=os.getpid(), server_id=ready.server_id if ready else ""))
            await self._until_released(arrival)
        self._notifier.tell("READY=1", "STATUS=serving")
        self._tasks.start(self._heart.beat(), "heart")
        _spare_collector()
        self._tasks.start(_collect(), "collector")
        if not await self._serve_on():
            self._notifier.tell("STOPPING=1", "STATUS=stopping")
            asking = self._tasks.start(self._heart.ask_for_time(), "stopping")
            await self._daemon.stop()
            asking.cancel()
        await self._tasks.close()

    async def _start(self, daemon: Daemon) -> None:
        self._notifier.status("opening the store")
        asking = self._tasks.start(self._heart.ask_for_time(), "starting")
        try:
            await daemon.start()
        finally:
            asking.cancel()
        daemon.watch(self._reloader)

    async def _until_released(self, arrival: Arrival) -> None:
        """Wait until the one before has told the service manager who we are, or is gone."""
        try:
            await arrival.channel.hear("done")
        except SuccessionError as error:
            _log.warning("succession.predecessor_gone", reason=str(error))
        arrival.channel.close()

    def _stalled_s(self) -> float:
        return self._daemon.storage.stalled_s()  # whichever daemon it is by now

    async def _serve_on(self) -> bool:
        """Serve until the end; tell whether another process has taken over."""
        while True:
            asked = [self._tasks.start(event.wait(), "asked") for event in (self._stop, self._restart)]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for task in asked:
                task.cancel()
            if self._daemon.disk_failed:
                await asyncio.sleep(FAIL_STOP_S)  # answers that say so are on their way
                os._exit(EXIT_DISK_FAILED)
            if self._stop.is_set():
                return False
            if await self._hand_over():
                return True
            self._restart.clear()

    # ---- another process takes over

    async def _hand_over(self) -> bool:
        """Have another process take over; if it cannot, serve on."""
        _log.info("succession.preparing")
        self._note("preparing")
        self._notifier.reloading()
        self._notifier.status("another process gets ready to take over")
        try:
            successor = self._successor = Successor.start(self._estate(), os.environ)
        except SuccessionError as error:
            return self._not_handed_over(str(error))
        reason = await self._prepared(successor)
        if reason is None:
            await self._daemon.storage.checkpoint()
            reason = self._unwanted()
        if reason is not None:
            await self._end(successor)
            return self._not_handed_over(reason)
        return await self._let_go(successor)

    async def _prepared(self, successor: Successor) -> str | None:
        """Wait until it is prepared, or until this daemon is to stop; tell what is in the way, if anything."""

        async def hear() -> str | None:
            try:
                await self._hear(successor, "prepared", PREPARE_S)
            except SuccessionError as error:
                return str(error)
            return None

        waiting = [self._tasks.start(hear(), "preparing"), self._tasks.start(self._stop.wait(), "asked")]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)  # nobody listens to the channel any more when it is closed
        return self._unwanted() or waiting[0].result()

    def _unwanted(self) -> str | None:
        return "the daemon was told to stop meanwhile" if self._stop.is_set() else None

    async def _end(self, successor: Successor) -> None:
        await asyncio.to_thread(successor.end)
        self._successor = None

    async def _let_go(self, successor: Successor) -> bool:
        sockets = dict(self._daemon.server.sockets)
        began = time.monotonic()
        self._note("handing_over")
        await self._daemon.stop(hand_over=True)
        stopped = time.monotonic()
        successor.channel.say(Word("go"))
        try:
            ready = await self._hear(successor, "ready", TAKE_OVER_S)
        except SuccessionError as error:
            await self._end(successor)
            return await self._take_back(sockets, str(error))
        pause_s, stopping_s = time.monotonic() - began, stopped - began
        _log.info("succession.handed_over", pid=ready.pid, pause_s=round(pause_s, 3), stopping_s=round(stopping_s, 3))
        self._write(Outcome(state="taken_over", pid=ready.pid, server_id=ready.server_id, pause_s=round(pause_s, 3)))
        self._notifier.tell(f"MAINPID={ready.pid}")
        await asyncio.to_thread(self._notifier.settle)
        successor.channel.say(Word("done"))
        if self._stop.is_set() and not self._daemon.disk_failed:  # who stops this process means the daemon
            _log.info("succession.stop_passed_on", pid=ready.pid)
            successor.stop()
        successor.release()
        return True

    async def _take_back(self, sockets: "Mapping[str, object]", reason: str) -> bool:
        handed = Handed(sockets, [kind for kind, given in self._launch.inherited.items() if given.managed])  # type: ignore[arg-type]  # as they are
        self._take_daemon(Daemon(self._launch.settings, handed=handed))
        await self._start(self._daemon)
        return self._not_handed_over(reason)

    def _not_handed_over(self, reason: str) -> bool:
        _log.error("succession.failed", reason=reason)
        self._note("failed", reason)
        self._notifier.tell("READY=1", f"STATUS=serving; the last restart failed: {reason.splitlines()[0]}")
        return False

    async def _hear(self, successor: Successor, word: str, patience_s: float) -> Word:
        try:
            async with asyncio.timeout(patience_s):
                return await successor.channel.hear(word)
        except TimeoutError:
            msg = f"it was not {word} within {patience_s:g} s"
            raise SuccessionError(msg) from None

    def _estate(self) -> Mapping[str, Given]:
        asked = {kind: activation.asked_for(self._launch.settings, kind) for kind in self._daemon.server.sockets}
        managed = {kind for kind, given in self._launch.inherited.items() if given.managed}
        return {
            kind: Given(sockets, None if kind in managed else asked[kind])
            for kind, sockets in self._daemon.server.sockets.items()
        }

    def _note(self, state: "str", reason: str = "") -> None:
        ready = self._daemon.ready
        self._write(
            Outcome(state=state, pid=os.getpid(), server_id=ready.server_id if ready else "", reason=reason)  # type: ignore[arg-type]  # one of the four
        )

    def _write(self, outcome: Outcome) -> None:
        """Leave word of how it went beside the socket. It is for people; that it cannot be written stops nothing."""
        path = config.unix_path(self._launch.settings.server).with_name(OUTCOME_FILE)
        try:
            replace_file(path, outcome.as_json().encode(), durable=False)
        except OSError as error:
            _log.warning("succession.no_outcome_file", path=str(path), reason=error.strerror)

    # ---- signals

    def _catch_signals(self) -> None:
        handlers: Mapping[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: self._terminated,
            signal.SIGINT: self._interrupted,
            signal.SIGHUP: self._reload,
            signal.SIGUSR2: self._restart_asked,
        }
        loop = asyncio.get_running_loop()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)

    def _terminated(self) -> None:
        self._terms += 1
        if self._terms > 2:  # noqa: PLR2004 -- the third
            self._exit(128 + signal.SIGTERM)
        if self._terms > 1:
            self._daemon.server.hurried.set()
        self._stop.set()

    def _interrupted(self) -> None:
        if self._stop.is_set():
            self._exit(128 + signal.SIGINT)
        self._stop.set()

    def _exit(self, code: int) -> None:
        """End at once, and whoever takes over with it."""
        if self._successor is not None:
            self._successor.kill()
        os._exit(code)

    def _reload(self) -> None:
        try:
            logs.SINK.reopen()
        except OSError as error:
            _log.error("log.not_reopened", reason=error.strerror)
        self._notifier.reloading()
        self._daemon.reload(self._reloader)
        self._notifier.tell("READY=1")

    def _restart_asked(self) -> None:
        if sys.platform == "darwin" and os.environ.get("XPC_SERVICE_NAME", "0") != "0":
            _log.error("succession.refused", reason="launchd ends the job with its first process; restart the service")
            return
        self._restart.set()

    def _show_token(self) -> None:
        token = self._daemon.new_token
        if token is None:
            return
        data = config.data_dir(self._launch.settings.server)
        if logs.SINK.kept or self._notifier:
            path = data / "first-token"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                file.write(f"{token}\n")
            _log.info("token.first", path=str(path), advice="read it, keep it elsewhere, and remove the file")
            return
        print(  # noqa: T201 -- the one time the token is shown; it must not reach the log
            f"A token was made for this data folder; it is shown only now:\n\n    {token}\n\n"
            "Clients and images give it with hello; `stui-sessiond call` takes it from STUI_SESSIOND_TOKEN.",
            file=sys.stderr,
            flush=True,
        )


def _load_the_rest(settings: Settings) -> None:
    """Load what is otherwise loaded when it is needed: nobody is served meanwhile."""
    if settings.server.http is not None:
        import uvicorn  # noqa: F401, PLC0415

        from stui_sessiond.transports import web, websocket  # noqa: F401, PLC0415
        from stui_sessiond.web import app  # noqa: F401, PLC0415


async def _collect() -> None:
    """Look at all objects now and then, and tell how long that took."""
    while True:
        await asyncio.sleep(COLLECT_INTERVAL_S)
        started = time.monotonic()
        found = gc.collect()
        _log.debug("process.collected", objects=found, seconds=round(time.monotonic() - started, 4))


def _spare_collector() -> None:
    """Let the garbage collector look at what is new, seldom at what has lived long.

    Looking at all sessions takes tens of milliseconds, in which nobody is answered. Sessions are made without cycles;
    what it is for are exceptions and closed connections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)
    gc.enable()  # whoever started the process may have put it off
