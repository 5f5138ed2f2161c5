"""What does a daemon that is ready tell, and where? The ready file."""

from pathlib import Path

import msgspec

from stui_sessiond.errors import ConfigError
from stui_sessiond.security.kept_file import replace_file

READABLE = 0o666
"""By all whom the umask does not keep out: who waits for the daemon may be another user."""


class Ready(msgspec.Struct, frozen=True):
    """What the ready file says: where the daemon accepts."""

    pid: int
    server_id: str
    http: str | None
    lines: str | None
    unix: str | None
    tls: bool = False
    """Whether `http` and `lines` speak TLS."""


def shown(place: tuple[str, int] | None) -> str | None:
    """Write a host and a port as one text."""
    if place is None:
        return None
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def write_ready(path: Path, ready: Ready) -> None:
    """Write the file, whole or not at all.

    Raises:
        ConfigError: it cannot be written there.
    """
    try:
        replace_file(path, msgspec.json.encode(ready) + b"\n", READABLE, durable=False)
    except OSError as error:
        msg = f"server.ready_file: cannot write {path}: {error.strerror or error}"
        raise ConfigError(msg) from error


def remove_ready(path: str | None) -> None:
    """Take the file away, if there is one."""
    if path is not None:
        Path(path).unlink(missing_ok=True)
