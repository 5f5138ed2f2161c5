"""TLS on real sockets: what is spoken, who is let in, and what those hear who are not."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect as web_connect

from stui_sessiond.client import ConnectionLostError, connect, parse_url
from stui_sessiond.client.channel import open_channel
from tests.e2e.harness import DEADLINE_S, Connection, Daemon, Refused, folder, run_cli
from tests.security.bed import copy, make_certificates, options, trusting, url

NONE = ("--auth", "none")


@pytest.fixture(scope="module")
def tls() -> Iterator[Path]:
    """Certificates for all tests of this module."""
    with folder() as home:
        yield make_certificates(home / "tls", "ada")


@pytest.fixture(scope="module")
def daemon(tls: Path) -> Iterator[Daemon]:
    """A daemon that speaks TLS."""
    with folder() as home, Daemon(home, *options(tls), *NONE) as started:
        yield started


@pytest.fixture(scope="module")
def mutual(tls: Path) -> Iterator[Daemon]:
    """A daemon that wants certificates of its peers."""
    with folder() as home, Daemon(home, *options(tls, mutual=True), *NONE) as started:
        yield started


async def ping(address: str) -> str:
    """Ask for a sign of life with the client library."""
    async with connect(address, timeout_s=DEADLINE_S) as client:
        return (await client.ping()).status


async def failure(address: str) -> ConnectionLostError:
    """Fail to connect with the client library."""
    with pytest.raises(ConnectionLostError) as caught:
        await ping(address)
    return caught.value


# ---- what is spoken


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_client_over_tls(daemon: Daemon, tls: Path, scheme: str) -> None:
    """The client library comes in over both kinds of port, with the CA in its address or given beside it."""
    address = url(daemon, scheme, tls)
    assert await ping(address) == "ready"
    channel = await open_channel(parse_url(address.partition("?")[0]), DEADLINE_S, ca_file=str(tls / "ca.pem"))
    await channel.send(b'{"id":"a","command":"ping"}')
    assert b'"status":"success"' in (await channel.receive() or b"")
    await channel.close()


@pytest.mark.parametrize("listener", ["lines", "http"])
def test_tls_is_1_3_with_the_certificate(daemon: Daemon, tls: Path, listener: str) -> None:
    """Nothing older is spoken, and the certificate is for the local names and the given one."""
    with Connection(daemon.place(listener), trusting(tls)) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.version() == "TLSv1.3"
        shown = str(client.socket.getpeercert())
        for name in ("localhost", "daemon.example", "127.0.0.1", "0:0:0:0:0:0:0:1"):
            assert f"'{name}'" in shown
    old = trusting(tls)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        Connection(daemon.place(listener), old)
    assert daemon.wait_for("tls.handshake_failed", listener=listener)["reason"] == "the peer does not speak TLS 1.3"


def test_health_over_https(daemon: Daemon, tls: Path) -> None:
    """The HTTP side speaks TLS; `Host` may be a name of the certificate, and no other."""
    for name, status in (("daemon.example", 200), ("localhost", 200), ("evil.example", 403)):
        host, port = daemon.place("http")
        page = http.client.HTTPSConnection(host, port, timeout=DEADLINE_S, context=trusting(tls))
        page.request("GET", "/healthz", headers={"Host": f"{name}:{port}"})
        assert page.getresponse().status == status
        page.close()


@pytest.mark.parametrize("scheme", ["tls", "wss"])
def test_command_line_over_tls(daemon: Daemon, tls: Path, scheme: str) -> None:
    """`call`, `status` and `conformance` take the CA as an option or from the environment."""
    address = url(daemon, scheme, tls).partition("?")[0]
    called = run_cli("call", "ping", "--url", address, "--ca-file", str(tls / "ca.pem"), "--json")
    assert json.loads(called.stdout)["status"] == "ready", called.stderr
    status = run_cli("status", "--url", address, environment={"STUI_SESSIOND_CA_FILE": str(tls / "ca.pem")})
    assert "connections" in status.stdout, status.stderr
    vector = ("conformance", address, "--only", "invalid/json/*")
    played = run_cli(*vector, "--ca-file", str(tls / "ca.pem"))
    assert played.returncode == 0, played.stdout + played.stderr
    refused = run_cli(*vector)
    assert refused.returncode == 3
    assert "name its CA with ca_file" in refused.stderr


# ---- clear errors


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_certificate_that_is_not_trusted(daemon: Daemon, tls: Path, scheme: str) -> None:
    """Without the CA the client says which option it needs, and does not try again by itself."""
    error = await failure(url(daemon, scheme, tls).partition("?")[0])
    assert "is not trusted" in str(error)
    assert "name its CA with ca_file" in str(error)
    assert error.ending is not None
    assert (error.ending.name, error.ending.reconnect) == ("tls_failed", False)


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_certificate_of_another_name(daemon: Daemon, tls: Path, scheme: str) -> None:
    """The name in the address has to be one of the certificate."""
    error = await failure(url(daemon, scheme, tls).replace("127.0.0.1", "127.0.0.2").replace("127.0.0.2", "127.1"))
    assert "is not that of '127.1'" in str(error)


@pytest.mark.parametrize(("scheme", "says"), [("tcp", "This port speaks TLS"), ("ws", "This port speaks TLS")])
async def test_plain_client_at_a_tls_port(daemon: Daemon, tls: Path, scheme: str, says: str) -> None:
    """It is told to use TLS, and so is the log."""
    error = await failure(url(daemon, scheme, tls).partition("?")[0])
    assert says in str(error)
    assert error.ending is not None
    assert error.ending.reconnect is False
    daemon.wait_for("tls.plain_at_tls_port", listener="http" if scheme == "ws" else "lines")


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_tls_client_at_a_plain_port(tls: Path, scheme: str) -> None:
    """It says that there is no TLS, and so does the log."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0", *NONE) as plain:
        error = await failure(url(plain, scheme, tls))
        assert "TLS is not spoken there" in str(error)
        plain.wait_for("tls.at_plain_port", listener="http" if scheme == "wss" else "lines")


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
async def test_file_of_tls_that_is_not_there(daemon: Daemon, tls: Path, name: str) -> None:
    """Its name is told, and which one it was to be."""
    missing = tls / "nothing.pem"
    given = dict.fromkeys(("ca_file", "cert_file", "key_file"), tls / "ca.pem") | {name: missing}
    address = url(daemon, "tls", tls).partition("?")[0]
    error = await failure(f"{address}?{'&'.join(f'{key}={path}' for key, path in given.items())}")
    assert f"{name} {missing}: No such file or directory" in str(error)


