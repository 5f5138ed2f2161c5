"""What strangers try against the listeners: after each attack others are answered at once, and the memory is back."""

from __future__ import annotations

import json
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from websockets.frames import Frame, Opcode

from tests.e2e.harness import DEADLINE_S, Connection, Daemon, Json, folder
from tests.security.bed import make_certificates, options, rss_bytes

ANSWER_S = 1.0
"""How soon others are answered, during and after an attack."""

GROWTH_BYTES = 5 * 1024 * 1024
"""How much memory an attack may leave behind."""

LIMITS = "[limits]\nhandshake_timeout = 1.0\nhello_timeout = 1.5\nmessage_timeout = 1.0\n"
"""The same bounds as in earnest, sooner."""

BOTH = ("--lines", "127.0.0.1:0", "--http", "127.0.0.1:0")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that lets everybody in, so that attacks get as far as they can."""
    with folder() as home, Daemon(home, *BOTH, "--auth", "none", settings=LIMITS) as started:
        yield started


@pytest.fixture(scope="module")
def guarded() -> Iterator[Daemon]:
    """A daemon that wants tokens."""
    with folder() as home, Daemon(home, *BOTH, settings=LIMITS) as started:
        yield started


@contextmanager
def unharmed(daemon: Daemon) -> Iterator[Callable[[], None]]:
    """Check that others are answered within a second, whenever asked and at the end, and that the memory comes back."""
    with Connection(daemon.socket_path) as other:

        def answers() -> None:
            began = time.monotonic()
            assert other.result("ping")["status"] == "ready"
            assert time.monotonic() - began < ANSWER_S

        for _ in range(20):
            answers()
        before = rss_bytes(daemon)
        yield answers
        answers()
        until = time.monotonic() + DEADLINE_S
        while (growth := rss_bytes(daemon) - before) > GROWTH_BYTES and time.monotonic() < until:
            answers()
        assert growth <= GROWTH_BYTES


def dial(daemon: Daemon, listener: str) -> socket.socket:
    """Connect to a port."""
    return socket.create_connection(daemon.place(listener), DEADLINE_S)


def rest(connection: socket.socket) -> bytes:
    """Read to the end."""
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionError:
        pass
    return found


def handshake(daemon: Daemon, *headers: str) -> bytes:
    """A request for a WebSocket; the headers come in the place of `Host` where they name one."""
    lines = ["GET / HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *headers]
    if not any(header.lower().startswith(("host:", "-")) for header in headers):
        lines.append("Host: {}:{}".format(*daemon.place("http")))
    return "\r\n".join([line for line in lines if line != "-"] + ["", ""]).encode()


def web(daemon: Daemon, *headers: str) -> tuple[socket.socket, bytes]:
    """Open a WebSocket; give what was answered."""
    connection = dial(daemon, "http")
    connection.sendall(handshake(daemon, *headers))
    answer = b""
    while b"\r\n\r\n" not in answer and (data := connection.recv(65536)):
        answer += data
    return connection, answer


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """A frame of a client."""
    return Frame(opcode, data, fin).serialize(mask=True)


def close_code(connection: socket.socket) -> int | None:
    """Read to the end; tell the code of the close frame in it."""
    data = rest(connection)
    at = data.rfind(b"\x88")
    return struct.unpack("!H", data[at + 2 : at + 4])[0] if at >= 0 and len(data) >= at + 4 else None


def closing(connection: Connection) -> Json:
    """Read to the end; give the reason."""
    reason: Json = connection.event("connection.closing")["data"]
    assert connection.read() is None
    return reason


def push(connection: socket.socket, data: bytes) -> bool:
    """Send data, as far as it is taken; tell whether the other end has closed."""
    try:
        connection.sendall(data)
        connection.recv(65536)
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def dribble(connection: socket.socket, byte: bytes) -> float:
    """Send one byte each 100 ms until the other end has had enough; tell how long that took."""
    began = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() - began < DEADLINE_S:
        try:
            connection.sendall(byte)
            if not connection.recv(65536):
                break
        except TimeoutError:  # nothing was said: the tenth of a second is over
            continue
        except OSError:
            break
    return time.monotonic() - began


# ---- web pages and names


@pytest.mark.parametrize(
    "header",
    [
        ("Host: localhost6:PORT",),
        ("Host: 0x7f.1:PORT",),
        ("Host: 127.0.0.1.evil.example:PORT",),
        ("Host: 0.0.0.0:PORT",),
        ("-",),
        ("Host: 127.0.0.1:PORT", "Host: 127.0.0.1:PORT"),
        ("Origin: null",),
        ("Origin: https://127.0.0.1.evil.example",),
        ("Origin: https://127.0.0.1:PORT",),
        ("Origin: http://127.0.0.1:1",),
    ],
)
@pytest.mark.parametrize("upgrade", [True, False])
def test_header_of_a_web_page(daemon: Daemon, header: tuple[str, ...], upgrade: bool) -> None:
    """Names that are not ours literally, missing or doubled, and any Origin, get nothing by HTTP or WebSocket."""
    headers = [one.replace("PORT", str(daemon.place("http")[1])) for one in header]
    with unharmed(daemon), dial(daemon, "http") as page:
        request = handshake(daemon, *headers)
        if not upgrade:
            request = request.replace(b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Connection: close\r\n")
        page.sendall(request)
        assert page.recv(65536).split()[1] in {b"403", b"400"}


def test_http_at_the_line_port(daemon: Daemon) -> None:
    """A POST whose body is a command is cut off unread."""
    body = b'{"id":"x","command":"create_session","parameters":{"client_id":"smuggled"}}\n'
    with unharmed(daemon), dial(daemon, "lines") as page:
        page.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert rest(page) == b""
    with Connection(daemon.socket_path) as watcher:
        assert watcher.result("list_client_sessions", client_id="smuggled")["session_count"] == 0


# ---- WebSocket frames


def test_deflate_bomb(daemon: Daemon) -> None:
    """Compression is not agreed on, and a compressed frame fails the connection before anything is unpacked."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(bytes(256 * 1024 * 1024)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    with unharmed(daemon):
        connection, answer = web(daemon, "Sec-WebSocket-Extensions: permessage-deflate")
        assert b" 101 " in answer.split(b"\r\n")[0]
        assert b"permessage-deflate" not in answer
        with connection:
            compressed = bytearray(frame(packed))
            compressed[0] |= 0x40  # RSV1: this is compressed
            connection.sendall(compressed)
            assert close_code(connection) == 1002


