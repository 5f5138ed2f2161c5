"""What was evaluated in a session, what came of it, and which error was met? Told from the book; no image is asked."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from stui_sessiond.commands.paging import LongResults, page_of, text_of
from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.report import error_in, write_report
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.commands.translation import seen_of
from stui_sessiond.errors import EvaluationNotFoundError, ParameterError
from stui_sessiond.ids import SessionId
from stui_sessiond.images.link import RUNS_CODE
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.sessions import ledger
from stui_sessiond.sessions.requests import SHOWN_RESULT_CHARS, RequestBook
from stui_sessiond.wire.messages import evaluation as wire
from stui_sessiond.wire.messages.development import EvaluateResult
from stui_sessiond.wire.timestamp import format_time


class EvaluationCommands:
    """Carries out `list_evaluations`, `get_result_page` and `get_error_report`."""

    def __init__(self, book: RequestBook, relay: Relay, running: RunningTable, long_results: LongResults) -> None:
        self._book = book
        self._relay = relay
        self._running = running
        self._long_results = long_results

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("list_evaluations", wire.ListEvaluations, self.list_evaluations),
            Command("get_result_page", wire.GetResultPage, self.get_result_page),
            Command("get_error_report", wire.GetErrorReport, self.get_error_report),
        )

    async def list_evaluations(self, caller: Caller, asked: wire.ListEvaluations) -> wire.ListEvaluationsResult:
        """Carry out `list_evaluations`.

        Raises:
            SessionError, StorageError: the session cannot be read.
            EvaluationNotFoundError: `before` is none of its evaluations.
        """
        del caller
        session_id = SessionId(asked.session_id)
        known = await self._entries(session_id)
        known |= {one.key: one.request for one in self._running.of_session(session_id) if one.key not in known}
        newest_first = sorted(known.values(), key=lambda one: one.accepted_at)[::-1]
        if asked.before is not None:
            _find(known, session_id, asked.before)
            place = next(index for index, one in enumerate(newest_first) if one.key == asked.before)
            newest_first = newest_first[place + 1 :]
        if asked.tool_id is not None:
            newest_first = [one for one in newest_first if one.tool_id == asked.tool_id]
        rows = [self._row(session_id, one) for one in newest_first[: asked.limit]]
        return wire.ListEvaluationsResult(session_id, rows, len(newest_first) > asked.limit)

    def _row(self, session_id: SessionId, entry: RequestEntry) -> wire.ListedEvaluation:
        shown, has_error = None, entry.has_error
        if entry.result is not None:
            shown, has_error = seen_of(entry.result, RUNS_CODE[entry.command])
        elif entry.failure is not None:
            shown, has_error = entry.failure.message, True
        finished = entry.finished_at
        return wire.ListedEvaluation(
            evaluation=entry.key,
            command=entry.command,
            status=self._relay.word_of(session_id, entry),
            client_id=entry.client_id,
            tool_id=entry.tool_id,
            code=entry.code,
            truncated=entry.code_cut,
            accepted_at=format_time(entry.accepted_at),
            finished_at=None if finished is None else format_time(finished),
            duration=None if finished is None else round(finished - entry.accepted_at, 3),
            has_error=has_error,
            display=None if shown is None else shown[:SHOWN_RESULT_CHARS],
            image_id=entry.image_id,
            instance_id=entry.instance_id,
            debugger_id=entry.debugger_id or UNSET,
        )

    async def get_result_page(self, caller: Caller, asked: wire.GetResultPage) -> wire.GetResultPageResult:
        """Carry out `get_result_page`.

        Raises:
            SessionError, StorageError: the session cannot be read.
            EvaluationNotFoundError: it knows no such evaluation, or that has not ended.
            RequestError: its result is not kept.
        """
        del caller
        session_id = SessionId(asked.session_id)
        entry = _find(await self._entries(session_id), session_id, asked.evaluation)
        text = self._long_results.find(session_id, entry.key)
        page = page_of(_text(entry) if text is None else text, asked.start, asked.count)
        return wire.GetResultPageResult(session_id, entry.key, *page)

    async def get_error_report(self, caller: Caller, asked: wire.GetErrorReport) -> wire.GetErrorReportResult:
        """Carry out `get_error_report`.

        Raises:
            ParameterError: not exactly one of `evaluation` and `debugger_id` is given.
            SessionError, StorageError: the session cannot be read.
            EvaluationNotFoundError: it knows no such evaluation, or that met no error.
            RequestError: its outcome is not kept.
        """
        del caller
        if (asked.evaluation is None) == (asked.debugger_id is None):
            msg = "get_error_report: give either `evaluation` or `debugger_id`"
            raise ParameterError(msg, field="evaluation")
        session_id = SessionId(asked.session_id)
        entries = await self._entries(session_id)
        if asked.evaluation is not None:
            entry = _find(entries, session_id, asked.evaluation)
        else:
            entry = _of_debugger(entries, session_id, asked.debugger_id or "")
        if entry.state == "done" and entry.result is None:
            raise ledger.not_kept(entry)
        error = None if entry.result is None else error_in(entry.result, RUNS_CODE[entry.command])
        if error is None:
            msg = f"{entry.command} {entry.key!r} met no error in the image"
            raise EvaluationNotFoundError(msg, evaluation=entry.key)
        return wire.GetErrorReportResult(
            session_id=session_id,
            evaluation=entry.key,
            code=entry.code,
            at=format_time(entry.accepted_at if entry.finished_at is None else entry.finished_at),
            image_id=entry.image_id,
            instance_id=entry.instance_id,
            error=error,
            text=write_report(entry, error),
        )

    async def _entries(self, session_id: SessionId) -> dict[str, RequestEntry]:
        """The requests that ran code, by key."""
        found = await self._book.remembered(session_id)
        return {key: one for key, one in found.items() if one.command in RUNS_CODE}


def _find(entries: dict[str, RequestEntry], session_id: SessionId, evaluation: str) -> RequestEntry:
    found = entries.get(evaluation)
    if found is None:
        msg = f"session {session_id} knows no evaluation {evaluation!r}"
        raise EvaluationNotFoundError(msg, evaluation=evaluation)
    return found


def _of_debugger(entries: dict[str, RequestEntry], session_id: SessionId, debugger_id: str) -> RequestEntry:
    """Find what met the error at which a process waits, or waited."""
    for one in reversed(entries.values()):
        if one.debugger_id == debugger_id:
            return one
        if one.result is not None and debugger_id in one.result:
            error = error_in(one.result, RUNS_CODE[one.command])
            if error is not None and error.debugger_id == debugger_id:
                return one
    msg = f"session {session_id} knows no error at which {debugger_id!r} waits or waited"
    raise EvaluationNotFoundError(msg, debugger_id=debugger_id)


def _text(entry: RequestEntry) -> str:
    """What was printed at the end of a request."""
    if entry.state in {"running", "lost"}:
        why = "has not ended" if entry.state == "running" else "was lost with its image"
        msg = f"{entry.command} {entry.key!r} {why}: it has no result"
        raise EvaluationNotFoundError(msg, evaluation=entry.key)
    if entry.failure is not None:
        return entry.failure.message
    if entry.result is None:
        raise ledger.not_kept(entry)
    if RUNS_CODE[entry.command] is not EvaluateResult:
        return entry.result
    return text_of(msgspec.json.decode(entry.result, type=EvaluateResult))
