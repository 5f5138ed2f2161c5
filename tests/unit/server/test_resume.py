"""A connection that goes on over another socket: what it is owed, who is fenced off, and what is bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stui_sessiond.server import listeners, peer
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.transports.lines import LineProtocol
from tests.unit.bed.daemon import Json, Running, Talker, running_daemon

EVALUATED = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


async def greet(talker: Talker, token: str | None = None, client: str | None = "ada", *unanswered: str) -> Json:
    """Say hello, perhaps to go on."""
    return await talker.call(
        "hello", role="client", client_id=client, resume_token=token, unanswered=list(unanswered), protocol=["1.0.0"]
    )


async def answer(image: Talker, **fields: Any) -> Json:  # noqa: ANN401 -- any JSON
    """Let the image answer what it is asked next."""
    request = await image.hear()
    image.say({"id": request["id"], **(fields or {"status": "success", "result": EVALUATED})})
    return request


async def until_alone(running: Running, watcher: Talker, count: int) -> None:
    """Wait until the daemon has noticed that others left; every ping is a turn of its loop."""
    while running.daemon.server.counts().total > count:
        await watcher.call("ping")


def cut(running: Running) -> None:
    """Break the newest client's connection, as a network does: nobody says goodbye."""
    newest = [each for each in running.daemon.server._by_name.values() if each.role == "client"][-1]
    pipe = newest._pipe
    assert isinstance(pipe, LineProtocol)
    pipe.abort()


@asynccontextmanager
async def broken(running: Running, client: str | None = "ada") -> AsyncIterator[tuple[str, str, Talker, Talker, str]]:
    """A connection that broke during an evaluation: its token, its session, the image, a watcher, the request's id."""
    async with running.image() as image, running.talker() as watcher:
        async with running.talker() as first:
            token = (await greet(first, None, client))["resume_token"]
            session_id = (await first.call("create_session", client_id="ada"))["session_id"]
            request_id = first.ask("evaluate", session_id=session_id, code="1")
            await first.call("ping")
            cut(running)
        await until_alone(running, watcher, 2)
        yield token, session_id, image, watcher, request_id


# ---- the name of a connection


async def test_connection_has_a_name_and_a_token() -> None:
    """Both stay the same when it is resumed."""
    async with running_daemon() as running:
        async with running.talker() as first:
            told = await greet(first)
            assert (told["resumed"], told["in_flight"]) == (False, [])
        async with running.talker() as second:
            again = await greet(second, told["resume_token"])
            assert (again["resumed"], again["in_flight"]) == (True, [])
            assert (again["connection_id"], again["resume_token"]) == (told["connection_id"], told["resume_token"])


@pytest.mark.parametrize("client", ["bob", None])
async def test_token_of_another_client(client: str | None) -> None:
    """It is no error, and it is a new connection; the one it was taken from goes on."""
    async with running_daemon() as running, running.talker() as first, running.talker() as second:
        told = await greet(first)
        again = await greet(second, told["resume_token"], client)
        assert (again["resumed"], again["connection_id"] == told["connection_id"]) == (False, False)
        assert (await first.call("ping"))["status"] == "ready"


@pytest.mark.parametrize("token", ["", "nonsense", "a.b"])
async def test_token_that_is_none_of_ours(token: str) -> None:
    """The same."""
    async with running_daemon() as running, running.talker() as talker:
        assert (await greet(talker, token))["resumed"] is False


async def test_token_is_for_clients() -> None:
    """An observer begins anew."""
    async with running_daemon() as running, running.talker() as first, running.talker() as second:
        told = await greet(first)
        again = await second.call("hello", role="observer", client_id="ada", resume_token=told["resume_token"])
        assert again["resumed"] is False


async def test_resuming_fences_the_older_socket() -> None:
    """It is told why and closed, and may not come back by itself; its client is not detached twice."""
    async with running_daemon() as running, running.talker() as first, running.talker() as second:
        told = await greet(first)
        await greet(second, told["resume_token"])
        closing = await first.hear()
        assert (closing["data"]["name"], closing["data"]["code"], closing["data"]["reconnect"]) == (
            "resumed",
            4004,
            False,
        )
        assert await first.line() == b""
        assert (await second.call("ping"))["status"] == "ready"


# ---- what is owed


async def test_answer_that_came_while_nobody_was_there() -> None:
    """It was kept, and follows the hello; a second resume is owed nothing."""
    async with running_daemon() as running, broken(running) as (token, _, image, watcher, request_id):
        await answer(image)
        await watcher.call("ping")
        await asyncio.sleep(0)
        async with running.talker() as second:
            assert (await greet(second, token))["in_flight"] == [request_id]
            assert (await second.reply_to(request_id))["result"] == EVALUATED
        await until_alone(running, watcher, 2)
        async with running.talker() as third:
            assert (await greet(third, token))["in_flight"] == []


async def test_answer_that_comes_after_resuming() -> None:
    """The new socket gets it when it comes."""
    async with (
        running_daemon() as running,
        broken(running) as (token, _, image, _watcher, request_id),
        running.talker() as second,
    ):
        assert (await greet(second, token))["in_flight"] == [request_id]
        await second.call("ping")
        await answer(image)
        assert (await second.reply_to(request_id))["result"] == EVALUATED