def test_endless_empty_fragments(daemon: Daemon) -> None:
    """A message that never ends is given up in time, however many pieces it has."""
    with unharmed(daemon) as answers:
        connection, _ = web(daemon)
        with connection:
            connection.sendall(frame(b"", fin=False))
            pieces = frame(b"", Opcode.CONT, fin=False) * 1000
            connection.settimeout(0.05)
            began, ended = time.monotonic(), False
            while not ended and time.monotonic() - began < DEADLINE_S:
                answers()
                ended = push(connection, pieces)
            assert ended
            assert time.monotonic() - began < 5
    assert daemon.wait_for("peer.too_slow", transport="websocket")


def test_pings_by_the_ten_thousand(daemon: Daemon) -> None:
    """Thirty thousand pings at once are answered bit by bit; others do not notice."""
    with unharmed(daemon) as answers:
        connection, _ = web(daemon)
        with connection:
            connection.settimeout(0.01)
            flood, sent = frame(b"", Opcode.PING) * 30_000, 0
            until = time.monotonic() + 3
            while time.monotonic() < until:
                with suppress(TimeoutError):
                    sent += connection.send(flood[sent : sent + 65536])
                answers()


# ---- time


@pytest.mark.parametrize("listener", ["lines", "http"])
def test_one_byte_at_a_time(daemon: Daemon, listener: str) -> None:
    """A message or a request that is not complete in time ends the connection."""
    with unharmed(daemon), dial(daemon, listener) as slow:
        assert dribble(slow, b"x") < 4


def test_one_byte_of_a_frame_at_a_time(daemon: Daemon) -> None:
    """A WebSocket frame as well."""
    with unharmed(daemon):
        connection, _ = web(daemon)
        with connection:
            connection.sendall(b"\x81\xfe")
            assert dribble(connection, b"\x01") < 4


