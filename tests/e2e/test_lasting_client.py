"""The lasting client against a real daemon that is cut off, killed and started again, with a live Smalltalk."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest

from stui_sessiond.client import (
    ConnectionFailedError,
    ConnectionState,
    Gap,
    LastingClient,
    Saved,
    Superseded,
    Watch,
    blocking,
    connect,
)
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState
from tests.e2e.harness import DEADLINE_S, ROOT, Amber, Connection, Daemon, Json, clean_environment, folder

OPTIONS = ("--auth", "none", "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0")
ME = "front-end"

CUTS = 10

AFTER_CUT_S = 1.0
"""A cut is mended within this, where the daemon is there all the time."""

AFTER_RESTART_S = 2.0
"""A daemon that is ready again is found within this."""


class Proxy:
    """Stands between client and daemon, and lets nothing through when the test says so."""

    def __init__(self, target: tuple[str, int] = ("127.0.0.1", 1)) -> None:
        self.target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self._over.set()
        self.mute = False
        """What the daemon says is dropped."""
        self.port = 0

    async def start(self) -> None:
        """Listen, at the same place as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut everything and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await self._over.wait()

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self.mute = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        self._over.clear()
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer, can_mute=True))
        self._writers -= {writer, back}
        if not self._writers:
            self._over.set()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, can_mute: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not (can_mute and self.mute):
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with a live Amber."""
    with folder() as home, Daemon(home, *OPTIONS) as started, Amber(started.url):
        started.wait_for("image.connected")
        yield started


async def new_session(client: LastingClient) -> str:
    """A session of the client."""
    return (await client.create_session(CreateSession(ME))).session_id


async def reach(client: LastingClient, state: ConnectionState) -> None:
    """Wait until the client is in a state."""
    async for status in client.statuses():
        if status.state is state:
            return


@asynccontextmanager
async def restarted(daemon: Daemon) -> AsyncIterator[Daemon]:
    """The daemon again, on the same folder, after it has ended."""
    again = await asyncio.to_thread(Daemon, daemon.home, *OPTIONS)
    try:
        yield again
    finally:
        await asyncio.to_thread(again.kill)


async def names(watch: Watch, last: str) -> list[str]:
    """The names of the next events, up to one; their places leave nothing out."""
    found: list[str] = []
    place = watch.position
    assert place is not None
    while last not in found:
        item = await asyncio.wait_for(anext(watch), DEADLINE_S)
        assert isinstance(item, EventMessage), item
        assert (item.epoch, item.seq) == (place.epoch, place.seq + 1)
        place = Position(item.epoch, item.seq)
        found.append(item.event)
    return found


# ---- cuts


@pytest.mark.parametrize("kind", ["tcp", "ws"])
async def test_cut_is_mended_within_a_second(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten cuts in a row: each time the same connection is continued, and events leave nothing out."""
    times = []
    async with Proxy() as proxy:
        settings = f'[access]\nhosts = ["127.0.0.1:{proxy.port}"]\n'
        with folder() as home, Daemon(home, *OPTIONS, settings=settings) as daemon:
            proxy.target = daemon.place("lines" if kind == "tcp" else "http")
            async with LastingClient(f"{kind}://127.0.0.1:{proxy.port}", client_id=ME) as client:
                session_id = await new_session(client)
                name = client.status.connection_id
                async with client.watch(session_id) as watch:
                    for number in range(CUTS):
                        times.append(await _cut_and_back(proxy, client))
                        await client.update_session_state(UpdateSessionState(session_id, {"n": number}))
                        assert (client.status.connection_id, client.status.resumed) == (name, True)
                    updated = 0
                    while updated < CUTS:
                        updated += (await names(watch, "session.updated")).count("session.updated")
            assert len(client.visits()) == CUTS + 1
            assert all(visit.gaps == 0 for visit in client.visits())
    with capsys.disabled():
        print(f"\n{kind}: connected again after a cut in {_shown(times)}")  # noqa: T201 -- the figure is wanted
    assert max(times) < AFTER_CUT_S


