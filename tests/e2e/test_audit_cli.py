"""`stui-sessiond audit`, as an operator uses it: beside a running daemon, after a kill, after an alteration."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.harness import (
    Connection,
    Daemon,
    Json,
    ScriptedImage,
    clean_environment,
    folder,
    run_cli,
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of one's own."""
    with folder() as made:
        yield made


def audit(home: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints; it has to end with this code, and without a traceback."""
    shown = run_cli("audit", *arguments, "--data-dir", str(home / "data"))
    assert shown.returncode == code, (shown.stdout, shown.stderr)
    assert "Traceback" not in shown.stderr
    return shown.stdout if code < 2 else shown.stderr


def rows(home: Path, count: int = 1000) -> list[Json]:
    """The newest entries."""
    return [json.loads(line) for line in audit(home, "tail", "-n", str(count), "--json").splitlines()]


def altered(path: Path, old: bytes, new: bytes) -> None:
    """Write something else into a file."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_verify_beside_a_daemon_at_work_and_after_its_end(home: Path) -> None:
    """While entries are written the log is whole each time; after the end it is closed."""
    with Daemon(home) as daemon, ScriptedImage(daemon.socket_path, "scripted") as image:
        with Connection(daemon.socket_path) as client:
            for number in range(10):
                asked = client.start("evaluate", code=f"{number}", image_id="scripted")
                request = image.request()
                image.reply(request, {"result": "1", "result_type": "X", "execution_time": 1, "has_error": False})
                client.result_of(asked)
                report = json.loads(audit(home, "verify", "--json"))
                assert (report["ok"], report["closed"]) == (True, False)
        assert daemon.terminate() == 0
    report = json.loads(audit(home, "verify", "--json"))
    assert (report["ok"], report["closed"], report["lost"]) == (True, True, 0)
    events = [row["event"] for row in rows(home)]
    assert events[0] == "daemon.started"
    assert events[-1] == "daemon.stopped"
    assert events.count("command.accepted") == events.count("command.ended") == 10


def test_verify_after_kill_and_a_torn_line(home: Path) -> None:
    """After kill -9 the log is whole; a torn line is told, named by the next daemon, and no alarm."""
    with Daemon(home) as daemon:
        daemon.wait_for("daemon.ready")
        daemon.kill()
    assert "Unaltered." in audit(home, "verify")
    path = max((home / "data" / "audit").glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"seq":')
    assert "unfinished line" in audit(home, "verify")
    with Daemon(home) as daemon:
        assert daemon.terminate() == 0
    assert "Unaltered." in audit(home, "verify")
    assert "audit.torn" in [row["event"] for row in rows(home)]


def test_verify_of_an_altered_log_exits_1_and_names_the_line(home: Path) -> None:
    """Also after the daemon was started again on it."""
    with Daemon(home) as daemon:
        assert daemon.terminate() == 0
    path = min((home / "data" / "audit").glob("*.jsonl"))
    altered(path, b'"auth":"token"', b'"auth":"none"')
    assert f"{path.name}:1: the line is not what was written" in audit(home, "verify", code=1)
    assert json.loads(audit(home, "verify", "--json", code=1))["ok"] is False
    assert audit(home, "tail").startswith("! ")
    with Daemon(home) as daemon:
        assert daemon.terminate() == 0
    audit(home, "verify", code=1)


def test_anchor_from_the_log_of_the_daemon_holds_later(home: Path) -> None:
    """The daemon tells it at its end; another one of the same number is refused."""
    with Daemon(home) as daemon:
        assert daemon.terminate() == 0
        told = daemon.wait_for("audit.anchor")
    anchor = f"{told['seq']}:{told['hash']}"
    assert anchor in audit(home, "verify")
    assert "Unaltered." in audit(home, "verify", "--anchor", anchor)
    audit(home, "verify", "--anchor", f"{told['seq']}:{'0' * 64}", code=1)
    assert "SEQ:HASH" in audit(home, "verify", "--anchor", "x", code=2)


def test_audit_where_there_is_no_log(home: Path) -> None:
    """It is said in a sentence."""
    assert "no audit log" in audit(home, "verify", code=2)
    assert audit(home, "tail") == ""


def test_tail_follows_and_shows_nothing_a_terminal_obeys(home: Path) -> None:
    """A client that is refused for a name with escape sequences and bidi controls in it comes out escaped."""
    name = "eve\x1b[2J\u202egnp"
    with Daemon(home) as daemon:
        command = [sys.executable, "-m", "stui_sessiond", "audit", "tail", "--follow", "--data-dir", str(home / "data")]
        with (
            subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) as follower,
            Connection(daemon.socket_path) as client,
        ):
            assert follower.stdout is not None
            assert "daemon.started" in follower.stdout.readline()
            client.ask("hello", role="client", client_id=name)
            line = follower.stdout.readline()
            follower.send_signal(signal.SIGINT)
            assert follower.wait(20) == 0
        assert "peer.refused" in line
        assert r"eve\x1b[2J\u202egnp" in line
        assert line.rstrip("\n").isprintable()
        assert daemon.terminate() == 0
        assert "\x1b[2J" not in daemon.log
        assert "\u202e" not in daemon.log


def test_console_log_cannot_be_forged() -> None:
    """Line breaks and escape sequences in a field or in the text of an error stay within their entry."""
    evil = "eve\\n2026-01-01 [info] daemon.forged\\x1b[1m"
    program = (
        "import structlog\n"
        "from stui_sessiond.logs import set_up_logs\n"
        "set_up_logs('console', 'info')\n"
        f"structlog.get_logger().info('peer.greeted', client_id='{evil}')\n"
        f"try:\n    raise ValueError('{evil}')\n"
        "except ValueError as error:\n    structlog.get_logger().error('x.crashed', exc_info=error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert shown.stderr.count("daemon.forged") >= 2
    assert "\x1b[1m" not in shown.stderr
    assert not re.search("^2026-01-01 ", shown.stderr, re.MULTILINE)


def test_tools_write_into_the_log(home: Path) -> None:
    """A backup and a repair made without a daemon are told, with the user who made them."""
    with Daemon(home) as daemon:
        assert daemon.terminate() == 0
    data = str(home / "data")
    assert run_cli("store", "backup", "create", "--reason", "safe", "--data-dir", data).returncode == 0
    assert run_cli("store", "repair", "--data-dir", data).returncode == 0
    found = [row for row in rows(home) if row["event"] == "tool.ran"]
    assert [row["command"] for row in found] == ["store backup create", "store repair"]
    assert found[0]["details"]["backup"].endswith("-safe")
    assert found[0]["actor"]["address"].startswith(f"user {os.getuid()} ")
    assert "Unaltered." in audit(home, "verify")


def test_tokens_and_content_are_in_no_file_of_the_log_and_in_no_log(home: Path) -> None:
    """Right tokens, wrong tokens, code and state, through a real daemon."""
    canary, wrong = "canary-" + secrets.token_hex(8), secrets.token_urlsafe(32)
    with Daemon(home, "--lines", "127.0.0.1:0") as daemon:
        token = daemon.token()
        with Connection(daemon.place("lines")) as bad:
            bad.refusal("hello", role="client", token=wrong)
        with Connection(daemon.place("lines")) as client:
            client.result("hello", role="client", client_id="ada", token=token)
            session = client.new_session(client_id="ada", session_state={"s": canary})
            client.result("update_session_state", session_id=session, state_data={"s": canary})
            client.refusal("evaluate", session_id=session, code=canary)
        assert daemon.terminate() == 0
        log = re.sub(r"^ {4}\S{40,}\n", "", daemon.log, flags=re.MULTILINE)  # the one time the token is shown
    held = b"".join(path.read_bytes() for path in (home / "data" / "audit").iterdir()) + log.encode()
    for secret in (canary, wrong, token):
        assert held.count(secret.encode()) == 0
    assert [row["outcome"] for row in rows(home) if row["event"] == "peer.refused"] == ["authentication_failed"]


@contextmanager
def tiny_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system in memory of this size, where that is permitted."""
    place.mkdir(mode=0o700)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(place)], check=False)
    if made.returncode != 0:
        pytest.skip("SKIPPED LOUDLY: mounting a tmpfs is not permitted here, so a full disk was not tried")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all room."""
    ballast = place / "ballast-of-test"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 -- it is how the loop ends
    return ballast


def test_daemon_goes_on_when_the_disk_of_the_log_is_full(home: Path) -> None:
    """It says so in its log; what waited is written when there is room again; doctor sees the full disk."""
    (home / "data").mkdir(mode=0o700)
    with tiny_disk(home / "data" / "audit", "256k") as disk, Daemon(home) as daemon:
        with Connection(daemon.socket_path) as client:
            client.result("hello", role="client", client_id="ada")
            ballast = fill(disk)
            with Connection(daemon.socket_path) as other:
                other.result("hello", role="client", client_id="bob")
            daemon.wait_for("audit.failed")
            client.result("ping")
            ballast.unlink()
            daemon.wait_for("audit.recovered")
        assert daemon.terminate() == 0
        assert "bob" in [row["actor"].get("client_id") for row in rows(home) if row["event"] == "peer.admitted"]
        assert json.loads(audit(home, "verify", "--json"))["ok"] is True
