"""Which peers are there, and how is each started? Their servers are in benchmarks/peers, as small as honest."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.daemon import folder
from benchmarks.harness.process import Server, free_port

FOLDER = Path(__file__).parent.parent / "peers"
UNPACKED = FOLDER / "build"
PYTHON = FOLDER.parent.parent / ".venv-bench" / "bin" / "python"

REDIS = "Redis, appendfsync always"
NATS = "NATS request/reply"
SOCKETIO = "Node socket.io (volatile)"
PYTHON_SOCKETIO = "python-socketio (volatile)"
FLASK = "Flask-SocketIO (volatile)"
AIOHTTP = "aiohttp, bare echo"
PREBUILT = "prebuilt frame, written"


def find(program: str) -> str | None:
    """A program on the path, or one that was unpacked."""
    places = [os.environ.get("PATH", ""), str(Path(sys.executable).parent)]
    places += [str(UNPACKED / "usr" / name) for name in ("bin", "sbin")]
    return shutil.which(program, path=os.pathsep.join(places))


def libraries() -> dict[str, str]:
    """The environment in which an unpacked program finds its libraries."""
    places = sorted({str(path.parent) for path in UNPACKED.glob("usr/lib/**/*.so*")})
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(places)} if places else dict(os.environ)


def _python(script: str) -> list[str | Path]:
    return [PYTHON, FOLDER / script]


def _command(name: str, port: int, home: Path) -> list[str | Path]:
    if name == REDIS:
        never = ["--save", "", "--protected-mode", "no", "--auto-aof-rewrite-percentage", "0"]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(home)]
        return [find("redis-server") or "", "--bind", "127.0.0.1", "--port", str(port), *durable, *never]
    if name == NATS:
        return [find("nats-server") or "", "-a", "127.0.0.1", "-p", str(port), "-l", str(home / "nats.log")]
    if name == SOCKETIO:
        return [find("node") or "", FOLDER / "node" / "server.js", str(port)]
    script = {
        PYTHON_SOCKETIO: "python_socketio_server.py",
        FLASK: "flask_socketio_server.py",
        AIOHTTP: "aiohttp_echo.py",
        PREBUILT: "prebuilt_frame.py",
    }[name]
    return [*_python(script), str(port)]


def _has_python() -> str | None:
    return None if (PYTHON.parent.parent / ".installed").exists() else "its packages"


def _has(program: str) -> Callable[[], str | None]:
    return lambda: None if find(program) else program


def _has_socketio() -> str | None:
    if find("node") is None:
        return "node"
    return None if (FOLDER / "node" / "node_modules" / "socket.io").is_dir() else "its packages"


_LACKS: dict[str, Callable[[], str | None]] = {
    REDIS: _has("redis-server"),
    NATS: _has("nats-server"),
    SOCKETIO: _has_socketio,
    PYTHON_SOCKETIO: _has_python,
    FLASK: _has_python,
    AIOHTTP: _has_python,
    PREBUILT: _has_python,
}


def missing() -> dict[str, str]:
    """The peers that cannot be measured here, and what each lacks."""
    found = {name: lacks() for name, lacks in _LACKS.items()}
    return {name: lack for name, lack in found.items() if lack is not None}


@contextmanager
def peer(name: str) -> Iterator[Server]:
    """Start a peer on an empty folder."""
    with folder() as home:
        port = free_port()
        with Server(_command(name, port, home), port, libraries()) as server:
            server.wait_for_port()
            yield server
