"""The client library and the examples against a real daemon, over all three kinds of URL."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from stui_sessiond.client import CallFailedError, Client, ConnectionLostError, connect, parse_url
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState
from tests.e2e.harness import DEADLINE_S, ROOT, Amber, Daemon, folder, run_example

TASKS = 50
LISTENERS = ("--auth", "none", "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0")

Answerer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon on all listeners that wants no token, with a live Amber."""
    with folder() as home, Daemon(home, *LISTENERS) as started, Amber(started.url):
        started.wait_for("image.connected")
        yield started


@pytest.fixture
def doomed() -> Iterator[Daemon]:
    """A daemon that the test kills."""
    with folder() as home, Daemon(home, *LISTENERS) as started:
        yield started


def url_of(daemon: Daemon, kind: str) -> str:
    """The daemon's URL of a kind."""
    if kind == "unix":
        return daemon.url
    host, port = daemon.place("lines" if kind == "tcp" else "http")
    return f"{kind}://{host}:{port}"


async def new_session(client: Client, client_id: str | None = None) -> str:
    """A session of a client, or of one of its own."""
    return (await client.create_session(CreateSession(client_id or uuid.uuid4().hex))).session_id


@pytest.mark.parametrize("kind", ["unix", "tcp", "ws"])
async def test_every_kind_of_url_carries_the_whole_job(daemon: Daemon, kind: str) -> None:
    """Over each transport a session is made, used, changed and restored, and its events heard in order."""
    async with connect(url_of(daemon, kind), client_id="me") as client:
        assert client.greeting is not None
        assert client.greeting.server_id == daemon.ready["server_id"]
        session_id = await new_session(client, "me")
        start = (await client.subscribe(session_id)).position
        events = client.events()
        assert (await client.evaluate("3 + 4", session_id=session_id)).result == "7"
        assert (await client.inspect("3", session_id=session_id)).object_info.class_name == "Number"
        state = {"text": "ä\U0001f600" * 1000, "numbers": [1, 2.5, None, True]}
        await client.update_session_state(UpdateSessionState(session_id, state))
        assert (await client.restore_session(session_id)).session_state == state
        await client.save_context(session_id)
        assert (await client.load_context(session_id)).loaded is True
        assert (await client.clear_context(session_id)).cleared == ["default"]
        heard: list[EventMessage] = []
        while "context.cleared" not in [event.event for event in heard]:
            heard.append(await anext(events))
        changes = [event.event for event in heard if event.event.partition(".")[0] in {"session", "context"}]
        assert changes == ["session.updated", "context.saved", "context.cleared"]
        assert "evaluation.finished" in {event.event for event in heard}
        assert [event.seq for event in heard] == [start.seq + number for number in range(1, len(heard) + 1)]
        assert (await client.subscribe(session_id, Position(start.epoch, heard[-1].seq))).recovered is True
        await client.close_session(session_id)


async def test_what_happened_can_be_asked_for(daemon: Daemon) -> None:
    """An evaluation under a key runs once, its outcome is found by key or id, and the digest sums it all up."""
    async with connect(daemon.url, client_id="me") as client:
        session_id = await new_session(client, "me")
        for _ in range(2):
            asked = client.evaluate("n := (n ifNil: [0]) + 1", session_id=session_id, idempotency_key="k", timeout_s=5)
            assert (await asked).result == "1"
        status = await client.get_request_status(session_id, "k")
        assert (status.status, status.command) == ("done", "evaluate")
        assert (await client.get_request_status(session_id, "another")).status == "unknown"
        digest = await client.get_digest(session_id)
        assert [(one.evaluation, one.display) for one in digest.finished] == [("k", "1")]
        assert (await client.get_digest(session_id, digest.position)).events == 0


