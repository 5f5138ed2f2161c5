"""Is what a request leaves behind gone at once, without the collector of cycles, which seldom looks at all there is?"""

import gc

from stui_sessiond.errors import EvaluationError
from tests.unit.bed.daemon import Running, Talker, running_daemon


async def fail_once(client: Talker, image: Talker, session_id: str) -> None:
    """Evaluate something that the image calls an error."""
    asked = client.ask("evaluate", session_id=session_id, code="nil foo")
    request = await image.hear()
    image.say({"id": request["id"], "status": "error", "code": "evaluation_error", "message": "nil has no foo"})
    assert (await client.reply_to(asked))["code"] == "evaluation_error"


async def errors_left(running: Running) -> int:
    """Count errors of evaluations that are not gone after ten of them."""
    async with running.image() as image, running.talker() as client:
        session_id = (await client.call("create_session", client_id="ada", image_id="pharo"))["session_id"]
        await fail_once(client, image, session_id)
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await fail_once(client, image, session_id)
            await client.call("ping")
            return sum(isinstance(each, EvaluationError) for each in gc.get_objects())
        finally:
            gc.enable()


async def test_evaluation_that_fails_leaves_nothing_behind() -> None:
    """Its error would hold the frames it went through, and with them the connection that asked."""
    async with running_daemon() as running:
        assert await errors_left(running) == 0
