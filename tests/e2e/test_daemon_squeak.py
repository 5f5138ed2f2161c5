"""The real daemon and a live Squeak together: a second dialect, whose objects outlive its process."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import IMAGE_ID as AMBER_ID
from tests.e2e.harness import Amber, Connection, Daemon, Json, folder, run_cli
from tests.e2e.squeak import Squeak

IMAGE_ID = "squeak-test"

SCHEDULING_S = 0.25
"""How much longer another image may take where one keeps a processor busy; a wait for it would have no end."""


@dataclass
class Life:
    """A daemon that wants tokens, and what a Squeak needs to connect to it."""

    daemon: Daemon
    file: Path
    token: str

    def squeak(self) -> Squeak:
        """The image of that file, connected."""
        host, port = self.daemon.place("lines")
        started = Squeak(f"tcp://{host}:{port}", self.file, self.token, IMAGE_ID)
        try:
            started.wait_for_line(lambda line: "connected to" in line, "connection")
        except BaseException:
            started.kill()
            raise
        return started


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    """A daemon on TCP, with the token it makes at its first start."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0") as started:
        yield Life(started, home / "squeak.image", started.token())


@pytest.fixture
def client(life: Life) -> Iterator[Connection]:
    """A client of that daemon."""
    with Connection(life.daemon.socket_path) as connection:
        yield connection


def image_row(client: Connection) -> Json:
    """What the daemon knows of the image."""
    rows: list[Json] = [row for row in client.result("list_images")["images"] if row["image_id"] == IMAGE_ID]
    assert len(rows) == 1
    return rows[0]


def test_squeak_evaluates_for_clients(life: Life, client: Connection) -> None:
    """The hello is accepted; clients evaluate with variables, meet errors, inspect, browse and save the context."""
    with life.squeak():
        row = image_row(client)
        assert (row["dialect"], row["generation"]) == ("Squeak", 1)
        session = client.new_session(image_id=IMAGE_ID)
        assert client.value("x := 3 + 4", session) == "7"
        assert client.value("x * 6", session) == "42"
        failed = client.result("evaluate", code="nil foo", session_id=session)
        assert (failed["has_error"], failed["error"]["class"]) == (True, "MessageNotUnderstood")
        found = client.result("inspect", target="3 @ 4", session_id=session)
        assert found["instance_vars"]["x"]["string_representation"] == "3"
        browsed = client.result("browse_class", class_name="Point", session_id=session)
        assert browsed["class_info"]["superclass"] == "Object"
        client.result("save_context", session_id=session)
        stored = client.result("load_context", session_id=session)
        assert stored["context"]["workspace"]["bindings"]["x"] == {"value": "7", "class_name": "SmallInteger"}


def test_squeak_transcript_reaches_subscribers(life: Life, client: Connection) -> None:
    """What code writes to the Transcript comes as an event of its session."""
    with life.squeak():
        session = client.new_session(image_id=IMAGE_ID)
        client.result("subscribe", session_id=session)
        client.value("Transcript show: 'hello'; cr", session)
        assert client.event("transcript")["data"]["text"] == "hello\n"


def test_squeak_saved_and_killed_comes_back_as_another_instance(life: Life, client: Connection) -> None:
    """After a save and kill -9, the session goes on with the objects that were saved; what was not saved is gone."""
    with life.squeak() as image:
        session = client.new_session(image_id=IMAGE_ID)
        client.result("subscribe", session_id=session)
        client.value("list := OrderedCollection with: 3", session)
        before = image_row(client)
        handle = client.result("evaluate", code="list", keep=True, session_id=session)["handle"]
        waiting = client.result("evaluate", code="list foo", on_error="suspend", session_id=session)
        saving = client.start("evaluate", code="StuiImage save", session_id=session)
        assert client.event("image.connected")["data"]["generation"] == before["generation"] + 1
        client.answer(saving)
        client.value("list add: 4", session)
        image.kill()
        assert client.event("image.disconnected")["data"]["image_id"] == IMAGE_ID
    with life.squeak():
        after = image_row(client)
        assert after["generation"] == before["generation"] + 1
        assert after["instance_id"] != before["instance_id"]
        assert client.value("list", session) == "an OrderedCollection(3)"
        assert client.refusal("inspect", handle=handle, session_id=session)["code"] == "stale_handle"
        assert client.event("debugger.closed")["data"]["how"] == "lost"
        assert client.result("list_debuggers", session_id=session)["debuggers"] == []
        report = client.result("get_error_report", session_id=session, debugger_id=waiting["error"]["debugger_id"])
        assert report["error"]["class"] == "MessageNotUnderstood"
        evaluated = client.result("list_evaluations", session_id=session)["evaluations"]
        assert [each["code"] for each in reversed(evaluated)] == [
            "list := OrderedCollection with: 3",
            "list",
            "list foo",
            "StuiImage save",
            "list add: 4",
            "list",
        ]


def test_squeak_keeps_every_promise_that_it_makes(life: Life) -> None:
    """The cases of image conformance pass, for each capability that it publishes."""
    with life.squeak():
        done = run_cli("image-conformance", life.daemon.url, "--image-id", IMAGE_ID, "--json")
    told: Json = json.loads(done.stdout)
    assert [(row["case"], row["differences"]) for row in told["rows"] if row["verdict"] == "failed"] == []
    assert (done.returncode, told["failed"]) == (0, 0)
    assert told["passed"] > 10 * told["not_offered"]


def test_squeak_that_hangs_leaves_another_dialect_alone(life: Life, client: Connection) -> None:
    """While one image is in an endless loop the other answers as before; the loop is seen for what it is, and ended."""
    with life.squeak(), Amber(life.daemon.url), Connection(life.daemon.socket_path) as other:
        life.daemon.wait_for("image.connected", image_id=AMBER_ID)
        session, quiet = client.new_session(image_id=IMAGE_ID), other.new_session(image_id=AMBER_ID)
        client.value("x := 42", session)
        alone = [_duration(other, quiet) for _ in range(40)]
        endless = client.start("evaluate", code="[true] whileTrue: []", session_id=session)
        while client.result("list_evaluations", session_id=session, limit=1)["evaluations"][0]["status"] != "running":
            pass
        beside = [_duration(other, quiet) for _ in range(40)]
        status = client.result("get_image_connection_status", image_id=IMAGE_ID)
        assert (status["condition"], status["pending_requests"]) == ("evaluating", 1)
        ended = client.result("interrupt_evaluation", session_id=session)["evaluations"]
        assert [each["outcome"] for each in ended] == ["interrupted"]
        assert client.answer(endless)["result"]["error"]["class"] == "Interrupted"
        assert client.value("x", session) == "42"
        assert statistics.median(beside) < statistics.median(alone) + SCHEDULING_S


def _duration(client: Connection, session: str) -> float:
    begun = time.monotonic()
    assert client.value("3 + 4", session) == "7"
    return time.monotonic() - begun
