"""`stui-sessiond image-conformance` against live images: they keep their word, and it says so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from stui_sessiond.testing.images.cases import load_cases
from tests.e2e.harness import IMAGE_ID, Amber, Connection, Daemon, Json, folder, run_cli

SECOND_ID = "amber-second"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with two live Ambers."""
    with folder() as home, Daemon(home) as started, Amber(started.url), Amber(started.url, SECOND_ID):
        for image_id in (IMAGE_ID, SECOND_ID):
            started.wait_for("image.connected", image_id=image_id)
        yield started


@pytest.fixture(scope="module")
def report(daemon: Daemon) -> Json:
    """How all cases went with Amber."""
    done = run_cli("image-conformance", daemon.url, "--image-id", IMAGE_ID, "--json")
    assert done.stdout, done.stderr
    told: Json = json.loads(done.stdout)
    told["exit_code"] = done.returncode
    return told


def test_amber_keeps_every_promise_that_it_makes(report: Json) -> None:
    """No case fails; what it does not publish is not offered, and nothing else is left out."""
    assert [(row["case"], row["differences"]) for row in report["rows"] if row["verdict"] == "failed"] == []
    assert report["exit_code"] == 0
    assert len(report["rows"]) == len(load_cases())
    assert report["passed"] > 5 * report["not_offered"]


def test_every_capability_of_amber_was_tried(daemon: Daemon, report: Json) -> None:
    """For each word that it publishes some case passed that takes it."""
    with Connection(daemon.socket_path) as client:
        (image,) = [each for each in client.result("list_images")["images"] if each["image_id"] == IMAGE_ID]
    cases = {case.name: case for case in load_cases()}
    passed = [cases[row["case"]] for row in report["rows"] if row["verdict"] == "passed"]
    tried = {word for case in passed for word in (case.capability, *case.needs)}
    assert set(image["capabilities"]) - tried == set()


def test_cases_leave_nothing_in_the_image(daemon: Daemon, report: Json) -> None:
    """No class of a case is left, and no session of its client."""
    assert report["passed"]
    with Connection(daemon.socket_path) as client:
        classes = client.result("list_classes", image_id=IMAGE_ID, pattern="Conf*")["classes"]
        assert [each["name"] for each in classes if each["package"] == "ConfTests"] == []
        assert client.result("get_session_statistics")["total_sessions"] == 0


def test_two_images_are_compared(daemon: Daemon) -> None:
    """A column each; how far it is goes to standard error."""
    wanted = ("--image-id", IMAGE_ID, "--image-id", SECOND_ID, "--only", "ping/*")
    done = run_cli("image-conformance", daemon.url, *wanted)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert lines == [
        ["capability", IMAGE_ID, SECOND_ID],
        ["ping", "2", "passed", "2", "passed"],
        ["4", "passed,", "0", "failed,", "0", "not", "offered"],
    ]
    said = Counter(line.split()[0] for line in done.stderr.splitlines())
    assert said == {IMAGE_ID: 2, SECOND_ID: 2}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--image-id", "nobody"), 3, f"connected: {SECOND_ID}, {IMAGE_ID}"),
        (("--image-id", IMAGE_ID, "--only", "no such case"), 2, "no case is called 'no such case'"),
        ((), 2, "Missing option '--image-id'"),
    ],
)
def test_wrong_use_is_told(daemon: Daemon, arguments: tuple[str, ...], code: int, told: str) -> None:
    """An image that is not there, a case that is none, and no image at all."""
    done = run_cli("image-conformance", daemon.url, *arguments)
    assert done.returncode == code
    assert told in done.stderr


def test_no_daemon_is_told() -> None:
    """Where nobody answers, the exit code is that of all commands."""
    done = run_cli("image-conformance", "tcp://127.0.0.1:1", "--image-id", "x")
    assert done.returncode == 3
    assert "no daemon answers" in done.stderr
