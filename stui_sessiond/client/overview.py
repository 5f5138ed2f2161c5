"""Which commands tell an operator how the daemon is? For all kinds of client, as those of `commands`."""

import abc
from typing import Literal, TypeVar

from stui_sessiond.wire.messages import overview

T = TypeVar("T")


class OverviewCommands(abc.ABC):
    """The commands that show sessions, connections, evaluations, the store and figures of the whole daemon."""

    @abc.abstractmethod
    async def ask(self, parameters: object, wanted: type[T]) -> T:
        """Call the command whose parameters these are (`ListSessions` calls `list_sessions`)."""

    async def list_sessions(
        self,
        *,
        status: Literal["active", "expired", "closed", "all"] = "active",
        image_id: str | None = None,
        client_id: str | None = None,
        search: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> overview.ListSessionsResult:
        """List sessions, the newest first; go on with `before`, the `next` of the page before."""
        asked = overview.ListSessions(status, image_id, client_id, search, limit, before)
        return await self.ask(asked, overview.ListSessionsResult)

    async def list_connections(self, *, limit: int = 100, offset: int = 0) -> overview.ListConnectionsResult:
        """List who is connected, the newest first."""
        return await self.ask(overview.ListConnections(limit, offset), overview.ListConnectionsResult)

    async def list_running_evaluations(
        self, image_id: str | None = None, *, limit: int = 100
    ) -> overview.ListRunningEvaluationsResult:
        """List the evaluations that are under way, the oldest first."""
        asked = overview.ListRunningEvaluations(image_id, limit)
        return await self.ask(asked, overview.ListRunningEvaluationsResult)

    async def get_store_status(self) -> overview.GetStoreStatusResult:
        """Tell how the store, its disk and its backups are."""
        return await self.ask(overview.GetStoreStatus(), overview.GetStoreStatusResult)

    async def get_figures(self, *, limit: int = 120) -> overview.GetFiguresResult:
        """Tell how busy the daemon was in the last minutes."""
        return await self.ask(overview.GetFigures(limit), overview.GetFiguresResult)
