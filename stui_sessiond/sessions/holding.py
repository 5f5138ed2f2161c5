"""How does one have a session to oneself, in the order of asking, and from which moment on?"""

from typing import NamedTuple, Protocol

from stui_sessiond.errors import StuiError
from stui_sessiond.ids import SessionId
from stui_sessiond.sessions.shelf import Entry, Fence, Newsbox, Shelf


class Holder(Protocol):
    """Who has the sessions."""

    shelf: Shelf

    def admit(self, session_id: str, client_id: str | None) -> Entry:
        """Look a session up for somebody."""

    def find(self, session_id: str) -> Entry:
        """Look a session up."""

    def write_soon(self, entry: Entry) -> None:
        """Store what was told of a session, as soon as nobody holds it."""


class Mark(NamedTuple):
    """A moment in what is told of a session: a place in this box, or before anything waited."""

    box: Newsbox | None
    fence: Fence | None

    def lower(self) -> bool:
        """Give the place up; False when there was none any more."""
        return self.box is not None and self.fence is not None and self.box.lower(self.fence)


class Held:
    """A session that is somebody's own as long as this context lasts."""

    __slots__ = ("_client_id", "_entry", "_keeper", "_session_id")

    def __init__(self, keeper: Holder, session_id: str, client_id: str | None) -> None:
        self._keeper = keeper
        self._session_id = session_id
        self._client_id = client_id
        self._entry: Entry | None = None

    async def __aenter__(self) -> Entry:
        entry = self._keeper.admit(self._session_id, self._client_id)
        await entry.lock.acquire()
        self._entry = entry
        if self._keeper.shelf.find(entry.header.session_id) is entry:
            return entry
        try:
            return self._keeper.find(self._session_id)  # it may have gone while we waited
        except StuiError:
            entry.lock.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        assert self._entry is not None  # noqa: S101 -- it was entered
        self._entry.lock.release()


class HeldFromNow:
    """The same, with a mark of the moment at which it was asked for."""

    __slots__ = ("_entry", "_held", "_keeper", "_mark", "_session_id")

    def __init__(self, keeper: Holder, session_id: SessionId) -> None:
        self._keeper = keeper
        self._session_id = session_id
        self._entry = entry = keeper.shelf.find(session_id)
        box = None if entry is None else entry.news
        self._mark = Mark(box, None if box is None else box.fence())
        self._held = Held(keeper, session_id, None)

    async def __aenter__(self) -> tuple[Entry, Mark]:
        try:
            return await self._held.__aenter__(), self._mark
        except BaseException:
            self._lower()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self._held.__aexit__()
        self._lower()

    def _lower(self) -> None:
        """Nobody keeps the place any more: what waits behind it may be written, if nothing was stored with the mark."""
        entry = self._entry
        if self._mark.lower() and entry is not None and entry.news is self._mark.box:
            self._keeper.write_soon(entry)
