"""Lines over real sockets: however the bytes come, each line is one message."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.transports.lines import LineProtocol
from stui_sessiond.transports.pipe import Pipe, PipeLimits
from tests.unit.bed.pipe import Echo, Echoes, LinePeer, line_peer, listening

SMALL = PipeLimits(message_bytes=100, outbound_soft_bytes=10_000, outbound_hard_bytes=1_000_000)


@asynccontextmanager
async def listener(echoes: Echoes) -> AsyncIterator[tuple[str, int]]:
    """Listen for lines."""
    async with listening(lambda: LineProtocol(echoes, SMALL, same_user=False)) as place:
        yield place


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[LinePeer, Echo]]:
    """Connect a peer; wait until its pipe is there."""
    echoes = Echoes()
    async with listener(echoes) as place, line_peer(place) as peer:
        echo = await echoes.made.get()
        yield peer, echo
        await peer.close()
        await echo.gone.wait()
        assert echo.losses == 1


async def fill(echo: Echo, unsent_bytes: int) -> int:
    """Send until so much waits to be read, or the pipe is gone; tell how many messages it took."""
    sent = 0
    while echo.unsent_bytes() <= unsent_bytes and not echo.gone.is_set():
        echo.pipe.send(b"x" * 50_000)
        sent += 1
        await asyncio.sleep(0)
    return sent


async def test_line_that_comes_whole() -> None:
    """It is answered with a line."""
    async with connected() as (peer, _):
        peer.write(b'{"a":1}\n')
        assert await peer.line() == b'echo {"a":1}'


async def test_line_that_comes_byte_by_byte() -> None:
    """It makes no difference how the bytes are cut."""
    async with connected() as (peer, echo):
        for byte in b"one\ntwo\n":
            peer.write(bytes([byte]))
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert [await peer.line(), await peer.line()] == [b"echo one", b"echo two"]
        assert echo.heard == [b"one", b"two"]


async def test_lines_in_one_segment() -> None:
    """All are answered, in order, and what follows waits for its end."""
    async with connected() as (peer, echo):
        peer.write(b"one\ntwo\nthree\nfo")
        assert [await peer.line() for _ in range(3)] == [b"echo one", b"echo two", b"echo three"]
        assert echo.heard == [b"one", b"two", b"three"]
        peer.write(b"ur\n")
        assert await peer.line() == b"echo four"


async def test_lines_that_are_empty() -> None:
    """They are skipped; a carriage return at the end of another is the message's own white space."""
    async with connected() as (peer, echo):
        peer.write(b"\n\r\n\n1\r\n")
        assert await peer.line() == b"echo 1\r"
        assert echo.heard == [b"1\r"]


@pytest.mark.parametrize("pieces", [1, 7])
async def test_line_that_is_too_long(pieces: int) -> None:
    """It is dropped and reported once, with its id; the next one is answered."""
    line = b'{"id":"big","x":"' + b"y" * 1000 + b'"}\nnext\n'
    async with connected() as (peer, echo):
        step = len(line) // pieces
        for start in range(0, len(line), step):
            peer.write(line[start : start + step])
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert await peer.line() == b"broken message_too_large big"
        assert await peer.line() == b"echo next"
        assert len(echo.broken) == 1


async def test_line_at_the_limit() -> None:
    """A hundred bytes are taken, one more is not; the newline does not count."""
    async with connected() as (peer, _):
        peer.write(b"x" * 100 + b"\n" + b"x" * 101 + b"\n")
        assert await peer.line() == b"echo " + b"x" * 100
        assert await peer.line() == b"broken message_too_large None"


async def test_peer_that_only_sends() -> None:
    """Half-closed, it still gets its answers, also to a last line without an end; then the connection is closed."""
    async with connected() as (peer, _):
        peer.write(b"one\ntwo")
        peer.writer.write_eof()
        assert await peer.rest() == b"echo one\necho two\n"


async def test_peer_that_waits_for_an_answer() -> None:
    """Half-closed, it is kept until the answer that it waits for is out."""
    async with connected() as (peer, echo):
        echo.stays, echo.answers = True, False
        peer.write(b"one\n")
        peer.writer.write_eof()
        await echo.has_ended.wait()
        echo.pipe.send(b"late answer")
        echo.pipe.finish()
        assert await peer.rest() == b"late answer\n"