# ---- mutual TLS


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_mutual_tls(mutual: Daemon, tls: Path, scheme: str) -> None:
    """With a certificate of the CA a client comes in; without, or with that of another CA, it is told why not."""
    assert await ping(url(mutual, scheme, tls, "ada")) == "ready"
    assert "wants a certificate of its clients" in str(await failure(url(mutual, scheme, tls)))
    with folder() as home:
        other = make_certificates(home / "tls", "eve")
        address = url(mutual, scheme, tls).replace("?", f"?cert_file={other}/eve.pem&key_file={other}/eve.key&")
        assert "does not accept this client's certificate" in str(await failure(address))
    assert await ping(url(mutual, scheme, tls, "ada")) == "ready"


async def test_server_certificate_is_no_client_certificate(mutual: Daemon, tls: Path) -> None:
    """A certificate made for a server does not let anybody in, although the CA is the same."""
    assert "does not accept this client's certificate" in str(await failure(url(mutual, "tls", tls, "server")))


# ---- other addresses


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "localhost:0"])
async def test_address_beyond_this_machine(tls: Path, address: str) -> None:
    """With TLS and tokens any address is listened on; names of the certificate and of the settings are answered."""
    settings = "[access]\nhosts = ['other.example:1']\n"
    both = options(tls)[:4]
    with folder() as home, Daemon(home, *both, "--lines", address, "--http", address, settings=settings) as wide:
        port = wide.place("http")[1]
        answers = {}
        for host in (
            f"127.0.0.1:{port}",
            f"daemon.example:{port}",
            "other.example:1",
            f"0.0.0.0:{port}",
            "evil.example",
        ):
            page = http.client.HTTPSConnection("127.0.0.1", port, timeout=DEADLINE_S, context=trusting(tls))
            page.request("GET", "/healthz", headers={"Host": host})
            answers[host] = page.getresponse().status
            page.close()
        assert list(answers.values()) == [200, 200, 200, 403, 403], answers
        with Connection(("127.0.0.1", wide.place("lines")[1]), trusting(tls)) as client:
            assert client.refusal("ping")["code"] == "authentication_required"
            assert client.result("hello", role="client", token=wide.token())["protocol"] == "1.0.0"


