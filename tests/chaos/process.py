"""The real daemon as a process that is killed and started again on the same files and the same socket."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import stui_sessiond

START_S = 60.0
"""How long a start may take."""

STOP_S = 30.0
"""How long an orderly end may take."""

_GRACE_S = "0.3"


class DaemonProcess:
    """`stui-sessiond serve` on a folder of its own.

    Args:
        settings: given the folder, the text of a settings file; without it, nobody needs a token.
        command: what is run, without its arguments.
        environment: more of it.
    """

    def __init__(
        self,
        settings: Callable[[Path], str] | None = None,
        command: Sequence[str] = ("-m", "stui_sessiond"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stui-chaos-"))
        self._command = command
        self._environment = dict(environment or {})
        self._policy = ["--auth", "none"]
        if settings is not None:
            (self.folder / "settings.toml").write_text(settings(self.folder), "utf-8")
            self._policy = ["--config", str(self.folder / "settings.toml")]
        self.unix = self.folder / "run" / "daemon.sock"
        self.log: deque[str] = deque(maxlen=400)
        self.faults: list[str] = []
        """What it logged that must never be there."""
        self.starts_s: list[float] = []
        self.lines: tuple[str, int] | None = None
        self.http: tuple[str, int] | None = None
        self.pid = 0
        """The process that serves."""
        self.fixed: tuple[str, int] | None = None
        """Where it listens each time; None: at any free port, another one after each start."""
        self.settings: dict[str, str] = {}
        """More variables of its environment."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Start it and wait until it accepts."""
        began = time.perf_counter()
        self._ready.clear()
        places = ["--data-dir", str(self.folder / "data"), "--runtime-dir", str(self.folder / "run")]
        lines = "127.0.0.1:0" if self.fixed is None else f"{self.fixed[0]}:{self.fixed[1]}"
        listeners = ["--lines", lines, "--http", "127.0.0.1:0", "--log-format", "json", *self._policy]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STUI_SESSIOND_")}
        folder = str(Path(stui_sessiond.__file__).parents[1])
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *[*self._command, "serve", *places, *listeners],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={
                **kept,
                **self.settings,
                "PYTHONPATH": folder,
                "STUI_SESSIOND_DRAIN_TIMEOUT": _GRACE_S,
                **self._environment,
            },
        )
        assert self._process.stderr is not None
        self._reader = asyncio.create_task(self._read(self._process.stderr))
        async with asyncio.timeout(START_S):
            await self._ready.wait()
        if self.lines is None:
            msg = "the daemon did not start:\n" + "".join(self.log)
            raise RuntimeError(msg)
        self.starts_s.append(time.perf_counter() - began)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := (await stream.readline()).decode():
            self.note(line)
            if '"daemon.ready"' in line:
                told = json.loads(line)
                self.lines, self.http = _place(told["lines"]), _place(told["http"])
                self.pid = told["pid"]
                self._ready.set()
        self._ready.set()

    async def hand_over(self) -> None:
        """Have it start its successor, and wait until that accepts."""
        before = self.pid
        self._ready.clear()
        os.kill(self.pid, signal.SIGUSR2)
        async with asyncio.timeout(START_S):
            await self._ready.wait()
        if self.pid == before:
            msg = "nobody took over:\n" + "".join(self.log)
            raise RuntimeError(msg)

    def note(self, line: str) -> None:
        """Look at a line of the log."""
        self.log.append(line)
        if "crashed" in line or '"level": "error"' in line or '"level":"error"' in line or line.startswith("Traceback"):
            self.faults.append(line)

    async def end(self, number: signal.Signals) -> None:
        """End it by a signal, and wait for that."""
        assert self._process is not None
        assert self._reader is not None
        self.lines = self.http = None
        os.kill(self.pid, number)
        async with asyncio.timeout(STOP_S):
            await self._reader  # successors hold the other end as well, until the last of them has ended
            await self._process.wait()

    def memory_kb(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reader is not None and not self._reader.done():
            await self.end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