async def test_session_is_shared_and_driven(daemon: Daemon) -> None:
    """The owner lets another client in, hands over the wheel, takes it back, and shows the other out."""
    async with connect(daemon.url, client_id="owner") as owner, connect(daemon.url, client_id="guest") as guest:
        session_id = await new_session(owner, "owner")
        with pytest.raises(CallFailedError) as refused:
            await guest.subscribe(session_id)
        assert refused.value.code == "session_not_shared"
        assert (await owner.share_session(session_id, "guest", "editor")).shares == {"guest": "editor"}
        await guest.subscribe(session_id, deltas=True)
        await owner.subscribe(session_id)
        presence = await owner.get_presence(session_id)
        assert {one.client_id for one in presence.attached} == {"guest", "owner"}
        assert (await guest.drive_session(session_id, "request")).granted
        with pytest.raises(CallFailedError) as refused:
            await owner.update_session_state(UpdateSessionState(session_id, {}))
        assert refused.value.code == "not_driving"
        assert (await owner.drive_session(session_id, "take_over")).driver == "owner"
        assert (await owner.detach_client(session_id, "guest")).detached == 1
        assert (await guest.unsubscribe(session_id)).unsubscribed is False


@pytest.mark.parametrize("kind", ["unix", "tcp", "ws"])
async def test_calls_of_many_tasks_get_their_own_answers(daemon: Daemon, kind: str) -> None:
    """Fifty tasks use one connection at once, each with calls of all sorts, and every answer is the right one."""
    async with connect(url_of(daemon, kind)) as client:

        async def work(number: int) -> None:
            session_id = await new_session(client)
            for step in range(4):
                state = {"task": number, "step": step}
                updated = await client.update_session_state(UpdateSessionState(session_id, state))
                assert (updated.session_state, updated.version) == (state, step + 2)
                assert (await client.ping(f"{number}")).message == f"{number}"
            with pytest.raises(CallFailedError) as failed:
                await client.get_session_info(f"session_{number}_1_nowhere_nowhere_nowhere")
            assert failed.value.code == "session_not_found"

        async def evaluate(number: int) -> None:
            session_id = await new_session(client)
            assert (await client.evaluate(f"{number} + 1", session_id=session_id)).result == str(number + 1)

        async with asyncio.TaskGroup() as group:
            for number in range(TASKS):
                group.create_task(work(number))
            for number in range(20):
                group.create_task(evaluate(number))


@pytest.mark.parametrize("kind", ["unix", "tcp", "ws"])
async def test_connection_loss_fails_pending_calls(doomed: Daemon, kind: str) -> None:
    """When the daemon dies every call under way fails, as do later ones, and the events end."""
    async with connect(url_of(doomed, kind)) as client:
        identity = {"image_id": "hung", "instance_id": "1"}
        async with connect(doomed.url) as nobody:
            assert (await nobody.ping()).status == "ready"
        reader, writer = await asyncio.open_unix_connection(str(doomed.socket_path))
        try:
            hello = f'{{"id":"h","command":"hello","parameters":{{"role":"image","identity":{identity}}}}}\n'
            writer.write(hello.replace("'", '"').encode())
            assert b"success" in await reader.readline()
            calls = [
                asyncio.ensure_future(client.call("evaluate", {"code": str(number), "image_id": "hung"}))
                for number in range(10)
            ]
            for _ in calls:
                await reader.readline()  # the image has the request, and keeps it
            doomed.kill()
            outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), DEADLINE_S)
        finally:
            writer.close()
            await writer.wait_closed()
        assert [type(outcome) for outcome in outcomes] == [ConnectionLostError] * 10
        with pytest.raises(ConnectionLostError):
            await client.ping()
        assert [event async for event in client.events()] == []


async def test_events_end_when_the_client_is_closed(daemon: Daemon) -> None:
    """Who goes through the events is not left waiting after the end, nor is whoever asks again."""
    async with connect(daemon.url) as client:
        session_id = await new_session(client)
        await client.subscribe(session_id)

        async def listen() -> list[str]:
            return [event.event async for event in client.events()]

        listener = asyncio.ensure_future(listen())
        await client.update_session_state(UpdateSessionState(session_id, {}))
    assert await asyncio.wait_for(listener, DEADLINE_S) == ["session.updated"]
    assert await asyncio.wait_for(listen(), DEADLINE_S) == []


