"""How do updates get stored, each once and in order, whatever the connection does, and who hears of conflicts?"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Raw

from stui_sessiond.client.conflict import Conflict
from stui_sessiond.client.failure import (
    CallFailedError,
    ClientError,
    ConflictError,
    ConnectionLostError,
    OutcomeUnknownError,
)
from stui_sessiond.client.outbox import Letter, Outbox, Update
from stui_sessiond.client.version import Versions
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import command_name
from stui_sessiond.wire.messages.context import SaveContext, SaveContextResult
from stui_sessiond.wire.messages.session import RestoreSessionResult, UpdateSessionState, UpdateSessionStateResult

_log = logging.getLogger(__name__)

MAX_ROUNDS = 10
"""How often a settled conflict may come again; then two programs argue, and a person has to look."""

Resolver = Callable[[Conflict], Awaitable[dict[str, Any] | None]]
"""Settles a conflict: gives the state to store, or None to leave theirs."""


class Saved(msgspec.Struct, frozen=True):
    """It is stored. `result.session_state` is the state now; others' changes may be merged into it."""

    result: UpdateSessionStateResult | SaveContextResult


class Superseded(msgspec.Struct, frozen=True):
    """A newer update of the same session says all it said, and goes in its place."""

    by: "Delivery"


class Refused(msgspec.Struct, frozen=True):
    """It is not stored."""

    error: ClientError


Outcome = Saved | Superseded | Conflict | Refused


class Delivery:
    """What becomes of an update. It is sent whether somebody waits for it or not."""

    def __init__(self, update: Update) -> None:
        self.update = update
        self.settled: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def outcome(self) -> Outcome | None:
        """What became of it; None while it waits."""
        return self.settled.result() if self.settled.done() else None

    async def wait(self) -> Outcome:
        """Wait for what becomes of it."""
        return await asyncio.shield(self.settled)

    async def result(self) -> UpdateSessionStateResult | SaveContextResult:
        """Wait until it is stored; of a superseded one, until the one in its place is.

        Raises:
            ConflictError: others changed the same, and nobody decided.
            ClientError: it was not stored for another reason.
        """
        outcome = await self.wait()
        while isinstance(outcome, Superseded):
            outcome = await outcome.by.wait()
        return result_of(outcome)


def result_of(outcome: Outcome) -> UpdateSessionStateResult | SaveContextResult:
    """Turn what became of an update into a result, or raise why there is none."""
    if isinstance(outcome, Saved):
        return outcome.result
    if isinstance(outcome, Conflict):
        raise ConflictError(outcome)
    if isinstance(outcome, Refused):
        raise outcome.error
    msg = "a superseded update has the result of the one in its place"
    raise TypeError(msg)


class Wire(msgspec.Struct, frozen=True):
    """What the saver needs of the client."""

    send: Callable[[Update], Awaitable[Raw]]
    """Asks and waits for the answer, over any number of connections."""
    connected: Callable[[], Awaitable[object]]
    """Waits for a connection; raises `ConnectionLostError` when there will be none."""
    look: Callable[[str], Awaitable[RestoreSessionResult]]
    """Gets a session as it is now."""
    changed: Callable[[int], None]
    """Hears how many updates wait."""


