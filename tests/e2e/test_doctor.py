"""`stui-sessiond doctor` on set-ups that are really broken."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Amber, Connection, Daemon, Json, ScriptedImage, clean_environment, folder, run_cli
from tests.e2e.test_audit_cli import fill, tiny_disk


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of one's own."""
    with folder() as made:
        yield made


def doctor(home: Path, *options: str) -> tuple[int, dict[str, Json]]:
    """The exit code, and what was found, by check."""
    places = ["--data-dir", str(home / "data"), "--runtime-dir", str(home / "run")]
    shown = run_cli("doctor", "--json", *places, *options)
    assert "Traceback" not in shown.stderr
    found = json.loads(shown.stdout)
    for finding in found["findings"]:
        if finding["level"] in {"warning", "problem"}:
            assert finding["meaning"]
    assert shown.returncode == {"ok": 0, "note": 0, "warning": 1, "problem": 2}[found["worst"]]
    return shown.returncode, {finding["check"]: finding for finding in found["findings"]}


def hurts(found: dict[str, Json]) -> dict[str, str]:
    """What is a warning or a problem, but for what this machine may have."""
    own = {"file system", "free space", "sync time", "open files", "time server"}
    return {
        check: finding["level"]
        for check, finding in found.items()
        if finding["level"] in {"warning", "problem"} and check not in own
    }


def lived(home: Path) -> None:
    """Let a daemon make its folders."""
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        client.new_session()
        assert daemon.terminate() == 0


def test_nothing_there_yet(home: Path) -> None:
    """Notes, and no folder is made."""
    _, found = doctor(home)
    assert hurts(found) == {}
    assert found["daemon"]["level"] == found["store"]["level"] == found["data folder"]["level"] == "note"
    assert list(home.iterdir()) == []