async def _cut_and_back(proxy: Proxy, client: LastingClient) -> float:
    cut_at = time.perf_counter()
    proxy.cut()
    await reach(client, ConnectionState.RECONNECTING)
    await reach(client, ConnectionState.RESTORED)
    return time.perf_counter() - cut_at


def _shown(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{ordered[len(ordered) // 2] * 1000:.0f} ms (longest {ordered[-1] * 1000:.0f} ms)"


async def test_evaluation_survives_a_cut_and_runs_once(daemon: Daemon) -> None:
    """Answers get lost while the image works; the call gets its result all the same, and the code ran once."""
    async with (
        Proxy(daemon.place("lines")) as proxy,
        LastingClient(f"tcp://127.0.0.1:{proxy.port}", client_id=ME) as client,
    ):
        session_id = await new_session(client)
        await client.evaluate("count := 0", session_id=session_id)
        for number in range(1, 6):
            async with client.watch(session_id) as watch:
                proxy.mute = number % 2 == 0  # either the answer is lost, or the request is cut off anywhere
                asking = asyncio.ensure_future(client.evaluate("count := count + 1", session_id=session_id))
                if not proxy.mute:
                    await names(watch, "evaluation.accepted")
                else:
                    await asyncio.to_thread(_wait_for_evaluations, daemon, session_id, number + 1)
                proxy.cut()
                assert (await asyncio.wait_for(asking, DEADLINE_S)).result == str(number)
        assert (await client.evaluate("count", session_id=session_id)).result == "5"


def _wait_for_evaluations(daemon: Daemon, session_id: str, number: int) -> None:
    """Wait until the daemon knows so many evaluations to have ended."""
    with Connection(daemon.socket_path) as other:
        other.result("subscribe", session_id=session_id)
        while len(other.result("get_digest", session_id=session_id)["finished"]) < number:
            other.event("evaluation.finished")


async def test_changes_of_both_sides_are_merged_on_return(daemon: Daemon) -> None:
    """What was changed offline and what others changed meanwhile are both there afterwards."""
    async with (
        Proxy(daemon.place("lines")) as proxy,
        LastingClient(f"tcp://127.0.0.1:{proxy.port}", client_id=ME) as client,
        connect(daemon.url) as other,
    ):
        session_id = await new_session(client)
        await client.update_session_state(UpdateSessionState(session_id, {"mine": 0, "theirs": 0}))
        await proxy.stop()
        await reach(client, ConnectionState.RECONNECTING)
        first = client.save(UpdateSessionState(session_id, {"mine": 1, "theirs": 0}))
        second = client.save(UpdateSessionState(session_id, {"mine": 2, "theirs": 0}))
        await other.update_session_state(UpdateSessionState(session_id, {"theirs": 5}, mode="merge"))
        assert isinstance(first.outcome, Superseded)
        await proxy.start()
        outcome = await asyncio.wait_for(second.wait(), DEADLINE_S)
        assert isinstance(outcome, Saved)
        assert (await other.restore_session(session_id)).session_state == {"mine": 2, "theirs": 5}


async def test_conflict_on_return_is_settled_by_the_application(daemon: Daemon) -> None:
    """Where both sides changed the same, the application gets all three states and has the last word."""
    seen: list[Any] = []

    async def resolve(conflict: Any) -> Json:  # noqa: ANN401
        seen.append((conflict.base, conflict.ours, conflict.theirs, conflict.paths))
        return {"n": conflict.ours["n"] + conflict.theirs["n"]}

    async with (
        Proxy(daemon.place("lines")) as proxy,
        LastingClient(f"tcp://127.0.0.1:{proxy.port}", client_id=ME, resolve=resolve) as client,
        connect(daemon.url) as other,
    ):
        session_id = await new_session(client)
        await client.update_session_state(UpdateSessionState(session_id, {"n": 0}))
        await proxy.stop()
        await reach(client, ConnectionState.RECONNECTING)
        delivery = client.save(UpdateSessionState(session_id, {"n": 1}))
        await other.update_session_state(UpdateSessionState(session_id, {"n": 10}))
        await proxy.start()
        assert isinstance(await asyncio.wait_for(delivery.wait(), DEADLINE_S), Saved)
        assert seen == [({"n": 0}, {"n": 1}, {"n": 10}, ["/n"])]
        assert (await other.restore_session(session_id)).session_state == {"n": 11}


# ---- the end of the daemon


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_restarted_daemon_is_found_and_continued(
    ending: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the end of the daemon and another start on the same folder, events, calls and updates go on."""
    with folder() as home, Daemon(home, *OPTIONS) as first:
        async with LastingClient(first.url, client_id=ME) as client:
            session_id = await new_session(client)
            async with client.watch(session_id) as watch:
                await client.update_session_state(UpdateSessionState(session_id, {"n": 1}))
                first.signal(ending)
                await asyncio.to_thread(first.wait)
                ended_at = time.perf_counter()
                waiting = asyncio.ensure_future(client.get_session_info(session_id))
                delivery = client.save(UpdateSessionState(session_id, {"n": 2}))
                async with restarted(first) as second:
                    ready_at = time.perf_counter()
                    assert (await asyncio.wait_for(waiting, DEADLINE_S)).session_id == session_id
                    back_at = time.perf_counter()
                    assert isinstance(await asyncio.wait_for(delivery.wait(), DEADLINE_S), Saved)
                    heard = [*await names(watch, "session.updated"), *await names(watch, "session.updated")]
                    assert heard.count("session.updated") == 2
                    visit = client.visits()[-1]
                    assert (visit.resumed, visit.same_daemon, visit.gaps) == (True, False, 0)
                    assert visit.server_id == second.ready["server_id"]
                    reason = client.visits()[0].ending
                    assert reason is not None
                    assert reason.name == ("shutting_down" if ending is signal.SIGTERM else "cut")
                    await client.close()
    with capsys.disabled():
        shown = f"{back_at - ended_at:.2f} s after its end, {back_at - ready_at:.2f} s after it was ready"
        print(f"\n{ending.name}: answered {shown}")  # noqa: T201 -- the figure is wanted
    assert back_at - ready_at < AFTER_RESTART_S


class LateImage(Connection):
    """An image that lives on when its daemon dies, and tells later what became of a request."""

    def __init__(self, daemon: Daemon, instance_id: str) -> None:
        super().__init__(daemon.socket_path)
        identity = {"image_id": "late", "instance_id": instance_id, "dialect": "Scripted"}
        self.result("hello", role="image", protocol=["1.0.0"], identity=identity)

    def request(self, command: str) -> Json:
        """The next request of the daemon."""
        while (message := self.read()) is not None:
            if message.get("command") == command:
                return message
        pytest.fail("the daemon closed the connection")


async def test_evaluation_survives_the_end_of_the_daemon() -> None:
    """The daemon is killed while the image works; the image tells the next daemon, and the call has its result."""
    instance_id = uuid.uuid4().hex
    with folder() as home, Daemon(home, *OPTIONS) as first:
        async with LastingClient(first.url, client_id=ME) as client:
            with LateImage(first, instance_id) as image:
                session_id = await new_session(client)
                asking = asyncio.ensure_future(client.evaluate("work", session_id=session_id))
                request = await asyncio.to_thread(image.request, "evaluate")
                first.kill()
            async with restarted(first) as second:
                await reach(client, ConnectionState.RESTORED)

                def tell() -> None:
                    with LateImage(second, instance_id) as image:
                        answer = {"result": "done", "result_type": "String", "execution_time": 1, "has_error": False}
                        image.write({"id": request["id"], "status": "success", "result": answer})
                        image.socket.settimeout(1.0)
                        with contextlib.suppress(TimeoutError):
                            assert image.read() is None, "nothing is asked again"

                telling = asyncio.ensure_future(asyncio.to_thread(tell))
                assert (await asyncio.wait_for(asking, DEADLINE_S)).result == "done"
                await client.close()
                await telling


async def test_history_that_is_lost_is_a_gap() -> None:
    """A position of another store is answered with a gap, and what follows is whole."""
    with folder() as home, Daemon(home, *OPTIONS) as daemon:
        async with LastingClient(daemon.url, client_id=ME) as client:
            session_id = await new_session(client)
            async with client.watch(session_id, Position("of another store", 7)) as watch:
                gap = await asyncio.wait_for(anext(watch), DEADLINE_S)
                assert isinstance(gap, Gap)
                assert gap.announced
                assert gap.after == Position("of another store", 7)
                await client.update_session_state(UpdateSessionState(session_id, {}))
                assert "session.updated" in await names(watch, "session.updated")
        assert client.visits()[-1].gaps == 1


# ---- refusals


async def test_wrong_token_is_a_failure_with_advice() -> None:
    """The client does not try again what cannot work, and says what to do; with the right token it goes on."""
    options = ("--auth", "token", "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with folder() as home, Daemon(home, *options) as daemon:
        for kind, listener in (("tcp", "lines"), ("ws", "http")):
            host, port = daemon.place(listener)
            async with LastingClient(f"{kind}://{host}:{port}", client_id=ME, token="wrong") as client:
                with pytest.raises(ConnectionFailedError, match="Get one from the daemon's operator"):
                    await client.connected(DEADLINE_S)
                client.reconnect(token=daemon.token())
                await client.connected(DEADLINE_S)
                assert (await client.ping("hi")).message == "hi"


# ---- scripts and the example


def test_script_goes_on_over_a_restart() -> None:
    """A script without async finds the next daemon by itself."""
    with folder() as home, Daemon(home, *OPTIONS) as first, blocking.connect(first.url, client_id=ME) as client:
        session_id = client.create_session(CreateSession(ME)).session_id
        with client.watch(session_id) as events:
            first.kill()
            with Daemon(home, *OPTIONS):
                client.update_session_state(UpdateSessionState(session_id, {"n": 1}))
                found = [event.event for event in events.within(1.0) if isinstance(event, EventMessage)]
        assert "session.updated" in found


def test_example_watch_session_works() -> None:
    """The example shows the connection, the events of another client's work, and goes on after a restart."""
    with folder() as home, Daemon(home, *OPTIONS) as first, Connection(first.socket_path) as other:
        session_id = other.new_session(client_id=ME)
        command = [sys.executable, "-u", str(ROOT / "examples" / "watch_session.py"), session_id, first.url]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
        try:
            assert child.stdout is not None
            _wait_for(child, "connection connected")
            _wait_for(child, "state      {}")
            other.result("update_session_state", session_id=session_id, state_data={"n": 1})
            _wait_for(child, "state      {'n': 1}")
            first.kill()
            _wait_for(child, "connection reconnecting")
            with Daemon(home, *OPTIONS) as second, Connection(second.socket_path) as again:
                _wait_for(child, "connection restored")
                again.result("update_session_state", session_id=session_id, state_data={"n": 2})
                _wait_for(child, "state      {'n': 2}")
                child.send_signal(signal.SIGINT)
                assert child.wait(DEADLINE_S) == 0
                assert child.stdout.read().startswith("continue")
        finally:
            child.kill()
            child.communicate()


def _wait_for(child: subprocess.Popen[str], wanted: str) -> None:
    assert child.stdout is not None
    seen = []
    for line in child.stdout:
        seen.append(line)
        if line.startswith(wanted):
            return
    pytest.fail(f"no {wanted!r} in {seen}")


def test_client_needs_no_file_descriptors_after_its_end() -> None:
    """Many clients one after the other leave nothing open."""

    async def visit(url: str) -> None:
        async with LastingClient(url) as client:
            await client.ping()

    with folder() as home, Daemon(home, *OPTIONS) as daemon:
        asyncio.run(visit(daemon.url))
        with socket.socket() as probe:
            before = probe.fileno()
        for _ in range(20):
            asyncio.run(visit(daemon.url))
        with socket.socket() as probe:
            assert probe.fileno() == before