class Saver:
    """Sends what is in the outbox: one task for each session that has something there."""

    def __init__(self, wire: Wire, versions: Versions, tasks: TaskOwner, resolve: Resolver | None) -> None:
        self._wire = wire
        self._versions = versions
        self._tasks = tasks
        self._resolve = resolve
        self._outbox = Outbox()
        self._deliveries: dict[int, Delivery] = {}
        self._running: set[str] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def save(self, update: Update, *, online: bool) -> Delivery:
        """Take an update; its idempotency key is set.

        Raises:
            QueueFullError: too much waits; it was not taken.
        """
        known = self._versions.known(update.session_id)
        letter, replaced = self._outbox.put(update, known=known, online=online)
        delivery = self._deliveries[letter.number] = Delivery(update)
        self._empty.clear()
        if replaced is not None:
            self._settle(replaced, Superseded(delivery))
        self._wire.changed(self._outbox.count)
        self._start(update.session_id)
        return delivery

    def resume(self) -> None:
        """There is a connection again: send what waits."""
        self._outbox.was_cut()
        for session_id in self._outbox.sessions():
            self._start(session_id)

    async def flush(self) -> None:
        """Wait until nothing waits any more."""
        await self._empty.wait()

    def unsaved(self) -> list[Update]:
        """List what is not stored yet, oldest first."""
        return [letter.update for letter in self._outbox.letters()]

    def close(self, error: ClientError) -> None:
        """Nothing more will be sent: tell everybody who waits."""
        letters = self._outbox.letters()
        if letters:
            sessions = sorted({letter.session_id for letter in letters})
            _log.warning("saver.unsaved: %d updates of %s", len(letters), ", ".join(sessions))
        for letter in letters:
            self._settle(letter, Refused(_unsure(letter, error) if letter.sent else error))

    def _start(self, session_id: str) -> None:
        if session_id not in self._running:
            self._running.add(session_id)
            self._tasks.start(self._run(session_id), f"save.{session_id}")

    async def _run(self, session_id: str) -> None:
        try:
            while True:
                await self._wire.connected()
                letter = self._outbox.next(session_id)
                if letter is None:
                    return
                await self._deliver(letter)
        except ConnectionLostError:
            return  # what waits stays, and goes out if there is a connection after all
        finally:
            self._running.discard(session_id)

    async def _deliver(self, letter: Letter) -> None:
        if letter.conflict is not None:
            await self._decide(letter, letter.conflict)
            return
        try:
            raw = await self._wire.send(letter.update)
        except CallFailedError as error:
            if error.code == "session_conflict" and isinstance(letter.update, UpdateSessionState):
                await self._decide(letter, await self._conflict_of(letter.update, error))
            else:
                self._drop(letter, Refused(error))
        except OutcomeUnknownError as error:
            await self._wire.connected()  # with its key it can be sent again, if there will be another connection
            self._drop(letter, Refused(error))
        else:
            self._note(letter, raw)

    def _note(self, letter: Letter, raw: Raw) -> None:
        result: UpdateSessionStateResult | SaveContextResult
        state = None
        if isinstance(letter.update, SaveContext):
            result = msgspec.json.decode(raw, type=SaveContextResult)
        else:
            result = msgspec.json.decode(raw, type=UpdateSessionStateResult)
            state = result.session_state
        self._versions.learn(letter.session_id, result.version, whole=isinstance(letter.update, UpdateSessionState))
        self._outbox.saved(letter, result.version, state)
        self._settle(letter, Saved(result))

    async def _conflict_of(self, update: UpdateSessionState, error: CallFailedError) -> Conflict:
        told = msgspec.convert(dict(error.details), _ConflictDetails, strict=False)
        ours = told.ours if told.ours is not None or update.mode != "replace" else update.state_data
        if told.theirs is not None and told.version is not None:
            return Conflict(
                update.session_id, error.message, told.version, ours, told.theirs, told.base, told.conflicts
            )
        now = await self._wire.look(update.session_id)
        return Conflict(update.session_id, error.message, now.version, ours, now.session_state)

    async def _decide(self, letter: Letter, conflict: Conflict) -> None:
        update = letter.update
        state = None
        if self._resolve is None:
            _log.warning("saver.conflict: session %s is at version %d", conflict.session_id, conflict.version)
        elif letter.rounds < MAX_ROUNDS and isinstance(update, UpdateSessionState):
            try:
                state = await self._resolve(conflict)
            except Exception:  # noqa: BLE001 -- the application's fault must not stop what else waits
                _log.exception("saver.resolver_crashed: session %s", conflict.session_id)
        if state is None or not isinstance(update, UpdateSessionState):
            self._drop(letter, conflict)
            return
        settled = msgspec.structs.replace(
            update,
            state_data=state,
            mode="replace",
            expected_version=conflict.version,
            on_conflict="merge",
            idempotency_key=secrets.token_hex(16),
        )
        self._outbox.rewrite(letter, settled)

    def _drop(self, letter: Letter, outcome: Outcome) -> None:
        self._outbox.refused(letter)
        self._settle(letter, outcome)

    def _settle(self, letter: Letter, outcome: Outcome) -> None:
        delivery = self._deliveries.pop(letter.number, None)
        if delivery is not None and not delivery.settled.done():
            delivery.settled.set_result(outcome)
        self._wire.changed(self._outbox.count)
        if not self._outbox.count:
            self._empty.set()


def _unsure(letter: Letter, error: ClientError) -> OutcomeUnknownError:
    command, key = command_name(type(letter.update).__name__), letter.update.idempotency_key
    msg = f"{command} was sent, and {error}: ask get_request_status with its idempotency key what became of it"
    return OutcomeUnknownError(msg, command=command, idempotency_key=key)


class _ConflictDetails(msgspec.Struct):
    version: int | None = None
    ours: Any = None
    theirs: Any = None
    base: Any = None
    conflicts: list[str] = []
