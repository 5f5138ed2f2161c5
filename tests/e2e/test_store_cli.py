"""`stui-sessiond store`, as an operator uses it: beside a running daemon, after its end, and after damage."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Connection, Daemon, Json, folder, run_cli

FORMAT_1 = Path(__file__).parents[1] / "data" / "format-1" / "store"


def store(home: Path, *arguments: str, code: int = 0, stdin: str = "") -> str:
    """What a command prints; it has to end with this code, and without a traceback."""
    shown: subprocess.CompletedProcess[str] = run_cli(
        "store", *arguments, "--data-dir", str(home / "data"), stdin=stdin
    )
    assert shown.returncode == code, (shown.stdout, shown.stderr)
    assert "Traceback" not in shown.stderr
    return shown.stdout if code < 2 else shown.stderr


def told(home: Path, *arguments: str, code: int = 0) -> Json:
    """The same with --json."""
    found: Json = json.loads(store(home, *arguments, "--json", code=code))
    return found


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of one's own."""
    with folder() as made:
        yield made


def lived(home: Path, *, versions: int = 3) -> str:
    """The id of a session that a daemon kept and was killed with."""
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        session: str = client.new_session(name="kept")
        for number in range(versions):
            client.result("update_session_state", session_id=session, state_data={"n": number})
        daemon.kill()
    return session


def bytes_in(home: Path) -> dict[str, bytes]:
    """Every file of the data folder."""
    return {str(path): path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()}


def test_check_and_history_beside_a_daemon_at_work(home: Path) -> None:
    """While changes come in, check finds nothing wrong, history shows what was, and the daemon is not in the way."""
    stop = threading.Event()
    changes = 0
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        session = client.new_session()

        def work() -> None:
            nonlocal changes
            with Connection(daemon.socket_path) as other:
                while not stop.is_set():
                    other.result("update_session_state", session_id=session, state_data={"n": changes})
                    changes += 1

        worker = threading.Thread(target=work)
        worker.start()
        try:
            for _ in range(5):
                assert told(home, "check")["ok"] is True
            rows = told(home, "history", session, "--limit", "2")["versions"]
        finally:
            stop.set()
            worker.join()
        assert [row["version"] - rows[1]["version"] for row in rows] == [1, 0]
        assert changes > 5
        assert daemon.terminate() == 0
    assert told(home, "check")["ok"] is True


def test_check_after_kill_is_sound_and_changes_nothing(home: Path) -> None:
    """After kill -9 the table says that everything is sound; not a byte of the folder is different afterwards."""
    lived(home)
    before = bytes_in(home)
    shown = store(home, "check", "--backups")
    assert "Everything is sound." in shown
    assert bytes_in(home) == before


def test_check_of_damage_exits_1_and_says_what_to_do(home: Path) -> None:
    """A damaged file is named with what helps; repair heals it, and check is content."""
    session = lived(home)
    with Daemon(home) as daemon:
        assert daemon.terminate() == 0
    path = next((home / "data/sessions").glob(f"*/{session}.json"))
    path.write_bytes(path.read_bytes().replace(b'"n": 2', b'"n": 7'))
    shown = store(home, "check", code=1)
    assert path.name in shown
    assert "store repair" in shown
    assert told(home, "check", code=1)["ok"] is False
    assert "healed" in store(home, "repair")
    assert told(home, "check")["ok"] is True
    assert json.loads(store(home, "history", session, "--at", "4"))["state"] == {"n": 2}


def test_backup_of_a_running_daemon_is_asked_of_it(home: Path) -> None:
    """`create` says that the daemon makes them and how to ask; asked, it does, and the copy verifies beside it."""
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        client.new_session()
        refused = store(home, "backup", "create", code=2)
        assert "every hour" in refused
        assert "stui-sessiond call create_backup" in refused
        shown = run_cli("call", "create_backup", "reason=before-lunch", "--url", daemon.url, "--json")
        made = json.loads(shown.stdout)
        assert (made["sessions"], made["problems"]) == (1, [])
        assert made["name"].endswith("-before-lunch")
        assert [each["name"] for each in json.loads(store(home, "backup", "list", "--json"))] == [made["name"]]
        assert "sound" in store(home, "backup", "verify", made["name"])
        for reason in ("../x", "A", "", "automatic", "a\n"):
            assert client.refusal("create_backup", reason=reason)["code"] == "invalid_parameters"
        again = client.result("create_backup")
        assert again["name"].endswith("-manual")