async def test_nobody_there_is_connection_lost() -> None:
    """Where nothing listens, connecting fails with one kind of error, whatever the URL."""
    with folder() as home:
        for url in (f"unix://{home}/nobody.sock", "tcp://127.0.0.1:1", "ws://127.0.0.1:1/"):
            with pytest.raises(ConnectionLostError, match="no daemon answers at"):
                async with connect(url):
                    pass


async def serve_once(path: Path, answer: Answerer, use: Callable[[str], Awaitable[None]]) -> None:
    """Run a server on a unix socket while it is used."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(accept, str(path), limit=2**26)
    async with server:
        await use(f"unix://{path}")


async def test_hello_without_answer_is_connection_lost() -> None:
    """A server that accepts and says nothing does not hold a client for longer than it wants to wait."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read()

    async def use(url: str) -> None:
        with pytest.raises(ConnectionLostError, match=r"within 0\.05 s"):
            async with connect(url, timeout_s=0.05):
                pass

    with folder() as home:
        await serve_once(home / "s", silent, use)


async def test_calls_that_wait_to_be_sent_fail_with_the_connection() -> None:
    """Calls too large for a server that does not read fail when it goes, each once and none unseen."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        limits = dict.fromkeys(
            ("message_bytes", "json_depth", "requests_in_flight", "evaluations_in_flight", "subscriptions"), 1
        )
        limits |= {"session_bytes": 1, "sessions_per_client": 1}
        result = {"server_id": "s", "server_version": "0", "protocol": "1.0.0", "resume_token": "r"}
        told = {**result, "heartbeat_interval": 20, "limits": limits, "position": {"epoch": "e", "seq": 0}}
        told |= {"connection_id": "c", "resumed": False, "in_flight": []}
        writer.write(json.dumps({"id": "c-1", "status": "success", "result": told}).encode() + b"\n")
        await writer.drain()
        await reader.readline()

    async def use(url: str) -> None:
        async with connect(url) as client:
            large = {"message": "x" * 4_000_000}
            calls = [asyncio.ensure_future(client.call("ping", large)) for _ in range(8)]
            outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), DEADLINE_S)
            assert [type(outcome) for outcome in outcomes] == [ConnectionLostError] * 8

    with folder() as home:
        await serve_once(home / "s", deaf, use)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:7447", "http://localhost:1/", "tcp://localhost", "unix://host/path", "https://h:1/", "ws://:1"],
)
def test_url_of_another_kind_is_refused(url: str) -> None:
    """What is no address of a daemon is refused before anything is opened, with what one looks like."""
    with pytest.raises(ValueError, match="tcp://HOST:PORT"):
        parse_url(url)


# ---- examples


def test_example_first_session_works(daemon: Daemon) -> None:
    """The first example does what it says, over a given URL and over the user's own socket."""
    by_url = run_example("first_session.py", url_of(daemon, "tcp"))
    by_default = run_example("first_session.py", STUI_SESSIOND_RUNTIME_DIR=str(daemon.socket_path.parent))
    for shown in (by_url, by_default):
        assert (shown.returncode, shown.stderr) == (0, "")
        lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
        assert lines["answer"] == "42"
        assert "does not understand #fly" in lines["error"]
        assert lines["stored"].startswith("version ")
        assert lines["restored"] == "{'open': ['workspace'], 'line': 3}"
        assert lines["context"].startswith("answer := 6 * 7 -> {'answer': {'value': '42'")


def test_example_first_session_without_image_says_so(doomed: Daemon) -> None:
    """Without an image, or without a daemon, the example ends with 1 and one line."""
    shown = run_example("first_session.py", doomed.url)
    assert (shown.returncode, shown.stderr) == (1, "first_session: no image is connected\n")
    shown = run_example("first_session.py", "unix:///nowhere/daemon.sock")
    assert shown.returncode == 1
    assert "no daemon answers" in shown.stderr


def test_examples_are_all_listed() -> None:
    """The list of examples has them all."""
    listed = (ROOT / "examples" / "README.md").read_text("utf-8")
    examples = {
        path.name for path in (ROOT / "examples").iterdir() if path.name[0] not in "_." and path.suffix != ".md"
    }
    assert {name for name in examples if f"({name}" not in listed} == set()
