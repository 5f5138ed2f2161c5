"""The daemon's own life, as a process: how it starts, how it refuses to, how it ends, and what a kill leaves."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Amber, Connection, Daemon, Json, Refused, ScriptedImage, folder

RUN_FOR_A_SECOND = "| end | end := Date now time + 1000. [Date now time < end] whileTrue: []. 'done'"


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for one daemon."""
    with folder() as path:
        yield path


# ---- what a kill leaves


def test_kill_loses_nothing_that_was_acknowledged(home: Path) -> None:
    """After kill -9 and a restart on the same folder every acknowledged state, context and version is there."""
    expected: dict[str, tuple[Json, int, str]] = {}
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        for number in range(5):
            session = client.new_session(client_id="me", name=f"number {number}")
            for step in range(4):
                state = {"session": number, "step": step, "text": "häßlich \U0001f600"}
                updated = client.result("update_session_state", session_id=session, state_data=state)
            context = {"workspace": {"text": f"text {number}"}, "client": {"panels": [number]}}
            saved = client.result("save_context", session_id=session, tool_id="w", context=context)
            assert saved["version"] == updated["version"] + 1
            expected[session] = (state, saved["version"], saved["checksum"])
        daemon.kill()
        first_server = daemon.ready["server_id"]
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        assert daemon.ready["server_id"] != first_server
        assert client.result("list_client_sessions", client_id="me")["session_count"] == len(expected)
        for session, (state, version, checksum) in expected.items():
            restored = client.result("restore_session", session_id=session)
            assert (restored["session_state"], restored["version"]) == (state, version)
            assert restored["integrity"] == {"status": "ok"}
            loaded = client.result("load_context", session_id=session, tool_id="w")
            assert (loaded["loaded"], loaded["integrity"]["status"]) == (True, "ok")
            assert loaded["integrity"]["checksum"] == checksum
            assert loaded["context"]["workspace"] == {"text": f"text {state['session']}"}
        fresh = client.new_session(client_id="me too")
        assert fresh not in expected
        assert int(fresh.split("_")[1]) > max(int(session.split("_")[1]) for session in expected)


class Writer(threading.Thread):
    """A client that counts a session's state up until the daemon is gone."""

    def __init__(self, place: Path, name: str, acknowledgement: threading.Semaphore) -> None:
        super().__init__(name=name)
        self.session = ""
        self.version = 0
        self._place = place
        self._acknowledgement = acknowledgement

    def run(self) -> None:
        with Connection(self._place) as client:
            self.session = client.new_session(client_id=self.name)
            self.version = 1
            while True:
                state = {"writer": self.name, "n": self.version + 1, "ballast": "x" * 2000}
                try:
                    client.start("update_session_state", session_id=self.session, state_data=state)
                except OSError:
                    return
                answer = client.read()
                if answer is None:
                    return
                self.version = answer["result"]["version"]
                self._acknowledgement.release()


def test_kill_while_eight_clients_write_loses_nothing_that_was_acknowledged(home: Path) -> None:
    """A kill in the midst of eight writing clients leaves each at its acknowledged version, or at the one after."""
    acknowledgements = threading.Semaphore(0)
    with Daemon(home) as daemon:
        writers = [Writer(daemon.socket_path, f"writer {number}", acknowledgements) for number in range(8)]
        for writer in writers:
            writer.start()
        for _ in range(400):
            assert acknowledgements.acquire(timeout=20)
        daemon.kill()
        for writer in writers:
            writer.join(20)
    assert all(writer.version > 1 for writer in writers)
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        for writer in writers:
            restored = client.result("restore_session", session_id=writer.session)
            assert restored["version"] in {writer.version, writer.version + 1}
            assert restored["session_state"]["n"] == restored["version"]
            assert restored["session_state"]["writer"] == writer.name
            assert restored["integrity"] == {"status": "ok"}


def test_socket_and_ready_file_of_a_killed_daemon_are_taken_over(home: Path) -> None:
    """What a killed daemon leaves behind does not stop the next one, nor does it look ready too early."""
    with Daemon(home) as daemon:
        daemon.kill()
        assert daemon.socket_path.is_socket()
        assert daemon.ready_file.exists()
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        assert client.result("ping")["status"] == "ready"
        assert json.loads(daemon.ready_file.read_bytes())["pid"] == daemon.child.pid


