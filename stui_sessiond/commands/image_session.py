"""The commands that tell of images and of the sessions that belong to them, and that clean up."""

from collections.abc import Callable, Iterable

import structlog

from stui_sessiond.commands.image_view import (
    cleanup_rows,
    conflict_rows,
    connection_rows,
    listed_image,
    shown_time,
    unknown_image,
)
from stui_sessiond.commands.running import Running, RunningTable
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ImageNotFoundError, StuiError
from stui_sessiond.ids import ImageId
from stui_sessiond.images.condition import GRACE_S, Facts, condition_of, health_of, is_orphaned, status_of, text_of
from stui_sessiond.images.registry import ImageRegistry, KnownImage
from stui_sessiond.model.session import SessionHeader, Status
from stui_sessiond.sessions.belonging import Belonging
from stui_sessiond.sessions.cleanup import Case, Wish, decide
from stui_sessiond.sessions.hub import Hub, may_hear
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.wire.messages import image as wire
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

MAX_DETAILS = 1000
"""Sessions that a clean-up tells one by one; it deals with all of them."""

AUTOMATIC = "automatic"


class ImageSessionCommands:
    """Carries out the commands about images and their sessions."""

    def __init__(
        self,
        images: ImageRegistry,
        manager: SessionManager,
        belonging: Belonging,
        hub: Hub,
        running: RunningTable,
        end_session: Callable[[SessionHeader], None],
        clock: Callable[[], float],
        *,
        grace_s: float = GRACE_S,
        close_after_s: float = 0.0,
    ) -> None:
        self._images = images
        self._manager = manager
        self._belonging = belonging
        self._hub = hub
        self._running = running
        self._end_session = end_session
        self._clock = clock
        self._grace_s = grace_s
        self._close_after_s = close_after_s

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("list_images", wire.ListImages, self.list_images),
            Command("list_image_sessions", wire.ListImageSessions, self.list_sessions),
            Command("get_image_session_stats", wire.GetImageSessionStats, self.stats),
            Command("get_image_connection_status", wire.GetImageConnectionStatus, self.status),
            Command("cleanup_image_sessions", wire.CleanupImageSessions, self.clean_up),
        )

    # ---- looking

    def list_images(self, caller: Caller, asked: wire.ListImages) -> wire.ListImagesResult:
        """Carry out `list_images`."""
        del caller, asked
        counts = dict(self._manager.count_by_image())
        rows = []
        for known in self._images.all_known():
            count = counts.pop(known.image_id, 0)
            facts = self._images.facts(known, has_sessions=count > 0)
            rows.append(listed_image(known, facts, count, self._grace_s))
        rows += [unknown_image(image_id, count) for image_id, count in sorted(counts.items())]
        return wire.ListImagesResult(rows)

    def list_sessions(self, caller: Caller, asked: wire.ListImageSessions) -> wire.ListImageSessionsResult:
        """Carry out `list_image_sessions`."""
        now = self._clock()
        facts: dict[ImageId, Facts] = {}
        rows = []
        for header in self._belonging.headers(None if asked.image_id is None else ImageId(asked.image_id)):
            image_id = header.image_id
            if image_id is None or not may_hear(caller, header):
                continue
            if image_id not in facts:
                facts[image_id] = self._facts(image_id, has_sessions=True)
            active = header.status(now) is Status.ACTIVE
            orphaned = active and is_orphaned(facts[image_id], self._grace_s)
            if orphaned and not asked.include_orphaned:
                continue
            rows.append(
                wire.ImageSession(
                    session_id=header.session_id,
                    client_id=header.client_id,
                    name=header.name,
                    image_id=image_id,
                    image_status=status_of(facts[image_id], self._grace_s),
                    orphaned=orphaned,
                    is_active=active,
                    created_at=format_time(header.created_at),
                    last_activity=format_time(header.last_activity),
                    attached_clients=len(self._hub.attached(header.session_id)),
                    size_bytes=self._manager.size_bytes(header.session_id),
                )
            )
        return wire.ListImageSessionsResult(len(rows), rows)

    async def stats(self, caller: Caller, asked: wire.GetImageSessionStats) -> wire.GetImageSessionStatsResult:
        """Carry out `get_image_session_stats`."""
        del caller
        image_id, now = ImageId(asked.image_id), self._clock()
        known = self._images.known(image_id)
        headers = self._belonging.headers(image_id, closed=True)
        self._require(known, headers, image_id)
        active = sum(1 for header in headers if header.status(now) is Status.ACTIVE)
        orphaned = is_orphaned(self._facts(image_id, has_sessions=active > 0), self._grace_s)
        size_bytes = 0
        for header in headers:
            size_bytes += await self._belonging.context_bytes(header.session_id)
        tally = None if known is None else known.tally
        return wire.GetImageSessionStatsResult(
            image_id=image_id,
            total_sessions=len(headers),
            active_sessions=active,
            orphaned_sessions=active if orphaned else 0,
            total_context_size=size_bytes,
            last_activity=shown_time(max((header.last_activity for header in headers), default=None)),
            requests=0 if tally is None else tally.requests,
            errors=0 if tally is None else tally.errors,
            events=0 if tally is None else tally.events,
            events_dropped=0 if tally is None else tally.events_dropped,
        )

    def status(self, caller: Caller, asked: wire.GetImageConnectionStatus) -> wire.GetImageConnectionStatusResult:
        """Carry out `get_image_connection_status`, from what is known: no image is asked."""
        image_id = ImageId(asked.image_id)
        known = self._images.known(image_id)
        count = self._manager.count_of_image(image_id)
        self._require(known, [None] * count, image_id)
        facts = self._facts(image_id, has_sessions=count > 0)
        condition = condition_of(facts)
        link = None if known is None else known.link
        record = None if known is None else known.record
        since = None
        if known is not None:
            since = known.condition_since if known.condition == condition else known.changing_since or self._clock()
        return wire.GetImageConnectionStatusResult(
            image_id=image_id,
            address=None if record is None else record.address,
            status=status_of(facts, self._grace_s),
            last_seen=self._last_seen(known),
            connection_health=health_of(facts),
            session_count=count,
            last_activity=shown_time(None if known is None else known.tally.last_asked_at),
            condition=condition,
            condition_since=shown_time(since),
            condition_text=text_of(facts, image_id),
            evaluating=[] if link is None else [one.key for one in self._running.on(link) if self._may(caller, one)],
            pending_requests=0 if link is None else link.pending,
            latency_ms=None if facts.latency_s is None else round(facts.latency_s * 1000, 3),
            connections=[] if record is None else connection_rows(record),
            cleanups=[] if record is None else cleanup_rows(record),
            conflicts=[] if record is None else conflict_rows(record),
        )

    def _may(self, caller: Caller, one: Running) -> bool:
        header = self._manager.find(one.session_id)
        return header is not None and may_hear(caller, header)

    def _last_seen(self, known: KnownImage | None) -> str | None:
        if known is None:
            return None
        if known.link is not None:
            return format_time(self._clock() - known.link.pulse.quiet_s)
        return shown_time(known.record.last_seen)

    def _facts(self, image_id: ImageId, *, has_sessions: bool) -> Facts:
        known = self._images.known(image_id)
        if known is None:
            return Facts(seen=False, has_sessions=has_sessions)
        return self._images.facts(known, has_sessions=has_sessions)

    def _require(self, known: KnownImage | None, sessions: Iterable[object], image_id: ImageId) -> None:
        if known is None and not any(True for _ in sessions):
            msg = f"no image {image_id!r} is known; list_images tells which are"
            raise ImageNotFoundError(msg, image_id=image_id)

    # ---- cleaning up

    async def clean_up(self, caller: Caller, asked: wire.CleanupImageSessions) -> wire.CleanupImageSessionsResult:
        """Carry out `cleanup_image_sessions`."""
        image_id = ImageId(asked.image_id)
        headers = self._belonging.headers(image_id)
        self._require(self._images.known(image_id), headers, image_id)
        wish = Wish(
            orphaned=asked.cleanup_orphaned,
            expired=asked.cleanup_expired,
            active=not asked.preserve_active,
            unused_s=0.0 if asked.max_age_hours is None else asked.max_age_hours * 3600,
            force=asked.force,
        )
        by = caller.client_id or (caller.principal.name if caller.principal is not None else None) or "unnamed"
        return await self._clean(image_id, headers, wish, by, dry_run=asked.dry_run)

    async def close_orphaned(self) -> None:
        """Close sessions whose images have been gone for as long as the operator said, unless clients use them."""
        if not self._close_after_s:
            return
        for image_id in self._belonging.images():
            orphaned = is_orphaned(self._facts(image_id, has_sessions=True), self._close_after_s)
            if orphaned and self._manager.count_of_image(image_id):
                headers = self._belonging.headers(image_id)
                done = await self._clean(image_id, headers, Wish(orphaned=True), AUTOMATIC, dry_run=False)
                _log.info("image.sessions_closed", image_id=image_id, sessions=done.sessions_cleaned)

    async def _clean(
        self, image_id: ImageId, headers: list[SessionHeader], wish: Wish, by: str, *, dry_run: bool
    ) -> wire.CleanupImageSessionsResult:
        cleaned = 0
        details: list[wire.CleanedSession] = []
        for header in headers:
            verdict = decide(self._case(header), wish)
            action = "would_close" if dry_run and verdict.close else "kept"
            reason = verdict.reason
            if verdict.close and not dry_run:
                action, reason = await self._close(header, reason)
            cleaned += action in {"closed", "would_close"}
            if len(details) < MAX_DETAILS:
                details.append(wire.CleanedSession(header.session_id, header.client_id, action, reason))  # type: ignore[arg-type]  # one of the words
        if cleaned and not dry_run:
            self._images.note_cleanup(image_id, by, cleaned)
        active = self._manager.count_of_image(image_id)
        if dry_run:
            now = self._clock()
            would = {one.session_id for one in details if one.action == "would_close"}
            active -= sum(1 for header in headers if header.session_id in would and header.status(now) is Status.ACTIVE)
        return wire.CleanupImageSessionsResult(image_id, dry_run, cleaned, active, details)

    def _case(self, header: SessionHeader) -> Case:
        now = self._clock()
        active = header.status(now) is Status.ACTIVE
        image_id = header.image_id or ImageId("")
        return Case(
            expired=not active,
            orphaned=active and is_orphaned(self._facts(image_id, has_sessions=True), self._grace_s),
            unused_s=max(0.0, now - header.last_activity),
            attached=len(self._hub.attached(header.session_id)),
            busy=any(True for _ in self._running.of_session(header.session_id)),
        )

    async def _close(self, header: SessionHeader, reason: str) -> tuple[str, str]:
        try:
            await self._manager.end(header.session_id, keep=True)
        except StuiError as error:
            return "failed", error.message
        self._end_session(header)
        return "closed", reason
