"""Where is the daemon? Reads `ws://host:port/`, `tcp://host:port` and `unix:///path`."""

import contextlib
from typing import Literal
from urllib.parse import urlsplit

import msgspec


class Address(msgspec.Struct, frozen=True):
    """A place where a daemon listens."""

    kind: Literal["websocket", "tcp", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self.kind == 'websocket' else 'tcp'}://{host}:{self.port}{self.path}"


def parse_url(url: str) -> Address:
    """Read a URL.

    Raises:
        ValueError: it is none of the three kinds; the text says what they look like.
    """
    with contextlib.suppress(ValueError):  # what urllib says of it does not name the URL
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return Address("unix", path=parts.path)
        if parts.scheme in {"ws", "tcp"} and parts.hostname and parts.port:
            path = parts.path or "/" if parts.scheme == "ws" else ""
            return Address("websocket" if parts.scheme == "ws" else "tcp", parts.hostname, parts.port, path)
    msg = f"{url!r} is no address of a daemon: ws://HOST:PORT/, tcp://HOST:PORT or unix:///PATH"
    raise ValueError(msg)
