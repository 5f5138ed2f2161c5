"""A sealed store with the real daemon: its key changes under load, rekey is killed, and the how-to's commands work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stui_sessiond.storage.layout import unseal_json
from tests.e2e.harness import (
    DEADLINE_S,
    ROOT,
    Connection,
    Daemon,
    Refused,
    ScriptedImage,
    clean_environment,
    folder,
    run_cli,
)

CANARY = "canary"


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of one's own."""
    with folder() as made:
        yield made


def new_key(home: Path, name: str) -> Path:
    """Make a key file, beside the data folder."""
    file = home / name
    made = run_cli("store", "new-key", str(file), "--data-dir", str(home / "data"))
    assert made.returncode == 0, made.stderr
    return file


def encryption(key: Path | None, *previous: Path) -> str:
    """The settings."""
    current = "" if key is None else f'key_file = "{key}"\n'
    return f"[encryption]\n{current}previous_key_files = {[str(file) for file in previous]}\n"


def store(home: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints; it has to end with this code, and without a traceback."""
    shown = run_cli("store", *arguments, "--data-dir", str(home / "data"))
    assert shown.returncode == code, (shown.stdout, shown.stderr)
    assert "Traceback" not in shown.stderr
    return shown.stdout + shown.stderr


def readable(home: Path) -> list[str]:
    """Files of the data folder that show a canary. The audit log says in clear who did what, and has no content."""
    files = [path for path in (home / "data").rglob("*") if path.is_file() and path.parent.name != "audit"]
    assert len(files) > 4
    return [str(path) for path in files if CANARY in str(path) or CANARY.encode() in path.read_bytes()]


def test_daemon_with_a_key_writes_nothing_that_can_be_read(home: Path) -> None:
    """State, context, code, sources, results, names of all that has one: no file has any, also of the backups."""
    key = new_key(home, "key")
    with (
        Daemon(home, settings=encryption(key)) as daemon,
        Connection(daemon.socket_path) as client,
        ScriptedImage(daemon.socket_path, f"{CANARY}-image") as image,
    ):
        session = client.new_session(client_id=f"{CANARY}-client", name=f"{CANARY} name", image_id=f"{CANARY}-image")
        client.result("update_session_state", session_id=session, state_data={CANARY: f"{CANARY} state"})
        client.result("save_context", session_id=session, context={"workspace": {"text": CANARY}})
        asked = client.start("evaluate", session_id=session, code=f"'{CANARY} code'", idempotency_key=f"{CANARY}-key")
        image.reply(
            image.request(),
            {"result": f"{CANARY} result", "result_type": "String", "execution_time": 1, "has_error": False},
        )
        client.result_of(asked)
        source = f"{CANARY} ^ '{CANARY}'"
        asked = client.start("compile_method", session_id=session, class_name=f"{CANARY}Class", source=source)
        done = {"class_name": f"{CANARY}Class", "selector": CANARY, "previous_source": f"{CANARY} ^ 1"}
        image.reply(image.request(), done)
        client.result_of(asked)
        image.write({"event": "code_changed", "data": {"kind": "class", "class_name": CANARY, "source": CANARY}})
        kept: list[dict[str, object]] = []
        while len(kept) < 2:  # nobody is told when what an image says has arrived, except by events
            kept = client.result("list_code_changes", image_id=f"{CANARY}-image")["changes"]
        assert [row["source"] for row in kept] == [source, CANARY]
        client.result("create_backup", reason="manual")
        assert readable(home) == []
        assert daemon.terminate() == 0
        assert CANARY.encode() not in (home / "data" / "resume.key").read_bytes()
    assert readable(home) == []
    assert '"ok": true' in store(home, "check", "--backups", "--json", "--key-file", str(key))
    assert f"{CANARY} state" in store(home, "history", session, "--at", "2", "--key-file", str(key))


def test_doctor_opens_a_sealed_store_with_its_key(home: Path) -> None:
    """With the settings of the daemon all is well; without the key that is what it tells."""
    key = new_key(home, "key")
    with Daemon(home, settings=encryption(key)) as daemon:
        assert daemon.terminate() == 0
    where = ("--data-dir", str(home / "data"), "--runtime-dir", str(home / "run"))
    named = {"STUI_SESSIOND_ENCRYPTION_KEY_FILE": str(key)}
    assert "0 sessions of 0 clients, sound" in run_cli("doctor", *where, environment=named).stdout
    shown = run_cli("doctor", *where)
    assert shown.returncode == 2
    assert "no key is given" in shown.stdout
    assert "KeyMissingError" not in shown.stdout
    assert "audit log" in shown.stdout


def test_daemon_without_the_key_does_not_start(home: Path) -> None:
    """Exit code 2, the way out in the message, nothing changed; with the key all is there."""
    key, other = new_key(home, "key"), new_key(home, "other")
    with Daemon(home, settings=encryption(key)) as daemon, Connection(daemon.socket_path) as client:
        session = client.new_session()
        daemon.kill()
    before = {path: path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()}
    for settings in ("", encryption(other), encryption(home / "data" / "key"), encryption(home / "nothing")):
        refused = Refused(home, settings=settings)
        assert refused.code == 2
        assert "Traceback" not in refused.log
        assert re.search(r"key_file.*--key-file|lies in the data folder|new-key", refused.log)
    key.chmod(0o644)
    assert "chmod 600" in Refused(home, settings=encryption(key)).log
    key.chmod(0o600)
    assert {path: path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()} == before
    with Daemon(home, settings=encryption(key)) as daemon, Connection(daemon.socket_path) as client:
        assert client.result("restore_session", session_id=session)["integrity"]["status"] == "ok"


class Load:
    """Clients that change their sessions until told to stop, and know what was acknowledged."""

    def __init__(self, socket_path: Path, clients: int) -> None:
        self.known: dict[str, int] = {}
        self._stop = threading.Event()
        self._path = socket_path
        self._threads = [threading.Thread(target=self._work) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        with Connection(self._path) as client:
            session = client.new_session()
            number = 0
            while not self._stop.is_set():
                number += 1
                client.result("update_session_state", session_id=session, state_data={"n": number, "pad": CANARY * 50})
                self.known[session] = number

    def stop(self) -> dict[str, int]:
        """Stop; give the number that each session must have."""
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        return self.known


def check_known(daemon: Daemon, known: dict[str, int]) -> None:
    """All that was acknowledged is there."""
    with Connection(daemon.socket_path) as client:
        for session, number in known.items():
            found = client.result("restore_session", session_id=session)
            assert (found["session_state"]["n"], found["integrity"]["status"]) == (number, "ok")


def test_key_changes_under_load_without_a_pause(home: Path) -> None:
    """Clear to sealed, to another key, and back: each start brings all over under load, and says when it has."""
    one, two = new_key(home, "one"), new_key(home, "two")
    known: dict[str, int] = {}
    with Daemon(home) as daemon:
        load = Load(daemon.socket_path, 4)
        time.sleep(0.5)
        known.update(load.stop())
        daemon.kill()
    assert readable(home)
    for settings in (encryption(one), encryption(two, one), encryption(None, two)):
        with Daemon(home, settings=settings) as daemon:
            load = Load(daemon.socket_path, 4)
            done = daemon.wait_for("storage.rekeyed")
            changes = load.stop()
            assert all(changes.values())
            known.update(changes)
            check_known(daemon, known)
            assert done["not_needed_any_more"]
            if settings == encryption(one):
                daemon.kill()
            else:
                assert daemon.terminate() == 0
        if settings != encryption(None, two):
            assert readable(home) == []
    assert '"ok": true' in store(home, "check", "--json")
    assert len(known) == 16


def takes_two_keys(home: Path) -> bool:
    """Whether the store is between two keys."""
    text = unseal_json((home / "data" / "store.json").read_bytes())
    return text is not None and len(json.loads(text).get("keys", [])) == 2


def test_rekey_that_is_killed_is_done_again(home: Path) -> None:
    """After kill -9 at many moments the store takes both keys; the next rekey finishes, and nothing is lost."""
    keys = [new_key(home, "a"), new_key(home, "b")]
    with Daemon(home, settings=encryption(keys[0])) as daemon, Connection(daemon.socket_path) as client:
        sessions = [client.new_session() for _ in range(300)]
        for number, session in enumerate(sessions):
            client.result("update_session_state", session_id=session, state_data={"n": number})
        assert daemon.terminate() == 0
    arguments = ["--key-file", str(keys[0]), "--new-key", str(keys[1]), "--data-dir", str(home / "data")]
    command = [sys.executable, "-m", "stui_sessiond", "store", "rekey", *arguments]
    killed = 0
    for number in range(6):
        process = subprocess.Popen(
            command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not takes_two_keys(home):
            time.sleep(0.001)
        time.sleep(0.02 * number)
        process.kill()
        killed += process.wait() < 0
    assert killed > 2
    assert takes_two_keys(home)
    store(home, "rekey", *arguments[:4])
    shown = store(home, "check", "--key-file", str(keys[1]))
    assert "Everything is sound" in shown
    settings = encryption(keys[1])
    with Daemon(home, settings=settings) as daemon:
        check_known(daemon, {session: number for number, session in enumerate(sessions)})


def test_how_to_encrypt_the_store(home: Path) -> None:
    """The commands of the page work, in its order, with a daemon started wherever it says so."""
    page = (ROOT / "docs" / "how-to" / "encrypt-the-store.md").read_text("utf-8").replace("/home/me", str(home))
    blocks = re.findall(r"^```(sh|toml)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 8
    (home / "bin").mkdir()
    script = home / "bin" / "stui-sessiond"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m stui_sessiond "$@"\n')
    script.chmod(0o755)
    environment = clean_environment(STUI_SESSIOND_DATA_DIR=str(home / "data"))
    environment["PATH"] = f"{home / 'bin'}:{environment['PATH']}"
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        session = client.new_session(client_id=CANARY)
        assert daemon.terminate() == 0
    for kind, text in blocks:
        if kind == "toml":
            (home / ".config" / "stui" / "settings.toml").write_text(text)
            with Daemon(home, settings=text) as daemon, Connection(daemon.socket_path) as client:
                assert client.result("restore_session", session_id=session)["integrity"]["status"] == "ok"
                assert daemon.terminate() == 0
            continue
        done = subprocess.run(
            ["bash", "-eu", "-c", text], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
    assert CANARY in (home / "sessions.jsonl").read_text("utf-8")
    assert session in store(home, "history", session)
