"""What does time do to sessions? They expire, are kept for a while, and go to the archive."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import structlog

from stui_sessiond.errors import StuiError
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.shelf import Entry
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)


ENTRIES_AT_ONCE = 1000
"""Sessions that are looked at before others have their turn: some 1 ms."""


class LifeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long things live; the defaults are those clients have been told."""

    retention_s: float = 30 * 86400.0
    cleanup_interval_s: float = 300.0
    autosave_interval_s: float = 300.0


class Retention:
    """Carries out what is due. A session that cannot be dealt with now is left for the next time."""

    def __init__(self, keeper: Keeper, life: LifeRules) -> None:
        self._keeper = keeper
        self._shelf = keeper.shelf
        self._life = life
        self._clock = keeper.clock

    async def sweep(self) -> None:
        """Announce sessions that expired, and archive those whose retention is over."""
        now = self._clock()
        async for entry in self._slowly():
            header = entry.header
            ended_at = header.ended_at(now)
            if ended_at is None:
                entry.announced_expiry = False
            elif now >= ended_at + self._life.retention_s:
                await self._archive(entry)
            elif header.closed_at is None and not entry.announced_expiry:
                entry.announced_expiry = True
                self._keeper.post(entry, "session.expired", {"expired_at": format_time(header.expires_at)})
                _log.info("session.expired", session_id=header.session_id)

    async def _archive(self, entry: Entry) -> None:
        session_id = entry.header.session_id
        try:
            async with entry.lock:
                now = self._clock()
                ended_at = entry.header.ended_at(now)  # it may have been reopened, or removed, while we waited
                if ended_at is None or now < ended_at + self._life.retention_s or not self._is_there(entry):
                    return
                await self._keeper.storage.archive(session_id, now)
                self._shelf.remove(entry)
                self._keeper.hub.forget(session_id)
                _log.info("session.archived", session_id=session_id)
        except StuiError as error:
            _log.warning("session.archive_failed", session_id=session_id, code=error.code, error=error.message)

    async def autosave(self) -> None:
        """Store times of activity that changed since the last save."""
        async for entry in self._slowly():
            if entry.header.last_activity == entry.saved_activity:
                continue
            try:
                async with entry.lock:
                    if self._is_there(entry):
                        await self._keeper.store(entry, await self._keeper.load(entry))
            except StuiError as error:  # only the time of the last activity is at stake
                _log.warning("session.autosave_failed", session_id=entry.header.session_id, code=error.code)

    async def _slowly(self) -> AsyncIterator[Entry]:
        """Go through all sessions, with a break for others now and then."""
        for number, entry in enumerate(self._shelf.entries(), 1):
            if number % ENTRIES_AT_ONCE == 0:
                await asyncio.sleep(0)
            if self._is_there(entry):  # it may have gone meanwhile
                yield entry

    def _is_there(self, entry: Entry) -> bool:
        return self._shelf.find(entry.header.session_id) is entry
