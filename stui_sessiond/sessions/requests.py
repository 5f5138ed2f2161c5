"""What became of the requests that ran code? Begins and ends them in a session's book, and tells of it.

Guarantees: a request is in the book, durably, before `begin` returns, and within `keeper.BEGIN_S` after `begin_soon`,
or together with its end; it ends once, whoever tells first; one whose image went away stays `running` in the book until
the image tells, or is known to be gone.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.errors import StorageError, StuiError
from stui_sessiond.ids import ClientId, ConnectionId, SessionId
from stui_sessiond.model.event import News
from stui_sessiond.model.request import Failure, RequestEntry
from stui_sessiond.model.session import Session
from stui_sessiond.sessions import ledger
from stui_sessiond.sessions.custody import CustodyTable, Place
from stui_sessiond.sessions.holding import Mark
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.shelf import Entry

_log = structlog.get_logger(__name__)

SHOWN_CODE_CHARS = 2000
"""How much of the code is in the event that tells of it."""

SHOWN_RESULT_CHARS = 8000
"""How much of a printed result, or of an error, is in the event that tells of it."""


SHOWN_ERROR_CHARS = 1000
"""How much of an error's class and text is in the event that tells of its process."""


Entries = Mapping[str, RequestEntry]
"""Requests by key, the oldest first."""


class Suspended(msgspec.Struct, frozen=True):
    """A process that waits at an error. `debugger_id` is the name that clients use."""

    debugger_id: str
    error_class: str
    error_message: str | None


class Outcome(msgspec.Struct, frozen=True):
    """How a request ended: `result` as JSON text, or `failure`. `shown` is what a person wants to see of it."""

    result: str | None = None
    failure: Failure | None = None
    has_error: bool = False
    """Whether the code raised an error; that is a result all the same."""
    shown: str | None = None
    suspended: Suspended | None = None
    """The process that waits at the error."""
    closes: str | None = None
    """How the process that a `debug` worked with has ended, if it has."""


