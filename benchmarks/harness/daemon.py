"""How is this daemon started for a measurement? As it is shipped, with tokens; only bounds for strangers are raised."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.harness.process import DEADLINE_S, Server

RAISED = """\
[limits]
max_connections = 20000
unauthenticated = 20000
unauthenticated_per_address = 20000
connections_per_token = 20000
[quotas]
requests_per_second = 0
evaluations_per_second = 0
"""
"""All that differs from the defaults: one token from one address makes all the connections, as fast as it can."""
MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder of our own is made in it
MEMORY_BYTES = 3 * 2**30
"""100,000 sessions take about a third of it."""


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of one's own, on the disk that temporary files are on."""
    with tempfile.TemporaryDirectory(prefix="stui-bench-") as name:
        yield Path(name)


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory where there is room; for many sessions, each of which becomes files that are synced."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    with tempfile.TemporaryDirectory(prefix="stui-bench-", dir=MEMORY if roomy else None) as name:
        yield Path(name)


def environment() -> dict[str, str]:
    """Ours, without the settings of a daemon that the person who measures may have.

    Compiled modules are kept even if we were told not to: otherwise a start is that of a first start, each time.
    """
    mine = ("STUI_SESSIOND_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}


def _daemon_command() -> list[str]:
    return [sys.executable, "-m", "stui_sessiond"]


@cache
def _tokens() -> tuple[dict[str, bytes], str, str, str]:
    """The files of a data folder with tokens, and the tokens: for clients, images, an administrator. Made once."""
    with folder() as home:

        def create(*arguments: str) -> str:
            command = [*_daemon_command(), "token", "create", *arguments, "--data-dir", str(home)]
            made = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
            return made.stdout.strip()

        client, image = create("bench"), create("images", "--right", "image")
        admin = create("admin", "--right", "admin", "--right", "session", "--right", "observe")
        return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}, client, image, admin


class Daemon(Server):
    """A daemon on a folder, empty unless told otherwise. `home/data` holds what it stores."""

    def __init__(self, home: Path) -> None:
        files, self.token, self.image_token, self.admin_token = _tokens()
        data, ready = home / "data", home / "ready.json"
        ready.unlink(missing_ok=True)
        if not data.exists():
            data.mkdir(mode=0o700)
            for name, content in files.items():
                (data / name).write_bytes(content)
                (data / name).chmod(0o600)
        (home / "settings.toml").write_text(RAISED, "utf-8")
        command = [*_daemon_command(), "serve", "--config", str(home / "settings.toml"), "--log-level", "warning"]
        command += ["--auth", "token", "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ready-file", str(ready)]
        command += ["--data-dir", str(data), "--runtime-dir", str(home / "run")]
        began = time.perf_counter()
        super().__init__(command, 0, environment())
        end = time.monotonic() + DEADLINE_S
        while not ready.exists():
            self.check(end)
            time.sleep(0.0005)
        self.start_s, self.start_cpu_s = time.perf_counter() - began, self.cpu_s()
        places = json.loads(ready.read_bytes())
        self.port = int(places["http"].rpartition(":")[2])
        self.lines_port = int(places["lines"].rpartition(":")[2])


@contextmanager
def fresh_daemon() -> Iterator[Daemon]:
    """A daemon with nothing in it."""
    with folder() as home, Daemon(home) as daemon:
        yield daemon
