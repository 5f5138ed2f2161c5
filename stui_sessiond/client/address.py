"""Where is the daemon? Reads `ws://host:port/`, `tcp://host:port`, the same with TLS, and `unix:///path`."""

import contextlib
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from stui_sessiond.security.client_tls import ClientTlsFiles, read_files

_KINDS: dict[str, tuple[Literal["websocket", "tcp"], bool]] = {
    "ws": ("websocket", False),
    "wss": ("websocket", True),
    "tcp": ("tcp", False),
    "tls": ("tcp", True),
}


class Address(msgspec.Struct, frozen=True):
    """A place where a daemon listens."""

    kind: Literal["websocket", "tcp", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""
    tls: ClientTlsFiles | None = None
    """With TLS: what is trusted and shown."""

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = next(name for name, found in _KINDS.items() if found == (self.kind, self.tls is not None))
        return f"{scheme}://{host}:{self.port}{self.path}"


def parse_url(url: str) -> Address:
    """Read a URL. With `tls` and `wss` it may name files: `?ca_file=...&cert_file=...&key_file=...`.

    Raises:
        ValueError: it is no address of a daemon; the text says what they look like.
    """
    with contextlib.suppress(ValueError):  # what urllib says of it does not name the URL
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return Address("unix", path=parts.path)
        if parts.scheme in _KINDS and parts.hostname and parts.port:
            kind, secure = _KINDS[parts.scheme]
            path = parts.path or "/" if kind == "websocket" else ""
            return Address(kind, parts.hostname, parts.port, path, read_files(parts.query) if secure else None)
    msg = (
        f"{url!r} is no address of a daemon: ws://HOST:PORT/, tcp://HOST:PORT or unix:///PATH, "
        "with TLS wss://HOST:PORT/ or tls://HOST:PORT, and ?ca_file=, cert_file= and key_file= after them"
    )
    raise ValueError(msg)