class RequestBook:
    """The requests of all sessions that ran code, or are running it."""

    def __init__(self, keeper: Keeper, custody: CustodyTable) -> None:
        self._keeper = keeper
        self._custody = custody

    async def recall(self, session_id: str, key: str) -> RequestEntry | None:
        """Find what is remembered of a request.

        Raises:
            SessionError, StorageError: the session cannot be read.
        """
        return (await self.remembered(session_id)).get(key)

    async def find_relayed(self, session_id: SessionId, relay_id: str) -> RequestEntry | None:
        """Find the request that an image was asked under this id, if it has not ended.

        Raises:
            SessionError, StorageError: the session cannot be read.
        """
        entries = (await self.remembered(session_id)).values()
        return next((one for one in entries if one.relay_id == relay_id and one.state == "running"), None)

    async def remembered(self, session_id: str) -> Entries:
        """List what is remembered of a session's requests, by key, also of those that begin just now.

        Raises:
            SessionError, StorageError: the session cannot be read.
        """
        async with self._keeper.hold(session_id) as entry:
            entries = (await self._keeper.load(entry)).requests.entries
            begun = self._keeper.begun(entry)
        return {**entries, **{one.key: one for one in begun}} if begun else entries

    async def begin(self, session_id: SessionId, request: RequestEntry) -> None:
        """Put a request into the book, durably; it is carried out only then.

        Raises:
            StorageError: it is not in the book.
        """
        async with self._keeper.hold_from_now(session_id) as (entry, mark):
            session = await self._keeper.load(entry)
            noted = ledger.begun(session.requests, request)
            await self._note(entry, session, noted, self._beginning(request), happened=False, mark=mark)

    def begin_soon(self, session_id: SessionId, request: RequestEntry) -> None:
        """Put a request that is carried out at once into the book: soon, or together with its end if that comes first.

        If that fails, the epoch ends.
        """
        self._keeper.post_beginning(session_id, *self._beginning(request))

    def _beginning(self, request: RequestEntry) -> tuple[News, News]:
        started = {
            "evaluation": request.key,
            "image_id": request.image_id,
            "instance_id": request.instance_id,
        }
        return _accepted(request), self._keeper.news("evaluation.started", started)

    def has_begun(self, session_id: SessionId, request: RequestEntry) -> bool:
        """Tell whether a request is in the book, durably; False also when that takes more than a look."""
        held = self._keeper.shelf.content(session_id)
        found = None if held is None else held.session.requests.entries.get(request.key)
        return found is not None and found.relay_id == request.relay_id

    async def finish(self, session_id: SessionId, key: str, outcome: Outcome, *, answer_first: bool = False) -> bool:
        """End a request, durably; False when it had ended, or is not in the book.

        With `answer_first` its end is told behind the answer, which is to follow at once; its beginning never is.

        Raises:
            SessionError, StorageError: it has not ended in the book; what is told of it is lost, and the epoch ends.
        """
        return await self._end(session_id, lambda entries: entries.get(key), outcome, answer_first=answer_first)

    async def finish_late(self, session_id: SessionId, relay_id: str, outcome: Outcome) -> bool:
        """End a request that an image was asked under this id over an earlier link.

        Raises:
            SessionError, StorageError: as `finish`.
        """

        def find(entries: Entries) -> RequestEntry | None:
            return next((one for one in reversed(tuple(entries.values())) if one.relay_id == relay_id), None)

        return await self._end(session_id, find, outcome, late=True)

    async def _end(
        self,
        session_id: SessionId,
        find: Callable[[Entries], RequestEntry | None],
        outcome: Outcome,
        *,
        late: bool = False,
        answer_first: bool = False,
    ) -> bool:
        async with self._keeper.hold_from_now(session_id) as (entry, mark):
            session = await self._keeper.load(entry)
            begun = self._keeper.begun(entry)
            begins = find({one.key: one for one in begun}) if begun else None
            found = begins or find(session.requests.entries)
            if found is None or found.state != "running":
                return False
            moved = () if begins is None else ledger.begun(session.requests, begins)[:-1]
            ended = _ended(found, outcome, self._keeper.clock())
            news = [self._keeper.news("evaluation.finished", _told(ended, outcome, late=late))]
            closed: list[RequestEntry] = []
            if outcome.suspended is not None:
                ended = replace(ended, debugger_id=outcome.suspended.debugger_id)
                news.append(self._keeper.news("debugger.opened", _opened(ended, outcome.suspended)))
            elif outcome.closes is not None and ended.debugs is not None:
                closed = ledger.closed(session.requests, ended.debugs)
                news += self._closings([ended.debugs] if closed else (), outcome.closes)
            noted = (*moved, ended, *closed)
            await self._note(entry, session, noted, news, mark=mark, answer_first=answer_first)
            self._take_note(session_id, (ended,))
            if closed and ended.debugs is not None:
                self._custody.forget(Place(session_id, ended.debugs))
            return True

    async def cancel(self, session_id: SessionId, request: RequestEntry, outcome: Outcome) -> None:
        """Put a request into the book that ended before an image was asked, durably.

        Raises:
            SessionError, StorageError: it is not in the book; what is told of it is lost, and the epoch ends.
        """
        async with self._keeper.hold(session_id) as entry:
            session = await self._keeper.load(entry)
            ended = _ended(request, outcome, self._keeper.clock())
            finished = self._keeper.news("evaluation.finished", _told(ended, outcome, late=False))
            await self._note(entry, session, (ended,), (_accepted(request), finished))

    # ---- processes that wait at an error

    async def waiting(self, session_id: SessionId) -> list[RequestEntry]:
        """List the evaluations of a session whose processes wait at an error.

        Raises:
            SessionError, StorageError: the session cannot be read.
        """
        async with self._keeper.hold(session_id) as entry:
            return ledger.waiting((await self._keeper.load(entry)).requests)

    async def close_debugger(self, session_id: SessionId, debugger_id: str, how: str) -> None:
        """Take note that a process does not wait any more, durably.

        Raises:
            SessionError, StorageError: it is listed still.
        """
        async with self._keeper.hold(session_id) as entry:
            session = await self._keeper.load(entry)
            closed = ledger.closed(session.requests, debugger_id)
            if closed:
                await self._note(entry, session, closed, self._closings([debugger_id], how))
            self._custody.forget(Place(session_id, debugger_id))

    def _closings(self, debugger_ids: Iterable[str], how: str) -> list[News]:
        return [self._keeper.news("debugger.closed", {"debugger_id": one, "how": how}) for one in debugger_ids]

    def _take_note(self, session_id: SessionId, waiting: Iterable[RequestEntry]) -> None:
        for one in waiting:
            if one.debugger_id is not None and one.image_id is not None:
                self._custody.note(Place(session_id, one.debugger_id), one.image_id, self._keeper.clock())

    async def lose(self, session_id: SessionId, instance_id: str, connected: dict[str, Any]) -> None:
        """Take note that the session's image has come, as this instance: what another one worked on is lost.

        Raises:
            SessionError, StorageError: not now.
        """
        async with self._keeper.hold(session_id) as entry:
            session = await self._keeper.load(entry)
            lost = [
                replace(one, state="lost", finished_at=self._keeper.clock())
                for one in (*session.requests.entries.values(), *self._keeper.begun(entry))
                if one.state == "running" and one.relay_id is not None and one.instance_id != instance_id
            ]
            reason = "the image was started anew; what the one before worked on will never be finished"
            waiting = ledger.waiting(session.requests)
            gone = [one for one in waiting if one.image_id == entry.header.image_id and one.instance_id != instance_id]
            news = [self._keeper.news("image.connected", connected)]
            news += [self._keeper.news("evaluation.lost", {"evaluation": one.key, "reason": reason}) for one in lost]
            news += self._closings([one.debugger_id for one in gone if one.debugger_id is not None], "lost")
            await self._note(entry, session, [*lost, *(replace(one, debugger_id=None) for one in gone)], news)
            for one in gone:
                self._custody.forget(Place(session_id, one.debugger_id or ""))
            self._take_note(session_id, [one for one in waiting if one not in gone])

    def interrupt(self, session_id: SessionId, key: str, reason: str) -> None:
        """Tell that nobody knows now what becomes of a request."""
        entry = self._keeper.shelf.find(session_id)
        if entry is not None:
            self._keeper.post(entry, "evaluation.interrupted", {"evaluation": key, "reason": reason})

    def tell_interruption(self, session_id: SessionId, key: str, client_id: str | None) -> None:
        """Tell that somebody asks to end a request."""
        entry = self._keeper.shelf.find(session_id)
        if entry is not None:
            asked = {"evaluation": key, "client_id": client_id}
            self._keeper.post(entry, "evaluation.interrupt_requested", asked)

    async def owed(
        self, connection_id: ConnectionId, client_id: str, request_ids: Collection[str]
    ) -> dict[str, RequestEntry]:
        """Find requests of a connection that have ended, by the ids they had there; of one id the newest."""
        found: dict[str, RequestEntry] = {}
        for header in list(self._keeper.shelf.of_client(ClientId(client_id))):
            try:
                async with self._keeper.hold(header.session_id) as entry:
                    requests = (await self._keeper.load(entry)).requests.entries.values()
            except StuiError:
                continue
            for one in requests:
                origin = one.origin
                if one.state == "running" or origin is None or origin.connection_id != connection_id:
                    continue
                known = found.get(origin.request_id)
                if origin.request_id in request_ids and (known is None or known.accepted_at <= one.accepted_at):
                    found[origin.request_id] = one
        return found

    async def _note(
        self,
        entry: Entry,
        session: Session,
        requests: Sequence[RequestEntry],
        news: Sequence[News],
        *,
        happened: bool = True,
        mark: Mark | None = None,
        answer_first: bool = False,
    ) -> None:
        noted = session.requests
        for one in requests:
            noted = ledger.noted(noted, one, self._keeper.clock(), self._keeper.ledger_rules)
        try:
            changed = replace(session, requests=noted)
            await self._keeper.store(entry, changed, news, requests=requests, mark=mark, answer_first=answer_first)
        except StorageError:
            if happened:  # and there will be no event of it
                self._keeper.end_epoch(entry)
            raise


