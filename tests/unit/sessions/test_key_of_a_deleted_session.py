"""The idempotency key of a session that is just being deleted is free again. Found by the fuzzer."""

import asyncio
import json

from stui_sessiond.testing.talk import Talk
from tests.conformance.bed import FACTORIES, running_daemon


def test_key_of_a_session_that_is_being_deleted() -> None:
    """A repeat that waits for the deletion starts a new session, with the one write that carries both."""
    with running_daemon(FACTORIES["unix"], "none") as bed:

        async def run() -> list[dict[str, object]]:
            talk = Talk(bed.target, await bed.target.open())
            wish = {"client_id": "me", "idempotency_key": "k"}
            await talk.send({"id": "1", "command": "create_session", "parameters": wish})
            first = (await talk.receive())["result"]["session_id"]
            gone = {"session_id": first, "save_state": False}
            both = [
                {"id": "2", "command": "close_session", "parameters": gone},
                {"id": "3", "command": "create_session", "parameters": wish},
            ]
            await talk.send_bytes(b"\n".join(json.dumps(each).encode() for each in both))
            async with asyncio.timeout(10):
                answers = [await talk.receive(), await talk.receive()]
            await talk.link.close()
            assert answers[1].get("result", {}).get("session_id") not in {None, first}
            return answers

        answers = bed.runner.run(run())
    assert [answer["status"] for answer in answers] == ["success", "success"]
