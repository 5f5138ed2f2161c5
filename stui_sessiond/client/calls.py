"""Which requests wait for an answer, over all the connections of a client, and what becomes of each after a cut?"""

import asyncio
import secrets
from collections.abc import Collection
from enum import Enum
from typing import Any

import msgspec

from stui_sessiond.client.conversation import Answer
from stui_sessiond.client.failure import ClientError, OutcomeUnknownError, QueueFullError
from stui_sessiond.contract import Contract

MAX_WAITING_CALLS = 1_000
"""Calls without an answer. More at once is a loop in the application, or a daemon that is away for long."""

MAX_CUTS = 5
"""A request that was sent again after so many cuts may be what cuts the connection; it is not sent once more."""

KEY = "idempotency_key"
_SCOPE = "session_id"

_HARMLESS_RIGHTS = frozenset({"connect", "observe"})
_READING_ROLE = "viewer"
_RUNS_CODE = "eval"

_OPEN_OUTCOMES = frozenset({"image_lost", "outcome_unknown"})
"""The image was cut off while it worked on it, and tells when it is back."""

_OPEN_AFTER_CUT = frozenset({"image_unavailable"})
"""A daemon that was just started again has its images back a moment after its clients."""

MAX_TOLD = 100
"""Ids a `hello` asks for: it must be short where the daemon does not know us yet (4 KiB)."""

_NOTHING_DONE = "shutting_down"
"""The error of a daemon that stops: it did nothing, and the next one will."""


class Fate(Enum):
    """What to do with a call after a cut."""

    WAIT = "wait"
    """Its answer will come by itself."""
    SEND = "send"
    UNKNOWN = "unknown"
    """It may have been carried out, and sending it again might do so twice."""


class Call:
    """One request on its way."""

    def __init__(self, request_id: str, contract: Contract, command: str, parameters: object, key: str | None) -> None:
        self.request_id = request_id
        self.command = command
        self.parameters = parameters
        self.key = key
        self.repeatable = key is not None or only_reads(contract, command) or _ends_one(command, parameters)
        self.runs_code = key is not None and contract.commands[command].right == _RUNS_CODE
        self.sends = 0
        self.cuts = 0
        """How often it was under way at a cut, and its answer did not come by itself."""
        self.crossed = False
        """Whether it waited while the client connected again."""
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    @property
    def may_have_run(self) -> bool:
        """Whether somebody should look before asking for it again."""
        return self.sends > 0

    def is_open(self, code: str) -> bool:
        """Tell whether this error is no outcome yet: asking again, under the same key, may give another answer."""
        return self.key is not None and (code in _OPEN_OUTCOMES or (self.crossed and code in _OPEN_AFTER_CUT))

    def unknown(self, why: str) -> OutcomeUnknownError:
        """Make the error for who waits."""
        todo = (
            "ask get_request_status with its idempotency key what became of it"
            if self.key is not None
            else "look at the present state before you repeat it"
        )
        msg = f"{self.command} was sent, and {why}: {todo}"
        return OutcomeUnknownError(msg, command=self.command, idempotency_key=self.key)


def fate_of(sends: int, cuts: int, *, repeatable: bool, in_flight: bool) -> Fate:
    """Decide about a call after a cut. Pure."""
    if sends == 0:
        return Fate.SEND
    if in_flight:
        return Fate.WAIT
    return Fate.SEND if repeatable and cuts < MAX_CUTS else Fate.UNKNOWN


def with_key(contract: Contract, command: str, parameters: Any) -> tuple[Any, str | None]:  # noqa: ANN401 -- Struct or JSON
    """Give a request a key of its own if its command takes one and the caller gave none; also tell the key."""
    described = contract.commands.get(command)
    if described is None or KEY not in described.parameters:
        return parameters, None
    present = _given(parameters, KEY)
    if isinstance(present, str):
        return parameters, present
    if _SCOPE in described.parameters and not isinstance(_given(parameters, _SCOPE), str):
        return parameters, None  # outcomes are remembered per session
    key = secrets.token_hex(16)
    if isinstance(parameters, dict):
        return {**parameters, KEY: key}, key
    return msgspec.structs.replace(parameters, **{KEY: key}), key


def _given(parameters: Any, name: str) -> object:  # noqa: ANN401 -- Struct or JSON
    return parameters.get(name) if isinstance(parameters, dict) else getattr(parameters, name, None)


def _ends_one(command: str, parameters: object) -> bool:
    """Tell whether it interrupts the one evaluation that it names: that can be said twice."""
    return command == "interrupt_evaluation" and isinstance(_given(parameters, "evaluation"), str)


def only_reads(contract: Contract, command: str) -> bool:
    """Tell whether carrying a command out twice is the same as once."""
    described = contract.commands.get(command)
    if described is None:
        return False
    return described.right in _HARMLESS_RIGHTS or described.session_role == _READING_ROLE


class CallTable:
    """The calls that wait."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Let a call wait.

        Raises:
            QueueFullError: too many wait.
        """
        if len(self._calls) >= MAX_WAITING_CALLS:
            msg = f"{len(self._calls)} calls wait for an answer already"
            raise QueueFullError(msg)
        self._calls[call.request_id] = call

    def remove(self, call: Call) -> None:
        """Nobody waits for it any more."""
        self._calls.pop(call.request_id, None)
        if call.answer.done() and not call.answer.cancelled():
            call.answer.exception()  # seen, or nobody is there to see it

    def again(self, call: Call) -> None:
        """Let a call that was answered wait for another answer."""
        call.answer = asyncio.get_running_loop().create_future()

    def running(self) -> list[str]:
        """List the calls that may have run code, the newest ones."""
        return [call.request_id for call in self._calls.values() if call.runs_code and call.sends > 0][-MAX_TOLD:]

    def answered(self, answer: Answer) -> None:
        """Give an answer to who waits for it."""
        call = self._calls.get(answer.id or "")
        if call is None or call.answer.done():
            return
        if answer.status != "success" and answer.code == _NOTHING_DONE:
            call.sends = 0
        else:
            call.answer.set_result(answer)

    def sort_out(self, in_flight: Collection[str], *, again: bool) -> list[Call]:
        """Tell which calls are to be sent over a new connection, as they were made, and end those that cannot be."""
        to_send = []
        for call in tuple(self._calls.values()):
            if call.answer.done():
                continue
            call.crossed = call.crossed or again
            fate = fate_of(call.sends, call.cuts, repeatable=call.repeatable, in_flight=call.request_id in in_flight)
            call.cuts += call.sends > 0 and fate is not Fate.WAIT
            if fate is Fate.SEND:
                to_send.append(call)
            elif fate is Fate.UNKNOWN:
                call.answer.set_exception(call.unknown("the connection broke before the answer came"))
        return to_send

    def fail_all(self, error: ClientError) -> None:
        """There will be no more answers."""
        for call in self._calls.values():
            if not call.answer.done():
                unsure = call.may_have_run and not (call.repeatable and call.key is None)
                call.answer.set_exception(call.unknown(str(error)) if unsure else error)
