"""Code that runs, or waits to, is ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stui_sessiond.commands import interruption
from stui_sessiond.commands.interruption import InterruptionCommands
from stui_sessiond.errors import EvaluationNotFoundError, ImageBusyError, ImageLostError
from stui_sessiond.ids import SessionId
from stui_sessiond.images import link as link_module
from stui_sessiond.security.policy import PolicyRules
from stui_sessiond.wire.messages.approval import ListApprovals, ListedApproval
from stui_sessiond.wire.messages.evaluation import InterruptEvaluation, InterruptEvaluationResult, Interruption
from tests.unit.bed.house import TestStorage
from tests.unit.bed.wait import until
from tests.unit.bed.works import SEVEN, Json, Works, open_works

INTERRUPTED: Json = {
    "result": None,
    "result_type": "Interrupted",
    "execution_time": 5,
    "has_error": True,
    "error": {"class": "Interrupted", "message": "interrupted"},
}


class Brakes:
    """A bed in which code can be interrupted."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self.commands = InterruptionCommands(works.house.manager, works.book, works.images, works.running)

    def end(
        self,
        session_id: str,
        evaluation: str | None = None,
        **more: Any,  # noqa: ANN401 -- fields of the parameters
    ) -> "asyncio.Task[InterruptEvaluationResult]":
        """Ask to end code."""
        asked = InterruptEvaluation(session_id, evaluation, **more)
        return asyncio.ensure_future(self.commands.interrupt_evaluation(self.works.caller, asked))


@asynccontextmanager
async def open_brakes(**how: Any) -> AsyncIterator[tuple[Works, Brakes]]:  # noqa: ANN401 -- as `open_works`
    """Open works, and close what interrupts with them."""
    async with open_works(**how) as works:
        brakes = Brakes(works)
        try:
            yield works, brakes
        finally:
            await brakes.commands.close()


async def test_evaluation_that_runs_is_interrupted() -> None:
    """The image is asked to end the request it works on; that request ends with what it then answers."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k", tool_id="one")
        request = await works.asked()
        ending = brakes.end(session_id, "k")
        asked = await works.asked()
        assert asked["command"] == "interrupt"
        named = {"request_id": request["id"], "session_id": session_id, "tool_id": "one", "force": False}
        assert asked["parameters"] == named
        works.answer(request, INTERRUPTED)
        works.answer(asked, {"interrupted": True})
        assert (await ending).evaluations == [Interruption("k", "interrupted")]
        result = await running
        assert (result.has_error, result.result_type) == (True, "Interrupted")
        assert await works.told(session_id) == [
            "evaluation.accepted",
            "evaluation.started",
            "evaluation.interrupt_requested",
            "evaluation.finished",
        ]
        told = await works.data(session_id, "evaluation.interrupt_requested")
        assert told == {"evaluation": "k", "client_id": "ada"}
        finished = await works.data(session_id, "evaluation.finished")
        assert (finished["has_error"], finished["display"]) == (True, "Interrupted: interrupted")


@pytest.mark.parametrize("closed", [False, True])
async def test_evaluation_of_a_session_that_is_over_is_interrupted(*, closed: bool) -> None:
    """Code that goes on in an image can be ended although its session expired, or was closed; that stays so."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        if closed:
            await works.house.manager.end(session_id, keep=True)
        else:
            works.house.clock.pass_time(100_000)
        ending = brakes.end(session_id)
        asked = await works.asked()
        works.answer(request, INTERRUPTED)
        works.answer(asked, {"interrupted": True})
        assert (await ending).evaluations == [Interruption("k", "interrupted")]
        assert (await running).result_type == "Interrupted"
        assert works.house.manager.count_of_image(works.link.image_id) == 0


async def test_interrupt_that_loses_all_objects() -> None:
    """Only who says `force` has it done, and is told."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        refused = brakes.end(session_id, "k")
        works.answer(await works.asked(), error="only by giving up all objects", code="unsupported_operation")
        (told,) = (await refused).evaluations
        assert told.outcome == "not_interrupted"
        assert told.reason is not None
        assert "`force`" in told.reason
        forced = brakes.end(session_id, "k", force=True)
        asked = await works.asked()
        assert asked["parameters"]["force"] is True
        works.answer(asked, {"interrupted": True, "state_lost": True})
        assert (await forced).evaluations == [Interruption("k", "interrupted", state_lost=True)]
        works.answer(request, INTERRUPTED)
        await running


async def test_interrupt_that_overtakes_all_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent although the image has as many requests as it may have."""
    monkeypatch.setattr(link_module, "MAX_PENDING", 1)
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        with pytest.raises(ImageBusyError):
            await works.run(session_id, "l")
        ending = brakes.end(session_id, "k")
        works.answer(await works.asked(), {"interrupted": True})
        assert (await ending).evaluations[0].outcome == "interrupted"
        works.answer(request, INTERRUPTED)
        await running


