"""Which machine, which versions, which commit do figures come from?"""

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import peers
from benchmarks.harness.daemon import folder
from benchmarks.harness.process import CLIENT_CORE, SERVER_CORE
from stui_sessiond import __version__

ROOT = Path(__file__).resolve().parents[2]


def describe_machine() -> dict[str, object]:
    """Tell what the figures depend on."""
    with folder() as home:
        sync_ms, disk = measure_sync(home), file_system_of(home)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _ask("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"),
        "version": __version__,
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "servers on core": SERVER_CORE,
        "generator on core": CLIENT_CORE,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "event loop": "uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
        "peers": peer_versions(),
        "file system": disk,
        "write and sync p50 ms": sync_ms,
        "load before": round(os.getloadavg()[0], 2),
    }


def peer_versions() -> str:
    """Tell the versions of the peers that are there."""
    found = []
    for program, option in (("redis-server", "--version"), ("nats-server", "--version"), ("node", "--version")):
        where = peers.find(program)
        if where is not None:
            said = _ask(where, option)
            found.append(said if said.startswith(program) else f"{program} {said}")
    code = "import importlib.metadata as m,sys;print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    packages = ("python-socketio", "Flask-SocketIO", "gevent", "aiohttp", "uvicorn", "uvloop")
    if peers.PYTHON.exists():
        found.append(_ask(str(peers.PYTHON), "-c", code, *packages))
    package = peers.FOLDER / "node" / "node_modules" / "socket.io" / "package.json"
    if package.exists():
        found.append(f"socket.io {json.loads(package.read_bytes())['version']}")
    return "; ".join(each.split(" sha=")[0] for each in found if each)


def _ask(*command: str) -> str:
    """What a program says on one line; nothing if it cannot."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, env=peers.libraries())
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def cpu_model() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def file_system_of(path: Path) -> str:
    """Name the kind of file system, and of disk where the system tells."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return "unknown"
    best, kind, device = "", "unknown", ""
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        point = before.split()[4]
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind, device = point, after.split()[0], before.split()[2]
    block = Path("/sys/dev/block") / device
    for place in (block, block / ".."):
        rotational = place / "queue" / "rotational"
        if rotational.exists():
            return f"{kind} on {'a rotating disk' if rotational.read_text('ascii').strip() == '1' else 'a solid disk'}"
    return kind


def measure_sync(home: Path) -> float:
    """Measure what the disk takes to make 1 KB durable: no stored change can be faster."""
    times = []
    for number in range(50):
        begin = time.perf_counter()
        descriptor = os.open(home / f"{number}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, b"x" * 1024)
        os.fsync(descriptor)
        os.close(descriptor)
        times.append(time.perf_counter() - begin)
    return round(statistics.median(times) * 1000, 3)
