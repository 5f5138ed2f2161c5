"""Where peers come in: sockets that are taken, stale or ours alone, and the HTTP side of the port."""

import asyncio
import contextlib
import json
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from stui_sessiond.daemon import Daemon
from stui_sessiond.errors import ConfigError
from stui_sessiond.server.listeners import Parting
from stui_sessiond.settings import ServerSettings, Settings
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.bed.wait import until
from tests.unit.bed.web import web_peer


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="stui-") as name:
        yield Path(name)


async def refused(**server: str) -> str:
    """Start a daemon that cannot start, and give the reason."""
    settings = Settings(server=ServerSettings(auth="none", drain_timeout=0.0, **server))  # type: ignore[arg-type]  # all texts
    with pytest.raises(ConfigError) as caught:
        await Daemon(settings, MemoryStorage()).start()
    return str(caught.value)


async def http(running: Running, request: str) -> tuple[int, str]:
    """Send an HTTP request; give status and body."""
    assert running.ready.http is not None
    host, _, port = running.ready.http.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.replace("HOST", running.ready.http).replace("\n", "\r\n").encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


# ---- the unix socket


async def test_socket_is_for_its_owner_alone() -> None:
    """Nobody else on the machine can connect."""
    async with running_daemon() as running:
        assert running.ready.unix is not None
        mode = (await asyncio.to_thread(Path(running.ready.unix).stat)).st_mode
        assert mode & 0o777 == 0o600


async def test_socket_in_a_folder_that_others_can_change(folder: Path) -> None:
    """Somebody else could put another socket in its place, so the start is refused."""
    await asyncio.to_thread(folder.chmod, 0o777)
    assert "other users can change" in await refused(unix=str(folder / "s"))


async def test_socket_of_a_daemon_that_died(folder: Path) -> None:
    """It is replaced."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with running_daemon(server={"unix": str(path)}) as running, running.talker() as talker:
        assert (await talker.call("ping"))["status"] == "ready"


async def test_socket_of_a_daemon_that_lives(folder: Path) -> None:
    """It is left alone, and the second daemon is refused."""
    path = folder / "s"
    async with running_daemon(server={"unix": str(path)}) as running, running.talker() as talker:
        assert "another daemon listens on" in await refused(unix=str(path))
        assert (await talker.call("ping"))["status"] == "ready"


async def test_socket_whose_name_is_taken(folder: Path) -> None:
    """A file that is no socket is not removed; neither is a link that leads nowhere."""
    path = folder / "s"
    path.write_bytes(b"precious")
    assert "exists and is no socket" in await refused(unix=str(path))
    assert path.read_bytes() == b"precious"


async def test_socket_whose_name_leads_nowhere(folder: Path) -> None:
    """A link to nothing is left alone."""
    link = folder / "link"
    link.symlink_to(folder / "nowhere")
    assert "cannot listen on" in await refused(unix=str(link))
    assert link.is_symlink()


async def test_socket_whose_name_is_too_long(folder: Path) -> None:
    """The error says what to do."""
    assert "choose a shorter --unix" in await refused(unix=str(folder / ("x" * 120)))


async def test_port_that_is_taken(folder: Path) -> None:
    """The error names it; what was already listening is closed again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        assert f"lines: cannot listen on {place}" in await refused(unix=str(folder / "s"), lines=place)
        assert f"http: cannot listen on {place}" in await refused(unix=str(folder / "s"), http=place)
    assert not (folder / "s").exists()


# ---- HTTP


async def test_health_over_http() -> None:
    """It tells how the daemon is."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running:
        status, body = await http(running, "GET /healthz HTTP/1.1\nHost: HOST\nConnection: close\n\n")
        assert status == 200
        assert json.loads(body)["status"] == "ok"


async def test_readiness_over_http() -> None:
    """It takes work as long as it does not stop."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running:
        asked = "GET /readyz HTTP/1.1\nHost: HOST\nConnection: close\n\n"
        assert await http(running, asked) == (200, '{"ready":true,"reasons":[]}')
        running.daemon.server.draining = True
        status, body = await http(running, asked)
        assert (status, json.loads(body)["reasons"]) == (503, ["the daemon is stopping"])


