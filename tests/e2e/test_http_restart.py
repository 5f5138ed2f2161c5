"""Who listens over HTTP or WebSocket hears every acknowledged change once, whatever becomes of the daemon."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from examples.events_over_http import listen
from stui_sessiond.client import Gap, LastingClient
from tests.e2e.harness import DEADLINE_S, Daemon, folder, run_cli, run_example

Json = dict[str, Any]

CHANGES = 25
"""Changes in each life of the daemon."""


class Caller:
    """Sends messages over HTTP, as a script would."""

    def __init__(self, daemon: Daemon, token: str) -> None:
        host, port = daemon.place("http")
        self.url = f"http://{host}:{port}"
        self.token = token
        self._client = httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {token}"}, timeout=DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def result(self, command: str, **parameters: object) -> Json:
        """Send a message that is to succeed."""
        message = {"id": "1", "command": command, "parameters": parameters}
        response = self._client.post(f"{self.url}/rpc", json=message)
        assert response.status_code == 200, response.text
        result: Json = response.json()["result"]
        return result

    @contextmanager
    def stream(self, session_id: str, known: str) -> Iterator[Iterator[str]]:
        """Open the events of a session after a known one; gives the lines up to the first change."""
        told = {"Last-Event-ID": known}
        with self._client.stream("GET", f"{self.url}/events", params={"session_id": session_id}, headers=told) as read:
            assert read.status_code == 200
            yield itertools.takewhile(
                lambda line: not line.startswith('data: {"event":"session.updated'), read.iter_lines()
            )


class Listener(threading.Thread):
    """Gathers the numbers of the changes that it hears of, until it has heard of the last one."""

    def __init__(self, last: int) -> None:
        super().__init__(daemon=True)
        self.heard: list[tuple[str, int]] = []
        self.numbers: list[int] = []
        self.began = threading.Event()
        self.openings = 0
        self.endings: list[str] = []
        self.fault: BaseException | None = None
        self._last = last

    def wait_for_opening(self, number: int) -> None:
        """Wait until it is connected for this time."""
        end = time.monotonic() + DEADLINE_S
        while self.openings < number:
            assert time.monotonic() < end, self.fault
            time.sleep(0.01)

    def take(self, message: Json) -> bool:
        """Take an event; tell whether that was the last one."""
        self.heard.append((message["epoch"], message["seq"]))
        if message["event"] == "session.updated":
            self.numbers.append(message["data"]["version"] - 1)  # the session was made as version 1
        return self._last in self.numbers

    def check(self) -> None:
        """Look whether it heard all, in order, each once."""
        self.join(DEADLINE_S)
        assert not self.is_alive(), f"{type(self).__name__} heard {self.numbers[-1:]}"
        assert self.fault is None, repr(self.fault)
        assert self.numbers == list(range(1, self._last + 1))
        epochs = {epoch for epoch, _ in self.heard}
        assert len(epochs) == 1
        seqs = [seq for _, seq in self.heard]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


class OverHttp(Listener):
    """Listens as the example does."""

    def __init__(self, caller: Caller, session_id: str, last: int) -> None:
        super().__init__(last)
        self._events = listen(caller.url, session_id, caller.token)

    def run(self) -> None:
        """Listen to the end."""
        try:
            self._listen()
        except BaseException as error:  # noqa: BLE001 -- told by the main thread
            self.fault = error

    def _listen(self) -> None:
        for event in self._events:
            message = json.loads(event.data)
            if event.name == "connection.opened":
                self.openings += 1
                self.began.set()
            elif event.name == "connection.closing":
                self.endings.append(message["data"]["name"])
            elif self.take(message):
                self._events.close()  # type: ignore[attr-defined]  # it is a generator
                return


class OverWebSocket(Listener):
    """Listens with the client library."""

    def __init__(self, caller: Caller, session_id: str, last: int) -> None:
        super().__init__(last)
        self._url = f"{caller.url.replace('http', 'ws')}/"
        self._token = caller.token
        self._session_id = session_id

    def run(self) -> None:
        """Listen to the end."""
        try:
            asyncio.run(self._listen())
        except BaseException as error:  # noqa: BLE001 -- told by the main thread
            self.fault = error

    async def _listen(self) -> None:
        async with LastingClient(self._url, token=self._token) as client, client.watch(self._session_id) as events:
            self.began.set()
            async for event in events:
                assert not isinstance(event, Gap), event
                told = {"event": event.event, "data": event.data, "epoch": event.epoch, "seq": event.seq}
                if self.take(told):
                    return


@contextmanager
def daemon_of(home: Path, port: int = 0) -> Iterator[Daemon]:
    """A daemon that asks for tokens, on the same port as the one before."""
    with Daemon(home, "--http", f"127.0.0.1:{port}") as daemon:
        yield daemon


def test_listeners_over_restarts() -> None:
    """The daemon is stopped once and killed once; both listeners hear all changes that were acknowledged."""
    with folder() as home:
        last = 3 * CHANGES
        listeners: list[Listener] = []
        port, token, session_id = 0, "", ""

        def change(caller: Caller) -> None:
            caller.result("update_session_state", session_id=session_id, state_data={"pad": "x" * 300})

        for life, end in enumerate((signal.SIGTERM, signal.SIGKILL, None), 1):
            with daemon_of(home, port) as daemon:
                token = token or daemon.token()
                port = daemon.place("http")[1]
                with Caller(daemon, token) as caller:
                    if not listeners:
                        session_id = caller.result("create_session", client_id="ada")["session_id"]
                        listeners = [OverHttp(caller, session_id, last), OverWebSocket(caller, session_id, last)]
                        for each in listeners:
                            each.start()
                            assert each.began.wait(DEADLINE_S)
                    change(caller)  # heard only after the reconnection, from the log
                    listeners[0].wait_for_opening(life)
                    for _ in range(CHANGES - 1):
                        change(caller)
                if end is None:
                    for each in listeners:
                        each.check()
                else:
                    daemon.signal(end)
                    daemon.wait()
        assert listeners[0].endings == ["shutting_down"], "nobody can say good-bye who is killed"


def test_stream_goes_on_in_a_store_that_was_restored() -> None:
    """The ids of its events have another form there, and are good as `Last-Event-ID`."""
    with folder() as home:
        with daemon_of(home) as daemon:
            token = daemon.token()
            with Caller(daemon, token) as caller:
                name = caller.result("create_backup", reason="test")["name"]
        where = ("--data-dir", str(daemon.data))
        assert run_cli("store", "backup", "restore", name, "--yes", *where).returncode == 0
        with daemon_of(home) as daemon, Caller(daemon, token) as caller:
            session_id = caller.result("create_session", client_id="ada")["session_id"]
            position = caller.result("get_session_info", session_id=session_id)["position"]
            known = f"{position['epoch']}:{position['seq']}"
            caller.result("update_session_state", session_id=session_id, state_data={"n": 1})
            with caller.stream(session_id, known) as lines:
                ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
            assert ids == [known, f"{position['epoch']}:{position['seq'] + 1}"]


def test_example_prints_events() -> None:
    """The example listens, and ends after as many events as were wanted."""
    with folder() as home, daemon_of(home) as daemon, Caller(daemon, daemon.token()) as caller:
        session_id = caller.result("create_session", client_id="ada")["session_id"]
        change = {"session_id": session_id, "state_data": {"n": 7}}
        ready = threading.Event()

        def make_changes() -> None:
            while not ready.wait(0.1):
                caller.result("update_session_state", **change)

        changing = threading.Thread(target=make_changes)
        changing.start()
        try:
            shown = run_example("events_over_http.py", caller.url, session_id, "2", STUI_SESSIOND_TOKEN=caller.token)
        finally:
            ready.set()
            changing.join()
        assert (shown.returncode, shown.stderr) == (0, "")
        opened, *events = shown.stdout.splitlines()
        assert " connection.opened " in opened
        assert len(events) == 2
        assert all(" session.updated " in line and '"n": 7' in line for line in events)


def test_example_with_a_wrong_token() -> None:
    """It says what is the matter, and does not try again."""
    with folder() as home, daemon_of(home) as daemon:
        host, port = daemon.place("http")
        shown = run_example("events_over_http.py", f"http://{host}:{port}", "s", STUI_SESSIOND_TOKEN="stui_wrong")
        assert shown.returncode == 1
        assert "authentication_failed" in shown.stderr


@pytest.mark.parametrize("path", ["/rpc", "/events"])
def test_http_over_tls(path: str, tmp_path: Path) -> None:
    """The same over TLS, and nothing at all without it."""
    from tests.security.bed import make_certificates, options, trusting  # noqa: PLC0415 -- makes certificates

    tls = make_certificates(tmp_path / "tls")
    with folder() as home, Daemon(home, *options(tls)) as daemon:
        host, port = daemon.place("http")
        base, token = f"https://{host}:{port}", {"Authorization": f"Bearer {daemon.token()}"}
        with httpx.Client(verify=trusting(tls), trust_env=False, headers=token, timeout=DEADLINE_S) as client:
            message = {"id": "1", "command": "create_session", "parameters": {"client_id": "ada"}}
            made = client.post(f"{base}/rpc", json=message)
            assert made.status_code == 200
            if path == "/events":
                session_id = made.json()["result"]["session_id"]
                with client.stream("GET", f"{base}/events", params={"session_id": session_id}) as stream:
                    lines = stream.iter_lines()
                    assert next(lines).startswith("retry: ")
                    assert next(lines).startswith("id: ")
        assert httpx.post(f"http://{host}:{port}{path}", json={}, trust_env=False).status_code == 400
