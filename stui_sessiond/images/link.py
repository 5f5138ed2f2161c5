"""One live image: requests out, answers in, each request with exactly one outcome.

Guarantees: an answer reaches the request it names and no other; a request ends with an answer, a timeout or the loss of
the link; an image that answers twice, late, or for nobody is counted and otherwise ignored.
"""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import structlog
from msgspec import UNSET

from stui_sessiond.errors import (
    ClassNotFoundError,
    CodeConflictError,
    CompileError,
    EvaluationError,
    ImageBusyError,
    ImageError,
    ImageLostError,
    ImageTimeoutError,
    MethodNotFoundError,
    ObjectNotFoundError,
    ParameterError,
    StuiError,
    UnsupportedOperationError,
)
from stui_sessiond.ids import ImageId
from stui_sessiond.images.pulse import Pulse
from stui_sessiond.images.tally import EvaluationTally
from stui_sessiond.tracing import trace
from stui_sessiond.wire.codec import decode_result
from stui_sessiond.wire.forms import Reply, encode_request
from stui_sessiond.wire.messages.connection import ImageIdentity
from stui_sessiond.wire.messages.development import (
    DebugResult,
    EvaluateResult,
    Interrupt,
    InterruptResult,
    Ping,
    PingResult,
)

T = TypeVar("T")

_log = structlog.get_logger(__name__)

MAX_PENDING = 256
"""Unanswered requests one image may have; beyond, asking more only makes everybody wait longer."""

MAX_INTERRUPTS = 256
"""Unanswered requests to end another, beside those: one for each that may wait."""

_UNAWAITED = "n-"
"""How ids of requests begin whose answer nobody waits for."""

_OWN = "p-"
"""How ids of requests begin that the daemon asks of its own accord (IMAGES.md, Signs of life)."""

_NOTHING = Ping()

INTERRUPTED = "Interrupted"
"""The class of the error that an interrupted evaluation ends with."""

RUNS_CODE: dict[str, type[Any]] = {"evaluate": EvaluateResult, "debug": DebugResult}
"""Commands that run user code, with what an image answers: an image at one of them is busy; they are in the session's
book, and wait without end unless the request says so."""

_RELAYED_ERRORS: dict[str, type[StuiError]] = {
    error.code: error
    for error in (
        ClassNotFoundError,
        MethodNotFoundError,
        ObjectNotFoundError,
        CodeConflictError,
        CompileError,
        EvaluationError,
        ParameterError,
        UnsupportedOperationError,
    )
}
"""What an image may say of itself; any other code becomes `image_error`."""


class LinkPipe(Protocol):
    """What a link needs of the connection it runs over."""

    def send(self, message: bytes) -> None:
        """Send one message; never blocks."""

    def close(self, close_name: str) -> None:
        """End the connection with a code of `protocol/close-codes.json`."""


