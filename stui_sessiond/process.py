"""How does a daemon live as a process: signals, the one showing of a new token, its end?"""

import asyncio
import functools
import gc
import os
import signal
import sys

import structlog

from stui_sessiond import config, logs
from stui_sessiond.config import Settings
from stui_sessiond.daemon import Daemon
from stui_sessiond.server.reload import Reloader

_log = structlog.get_logger(__name__)

FAIL_STOP_S = 0.5
"""Time for answers to leave before a daemon whose disk failed ends itself."""

COLLECTOR = (10_000, 20, 50)
"""Of objects that may have cycles: so many new ones before the youngest are looked at, and so many such rounds before
the next generation, and all. Python's own are (700, 10, 10)."""

EXIT_DISK_FAILED = 74
"""EX_IOERR of sysexits.h."""


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
    loop.add_signal_handler(signal.SIGHUP, functools.partial(_hang_up, daemon, reloader))
    await daemon.start()
    daemon.watch(reloader)
    if daemon.new_token is not None:
        print(  # noqa: T201 -- the one time the token is shown; it must not reach the log
            f"A token was made for this data folder; it is shown only now:\n\n    {daemon.new_token}\n\n"
            "Clients and images give it with hello; `stui-sessiond call` takes it from STUI_SESSIOND_TOKEN.",
            file=sys.stderr,
            flush=True,
        )
    _spare_collector()
    await daemon.stop_asked.wait()
    if daemon.disk_failed:
        await asyncio.sleep(FAIL_STOP_S)  # answers that say so are on their way
        os._exit(EXIT_DISK_FAILED)
    await daemon.stop()


def _hang_up(daemon: Daemon, reloader: Reloader) -> None:
    """Take up what was changed: the log's file may have been moved away, and settings, tokens, certificate be new."""
    try:
        logs.SINK.reopen()
    except OSError as error:
        _log.error("log.not_reopened", reason=error.strerror)
    daemon.reload(reloader)


def _spare_collector() -> None:
    """Let the garbage collector look at what is new, seldom at what has lived long.

    Looking at all sessions takes tens of milliseconds, in which nobody is answered. Sessions are made without cycles;
    what it is for are exceptions and closed connections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)
    gc.enable()  # whoever started the process may have put it off
