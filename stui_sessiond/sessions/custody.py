"""Who works with a suspended process, until when, and which one has waited for too long? Pure.

Which processes there are is in the session's book of requests, durably; here is what a restart of the daemon may
forget: who holds one, and when somebody last touched it. A process that nobody has touched since the start counts as
touched when it was noted here.
"""

from collections.abc import Collection
from typing import Literal

import msgspec

from stui_sessiond.errors import DebuggerHeldError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.wire.timestamp import format_time

LEASE_S = 300.0
"""So long after its last operation a client holds a process: it may read what it sees, but not keep others waiting."""

UNTOUCHED_S = 86_400.0
"""A process that nobody touches for so long is ended: with its stack it fills the image."""

MAX_DEBUGGERS = 64
"""Processes that wait for one session; one more ends the one that was not touched for the longest."""

READING = frozenset({"GetStackTrace", "GetLocalVars", "GetSource"})
"""Operations that anybody may ask for: they change nothing."""

Action = Literal["take", "take_over", "release"]


class Place(msgspec.Struct, frozen=True):
    """One process of one session. `debugger_id` is the name that clients use."""

    session_id: SessionId
    debugger_id: str


class Lease(msgspec.Struct, frozen=True):
    """Who holds a process, and until when."""

    holder: str | None
    ends_at: float | None


class Change(msgspec.Struct, frozen=True):
    """Another client holds a process now, or nobody."""

    place: Place
    holder: str | None
    previous: str | None


NOBODY = Lease(None, None)


class _Process:
    __slots__ = ("holder", "image_id", "lease_ends_at", "touched_at", "under_way")

    def __init__(self, image_id: ImageId, touched_at: float) -> None:
        self.image_id = image_id
        self.touched_at = touched_at
        self.holder: str | None = None
        self.lease_ends_at = 0.0
        self.under_way = 0
        """Operations that the image has not answered: as long as there is one, the lease does not end."""

    def held_by(self, now: float) -> str | None:
        """The client that holds it now."""
        return self.holder if self.under_way or now < self.lease_ends_at else None


class CustodyTable:
    """The processes of all sessions. A client without a name holds nothing, but a lease of another binds it too."""

    def __init__(self, max_per_session: int = MAX_DEBUGGERS) -> None:
        self._max_per_session = max_per_session
        self._sessions: dict[SessionId, dict[str, _Process]] = {}

    # ---- which there are

    def note(self, place: Place, image_id: ImageId, now: float) -> None:
        """Take note that a process waits in an image."""
        self._sessions.setdefault(place.session_id, {}).setdefault(place.debugger_id, _Process(image_id, now))

    def forget(self, place: Place) -> None:
        """Take note that a process does not wait any more."""
        processes = self._sessions.get(place.session_id, {})
        processes.pop(place.debugger_id, None)
        if not processes:
            self._sessions.pop(place.session_id, None)

    def forget_session(self, session_id: SessionId) -> None:
        """Take note that a session has no processes any more."""
        self._sessions.pop(session_id, None)

    def places(self) -> list[Place]:
        """List all processes."""
        return [Place(session_id, one) for session_id, processes in self._sessions.items() for one in processes]

    def images(self) -> set[ImageId]:
        """The images they wait in."""
        return {one.image_id for processes in self._sessions.values() for one in processes.values()}

    # ---- who holds one

    def lease(self, place: Place, now: float) -> Lease:
        """Tell who holds a process."""
        process = self._find(place)
        holder = None if process is None else process.held_by(now)
        if process is None or holder is None:
            return NOBODY
        return Lease(holder, process.lease_ends_at if not process.under_way else now + LEASE_S)

    def expires_at(self, place: Place, now: float) -> float:
        """When a process is ended if nobody touches it."""
        process = self._find(place)
        return (now if process is None or process.under_way else process.touched_at) + UNTOUCHED_S

    def begin(self, place: Place, client_id: str | None, now: float) -> Change | None:
        """Let a client work with a process, which has been noted. `end` has to follow.

        Raises:
            DebuggerHeldError: another client holds it.
        """
        process = self._sessions[place.session_id][place.debugger_id]
        self._require(process, client_id, now)
        change = self._hand(place, process, client_id, now)
        process.under_way += 1
        return change

    def end(self, place: Place, now: float) -> None:
        """Take note that an operation has ended: the lease begins anew."""
        process = self._find(place)
        if process is not None:
            process.under_way = max(0, process.under_way - 1)
            self._touch(process, now)

    def touch(self, place: Place, now: float) -> None:
        """Take note that somebody looks at a process: it is not ended yet."""
        process = self._find(place)
        if process is not None:
            process.touched_at = now

    def take(self, place: Place, client_id: str | None, action: Action, now: float, *, freely: bool) -> Change | None:
        """Take a noted process, take it over or let it go. `freely`: the client may take it over from its holder.

        Raises:
            DebuggerHeldError: another client holds it.
        """
        process = self._sessions[place.session_id][place.debugger_id]
        if action != "take_over" or not freely:
            self._require(process, client_id, now)
        if action == "release":
            return self._hand(place, process, None, now)
        change = self._hand(place, process, client_id, now)
        process.touched_at = now
        return change

    # ---- what time does

    def lapse(self, now: float) -> list[Change]:
        """End the leases that are over."""
        found = []
        for session_id, processes in self._sessions.items():
            for one, process in processes.items():
                if process.holder is not None and process.held_by(now) is None:
                    found.append(Change(Place(session_id, one), None, process.holder))
                    process.holder = None
        return found

    def due(self, now: float, away: Collection[ImageId]) -> list[Place]:
        """List the processes to be ended: nobody has touched them for too long, or their session has too many.

        Those of images that are away wait until they can be ended there.
        """
        found = []
        for session_id, processes in self._sessions.items():
            free = [(one.touched_at, name) for name, one in processes.items() if not one.under_way]
            surplus = len(processes) - self._max_per_session
            for number, (touched_at, name) in enumerate(sorted(free)):
                over = number < surplus or now >= touched_at + UNTOUCHED_S
                if over and processes[name].image_id not in away:
                    found.append(Place(session_id, name))
        return found

    # ----

    def _find(self, place: Place) -> _Process | None:
        return self._sessions.get(place.session_id, {}).get(place.debugger_id)

    def _require(self, process: _Process, client_id: str | None, now: float) -> None:
        holder = process.held_by(now)
        if holder is None or holder == client_id:
            return
        ends_at = format_time(now + LEASE_S if process.under_way else process.lease_ends_at)
        msg = f"{holder!r} works with this process; it is free at {ends_at}, or take it over with take_debugger"
        raise DebuggerHeldError(msg, holder=holder, lease_ends_at=ends_at)

    def _hand(self, place: Place, process: _Process, client_id: str | None, now: float) -> Change | None:
        previous, process.holder = process.holder, client_id
        if client_id is None:
            process.lease_ends_at = now
        else:
            self._touch(process, now)
        return Change(place, client_id, previous) if previous != client_id else None

    def _touch(self, process: _Process, now: float) -> None:
        process.touched_at = now
        if process.holder is not None:
            process.lease_ends_at = now + LEASE_S
