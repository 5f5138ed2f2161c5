"""How is the load generator built, run, and its outcome judged?"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec

from benchmarks.harness.process import CLIENT_CORE, DEADLINE_S, BenchmarkError, start

FOLDER = Path(__file__).parent.parent / "generator"
MUST_BE_NONE = ("wrong", "errors", "lost", "unasked", "gaps", "repeats", "closed")
BUSY = 0.9
"""The share of a core from which on a process is what limits the rate."""
DISTURBED = 0.15
"""The share of a core from which on others' work may have changed a figure."""


class Outcome(msgspec.Struct, kw_only=True):
    """What one run of the generator counted; times in microseconds by its clock, processor times in seconds."""

    rate: float
    counted: int
    seconds: float
    own_s: float
    machine_s: float
    watched_s: list[float]
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    wrong: int
    errors: int
    lost: int
    late: int
    unasked: int
    gaps: int
    repeats: int
    closed: int
    events: int
    published: int
    bytes_in: int
    sample: str

    @property
    def server_share(self) -> float:
        """How much of a core the server used."""
        return self.watched_s[0] / self.seconds

    @property
    def client_share(self) -> float:
        """How much of a core the generator and its images used."""
        return (self.own_s + sum(self.watched_s[1:])) / self.seconds

    @property
    def foreign_share(self) -> float:
        """How much of a core everybody else used."""
        return max(0.0, (self.machine_s - self.own_s - sum(self.watched_s)) / self.seconds)

    @property
    def per_core(self) -> float:
        """The rate for each second of the server's processor time: what others do changes it little."""
        return self.counted / max(self.watched_s[0], 1e-6)

    @property
    def cost_us(self) -> float:
        """The server's processor time for one."""
        return 1e6 * self.watched_s[0] / max(self.counted, 1)

    @property
    def mark(self) -> str:
        """G: the generator was the limit, so the rate is a floor. f: others used the machine."""
        limited = self.client_share > BUSY and self.server_share < BUSY
        return ("G" if limited else "") + ("f" if self.foreign_share > DISTURBED else "")


@cache
def executable() -> Path:
    """The compiled generator; compiled anew when a source is newer.

    Raises:
        BenchmarkError: there is no C compiler, or it complains.
    """
    built = FOLDER / "build" / "generator"
    sources = sorted(FOLDER.glob("*.[ch]"))
    if built.exists() and built.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return built
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        msg = "the load generator needs a C compiler: install one (Debian: gcc), or set CC"
        raise BenchmarkError(msg)
    built.parent.mkdir(exist_ok=True)
    fresh = built.with_suffix(f".{os.getpid()}")
    command: list[str | Path] = [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", fresh]
    made = subprocess.run([*command, *FOLDER.glob("*.c")], capture_output=True, text=True, check=False)
    if made.returncode:
        msg = f"the load generator was not compiled: {made.stderr}"
        raise BenchmarkError(msg)
    fresh.rename(built)
    return built


def options(**named: object) -> list[str]:
    """Options of the generator; a list stands for the option given several times, True for one without a value."""
    found: list[str] = []
    for name, value in named.items():
        for one in value if isinstance(value, list) else [value]:
            found.append(f"--{name.replace('_', '-')}")
            if one is not True:
                found.append(str(one))
    return found


def run(arguments: Sequence[str], watch: Sequence[int], seconds: float) -> Outcome:
    """Run it to its end; `watch` names the server's process first, then those of images.

    Raises:
        BenchmarkError: it did not run, or something came back wrong, twice, too late or not at all.
    """
    command = [str(executable()), *arguments, *options(watch=",".join(map(str, watch)), seconds=seconds)]
    child = start(command, CLIENT_CORE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, complaints = child.communicate(timeout=seconds + 3 * DEADLINE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        msg = "the load generator did not come to its end"
        raise BenchmarkError(msg) from None
    if child.returncode:
        raise BenchmarkError(complaints.decode(errors="replace").strip())
    outcome = msgspec.json.decode(output, type=Outcome)
    bad = {name: getattr(outcome, name) for name in MUST_BE_NONE if getattr(outcome, name)}
    if bad or not outcome.counted + outcome.late:
        msg = f"broken run: {json.dumps(bad or 'nothing came back')}, the first: {outcome.sample or 'none'}"
        raise BenchmarkError(msg)
    return outcome


@contextmanager
def standing(arguments: Sequence[str]) -> Iterator[int]:
    """Connections that are held, or images that answer, as a process of its own; gives its process id.

    Raises:
        BenchmarkError: it did not become ready, or lost a connection.
    """
    command = [str(executable()), *arguments]
    child = start(command, CLIENT_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None  # noqa: S101 -- a pipe was asked for
    assert child.stdout is not None  # noqa: S101 -- the same
    try:
        if child.stdout.readline() != b"READY\n":
            child.kill()
            raise BenchmarkError(child.communicate()[1].decode(errors="replace").strip())
        yield child.pid
    finally:
        child.stdin.close()
        code = child.wait(DEADLINE_S)
        child.stdout.close()
        if child.stderr is not None:
            child.stderr.close()
    if code:
        msg = "connections that were held were closed by the server"
        raise BenchmarkError(msg)