async def test_interrupt_while_the_disk_hangs() -> None:
    """The image hears of it although the beginning cannot be stored."""
    storage = TestStorage()
    async with open_brakes(storage=storage) as (works, brakes):
        session_id = await works.house.create(image_id="pharo")
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        running = works.run(session_id)
        request = await works.asked()
        ending = brakes.end(session_id, "conn-1:r-1")
        works.answer(await works.asked(), {"interrupted": True})
        assert (await ending).evaluations[0].outcome == "interrupted"
        storage.gate.set()
        works.answer(request, INTERRUPTED)
        assert (await running).has_error


async def test_interrupts_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is not sent, and says why."""
    monkeypatch.setattr(link_module, "MAX_INTERRUPTS", 1)
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        first = brakes.end(session_id, "k")
        asked = await works.asked()
        (told,) = (await brakes.end(session_id, "k")).evaluations
        assert (told.outcome, works.waiting) == ("not_interrupted", 0)
        works.answer(asked, {"interrupted": True})
        assert (await first).evaluations[0].outcome == "interrupted"
        works.answer(request, INTERRUPTED)
        await running


async def test_image_that_cannot_interrupt() -> None:
    """It is not asked; the answer says what helps."""
    async with open_brakes(instance_id=None) as (works, brakes):
        works.connect(capabilities=("evaluate",))
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        (told,) = (await brakes.end(session_id, "k")).evaluations
        assert (told.outcome, works.waiting) == ("not_interrupted", 0)
        assert told.reason is not None
        assert "user interface" in told.reason
        works.answer(request)
        assert (await running).result == "7"


async def test_image_that_does_not_answer_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded; the evaluation goes on."""
    monkeypatch.setattr(interruption, "INTERRUPT_TIMEOUT_S", 0.001)
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        (told,) = (await brakes.end(session_id, "k")).evaluations
        assert told.outcome == "not_interrupted"
        assert told.reason is not None
        assert "get_image_connection_status" in told.reason
        works.answer(request)
        assert (await running).result == "7"


@pytest.mark.parametrize("answered", [True, False])
async def test_image_that_does_not_know_the_request(answered: bool) -> None:
    """It has ended if its answer is there; else nobody can say so yet."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        ending = brakes.end(session_id, "k")
        asked = await works.asked()
        if answered:
            works.answer(request)
        works.answer(asked, {"interrupted": False})
        (told,) = (await ending).evaluations
        assert told.outcome == ("ended" if answered else "not_interrupted")
        if not answered:
            works.answer(request)
        assert (await running).result == "7"


async def test_link_that_breaks_during_an_interrupt() -> None:
    """Nobody knows then; the interrupt says so at once."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        await works.asked()
        ending = brakes.end(session_id, "k")
        await works.asked()
        works.disconnect()
        (told,) = (await ending).evaluations
        assert told.outcome == "not_interrupted"
        with pytest.raises(ImageLostError):
            await running


# ---- before the image was asked


def waiting(works: Works) -> list[ListedApproval]:
    """What waits for approval."""
    return works.approvals.list_approvals(works.caller, ListApprovals()).approvals


@pytest.mark.parametrize("key", ["k", None])
async def test_evaluation_that_waits_for_approval_is_cancelled(key: str | None) -> None:
    """No image hears of it; its request is answered, and what became of it is told and remembered."""
    async with open_brakes() as (works, brakes):
        works.policy.replace(PolicyRules(ask=["3"]))
        session_id = await works.house.create(image_id="pharo")
        running = works.run(session_id, key)
        name = key or "conn-1:r-1"
        await until(lambda: bool(waiting(works)))
        assert works.relay.status_of(session_id, name) == "queued"
        assert (await brakes.end(session_id, name)).evaluations == [Interruption(name, "cancelled")]
        result = await running
        assert (result.has_error, result.result_type) == (True, "Interrupted")
        assert (works.waiting, waiting(works)) == (0, [])
        assert await works.told(session_id) == [
            "evaluation.approval_needed",
            "evaluation.interrupt_requested",
            "evaluation.accepted",
            "evaluation.finished",
        ]
        found = await works.book.recall(session_id, name)
        assert found is not None
        assert (found.state, found.has_error, found.code) == ("done", True, "3 + 4")
        if key is not None:
            assert (await works.run(session_id, key)).result_type == "Interrupted"
            assert works.waiting == 0


