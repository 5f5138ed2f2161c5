"""Who gets in: tokens on every listener, web pages kept out, and what is left of a connection once it is gone."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.e2e.harness import DEADLINE_S, Connection, Daemon, Json, folder

ROUNDS = 200


@pytest.fixture(scope="module")
def guarded() -> Iterator[Daemon]:
    """A daemon that wants a token on all listeners that the system does not vouch for, and logs all it can."""
    options = ("--auth", "token", "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "debug")
    settings = "[limits]\nfailed_authentications = 1000\n"  # these tests fail on purpose, and often
    with folder() as home, Daemon(home, *options, settings=settings) as started:
        yield started


@pytest.fixture(scope="module")
def open_daemon() -> Iterator[Daemon]:
    """A daemon that wants no token."""
    options = ("--auth", "none", "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0")
    settings = "[access]\norigins = ['https://ide.example']\n"
    with folder() as home, Daemon(home, *options, settings=settings) as started:
        yield started


def web_url(daemon: Daemon, scheme: str = "ws") -> str:
    """Where its WebSocket is."""
    host, port = daemon.place("http")
    return f"{scheme}://{host}:{port}/"


def ask(connection: ClientConnection, command: str, **parameters: object) -> Json:
    """Ask over a WebSocket."""
    connection.send(json.dumps({"id": "w-1", "command": command, "parameters": parameters}))
    answer: Json = json.loads(connection.recv(DEADLINE_S))
    return answer


# ---- tokens


def test_token_missing_is_refused_over_tcp(guarded: Daemon) -> None:
    """Before a hello with a token nothing is carried out; a hello without one ends the connection."""
    with Connection(guarded.place("lines")) as client:
        refused = client.refusal("create_session", client_id="intruder")
        assert (refused["code"], refused["retryable"]) == ("authentication_required", False)
        assert client.refusal("hello", role="client")["code"] == "authentication_failed"
        assert client.event("connection.closing")["data"]["name"] == "authentication_failed"
        assert client.read() is None
    with Connection(guarded.socket_path) as insider:
        assert insider.result("list_client_sessions", client_id="intruder")["session_count"] == 0


@pytest.mark.parametrize("token", ["wrong", "", "x" * 1000, "\u00e4\udcff"])
def test_token_wrong_is_refused_over_tcp(guarded: Daemon, token: str) -> None:
    """A wrong token ends the connection, whatever it is made of."""
    with Connection(guarded.place("lines")) as client:
        client.start("hello", role="client", token=token)
        answer = client.read()
        assert answer is not None
        assert answer["code"] in {"authentication_failed", "invalid_utf8"}
        assert client.event("connection.closing")["data"]["reconnect"] is False
        assert client.read() is None


def test_token_right_opens_tcp(guarded: Daemon) -> None:
    """With the token a client over TCP may do everything."""
    with Connection(guarded.place("lines")) as client:
        greeting = client.result("hello", role="client", protocol=["1.0.0"], token=guarded.token(), client_id="tcp")
        assert greeting["server_id"] == guarded.ready["server_id"]
        mine = client.new_session(client_id="tcp")
        assert client.result("get_session_info", session_id=mine)["version"] == 1


def test_token_in_hello_opens_websocket(guarded: Daemon) -> None:
    """Over a WebSocket the token may come with hello; a wrong one closes with its own code."""
    with connect(web_url(guarded), subprotocols=[Subprotocol("stui.v1")]) as client:
        assert client.subprotocol == "stui.v1"
        assert ask(client, "get_session_statistics")["code"] == "authentication_required"
        assert ask(client, "hello", role="client", token=guarded.token())["status"] == "success"
        assert ask(client, "get_session_statistics")["status"] == "success"
    with connect(web_url(guarded)) as client:
        assert ask(client, "hello", role="client", token="wrong")["code"] == "authentication_failed"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(DEADLINE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


def test_token_as_bearer_opens_websocket(guarded: Daemon) -> None:
    """Over a WebSocket the token may come in the handshake; hello is then said without it."""
    right = {"Authorization": f"Bearer {guarded.token()}"}
    with connect(web_url(guarded), additional_headers=right) as client:
        assert ask(client, "hello", role="client")["status"] == "success"
        assert ask(client, "ping")["status"] == "success"
    with connect(web_url(guarded), additional_headers={"Authorization": "Bearer wrong"}) as client:
        assert ask(client, "hello", role="client")["code"] == "authentication_failed"


def test_unix_socket_needs_no_token(guarded: Daemon) -> None:
    """The unix socket is for the user alone, which the system sees to."""
    assert guarded.socket_path.stat().st_mode & 0o777 == 0o600
    with Connection(guarded.socket_path) as client:
        assert client.result("ping")["status"] == "ready"
        assert client.result("hello", role="client")["protocol"] == "1.0.0"


def test_token_is_written_nowhere() -> None:
    """The token is shown once, and is in no line of the log and no file, also after it was used and at later starts."""
    options = ("--lines", "127.0.0.1:0", "--log-level", "debug")
    with folder() as home:
        with Daemon(home, *options) as daemon:
            token = daemon.token()
            for given in (token, f"{token}x"):
                with Connection(daemon.place("lines")) as client:
                    client.ask("hello", role="client", token=given)
            assert daemon.terminate() == 0
            assert daemon.log.count(token) == 1
        files = [path for path in home.rglob("*") if path.is_file()]
        assert home / "data" / "tokens.json" in files
        assert [path for path in files if token.encode() in path.read_bytes()] == []
        assert (home / "data" / "tokens.json").stat().st_mode & 0o777 == 0o600
        with Daemon(home, *options) as daemon:
            with Connection(daemon.place("lines")) as client:
                client.result("hello", role="client", token=token)
            assert daemon.terminate() == 0
            assert "A token was made" not in daemon.log
            assert token not in daemon.log


def test_silent_peer_is_asked_to_leave(guarded: Daemon) -> None:
    """Where a token is needed, a connection that does not say hello in time is ended."""
    with Connection(guarded.place("lines")) as client:
        assert client.event("connection.closing")["data"]["name"] == "hello_timeout"
        assert client.read() is None


# ---- web pages


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "https://ide.example.evil"])
def test_websocket_with_an_origin_is_refused(open_daemon: Daemon, origin: str) -> None:
    """A web page cannot open a WebSocket, wherever it comes from."""
    with pytest.raises(InvalidStatus) as refused:
        connect(web_url(open_daemon), origin=Origin(origin))
    assert refused.value.response.status_code == 403


def test_websocket_with_an_allowed_origin_is_let_in(open_daemon: Daemon) -> None:
    """A page that the operator listed may come in; so may programs, which send no Origin."""
    with connect(web_url(open_daemon), origin=Origin("https://ide.example")) as client:
        assert ask(client, "ping")["status"] == "success"
    with connect(web_url(open_daemon)) as client:
        assert ask(client, "ping")["status"] == "success"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80"])
@pytest.mark.parametrize("path", ["/", "/healthz"])
@pytest.mark.parametrize("upgrade", [True, False])
def test_wrong_host_is_refused(open_daemon: Daemon, host: str, path: str, upgrade: bool) -> None:
    """A name that was bent to point here (DNS rebinding) gets nothing, neither by HTTP nor by WebSocket."""
    headers = {"Host": host}
    if upgrade:
        headers |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        headers["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
    connection = http.client.HTTPConnection(*open_daemon.place("http"), timeout=DEADLINE_S)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        assert response.status == 403
        assert "Host" in response.read().decode()
    finally:
        connection.close()


def test_healthz_tells_how_the_daemon_is(open_daemon: Daemon) -> None:
    """Health needs no token and names the daemon; a page of another origin does not get it."""
    url = web_url(open_daemon, "http")
    response = httpx.get(f"{url}healthz", trust_env=False)
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert response.json()["server_id"] == open_daemon.ready["server_id"]
    refused = httpx.get(f"{url}healthz", headers={"Origin": "https://evil.example"}, trust_env=False)
    assert refused.status_code == 403
    assert httpx.get(url, trust_env=False).status_code == 426
    assert httpx.get(f"{url}nothing", trust_env=False).status_code == 404


@pytest.mark.parametrize("separator", ["\r\n", "\n"])
@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_http_to_the_lines_port_runs_nothing(open_daemon: Daemon, method: str, separator: str) -> None:
    """A web page that posts a command to the lines port is cut off, and the command in the body is not run."""
    body = json.dumps({"id": "x", "command": "create_session", "parameters": {"client_id": "posted"}})
    lines = [f"{method} / HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", "", body, ""]
    with socket.create_connection(open_daemon.place("lines"), DEADLINE_S) as page:
        page.sendall(separator.join(lines).encode())
        try:
            received = page.recv(65536)
        except ConnectionResetError:
            received = b""
        assert received == b""
    with Connection(open_daemon.socket_path) as client:
        assert client.result("list_client_sessions", client_id="posted")["session_count"] == 0


def test_first_line_that_is_no_message_ends_a_tcp_connection(open_daemon: Daemon) -> None:
    """Over TCP the first line has to be a message; later mistakes are only answered."""
    with Connection(open_daemon.place("lines")) as stranger:
        stranger.socket.sendall(b'garbage\n{"id": "x", "command": "create_session"}\n')
        answer = stranger.read()
        assert answer is not None
        assert answer["code"] == "malformed_json"
        assert stranger.event("connection.closing")["data"]["name"] == "protocol_violation"
        assert stranger.read() is None
    with Connection(open_daemon.place("lines")) as client:
        client.result("ping")
        client.socket.sendall(b"garbage\n")
        answer = client.read()
        assert answer is not None
        assert answer["code"] == "malformed_json"
        assert client.result("ping")["status"] == "ready"


# ---- what is left of connections


def visit(daemon: Daemon, session: str, number: int) -> None:
    """Come and go, over one transport or another, in one way or another."""
    if number % 5 in {3, 4}:
        host = "Host: {}:{}\r\n".format(*daemon.place("http"))
        stream = f"GET /events?session_id={session}&client_id=visitor HTTP/1.1\r\n{host}\r\n"
        post = f"POST /rpc HTTP/1.1\r\n{host}Content-Type: application/json\r\nExpect: 100-continue\r\n"
        half_a_post = f'{post}Content-Length: 60\r\n\r\n{{"id":'
        with socket.create_connection(daemon.place("http"), DEADLINE_S) as page:
            page.sendall((half_a_post if number % 5 == 4 else stream).encode())
            if number % 2:  # the others go before they have read anything
                assert page.recv(1) == b"H"
        return
    if number % 5 == 0:
        with connect(web_url(daemon)) as web:
            assert ask(web, "subscribe", session_id=session)["status"] == "success"
            if number % 2:
                web.socket.shutdown(socket.SHUT_RDWR)
        return
    place = daemon.socket_path if number % 5 == 1 else daemon.place("lines")
    with Connection(place) as client:
        client.result("hello", role="client", client_id="visitor" if number % 4 else None)
        client.result("subscribe", session_id=session)
        if number % 2:
            client.start("update_session_state", session_id=session, state_data={"n": number})


def test_connections_leave_nothing_behind(open_daemon: Daemon) -> None:
    """Two hundred clients that come and go, some rudely, leave no descriptor and no connection behind."""
    with Connection(open_daemon.socket_path) as watcher:
        session = watcher.new_session(client_id="visitor")
        for number in range(10):
            visit(open_daemon, session, number)
        watcher.result("subscribe", session_id=session)
        settled = open_daemon.descriptors()
        for number in range(ROUNDS):
            visit(open_daemon, session, number)
        # what the rounds left is gone once the daemon has read the ends of all of them
        for _ in range(1000):
            statistics = watcher.result("get_session_statistics")
            if statistics["connections"]["total"] == 1 and open_daemon.descriptors() <= settled:
                break
        assert statistics["connections"] == {
            "total": 1,
            "clients": 0,
            "images": 0,
            "observers": 0,
            "before_hello": 1,
        }
        assert open_daemon.descriptors() <= settled
        assert watcher.result("get_session_info", session_id=session)["attached_clients"] == 1


def test_connections_beyond_the_limit_are_refused() -> None:
    """One connection too many is told so and ended; when another goes, there is room again."""
    settings = "[limits]\nmax_connections = 2\n"
    with folder() as home, Daemon(home, settings=settings) as daemon, Connection(daemon.socket_path) as first:
        with Connection(daemon.socket_path) as second:
            second.result("ping")
            with Connection(daemon.socket_path) as third:
                closing = third.event("connection.closing")["data"]
                assert (closing["name"], closing["reconnect"]) == ("too_many_connections", True)
                assert third.read() is None
        while first.result("get_session_statistics")["connections"]["total"] > 1:
            pass
        with Connection(daemon.socket_path) as fourth:
            assert fourth.result("ping")["status"] == "ready"