@pytest.mark.parametrize(
    ("more", "way_out"), [((), "turn on TLS"), (("--auth", "none"), "turn on --auth token"), (NONE, "SSH tunnel")]
)
def test_address_beyond_this_machine_is_refused(more: tuple[str, ...], way_out: str) -> None:
    """Without TLS or without tokens the start is refused, and the message says the way out."""
    with folder() as home:
        refused = Refused(home, "--lines", "0.0.0.0:0", *more)
        assert refused.code == 2
        assert way_out in refused.log


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda tls: (tls / "server.key").chmod(0o644), "can be read by other users; `chmod 600"),
        (lambda tls: (tls / "server.key").write_text("x"), "cannot be used"),
        (
            lambda tls: (tls / "server.key").write_bytes((tls / "ada.key").read_bytes()),
            "is not that of the certificate",
        ),
        (lambda tls: (tls / "server.pem").write_text("x"), "holds no certificate in PEM"),
        (lambda tls: (tls / "server.pem").unlink(), "No such file"),
        (lambda tls: (tls / "ca.pem").write_text("x"), "holds no certificates in PEM"),
    ],
)
def test_files_that_cannot_be_used(spoil: object, says: str) -> None:
    """The start is refused with the file and what is wrong with it."""
    with folder() as home:
        tls = make_certificates(home / "tls", "ada")
        assert callable(spoil)
        spoil(tls)
        refused = Refused(home, *options(tls, mutual=True))
        assert refused.code == 2
        assert says in refused.log


# ---- a new certificate


def fingerprint(daemon: Daemon, listener: str) -> bytes:
    """What the daemon shows to a new connection."""
    with socket.create_connection(daemon.place(listener), DEADLINE_S) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize("by", ["signal", "change"])
def test_certificate_is_reloaded(by: str) -> None:
    """New connections get the new one on both ports, old connections go on; a broken one changes nothing."""
    with folder() as home:
        tls = make_certificates(home / "tls")
        with Daemon(home, *options(tls), *NONE) as daemon:
            old = fingerprint(daemon, "lines")
            host, port = daemon.place("http")
            open_now = ExitStack()
            lines = open_now.enter_context(Connection(daemon.place("lines"), trusting(tls)))
            web = open_now.enter_context(web_connect(f"wss://{host}:{port}/", ssl=trusting(tls)))

            def go_on() -> None:
                assert lines.result("ping")["status"] == "ready"
                web.send('{"id":"a","command":"ping"}')
                assert json.loads(web.recv(DEADLINE_S))["status"] == "success"

            go_on()
            (tls / "server.pem").write_text("broken")
            if by == "signal":
                daemon.signal(signal.SIGHUP)
            failed = daemon.wait_for("tls.reload_failed")
            assert "holds no certificate in PEM" in failed["reason"]
            assert [fingerprint(daemon, listener) for listener in ("lines", "http")] == [old, old]
            go_on()
            copy(make_certificates(home / "other"), tls)
            if by == "signal":
                daemon.signal(signal.SIGHUP)
            daemon.wait_for("tls.reloaded")
            new = [fingerprint(daemon, listener) for listener in ("lines", "http")]
            assert new[0] == new[1] != old
            go_on()
            open_now.close()


def test_handshakes_of_many_at_once(daemon: Daemon, tls: Path) -> None:
    """Forty clients come in at once with TLS, eight at a time as strangers; nobody is in the way of another."""

    async def all_of_them() -> list[str]:
        few = asyncio.Semaphore(8)

        async def one() -> str:
            async with few:
                return await ping(url(daemon, "wss", tls))

        return await asyncio.gather(*[one() for _ in range(40)])

    assert asyncio.run(all_of_them()) == ["ready"] * 40