def test_backup_of_a_stopped_store_and_restore_of_all(home: Path) -> None:
    """Backup, change, restore: the daemon has the old state again, and what was replaced is a whole store."""
    session = lived(home)
    name = told(home, "backup", "create", "--reason", "safe")["name"]
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        client.result("update_session_state", session_id=session, state_data={"n": "oops"})
        client.new_session(name="later")
        assert "stop it first" in store(home, "backup", "restore", name, "--yes", code=2)
        daemon.kill()
    assert "nothing was changed" in store(home, "backup", "restore", name, code=2, stdin="n\n")
    done = told(home, "backup", "restore", name, "--yes")
    assert done["sessions"] == 1
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        assert client.result("restore_session", session_id=session)["session_state"] == {"n": 2}
        assert client.result("get_session_statistics")["storage"]["sessions"] == 1
        assert daemon.terminate() == 0
    shown = run_cli("store", "export", "--data-dir", done["replaced"])
    assert json.loads(shown.stdout.splitlines()[0])["sessions"] == 2


def test_restore_of_one_session_is_a_new_version(home: Path) -> None:
    """One session comes back as a change; a client that restores it sees the old state and a newer version."""
    session = lived(home)
    name = told(home, "backup", "create")["name"]
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        client.result("update_session_state", session_id=session, state_data={"n": "oops"})
        daemon.kill()
    done = told(home, "backup", "restore", name, "--session", session, "--yes")
    assert done["version"] == 6
    assert json.loads((Path(done["replaced"]) / f"{session}.json").read_bytes())["session"]["state"] == {"n": "oops"}
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        found = client.result("restore_session", session_id=session)
        assert (found["session_state"], found["version"]) == ({"n": 2}, 6)
        assert found["integrity"]["status"] == "ok"
        changed = client.result("update_session_state", session_id=session, state_data={"n": 9}, expected_version=6)
        assert changed["version"] == 7


def test_restore_without_an_interrupted_one_has_nothing_to_undo(home: Path) -> None:
    """`--undo` says that there is nothing to go back from."""
    lived(home)
    assert "no restore was interrupted" in store(home, "backup", "restore", "--undo", code=2)


def test_export_and_import_through_pipes(home: Path) -> None:
    """An export to standard output is imported from standard input of another store; again, it is refused."""
    session = lived(home)
    text = run_cli("store", "export", "--data-dir", str(home / "data")).stdout
    with folder() as other:
        with Daemon(other) as daemon:
            assert daemon.terminate() == 0
        assert "1 sessions added" in store(other, "import", "-", stdin=text)
        assert "--replace" in store(other, "import", "-", stdin=text, code=2)
        assert "1 replaced" in store(other, "import", "-", "--replace", stdin=text)
        assert "checksum" in store(other, "import", "-", stdin=text.replace('"n":2', '"n":3'), code=2)
        with Daemon(other) as daemon, Connection(daemon.socket_path) as client:
            assert client.result("restore_session", session_id=session)["session_state"] == {"n": 2}


def test_export_to_a_file_is_whole_or_not_there(home: Path) -> None:
    """The file appears when it is complete; a wrong session leaves none."""
    session = lived(home)
    target = home / "sessions.jsonl"
    store(home, "export", str(target), "--session", "session_9_9_nobody", code=2)
    assert [path.name for path in home.iterdir() if "jsonl" in path.name] == []
    store(home, "export", str(target), "--session", session)
    assert len(target.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["repair"],
        ["backup", "list"],
        ["backup", "verify"],
        ["backup", "create"],
        ["backup", "restore", "x", "--yes"],
        ["export"],
        ["history", "session_1_1_x"],
    ],
    ids=" ".join,
)
def test_folder_without_a_store_exits_2_and_stays_as_it_is(home: Path, arguments: list[str]) -> None:
    """A wrong folder is told, with the option that names the right one; nothing is made."""
    assert "--data-dir" in store(home, *arguments, code=2)
    assert list(home.iterdir()) == []


def test_store_of_format_1_is_brought_over_by_the_daemon(home: Path) -> None:
    """A daemon on a folder of version 0.1.0 has its sessions, and the old files are a backup that verifies."""
    shutil.copytree(FORMAT_1, home / "data")
    assert "format 1" in store(home, "check")
    with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        found = client.refusal("restore_session", session_id="session_1_1763600000_format1-aaaaaaaaaaaaaaaa")
        assert found["code"] == "session_expired"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert "sound" in store(home, "backup", "verify", "before-format-2")
    assert told(home, "check", "--backups")["ok"] is True


def test_settings_say_where_the_store_is(home: Path) -> None:
    """The folder comes from the option, the environment or the settings file, as for `serve`."""
    lived(home)
    environment = {"STUI_SESSIOND_DATA_DIR": str(home / "data")}
    assert run_cli("store", "check", environment=environment).returncode == 0
    (home / "settings.toml").write_text(f'[server]\ndata_dir = "{home / "data"}"\n')
    assert run_cli("store", "check", "--config", str(home / "settings.toml")).returncode == 0
