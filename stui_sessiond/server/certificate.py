"""Which certificate do we show now? Reads the files again when they change; who is connected notices nothing.

A new connection gets the newest context that was good. Files that cannot be used are told of in the log once, and
change nothing.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from stui_sessiond.errors import ConfigError
from stui_sessiond.security.tls import ServerTls, TlsFiles, load_server_tls

_log = structlog.get_logger(__name__)

POLL_S = 1.0
"""Between looks at the files. They are read when two looks in a row saw the same: a copy takes a while."""

WARN_BEFORE = timedelta(days=14)
"""An end so near is told of in the log."""

_Stamp = Sequence[tuple[int, int, int] | None]


class LiveCertificate:
    """The certificate of a daemon, its key, and the CA of its peers.

    Raises:
        ConfigError: the files cannot be used.
    """

    def __init__(self, files: TlsFiles, on_names: Callable[[Collection[str]], None]) -> None:
        self._files = files
        self._on_names = on_names
        self._stamp = self._look()
        self._seen = self._stamp
        self._now = load_server_tls(files)
        self._tell("tls.loaded")

    @property
    def context(self) -> ssl.SSLContext:
        """What a new connection gets."""
        return self._now.context

    @property
    def names(self) -> Collection[str]:
        """Who the certificate says we are."""
        return self._now.names

    def reload(self) -> bool:
        """Read the files now; tell whether they could be used."""
        self._stamp = self._seen = self._look()
        try:
            self._now = load_server_tls(self._files)
        except ConfigError as error:
            _log.error("tls.reload_failed", reason=str(error), keeping=self._now.fingerprint)
            return False
        self._on_names(self._now.names)
        self._tell("tls.reloaded")
        return True

    async def watch(self) -> None:
        """Read the files again whenever they have changed, for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            found = await asyncio.to_thread(self._look)
            if found != self._stamp and found == self._seen:
                self.reload()
            self._seen = found

    def _look(self) -> _Stamp:
        return [_stamp(path) for path in self._files.paths()]

    def _tell(self, event: str) -> None:
        now: ServerTls = self._now
        _log.info(
            event,
            subject=now.subject,
            names=list(now.names),
            ends_at=f"{now.ends_at:%Y-%m-%dT%H:%M:%SZ}",
            fingerprint=now.fingerprint,
            mutual=self._files.client_ca is not None,
        )
        if now.ends_at - datetime.now(UTC) < WARN_BEFORE:
            _log.warning(
                "tls.ends_soon", ends_at=f"{now.ends_at:%Y-%m-%dT%H:%M:%SZ}", file=str(self._files.certificate)
            )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 -- follows links, as certbot's files are
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
