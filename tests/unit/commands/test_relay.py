"""Requests that run code: once, whatever goes meanwhile."""

import asyncio
import json

import pytest

from stui_sessiond.commands import translation
from stui_sessiond.commands.relay import Relay
from stui_sessiond.errors import (
    ClassNotFoundError,
    EvaluationForbiddenError,
    ImageBusyError,
    ImageLostError,
    ImageTimeoutError,
    ImageUnavailableError,
    KeyReusedError,
    LostWithImageError,
    OutcomeUnknownError,
    ParameterError,
    RequestError,
    SessionExpiredError,
    StorageFullError,
    UnsupportedOperationError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.images import link as link_module
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.security.policy import PolicyRules
from stui_sessiond.sessions import ledger
from stui_sessiond.wire.forms import PushedEvent
from stui_sessiond.wire.messages.development import Debug, DebugResult, Evaluate, Inspect, Relayed
from tests.unit.bed.house import TestStorage
from tests.unit.bed.image import a_link, reply
from tests.unit.bed.works import SEVEN, Json, Works, open_works

ONCE = ["evaluation.accepted", "evaluation.started", "evaluation.finished"]


async def entry(works: Works, session_id: SessionId, key: str) -> RequestEntry:
    """Read what is remembered of a request."""
    await works.settle()
    found = await works.book.recall(session_id, key)
    assert found is not None
    return found


# ---- one evaluation


async def test_evaluation_is_asked_and_answered() -> None:
    """The image gets what it needs and nothing else, under an id that means the same over another link."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k", timeout=5)
        request = await works.asked()
        assert request["parameters"]["code"] == "3 + 4"
        assert {"idempotency_key", "timeout", "image_id"}.isdisjoint(request["parameters"])
        assert request["id"].startswith(f"{session_id}:")
        works.answer(request)
        assert (await running).result == "7"
        assert works.house.manager.header(session_id).image_id == "pharo"


async def test_evaluation_is_told() -> None:
    """What, who, where, and how it ended."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k", tool_id="one")
        request = await works.asked()
        works.house.clock.pass_time(2.5)
        works.answer(request)
        await running
        assert await works.told(session_id) == ONCE
        who = {"evaluation": "k", "command": "evaluate", "client_id": "ada", "tool_id": "one"}
        accepted = await works.data(session_id, "evaluation.accepted")
        assert accepted == {**who, "code": "3 + 4", "truncated": False}
        started = await works.data(session_id, "evaluation.started")
        assert started == {"evaluation": "k", "image_id": "pharo", "instance_id": "i-1"}
        finished = await works.data(session_id, "evaluation.finished")
        end = {"status": "done", "has_error": False, "display": "7", "duration": 2.5}
        assert finished == {**who, **end, "truncated": False, "late": False}


async def test_evaluation_with_a_key_is_in_the_book_before_the_image_hears_of_it() -> None:
    """While that is being stored the image is not asked; without a key it is asked at once."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(image_id="pharo")
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        keyed = works.run(session_id, "k")
        await storage.saving.get()
        assert (works.waiting, works.relay.status_of(session_id, "k")) == (0, "queued")
        quick = works.run(session_id)
        request = await works.asked()
        assert works.waiting == 0
        storage.gate.set()
        works.answer(request)
        works.answer(await works.asked())
        await asyncio.gather(keyed, quick)
        assert works.relay.status_of(session_id, "k") is None


async def test_evaluation_that_cannot_be_put_into_the_book() -> None:
    """With a key it is not carried out, nothing is lost, and it can be sent again."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(image_id="pharo")
        await works.settle()
        before = works.house.position(session_id)
        storage.failure = StorageFullError("the disk is full")
        with pytest.raises(StorageFullError):
            await works.run(session_id, "k")
        storage.failure = None
        assert (works.waiting, works.house.position(session_id)) == (0, before)
        again = works.run(session_id, "k")
        works.answer(await works.asked())
        assert (await again).result == "7"


