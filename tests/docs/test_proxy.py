"""The nginx of the how-to page, as it stands there, between clients and a daemon."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.e2e.harness import ROOT, Daemon, folder, run_cli

PAGE = ROOT / "docs" / "how-to" / "put-a-proxy-in-front.md"
PATIENCE_S = 30.0


@contextmanager
def nginx(home: Path, port: int, upstream: str) -> Iterator[None]:
    """The block of the page, with its port, certificate and daemon those of the test."""
    (block,) = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for there, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/stui.pem", f"{home}/server.pem"),
        ("/etc/ssl/stui.key", f"{home}/server.key"),
        ("127.0.0.1:7448", upstream),
    ):
        assert block.count(there) == 1
        block = block.replace(there, here)
    scratch = " ".join(
        f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"daemon off; pid {home}/nginx.pid; error_log stderr; events {{ }} http {{ {scratch}\n{block} }}"
    (home / "nginx.conf").write_text(main, "utf-8")
    command = [shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "nginx", "-p", str(home)]
    child = subprocess.Popen([*command, "-e", "stderr", "-c", str(home / "nginx.conf")], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if child.poll() is not None or time.monotonic() > end:
                    child.kill()
                    pytest.fail(f"nginx did not start: {child.communicate()[1].decode()}")
                time.sleep(0.05)
            else:
                break
        yield
    finally:
        child.terminate()
        child.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_proxy_of_the_page_passes_on_all_that_http_carries() -> None:
    """Health, a request, a WebSocket and a stream of events, whose next event comes at once, through nginx and TLS."""
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
        pytest.skip("THERE IS NO NGINX HERE: the page about it was not tried")
    with folder() as home:
        run_cli("tls", "init", "--dir", str(home / "tls"), "--name", "stui.example")
        for name in ("server.pem", "server.key"):
            shutil.copy(home / "tls" / name, home / name)
        trust = ssl.create_default_context(cafile=home / "tls" / "ca.pem")
        (home / "daemon").mkdir()
        made = run_cli("token", "create", "me", "--data-dir", str(home / "daemon" / "data"), "--json")
        token = json.loads(made.stdout)["token"]
        port = _free_port()
        with Daemon(home / "daemon", "--http", "127.0.0.1:0", "--auth", "token") as daemon:
            head = {"Authorization": f"Bearer {token}", "Stui-Client-Id": "me", "Content-Type": "application/json"}

            def rpc(command: str, **parameters: object) -> dict[str, object]:
                with closing(http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=PATIENCE_S)) as web:
                    body = json.dumps({"id": "1", "command": command, "parameters": parameters})
                    web.request("POST", "/rpc", body, head)
                    answer = json.loads(web.getresponse().read())
                assert answer["status"] == "success", answer
                result: dict[str, object] = answer["result"]
                return result

            with nginx(home, port, str(daemon.ready["http"])):
                web = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=PATIENCE_S)
                web.request("GET", "/healthz")
                assert web.getresponse().status == 200
                web.close()
                session_id = rpc("create_session", client_id="me")["session_id"]
                stream = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=PATIENCE_S)
                stream.request("GET", f"/events?session_id={session_id}", headers=head)
                events = stream.getresponse()
                assert b"connection.opened" in events.read1(65536)
                with connect(f"wss://127.0.0.1:{port}/", ssl=trust, proxy=None) as socket_:
                    hello = {"role": "client", "client_id": "me", "token": token}
                    socket_.send(json.dumps({"id": "h", "command": "hello", "parameters": hello}))
                    assert json.loads(socket_.recv(PATIENCE_S))["status"] == "success"
                    rpc("update_session_state", session_id=session_id, state_data={"a": 1})
                    said = b""
                    while b"session.updated" not in said:
                        said += events.read1(65536)
                stream.close()
