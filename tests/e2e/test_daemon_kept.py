"""What an image keeps, with the real daemon: left by one client, taken up by another, over a kill and a restart."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Connection, Daemon, Json, ScriptedImage, clean_environment, folder

HALT: Json = {
    "result": None,
    "result_type": "Halt",
    "execution_time": 1,
    "has_error": True,
    "error": {
        "class": "Halt",
        "message": "stop",
        "debugger_id": "p1",
        "stack": [{"index": 1, "class": "Counter", "selector": "next"}],
    },
}
SUSPENDED: Json = {
    "result": None,
    "debug_info": {"state": "suspended", "stack": [{"index": 1, "class": "Counter", "selector": "next"}]},
}
FINISHED: Json = {
    "result": "42",
    "debug_info": {
        "state": "finished",
        "outcome": {"result": "42", "result_type": "SmallInteger", "execution_time": 3, "has_error": False},
    },
}
KEPT: Json = {
    "result": "a Counter",
    "result_type": "Counter",
    "execution_time": 1,
    "has_error": False,
    "handle": "o1",
}
LOOKED: Json = {
    "object_info": {"class_name": "Counter", "string_representation": "a Counter", "hash": 7, "size": None},
    "instance_vars": {"count": {"class_name": "SmallInteger", "string_representation": "3"}},
}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for the daemon."""
    with folder() as path:
        yield path


def client(daemon: Daemon, name: str) -> Connection:
    """A client that says who it is."""
    connection = Connection(daemon.socket_path)
    connection.result("hello", role="client", protocol=["1.0.0"], client_id=name)
    return connection


def answered(client: Connection, image: ScriptedImage, answer: Json, command: str, **parameters: object) -> Json:
    """The result of a request that the image answers so."""
    asked = client.start(command, **parameters)
    request = image.request()
    assert request["command"] == command
    image.reply(request, answer)
    return client.result_of(asked)


def shared_session(owner: Connection, client_id: str, *editors: str) -> str:
    """A session of that owner's in which the others may work."""
    session: str = owner.result("create_session", client_id=client_id, image_id="scripted")["session_id"]
    for editor in editors:
        owner.result("share_session", session_id=session, client_id=editor, role="editor")
    return session


def test_process_is_left_by_one_client_and_taken_up_by_another_over_a_kill(home: Path) -> None:
    """The list is on disk before the answer is out; who comes after kill -9 goes on where the other one stopped."""
    with Daemon(home) as daemon, client(daemon, "ada") as ada:
        session = shared_session(ada, "ada", "bob")
        with ScriptedImage(daemon.socket_path, "scripted", "run-1") as image:
            halted = answered(
                ada, image, HALT, "evaluate", session_id=session, code="Counter new next", on_error="suspend"
            )
            name = halted["error"]["debugger_id"]
            stepped = {"session_id": session, "operation": "StepOver", "debugger_id": name}
            assert answered(ada, image, SUSPENDED, "debug", **stepped)["debug_info"]["state"] == "suspended"
            daemon.kill()
    with Daemon(home) as daemon, client(daemon, "bob") as bob:
        (listed,) = bob.result("list_debuggers", session_id=session)["debuggers"]
        assert (listed["debugger_id"], listed["state"], listed["holder"]) == (name, "image_away", None)
        assert (listed["error_class"], listed["error_message"]) == ("Halt", "stop")
        refused = bob.refusal("debug", session_id=session, operation="Continue", debugger_id=name)
        assert refused["code"] == "image_unavailable"
        with ScriptedImage(daemon.socket_path, "scripted", "run-1") as image:
            looked = {"session_id": session, "operation": "GetStackTrace", "debugger_id": name}
            assert answered(bob, image, SUSPENDED, "debug", **looked)["debug_info"]["stack"][0]["class"] == "Counter"
            bob.result("subscribe", session_id=session)
            went_on = {"session_id": session, "operation": "Continue", "debugger_id": name}
            assert answered(bob, image, FINISHED, "debug", **went_on)["result"] == "42"
            assert bob.event("debugger.held")["data"] == {"debugger_id": name, "holder": "bob", "previous": None}
            assert bob.event("debugger.closed")["data"] == {"debugger_id": name, "how": "finished"}
            daemon.kill()
    with Daemon(home) as daemon, client(daemon, "ada") as ada:
        assert ada.result("list_debuggers", session_id=session)["debuggers"] == []
        report = ada.result("get_error_report", session_id=session, debugger_id=name)
        assert report["error"]["class"] == "Halt", "the report is there when the process and the image are gone"
        assert daemon.terminate() == 0