def test_sound_daemon_with_an_image(home: Path) -> None:
    """Everything is looked at, ports and ready file are the daemon's, and the image answers."""
    options = ("--lines", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with Daemon(home, *options) as daemon, Amber(daemon.url):
        daemon.wait_for("peer.greeted", role="image")
        places = ("--lines", daemon.ready["lines"], "--http", daemon.ready["http"])
        _, found = doctor(home, *places, "--ready-file", str(daemon.ready_file))
        assert hurts(found) == {}
        assert found["image amber-test"]["level"] == "ok"
        assert "our daemon" in found["port http"]["what"]
        assert "our daemon" in found["port lines"]["what"]
        assert str(daemon.child.pid) in found["daemon"]["what"]
        assert found["ready file"]["level"] == found["store"]["level"] == found["audit log"]["level"] == "ok"
        assert daemon.terminate() == 0


def test_output_for_people_has_columns_and_no_colours_in_a_pipe(home: Path) -> None:
    """Also in a set-up that is broken, with a command to paste."""
    lived(home)
    (home / "data").chmod(0o777)
    shown = run_cli("doctor", "--data-dir", str(home / "data"), "--runtime-dir", str(home / "run"))
    assert shown.returncode == 2
    assert "\x1b" not in shown.stdout
    assert "problem  data folder        " in shown.stdout
    assert f"-> chmod 700 {home}/data" in shown.stdout


def test_wrong_permissions(home: Path) -> None:
    """Folders and secrets that others can read."""
    lived(home)
    (home / "data").chmod(0o755)
    (home / "run").chmod(0o777)
    (home / "data" / "resume.key").chmod(0o644)
    code, found = doctor(home)
    assert code == 2
    assert hurts(found) == {"data folder": "warning", "runtime folder": "problem", "resume.key": "problem"}


def test_wrong_setting(home: Path) -> None:
    """The daemon would not start with it."""
    code, found = doctor(home, "--http", "0.0.0.0:80")
    assert (code, list(found)) == (2, ["settings"])
    assert "loopback" in found["settings"]["what"] or "other machines" in found["settings"]["what"]


def test_port_taken_by_another(home: Path) -> None:
    """It says how to find out by whom."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, found = doctor(home, "--http", f"127.0.0.1:{port}")
    assert code == 2
    assert found["port http"]["advice"] == f"ss -ltnp 'sport = :{port}'"


def test_daemon_that_was_killed(home: Path) -> None:
    """Its socket and its ready file are left, its folder is free."""
    with Daemon(home) as daemon:
        daemon.kill()
        _, found = doctor(home, "--ready-file", str(daemon.ready_file))
    assert hurts(found) == {"daemon": "warning", "ready file": "warning"}
    assert found["audit log"]["level"] == "ok"


def test_daemon_that_is_stopped(home: Path) -> None:
    """It accepts and does not answer; the advice names its process."""
    with Daemon(home) as daemon:
        daemon.signal(signal.SIGSTOP)
        try:
            _, found = doctor(home)
        finally:
            daemon.signal(signal.SIGCONT)
        assert found["daemon"]["level"] == "problem"
        assert f"kill -CONT {daemon.child.pid}" in found["daemon"]["advice"]
        assert daemon.terminate() == 0


def test_other_daemon_on_the_same_folder(home: Path) -> None:
    """One whose socket is elsewhere is found by its lock."""
    with Daemon(home) as daemon:
        _, found = doctor(home, "--runtime-dir", str(home / "elsewhere"))
        assert hurts(found) == {"other daemons": "warning"}
        assert str(daemon.child.pid) in found["other daemons"]["what"]
        assert daemon.terminate() == 0


def test_image_that_is_stopped_and_one_that_says_nothing(home: Path) -> None:
    """Both are named; the daemon itself is well."""
    with Daemon(home) as daemon, Amber(daemon.url) as image:
        daemon.wait_for("image.probed", image_id="amber-test")  # a ping meanwhile would be told that code runs
        with ScriptedImage(daemon.socket_path, "mute"), Connection(daemon.socket_path) as client:
            assert client.result("ping", image_id="amber-test")["status"] == "ready"
            image.signal(signal.SIGSTOP)
            try:
                code, found = doctor(home)
            finally:
                image.signal(signal.SIGCONT)
        assert code >= 1
        assert hurts(found) == {"image amber-test": "warning", "image mute": "warning"}
        assert found["daemon"]["level"] == "ok"


def test_clock_that_went_back(home: Path) -> None:
    """A file of tomorrow in the data folder is what is left of it."""
    lived(home)
    path = home / "data" / "index.json"
    tomorrow = path.stat().st_mtime + 86400
    os.utime(path, (tomorrow, tomorrow))
    _, found = doctor(home)
    assert hurts(found) == {"clock": "problem"}


def test_damaged_store_and_altered_log(home: Path) -> None:
    """Both are summed up, with the command that tells more."""
    lived(home)
    path = next((home / "data" / "sessions").glob("*/*.json"))
    path.write_bytes(path.read_bytes().replace(b'"client_id"', b'"client_ID"'))
    log = next((home / "data" / "audit").glob("*.jsonl"))
    log.write_bytes(log.read_bytes().replace(b"daemon.started", b"daemon.stopped"))
    code, found = doctor(home)
    assert code == 2
    assert hurts(found) == {"store": "problem", "audit log": "problem"}
    assert "store check" in found["store"]["advice"]
    assert "audit verify" in found["audit log"]["advice"]


def test_full_disk(home: Path) -> None:
    """No room, and nothing can be written to try a sync."""
    with tiny_disk(home / "data", "1m") as disk:
        fill(disk)
        code, found = doctor(home)
    assert code == 2
    assert found["free space"]["level"] == "problem"
    assert found["file system"]["level"] == "warning"


def test_few_open_files(home: Path) -> None:
    """The limit of the shell that starts the daemon counts."""
    command = f"ulimit -n 256; exec {sys.executable} -m stui_sessiond doctor --json --data-dir {home}/data"
    shown = subprocess.run(
        ["sh", "-c", command], env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    found = {finding["check"]: finding for finding in json.loads(shown.stdout)["findings"]}
    assert found["open files"]["level"] == "warning"
    assert "ulimit -n 1088" in found["open files"]["advice"]


def test_commands_of_the_how_to_work(home: Path) -> None:
    """Every command of the page runs beside a daemon, and every check that the page names is one that doctor makes."""
    page = (ROOT / "docs/how-to/find-out-what-is-wrong.md").read_text()
    commands = [line.split()[2:] for line in page.splitlines() if line.startswith("$ stui-sessiond ")]
    places = {"STUI_SESSIOND_DATA_DIR": str(home / "data"), "STUI_SESSIOND_RUNTIME_DIR": str(home / "run")}
    assert len(commands) >= 7
    with Daemon(home) as daemon:
        for command in commands:
            shown = run_cli(*command, environment=places)
            assert shown.returncode in ({0, 1} if command[0] == "doctor" else {0}), (
                command,
                shown.stdout,
                shown.stderr,
            )
            assert shown.stderr == ""
        assert daemon.terminate() == 0
    sources = "".join(path.read_text() for path in (ROOT / "stui_sessiond/doctor").glob("*.py"))
    table = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    for check in re.findall("`([^`]+)`", " ".join(table)):
        assert check.removeprefix("port ") in sources, check
