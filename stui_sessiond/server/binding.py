"""Which sockets do we listen on? Binds addresses and the unix socket, and refuses what would not be ours alone."""

import os
import socket
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from stui_sessiond.errors import ConfigError

BACKLOG = 4096
"""Who connects while nobody accepts waits here: in a restart that hands over, those are all clients at once. The most
that Linux grants by itself (net.core.somaxconn)."""

_UNIX_PATH_BYTES = 107
"""What fits into a socket address on Linux (macOS: 103)."""


class Handed(msgspec.Struct, frozen=True):
    """Sockets that listen already, by listener (`unix`, `lines`, `http`)."""

    sockets: Mapping[str, Sequence[socket.socket]] = {}
    managed: Collection[str] = frozenset()
    """Listeners whose sockets a service manager holds as well: their paths stay when we go."""


def bind_tcp(place: tuple[str, int], what: str) -> Sequence[socket.socket]:
    """Bind every address of a host to one port; port 0 takes a free one. `::` takes IPv4 as well.

    Raises:
        ConfigError: it cannot be done; the text says why and what to do.
    """
    host, port = place
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            taken = sockets[0].getsockname()[1]
            sock.bind((address[0], taken or port, *address[2:]))
    except OSError as error:
        for sock in sockets:
            sock.close()
        why = error.strerror or error
        msg = f"{what}: cannot listen on {shown}: {why}; choose another address or port (port 0 takes a free one)"
        raise ConfigError(msg) from error
    return sockets


def bind_unix(path: Path) -> socket.socket:
    """Bind the unix socket, for this user alone.

    Raises:
        ConfigError: it cannot be done; the text says why and what to do.
    """
    if len(os.fsencode(path)) > _UNIX_PATH_BYTES:
        msg = f"unix: {path} has more than {_UNIX_PATH_BYTES} bytes; choose a shorter --unix or --runtime-dir"
        raise ConfigError(msg)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(path.parent)
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(str(path))  # nobody can connect before listen(), so there is time to set the mode
            path.chmod(0o600)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        msg = f"unix: cannot listen on {path}: {error.strerror or error}"
        raise ConfigError(msg) from error
    return sock


def _check_folder(folder: Path) -> None:
    """Refuse a folder in which somebody else could put another socket in the place of ours."""
    found = folder.stat()
    foreign = found.st_uid not in {0, os.geteuid()}
    open_to_all = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if foreign or open_to_all:
        msg = f"unix: other users can change {folder}; choose a folder that is yours alone with --runtime-dir"
        raise ConfigError(msg)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that died; leave anything else alone."""
    if not path.exists():
        return
    if not path.is_socket():
        msg = f"unix: {path} exists and is no socket; remove it, or choose another --unix"
        raise ConfigError(msg)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, TimeoutError):
            path.unlink()
            return
    msg = f"unix: another daemon listens on {path}; stop it, or choose another --unix or --runtime-dir"
    raise ConfigError(msg)
