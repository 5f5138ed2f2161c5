"""What a web page in a real browser can do to the daemon of the person who looks at it: nothing.

Needs Chromium (Debian: `apt-get install chromium`); `STUI_CHROMIUM` may name it.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.harness import Connection, Daemon, folder

CHROMIUM = os.environ.get("STUI_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
]

PAGE = """<!doctype html><title>attack</title><script>
const [http, lines] = [HTTP, LINES];
const command = JSON.stringify({id: "x", command: "create_session", parameters: {client_id: "page"}}) + "\\n";
const results = {};
const within = (work) => Promise.race([work, new Promise((_, no) => setTimeout(() => no("silence"), 3000))]);
async function attempt(name, work) {
  try { results[name] = await within(work()); } catch (error) { results[name] = "blocked: " + error; }
}
const socket = (url, protocols) => () => new Promise((yes, no) => {
  const ws = new WebSocket(url, protocols);
  ws.onopen = () => ws.send(command);
  ws.onmessage = (event) => yes("PASSED: " + event.data);
  ws.onerror = () => no("error");
  ws.onclose = (event) => no("closed " + event.code);
});
const read = (url, options) => async () => {
  const response = await fetch(url, options);
  if (response.type === "opaque") throw "opaque";
  if (!response.ok) throw response.status;
  return "PASSED: " + await response.text();
};
const post = (url, type) =>
  read(url, {method: "POST", body: command, mode: "no-cors", headers: {"Content-Type": type}});
async function form(url) {
  const frame = document.createElement("iframe");
  frame.name = "f" + Math.random();
  document.body.append(frame);
  const made = document.createElement("form");
  Object.assign(made, {action: url, method: "POST", enctype: "text/plain", target: frame.name});
  const field = document.createElement("input");
  Object.assign(field, {name: command.slice(0, -1), value: ""});
  made.append(field);
  document.body.append(made);
  made.submit();
  await new Promise((yes) => setTimeout(yes, 1000));
  throw "nothing to read";
}
(async () => {
  await Promise.all(["127.0.0.1", "localhost", "evil.example", "0.0.0.0"].map(async (host) => {
    const port = host + ":" + http;
    await attempt("websocket to " + host, socket("ws://" + port + "/"));
    await attempt("websocket stui.v1 to " + host, socket("ws://" + port + "/", "stui.v1"));
    await attempt("websocket to the line port of " + host, socket("ws://" + host + ":" + lines + "/"));
    await attempt("health of " + host, read("http://" + port + "/healthz"));
    await attempt("health without cors of " + host, read("http://" + port + "/healthz", {mode: "no-cors"}));
    await attempt("post text to " + host, post("http://" + port + "/", "text/plain"));
    await attempt("post form to " + host, post("http://" + port + "/", "application/x-www-form-urlencoded"));
    await attempt("post json to " + host, read("http://" + port + "/rpc",
      {method: "POST", body: command, headers: {"Content-Type": "application/json"}}));
    await attempt("post to the line port of " + host, post("http://" + host + ":" + lines + "/", "text/plain"));
    await attempt("form to the line port of " + host, () => form("http://" + host + ":" + lines + "/"));
    await attempt("form to " + host, () => form("http://" + port + "/"));
  }));
  await fetch("/results", {method: "POST", body: JSON.stringify(results)});
})();
</script>"""


@contextmanager
def attacker(targets: list[int]) -> Iterator[tuple[int, queue.Queue[dict[str, str]]]]:
    """Serve the page on a port of its own, as another site would; its script sends what it found to the queue.

    `targets` are the daemon's ports, HTTP and lines, once it has them.
    """
    found: queue.Queue[dict[str, str]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.replace("HTTP, LINES", f"{targets[0]}, {targets[1]}").encode())

        def do_POST(self) -> None:
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def browser(url: str, profile: Path) -> Iterator[None]:
    """Look at the page in a browser."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", url]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True) as child:
        try:
            yield
        finally:
            os.killpg(child.pid, signal.SIGKILL)  # the browser and its helpers


def attack(name: str, home: Path, *, welcome: bool) -> tuple[dict[str, str], int]:
    """Look at the page under a name; give what it got, and how many sessions it made.

    `welcome` puts the page on the daemon's list, which shows that the attacks would work.
    """
    targets: list[int] = []
    options = ("--lines", "127.0.0.1:0", "--http", "127.0.0.1:0", "--auth", "none")
    with attacker(targets) as (port, found):
        listed = f"[access]\norigins = ['http://{name}:{port}']\n[sessions]\nmax_per_client = 20\n"
        settings = listed if welcome else ""
        with Daemon(home, *options, settings=settings) as daemon:
            targets += [daemon.place("http")[1], daemon.place("lines")[1]]
            with browser(f"http://{name}:{port}/", home / "profile"):
                results = found.get(timeout=90)
            with Connection(daemon.socket_path) as watcher:
                return results, watcher.result("list_client_sessions", client_id="page")["session_count"]


needs_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="NO BROWSER: attacks from a web page are NOT tested; `apt-get install chromium`, or set STUI_CHROMIUM",
)


@needs_browser
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
def test_attacks_of_a_page(name: str) -> None:
    """No WebSocket, fetch or form of a foreign page gets an answer, and no command of it is carried out."""
    with folder() as home:
        results, sessions = attack(name, home, welcome=False)
    passed = {what: result for what, result in results.items() if result.startswith("PASSED")}
    print(f"attacks passed from {name}: {len(passed)} of {len(results)}")  # noqa: T201 -- a figure
    assert len(results) == 44, results
    assert passed == {}
    assert sessions == 0


@needs_browser
def test_page_that_is_listed() -> None:
    """A page the operator listed opens its WebSockets, asks and reads, under our names only: the attacks are real."""
    with folder() as home:
        results, sessions = attack("127.0.0.1", home, welcome=True)
    passed = {what for what, result in results.items() if result.startswith("PASSED")}
    ours = ("127.0.0.1", "localhost")
    wanted = {f"websocket {kind}to {host}" for kind in ("", "stui.v1 ") for host in ours}
    wanted |= {f"{what}{host}" for what in ("health of ", "post json to ") for host in ours}
    assert passed == wanted, results
    assert sessions == 6
