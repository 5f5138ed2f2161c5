"""How does one case go with one image? One connection, one client, one session; each wait has its time.

Guarantees: what the case made in the image is cleared away, and its session deleted, however it went; nothing that the
image or the daemon sends makes it last longer than its steps may.
"""

import asyncio
import secrets
from typing import Any

from msgspec import UNSET, Struct

from stui_sessiond.contract import Contract, load_contract
from stui_sessiond.testing.images.cases import Case, Step, applies, codes_of, listens
from stui_sessiond.testing.images.desk import Desk
from stui_sessiond.testing.images.report import Verdict
from stui_sessiond.testing.link import LinkEndedError, UnreachableError
from stui_sessiond.testing.patterns import Names, PatternError, differences, fill, show
from stui_sessiond.testing.talk import DifferenceError, Talk, Target

STEP_S = 20.0
"""How long one step may take; images of the slow kind compile in seconds."""

TRY_PAUSE_S = 0.1
"""Between two tries of a request."""

MAX_RATE_WAITS = 100
"""How often a request waits because the daemon counts requests, before that is a failure."""

_CLIENT = "image-conformance"


class Outcome(Struct, frozen=True):
    """How it went, and why."""

    verdict: Verdict
    differences: list[str] = []


class _NotOfferedError(Exception):
    """An image that published nothing says that it cannot do this."""