async def test_connection_that_is_resumed_again_and_again() -> None:
    """Every request is answered once, over the newest socket, whichever one asked for it."""
    async with running_daemon() as running, broken(running) as (token, session_id, image, watcher, request_id):
        asked = [request_id]
        for number in range(3):
            async with running.talker() as talker:
                assert (await greet(talker, token))["in_flight"] == asked
                talker.say(
                    {
                        "id": f"more-{number}",
                        "command": "evaluate",
                        "parameters": {"session_id": session_id, "code": str(number)},
                    }
                )
                await talker.call("ping")
                asked.append(f"more-{number}")
                cut(running)
            await until_alone(running, watcher, 2)
        async with running.talker() as last:
            assert (await greet(last, token))["in_flight"] == asked
            for _ in asked:
                await answer(image)
            for one in asked:
                assert (await last.reply_to(one))["status"] == "success"


async def test_answers_go_to_the_heir_while_the_elder_is_still_open() -> None:
    """A client that reconnects before the daemon has noticed gets them all the same."""
    async with running_daemon() as running, running.image() as image, running.talker() as first:
        token = (await greet(first))["resume_token"]
        session_id = (await first.call("create_session", client_id="ada"))["session_id"]
        request_id = first.ask("evaluate", session_id=session_id, code="1")
        await first.call("ping")
        async with running.talker() as second:
            assert (await greet(second, token))["in_flight"] == [request_id]
            await answer(image)
            assert (await second.reply_to(request_id))["result"] == EVALUATED
        assert first.replies == {}


# ---- from the book


@pytest.mark.parametrize("done", [True, False])
async def test_answer_after_a_restart_of_the_daemon(done: bool) -> None:
    """What ran code and has ended is answered from what is stored, if the client says that it misses it."""
    storage = MemoryStorage()
    async with running_daemon(storage) as running:
        key = running.daemon._resume_tokens
        async with running.image() as image, running.talker() as first:
            token = (await greet(first))["resume_token"]
            session_id = (await first.call("create_session", client_id="ada"))["session_id"]
            request_id = first.ask("evaluate", session_id=session_id, code="1")
            if done:
                await answer(image)
                await first.reply_to(request_id)
            else:
                await image.hear()
    async with running_daemon(storage) as running:
        running.daemon._resume_tokens = key
        async with running.talker() as second:
            told = await greet(second, token, "ada", request_id, "another")
            assert (told["resumed"], told["in_flight"]) == (True, [request_id] if done else [])
            if done:
                assert (await second.reply_to(request_id))["result"] == EVALUATED
        async with running.talker() as third:
            assert (await greet(third, token))["in_flight"] == []


async def test_answer_in_pages_after_a_restart_of_the_daemon() -> None:
    """Who wanted a page gets a page, although the whole is stored."""
    storage = MemoryStorage()
    async with running_daemon(storage) as running:
        key = running.daemon._resume_tokens
        async with running.image() as image, running.talker() as first:
            token = (await greet(first))["resume_token"]
            session_id = (await first.call("create_session", client_id="ada"))["session_id"]
            request_id = first.ask("evaluate", session_id=session_id, code="1", page_chars=2)
            asked = await image.hear()
            image.say({"id": asked["id"], "status": "success", "result": {**EVALUATED, "result": "abcde"}})
            await first.reply_to(request_id)
    async with running_daemon(storage) as running:
        running.daemon._resume_tokens = key
        async with running.talker() as second:
            await greet(second, token, "ada", request_id)
            result = (await second.reply_to(request_id))["result"]
            assert (result["result"], result["truncated"], result["total_chars"]) == ("ab", True, 5)
            rest = await second.call("get_result_page", session_id=session_id, evaluation=result["evaluation"], start=2)
            assert rest["text"] == "cde"


# ---- bounds


@pytest.mark.parametrize("bound", ["KEPT_ANSWERS", "KEPT_BYTES"])
async def test_answers_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """The oldest are kept; what is beyond is not promised."""
    async with running_daemon() as running, running.image() as image, running.talker() as watcher:
        async with running.talker() as first:
            token = (await greet(first))["resume_token"]
            session_id = (await first.call("create_session", client_id="ada"))["session_id"]
            asked = [first.ask("evaluate", session_id=session_id, code=str(number)) for number in range(3)]
            await first.call("ping")
            cut(running)
        await until_alone(running, watcher, 2)
        monkeypatch.setattr(peer, bound, 2 if bound == "KEPT_ANSWERS" else 350)
        codes = {(await answer(image))["parameters"]["code"] for _ in asked}
        assert codes == {"0", "1", "2"}
        while running.daemon.manager.size_bytes(session_id) and len(running.daemon.server.tasks):
            await watcher.call("ping")
        async with running.talker() as second:
            kept = (await greet(second, token))["in_flight"]
            assert 0 < len(kept) < 3
            for request_id in kept:
                await second.reply_to(request_id)


async def test_connections_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one gone longest is forgotten first."""
    monkeypatch.setattr(listeners, "MAX_PARKED", 1)
    async with running_daemon() as running, running.image() as image, running.talker() as watcher:
        session_id = (await watcher.call("create_session", client_id="ada"))["session_id"]
        tokens = []
        for _ in range(2):
            async with running.talker() as talker:
                tokens.append((await greet(talker))["resume_token"])
                talker.ask("evaluate", session_id=session_id, code="1")
                await talker.call("ping")
                cut(running)
            await until_alone(running, watcher, 2)
        for token, count in zip(tokens, (0, 1), strict=True):
            async with running.talker() as talker:
                assert len((await greet(talker, token))["in_flight"]) == count
        for _ in range(2):
            await answer(image)


async def test_connection_that_owes_nothing_is_forgotten() -> None:
    """Nothing is kept for it."""
    async with running_daemon() as running, running.talker() as watcher:
        async with running.talker() as first:
            await greet(first)
        await until_alone(running, watcher, 1)
        assert (running.daemon.server._by_name, len(running.daemon.server._parked)) == ({}, 0)
