"""How is code ended that runs, or waits to? The command `interrupt_evaluation`.

An image is asked at once, beside everything that waits for it. What has not reached an image is dropped here.
"""

import asyncio
from collections.abc import Iterable, Sequence

from stui_sessiond.commands.running import Running, RunningTable
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import EvaluationNotFoundError, ImageTimeoutError, StuiError, UnsupportedOperationError
from stui_sessiond.ids import SessionId
from stui_sessiond.images.link import RUNS_CODE, ImageLink
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.messages import evaluation as wire
from stui_sessiond.wire.messages.development import Interrupt

INTERRUPT_TIMEOUT_S = 10.0
"""How long an image may take to say whether it ends code: it has to answer that while it evaluates."""

Told = asyncio.Task[wire.Interruption]


class InterruptionCommands:
    """Carries out `interrupt_evaluation`."""

    def __init__(
        self, manager: SessionManager, book: RequestBook, images: ImageRegistry, running: RunningTable
    ) -> None:
        self._manager = manager
        self._book = book
        self._images = images
        self._running = running
        self._tasks = TaskOwner("interrupt")

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (Command("interrupt_evaluation", wire.InterruptEvaluation, self.interrupt_evaluation),)

    async def close(self) -> None:
        """Wait for no image any more."""
        await self._tasks.close()

    async def interrupt_evaluation(
        self, caller: Caller, asked: wire.InterruptEvaluation
    ) -> wire.InterruptEvaluationResult:
        """Carry out `interrupt_evaluation`: images are asked before anything is waited for.

        Raises:
            SessionError, StorageError: the session is not there, or cannot be read.
            EvaluationNotFoundError: it knows no evaluation of this name.
        """
        session_id = self._manager.use(asked.session_id, over=True).session_id  # its code may go on without it
        under_way = [one for one in self._running.of_session(session_id) if _is_meant(one.request, asked)]
        asking = [self._end(one, caller.client_id, force=asked.force) for one in under_way]
        known = {one.key for one in under_way}
        if asked.evaluation is None or not known:
            asking += await self._others(session_id, caller.client_id, asked, known)
        return wire.InterruptEvaluationResult(session_id, [await each for each in asking])

    def _end(self, running: Running, client_id: str | None, *, force: bool) -> Told:
        self._book.tell_interruption(running.session_id, running.key, client_id)
        link = running.link
        if running.drop() or link is None:
            return self._tasks.start(_cancelled(running.key), running.key)
        return self._tasks.start(_ask(link, running.session_id, running.request, force=force), running.key)

    async def _others(
        self, session_id: SessionId, client_id: str | None, asked: wire.InterruptEvaluation, known: set[str]
    ) -> Sequence[Told]:
        """End what images may be at although nobody waits for it here: a link broke, or the daemon was restarted."""
        entries = [one for one in (await self._book.remembered(session_id)).values() if _is_meant(one, asked)]
        if asked.evaluation is not None and not entries:
            msg = f"session {session_id} knows no evaluation {asked.evaluation!r}"
            raise EvaluationNotFoundError(msg, evaluation=asked.evaluation)
        return [
            self._tasks.start(self._end_unwatched(session_id, one, client_id, force=asked.force), one.key)
            for one in entries
            if one.key not in known and (one.state == "running" or asked.evaluation is not None)
        ]

    async def _end_unwatched(
        self, session_id: SessionId, request: RequestEntry, client_id: str | None, *, force: bool
    ) -> wire.Interruption:
        if request.state != "running":
            return wire.Interruption(request.key, "ended")
        link = None if request.image_id is None else self._images.find(request.image_id)
        if link is None:
            reason = f"image {request.image_id!r} is not connected: ask again when it is back"
            return wire.Interruption(request.key, "not_interrupted", reason=reason)
        if link.identity.instance_id != request.instance_id:
            return wire.Interruption(request.key, "ended", reason="the image that worked on it is gone")
        self._book.tell_interruption(session_id, request.key, client_id)
        return await _ask(link, session_id, request, force=force)


async def _cancelled(evaluation: str) -> wire.Interruption:
    return wire.Interruption(evaluation, "cancelled")


async def _ask(link: ImageLink, session_id: SessionId, request: RequestEntry, *, force: bool) -> wire.Interruption:
    """Ask an image to end a request, and tell what it says."""
    relay_id = request.relay_id or ""
    asked = Interrupt(request_id=relay_id, session_id=session_id, tool_id=request.tool_id, force=force)
    try:
        said = await link.interrupt(asked, INTERRUPT_TIMEOUT_S)
    except StuiError as error:
        return wire.Interruption(request.key, "not_interrupted", reason=_reason(error, link))
    if said.interrupted:
        return wire.Interruption(request.key, "interrupted", said.state_lost)
    if not link.awaits(relay_id):
        return wire.Interruption(request.key, "ended")
    reason = f"image {link.image_id!r} does not know the request; its answer may be on the way"
    return wire.Interruption(request.key, "not_interrupted", reason=reason)


def _reason(error: StuiError, link: ImageLink) -> str:
    """Why code was not interrupted, and what else helps."""
    if not isinstance(error, UnsupportedOperationError | ImageTimeoutError):
        return error.message
    if isinstance(error, ImageTimeoutError):
        helps = "`get_image_connection_status` tells more; it may still end it"
    elif link.can("interrupt"):  # it says so of this request
        helps = "`force` true ends it, and all objects of the image are lost"
    else:
        helps = "it goes on until it ends; the image's own user interface, or ending the image, can stop it"
    return f"{error.message}; {helps}"


def _is_meant(request: RequestEntry, asked: wire.InterruptEvaluation) -> bool:
    return (
        request.command in RUNS_CODE
        and asked.evaluation in (None, request.key)
        and asked.tool_id in (None, request.tool_id)
    )