class Player:
    """Plays cases with one image of one daemon. `tries_anything`: it published no capabilities."""

    def __init__(self, target: Target, image_id: str, *, tries_anything: bool = False, step_s: float = STEP_S) -> None:
        self._target = target
        self._image_id = image_id
        self._tries_anything = tries_anything
        self._step_s = step_s
        self._contract: Contract = load_contract()

    async def play(self, case: Case) -> Outcome:
        """Play a case."""
        try:
            talk = Talk(self._target, await self._target.open())
        except UnreachableError as error:
            return Outcome("failed", [str(error)])
        desk = Desk(talk, self._step_s)
        names: Names = {"run": secrets.token_hex(6), "image_id": self._image_id}
        try:
            try:
                await self._begin(desk, case, names)
                return await self._go(desk, case, names)
            finally:
                await self._clear(desk, case, names)
        except (DifferenceError, LinkEndedError, PatternError) as error:
            return Outcome("failed", _lines(error))
        finally:
            await talk.link.close()

    async def alive(self) -> str | None:
        """Tell why the image cannot be asked any more; None when it can."""
        step = Step(ask="ping", parameters={"image_id": self._image_id}, result={"status": "{{*:string}}"})
        probe = Case(name="alive", about="", capability="ping", steps=[Step(wait="image"), step])
        outcome = await self.play(probe)
        return None if outcome.verdict != "failed" else "; ".join(outcome.differences)

    # ---- before, and after

    async def _begin(self, desk: Desk, case: Case, names: Names) -> None:
        client_id = f"{_CLIENT}-{names['run']}"
        names["client_id"] = client_id
        hello = {"role": "client", "protocol": ["1.0.0"], "client_id": client_id, "token": self._target.token}
        await self._expect(desk, Step(ask="hello", parameters=hello), names)
        session = Step(
            ask="create_session",
            parameters={"client_id": client_id, "image_id": self._image_id},
            result={"session_id": "{{session_id:string}}"},
        )
        await self._expect(desk, session, names)
        if listens(case):
            await self._expect(desk, Step(ask="subscribe"), names)
        for name, value in case.names.items():
            names[name] = fill(value, names)

    async def _clear(self, desk: Desk, case: Case, names: Names) -> None:
        """Clear away what was made: the code that still runs first, for the rest may wait behind it."""
        if "session_id" not in names:
            return
        await self._quietly(desk, Step(ask="interrupt_evaluation"), names)
        for step in case.last:
            await self._quietly(desk, step, names)
        await self._quietly(desk, Step(ask="close_session", parameters={"save_state": False}), names)

    async def _quietly(self, desk: Desk, step: Step, names: Names) -> None:
        try:
            await desk.answer(await self._send(desk, step, names))
        except (DifferenceError, LinkEndedError, PatternError):
            return  # it may never have been made

    # ---- the steps

    async def _go(self, desk: Desk, case: Case, names: Names) -> Outcome:
        begun: dict[str, str] = {}
        for number, step in enumerate(case.steps, 1):
            try:
                if applies(step, names):
                    await self._take(desk, step, names, begun)
            except _NotOfferedError:
                return Outcome("not offered")
            except (DifferenceError, LinkEndedError, PatternError) as error:
                place = f"step {number}, {_named(step)}: "
                return Outcome("failed", [f"{place}{line}" for line in _lines(error)])
        return Outcome("passed")

    async def _take(self, desk: Desk, step: Step, names: Names, begun: dict[str, str]) -> None:
        if step.later is not None:
            begun[step.later] = await self._send(desk, step, names)
        elif step.answer is not None:
            self._compare(step, await desk.answer(begun[step.answer]), names)
        elif step.event is not None:
            await desk.event(step.event, step.data, names)
        elif step.wait is not None:
            await self._wait_for_image(desk, names)
        else:
            await self._expect(desk, step, names)

    async def _expect(self, desk: Desk, step: Step, names: Names) -> None:
        """Ask until the answer matches, as often as the step allows."""
        for left in reversed(range(step.tries)):
            answer = await self._answered(desk, step, names)
            captured = dict(names)
            try:
                self._compare(step, answer, captured)
            except DifferenceError:
                if not left:
                    raise
                await asyncio.sleep(TRY_PAUSE_S)
            else:
                names.update(captured)
                return

    async def _answered(self, desk: Desk, step: Step, names: Names) -> dict[str, Any]:
        """Ask, and ask again when the daemon says that it was too soon."""
        answer: dict[str, Any] = {}
        for _ in range(MAX_RATE_WAITS):
            answer = await desk.answer(await self._send(desk, step, names))
            if answer.get("code") != "rate_limited" or "rate_limited" in codes_of(step):
                break
            await asyncio.sleep(min(float(answer["details"]["retry_after"]), self._step_s))
        return answer

    async def _send(self, desk: Desk, step: Step, names: Names) -> str:
        """Send a request; its session is the case's unless it says otherwise."""
        command = step.ask or ""
        parameters: dict[str, Any] = fill(step.parameters, names)
        if "session_id" in self._contract.commands[command].parameters and "session_id" in names:
            parameters = {"session_id": names["session_id"], **parameters}
        return await desk.ask(command, parameters)

    def _compare(self, step: Step, answer: dict[str, Any], names: Names) -> None:
        codes = codes_of(step)
        code = answer.get("code")
        if code == "unsupported_operation" and code not in codes and self._tries_anything:
            raise _NotOfferedError
        if codes:
            told = [] if code in codes else [f"expected the error {' or '.join(codes)}"]
            told += differences(step.details, answer.get("details"), names, "details")
        elif answer.get("status") != "success":
            told = ["expected a success"]
        else:
            pattern = {} if step.result is UNSET else step.result
            told = differences(pattern, answer.get("result"), names, "result")
        if told:
            said = {
                key: value for key, value in answer.items() if key in {"status", "result", "code", "error", "details"}
            }
            raise DifferenceError(*told, f"in {show(said)}")

    async def _wait_for_image(self, desk: Desk, names: Names) -> None:
        image = {"image_id": self._image_id, "status": "connected"}
        result = {"images": ["{{*:others}}", image]}
        tries = max(1, int(self._step_s / TRY_PAUSE_S))
        await self._expect(desk, Step(ask="list_images", result=result, tries=tries), names)


def _named(step: Step) -> str:
    """Say which step it is, for a person."""
    if step.ask is not None:
        shown = next((step.parameters[name] for name in _TELLING if name in step.parameters), None)
        return step.ask if shown is None else f"{step.ask} {show(shown)}"
    return f"answer to {step.answer}" if step.answer else f"event {step.event}" if step.event else "wait for the image"


_TELLING = ("code", "operation", "target", "class_name", "what", "source")
"""The parameters by which a person knows a request, the most telling first."""


def _lines(error: Exception) -> list[str]:
    return error.lines if isinstance(error, DifferenceError) else [str(error)]
