"""How is a server started, pinned, watched and ended? The daemon and its peers alike."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

DEADLINE_S = 60.0
"""How long a server may take to start; far more than any does."""
STOP_S = 600.0
"""How long it may take to end: the daemon first writes each session that changed to its file."""
IDLE_S, IDLE_SHARE = 0.5, 0.04
"""A server that uses less than that share of a core for so long has nothing to do."""
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
"""Each server has one core to itself, all that drives it another one; with one core they share it."""
PR_SET_PDEATHSIG = 1


class BenchmarkError(Exception):
    """Something did not start, or an answer was wrong: the run is broken, and its figures mean nothing."""


def start(command: Sequence[str | Path], core: int, **more: object) -> subprocess.Popen[bytes]:
    """Start a process on one core; it ends if we do."""

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(command, preexec_fn=prepare, **more)  # type: ignore[call-overload, no-any-return]  # noqa: PLW1509


class Server:
    """A process that listens on one port."""

    def __init__(self, command: Sequence[str | Path], port: int, environment: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._process = start(
            command, SERVER_CORE, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        self.pid = self._process.pid

    def wait_for_port(self) -> None:
        """Wait until it accepts connections."""
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                self.check(end)
                time.sleep(0.01)
            else:
                return

    def check(self, end: float) -> None:
        """Complain if it ended, or takes too long.

        Raises:
            BenchmarkError: it did.
        """
        if self._process.poll() is not None or time.monotonic() > end:
            self.stop()
            msg = f"{self._process.args!r} did not start"
            raise BenchmarkError(msg)

    def memory_bytes(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def cpu_s(self) -> float:
        """Processor time used so far, to a hundredth of a second."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_idle(self) -> None:
        """Wait until it has done what it still had to do in the background, such as writing files."""
        end, before = time.monotonic() + STOP_S, self.cpu_s()
        while time.monotonic() < end:
            time.sleep(IDLE_S)
            now = self.cpu_s()
            if now - before <= IDLE_S * IDLE_SHARE:
                return
            before = now

    def stop(self) -> None:
        """End it, and wait until it has ended.

        Raises:
            BenchmarkError: it did not end when it was asked to.
        """
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            msg = f"{self._process.args!r} did not end within {STOP_S:.0f} s"
            raise BenchmarkError(msg) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
