"""What a misbehaving image leaves behind: no task, no request without an outcome, gaps that say how much is missing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from stui_sessiond.images.pace import EVENTS
from tests.unit.bed.daemon import Json, Running, Talker, running_daemon

Misbehaviour = Callable[[Talker, Json], Awaitable[None]]

ROUNDS = 20


async def twice(image: Talker, request: Json) -> None:
    """Answer, and answer again."""
    for _ in range(2):
        image.say({"id": request["id"], "status": "error", "error": "no", "code": "evaluation_error"})


async def hang_up(image: Talker, request: Json) -> None:
    """Go in the middle of the answer."""
    image.write(b'{"id":"' + request["id"].encode() + b'","status":"succ')
    await image.close()


async def nonsense(image: Talker, request: Json) -> None:
    """Answer with what is no JSON, and what is nothing at all."""
    image.write(b'{"id":"' + request["id"].encode() + b'","status":nonsense}\n\x00\n[]\n')


async def too_long(image: Talker, request: Json) -> None:
    """Answer with more than is taken."""
    image.write(b'{"id":"' + request["id"].encode() + b'","status":"success","result":"' + b"x" * 11_000_000 + b'"}\n')


async def for_nobody(image: Talker, request: Json) -> None:
    """Answer everything but what was asked, then that."""
    for name in ("d-1", "n-1", "p-1", "session_1_1_x:abc", ":", "x" * 300):
        image.say({"id": name, "status": "success", "result": {}})
    image.say({"id": request["id"], "status": "success", "result": {}})


async def evaluate(running: Running, client: Talker, session_id: str | None, misbehave: Misbehaviour) -> str:
    """Ask a new instance of the image, let it misbehave, and give the code of the outcome."""
    async with running.image() as image:
        asked = client.ask("evaluate", code="1", image_id="pharo", session_id=session_id)
        while (request := await image.hear()).get("command") != "evaluate":
            pass
        await misbehave(image, request)
        code: str = (await client.reply_to(asked))["code"]
        return code


@pytest.mark.parametrize(
    ("misbehave", "code"),
    [
        (twice, "evaluation_error"),
        (hang_up, "image_lost"),
        (nonsense, "image_error"),
        (too_long, "image_error"),
        (for_nobody, "image_error"),
    ],
)
async def test_request_has_one_outcome_and_leaves_no_task(misbehave: Misbehaviour, code: str) -> None:
    """Each request ends at once with the same error, with a session and without, and after it all is as before."""
    async with running_daemon() as running, running.talker() as client:
        session_id = (await client.call("create_session", client_id="ada", image_id="pharo"))["session_id"]
        assert await evaluate(running, client, session_id, misbehave) == code
        await client.call("get_digest", session_id=session_id)
        before = len(asyncio.all_tasks())
        for number in range(ROUNDS):
            assert await evaluate(running, client, session_id if number % 2 else None, misbehave) == code
        for _ in range(1000):  # what it left may need some turns to end
            await client.call("ping")
            if len(asyncio.all_tasks()) <= before:
                break
        assert len(asyncio.all_tasks()) <= before
        assert client.events == []


async def test_events_beyond_the_rate_are_told_as_a_gap() -> None:
    """A subscriber hears the first ones; how many it did not hear of, the gap says exactly."""
    async with running_daemon() as running, running.talker() as client, running.image() as image:
        session_id = (await client.call("create_session", client_id="ada", image_id="pharo"))["session_id"]
        await client.call("subscribe", session_id=session_id)
        sent = EVENTS.burst + 2000
        for number in range(sent):
            image.say({"event": "transcript", "session_id": session_id, "data": {"text": str(number)}})
        heard, lost, reasons = 0, 0, set()
        while heard + lost < sent:
            event = await client.event()
            heard += event["event"] == "transcript"
            if event["event"] == "gap":
                lost += event["data"]["lost"]
                reasons.add(event["data"]["reason"])
        assert heard + lost == sent
        assert lost >= 2000 - EVENTS.per_second
        assert reasons <= {"more happened than the disk took", "the image tells more than is taken"}