async def test_evaluation_without_a_key_that_cannot_be_put_into_the_book() -> None:
    """It runs all the same; that there is no event of it ends the epoch."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(image_id="pharo")
        await works.settle()
        before = works.house.position(session_id)
        storage.failure = StorageFullError("the disk is full")
        running = works.run(session_id)
        works.answer(await works.asked())
        assert (await running).result == "7"
        storage.failure = None
        assert works.house.position(session_id).epoch != before.epoch


@pytest.mark.parametrize("key", ["k", None])
async def test_evaluation_that_fails_in_the_image(key: str | None) -> None:
    """The image's error is the outcome; with a key it is the outcome of every repeat."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, key)
        works.answer(await works.asked(), error="no Foo", code="class_not_found")
        with pytest.raises(ClassNotFoundError):
            await running
        assert (await works.data(session_id, "evaluation.finished"))["status"] == "failed"
        if key is not None:
            with pytest.raises(ClassNotFoundError) as caught:
                await works.run(session_id, key)
            assert (caught.value.message, caught.value.details) == ("no Foo", {"image_id": "pharo"})
            assert works.waiting == 0


async def test_evaluation_that_raises_in_smalltalk() -> None:
    """That is a result; it is told with what a person wants to see of it."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        error = {"class": "ZeroDivide", "message": "by zero"}
        works.answer(await works.asked(), {**SEVEN, "result": None, "has_error": True, "error": error})
        assert (await running).has_error
        finished = await works.data(session_id, "evaluation.finished")
        assert (finished["status"], finished["has_error"], finished["display"]) == ("done", True, "ZeroDivide: by zero")


# ---- the same key again


async def test_key_that_is_used_while_it_runs() -> None:
    """Both wait for the one that runs."""
    async with open_works() as works:
        session_id = await works.house.create()
        first = works.run(session_id, "k")
        request = await works.asked()
        second = works.run(session_id, "k")
        await asyncio.sleep(0)
        works.answer(request)
        assert await first == await second
        assert (works.waiting, await works.told(session_id)) == (0, ONCE)


async def test_keys_that_are_used_at_once() -> None:
    """Of many sent together one is carried out."""
    async with open_works() as works:
        session_id = await works.house.create()
        many = [works.run(session_id, "k") for _ in range(20)]
        works.answer(await works.asked())
        assert {result.result for result in await asyncio.gather(*many)} == {"7"}
        assert works.waiting == 0


async def test_key_that_is_used_after_it_is_done() -> None:
    """The first outcome is told again, also by another connection."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        works.answer(await works.asked())
        first = await running
        works.caller.connection_id = None
        assert await works.run(session_id, "k") == first
        assert (works.waiting, await works.told(session_id)) == (0, ONCE)


async def test_key_that_is_used_after_a_restart() -> None:
    """What was done is known; no image is needed to tell it."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        works.answer(await works.asked())
        first = await running
    async with open_works(storage, works.house.clock, instance_id=None) as works:
        assert await works.run(session_id, "k") == first


@pytest.mark.parametrize("running", [True, False])
async def test_key_that_named_another_request(running: bool) -> None:
    """It is refused, whether the first one runs or is done."""
    async with open_works() as works:
        session_id = await works.house.create()
        first = works.run(session_id, "k")
        request = await works.asked()
        if not running:
            works.answer(request)
            await first
        with pytest.raises(KeyReusedError):
            await works.run(session_id, "k", code="4 + 4")
        if running:
            works.answer(request)
        assert (await first).result == "7"
        assert works.waiting == 0


async def test_key_of_another_session() -> None:
    """Keys are the sessions' own."""
    async with open_works() as works:
        for session_id in (await works.house.create(), await works.house.create()):
            running = works.run(session_id, "k")
            works.answer(await works.asked())
            await running


async def test_key_without_a_session() -> None:
    """There is no book to remember it in; without a key the image is just asked."""
    async with open_works() as works:
        with pytest.raises(ParameterError) as caught:
            await works.run(None, "k")
        assert caught.value.details == {"field": "session_id"}
        running = works.run(None)
        works.answer(await works.asked())
        assert (await running).result == "7"


async def test_key_whose_result_was_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is answered, a repeat is told that it was carried out."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 100)
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        works.answer(await works.asked(), {**SEVEN, "result": "x" * 200})
        assert (await running).result == "x" * 200
        with pytest.raises(RequestError) as caught:
            await works.run(session_id, "k")
        assert caught.value.code == "outcome_not_kept"
        assert works.waiting == 0


async def test_key_of_a_session_that_is_over() -> None:
    """A session that expired runs nothing."""
    async with open_works() as works:
        session_id = await works.house.create()
        works.house.clock.pass_time(3600)
        with pytest.raises(SessionExpiredError):
            await works.run(session_id, "k")


