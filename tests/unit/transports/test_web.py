"""What a stranger cannot make the HTTP port hold: heads, trailers, requests behind one another, silence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from structlog.testing import capture_logs

from stui_sessiond.transports.web import HEAD_BYTES, MAX_WAITING
from tests.unit.bed.daemon import running_daemon
from tests.unit.bed.http import HttpPeer, http_peer
from tests.unit.bed.wait import until

CHUNKED = "POST /rpc HTTP/1.1\nHost: HOST\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n"
GET = "GET /readyz HTTP/1.1\nHost: HOST\n\n"
READY = b'"ready":true'


@asynccontextmanager
async def stranger(**limits: float) -> AsyncIterator[HttpPeer]:
    """A connection of somebody without a token."""
    async with (
        running_daemon(server={"http": "127.0.0.1:0"}, limits=limits) as running,
        http_peer(running.ready.http) as peer,
    ):
        yield peer


async def heard(peer: HttpPeer) -> bytes:
    """All that comes until the connection ends; a reset is an end too."""
    found = b""
    try:
        while piece := await peer.reader.read(65536):
            found += piece
    except ConnectionError:
        pass
    return found


@pytest.mark.parametrize("headers", ["X: " + "x" * HEAD_BYTES + "\n", "a:b\n" * 4000], ids=["long", "many"])
async def test_head_that_comes_at_once_has_the_bound_of_one_that_does_not(headers: str) -> None:
    """However it is cut into pieces on its way."""
    async with stranger() as peer:
        peer.write(f"GET /readyz HTTP/1.1\nHost: HOST\n{headers}\n")
        found = await heard(peer)
        assert found.startswith(b"HTTP/1.1 431 ")
        assert found.count(b"HTTP/1.1") == 1


async def test_head_within_the_bound_is_taken() -> None:
    """Again and again over one connection: each request is counted by itself."""
    async with stranger() as peer:
        for _ in range(3):
            peer.write(GET.replace("\n\n", "\nX: " + "x" * (HEAD_BYTES - 200) + "\n\n"))
            assert READY in (await peer.response()).body


@pytest.mark.parametrize(
    "what",
    ["0\n" + "a:b\n" * 8000, "0\nX: " + "x" * 64_000, "1;" + "x" * 64_000],
    ids=["trailers", "a trailer", "an extension"],
)
async def test_what_comes_with_a_body_has_a_bound(what: str) -> None:
    """Trailers and extensions of chunks are read by nobody, and the connection ends."""
    async with stranger() as peer:
        peer.write(CHUNKED)
        assert (await peer.response()).status == 401
        peer.write(what)
        assert await heard(peer) == b"", "what could be taken for an answer to another request"


async def test_requests_that_wait_behind_one_another_are_answered_in_order() -> None:
    """As many as may."""
    async with stranger() as peer:
        peer.write(GET * MAX_WAITING + "GET /nowhere HTTP/1.1\nHost: HOST\n\n")
        for _ in range(MAX_WAITING):
            assert (await peer.response()).status == 200
        assert (await peer.response()).status == 404


async def test_more_requests_than_may_wait_end_the_connection() -> None:
    """What was read at once is not made into thousands of requests."""
    async with stranger() as peer:
        with capture_logs() as lines:
            peer.write(GET * 3000)
            found = await heard(peer)
        assert found.count(READY) <= MAX_WAITING
        assert [line["event"] for line in lines].count("http.too_many_waiting") == 1


async def test_empty_lines_do_not_hold_a_connection() -> None:
    """Between requests they are no beginning of one."""
    async with stranger(handshake_timeout=0.5) as peer:
        peer.write(GET)
        assert READY in (await peer.response()).body
        peer.write("\n")
        assert (await heard(peer)).startswith(b"HTTP/1.1 408 ")


async def test_empty_line_behind_a_request_does_not_end_it() -> None:
    """Some clients send one after a body; the request may take as long as it does."""
    async with (
        running_daemon(server={"http": "127.0.0.1:0", "auth": "none"}, limits={"handshake_timeout": 1.0}) as running,
        running.image() as image,
        http_peer(running.ready.http) as peer,
        http_peer(running.ready.http) as later,
    ):
        peer.ask("POST", "/rpc", b'{"id":"a","command":"evaluate","parameters":{"code":"1"}}\r\n')
        request = await image.hear()
        peer.write("\n")
        await peer.writer.drain()
        later.write("GET")
        assert (await heard(later)).startswith(b"HTTP/1.1 408 ")  # so long may a request take to come
        result = {"result": "1", "result_type": "SmallInteger", "execution_time": 0, "has_error": False}
        image.say({"id": request["id"], "status": "success", "result": result})
        assert (await peer.response()).status == 200


async def test_client_that_leaves_in_the_middle_of_a_body_is_no_failure() -> None:
    """Nothing is in the log about it."""
    async with running_daemon(server={"http": "127.0.0.1:0", "auth": "none"}) as running:
        with capture_logs() as lines:
            async with http_peer(running.ready.http) as peer:
                peer.write(
                    'POST /rpc HTTP/1.1\nHost: HOST\nContent-Type: application/json\nContent-Length: 50\n\n{"id":'
                )
                await until(lambda: running.daemon.server.admission.connections == 1)
            await until(lambda: not running.daemon.server.admission.connections)
        assert [line for line in lines if line["log_level"] in {"warning", "error"}] == []


async def leave_behind_one_another() -> list[str]:
    """Two requests wait, one behind the other, when the client leaves; give what the log complains of in the end."""
    async with running_daemon(server={"http": "127.0.0.1:0", "auth": "none"}) as running, running.image() as image:
        with capture_logs() as lines:
            async with http_peer(running.ready.http) as peer:
                peer.ask("POST", "/rpc", b'{"id":"a","command":"evaluate","parameters":{"code":"1"}}')
                peer.write(GET)
                request = await image.hear()
            await until(lambda: not running.daemon.server.admission.connections)
            result = {"result": "1", "result_type": "SmallInteger", "execution_time": 0, "has_error": False}
            image.say({"id": request["id"], "status": "success", "result": result})
            await until(lambda: running.daemon.server.counts().total == 1)  # the image
            async with http_peer(running.ready.http) as another:
                another.write(GET)
                await another.response()
        return [line["event"] for line in lines if line["log_level"] in {"warning", "error"}]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_client_that_leaves_with_requests_behind_one_another(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The answer to the first has no place to go, and that is no failure; the second is not begun."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(leave_behind_one_another()) == []


async def test_headers_of_a_proxy_are_believed_nothing() -> None:
    """Anybody can send them: neither the address in the audit log nor what is our own origin comes from them."""
    async with running_daemon(server={"http": "127.0.0.1:0"}, audited=True) as running:
        async with http_peer(running.ready.http) as peer:
            peer.ask("GET", "/healthz", Origin=f"https://{running.ready.http}", X_Forwarded_Proto="https")
            assert (await peer.response()).status == 403
            peer.ask("GET", "/metrics", Authorization="Bearer wrong", X_Forwarded_For="192.0.2.6")
            assert (await peer.response()).status == 401
        folder = Path(str(running.daemon.settings.server.data_dir)) / "audit"
        await until(lambda: "peer.refused" in text_of(folder))
        assert "192.0.2.6" not in text_of(folder)
        assert '"address":"127.0.0.1:' in text_of(folder)


def text_of(folder: Path) -> str:
    """All that is in the audit log."""
    return "".join(file.read_text("utf-8") for file in folder.glob("*.jsonl"))
