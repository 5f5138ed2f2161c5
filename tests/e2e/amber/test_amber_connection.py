"""The Amber image connects, stays connected, and ends: its hello, its command line, and what a broken link costs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.e2e.amber.bed import BUSY_LOOP, FOLDER, TIMEOUT, TOKEN, Image, find_node, run_image


def test_hello_names_the_image(image: Image) -> None:
    """The first line is a hello with the identity, the token and the capabilities of the image."""
    parameters = image.hello["parameters"]
    identity = parameters["identity"]
    assert (image.hello["id"], image.hello["command"]) == ("hello-1", "hello")
    assert (parameters["role"], parameters["protocol"], parameters["token"]) == ("image", ["1.0.0"], TOKEN)
    assert (identity["image_id"], identity["name"]) == ("amber-test", "Amber under test")
    assert (identity["dialect"], identity["version"], identity["generation"]) == ("Amber", "0.30.0", 1)
    assert identity["vm"].startswith("Node v")
    assert uuid.UUID(identity["instance_id"]).version == 4
    assert {"evaluate", "inspect", "ping", "transcript", "release_session"} <= set(identity["capabilities"])
    assert identity["changes_file"] is None


def test_hello_refused_for_good_ends_with_status_1(own_image: Image) -> None:
    """An image that is refused and may not retry says why and exits with 1."""
    own_image.refuse(retryable=False)
    _, log = own_image.process.communicate(timeout=TIMEOUT)
    assert own_image.process.returncode == 1
    assert "not this image" in log


def test_hello_refused_for_now_is_tried_again(own_image: Image) -> None:
    """An image that is refused but may retry comes back, with the same instance id, and then works."""
    first = own_image.hello["parameters"]["identity"]["instance_id"]
    own_image.refuse(retryable=True)
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    assert own_image.hello["parameters"]["identity"]["instance_id"] == first
    assert own_image.value("3 + 4") == "7"


def test_termination_over_unix_socket_exits_0(tmp_path: Path) -> None:
    """An image on a unix socket works and ends with 0 on SIGTERM, even while it computes."""
    path = tmp_path / "daemon.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    started = Image(listener, f"unix://{path}")
    try:
        started.accept()
        started.welcome()
        assert started.value("6 * 7") == "42"
        started.start("evaluate", code="[true] whileTrue: []")
        assert started.result("ping")["status"] == "busy"
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(TIMEOUT) == 0
    finally:
        started.stop()


def test_virtual_machine_that_dies_answers_everything_and_exits_70(own_image: Image) -> None:
    """When the virtual machine dies, all pending requests fail with internal_error before the exit."""
    own_image.welcome()
    ids = [own_image.start("evaluate", code="process exit: 3"), own_image.start("evaluate", code="1")]
    answers = [own_image.link.answer_to(request_id) for request_id in ids]
    assert [answer["code"] for answer in answers] == ["internal_error", "internal_error"]
    assert own_image.process.wait(TIMEOUT) == 70


def test_command_line_help_is_shown() -> None:
    """--help prints the options and succeeds."""
    done = run_image("--help")
    assert done.returncode == 0
    assert "--connect" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--connect"),
        (("--connect", "http://localhost"), "http://localhost"),
        (("--connect", "tcp://localhost:99999"), "99999"),
        (("--connect",), "--connect"),
        (("--speed", "3"), "--speed"),
    ],
)
def test_command_line_mistake_is_one_clear_line(arguments: tuple[str, ...], named: str) -> None:
    """A wrong command line ends with 2 and one line that names the mistake."""
    done = run_image(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr


def test_reconnect_keeps_variables_and_instance(image: Image, session: str) -> None:
    """After a lost connection the image dials again, is the same instance, and still has its objects."""
    instance = image.hello["parameters"]["identity"]["instance_id"]
    image.value("kept := #(1 2 3)", session)
    image.link.close()
    image.accept()
    image.welcome()
    assert image.hello["parameters"]["identity"]["instance_id"] == instance
    assert image.value("kept size", session) == "3"


def test_reconnect_carries_answers_to_what_ran_meanwhile(own_image: Image, session: str) -> None:
    """What the old connection asked is finished once, and answered over the new one, after hello, under any id."""
    own_image.welcome()
    ids = ["late/1", 'sess\u00e4on:\u20ac:"2"']
    for request_id in ids:
        code = f"{BUSY_LOOP}. late := (late ifNil: [0]) + 1"
        parameters = {"code": code, "session_id": session}
        own_image.link.send({"id": request_id, "command": "evaluate", "parameters": parameters})
    read_only = own_image.start("inspect", target="3", session_id=session)
    own_image.ask("ping")
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    assert [own_image.link.answer_to(request_id)["result"]["result"] for request_id in ids] == ["1", "2"]
    assert own_image.value("late", session) == "2"
    assert read_only not in own_image.link.answers


def test_reconnect_says_again_what_may_not_have_arrived(own_image: Image, session: str) -> None:
    """An answer that was written to a connection that broke may be lost, so it comes again over the next one."""
    own_image.welcome()
    first = own_image.start("evaluate", code="3 + 4", session_id=session)
    assert own_image.link.answer_to(first)["result"]["result"] == "7"
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    assert own_image.link.answer_to(first)["result"]["result"] == "7"


def test_reconnect_keeps_no_more_answers_than_its_bound(tmp_path: Path) -> None:
    """The oldest answers give way, by number, by size and, once written, by age; those never written are counted."""
    program = tmp_path / "check.js"
    program.write_text(OUTBOX_CHECK, "utf-8")
    environment = {**os.environ, "OUTBOX": str(FOLDER / "outbox.js")}
    done = subprocess.run([find_node(), str(program)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


OUTBOX_CHECK = """
const assert = require('node:assert');
const { Outbox } = require(process.env.OUTBOX);
let now = 0;
const box = new Outbox({ maxAnswers: 3, maxChars: 10, writtenMs: 100, now: () => now });
for (const line of ['a', 'b', 'c', 'd']) box.keep(line, line === 'd');
assert.deepStrictEqual([box.again(), box.dropped], [['b', 'c', 'd'], 1]);
box.keep('eeeeeeeee', false);
assert.deepStrictEqual(box.again(), ['d', 'eeeeeeeee']);
now = 100;
box.keep('f', false);
assert.deepStrictEqual([box.again(), box.chars], [['f'], 1]);
"""
