"""Images over the lives of daemons and of themselves: what is remembered, whose sessions are whose, what is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.harness import Connection, Daemon, Json, ScriptedImage, folder, run_cli

SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}

PROCESS = """
import json, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
hello = {"role": "image", "identity": {"image_id": sys.argv[2], "instance_id": "1", "generation": 4}}
link.sendall(json.dumps({"id": "hello", "command": "hello", "parameters": hello}).encode() + b"\\n")
for line in link.makefile():
    print(line, end="", flush=True)
"""
"""An image in a process of its own, which says hello and then nothing."""


@contextmanager
def image_process(place: Path, image_id: str) -> Iterator[subprocess.Popen[str]]:
    """Run it until it is killed."""
    command = [sys.executable, "-c", PROCESS, str(place), image_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["status"] == "success"
        try:
            yield child
        finally:
            child.kill()


def evaluates(client: Connection, image: ScriptedImage, session: str) -> None:
    """Fail unless code of the session runs in this image."""
    asked = client.start("evaluate", code="3 + 4", session_id=session)
    request = image.request()
    assert request["parameters"]["session_id"] == session
    image.reply(request, SEVEN)
    assert client.result_of(asked)["result"] == "7"


def status(client: Connection, image_id: str) -> Json:
    """How an image is."""
    return client.result("get_image_connection_status", image_id=image_id)


def test_sessions_of_an_image_are_its_own_over_restarts_of_both() -> None:
    """Daemon killed, image started anew, both: the session belongs to it still, and history tells of every life."""
    with folder() as home:
        with Daemon(home, "--log-level", "debug") as daemon, Connection(daemon.socket_path) as client:
            with ScriptedImage(daemon.socket_path, "pharo", "life-1") as image:
                session = client.new_session(image_id="pharo")
                evaluates(client, image, session)
                kept = client.result("cleanup_image_sessions", image_id="pharo")
                assert kept["sessions_cleaned"] == 0
                spare = client.new_session(image_id="pharo")
                gone = client.result("cleanup_image_sessions", image_id="pharo", preserve_active=False, force=True)
                assert gone["sessions_cleaned"] == 2
                for each in (session, spare):
                    client.result("restore_session", session_id=each, reopen=True)
            with ScriptedImage(daemon.socket_path, "pharo", "life-2") as image:
                evaluates(client, image, session)
                daemon.wait_for("image.remembered", image_id="pharo", connections=2)
                daemon.kill()
        with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
            told = status(client, "pharo")
            assert (told["status"], told["condition"], told["session_count"]) == ("reconnecting", "link_lost", 2)
            assert [one["instance_id"] for one in told["connections"]] == ["life-2", "life-1"]
            assert [one["sessions_cleaned"] for one in told["cleanups"]] == [2]
            with ScriptedImage(daemon.socket_path, "pharo", "life-3") as image:
                evaluates(client, image, session)
                rows = client.result("list_image_sessions", image_id="pharo")["sessions"]
                assert sorted(row["session_id"] for row in rows) == sorted([session, spare])
                assert daemon.terminate() == 0
        with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
            reasons = [one["reason"] for one in status(client, "pharo")["connections"]]
            assert reasons[0] == "shutting_down"
            assert set(reasons[1:]) <= {"link_lost", "daemon_ended"}


def test_generation_that_was_seen_is_remembered_over_a_restart() -> None:
    """An old copy that is started after the daemon was started anew is found out all the same."""
    identity = {"image_id": "pharo", "instance_id": "a", "generation": 7}
    with folder() as home:
        with Daemon(home) as daemon, Connection(daemon.socket_path) as image:
            image.result("hello", role="image", identity=identity)
            assert daemon.terminate() == 0
        with Daemon(home) as daemon, Connection(daemon.socket_path) as image:
            copy = {**identity, "instance_id": "b", "generation": 6}
            greeting = image.result("hello", role="image", identity=copy)
            assert len(greeting["warnings"]) == 1
            assert "generation 7" in greeting["warnings"][0]
            daemon.wait_for("image.conflict", kind="older_generation")


def test_damaged_history_of_images_keeps_no_daemon_from_starting() -> None:
    """It goes to quarantine and is reported; sessions are what they were, and the image is known when it comes."""
    with folder() as home:
        with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
            session = client.new_session(image_id="pharo")
            with ScriptedImage(daemon.socket_path, "pharo"):
                pass
            assert daemon.terminate() == 0
        database = daemon.data / "images.sqlite3"
        database.write_bytes(b"scribble" * 1000)
        with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
            daemon.wait_for("database.quarantined", file="images.sqlite3")
            assert [path.name[9:] for path in (daemon.data / "quarantine").iterdir()] == ["damaged-images.sqlite3"]
            assert status(client, "pharo")["status"] == "unknown"
            with ScriptedImage(daemon.socket_path, "pharo") as image:
                evaluates(client, image, session)


def test_process_that_is_killed_is_told_from_a_link_that_broke() -> None:
    """The daemon sees that an image on its own machine is gone, and says so to those who wait for its code."""
    with folder() as home, Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        with image_process(daemon.socket_path, "mortal") as process:
            session = client.new_session(image_id="mortal")
            client.result("subscribe", session_id=session)
            asked = client.start("evaluate", code="Smalltalk quit", session_id=session)
            client.event("evaluation.started")
            process.kill()
            process.wait()
            assert client.answer(asked)["code"] == "image_lost"
            conditions = [client.event("image.condition_changed")["data"]["condition"]]
            if conditions == ["link_lost"]:  # the link is seen to break first
                conditions.append(client.event("image.condition_changed")["data"]["condition"])
            assert conditions[-1] == "process_gone"
        told = status(client, "mortal")
        assert (told["condition"], told["status"]) == ("process_gone", "reconnecting")
        assert "start the image" in told["condition_text"]


def test_images_are_listed_for_a_person_and_for_a_script() -> None:
    """`stui-sessiond images` has those to look at first, with their sessions; nothing in it steers a terminal."""
    with folder() as home, Daemon(home) as daemon, Connection(daemon.socket_path) as client:
        session = client.new_session(image_id="gone", name="mine")
        assert "none yet" not in run_cli("images", "--url", daemon.url).stdout
        with Connection(daemon.socket_path) as image:
            identity = {"image_id": "well", "instance_id": uuid.uuid4().hex, "dialect": "Pharo\x1b[2J", "version": "12"}
            image.result("hello", role="image", identity=identity)
            shown = run_cli("images", "--url", daemon.url)
            assert (shown.returncode, shown.stderr) == (0, "")
            lines = shown.stdout.splitlines()
            assert lines[0].split() == ["gone", "unknown", "unknown", "unknown", "-"]
            assert session in lines[2]
            assert "well" in lines[3]
            assert "\x1b" not in shown.stdout
            told = json.loads(run_cli("images", "--url", daemon.url, "--json").stdout)
            assert {row["image_id"] for row in told["images"]} == {"gone", "well"}
            assert [row["session_id"] for row in told["sessions"]] == [session]