def _opened(request: RequestEntry, suspended: Suspended) -> dict[str, Any]:
    return {
        "debugger_id": suspended.debugger_id,
        "evaluation": request.key,
        "tool_id": request.tool_id,
        "client_id": request.client_id,
        "error_class": suspended.error_class[:SHOWN_ERROR_CHARS],
        "error_message": suspended.error_message and suspended.error_message[:SHOWN_ERROR_CHARS],
    }


def _accepted(request: RequestEntry) -> News:
    told = {
        "evaluation": request.key,
        "command": request.command,
        "client_id": request.client_id,
        "tool_id": request.tool_id,
        "code": request.code,
        "truncated": request.code_cut,
    }
    return News("evaluation.accepted", told, request.accepted_at, request)


def _ended(request: RequestEntry, outcome: Outcome, now: float) -> RequestEntry:
    return replace(
        request,
        state="done" if outcome.failure is None else "failed",
        finished_at=now,
        result=outcome.result,
        failure=outcome.failure,
        has_error=outcome.has_error or outcome.failure is not None,
    )


def _told(ended: RequestEntry, outcome: Outcome, *, late: bool) -> dict[str, Any]:
    shown = outcome.shown or ""
    return {
        "evaluation": ended.key,
        "command": ended.command,
        "client_id": ended.client_id,
        "tool_id": ended.tool_id,
        "status": ended.state,
        "has_error": ended.has_error,
        "display": shown[:SHOWN_RESULT_CHARS],
        "truncated": len(shown) > SHOWN_RESULT_CHARS,
        "duration": round((ended.finished_at or ended.accepted_at) - ended.accepted_at, 3),
        "late": late,
    }
