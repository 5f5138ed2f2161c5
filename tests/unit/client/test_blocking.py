"""The lasting client for scripts, with a daemon in the test's own thread."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from stui_sessiond.client import CallFailedError, ConnectionFailedError, OfflineError, OutcomeUnknownError, blocking
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.development import Ping, PingResult
from stui_sessiond.wire.messages.session import UpdateSessionState
from tests.unit.client.bed import EPOCH, SESSION, ScriptedDaemon, evaluated, saved_result

R = TypeVar("R")


async def script(work: Callable[[], R]) -> R:
    """Run a script in a thread of its own."""
    return await asyncio.to_thread(work)


def threads() -> list[str]:
    """The threads of clients."""
    return [thread.name for thread in threading.enumerate() if thread.name == "stui-client"]


async def test_script_calls_and_listens() -> None:
    """Calls give their results or raise their errors, events come one by one, and the thread ends with the block."""
    async with ScriptedDaemon() as daemon:

        def work() -> tuple[str, list[int], Position | None]:
            with blocking.connect(daemon.url, client_id="me") as client:
                assert client.status.online
                printed = client.evaluate("3 + 4", session_id=SESSION).result
                assert client.ask(Ping(message="hi"), PingResult).message == "hi"
                with pytest.raises(CallFailedError, match="session_not_found"):
                    client.get_session_info(SESSION)
                client.save(UpdateSessionState(SESSION, {"a": 1}))
                client.flush()
                with client.watch(SESSION, with_state=True) as events:
                    assert events.state is not None
                    seqs = [event.seq for event in events.within(0.2) if isinstance(event, EventMessage)]
                    with pytest.raises(TimeoutError):
                        events.take(0.01)
                    position = events.position
                assert len(client.visits()) == 1
                assert threads() == ["stui-client"]
            with pytest.raises(ConnectionFailedError, match="the client was closed"):
                client.ping()
            return printed, seqs, position

        working = asyncio.ensure_future(script(work))
        talk = await daemon.greeted()
        talk.answer(await talk.take("evaluate"), evaluated("7"))
        talk.answer(await talk.take("ping"), {"message": "hi"})
        talk.refuse(await talk.take("get_session_info"), "session_not_found")
        talk.answer(await talk.take("update_session_state"), saved_result(2, {"a": 1}))
        talk.subscribed(await talk.take("subscribe"), 4, state={"version": 2, "session_state": {"a": 1}})
        talk.tell(5)
        talk.tell(6)
        assert await working == ("7", [5, 6], Position(EPOCH, 6))
        assert threads() == []


async def test_script_is_told_when_nobody_answers() -> None:
    """The first connection has a time; a refusal is told at once."""
    with pytest.raises(OfflineError, match=r"no connection within 0\.05 s"):
        await script(lambda: blocking.connect("tcp://127.0.0.1:1", timeout_s=0.05).__enter__())
    with pytest.raises(ValueError, match="no address"):
        await script(lambda: blocking.connect("nowhere").__enter__())
    async with ScriptedDaemon() as daemon:
        trying = asyncio.ensure_future(script(lambda: blocking.connect(daemon.url).__enter__()))
        talk = await daemon.accept()
        talk.refuse(await talk.take("hello"), "client_not_allowed")
        with pytest.raises(ConnectionFailedError, match="operator"):
            await trying
    assert threads() == []


async def test_script_waits_as_long_as_it_says() -> None:
    """`within` bounds a call; the connection stays."""
    async with ScriptedDaemon() as daemon:

        def work() -> None:
            with blocking.connect(daemon.url) as client:
                with pytest.raises(OutcomeUnknownError):
                    client.within(0.05).evaluate("Delay forever", session_id=SESSION)
                client.connected(1.0)

        working = asyncio.ensure_future(script(work))
        talk = await daemon.greeted()
        await talk.take("evaluate")
        await working


async def test_script_outlives_a_cut() -> None:
    """The connection is made anew while the script waits."""
    async with ScriptedDaemon() as daemon:

        def work() -> str | None:
            with blocking.connect(daemon.url) as client:
                return str(client.evaluate("3 + 4", session_id=SESSION).result)

        working = asyncio.ensure_future(script(work))
        talk = await daemon.greeted()
        await talk.take("evaluate")
        talk.cut()
        talk = await daemon.greeted(resumed=True)
        talk.answer(await talk.take("evaluate"), evaluated("7"))
        assert await working == "7"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C does what it does in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_the_wait_and_closes_the_connection() -> None:
    """Ctrl-C reaches the script while it waits; the block still closes."""
    ready, done = threading.Event(), threading.Event()
    place: list[str] = []

    async def serve() -> None:
        async with ScriptedDaemon() as daemon:
            place.append(daemon.url)
            ready.set()
            talk = await daemon.greeted()
            await talk.take("evaluate")
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await talk.gone()
        done.set()

    server = threading.Thread(target=lambda: asyncio.run(serve()))
    server.start()
    ready.wait(5.0)
    with pytest.raises(KeyboardInterrupt), blocking.connect(place[0]) as client:
        client.evaluate("Delay forever", session_id=SESSION)
    server.join(5.0)
    assert done.is_set()
    assert threads() == []