@pytest.mark.parametrize("busy", [True, False])
async def test_image_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    """Nothing is remembered of it, so the same key can be sent again."""
    async with open_works(instance_id=None) as works:
        session_id = await works.house.create(image_id="pharo")
        if busy:
            works.connect()
            monkeypatch.setattr(link_module, "MAX_PENDING", 0)
        with pytest.raises(ImageBusyError if busy else ImageUnavailableError):
            await works.run(session_id, "k")
        assert await works.book.recall(session_id, "k") is None
        if busy:
            monkeypatch.undo()
        else:
            works.connect()
        running = works.run(session_id, "k")
        works.answer(await works.asked())
        assert (await running).result == "7"


# ---- without a key


async def test_request_without_a_key_is_known_by_its_id() -> None:
    """Under the connection's name and its own."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id)
        works.answer(await works.asked())
        await running
        found = await entry(works, session_id, "conn-1:r-1")
        assert (found.state, found.origin) == ("done", works.caller.origin)
        assert await works.told(session_id) == ONCE


async def test_id_that_is_used_again_runs_again() -> None:
    """Without a key nothing is held back; the newest is known by the id, also while the first still runs."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = [works.run(session_id), works.run(session_id)]
        requests = [await works.asked(), await works.asked()]
        assert requests[0]["id"] != requests[1]["id"]
        for request in requests:
            works.answer(request)
        await asyncio.gather(*running)
        again = works.run(session_id)
        works.answer(await works.asked(), {**SEVEN, "result": "8"})
        assert (await again).result == "8"
        assert '"8"' in ((await entry(works, session_id, "conn-1:r-1")).result or "")


async def test_request_of_a_connection_without_a_name() -> None:
    """It is in the book all the same, and answers to nobody."""
    async with open_works() as works:
        session_id = await works.house.create()
        works.caller.connection_id = None
        running = works.run(session_id)
        works.answer(await works.asked())
        await running
        assert await works.told(session_id) == ONCE


# ---- patience


async def test_evaluation_that_takes_longer_than_the_client_waits() -> None:
    """It goes on in the image; a repeat waits for it, and its end is told."""
    async with open_works() as works:
        session_id = await works.house.create()
        impatient = works.run(session_id, "k", timeout=0.001)
        request = await works.asked()
        with pytest.raises(ImageTimeoutError) as caught:
            await impatient
        assert caught.value.details == {"timeout": 0.001, "evaluation": "k"}
        assert works.relay.status_of(session_id, "k") == "running"
        patient = works.run(session_id, "k")
        await asyncio.sleep(0)
        works.answer(request)
        assert (await patient).result == "7"
        assert (works.waiting, await works.told(session_id)) == (0, ONCE)


async def test_client_that_stops_waiting() -> None:
    """What it asked for goes on."""
    async with open_works() as works:
        session_id = await works.house.create()
        leaver = works.run(session_id, "k")
        request = await works.asked()
        leaver.cancel()
        await asyncio.wait([leaver])
        works.answer(request)
        assert (await works.run(session_id, "k")).result == "7"
        assert works.waiting == 0


# ---- links that break


async def test_link_that_breaks_while_the_image_works() -> None:
    """Nobody knows what became of it; a repeat is told so, and runs nothing."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError) as caught:
            await running
        assert caught.value.details == {"image_id": "pharo", "evaluation": "k"}
        for _ in range(2):
            with pytest.raises(OutcomeUnknownError):
                await works.run(session_id, "k")
        works.connect()
        with pytest.raises(OutcomeUnknownError) as unknown:
            await works.run(session_id, "k")
        assert unknown.value.details == {"idempotency_key": "k", "image_id": "pharo"}
        assert works.waiting == 0
        assert await works.told(session_id) == [*ONCE[:2], "evaluation.interrupted"]


async def test_answer_that_comes_over_another_link() -> None:
    """It ends the request, late and once; a repeat gets it."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect()
        works.answer(request)
        works.answer(request, {**SEVEN, "result": "8"})
        assert await works.told(session_id) == [*ONCE[:2], "evaluation.interrupted", "evaluation.finished"]
        assert (await works.data(session_id, "evaluation.finished"))["late"] is True
        assert (await works.run(session_id, "k")).result == "7"
        assert (works.waiting, works.link.strays) == (0, 0)


