"""How is a running daemon asked to hand over, and how did it go? For `stui-sessiond restart`."""

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import msgspec

from stui_sessiond.service.succession import OUTCOME_FILE, Outcome

SINCE = (0, 6, 0)
"""Earlier daemons end when they are sent SIGUSR2."""

POLL_S = 0.05
"""Between looks at what the daemon has written about it."""

ASK_S = 5.0
"""How long the daemon may take to say which it is."""


class RestartError(Exception):
    """It was not restarted; the text says why, and who serves."""


class NobodyServesError(RestartError):
    """There is no daemon that could be restarted."""


def restart(path: Path, patience_s: float) -> Outcome:
    """Have the daemon at a unix socket hand over to a new process, and wait until it has.

    Raises:
        NobodyServesError: nobody answers there.
        RestartError: it did not; if it was there before, it still serves.
    """
    pid, user, version = _who(path)
    if version < SINCE:
        shown = ".".join(map(str, version))
        msg = f"the daemon is of version {shown}, which cannot hand over; stop it and start the new one"
        raise RestartError(msg)
    told = path.with_name(OUTCOME_FILE)
    before = _stamp(told)
    try:
        os.kill(pid, signal.SIGUSR2)
    except OSError as error:
        msg = f"process {pid} cannot be signalled: {error.strerror}; do it as the user it runs as"
        raise RestartError(msg) from error
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        outcome = _read(told, user) if _stamp(told) != before else None
        if outcome is not None and outcome.state == "taken_over":
            return outcome
        if outcome is not None and outcome.state == "failed":
            msg = f"process {outcome.pid} serves on; the new one could not take over: {outcome.reason}"
            raise RestartError(msg)
        time.sleep(POLL_S)
    msg = f"nobody had taken over within {patience_s:g} s; the log of the daemon (process {pid}) says more"
    raise RestartError(msg)


def _who(path: Path) -> tuple[int, int | None, tuple[int, ...]]:
    """Ask who listens at the socket: the system knows the process and its user, the daemon its version."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(ASK_S)
            sock.connect(str(path))
            sock.sendall(b'{"id":"1","command":"hello","parameters":{"role":"client"}}\n')
            with sock.makefile("rb") as stream:
                answer = json.loads(stream.readline())
            return *_process(sock), tuple(int(part) for part in answer["result"]["server_version"].split(".")[:3])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"no daemon answers at unix://{path}: {error}"
        raise NobodyServesError(msg) from error


def _process(sock: socket.socket) -> tuple[int, int | None]:
    """Tell which process listens at the other end, and, where the system says so, of which user."""
    if sys.platform == "darwin":
        pid: int = struct.unpack("i", sock.getsockopt(0, 2, 4))[0]  # SOL_LOCAL, LOCAL_PEERPID
        return pid, None
    found: tuple[int, int, int] = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return found[0], found[1]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _read(path: Path, user: int | None) -> Outcome | None:
    """Read what the daemon's user has written there; the folder may be one in which everybody can, as /tmp is."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        if user not in {None, path.lstat().st_uid}:
            return None
        return msgspec.json.decode(path.read_bytes(), type=Outcome)
    return None