@pytest.mark.parametrize("first", [b"POST /rpc HTTP/1.1\r\n", b"GET / HTTP/1.0\n", b"OPTIONS * HTTP/1.1\r\n"])
async def test_browser_that_talks_to_the_line_port(first: bytes) -> None:
    """The connection is ended without a word, and nothing of the body is looked at."""
    async with connected() as (peer, echo):
        peer.write(first + b'Host: x\r\n\r\n{"id":"a","command":"evaluate"}\n')
        assert await peer.rest() == b""
        await echo.gone.wait()
        assert (echo.heard, echo.broken) == ([], [])


async def test_request_line_after_a_message() -> None:
    """Later on it is a line like any other."""
    async with connected() as (peer, _):
        peer.write(b"1\nPOST /rpc HTTP/1.1\n")
        assert [await peer.line(), await peer.line()] == [b"echo 1", b"echo POST /rpc HTTP/1.1"]


async def test_peer_that_does_not_read() -> None:
    """Nothing more is read from it until it reads; others are served meanwhile."""
    echoes = Echoes()
    async with listener(echoes) as place, line_peer(place) as slow, line_peer(place) as other:
        echo = await echoes.made.get()
        sent = await fill(echo, SMALL.outbound_soft_bytes * 2)
        slow.write(b"held\n")
        for _ in range(20):
            other.write(b"quick\n")
            assert await other.line() == b"echo quick"
        assert echo.heard == []
        for _ in range(sent):
            await slow.line()
        assert await slow.line() == b"echo held"


async def test_peer_that_never_reads() -> None:
    """Above the hard limit it is cut off; others are served as before."""
    echoes = Echoes()
    async with listener(echoes) as place, line_peer(place), line_peer(place) as other:
        echo = await echoes.made.get()
        await fill(echo, 10**9)
        await echo.gone.wait()
        echo.pipe.send(b"nobody hears")
        other.write(b"quick\n")
        assert await other.line() == b"echo quick"


async def test_pipe_that_is_held() -> None:
    """The daemon may stop reading from a peer, and go on."""
    echoes = Echoes()
    async with listener(echoes) as place, line_peer(place) as peer, line_peer(place) as other:
        echo = await echoes.made.get()
        echo.pipe.hold(reading=False)
        peer.write(b"one\n")
        for _ in range(20):
            other.write(b"quick\n")
            await other.line()
        assert echo.heard == []
        echo.pipe.hold(reading=True)
        assert await peer.line() == b"echo one"


async def test_pipe_that_is_closed() -> None:
    """What was queued goes out, then the reason, then the end; nothing is taken in any more."""
    async with connected() as (peer, echo):
        echo.pipe.send(b"last")
        echo.pipe.close(load_contract().close_reasons["shutting_down"])
        echo.pipe.close(load_contract().close_reasons["replaced"])
        echo.pipe.send(b"too late")
        lines = (await peer.rest()).splitlines()
        assert lines[0] == b"last"
        assert b'"event":"connection.closing"' in lines[1]
        assert b'"code":4400,"name":"shutting_down","reconnect":true' in lines[1]
        assert len(lines) == 2


async def test_connection_that_is_refused() -> None:
    """Where no receiver is made, nothing is taken in."""
    echoes = Echoes()
    echoes.refuses = True
    async with listener(echoes) as place, line_peer(place) as peer:
        peer.write(b"one\n")
        peer.writer.write_eof()
        assert await peer.rest() == b""


async def test_messages_of_one_turn_leave_together() -> None:
    """A thousand answers in one turn of the loop are one write."""
    async with connected() as (peer, echo):
        for number in range(1000):
            echo.pipe.send(str(number).encode())
        assert echo.unsent_bytes() > 1000
        assert [await peer.line() for _ in range(1000)] == [str(number).encode() for number in range(1000)]


def open_to_others(*paths: Path) -> None:
    """Let everybody on the machine in."""
    for path in paths:
        path.chmod(0o777)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: takes the right to become another user")
async def test_peer_of_another_user_is_a_stranger() -> None:
    """Who got past the mode of the unix socket is not taken for the daemon's user."""
    seen: list[bool] = []

    def make(pipe: Pipe) -> None:
        seen.append(pipe.same_user)

    loop = asyncio.get_running_loop()
    visit = "import os,socket,sys; os.setuid(int(sys.argv[2])); s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
    with tempfile.TemporaryDirectory(prefix="stui-") as folder:  # not below pytest's own, which is closed to others
        path = Path(folder, "s")
        server = await loop.create_unix_server(
            lambda: LineProtocol(make, PipeLimits(message_bytes=1000), same_user=True), path=str(path)
        )
        open_to_others(Path(folder), path)
        async with server:
            for user in (0, 65534):
                process = await asyncio.create_subprocess_exec(sys.executable, "-c", visit, str(path), str(user))
                assert await process.wait() == 0
    assert seen == [True, False]
