"""What do images keep for sessions, as a whole: objects, and processes that wait at an error?"""

from collections.abc import Iterable

from stui_sessiond.commands.debuggers import DebuggerCommands
from stui_sessiond.commands.objects import ObjectCommands
from stui_sessiond.commands.table import Command
from stui_sessiond.ids import SessionId
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.sessions.custody import CustodyTable
from stui_sessiond.sessions.handles import HandleTable
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook

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
        self.objects = ObjectCommands(manager, keeper, images, HandleTable())
        self.debuggers = DebuggerCommands(manager, keeper, book, images, hub, custody)

    def commands(self) -> Iterable[Command]:
        """List what is carried out here."""
        return (*self.objects.commands(), *self.debuggers.commands())

    def end_session(self, session_id: SessionId) -> None:
        """Forget what is kept for a session: its image forgets it with the session."""
        self.objects.end_session(session_id)
        self.debuggers.end_session(session_id)

    def sweep(self) -> None:
        """Let go of what nobody uses, end what nobody touches, and tell of leases that are over."""
        self.objects.sweep()
        self.debuggers.sweep()

    async def close(self) -> None:
        """Finish what is under way."""
        await self.debuggers.close()