def test_lease_outlives_the_connection_of_its_holder(home: Path) -> None:
    """Who hung up in the middle holds the process still; an editor may take it over, and so may the owner at once."""
    with Daemon(home) as daemon, client(daemon, "owner") as owner, client(daemon, "bob") as bob:
        session = shared_session(owner, "owner", "ada", "bob")
        with ScriptedImage(daemon.socket_path, "scripted") as image, client(daemon, "ada") as ada:
            ada.result("subscribe", session_id=session)
            halted = answered(ada, image, HALT, "evaluate", session_id=session, code="1/0", on_error="suspend")
            wanted = {"session_id": session, "debugger_id": halted["error"]["debugger_id"]}
            answered(ada, image, SUSPENDED, "debug", **wanted, operation="StepInto")
            for action in ("take", "take_over", "release"):
                refused = bob.refusal("take_debugger", **wanted, action=action)
                assert (refused["code"], refused["details"]["holder"]) == ("debugger_held", "ada")
            bob.result("subscribe", session_id=session)
            ada.close()
            bob.event("client.detached")
            assert bob.refusal("debug", **wanted, operation="Continue")["code"] == "debugger_held"
            assert bob.result("take_debugger", **wanted, action="take_over")["holder"] == "bob"
            assert owner.refusal("take_debugger", **wanted)["code"] == "debugger_held"
            assert owner.result("take_debugger", **wanted, action="take_over")["holder"] == "owner"
            assert bob.refusal("debug", **wanted, operation="Continue")["code"] == "debugger_held"
            assert owner.result("take_debugger", **wanted, action="release")["holder"] is None
            assert answered(bob, image, FINISHED, "debug", **wanted, operation="Continue")["result"] == "42"
        assert daemon.terminate() == 0


def test_object_outlives_the_daemon_but_not_its_image(home: Path) -> None:
    """A handle works after kill -9, and is in the list again; another instance of the image never sees it."""
    with Daemon(home) as daemon, client(daemon, "ada") as ada:
        session = shared_session(ada, "ada")
        with ScriptedImage(daemon.socket_path, "scripted", "run-1") as image:
            kept = answered(ada, image, KEPT, "evaluate", session_id=session, code="Counter new", keep=True)
            daemon.kill()
    asked = {"session_id": session, "handle": kept["handle"]}
    with Daemon(home) as daemon, client(daemon, "ada") as ada:
        assert ada.result("list_handles", session_id=session)["handles"] == []
        with ScriptedImage(daemon.socket_path, "scripted", "run-1") as image:
            assert answered(ada, image, LOOKED, "inspect", **asked)["object_info"]["class_name"] == "Counter"
            (listed,) = ada.result("list_handles", session_id=session)["handles"]
            assert (listed["handle"], listed["class_name"], listed["stale"]) == (kept["handle"], "Counter", False)
        ada.result("subscribe", session_id=session)
        with ScriptedImage(daemon.socket_path, "scripted", "run-2") as image:
            ada.event("image.connected")
            assert ada.refusal("inspect", **asked)["code"] == "stale_handle"
            again = answered(ada, image, KEPT, "evaluate", session_id=session, code="Counter new", keep=True)
            assert again["handle"] != kept["handle"], "though the image uses its own name again"
            released = ada.result("release_handles", session_id=session, handles=[kept["handle"]])
            assert released == {"released": 1}
            assert [one["handle"] for one in ada.result("list_handles", session_id=session)["handles"]] == [
                again["handle"]
            ]
        assert daemon.terminate() == 0


def test_process_of_an_image_that_is_started_anew_is_lost(home: Path) -> None:
    """Also when the daemon was not there meanwhile: the arrival of another instance tells."""
    with Daemon(home) as daemon, client(daemon, "ada") as ada:
        session = shared_session(ada, "ada")
        position = ada.result("subscribe", session_id=session)["position"]
        with ScriptedImage(daemon.socket_path, "scripted", "run-1") as image:
            halted = answered(ada, image, HALT, "evaluate", session_id=session, code="1/0", on_error="suspend")
            name = halted["error"]["debugger_id"]
            daemon.kill()
    with (
        Daemon(home) as daemon,
        client(daemon, "ada") as ada,
        ScriptedImage(daemon.socket_path, "scripted", "run-2"),
    ):
        ada.result("subscribe", session_id=session, since=position)
        assert ada.event("debugger.opened")["data"]["debugger_id"] == name
        assert ada.event("debugger.closed")["data"] == {"debugger_id": name, "how": "lost"}
        assert (
            ada.refusal("debug", session_id=session, operation="Continue", debugger_id=name)["code"] == "stale_handle"
        )
        assert ada.result("list_debuggers", session_id=session)["debuggers"] == []
        assert daemon.terminate() == 0


def test_program_of_the_how_to_works(home: Path) -> None:
    """The page's program, as it stands there, prints what the page says; the image is asked what it ought to be."""
    page = (ROOT / "docs/how-to/debug-a-suspended-process.md").read_text("utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (printed,) = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    frame = {"index": 1, "class": "SmallInteger", "selector": "/"}
    error = {"class": "ZeroDivide", "message": "division by zero", "debugger_id": "p1", "stack": [frame]}
    outcome = {"result": "42", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}
    waits = {"state": "suspended", "stack": [frame]}
    answers: list[tuple[str, Json]] = [
        ("evaluate", {**HALT, "result_type": "ZeroDivide", "error": error}),
        ("GetStackTrace", {"result": None, "debug_info": waits}),
        ("EvaluateInFrame", {"result": "3", "debug_info": waits}),
        ("ReturnValue", {"result": None, "debug_info": {"state": "finished", "outcome": outcome}}),
    ]
    with Daemon(home) as daemon, ScriptedImage(daemon.socket_path, "scripted") as image:
        running = subprocess.Popen(
            [sys.executable, "-c", program, daemon.url, "scripted"],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            for wanted, answer in answers:
                request = image.request()
                assert request["parameters"].get("operation", request["command"]) == wanted
                image.reply(request, answer)
            out, trouble = running.communicate(timeout=20)
        finally:
            running.kill()
        assert (running.returncode, trouble) == (0, "")
        assert out == printed
