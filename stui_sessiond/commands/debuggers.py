"""Which processes wait at an error, who may work with one, and when are they ended?"""

from collections.abc import Iterable

import msgspec
import structlog
from msgspec import UNSET

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import DebuggerNotFoundError, StuiError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.reference import resolve
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.model.session import SessionHeader, Status
from stui_sessiond.sessions.custody import READING, Change, CustodyTable, Place
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.messages import kept as wire
from stui_sessiond.wire.messages.development import Debug, EvaluateResult
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)


class DebuggerCommands:
    """Carries out the commands about suspended processes; lets clients work with one, one at a time."""

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
        self._keeper = keeper
        self._clock = keeper.clock
        self._book = book
        self._images = images
        self._hub = hub
        self._custody = custody
        self._ending: set[Place] = set()
        self._tasks = TaskOwner("debuggers")

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("list_debuggers", wire.ListDebuggers, self.list_debuggers),
            Command("take_debugger", wire.TakeDebugger, self.take),
        )

    async def list_debuggers(self, caller: Caller, asked: wire.ListDebuggers) -> wire.ListDebuggersResult:
        """Carry out `list_debuggers`."""
        del caller
        session_id = self._keeper.find(asked.session_id).header.session_id
        waiting = await self._book.waiting(session_id)
        return wire.ListDebuggersResult(session_id, [self._listed(session_id, one) for one in waiting])

    def _listed(self, session_id: SessionId, request: RequestEntry) -> wire.ListedDebugger:
        now = self._clock()
        place = Place(session_id, request.debugger_id or "")
        state = self._state(request)
        lease = self._custody.lease(place, now)
        error_class, error_message = _error_of(request)
        return wire.ListedDebugger(
            debugger_id=place.debugger_id,
            evaluation=request.key,
            tool_id=request.tool_id,
            error_class=error_class,
            error_message=error_message,
            state=state,  # type: ignore[arg-type]  # one of the words
            image_id=request.image_id,
            opened_at=format_time(request.finished_at or request.accepted_at),
            expires_at=None if state == "lost" else format_time(self._custody.expires_at(place, now)),
            holder=lease.holder,
            lease_ends_at=None if lease.ends_at is None else format_time(lease.ends_at),
        )

    def _state(self, request: RequestEntry) -> str:
        link = None if request.image_id is None else self._images.find(request.image_id)
        if link is None:
            return "image_away"
        return "suspended" if link.identity.instance_id == request.instance_id else "lost"

    async def take(self, caller: Caller, asked: wire.TakeDebugger) -> wire.TakeDebuggerResult:
        """Carry out `take_debugger`."""
        header = self._manager.use(asked.session_id)
        client_id = caller.client_id
        link = None if header.image_id is None else self._images.find(header.image_id)
        if link is not None:
            resolve(link.identity, asked.debugger_id, "debugger_id")
        place = await self._find(header.session_id, asked.debugger_id)
        now = self._clock()
        freely = self._may_take_over(header, place, client_id, now)
        self._tell(self._custody.take(place, client_id, asked.action, now, freely=freely))
        lease = self._custody.lease(place, now)
        ends_at = None if lease.ends_at is None else format_time(lease.ends_at)
        return wire.TakeDebuggerResult(header.session_id, place.debugger_id, lease.holder, ends_at)

    def _may_take_over(self, header: SessionHeader, place: Place, client_id: str | None, now: float) -> bool:
        """The owner may at once; others when the holder is not there."""
        if client_id is not None and header.role_of(client_id) == "owner":
            return True
        holder = self._custody.lease(place, now).holder
        return all(each.subscriber.client_id != holder for each in self._hub.attached(header.session_id))

    # ---- requests that work with a process

    async def admit(self, session_id: SessionId, client_id: str | None, asked: Debug) -> Place | None:
        """Let a client work with a process; None for what everybody may do. `leave` has to follow.

        Raises:
            DebuggerNotFoundError: it does not wait any more.
            DebuggerHeldError: another client works with it.
            SessionError, StorageError: the session cannot be read.
        """
        if not asked.debugger_id:
            return None
        place = await self._find(session_id, asked.debugger_id)
        if isinstance(asked.operation, str) and asked.operation in READING:
            self._custody.touch(place, self._clock())
            return None
        self._tell(self._custody.begin(place, client_id, self._clock()))
        return place

    def leave(self, place: Place | None) -> None:
        """Take note that an operation has ended; whether the process waits still is in the book."""
        if place is not None:
            self._custody.end(place, self._clock())

    async def _find(self, session_id: SessionId, debugger_id: str) -> Place:
        """Make sure that a process waits."""
        for request in await self._book.waiting(session_id):
            if request.debugger_id == debugger_id:
                place = Place(session_id, debugger_id)
                self._custody.note(place, request.image_id or ImageId(""), self._clock())
                return place
        msg = f"no process {debugger_id!r} waits in this session; list_debuggers tells which do"
        raise DebuggerNotFoundError(msg, debugger_id=debugger_id)

    def _tell(self, change: Change | None) -> None:
        if change is not None:
            told = {"debugger_id": change.place.debugger_id, "holder": change.holder, "previous": change.previous}
            self._keeper.post_to(change.place.session_id, "debugger.held", told)

    # ---- what time does

    def end_session(self, session_id: SessionId) -> None:
        """Forget a session's processes: its image ends them with the session."""
        self._custody.forget_session(session_id)

    def sweep(self) -> None:
        """Tell of leases that are over, and end the processes that are too many, or that nobody touches."""
        now = self._clock()
        for place in self._custody.places():
            header = self._manager.find(place.session_id)
            if header is None:
                self._custody.forget(place)
            elif header.status(now) is Status.CLOSED:  # it met its error when the session was over already
                self._end(place, "terminated")
        for change in self._custody.lapse(now):
            self._tell(change)
        away = {image_id for image_id in self._custody.images() if self._images.find(image_id) is None}
        for place in self._custody.due(now, away):
            self._end(place, "expired")

    def _end(self, place: Place, how: str) -> None:
        if place not in self._ending:
            self._ending.add(place)
            self._tasks.start(self._ended(place, how), f"end.{place.debugger_id}")

    async def _ended(self, place: Place, how: str) -> None:
        try:
            for request in await self._book.waiting(place.session_id):
                if request.debugger_id == place.debugger_id:
                    self._terminate(place, request)
            await self._book.close_debugger(place.session_id, place.debugger_id, how)
        except StuiError as error:  # the next look finds it again
            _log.warning("debugger.not_ended", session_id=place.session_id, code=error.code)
        finally:
            self._ending.discard(place)

    def _terminate(self, place: Place, request: RequestEntry) -> None:
        link: ImageLink | None = None if request.image_id is None else self._images.find(request.image_id)
        if link is None or link.identity.instance_id != request.instance_id:
            return
        own = resolve(link.identity, place.debugger_id, "debugger_id")
        tool_id = UNSET if request.tool_id is None else request.tool_id
        link.tell("debug", Debug(operation="Terminate", debugger_id=own, session_id=place.session_id, tool_id=tool_id))

    async def close(self) -> None:
        """Finish what is under way."""
        await self._tasks.drain(None)
        await self._tasks.close()


def _error_of(request: RequestEntry) -> tuple[str, str | None]:
    """The class and text of the error at which a process waits, as far as the result of the evaluation is kept."""
    try:
        error = msgspec.json.decode(request.result or "", type=EvaluateResult).error
    except msgspec.DecodeError:
        return "Error", None
    return ("Error", None) if error is UNSET else (error.class_, error.message)
