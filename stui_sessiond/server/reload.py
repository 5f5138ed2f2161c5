"""What can change while the daemon runs, and when is it looked at again?

Tokens, lists, quotas and the policy: once a second if their files changed, and at once on SIGHUP. What cannot be read
changes nothing; what was in force stays, and the log says why. Whoever may not stay is cut off.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from stui_sessiond.errors import ConfigError
from stui_sessiond.security.audit import AuditLog, token_created, token_revoked
from stui_sessiond.security.token import Tokens
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

LOOK_INTERVAL_S = 0.5
"""A token that was revoked is of no use after at most a second, for connections that are there, too."""


class Reloader:
    """Looks at files and applies what changed."""

    def __init__(
        self,
        file: Path | None,
        apply_settings: Callable[[], None],
        reload_tokens: Callable[[], None],
        recheck: Callable[[], int],
    ) -> None:
        self._file = file
        self._apply_settings = apply_settings
        self._reload_tokens = reload_tokens
        self._recheck = recheck
        self._stamp = self._look()
        self._told: str | None = None

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            self.check()

    def check(self, *, now: bool = False) -> None:
        """Apply what changed; with `now` read the settings even if their file looks the same."""
        stamp = self._look()
        try:
            if now or stamp != self._stamp:
                self._stamp = stamp
                self._apply_settings()
                _log.info("settings.reloaded")
            self._reload_tokens()
            self._told = None
        except ConfigError as error:
            if self._told != str(error):  # once is enough
                _log.error("settings.not_reloaded", error=str(error))
            self._told = str(error)
        self._recheck()

    def _look(self) -> tuple[int, int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def reload_tokens(tokens: Tokens | None, audit: AuditLog) -> None:
    """Take up tokens that were created or revoked, and write it down."""
    for change in tokens.reload() if tokens is not None else ():
        record = change.record
        _log.info(f"token.{change.what}", name=record.name)
        if change.what == "created":
            expires_at = None if record.expires_at is None else format_time(record.expires_at)
            token_created(audit, None, record.name, record.rights, expires_at)
        else:
            token_revoked(audit, None, record.name)