def test_ready_file_of_a_killed_daemon_is_gone_when_the_next_cannot_start(home: Path) -> None:
    """A start that fails leaves no ready file that tells of a daemon that is not there."""
    with Daemon(home) as daemon:
        daemon.kill()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = Refused(home, "--lines", f"127.0.0.1:{taken.getsockname()[1]}")
    assert refused.code == 2
    assert not (home / "ready.json").exists()


# ---- the end


def test_sigterm_waits_for_an_evaluation_and_exits_0(home: Path) -> None:
    """An evaluation under way when SIGTERM comes is answered; then all connections, files and the process go."""
    with Daemon(home) as daemon, Amber(daemon.url), Connection(daemon.socket_path) as client:
        daemon.wait_for("image.connected")
        session = client.new_session()
        client.result("update_session_state", session_id=session, state_data={"a": 1})
        asked = client.start("evaluate", code=RUN_FOR_A_SECOND, session_id=session)
        client.result("ping")  # so the daemon has read the evaluation before it
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("daemon.draining")
        assert client.refusal("get_session_statistics")["code"] == "shutting_down"
        assert client.result_of(asked)["result"] == "'done'"
        assert client.event("connection.closing")["data"]["name"] == "shutting_down"
        assert client.read() is None
        assert daemon.wait() == 0
        assert not daemon.socket_path.exists()
        assert not daemon.ready_file.exists()


def test_sigterm_cuts_off_what_takes_longer_than_the_drain_timeout(home: Path) -> None:
    """An evaluation that never ends does not keep the daemon from ending."""
    settings = "[server]\ndrain_timeout = 0.2\n"
    with (
        Daemon(home, settings=settings) as daemon,
        ScriptedImage(daemon.socket_path, "hung") as image,
        Connection(daemon.socket_path) as client,
    ):
        client.start("evaluate", code="[true] whileTrue", image_id="hung")
        assert image.request()["command"] == "evaluate"
        assert daemon.terminate() == 0
        assert "server.drain_cut" in daemon.log
        assert client.event("connection.closing")["data"]["reconnect"] is True


def test_sigint_twice_exits_at_once_with_130(home: Path) -> None:
    """The second Ctrl-C ends a daemon that waits for a hung evaluation."""
    with (
        Daemon(home) as daemon,
        ScriptedImage(daemon.socket_path, "hung") as image,
        Connection(daemon.socket_path) as client,
    ):
        client.start("evaluate", code="[true] whileTrue", image_id="hung")
        assert image.request()["command"] == "evaluate"
        daemon.signal(signal.SIGINT)
        daemon.wait_for("daemon.draining")
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 130
        assert client.read() is None


def test_sigint_once_exits_0(home: Path) -> None:
    """One Ctrl-C ends an idle daemon in good order."""
    with Daemon(home) as daemon:
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0
        daemon.wait_for("daemon.stopped")


# ---- starts that are refused


@pytest.mark.parametrize(
    ("settings", "options", "parts"),
    [
        ("[sessions]\nretention = -1\n", (), ("settings.toml", "sessions.retention", "a number above 0")),
        ("[limits]\nmax_connections = 'many'\n", (), ("settings.toml", "limits.max_connections", "a whole number")),
        ("[sessions]\ntimout = 3\n", (), ("settings.toml", "sessions.timout", "default_timeout")),
        ("[session]\n", (), ("settings.toml", "session", "sessions")),
        ("[server\n", (), ("settings.toml", "line 1")),
        ("", ("--auth", "maybe"), ("command line", "server.auth", "none or token")),
        ("", ("--log-level", "loud"), ("command line", "server.log_level", "debug or error")),
        ("", ("--lines", "7447"), ("server.lines", "HOST:PORT", "127.0.0.1:7447")),
        ("", ("--http", "192.0.2.1:0"), ("server.http", "192.0.2.1", "127.0.0.1 or ::1")),
        ("", ("--http", "example.org:80"), ("server.http", "example.org", "127.0.0.1 or ::1")),
    ],
)
def test_bad_setting_stops_the_start(home: Path, settings: str, options: tuple[str, ...], parts: list[str]) -> None:
    """A wrong setting ends the start with 2 and one line: the place, the key, and what is allowed."""
    refused = Refused(home, *options, settings=settings)
    assert refused.code == 2
    assert len(refused.log.splitlines()) == 1, refused.log
    assert [part for part in parts if part not in refused.log] == [], refused.log
    assert not (home / "data").exists()


