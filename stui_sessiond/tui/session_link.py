"""What may a tool ask of the session it is in? Thin over the client; waits as long as the client does.

Every method raises what `LastingClient.ask` raises: `CallFailedError` (refused; `code` says why), `OfflineError`,
`OutcomeUnknownError`, `ConnectionFailedError`, `QueueFullError`.
"""

import itertools
import secrets
from collections.abc import Sequence
from typing import Literal

from stui_sessiond.client import LastingClient
from stui_sessiond.client.commands import Commands
from stui_sessiond.wire.messages.development import (
    BrowseClass,
    BrowseClassResult,
    CodeCompletion,
    CodeCompletionResult,
    EvaluateResult,
    InspectResult,
    ListClasses,
    ListClassesResult,
)
from stui_sessiond.wire.messages.evaluation import InterruptEvaluationResult

PAGE_CHARS = 20_000
"""Of a long result, so much comes at first: some hundred lines, more than anybody reads without searching."""


class SessionLink:
    """One session, seen through one client.

    Args:
        client: the connection, shared by all sessions with one daemon.
        session_id: the session.
        image_id: the image it belongs to; None when it has none.
        own: the name of this client.
        names: gives names to evaluations; for tests.
    """

    def __init__(
        self,
        client: LastingClient,
        session_id: str,
        *,
        image_id: str | None = None,
        own: str | None = None,
        names: str | None = None,
    ) -> None:
        self.client = client
        self.session_id = session_id
        self.image_id = image_id
        self.own = own
        self._names = names or secrets.token_hex(4)
        self._numbers = itertools.count(1)

    @property
    def online(self) -> bool:
        """Whether a call goes through now; without that, it waits."""
        return self.client.status.online

    def patient(self, timeout_s: float | None = None, *, wait: bool = True) -> Commands:
        """All commands of the contract, with a time limit, or without waiting for a connection."""
        return self.client.within(timeout_s, wait=wait)

    def name_evaluation(self, tool_id: str) -> str:
        """Make a name for an evaluation, new for each: it is its idempotency key, and lists and events call it so."""
        return f"{tool_id}-{self._names}-{next(self._numbers)}"

    async def evaluate(
        self,
        code: str,
        *,
        tool_id: str,
        name: str,
        on_error: Literal["report", "suspend"] = "suspend",
        keep: bool = False,
    ) -> EvaluateResult:
        """Run code with the variables of a tool; what met an error waits for the debugger.

        Args:
            code: Smalltalk source.
            tool_id: whose variables.
            name: from `name_evaluation`.
            on_error: `suspend` keeps the process of code that met an error.
            keep: keep the value in the image; the result then has a `handle` for the inspector.
        """
        return await self.client.evaluate(
            code,
            session_id=self.session_id,
            tool_id=tool_id,
            idempotency_key=name,
            on_error=on_error,
            keep=keep,
            page_chars=PAGE_CHARS,
        )

    async def interrupt(self, name: str | None = None, *, tool_id: str | None = None) -> InterruptEvaluationResult:
        """End an evaluation, all of a tool, or all of the session. Goes past everything that waits."""
        return await self.client.interrupt_evaluation(self.session_id, name, tool_id=tool_id)

    async def inspect(
        self,
        target: str | None = None,
        *,
        tool_id: str,
        handle: str | None = None,
        path: Sequence[str] = (),
        keep: bool = False,
    ) -> InspectResult:
        """Look into the object that an expression or a handle gives, or one to which a path leads from there."""
        return await self.client.inspect(
            target, session_id=self.session_id, tool_id=tool_id, handle=handle, path=path, keep=keep
        )

    async def complete(self, code: str, cursor: int, *, tool_id: str, limit: int = 20) -> CodeCompletionResult:
        """Tell how code could go on at a cursor."""
        asked = CodeCompletion(
            code=code, cursor_position=cursor, limit=limit, session_id=self.session_id, tool_id=tool_id
        )
        return await self.client.complete_code(asked)

    async def list_classes(self, pattern: str | None = None, limit: int | None = None) -> ListClassesResult:
        """List the image's classes."""
        asked = ListClasses(session_id=self.session_id)
        if pattern is not None:
            asked.pattern = pattern
        if limit is not None:
            asked.limit = limit
        return await self.client.list_classes(asked)

    async def browse_class(self, class_name: str) -> BrowseClassResult:
        """Tell about a class, with its methods and variables."""
        return await self.client.browse_class(BrowseClass(class_name=class_name, session_id=self.session_id))
