"""How fast is the terminal front end? Start, restore, a key in quiet and while the Transcript pours, memory after that.

    python benchmarks/terminal.py [--lines 100000] [--rate 1000]

Real processes: a daemon, an image that only pours, and `stui` in a pseudo terminal. Wall-clock times are those of this
machine at this moment; beside them is the processor time of the front end, which a busy machine does not change much.
"""

from __future__ import annotations

import argparse
import fcntl
import getpass
import os
import pty
import select
import statistics
import struct
import sys
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.harness import Connection, Daemon, ScriptedImage, clean_environment, folder

SIZE = (120, 36)
KEYS = "abcdefghijklmnopqrstuvwxyz"
"""The Transcript pours digits, so that a letter in what is drawn is the key."""

KEY_PRESSES = 100
BETWEEN_KEYS_S = 0.05
"""A fast typist's."""

DEADLINE_S = 60.0


class Front:
    """`stui` in a pseudo terminal."""

    def __init__(self, home: Path, *arguments: str) -> None:
        environment = clean_environment(
            XDG_CONFIG_HOME=f"{home}/config",
            XDG_STATE_HOME=f"{home}/state",
            STUI_SESSIOND_RUNTIME_DIR=f"{home}/run",
            STUI_SESSIOND_DATA_DIR=f"{home}/data",
            TERM="xterm-256color",
            COLORTERM="truecolor",
        )
        self.began = time.perf_counter()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
            os.execve(sys.executable, [sys.executable, "-m", "stui_sessiond.tui", *arguments], environment)  # noqa: S606
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))

    def read_until(self, wanted: bytes) -> float:
        """Read what is drawn up to this text; tell when it was there."""
        seen = b""
        end = time.perf_counter() + DEADLINE_S
        while time.perf_counter() < end:
            if select.select([self.terminal], [], [], 0.1)[0]:
                seen = seen[-200:] + os.read(self.terminal, 65536)
                if wanted in seen:
                    return time.perf_counter()
        msg = f"{wanted!r} was not drawn; the end of what was: {seen[-300:]!r}"
        raise AssertionError(msg)

    def drain(self) -> None:
        """Read all that is there."""
        while select.select([self.terminal], [], [], 0)[0]:
            os.read(self.terminal, 65536)

    def read_for(self, seconds: float) -> None:
        """Read for a while."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            if select.select([self.terminal], [], [], 0.05)[0]:
                os.read(self.terminal, 65536)

    def press(self, keys: bytes) -> float:
        """Press keys; tell when."""
        now = time.perf_counter()
        os.write(self.terminal, keys)
        return now

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def leave(self) -> None:
        """Leave, and wait for the end."""
        os.write(self.terminal, b"\x11")
        try:
            while os.read(self.terminal, 65536):
                pass
        except OSError:  # its end of the terminal is closed
            pass
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


class Pour:
    """An image that writes lines to a session's Transcript, so many a second."""

    def __init__(self, daemon: Daemon, session_id: str, rate: int) -> None:
        self._image = ScriptedImage(daemon.socket_path, "pour")
        self._session_id = session_id
        self._rate = rate
        self.lines = 0
        self.going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.perf_counter()
        while self.going:
            due = int((time.perf_counter() - began) * self._rate)
            for _ in range(due - self.lines):
                text = f"{self.lines:012}\n"
                self._image.write({"event": "transcript", "session_id": self._session_id, "data": {"text": text}})
                self.lines += 1
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop pouring."""
        self.going = False
        self._thread.join()
        self._image.close()


def start_figures(home: Path, daemon: Daemon) -> None:
    """From the command to the first screen, and to a session that is back."""
    for words, arguments, wanted in (
        ("start to the first screen", (), b"Elsewhere"),
        ("start to the session restored", ("--restore", "--url", daemon.url), b"kept-text"),
    ):
        walls, cpus = [], []
        for _ in range(5):
            front = Front(home, *arguments)
            walls.append(front.read_until(wanted) - front.began)
            cpus.append(front.cpu_s())
            front.read_for(0.3)
            front.leave()
        wall, cpu = statistics.median(walls) * 1000, statistics.median(cpus) * 1000
        print(f"{words:36} {wall:7.0f} ms    processor {cpu:6.0f} ms    (best {min(walls) * 1000:.0f} ms)")


def key_figures(front: Front, words: str) -> None:
    """From a key to the frame that shows it."""
    times: list[float] = []
    cpu, began = front.cpu_s(), time.perf_counter()
    for number in range(KEY_PRESSES):
        letter = KEYS[number % len(KEYS)].encode()
        front.drain()
        pressed = front.press(letter)
        times.append((front.read_until(letter) - pressed) * 1000)
        front.read_for(BETWEEN_KEYS_S)
    busy = (front.cpu_s() - cpu) / (time.perf_counter() - began)
    times.sort()
    p50, p95 = statistics.median(times), times[len(times) * 95 // 100]
    print(f"{f'key to frame, {words}':36} {p50:7.1f} ms    p95 {p95:7.1f} ms    processor {busy:6.0%}")


def memory_figures(front: Front, pour: Pour, lines: int) -> None:
    """Memory after many lines."""
    for goal in (lines // 10, lines, 2 * lines):
        while pour.lines < goal:
            front.read_for(0.5)
        front.read_for(2.0)
        print(f"{f'memory after {pour.lines:,} lines':36} {front.memory_mb():7.1f} MB")


def main() -> None:
    """Measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=100_000)
    options.add_argument("--rate", type=int, default=1_000)
    chosen = options.parse_args()
    with folder() as home, Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        image = ScriptedImage(daemon.socket_path, "pour")
        session_id = client.new_session(client_id=getpass.getuser(), name="figures", image_id="pour")
        image.close()
        front = Front(home, "attach", session_id, "--url", daemon.url)
        front.read_until(b"alt+d runs")
        front.press(b"kept-text")
        front.read_for(3.0)
        front.leave()
        start_figures(home, daemon)
        front = Front(home, "attach", session_id, "--url", daemon.url)
        front.read_until(b"kept-text")
        front.read_for(1.0)
        key_figures(front, "quiet")
        pour = Pour(daemon, session_id, chosen.rate)
        front.read_for(3.0)
        key_figures(front, f"{chosen.rate:,} lines/s")
        memory_figures(front, pour, chosen.lines)
        pour.stop()
        front.leave()


if __name__ == "__main__":
    main()
