"""The whole fuzzing, by `make fuzz`: daemons over every transport, and the targets that read bytes. Prints a table.

Half of the time goes to the wire, half to the targets: `python tests/fuzz/run.py --seconds 1200 --seed N --out DIR`.
Exit code 0: nothing was found.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

PARALLEL = 2
"""Targets that run at the same time."""

SETTINGS = """
[limits]
client_message_bytes = 200000
image_message_bytes = 200000
[sessions]
max_bytes = 100000
[quotas]
requests_per_second = 0
evaluations_per_second = 0
[backups]
interval = 0
"""
"""Small limits are reached more often; rates would only slow the fuzzer down."""

READY_S = 20.0
MAX_MEMORY_MB = 512


class Row(NamedTuple):
    """What came of one part."""

    name: str
    executions: int
    failures: int
    detail: str


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser(description="Fuzz the daemon.")
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--out", type=Path, default=ROOT / "fuzz-out")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if given.seed is None else given.seed
    given.out.mkdir(parents=True, exist_ok=True)
    guided = importlib.util.find_spec("atheris") is not None
    print(f"seed {seed}, {given.seconds} s; targets are {'guided by coverage' if guided else 'not guided: no atheris'}")
    started = time.monotonic()
    rows = fuzz_wire(given.seconds // 2, seed, given.out)
    rows += fuzz_targets(given.seconds - given.seconds // 2, seed, given.out)
    print(f"\n{'part':18} {'executions':>12} {'failures':>9}  detail")
    for row in rows:
        print(f"{row.name:18} {row.executions:>12,} {row.failures:>9}  {row.detail}")
    print_coverage(given.out)
    failures = sum(row.failures for row in rows)
    total = sum(row.executions for row in rows)
    print(f"\n{total:,} executions, {failures} failures, {time.monotonic() - started:.0f} s")
    if failures:
        print(f"what was found is in {given.out}")
    return min(failures, 1)


# ---- the wire


class Served(NamedTuple):
    """A running daemon."""

    ready: dict[str, Any]
    token: str | None


@contextlib.contextmanager
def served(auth: str) -> Iterator[Served]:
    """Run a daemon of its own, on every transport; it ends with the block, and has to end well."""
    with tempfile.TemporaryDirectory(prefix="stui") as folder:
        home = Path(folder)
        (home / "settings.toml").write_text(SETTINGS)
        command = [sys.executable, "-m", "stui_sessiond", "serve", "--config", str(home / "settings.toml")]
        command += ["--data-dir", str(home / "data"), "--runtime-dir", str(home / "run"), "--auth", auth]
        command += ["--lines", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ready-file", str(home / "ready.json")]
        log = (home / "log").open("wb")
        with log, subprocess.Popen(command, stderr=log, env=_environment()) as child:
            try:
                ready = _wait_ready(home / "ready.json", child)
                yield Served(ready, _wait_token(home / "log") if auth == "token" else None)
            finally:
                child.send_signal(signal.SIGTERM)
                code = child.wait(60)
        crashed = [line for line in (home / "log").read_text().splitlines() if "crashed" in line or "Traceback" in line]
        if code != 0 or crashed:
            print(f"the daemon ended with code {code}; its log: {crashed[:5]}")


def _wait_ready(file: Path, child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and child.poll() is None:
        if file.exists() and file.stat().st_size:
            ready: dict[str, Any] = json.loads(file.read_bytes())
            return ready
        threading.Event().wait(0.05)
    msg = "the daemon did not start"
    raise RuntimeError(msg)


def _wait_token(log: Path) -> str:
    """The token that is shown once, just after the start."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        found = re.search(r"^ {4}(stui_\S+)$", log.read_text(), re.MULTILINE)
        if found:
            return found[1]
        threading.Event().wait(0.05)
    msg = "the daemon showed no token"
    raise RuntimeError(msg)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STUI_SESSIOND_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def fuzz_wire(seconds: int, seed: int, out: Path) -> list[Row]:
    """Fuzz two daemons, one that lets everybody in and one that wants a token, over all transports at once."""
    with served("none") as free, served("token") as guarded:
        places = {
            "tcp": (f"tcp://{free.ready['lines']}", free, None),
            "unix": (f"unix://{free.ready['unix']}", free, None),
            "websocket": (f"ws://{free.ready['http']}/", free, None),
            "websocket, token": (f"ws://{guarded.ready['http']}/", guarded, guarded.token),
        }
        running = []
        for number, (name, (url, daemon, token)) in enumerate(places.items()):
            file = out / f"wire-{name.replace(', ', '-')}.txt"
            command = [sys.executable, "-m", "stui_sessiond", "fuzz", url, "--json", "--out", str(file)]
            command += ["--seconds", str(seconds), "--seed", str(seed + number * 10**9)]
            command += ["--pid", str(daemon.ready["pid"]), "--max-memory", str(MAX_MEMORY_MB)]
            environment = _environment() | ({"STUI_SESSIOND_TOKEN": token} if token else {})
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
            running.append((name, child))
        return [_wire_row(name, *child.communicate()) for name, child in running]


def _wire_row(name: str, told: str, errors: str) -> Row:
    try:
        report = json.loads(told)
    except ValueError:
        return Row(name, 0, 1, errors.strip().splitlines()[-1] if errors.strip() else "it said nothing")
    outcomes = sum(len(each) for each in report["outcomes"].values())
    detail = f"{report['conversations']} conversations, {report['events']} events, {outcomes} outcomes of "
    detail += f"{len(report['outcomes'])} commands, {report['relayed']} relayed, "
    detail += f"slowest ping {report['slowest_ping_ms']:.0f} ms, {(report['peak_rss_bytes'] or 0) >> 20} MiB"
    failure = report["failure"]
    if failure is not None:
        detail = f"{failure['kind']}: {failure['text'][:300]}"
    return Row(name, report["messages"], int(failure is not None), detail)


# ---- the targets


def fuzz_targets(seconds: int, seed: int, out: Path) -> list[Row]:
    """Run each target for its part of the time, some at once."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 -- the path is set up above

    each = max(1, seconds * PARALLEL // len(TARGETS))
    waiting = [target.name for target in TARGETS]
    rows: list[Row] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                name = waiting.pop(0)
            row = _run_target(name, each, seed, out / "corpus" / name)
            with lock:
                rows.append(row)

    workers = [threading.Thread(target=work) for _ in range(PARALLEL)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(rows)


def _run_target(name: str, seconds: int, seed: int, corpus: Path) -> Row:
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / "guided.py"), name, str(corpus), str(seconds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=_environment(), check=False)
    count = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    features = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    detail = f"{features[-1][0]} edges, {features[-1][1]} features, {features[-1][2]} inputs kept" if features else ""
    crashes = sorted(corpus.glob("crash-*"))
    if done.returncode or crashes:
        last = [line for line in done.stderr.splitlines() if re.match(r"\s*[A-Za-z.]*(Error|Exception)", line)]
        detail = f"{(last or ['?'])[-1].strip()[:200]} ({crashes[0] if crashes else f'code {done.returncode}'})"
    return Row(name, int(count[1]) if count else 0, int(bool(done.returncode or crashes)), detail)


def print_coverage(out: Path) -> None:
    """Say how many lines of each module the kept inputs reach, by its own target."""
    if importlib.util.find_spec("coverage") is None:
        print("\nno coverage: it takes `pip install coverage`")
        return
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / "reached.py"), str(out / "corpus")]
    print()
    sys.stdout.flush()
    subprocess.run(command, env=_environment(), check=False)


if __name__ == "__main__":
    sys.exit(main())
