"""Does this user's daemon run, and how is it started? It outlives the terminal: that is what it is for."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from stui_sessiond import config
from stui_sessiond.errors import ConfigError
from stui_sessiond.settings import ServerSettings

START_S = 10.0
"""A daemon is there within half a second; a machine that is busy, or a disk that recovers, takes longer."""

LOOK_S = 0.05
"""Between two looks whether it is there."""

PROBE_S = 0.5
"""For a local socket to accept."""

LOG_TAIL = 500
"""So much of its log is shown when it does not start: the last lines."""


class StartError(Exception):
    """The daemon did not start; the text has the end of its log."""


def socket_path(settings: ServerSettings | None = None) -> Path:
    """Where this user's daemon listens.

    Raises:
        ConfigError: the environment has a wrong setting.
    """
    return config.unix_path(settings or config.load_settings(None, os.environ, {}).server)


def local_url() -> str | None:
    """The address of this user's daemon; None where the settings are wrong."""
    try:
        return f"unix://{socket_path()}"
    except ConfigError:
        return None


def is_running(path: Path) -> bool:
    """Tell whether somebody accepts connections there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


async def start_daemon(path: Path, log: Path, extra: tuple[str, ...] = ()) -> int:
    """Start a daemon that stays when the terminal goes, and wait until it accepts; tell its process id.

    Raises:
        StartError: it ended, or is not there after `START_S`.
        OSError: the log cannot be written.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as stream:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stui_sessiond", "serve", "--unix", str(path), *extra),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(START_S):
            while not is_running(path):
                if child.returncode is not None:
                    raise StartError(_told(log, f"the daemon ended with code {child.returncode}"))
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        child.send_signal(signal.SIGTERM)
        raise StartError(_told(log, f"the daemon was not there after {START_S:g} s")) from None
    return child.pid


def _told(log: Path, what: str) -> str:
    tail = log.read_bytes()[-LOG_TAIL:].decode("utf-8", "replace").strip()
    return f"{what}\n{tail}\n({log})"