async def test_evaluation_that_is_being_stored_is_cancelled() -> None:
    """It is in the book by then, and ends there; the image is not asked."""
    storage = TestStorage()
    async with open_brakes(storage=storage) as (works, brakes):
        session_id = await works.house.create(image_id="pharo")
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        running = works.run(session_id, "k")
        await storage.saving.get()
        assert (await brakes.end(session_id, "k")).evaluations == [Interruption("k", "cancelled")]
        storage.gate.set()
        assert (await running).result_type == "Interrupted"
        assert works.waiting == 0
        found = await works.book.recall(session_id, "k")
        assert found is not None
        assert (found.state, found.has_error) == ("done", True)


# ---- which


async def test_all_of_a_session_or_a_tool() -> None:
    """Those of other tools and other sessions go on."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        other = await works.house.create()
        running = [
            works.run(session_id, "a", tool_id="one"),
            works.run(session_id, "b", tool_id="two"),
            works.run(session_id, "c", tool_id="one"),
            works.run(other, "d", tool_id="one"),
        ]
        requests = [await works.asked() for _ in running]
        of_tool = brakes.end(session_id, tool_id="one")
        for _ in range(2):
            works.answer(await works.asked(), {"interrupted": True})
        assert [one.evaluation for one in (await of_tool).evaluations] == ["a", "c"]
        everything = brakes.end(session_id)
        for _ in range(3):
            works.answer(await works.asked(), {"interrupted": True})
        assert [one.evaluation for one in (await everything).evaluations] == ["a", "b", "c"]
        assert works.waiting == 0
        for request in requests:
            works.answer(request)
        await asyncio.gather(*running)
        assert (await brakes.end(session_id)).evaluations == []


async def test_evaluation_that_has_ended() -> None:
    """It is known to have; one that never was is not."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        running = works.run(session_id, "k", tool_id="one")
        works.answer(await works.asked())
        await running
        assert (await brakes.end(session_id, "k")).evaluations == [Interruption("k", "ended")]
        for name, tool in (("other", None), ("k", "two")):
            with pytest.raises(EvaluationNotFoundError):
                await brakes.end(session_id, name, tool_id=tool)
        assert works.waiting == 0


async def unwatched(works: Works, session_id: SessionId) -> str:
    """Begin an evaluation whose link then breaks; return the id it has in the image."""
    running = works.run(session_id, "k")
    request = await works.asked()
    works.disconnect()
    with pytest.raises(ImageLostError):
        await running
    return str(request["id"])


async def test_evaluation_over_an_earlier_link() -> None:
    """The image is at it still: it is asked over its present link."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        relay_id = await unwatched(works, session_id)
        (told,) = (await brakes.end(session_id)).evaluations
        assert told.outcome == "not_interrupted"
        assert "not connected" in (told.reason or "")
        works.connect()
        ending = brakes.end(session_id)
        asked = await works.asked()
        assert asked["parameters"]["request_id"] == relay_id
        works.answer({"id": relay_id}, INTERRUPTED)
        works.answer(asked, {"interrupted": True})
        assert (await ending).evaluations == [Interruption("k", "interrupted")]
        assert (await works.data(session_id, "evaluation.finished"))["late"] is True


async def test_evaluation_of_an_image_that_is_gone() -> None:
    """Another instance has nothing to end."""
    async with open_brakes() as (works, brakes):
        session_id = await works.house.create()
        await unwatched(works, session_id)
        works.connect("i-2")
        await works.settle()
        assert (await brakes.end(session_id, "k")).evaluations[0].outcome == "ended"
        assert works.waiting == 0


async def test_timeout_never_interrupts_nor_opens_a_debugger() -> None:
    """A client that stops waiting changes nothing: the image hears nothing more, whatever was to happen at an error."""
    async with open_brakes() as (works, brakes):
        del brakes
        session_id = await works.house.create()
        running = works.run(session_id, "k", timeout=0.001, on_error="suspend")
        request = await works.asked()
        await asyncio.wait([running])
        assert running.exception() is not None
        await works.settle()
        assert works.waiting == 0
        works.answer(request, SEVEN)
        await works.settle()
        assert "debugger.opened" not in works.house.names(session_id)
