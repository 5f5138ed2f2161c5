"""Which sessions belong to an image, and how does one come to belong to another?"""

from collections.abc import Callable, Sequence

from stui_sessiond.errors import StuiError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.model.event import News
from stui_sessiond.model.session import HistoryEntry, Session, SessionHeader
from stui_sessiond.sessions import transitions
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.manager import SessionManager


class Belonging:
    """Knows the sessions of images, and moves them."""

    def __init__(self, keeper: Keeper, manager: SessionManager) -> None:
        self._keeper = keeper
        self._manager = manager

    def images(self) -> list[ImageId]:
        """List the images that sessions belong to, known or not."""
        return self._keeper.shelf.images()

    def headers(self, image_id: ImageId | None, *, closed: bool = False) -> list[SessionHeader]:
        """List the sessions that belong to an image, or to any; expired ones too, and closed ones if wanted."""
        shelf = self._keeper.shelf
        images = shelf.images() if image_id is None else [image_id]
        found = [header for one in images for header in shelf.of_image(one) if closed or header.closed_at is None]
        return sorted(found, key=lambda header: (header.created_at, header.session_id))

    async def context_bytes(self, session_id: SessionId) -> int:
        """Bytes of a session's stored contexts; 0 when it cannot be read now. What is read is not held for it."""
        held = self._keeper.shelf.content(session_id)
        if held is None:
            try:
                held = await self._keeper.storage.load(session_id)
            except StuiError:
                return 0
        return 0 if held is None else sum(stored.size_bytes for stored in held.session.contexts.values())

    async def switch(
        self,
        session_id: str,
        to: ImageId,
        check: Callable[[SessionHeader], None],
        *,
        keep_contexts: bool,
        by: str | None,
    ) -> tuple[Session, Session]:
        """Let a session belong to another image from now on; give it as it was and as it is.

        `check` is asked, and may raise, when nothing else can happen to the session any more. Contexts that are not
        kept are cleared in the same write, as a version of its own.

        Raises:
            SessionError, StorageError: as `SessionManager.update`; nothing changed.
        """
        async with self._keeper.hold(session_id) as entry:
            transitions.require_active(entry.header, self._keeper.clock(), self._manager.life.retention_s)
            check(entry.header)
            before = await self._keeper.load(entry)
            moved = transitions.bind_image(before, to)
            news: Sequence[News] = ()
            if before.header.image_id != to:
                data = {"from_image_id": before.header.image_id, "to_image_id": to, "client_id": by}
                news = (self._keeper.news("session.image_switched", data),)
            moved, cleared = (moved, []) if keep_contexts else transitions.clear_context(moved, None)
            if not cleared:
                return before, await self._keeper.store(entry, moved, news)

            def event(_session: Session, version: HistoryEntry) -> News:
                told = {"tools": list(cleared), "version": version.version, "client_id": by}
                return News("context.cleared", told, version.at)

            after = await self._manager.advance(entry, before, moved, by, "context.cleared", event, also=news)
            return before, after