def test_bad_setting_in_the_environment_names_the_variable(home: Path) -> None:
    """A variable with our prefix that is no setting is a mistake, not nothing."""
    refused = Refused(home, STUI_SESSIOND_SESSIONS_RETENTOIN="3")
    assert refused.code == 2
    assert "STUI_SESSIOND_SESSIONS_RETENTOIN" in refused.log
    assert "retention" in refused.log


def test_missing_settings_file_is_named(home: Path) -> None:
    """A settings file that is not there stops the start."""
    refused = Refused(home, "--config", str(home / "nowhere.toml"))
    assert refused.code == 2
    assert "nowhere.toml" in refused.log


def test_second_daemon_on_the_same_data_is_refused(home: Path) -> None:
    """One data folder has one daemon; the second says so and the first does not notice."""
    with Daemon(home) as daemon:
        refused = Refused(home, "--unix", str(home / "other.sock"), "--ready-file", str(home / "other.json"))
        assert refused.code == 2
        assert "another daemon uses the data folder" in refused.log
        assert "Traceback" not in refused.log
        with Connection(daemon.socket_path) as client:
            assert client.result("ping")["status"] == "ready"


def test_second_daemon_on_the_same_socket_is_refused(home: Path) -> None:
    """A socket on which a daemon listens is not taken from it."""
    with Daemon(home) as daemon:
        options = ("--data-dir", str(home / "other"), "--ready-file", str(home / "other.json"))
        refused = Refused(home, *options)
        assert refused.code == 2
        assert "another daemon listens" in refused.log
        with Connection(daemon.socket_path) as client:
            assert client.result("ping")["status"] == "ready"


def test_file_where_the_socket_should_be_is_left_alone(home: Path) -> None:
    """A file that is no socket is not removed; the start is refused."""
    path = home / "notes.txt"
    path.write_text("mine")
    refused = Refused(home, "--unix", str(path))
    assert refused.code == 2
    assert "is no socket" in refused.log
    assert path.read_text() == "mine"


def test_socket_path_too_long_is_refused(home: Path) -> None:
    """A path that does not fit into a socket address is a clear mistake."""
    refused = Refused(home, "--unix", str(home / ("x" * 120)))
    assert refused.code == 2
    assert "more than" in refused.log


@pytest.mark.parametrize("listener", ["lines", "http"])
def test_port_in_use_is_a_clear_error(home: Path, listener: str) -> None:
    """A port somebody else has stops the start, saying which, and leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Refused(home, f"--{listener}", f"127.0.0.1:{port}")
    assert refused.code == 2
    assert f"{listener}: cannot listen on 127.0.0.1:{port}" in refused.log
    assert "Traceback" not in refused.log
    assert not (home / "run" / "daemon.sock").exists()
    with Daemon(home) as daemon:
        assert daemon.ready["unix"] == str(daemon.socket_path)


def test_first_token_of_a_start_that_failed_is_shown(home: Path) -> None:
    """It is good from then on and shown never again, so it is shown although nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = Refused(home, "--lines", f"127.0.0.1:{taken.getsockname()[1]}")
    (shown,) = re.findall(r"^ {4}(stui_\S+)$", refused.log, re.MULTILINE)
    with Daemon(home, "--lines", "127.0.0.1:0") as daemon, Connection(daemon.place("lines")) as client:
        assert client.result("hello", role="client", token=shown)["rights"]


def test_ready_file_that_cannot_be_written_is_a_clear_error(home: Path) -> None:
    """A ready file in a folder that is not there stops the start, in good order."""
    refused = Refused(home, "--ready-file", str(home / "nowhere" / "ready.json"))
    assert refused.code == 2
    assert "ready_file" in refused.log
    assert "Traceback" not in refused.log
    assert not (home / "run" / "daemon.sock").exists()


def test_token_file_that_cannot_be_read_is_a_clear_error(home: Path) -> None:
    """A damaged token file lets nobody in: the start is refused with what to do."""
    with Daemon(home, "--lines", "127.0.0.1:0") as daemon:
        assert daemon.terminate() == 0
    (home / "data" / "tokens.json").write_text("{")
    refused = Refused(home, "--lines", "127.0.0.1:0")
    assert refused.code == 2
    assert "tokens.json" in refused.log