def test_line_that_is_begun_and_left(daemon: Daemon) -> None:
    """Who begins a line and says no more is told why it is ended."""
    with unharmed(daemon), Connection(daemon.place("lines")) as slow:
        slow.socket.sendall(b'{"id":')
        assert (closing(slow)["name"], slow.read()) == ("too_slow", None)


def test_daemon_user_is_trusted_to_finish(daemon: Daemon) -> None:
    """Over the unix socket a line may take longer: an image stops while it saves itself."""
    with Connection(daemon.socket_path) as image, Connection(daemon.place("lines")) as clock:
        image.socket.sendall(b'{"id":"a","comm')
        clock.socket.sendall(b"x")
        assert closing(clock)["name"] == "too_slow"  # as long as others have
        image.socket.sendall(b'and":"ping"}\n')
        assert image.answer("a")["status"] == "success"


@pytest.mark.parametrize("listener", ["lines", "http"])
def test_handshake_that_does_not_come(listener: str) -> None:
    """Who connects to a TLS port and is silent, or stops in the middle, is ended in time."""
    with folder() as home:
        tls = make_certificates(home / "tls")
        with Daemon(home, *options(tls), "--auth", "none", settings=LIMITS) as daemon, unharmed(daemon):
            for begun in (b"", b"\x16\x03\x01\x02\x00"):
                with dial(daemon, listener) as silent:
                    silent.sendall(begun)
                    began = time.monotonic()
                    assert rest(silent) == b""
                    assert time.monotonic() - began < 4
            assert "too long" in daemon.wait_for("tls.handshake_failed", listener=listener)["reason"]


def test_websocket_handshake_that_does_not_come(daemon: Daemon) -> None:
    """A silent HTTP connection ends in time."""
    with unharmed(daemon), dial(daemon, "http") as silent:
        assert rest(silent).startswith(b"HTTP/1.1 408 ")


# ---- size


def test_line_before_hello(guarded: Daemon) -> None:
    """Before hello 4 KiB are taken and no more, also of a line that goes on."""
    with unharmed(guarded):
        with Connection(guarded.place("lines")) as stranger:
            stranger.socket.sendall(b'{"id":"a","command":"' + b"x" * 4096)
            answer = stranger.read()
            assert answer is not None
            assert (answer["code"], answer["details"]["limit_bytes"]) == ("message_too_large", 4096)
            assert closing(stranger)["name"] == "protocol_violation"
        with Connection(guarded.place("lines")) as friend:
            friend.result("hello", role="client", token=guarded.token())
            assert friend.result("ping", message="x" * 100_000)["message"] == "x" * 100_000


def test_frame_before_hello(guarded: Daemon) -> None:
    """Over a WebSocket as well, whole or in pieces; after hello more is taken."""
    with unharmed(guarded):
        for data in (
            frame(b"x" * 1_000_000)[:5000],
            frame(b"x" * 4000, fin=False) + frame(b"x" * 97, Opcode.CONT, fin=False),
        ):
            connection, _ = web(guarded)
            with connection:
                connection.sendall(data)
                assert close_code(connection) == 1009
        connection, _ = web(guarded)
        with connection:
            connection.sendall(frame(b"x" * 4097))
            assert b"message_too_large" in connection.recv(65536)
        connection, _ = web(guarded)
        with connection:
            hello = {"id": "a", "command": "hello", "parameters": {"role": "client", "token": guarded.token()}}
            ping = {"id": "b", "command": "ping", "parameters": {"message": "x" * 100_000}}
            connection.sendall(frame(json.dumps(hello).encode()) + frame(json.dumps(ping).encode()))
            found = b""
            while found.count(b'"status":"success"') < 2:
                found += connection.recv(65536)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
        (b"GET /" + b"x" * 20_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"403"),
    ],
)
def test_request_that_is_too_large(daemon: Daemon, request_bytes: bytes, status: bytes) -> None:
    """Headers have a bound; what follows a refusal is not kept."""
    with unharmed(daemon), dial(daemon, "http") as page:
        page.sendall(request_bytes)
        assert rest(page).split()[1] == status


