"""WebSocket over real sockets: handshakes, frames, closing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.datastructures import Headers
from websockets.frames import Close, Frame, Opcode

from stui_sessiond.contract import load_contract
from stui_sessiond.security.origin import allowed_hosts
from stui_sessiond.transports.pipe import PipeLimits
from stui_sessiond.transports.websocket import WebSocketProtocol, WebSocketRules
from stui_sessiond.wire.bundle import Bundle
from tests.unit.bed.pipe import Echo, Echoes, listening
from tests.unit.bed.web import WebPeer, web_peer

LIMITS = PipeLimits(message_bytes=1000, outbound_soft_bytes=10_000, outbound_hard_bytes=1_000_000)
ORIGIN = "https://app.example"
EVIL = "evil.example"


@asynccontextmanager
async def listener(echoes: Echoes, *, ping_s: float = 0) -> AsyncIterator[tuple[str, int]]:
    """Listen for WebSockets."""
    hosts: set[str] = set()
    rules = WebSocketRules(hosts=hosts, origins=[ORIGIN], ping_interval_s=ping_s, ping_timeout_s=ping_s)
    async with listening(lambda: WebSocketProtocol(echoes, LIMITS, rules)) as place:
        hosts |= allowed_hosts(*place, [])
        yield place


@asynccontextmanager
async def connected(*, ping_s: float = 0) -> AsyncIterator[tuple[WebPeer, Echo]]:
    """Connect a peer and shake hands."""
    echoes = Echoes()
    async with listener(echoes, ping_s=ping_s) as place, web_peer(place, "/", "stui.v1") as peer:
        await peer.shake_hands()
        echo = await echoes.made.get()
        yield peer, echo
        await peer.hang_up()
        await echo.gone.wait()
        assert echo.losses == 1


async def shake_hands(headers: Headers, path: str = "/", *offers: str) -> tuple[int, str | None]:
    """Try a handshake; tell the status and the subprotocol."""
    async with listener(Echoes()) as place, web_peer(place, path, *offers) as peer:
        values = [(name, value.replace("PORT", str(place[1]))) for name, value in headers.raw_items()]
        response = await peer.shake_hands(Headers(values))
        return response.status_code, response.headers.get("Sec-WebSocket-Protocol")


# ---- handshake


@pytest.mark.parametrize(
    "headers",
    [
        Headers(),
        Headers(Host="localhost:PORT"),
        Headers(Host="LOCALHOST:PORT"),
        Headers(Origin=ORIGIN),
        Headers(Origin="http://127.0.0.1:PORT"),
        Headers(Authorization="Basic x"),
    ],
)
async def test_handshake_of_a_welcome_peer(headers: Headers) -> None:
    """Programs, listed pages and our own get in."""
    assert (await shake_hands(headers))[0] == 101


@pytest.mark.parametrize(
    "headers",
    [
        Headers(Host=""),
        Headers(Host="localhost6:PORT"),
        Headers(Host=f"127.0.0.1.{EVIL}:PORT"),
        Headers(Host="127.0.0.1"),
        Headers(Host="127.0.0.1:1"),
        Headers([("Host", "127.0.0.1:PORT"), ("Host", "127.0.0.1:PORT")]),
        Headers(Origin="null"),
        Headers(Origin="http://app.example"),
        Headers(Origin=f"{ORIGIN}.{EVIL}"),
        Headers(Origin=f"{ORIGIN}:444"),
        Headers([("Origin", ORIGIN), ("Origin", ORIGIN)]),
        Headers(Origin="https://127.0.0.1:PORT"),
        Headers(Origin="http://127.0.0.1"),
        Headers(Host="localhost:PORT", Origin="http://127.0.0.1:PORT"),
    ],
)
async def test_handshake_from_a_foreign_page(headers: Headers) -> None:
    """Any web page can reach the port; it gets no further than this."""
    assert (await shake_hands(headers))[0] == 403


@pytest.mark.parametrize(("path", "status"), [("/", 101), ("/?x=1", 101), ("/other", 404), ("//", 404)])
async def test_handshake_at_a_path(path: str, status: int) -> None:
    """The WebSocket is at the root."""
    assert (await shake_hands(Headers(), path))[0] == status


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [((), None), (("stui.v1",), "stui.v1"), (("other", "stui.v1"), "stui.v1"), (("other",), None)],
)
async def test_handshake_with_subprotocols(offers: tuple[str, ...], chosen: str | None) -> None:
    """Ours if it is offered; else none."""
    assert await shake_hands(Headers(), "/", *offers) == (101, chosen)


@pytest.mark.parametrize(
    ("header", "bearer"),
    [("Bearer secret", "secret"), ("bearer  secret ", "secret"), ("Basic secret", None), ("Bearer ", None)],
)
async def test_handshake_with_a_token(header: str, bearer: str | None) -> None:
    """It is handed on as the connection's proof."""
    echoes = Echoes()
    async with listener(echoes) as place, web_peer(place) as peer:
        await peer.shake_hands(Headers(Authorization=header))
        assert (await echoes.made.get()).pipe.bearer == bearer