async def test_refusal_over_http_is_a_message() -> None:
    """Whoever is refused gets the same JSON as over a socket, with the code."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running:
        for asked, code in (
            ("GET /healthz HTTP/1.1\nHost: evil.example\nConnection: close\n\n", "permission_denied"),
            ("GET /nowhere HTTP/1.1\nHost: HOST\nConnection: close\n\n", "unsupported_operation"),
        ):
            failure = json.loads((await http(running, asked))[1])
            assert (failure["status"], failure["id"], failure["code"]) == ("error", None, code)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\nHost: HOST\n", 426),
        ("GET /other HTTP/1.1\nHost: HOST\n", 404),
        ("POST /healthz HTTP/1.1\nHost: HOST\nContent-Type: application/json\nContent-Length: 0\n", 405),
        ("POST /healthz HTTP/1.1\nHost: HOST\nContent-Length: 0\n", 415),
        ("POST / HTTP/1.1\nHost: HOST\nContent-Type: text/plain\nContent-Length: 0\n", 415),
        ("POST / HTTP/1.1\nHost: HOST\nContent-Type: application/json, text/plain\nContent-Length: 0\n", 415),
        ("GET /healthz HTTP/1.1\nHost: evil.example\n", 403),
        ("GET /healthz HTTP/1.1\nHost: localhost6\n", 403),
        ("GET /healthz HTTP/1.1\nHost: HOST\nOrigin: https://evil.example\n", 403),
        ("GET /healthz HTTP/1.1\nHost: HOST\nOrigin: null\n", 403),
        ("GET /healthz HTTP/1.0\n", 403),
    ],
)
async def test_request_over_http(request_text: str, status: int) -> None:
    """What is not there, and who may not ask."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running:
        assert (await http(running, f"{request_text}Connection: close\n\n"))[0] == status


async def test_websocket_on_the_http_port() -> None:
    """The same port takes WebSockets; a token is asked for."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running:
        assert running.ready.http is not None
        host, _, port = running.ready.http.rpartition(":")
        async with web_peer((host, int(port)), "/", "stui.v1") as peer:
            assert (await peer.shake_hands()).status_code == 101
            peer.raw(b'{"id":"a","command":"ping"}')
            assert json.loads(await peer.text() or b"")["code"] == "authentication_required"
            hello = {"id": "b", "command": "hello"}
            hello_data = {"role": "client", "token": running.daemon.new_token}
            peer.raw(json.dumps({**hello, "parameters": hello_data}).encode())
            assert json.loads(await peer.text() or b"")["status"] == "success"
            peer.ws.send_close(1000)
            peer.flush()
            assert await peer.close_code() == 1000


# ---- the end


async def stopped_while_they_come(turns: int) -> tuple[int, int]:
    """Stop a daemon so many turns of the loop after clients connected; tell how many are left, by two counts."""
    server = {"lines": "127.0.0.1:0", "http": "127.0.0.1:0", "auth": "none"}
    limits = {"unauthenticated_per_address": 64}
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_daemon(server=server, limits=limits))
        for place in (running.ready.lines, running.ready.http):
            host, _, port = str(place).rpartition(":")
            for _ in range(20):
                client = stack.enter_context(socket.socket())
                client.settimeout(0)
                client.connect_ex((host, int(port)))
        for _ in range(turns):
            await asyncio.sleep(0)
        await running.daemon.server.drain(Parting())
        server_side = running.daemon.server
        await until(lambda: not server_side.counts().total and not server_side.admission.connections)
        return server_side.counts().total, server_side.admission.connections


@pytest.mark.parametrize("turns", range(14))
@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_end_while_connections_are_let_in(make_loop: Callable[[], asyncio.AbstractEventLoop], turns: int) -> None:
    """Whenever the end begins, it comes: nobody who is half in stops it, and none of them is left over."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        began = time.monotonic()
        assert runner.run(stopped_while_they_come(turns)) == (0, 0)
        assert time.monotonic() - began < 1.5, "it waited for connections that had no end"
