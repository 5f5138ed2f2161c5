"""One process of the daemon hands over to the next: who is refused, what goes on, what if it fails?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.harness import (
    DEADLINE_S,
    Amber,
    Connection,
    Daemon,
    Json,
    ScriptedImage,
    clean_environment,
    folder,
    serve_command,
)
from tests.e2e.test_daemon_lasting import Walk, hello


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for one daemon."""
    with folder() as path:
        yield path


class Line(Daemon):
    """A daemon, and whoever comes after it."""

    def now(self) -> Json:
        """What the process that serves has told of itself."""
        ready: Json = json.loads(self.ready_file.read_bytes())
        return ready

    def restart(self) -> subprocess.CompletedProcess[str]:
        """`stui-sessiond restart`."""
        return subprocess.run(
            [sys.executable, "-m", "stui_sessiond", "restart", "--url", self.url],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def kill(self) -> None:
        """End whoever serves."""
        if self.ready_file.exists() and (pid := self.now()["pid"]) != self.child.pid:
            os.kill(pid, signal.SIGKILL)
        super().kill()


class Knocker(threading.Thread):
    """Connects again and again, and counts who is refused."""

    def __init__(self, *places: Path | tuple[str, int]) -> None:
        super().__init__()
        self.let_in = 0
        self.refused: list[str] = []
        self._places = places
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for place in self._places:
                try:
                    with Connection(place) as client:
                        client.write({"id": "1", "command": "ping", "parameters": {}})
                        self.let_in += client.read() is not None
                except (ConnectionRefusedError, FileNotFoundError) as error:
                    self.refused.append(f"{place}: {error}")
                except OSError:  # it was in, and told to come again
                    pass

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(DEADLINE_S)


def test_restart_refuses_nobody_and_keeps_all(home: Path) -> None:
    """Who connects meanwhile waits; sessions, events and the connection go on in the next process."""
    with Line(home, "--lines", "127.0.0.1:0", "--auth", "none") as daemon, Connection(daemon.socket_path) as client:
        greeting = hello(client, "ada")
        session = client.new_session(client_id="ada")
        since = client.result("subscribe", session_id=session)["position"]
        client.result("update_session_state", session_id=session, state_data={"a": 1})
        with Knocker(daemon.socket_path, daemon.place("lines")) as knocker:
            for _ in range(3):
                ran = daemon.restart()
                assert ran.returncode == 0, ran.stderr
        assert knocker.refused == []
        assert knocker.let_in > 0
        assert client.event("connection.closing")["data"]["name"] == "restarting"
        assert daemon.child.wait(DEADLINE_S) == 0
        now = daemon.now()
        assert (now["lines"], now["unix"]) == (daemon.ready["lines"], daemon.ready["unix"])
        assert now["server_id"] != daemon.ready["server_id"]
        with Connection(daemon.socket_path) as again:
            assert hello(again, "ada", greeting)["resumed"] is True
            told = again.result("subscribe", session_id=session, since=since)
            assert told["recovered"] is True
            assert "session.updated" in [event["event"] for event in again.events_to(told["position"])]
        os.kill(now["pid"], signal.SIGTERM)
        daemon.wait()
        assert not daemon.socket_path.exists()


def test_restart_lets_an_evaluation_go_on_in_the_image(home: Path) -> None:
    """Code that a live Smalltalk runs outlasts the daemon that asked for it; it is run once, and answered."""
    with Line(home) as daemon, Amber(daemon.url) as image:
        image.wait_for_line(lambda line: "connected to" in line, "connection")
        walk = Walk(home, daemon)
        assert daemon.restart().returncode == 0
        with Connection(daemon.socket_path) as client:
            assert hello(client, "ada", walk.greeting, (walk.request_id,))["resumed"] is True
            assert walk.status(client) == "outcome_unknown"
            walk.gate.touch()
            until(lambda: walk.status(client) == "done")
            assert client.result("evaluate", **walk.asked)["result"] == "1"


def test_restart_with_bad_settings_leaves_the_old_process_serving(home: Path) -> None:
    """What is wrong is told; connections stay."""
    with Line(home, settings="[server]\n") as daemon, Connection(daemon.socket_path) as client:
        (home / "settings.toml").write_text("[server]\nlog_levle = 'info'\n", "utf-8")
        ran = daemon.restart()
        assert ran.returncode == 1
        assert "log_levle" in ran.stderr
        assert client.result("ping")["status"] == "ready"
        assert daemon.now()["pid"] == daemon.child.pid
        (home / "settings.toml").write_text("[server]\n", "utf-8")
        assert daemon.restart().returncode == 0


def test_restart_that_fails_late_is_taken_back(home: Path) -> None:
    """A next process that cannot open the store gives everything back: the old one listens again, nothing is lost."""
    with Line(home, settings="[server]\n") as daemon:
        with Connection(daemon.socket_path) as client:
            session = client.new_session(client_id="ada")
            client.result("update_session_state", session_id=session, state_data={"a": 1})
        with socket.create_server(("127.0.0.1", 0)) as taken, Knocker(daemon.socket_path) as knocker:
            place = f"127.0.0.1:{taken.getsockname()[1]}"  # seen when the store is open already
            (home / "settings.toml").write_text(f"[server]\nhttp = '{place}'\n", "utf-8")
            ran = daemon.restart()
            assert ran.returncode == 1
            assert place in ran.stderr
            assert daemon.now()["pid"] == daemon.child.pid
            assert daemon.now()["server_id"] != daemon.ready["server_id"], "it failed before anything was handed over"
        assert knocker.refused == []
        with Connection(daemon.socket_path) as client:
            assert client.result("restore_session", session_id=session)["session_state"] == {"a": 1}


def test_sigterm_while_another_process_gets_ready_ends_both(home: Path) -> None:
    """Whoever stops the process means the daemon: nobody takes over, and nothing is left running."""
    with Line(home) as daemon:
        daemon.signal(signal.SIGUSR2)
        daemon.wait_for("succession.preparing")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "told to stop" in daemon.wait_for("succession.failed")["reason"]
        assert "succession.handed_over" not in daemon.log
        assert not daemon.socket_path.exists()


def test_sigterm_while_another_process_opens_the_store_reaches_it(home: Path) -> None:
    """It is too late to serve on: the new process takes over, hears of it, and stops in order."""
    with Line(home) as daemon:
        daemon.signal(signal.SIGUSR2)
        daemon.wait_for("daemon.draining", hand_over=True)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0  # the log is whole when both have ended
        assert daemon.wait_for("succession.stop_passed_on")["pid"] != daemon.child.pid
        assert daemon.log.count('"daemon.stopped"') == 2
        assert not daemon.socket_path.exists()


def test_restart_tells_its_outcome_to_its_user_alone(home: Path) -> None:
    """It is written beside the socket, where others may be able to put files; what they put there is not followed."""
    with Line(home) as daemon:
        victim = home / "victim"
        victim.write_text("kept", "utf-8")
        told = daemon.socket_path.with_name("restart.json")
        told.with_name("restart.json.new").symlink_to(victim)
        assert daemon.restart().returncode == 0
        assert victim.read_text("utf-8") == "kept"
        assert told.stat().st_mode & 0o777 == 0o600


def test_sigterm_twice_does_not_wait(home: Path) -> None:
    """The second SIGTERM cuts off what is waited for; the end is in order all the same."""
    with (
        Line(home) as daemon,
        ScriptedImage(daemon.socket_path, "hung") as image,
        Connection(daemon.socket_path) as client,
    ):
        client.start("evaluate", code="[true] whileTrue", image_id="hung")
        assert image.request()["command"] == "evaluate"
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("daemon.draining")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert client.event("connection.closing")["data"]["name"] == "shutting_down"


def test_log_file_is_opened_anew_at_sighup(home: Path) -> None:
    """What a rotation moved away stays as it is; new lines are in the new file."""
    log = home / "daemon.log"
    command = [*serve_command(home), "--log-file", str(log), "--lines", "127.0.0.1:0"]
    with subprocess.Popen(command, env=clean_environment(), stderr=subprocess.PIPE) as child:
        try:
            until((home / "ready.json").exists)
            log.rename(home / "daemon.log.1")
            child.send_signal(signal.SIGHUP)
            until(lambda: log.exists() and "settings.reloaded" in log.read_text("utf-8"))
            assert "daemon.ready" in (home / "daemon.log.1").read_text("utf-8")
            assert (
                "stui_" in (home / "data" / "first-token").read_text("utf-8")
                or not (home / "data" / "tokens.json").exists()
            )
        finally:
            child.terminate()
        assert child.wait(DEADLINE_S) == 0


class Manager:
    """A service manager, as far as sd_notify goes: what it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(DEADLINE_S)

    def hear(self, wanted: str) -> list[str]:
        """All that is told up to a fact; descriptors that come with a barrier are closed, as systemd does."""
        heard: list[str] = []
        while wanted not in heard:
            message, descriptors, _, _ = socket.recv_fds(self._sock, 4096, 4)
            for descriptor in descriptors:
                os.close(descriptor)
            heard += message.decode().split("\n")
        return heard

    def close(self) -> None:
        """Listen no more."""
        self._sock.close()


def test_service_manager_is_told_of_the_whole_life(home: Path) -> None:
    """Time while it starts, ready, signs of life, a restart with the new process, the end."""
    manager = Manager(home / "notify")
    environment = clean_environment(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="300000")
    with subprocess.Popen(serve_command(home), env=environment, stderr=subprocess.DEVNULL) as child:
        try:
            heard = manager.hear("READY=1")
            assert any(fact.startswith("EXTEND_TIMEOUT_USEC=") for fact in heard)
            manager.hear("WATCHDOG=1")
            manager.hear("WATCHDOG=1")
            child.send_signal(signal.SIGUSR2)
            heard = manager.hear("READY=1")
            assert "RELOADING=1" in heard
            assert any(fact.startswith("MONOTONIC_USEC=") for fact in heard)
            pid = int(next(fact for fact in heard if fact.startswith("MAINPID=")).removeprefix("MAINPID="))
            assert heard.index("BARRIER=1") > heard.index(f"MAINPID={pid}")
            assert pid == json.loads((home / "ready.json").read_bytes())["pid"] != child.pid
            manager.hear("WATCHDOG=1")
        finally:
            os.kill(json.loads((home / "ready.json").read_bytes())["pid"], signal.SIGTERM)
        manager.hear("STOPPING=1")
        assert child.wait(DEADLINE_S) == 0
        until(lambda: not (home / "ready.json").exists())
    manager.close()


def test_socket_activation_serves_who_was_there_before(home: Path) -> None:
    """A client that connects while there is no daemon at all is answered by the one that it causes to start."""
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.skip("systemd-socket-activate is not installed")
    path = home / "activated.sock"
    kept = [f"--setenv={name}" for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ]
    command = [activate, f"--listen={path}", "--fdname=unix", *kept, *serve_command(home)]
    with subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL) as child:
        try:
            until(path.exists)
            path.chmod(0o600)
            with Connection(path) as client:
                assert client.result("ping")["status"] == "ready"
            ready = json.loads((home / "ready.json").read_bytes())
            assert ready["unix"] == str(path)
            child.send_signal(signal.SIGUSR2)  # its successor knows that the socket is the manager's
            until(lambda: json.loads((home / "ready.json").read_bytes())["pid"] != ready["pid"])
            with Connection(path) as client:
                assert client.result("ping")["status"] == "ready"
        finally:
            os.kill(json.loads((home / "ready.json").read_bytes())["pid"], signal.SIGTERM)
        child.wait(DEADLINE_S)
        until(lambda: not (home / "ready.json").exists())
    assert path.exists(), "the path is the manager's"


def until(what: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            if what():
                return
        except (FileNotFoundError, json.JSONDecodeError):
            pass
        assert time.monotonic() < end
        time.sleep(0.02)