async def test_handshake_that_is_none() -> None:
    """What is no HTTP is ended, with an answer or without."""
    async with listener(Echoes()) as place, web_peer(place) as peer:
        peer.writer.write(b'{"id":"a","command":"ping"}\n\n')
        await peer.reader.read()


async def test_connection_that_is_refused() -> None:
    """Where no receiver is made, messages are not taken in."""
    echoes = Echoes()
    echoes.refuses = True
    async with listener(echoes) as place, web_peer(place) as peer:
        await peer.shake_hands()
        peer.raw(b"one")
        peer.ws.send_close()
        peer.flush()
        assert await peer.text() is None


# ---- messages


async def test_message_in_one_frame() -> None:
    """It is answered with one."""
    async with connected() as (peer, _):
        peer.raw(b"one")
        assert await peer.text() == b"echo one"


async def test_frames_byte_by_byte() -> None:
    """It makes no difference how the bytes are cut."""
    async with connected() as (peer, _):
        peer.ws.send_text(b"one")
        peer.ws.send_text("zwö".encode())
        for byte in b"".join(peer.ws.data_to_send()):
            peer.writer.write(bytes([byte]))
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert [await peer.text(), await peer.text()] == [b"echo one", "echo zwö".encode()]


@pytest.mark.parametrize("cut", [None, -3, -2, -1, 40])
async def test_frames_that_come_with_the_handshake(cut: int | None) -> None:
    """None is lost, whole or not, however the request is cut; nor is what comes after it."""
    async with listener(Echoes()) as place, web_peer(place) as peer:
        peer.ws.send_request(peer.ws.connect())
        head = b"".join(peer.ws.data_to_send())
        frames = b"".join(Frame(Opcode.TEXT, b"%d\r\n\r\n" % number).serialize(mask=True) for number in range(3))
        whole = head + frames
        pieces = [whole[:-1], whole[-1:]] if cut is None else [head[:cut], head[cut:] + frames]
        for piece in pieces:
            peer.writer.write(piece)
            await peer.writer.drain()
            await asyncio.sleep(0.001)
        assert [await peer.text() for _ in range(3)] == [b"echo %d\r\n\r\n" % number for number in range(3)]
        peer.raw(b"later")
        assert await peer.text() == b"echo later"


async def test_frames_in_one_segment() -> None:
    """All are answered, in order."""
    async with connected() as (peer, _):
        for number in range(100):
            peer.raw(str(number).encode())
        assert [await peer.text() for _ in range(100)] == [f"echo {number}".encode() for number in range(100)]


async def test_message_in_fragments() -> None:
    """Cut anywhere, inside a character too, with a ping in between."""
    async with connected() as (peer, _):
        text = "zwölf ☕".encode()
        peer.raw(text[:3], fin=False)
        for byte in text[3:-1]:
            peer.raw(bytes([byte]), Opcode.CONT, fin=False)
        peer.raw(b"now", Opcode.PING)
        peer.raw(text[-1:], Opcode.CONT)
        pong = await peer.frame()
        assert pong is not None
        assert (pong.opcode, pong.data) == (Opcode.PONG, b"now")
        assert await peer.text() == b"echo " + text


async def test_fragments_without_end() -> None:
    """Empty ones take up no memory; the message is whole when its last fragment comes."""
    async with connected() as (peer, echo):
        peer.raw(b"", fin=False)
        for _ in range(5000):
            peer.raw(b"", Opcode.CONT, fin=False)
        peer.raw(b"at last", Opcode.CONT)
        assert await peer.text() == b"echo at last"
        assert len(echo.heard) == 1


async def test_fragments_that_grow_without_end() -> None:
    """Beyond twice the limit the connection is failed."""
    async with connected() as (peer, echo):
        peer.raw(b"x" * 500, fin=False)
        for _ in range(10):
            peer.raw(b"x" * 500, Opcode.CONT, fin=False)
        assert await peer.close_code() == 1009
        assert echo.heard == []


async def test_frame_that_is_too_large() -> None:
    """It is refused by its length, before its bytes come."""
    async with connected() as (peer, echo):
        peer.raw(b"x" * 2001)
        assert await peer.close_code() == 1009
        assert echo.heard == []


async def test_binary_frame() -> None:
    """Messages are text: 1003."""
    async with connected() as (peer, _):
        peer.raw(b"one")
        peer.raw(b"\x00", Opcode.BINARY)
        assert await peer.text() == b"echo one"
        assert await peer.close_code() == 1003


@pytest.mark.parametrize("fragments", [1, 2])
async def test_text_that_is_not_utf8(fragments: int) -> None:
    """It is answered, because people read answers, and then failed, because the specification says so: 1007."""
    async with connected() as (peer, echo):
        text = b'{"id":"a","x":"\xff"}'
        peer.raw(text[:5] if fragments == 2 else text, fin=fragments == 1)
        if fragments == 2:
            peer.raw(text[5:], Opcode.CONT)
        peer.raw(b"after")
        assert await peer.text() == b"broken invalid_utf8 a"
        assert await peer.close_code() == 1007
        assert echo.heard == []