async def test_failure_that_comes_over_another_link() -> None:
    """The same for an error."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect()
        works.answer(request, error="no Foo", code="class_not_found")
        await works.settle()
        with pytest.raises(ClassNotFoundError):
            await works.run(session_id, "k")


async def test_answer_that_comes_after_a_restart() -> None:
    """The daemon that asked is gone; the request ends all the same."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        await works.relay.close()
        running.cancel()
        works.disconnect()
    async with open_works(storage, works.house.clock) as works:
        with pytest.raises(OutcomeUnknownError):
            await works.run(session_id, "k")
        works.answer(request)
        await works.settle()
        assert (await works.run(session_id, "k")).result == "7"
        assert works.waiting == 0


async def test_answer_that_cannot_be_read() -> None:
    """That is how it ended."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect()
        works.answer(request, {"nonsense": 1})
        assert (await entry(works, session_id, "k")).state == "failed"


async def test_late_answer_while_the_disk_cannot_be_read() -> None:
    """The trouble of the disk is not the outcome of the request."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        await works.settle()
        works.connect()
        await works.settle()
    async with open_works(storage, works.house.clock, instance_id=None) as works:
        works.connect()
        storage.failure = StorageFullError("not now")
        works.answer(request)
        await works.settle()
        storage.failure = None
        assert (await entry(works, session_id, "k")).state == "running"


@pytest.mark.parametrize("request_id", ["d-77", "session_9_9_nobody:1", "x:", ":x", "not an id:1"])
async def test_answer_to_nobody(request_id: str) -> None:
    """It is ignored."""
    async with open_works() as works:
        session_id = await works.house.create()
        works.answer({"id": request_id})
        assert await works.told(session_id) == []


async def test_answer_of_another_image() -> None:
    """An image may answer for itself only."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect()
        other, _ = a_link("other", receive_stray=works.relay.receive_stray)
        other.receive_reply(reply(request["id"], status="success", result=SEVEN))
        assert (await entry(works, session_id, "k")).state == "running"


# ---- images that end


@pytest.mark.parametrize("restarted", [True, False])
async def test_image_that_is_started_anew(restarted: bool) -> None:
    """What the one before worked on is lost, and that is told once; with the same instance nothing is."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect("i-2" if restarted else "i-1")
        told = [*ONCE[:2], "evaluation.interrupted", *(["evaluation.lost"] if restarted else [])]
        assert await works.told(session_id) == told
        works.disconnect()
        works.connect("i-2" if restarted else "i-1")
        assert await works.told(session_id) == told
        with pytest.raises(LostWithImageError if restarted else OutcomeUnknownError):
            await works.run(session_id, "k")
        assert works.waiting == 0


async def test_image_that_is_started_anew_while_its_session_is_over() -> None:
    """Nobody told the session; a repeat learns it all the same."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        await works.settle()
        works.house.clock.pass_time(3600)
        works.connect("i-2")
        await works.settle()
        await works.house.manager.restore(session_id, reopen=True)
        with pytest.raises(LostWithImageError):
            await works.run(session_id, "k")


# ---- the end


async def test_outcome_that_was_told_is_noted_before_the_end() -> None:
    """A daemon that stops right behind an answer has stored it."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(image_id="pharo")
        running = works.run(session_id)
        request = await works.asked()
        await works.settle()
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        works.answer(request)
        await running
        closing = asyncio.ensure_future(works.relay.close())
        await storage.saving.get()
        assert not closing.done()
        storage.gate.set()
        await closing
    async with open_works(storage, works.house.clock) as works:
        assert (await entry(works, session_id, "conn-1:r-1")).state == "done"