class Tally:
    """What an image was asked and told since the daemon started, over all its links.

    What the daemon asked of its own accord is not counted.
    """

    __slots__ = ("errors", "events", "events_dropped", "last_asked_at", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        """Requests that were answered with an error, or not at all."""
        self.events = 0
        self.events_dropped = 0
        """Events that were not passed on."""
        self.last_asked_at: float | None = None
        """Seconds since 1970."""


class ImageLink:
    """The connection to one live image.

    `own_ids` is how ids of its requests begin: no other link's may begin so, for an image may say late answers again.
    """

    def __init__(
        self,
        identity: ImageIdentity,
        pipe: LinkPipe,
        receive_stray: Callable[["ImageLink", Reply], bool] = lambda _link, _reply: False,
        own_ids: str = "d-",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self.image_id = ImageId(identity.image_id)
        self.strays = 0
        self.pipe = pipe
        self.pulse = Pulse(monotonic)
        self.tally = Tally()
        self.evaluations = EvaluationTally()
        self.failed: frozenset[str] = frozenset()
        """Capabilities that it published, and that did not work when they were tried."""
        self.end_reason: str | None = None
        """Why the daemon ended it: a name of `protocol/close-codes.json`; None when it did not."""
        self._clock = clock
        self._pending: dict[str, asyncio.Future[Reply]] = {}
        self._asked: dict[str, str] = {}
        """The commands of what is pending."""
        self._own: dict[str, asyncio.Future[Reply]] = {}
        self._serial = itertools.count(1)
        self._interrupts = 0
        self._complaints: Counter[str] = Counter()
        self._lost = False
        self._receive_stray = receive_stray
        self._own_ids = own_ids

    @property
    def pending(self) -> int:
        """Requests that wait for an answer; interrupts do not count."""
        return len(self._pending) - self._interrupts

    @property
    def evaluating(self) -> bool:
        """Whether it has been asked to run code and has not answered."""
        return any(command in RUNS_CODE for command in self._asked.values())

    def can(self, capability: str) -> bool:
        """Tell whether the image published the capability, and it did not fail when it was tried.

        One that published none is taken to try anything.
        """
        if capability in self.failed:
            return False
        return not self.identity.capabilities or capability in self.identity.capabilities

    def check(self, command: str) -> None:
        """Go on only if the image can be asked this now.

        Raises:
            UnsupportedOperationError, ImageBusyError, ImageLostError: as `ask`; nothing is sent.
        """
        self._check_able(command)
        if self.pending >= MAX_PENDING:
            msg = f"{MAX_PENDING} requests wait for image {self.image_id!r} already"
            raise ImageBusyError(msg, image_id=self.image_id)

    def _check_able(self, command: str) -> None:
        if not self.can(command):
            raise self.lacks(command)
        if self._lost:
            raise self._loss()

    def lacks(self, capability: str) -> UnsupportedOperationError:
        """Make the error that says what it cannot do, and why."""
        msg = f"image {self.image_id!r} cannot {capability}"
        if capability in self.failed:
            msg = f"image {self.image_id!r} says that it can {capability}, and it failed when it was tried at connect"
        return UnsupportedOperationError(msg, capability=capability, image_id=self.image_id)

    async def ask(
        self,
        command: str,
        parameters: object,
        wanted: type[T],
        timeout_s: float | None,
        request_id: str | None = None,
    ) -> T:
        """Send a request and wait for its answer. `request_id` names it beyond this link.

        Raises:
            UnsupportedOperationError: the image did not publish this capability.
            ImageBusyError: too many requests wait already; nothing was sent.
            ImageLostError: the link broke before the answer.
            ImageTimeoutError: no answer in time.
            ImageError: the image answered with an error, or not as agreed.
        """
        self.check(command)
        return await self._ask(command, parameters, wanted, timeout_s, request_id)

    async def interrupt(self, asked: Interrupt, timeout_s: float | None) -> InterruptResult:
        """Ask to end a request, at once, however many wait.

        Raises:
            ImageBusyError: too many interrupts wait already; nothing was sent.
            UnsupportedOperationError, ImageLostError, ImageTimeoutError, ImageError: as `ask`.
        """
        self._check_able("interrupt")
        if self._interrupts >= MAX_INTERRUPTS:
            msg = f"{MAX_INTERRUPTS} interrupts wait for image {self.image_id!r} already"
            raise ImageBusyError(msg, image_id=self.image_id)
        self._interrupts += 1
        try:
            return await self._ask("interrupt", asked, InterruptResult, timeout_s, None)
        finally:
            self._interrupts -= 1

    def awaits(self, request_id: str) -> bool:
        """Tell whether a request waits for its answer."""
        answer = self._pending.get(request_id)
        return answer is not None and not answer.done()

    async def _ask(
        self, command: str, parameters: object, wanted: type[T], timeout_s: float | None, request_id: str | None
    ) -> T:
        request_id = request_id or f"{self._own_ids}{next(self._serial)}"
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = answer
        self._asked[request_id] = command
        self.tally.requests += 1
        self.tally.last_asked_at = self._clock()
        outcome, started = "given_up", time.monotonic()
        traced = trace.get()
        leg = None if traced is None else traced.asking(command, self.image_id)
        try:
            self.pipe.send(encode_request(request_id, command, parameters, None if leg is None else leg.traceparent))
            told = await self._answer(answer, command, wanted, timeout_s)
            outcome = outcome_of(told)
        except BaseException as error:
            outcome = error.code if isinstance(error, StuiError) else outcome
            self.tally.errors += 1
            raise
        finally:
            self._pending.pop(request_id, None)
            self._asked.pop(request_id, None)
            if command in RUNS_CODE:
                self.evaluations.note(outcome, time.monotonic() - started)
            if leg is not None:
                leg.end(outcome)
        return told

    async def _answer(self, answer: asyncio.Future[Reply], command: str, wanted: type[T], timeout_s: float | None) -> T:
        if timeout_s is None:
            reply = await answer
        else:
            reply = await self._answer_within(answer, command, timeout_s)
        if reply.result is None:
            raise self.error(reply)
        try:
            return decode_result(reply, wanted)
        except StuiError as error:
            raise ImageError(error.message, image_id=self.image_id) from None

    async def _answer_within(self, answer: asyncio.Future[Reply], command: str, timeout_s: float) -> Reply:
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            msg = f"image {self.image_id!r} did not answer {command} within {timeout_s:g} s"
            raise ImageTimeoutError(msg, image_id=self.image_id, timeout=timeout_s) from None

    # ---- what the daemon asks of its own accord

    async def probe(self, command: str, parameters: object, wanted: type[T], timeout_s: float) -> T:
        """Ask something that no client asked, beside all that is pending.

        Raises:
            ImageLostError, ImageTimeoutError, ImageError, StuiError: as `ask`.
        """
        if self._lost:
            raise self._loss()
        request_id = f"{_OWN}{self._own_ids}{next(self._serial)}"
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._own[request_id] = answer
        try:
            self.pipe.send(encode_request(request_id, command, parameters))
            return await self._answer(answer, command, wanted, timeout_s)
        finally:
            self._own.pop(request_id, None)

    def ping(self) -> None:
        """Ask for a sign of life; nobody waits for it."""
        request_id = f"{_OWN}{self._own_ids}{next(self._serial)}"
        self.pulse.asked(request_id)
        self.pipe.send(encode_request(request_id, "ping", _NOTHING))

    def heard(self) -> None:
        """Take note that anything came from it."""
        self.pulse.heard()

    def tell(self, command: str, parameters: object) -> None:
        """Send a request whose answer nobody needs, if the image can do it."""
        if self.can(command) and not self._lost:
            self.pipe.send(encode_request(f"{_UNAWAITED}{next(self._serial)}", command, parameters))

    def receive_reply(self, reply: Reply) -> None:
        """Hand an answer to the request it names."""
        if reply.id.startswith(_UNAWAITED):
            return
        if reply.id.startswith(_OWN):
            self._receive_own(reply)
            return
        answer = self._pending.get(reply.id)
        if answer is None or answer.done():
            if self._receive_stray(self, reply):
                return
            self.strays += 1
            self.complain("image.stray_reply")
            return
        answer.set_result(reply)

    def _receive_own(self, reply: Reply) -> None:
        """Take an answer to what the daemon asked; one that comes too late is still a sign of life."""
        answer = self._own.get(reply.id)
        if answer is not None and not answer.done():
            answer.set_result(reply)
            return
        status = None
        if reply.result is not None:
            with contextlib.suppress(StuiError):
                status = decode_result(reply, PingResult).status
        self.pulse.answered(reply.id, status)

    def receive_unreadable(self, request_id: str, why: str) -> None:
        """End a request whose answer cannot be read: nobody would wait for another one in vain."""
        self.receive_reply(Reply(request_id, None, f"what image {self.image_id!r} answered cannot be read: {why}"))

    def complain(self, event: str, **facts: object) -> None:
        """Log that the image does what it should not: the first time, the second, the fourth, the eighth...

        So an image that does so without end does not fill the log.
        """
        self._complaints[event] += 1
        count = self._complaints[event]
        if not count & (count - 1):
            _log.warning(event, image_id=self.image_id, count=count, **facts)

    def lose(self) -> None:
        """Tell everybody who waits that the link is gone."""
        self._lost = True
        for answer in (*self._pending.values(), *self._own.values()):
            if not answer.done():
                answer.set_exception(self._loss())

    def _loss(self) -> ImageLostError:
        msg = f"the link to image {self.image_id!r} broke before it answered; the request may have been carried out"
        return ImageLostError(msg, image_id=self.image_id)

    def error(self, reply: Reply) -> StuiError:
        """Make the error that an image's answer tells."""
        kind = _RELAYED_ERRORS.get(reply.code or "", ImageError)
        details = {**reply.details, "image_id": self.image_id}
        error = kind(reply.error or "the image answered with an error")
        error.details = details
        return error


def outcome_of(answer: object) -> str:
    """Say in a word what came of code that an image ran."""
    if not isinstance(answer, EvaluateResult) or not (answer.has_error or answer.error is not UNSET):
        return "ok"
    return "interrupted" if answer.error is not UNSET and answer.error.class_ == INTERRUPTED else "error"
