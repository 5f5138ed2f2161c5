"""How does a request get to the image it is for, and what if the link, the client or the daemon goes meanwhile?

A request that only reads is asked and answered. One that runs code, for a session, is in the session's book before
the image hears of it if it has an idempotency key; if it has none, soon after, and before its client hears of its end.
It goes on when its client leaves or stops waiting, and it ends when the image answers, over whatever link.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from msgspec.structs import replace

from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.kept import Kept
from stui_sessiond.commands.paging import LongResults
from stui_sessiond.commands.running import Running, RunningTable
from stui_sessiond.commands.table import Caller
from stui_sessiond.commands.translation import (
    check_parameters,
    code_of,
    from_image,
    interrupted_early,
    outcome_of,
    page_chars_of,
    shown,
    to_image,
)
from stui_sessiond.errors import (
    ImageLostError,
    ImageTimeoutError,
    ImageUnavailableError,
    KeyReusedError,
    ObjectNotFoundError,
    ParameterError,
    SessionNotFoundError,
    StuiError,
    error_of,
)
from stui_sessiond.ids import DEFAULT_TOOL, ImageId, InstanceId, SessionId
from stui_sessiond.images.link import RUNS_CODE, ImageLink
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.images.router import choose
from stui_sessiond.model.request import Origin, RequestEntry
from stui_sessiond.model.session import SessionHeader
from stui_sessiond.sessions import ledger
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import SHOWN_CODE_CHARS, Outcome, RequestBook
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.codec import decode_result
from stui_sessiond.wire.forms import Reply
from stui_sessiond.wire.messages import development as wire

T = TypeVar("T")

_log = structlog.get_logger(__name__)

ANSWER_TIMEOUT_S = 30.0
"""How long an image may take over a request that runs no user code, unless the request says otherwise."""


class Relay:
    """Asks the images that requests are for."""

    def __init__(
        self,
        manager: SessionManager,
        book: RequestBook,
        images: ImageRegistry,
        approvals: Approvals,
        kept: Kept,
        clock: Callable[[], float],
        running: RunningTable,
        long_results: LongResults,
    ) -> None:
        self._manager = manager
        self._book = book
        self._images = images
        self._approvals = approvals
        self._objects = kept.objects
        self._debuggers = kept.debuggers
        self._clock = clock
        self._running = running
        self._long_results = long_results
        self._notes = TaskOwner("notes")
        self._run_id = secrets.token_hex(5)
        self._serial = itertools.count(1)
        """With `_run_id` the names of requests: no other daemon's may be the same, for images may answer late."""

    async def close(self) -> None:
        """Stop waiting for images. What they work on stays in the book, and ends when they tell.

        What they have told is noted first.
        """
        await self._running.close()
        await self._notes.drain(None)
        await self._notes.close()

    # ---- requests that only read

    async def ask(self, command: str, asked: wire.Relayed, wanted: type[T], client_id: str | None = None) -> T:
        """Relay a request and return the image's answer.

        Raises:
            SessionError: the session is not there, or over.
            ParameterError, ImageError: see `images.router.choose` and `images.link.ImageLink.ask`.
        """
        check_parameters(asked)
        link = await self.reach(command, asked, client_id)
        timeout_s = asked.timeout or (None if command in RUNS_CODE else ANSWER_TIMEOUT_S)
        try:
            told = await link.ask(command, to_image(link, asked), wanted, timeout_s)
        except ObjectNotFoundError as error:
            if isinstance(asked, wire.Inspect):
                self._objects.missed(asked, error)
            raise
        answer = from_image(link, command, told)
        if isinstance(asked, wire.Inspect):
            self._objects.inspected(link, asked, answer)
        return answer  # type: ignore[no-any-return]  # it stays a `wanted`

    async def reach(self, command: str, asked: wire.Relayed, client_id: str | None) -> ImageLink:
        """Find the image that a request is for, once all that has a say agrees to it.

        Raises:
            SessionError, RefusedError, ParameterError, ImageUnavailableError: it is for none, or may not be asked.
        """
        header = self._manager.use(asked.session_id) if asked.session_id else None
        if (code := code_of(asked)) is not None:
            session_id = None if header is None else header.session_id
            await self._approvals.require(command, code, client_id, session_id, None)
        return await self._link(header, asked)

    async def _link(self, header: SessionHeader | None, asked: wire.Relayed) -> ImageLink:
        named = ImageId(asked.image_id) if asked.image_id else None
        image_id = choose(header.image_id if header else None, named, self._images.connected)
        if header is not None and header.image_id is None:
            await self._manager.bind_image(header.session_id, image_id)
        link = self._images.find(image_id)
        if link is None:  # it left while the session was being bound
            msg = f"image {image_id!r} is not connected"
            raise ImageUnavailableError(msg, image_id=image_id)
        return link

    # ---- requests that run code

    def run(self, caller: Caller, command: str, asked: wire.Evaluate | wire.Debug, wanted: type[T]) -> Awaitable[T]:
        """Relay a request that runs code; see `_run` for what awaiting it may raise."""
        return self._run(command, asked, wanted, caller.client_id, caller.origin)

    async def _run(
        self,
        command: str,
        asked: wire.Evaluate | wire.Debug,
        wanted: type[T],
        client_id: str | None,
        origin: Origin | None,
    ) -> T:
        """Carry a request out once, or wait for it if it is under way.

        Raises:
            SessionError, ParameterError, ImageError, StorageError: it was not carried out, or the image said so.
            ImageTimeoutError, ImageLostError: nobody knows yet what became of it.
            RequestError: it was sent before, and its outcome cannot be told.
        """
        check_parameters(asked)
        if not asked.session_id:
            if asked.idempotency_key:
                msg = f"{command}: `idempotency_key` takes a `session_id`: outcomes are remembered per session"
                raise ParameterError(msg, field="session_id")
            return await self.ask(command, asked, wanted, client_id)
        header = self._manager.use(asked.session_id)
        digest = ledger.digest_of(command, asked)
        key = asked.idempotency_key or self._running.own_key(header.session_id, origin)
        running = self._running.find(header.session_id, key) if asked.idempotency_key else None
        if running is not None and running.request.digest != digest:
            msg = "the key named another request before, which is still under way"
            raise KeyReusedError(msg)
        if running is not None:
            ended = await self._wait(running.join(), command, asked, key)
        else:
            running = Running(header.session_id, self._request(command, asked, key, digest, client_id, origin))
            work = self._carry_out(header, running, asked, wanted)
            if asked.idempotency_key or asked.timeout:  # it may go on when nobody here waits for it any more
                ended = await self._wait(self._running.start(running, work), command, asked, key)
            else:
                ended = await self._running.carry_out(running, work)
        if isinstance(ended, StuiError):  # not the task's own: raising that would tie task and connection into a knot
            raise error_of(ended.code, ended.message, ended.details)
        return shown(ended, asked, key)  # type: ignore[no-any-return]  # a `wanted`: `_carry_out` has decoded it so

    async def _wait(
        self, ended: "asyncio.Future[Any]", command: str, asked: wire.Evaluate | wire.Debug, key: str
    ) -> Any:  # noqa: ANN401 -- a result, or the error it ended with
        try:
            async with asyncio.timeout(asked.timeout or None):
                return await asyncio.shield(ended)
        except TimeoutError:
            msg = f"there was no answer to {command} within {asked.timeout:g} s; it goes on"
            raise ImageTimeoutError(msg, timeout=asked.timeout, evaluation=key) from None

    def _request(
        self,
        command: str,
        asked: wire.Evaluate | wire.Debug,
        key: str,
        digest: str,
        client_id: str | None,
        origin: Origin | None,
    ) -> RequestEntry:
        code = code_of(asked)
        return RequestEntry(
            key=key,
            command=command,
            digest=digest,
            accepted_at=self._clock(),
            client_id=client_id,
            tool_id=asked.tool_id or DEFAULT_TOOL,
            origin=origin,
            code=None if code is None else code[:SHOWN_CODE_CHARS],
            code_cut=code is not None and len(code) > SHOWN_CODE_CHARS,
            page_chars=page_chars_of(asked),
            debugs=(asked.debugger_id or None) if isinstance(asked, wire.Debug) else None,
        )

    def status_of(self, session_id: SessionId, key: str) -> str | None:
        """Tell whether a request is under way: `queued` until the image has been asked, then `running`."""
        return self._running.status_of(session_id, key)

    def word_of(self, session_id: SessionId, entry: RequestEntry) -> str:
        """Tell what became of a request that is in the book: a status of `get_request_status`."""
        if (under_way := self.status_of(session_id, entry.key)) is not None:
            return under_way
        if entry.state != "running":
            return "lost_with_image" if entry.state == "lost" else entry.state
        return "lost_with_image" if self.is_gone(entry) else "outcome_unknown"

    async def _carry_out(
        self, header: SessionHeader, running: Running, asked: wire.Evaluate | wire.Debug, wanted: type[T]
    ) -> T | StuiError:
        session_id, request = header.session_id, running.request
        keyed = bool(asked.idempotency_key)
        place = None
        try:
            if keyed:
                before = ledger.recall_entry(await self._book.recall(session_id, request.key), request.digest)
                if before is not None and not ledger.was_not_asked(before):
                    return ledger.again(before, wanted, gone=self.is_gone(before))
            code = code_of(asked)
            if code is not None and not self._approvals.lets_run(code, request.client_id):
                await self._approve(running, code)
            link = None if running.dropped() else await self._link(header, asked)
            if link is None or running.dropped():
                return await self._cancel(running)  # type: ignore[return-value]  # the outcome of this command
            link.check(request.command)
            sent = to_image(link, asked)
            if isinstance(asked, wire.Debug):
                place = await self._debuggers.admit(session_id, request.client_id, asked)
            request = replace(
                request,
                relay_id=f"{session_id}:{self._run_id}{next(self._serial):06x}",
                image_id=link.image_id,
                instance_id=InstanceId(link.identity.instance_id),
            )
            if keyed:
                beginning = self._notes.start(self._begin(session_id, request), f"begin.{request.key}")
                refusal: StuiError | None = await asyncio.shield(beginning)
                if refusal is not None:
                    return refusal
                if running.dropped():
                    return await self._drop(session_id, request)  # type: ignore[return-value]  # the same
            else:
                self._book.begin_soon(session_id, request)
            self._running.ask(running, request, link)
            return await self._ask_and_note(running, link, sent, wanted, keyed=keyed)
        except StuiError as error:
            return error
        finally:
            self._debuggers.leave(place)

    async def _approve(self, running: Running, code: str) -> None:
        request = running.request
        try:
            async with asyncio.timeout(None) as running.waiting:
                await self._approvals.require(request.command, code, request.client_id, running.session_id, request.key)
        except TimeoutError:  # `Running.drop` did that
            pass
        finally:
            running.waiting = None

    async def _cancel(self, running: Running) -> object:
        """End a request that is in no book and that no image knows."""
        answer = interrupted_early(running.request.command)
        noting = self._book.cancel(running.session_id, running.request, outcome_of(answer))
        await asyncio.shield(self._notes.start(_quietly(noting, running.session_id), f"cancel.{running.key}"))
        return answer

    async def _drop(self, session_id: SessionId, request: RequestEntry) -> object:
        """End a request that is in the book and that no image knows."""
        answer = interrupted_early(request.command)
        noting = self._book.finish(session_id, request.key, outcome_of(answer))
        await asyncio.shield(self._notes.start(_quietly(noting, session_id), f"drop.{request.key}"))
        return answer

    async def _begin(self, session_id: SessionId, request: RequestEntry) -> StuiError | None:
        try:
            await self._book.begin(session_id, request)
        except StuiError as error:
            return error
        return None

    async def _ask_and_note(
        self,
        running: Running,
        link: ImageLink,
        sent: wire.Relayed,
        wanted: type[T],
        *,
        keyed: bool,
    ) -> T | StuiError:
        session_id, request = running.session_id, running.request
        answer: T | StuiError
        try:
            told = await link.ask(request.command, sent, wanted, None, request.relay_id)
            answer = from_image(link, request.command, told)
            self._objects.evaluated(link, session_id, request, answer)
        except ImageLostError as error:
            self._book.interrupt(session_id, request.key, error.message)
            error.details = {**error.details, "evaluation": request.key}
            return error
        except StuiError as error:
            answer = error.with_traceback(None)  # which leads here, and from here to the answer: a circle
        outcome = self._outcome(session_id, request, answer)
        told_first = bool(keyed or outcome.suspended or outcome.closes)  # who hears of a process finds it in the list
        if not keyed and not self._book.has_begun(session_id, request):
            # as long as it is in no book, its client does not go on to the next one
            finishing = self._book.finish(session_id, request.key, outcome, answer_first=not told_first)
            await _quietly(finishing, session_id)
            return answer
        noting = _quietly(self._book.finish(session_id, request.key, outcome), session_id)
        noted = self._notes.start(noting, f"finish.{request.key}")
        if told_first:
            await asyncio.shield(noted)
        return answer

    def _outcome(self, session_id: SessionId, request: RequestEntry, answer: object) -> Outcome:
        outcome = outcome_of(answer)
        if request.page_chars is not None and outcome.result is not None:
            self._long_results.hold(session_id, request.key, answer, len(outcome.result))
        return outcome

    def is_gone(self, request: RequestEntry) -> bool:
        """Tell whether the image that worked on a request is known to be gone: another one is in its place."""
        link = self._images.find(request.image_id) if request.image_id is not None else None
        return link is not None and link.identity.instance_id != request.instance_id

    # ---- what comes later

    def receive_stray(self, link: ImageLink, reply: Reply) -> bool:
        """Take an answer that nobody waits for: perhaps an earlier link, or an earlier daemon, was asked."""
        session_id, _, serial = reply.id.rpartition(":")
        if not session_id or not serial:
            return False
        self._notes.start(self._finish_late(link, SessionId(session_id), reply), "late")
        return True

    async def _finish_late(self, link: ImageLink, session_id: SessionId, reply: Reply) -> None:
        answer: object
        try:
            request = await self._book.find_relayed(session_id, reply.id)
        except StuiError as error:
            _tell_not_noted(session_id, error)
            return
        if request is None or (request.image_id, request.instance_id) != (link.image_id, link.identity.instance_id):
            return
        try:
            if reply.result is None:
                answer = link.error(reply)
            else:
                answer = from_image(link, request.command, decode_result(reply, RUNS_CODE[request.command]))
                self._objects.evaluated(link, session_id, request, answer)
        except StuiError as error:
            answer = error.with_traceback(None)  # which leads here, and from here to the answer: a circle
        await _quietly(
            self._book.finish_late(session_id, reply.id, self._outcome(session_id, request, answer)), session_id
        )


async def _quietly(work: Awaitable[object], session_id: SessionId) -> None:
    """Note an end whose client has its answer: if it cannot be noted, that is for the log."""
    try:
        await work
    except StuiError as error:
        _tell_not_noted(session_id, error)


def _tell_not_noted(session_id: SessionId, error: StuiError) -> None:
    """Log it. That its session was deleted meanwhile is no trouble: an image says many answers again after a cut."""
    say = _log.info if isinstance(error, SessionNotFoundError) else _log.warning
    say("evaluation.not_noted", session_id=session_id, code=error.code)