async def test_relay_that_is_closed_stops_waiting() -> None:
    """What the image works on stays in the book."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        await works.asked()
        await works.relay.close()
        await asyncio.wait([running])
        assert running.cancelled()
        assert (await entry(works, session_id, "k")).state == "running"
        assert isinstance(works.relay, Relay)


# ---- what an image publishes


@pytest.mark.parametrize(("asked", "word"), [({"on_error": "suspend"}, "suspend"), ({"keep": True}, "handles")])
async def test_request_that_takes_what_the_image_did_not_publish(asked: Json, word: str) -> None:
    """It is refused with the word, and leaves nothing behind; an image that published it, or nothing, is asked."""
    async with open_works(instance_id=None) as works:
        session_id = await works.house.create(image_id="pharo")
        works.connect(capabilities=("evaluate",))
        with pytest.raises(UnsupportedOperationError) as caught:
            await works.run(session_id, "k", **asked)
        assert caught.value.details == {"capability": word, "image_id": "pharo"}
        assert (works.waiting, await works.book.recall(session_id, "k")) == (0, None)
        for capabilities in (("evaluate", word), ()):
            works.disconnect()
            works.connect(capabilities=capabilities)
            running = works.run(session_id, None, **asked)
            request = await works.asked()
            assert request["parameters"].items() >= asked.items()
            works.answer(request)
            await running


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Evaluate(code="1", on_error="report", keep=False), []),
        (Evaluate(code="1", on_error="suspend", keep=True), ["suspend", "handles"]),
        (Evaluate(code="1", receiver_handle="h"), ["receiver_handle"]),
        (Inspect(target="nil"), []),
        (Inspect(handle="h"), ["handles"]),
        (Inspect(target="nil", keep=True), ["handles"]),
        (Debug(operation="Continue"), []),
        (Debug(operation="Continue", debugger_id="d"), ["suspend"]),
    ],
)
def test_capabilities_that_a_request_takes(asked: Relayed, words: list[str]) -> None:
    """Beside the command itself."""
    assert translation._words(asked) == words


async def test_expression_in_a_frame_is_code() -> None:
    """The operator's policy looks at it, and it is told and remembered like other code."""
    async with open_works() as works:
        works.policy.replace(PolicyRules(forbid=["quit"]))
        session_id = await works.house.create()

        def debug(expression: str) -> "asyncio.Future[DebugResult]":
            asked = Debug(operation="EvaluateInFrame", session_id=session_id, expression=expression)
            return asyncio.ensure_future(works.relay.run(works.caller, "debug", asked, DebugResult))

        with pytest.raises(EvaluationForbiddenError):
            await debug("Smalltalk quit")
        assert works.waiting == 0
        running = debug("self foo")
        works.answer(await works.asked(), {"result": "7", "debug_info": {}})
        assert (await running).result == "7"
        assert (await works.data(session_id, "evaluation.accepted"))["code"] == "self foo"


# ---- progress


async def test_progress_names_the_evaluation() -> None:
    """As clients know it, as long as it is under way; what the image says of something else passes as it is."""
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k")
        request = await works.asked()

        def progress(**data: object) -> None:
            pushed = PushedEvent("progress", session_id, json.dumps(data).encode())
            works.image_commands.pass_on(works.link, pushed)

        progress(request_id=request["id"], text="half", fraction=0.5)
        progress(request_id="another", fraction=0.6)
        progress(request_id=[7], evaluation="mine")
        works.answer(request)
        await running
        await works.settle()
        progress(request_id=request["id"])
        await works.settle()
        told = [event.data for event in await works.house.log(session_id) if event.name == "progress"]
        assert told == [
            {"evaluation": "k", "text": "half", "fraction": 0.5},
            {"request_id": "another", "fraction": 0.6},
            {"request_id": [7], "evaluation": "mine"},
            {"request_id": request["id"]},
        ]


# ---- what is answered at once


async def test_evaluation_without_a_key_that_is_answered_at_once_is_one_record() -> None:
    """Its client hears of it when that is stored; meanwhile it is listed as running."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(image_id="pharo")
        await works.settle()
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        before = len(storage.commits)
        running = works.run(session_id)
        works.answer(await works.asked())
        stored = await storage.saving.get()
        assert stored.requests.entries["conn-1:r-1"].state == "done"
        assert not running.done()
        assert works.relay.status_of(session_id, "conn-1:r-1") == "running"
        storage.gate.set()
        assert (await running).result == "7"
        assert (len(storage.commits) - before, await works.told(session_id)) == (1, ONCE)


async def test_link_that_breaks_at_once_under_a_request_without_a_key() -> None:
    """It is in the book as running, and ends when the image answers over another link."""
    async with open_works() as works:
        session_id = await works.house.create(image_id="pharo")
        running = works.run(session_id)
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        works.connect()
        works.answer(request)
        assert (await entry(works, session_id, "conn-1:r-1")).state == "done"
        assert await works.told(session_id) == [*ONCE[:2], "evaluation.interrupted", "evaluation.finished"]


@pytest.mark.parametrize("ended", [True, False])
async def test_key_that_names_a_request_without_one(ended: bool) -> None:
    """Its name is a key as well: who asks the same under it waits for it, and stops with it."""
    async with open_works() as works:
        session_id = await works.house.create()
        first = works.run(session_id)
        request = await works.asked()
        second = works.run(session_id, "conn-1:r-1")
        await asyncio.sleep(0)
        if ended:
            works.answer(request)
            assert await first == await second
        else:
            first.cancel()
            await asyncio.wait([first, second])
            assert second.cancelled()
        assert works.waiting == 0