async def test_frame_that_breaks_the_protocol() -> None:
    """A continuation of nothing: 1002."""
    async with connected() as (peer, _):
        peer.raw(b"x", Opcode.CONT)
        assert await peer.close_code() == 1002


# ---- signs of life


async def test_ping_is_answered() -> None:
    """With the same bytes."""
    async with connected() as (peer, _):
        peer.raw(b"12345", Opcode.PING)
        frame = await peer.frame()
        assert frame is not None
        assert (frame.opcode, frame.data) == (Opcode.PONG, b"12345")


async def test_peer_that_answers_pings_stays() -> None:
    """Three pings, three pongs, and the connection still works."""
    async with connected(ping_s=0.02) as (peer, _):
        for _ in range(3):
            frame = await peer.frame()
            assert frame is not None
            assert frame.opcode is Opcode.PING
        peer.raw(b"one")
        while (frame := await peer.frame()) is not None and frame.opcode is Opcode.PING:
            pass
        assert frame is not None
        assert frame.data == b"echo one"


async def test_peer_that_answers_no_ping_is_gone() -> None:
    """Without any sign of life the connection is failed: 1011."""
    async with connected(ping_s=0.02) as (peer, echo):
        peer.answers_pings = False
        await echo.gone.wait()
        assert await peer.close_code() in {1011, None}


# ---- the end


async def test_peer_closes() -> None:
    """Its close frame is answered with the same code."""
    async with connected() as (peer, _):
        peer.raw(b"one")
        assert await peer.text() == b"echo one"
        peer.raw(Close(1000, "bye").serialize(), Opcode.CLOSE)
        assert await peer.close_code() == 1000


async def test_daemon_closes() -> None:
    """What was queued goes out first, the close frame says why, and later messages go nowhere."""
    async with connected() as (peer, echo):
        echo.pipe.send(b"last")
        echo.pipe.close(load_contract().close_reasons["replaced"])
        echo.pipe.close(load_contract().close_reasons["shutting_down"])
        echo.pipe.send(b"too late")
        assert await peer.text() == b"last"
        assert await peer.close_code() == 4003
        assert peer.ws.close_rcvd is not None
        assert peer.ws.close_rcvd.reason == "replaced"


async def test_events_for_many() -> None:
    """They are framed once for all, come in order with other messages, and go nowhere behind a close frame."""
    async with connected() as (one, first), connected() as (two, second):
        bundle = Bundle([b"event 1", b"event 2"])
        first.pipe.send(b"before")
        assert first.pipe.take(bundle)
        framed = bundle.frames
        assert second.pipe.take(bundle)
        assert bundle.frames is framed
        second.pipe.send(b"after")
        assert [await one.text() for _ in range(3)] == [b"before", b"event 1", b"event 2"]
        assert [await two.text() for _ in range(3)] == [b"event 1", b"event 2", b"after"]
        first.pipe.close(load_contract().close_reasons["replaced"])
        first.pipe.take(bundle)
        assert (await one.text(), await one.close_code()) == (None, 4003)


async def test_daemon_is_done() -> None:
    """A connection that ends without a reason ends as usual: 1000."""
    async with connected() as (peer, echo):
        echo.pipe.send(b"last")
        echo.pipe.finish()
        echo.pipe.finish()
        assert await peer.text() == b"last"
        assert await peer.close_code() == 1000


async def test_peer_hangs_up() -> None:
    """The receiver learns of it, in the middle of a message too."""
    async with connected() as (peer, echo):
        peer.raw(b"begun", fin=False)
        peer.writer.write_eof()
        await echo.gone.wait()
        assert echo.heard == []


# ---- slow peers


async def test_peer_that_never_reads() -> None:
    """Above the hard limit it is cut off; others are served as before."""
    echoes = Echoes()
    async with listener(echoes) as place, web_peer(place) as slow, web_peer(place) as other:
        await slow.shake_hands()
        echo = await echoes.made.get()
        await other.shake_hands()
        while not echo.gone.is_set():
            echo.pipe.send(b"x" * 50_000)
            await asyncio.sleep(0)
        echo.pipe.send(b"nobody hears")
        other.raw(b"quick")
        assert await other.text() == b"echo quick"


async def test_peer_that_does_not_read() -> None:
    """Nothing more is read from it until it reads."""
    echoes = Echoes()
    async with listener(echoes) as place, web_peer(place) as slow, web_peer(place) as other:
        await slow.shake_hands()
        echo = await echoes.made.get()
        await other.shake_hands()
        sent = 0
        while echo.unsent_bytes() <= LIMITS.outbound_soft_bytes * 2:
            echo.pipe.send(b"x" * 50_000)
            sent += 1
            await asyncio.sleep(0)
        slow.raw(b"held")
        for _ in range(20):
            other.raw(b"quick")
            assert await other.text() == b"echo quick"
        assert echo.heard == []
        for _ in range(sent):
            await slow.text()
        assert await slow.text() == b"echo held"
