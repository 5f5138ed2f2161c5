"""What do images keep for sessions, as a whole: objects, and processes that wait at an error?"""

from collections import OrderedDict
from collections.abc import Iterable

from stui_sessiond.commands.debuggers import DebuggerCommands
from stui_sessiond.commands.objects import ObjectCommands
from stui_sessiond.commands.table import Command
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.session import SessionHeader, Status
from stui_sessiond.sessions.custody import CustodyTable
from stui_sessiond.sessions.handles import HandleTable
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.wire.messages.development import ReleaseSession

MAX_OWED = 1000
"""Sessions that ended while their image was away, and that it is told of when it is back; the oldest are forgotten."""

SWEEP_INTERVAL_S = 30.0
"""Between looks for leases, objects and processes whose time is over: a lease of minutes ends when it says, roughly."""


class Kept:
    """Joins the two; `custody` is the table that the book of requests writes into."""

    def __init__(
        self,
        manager: SessionManager,
        keeper: Keeper,
        book: RequestBook,
        images: ImageRegistry,
        hub: Hub,
        custody: CustodyTable,
    ) -> None:
        self._manager = manager
        self._images = images
        self._clock = keeper.clock
        self._owed: OrderedDict[SessionId, ImageId] = OrderedDict()
        self.objects = ObjectCommands(manager, keeper, images, HandleTable())
        self.debuggers = DebuggerCommands(manager, keeper, book, images, hub, custody)

    def commands(self) -> Iterable[Command]:
        """List what is carried out here."""
        return (*self.objects.commands(), *self.debuggers.commands())

    def end_session(self, header: SessionHeader) -> None:
        """Let the image forget all that it keeps for a session that is over, now or when it is back."""
        session_id, image_id = header.session_id, header.image_id
        self.objects.end_session(session_id)
        self.debuggers.end_session(session_id)
        if image_id is None:
            return
        self._owed[session_id] = image_id
        self._owed.move_to_end(session_id)
        if len(self._owed) > MAX_OWED:
            self._owed.popitem(last=False)
        self._tell_owed()

    def _tell_owed(self) -> None:
        for session_id, image_id in list(self._owed.items()):
            header = self._manager.find(session_id)
            if header is not None and header.status(self._clock()) is not Status.CLOSED:  # it was reopened meanwhile
                del self._owed[session_id]
            elif (link := self._images.find(image_id)) is not None:
                del self._owed[session_id]
                link.tell("release_session", ReleaseSession(session_id))

    def sweep(self) -> None:
        """Let go of what nobody uses, end what nobody touches, and tell of leases that are over."""
        self._tell_owed()
        self.objects.sweep()
        self.debuggers.sweep()

    async def close(self) -> None:
        """Finish what is under way."""
        await self.debuggers.close()