@pytest.mark.parametrize("listener", ["lines", "http"])
def test_client_that_never_reads(daemon: Daemon, listener: str) -> None:
    """Its answers do not pile up: nothing more is read from it."""
    ask = json.dumps({"id": "a", "command": "describe"}).encode()
    with unharmed(daemon) as answers:
        connection = web(daemon)[0] if listener == "http" else dial(daemon, listener)
        with connection:
            connection.settimeout(0.05)
            piece = frame(ask) * 20 if listener == "http" else (ask + b"\n") * 20
            taken = 0
            with suppress(OSError):  # it is full, or was cut off
                while taken < 5000:
                    connection.sendall(piece)
                    taken += 1
                    answers()
            assert taken < 5000


# ---- number


def test_connections_of_strangers() -> None:
    """An address has eight of them, and is told so; who says hello makes room, and the unix socket is free."""
    with folder() as home, Daemon(home, *BOTH) as daemon, unharmed(daemon), ExitStack() as stack:
        first, *_ = [stack.enter_context(Connection(daemon.place("lines"))) for _ in range(8)]
        first.refusal("ping")
        with Connection(daemon.place("lines")) as ninth:
            assert (closing(ninth)["name"], ninth.read()) == ("too_many_connections", None)
        with dial(daemon, "http") as page:
            page.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert rest(page).startswith(b"HTTP/1.1 503 ")
        with Connection(daemon.socket_path) as own:
            assert own.result("ping")["status"] == "ready"
        first.result("hello", role="client", token=daemon.token())
        with Connection(daemon.place("lines")) as tenth:
            assert tenth.refusal("ping")["code"] == "authentication_required"
        assert daemon.wait_for("door.refused", reason="too_many_connections")["address"] == "127.0.0.1"


def test_strangers_of_many_addresses() -> None:
    """All addresses together have sixty-four."""
    with folder() as home, Daemon(home, *BOTH) as daemon, ExitStack() as stack:
        for number in range(64):
            place = socket.create_connection(daemon.place("lines"), DEADLINE_S, (f"127.0.1.{number // 8 + 1}", 0))
            stack.enter_context(place).sendall(b'{"id":"a","command":"ping"}\n')
            assert b"authentication_required" in place.recv(65536)
        with socket.create_connection(daemon.place("lines"), DEADLINE_S, ("127.0.2.1", 0)) as another:
            assert b'"too_many_connections"' in rest(another)


def test_tokens_that_are_guessed() -> None:
    """After five wrong ones the address is refused, with a right one too; others, and the unix socket, are not."""
    with folder() as home, Daemon(home, *BOTH) as daemon, unharmed(daemon):
        with Connection(daemon.place("lines")) as early:
            for _ in range(5):
                with Connection(daemon.place("lines")) as guesser:
                    assert guesser.refusal("hello", role="client", token="guess")["code"] == "authentication_failed"
            refused = early.refusal("hello", role="client", token=daemon.token())
            assert (refused["code"], refused["retryable"]) == ("too_many_attempts", True)
            assert closing(early)["code"] == 4404
        with Connection(daemon.place("lines")) as late:
            assert closing(late)["name"] == "too_many_attempts"
        with dial(daemon, "http") as page:
            page.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert rest(page).startswith(b"HTTP/1.1 429 ")
        with socket.create_connection(daemon.place("lines"), DEADLINE_S, ("127.0.0.2", 0)) as other:
            hello = {"id": "a", "command": "hello", "parameters": {"role": "client", "token": daemon.token()}}
            other.sendall(json.dumps(hello).encode() + b"\n")
            assert b'"status":"success"' in other.recv(65536)
        with Connection(daemon.socket_path) as own:
            assert own.result("hello", role="client")["protocol"] == "1.0.0"


def test_descriptors_are_used_up(daemon: Daemon) -> None:
    """Without descriptors nobody new comes in, those who are in go on, and it mends itself."""
    import resource  # noqa: PLC0415 -- not on every system

    limits = resource.prlimit(daemon.child.pid, resource.RLIMIT_NOFILE)
    with unharmed(daemon) as answers:
        resource.prlimit(daemon.child.pid, resource.RLIMIT_NOFILE, (daemon.descriptors() + 5, limits[1]))
        with ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(dial(daemon, "lines"))
            daemon.wait_for("door.cannot_accept")
            answers()
        resource.prlimit(daemon.child.pid, resource.RLIMIT_NOFILE, limits)
        with Connection(daemon.place("lines")) as again:
            assert again.result("ping")["status"] == "ready"
