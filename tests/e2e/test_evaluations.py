"""Evaluations with the real daemon: what is kept over kill -9 and without the image, and images that hang."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import IMAGE_ID, Amber, Connection, Daemon, ScriptedImage, folder
from tests.e2e.test_sealed_daemon import encryption, new_key


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of one's own."""
    with folder() as made:
        yield made


@pytest.mark.parametrize("sealed", [False, True])
def test_evaluations_survive_daemon_and_image(home: Path, sealed: bool) -> None:
    """After kill -9, and with no image, the list, the pages of a result and the report of an error are as they were."""
    settings = encryption(new_key(home, "key")) if sealed else ""
    with (
        Daemon(home, settings=settings) as daemon,
        Amber(daemon.url),
        Connection(daemon.socket_path) as client,
    ):
        daemon.wait_for("image.connected", image_id=IMAGE_ID)
        session = client.new_session(image_id=IMAGE_ID)
        here = {"session_id": session, "tool_id": "canary"}
        first = client.result("evaluate", code="(1 to: 50) asArray", page_chars=7, idempotency_key="page", **here)
        assert (len(first["result"]), first["truncated"], first["evaluation"]) == (7, True, "page")
        client.result("evaluate", code="'canary' frobnicate", idempotency_key="error", **here)
        asked = (
            ("list_evaluations", {"session_id": session}),
            ("get_result_page", {"session_id": session, "evaluation": "page", "start": 7}),
            ("get_error_report", {"session_id": session, "evaluation": "error"}),
        )
        before = [client.result(command, **parameters) for command, parameters in asked]
        daemon.kill()
    assert [one["code"] for one in before[0]["evaluations"]] == ["'canary' frobnicate", "(1 to: 50) asArray"]
    assert len(first["result"] + before[1]["text"]) == before[1]["total_chars"] == first["total_chars"]
    report = before[2]
    assert report["error"]["class"] == "MessageNotUnderstood"
    for word in ("MessageNotUnderstood", "frobnicate", "Stack:", IMAGE_ID):
        assert word in report["text"]
    files = b"".join(path.read_bytes() for path in daemon.data.rglob("*") if path.is_file())
    assert (b"canary" in files) is not sealed
    with Daemon(home, settings=settings) as daemon, Connection(daemon.socket_path) as client:
        assert [client.result(command, **parameters) for command, parameters in asked] == before


def test_hung_image_delays_nobody(home: Path) -> None:
    """One does not answer: another is evaluated in meanwhile, and the hung one is interrupted and told to stop."""
    with (
        Daemon(home) as daemon,
        ScriptedImage(daemon.socket_path, "hung") as hung,
        Amber(daemon.url),
        Connection(daemon.socket_path) as client,
    ):
        daemon.wait_for("image.connected", image_id=IMAGE_ID)
        there, here = client.new_session(image_id="hung"), client.new_session(image_id=IMAGE_ID)
        endless = client.start("evaluate", session_id=there, code="[ true ] whileTrue", idempotency_key="endless")
        request = hung.request()
        begin = time.monotonic()
        for _ in range(20):
            assert client.value("3 + 4", here) == "7"
        many = client.start("evaluate_on", code="3 + 4", timeout=1)
        on_hung = hung.request()
        assert client.value("6 * 7", here) == "42"
        groups = client.result_of(many)["groups"]
        assert [(one["image_ids"], one.get("code")) for one in groups] == [
            ([IMAGE_ID], None),
            (["hung"], "image_timeout"),
        ]
        assert hung.request()["parameters"]["request_id"] == on_hung["id"]
        assert time.monotonic() - begin < 10
        ending = client.start("interrupt_evaluation", session_id=there)
        interrupt = hung.request()
        assert interrupt["parameters"]["request_id"] == request["id"]
        hung.reply(interrupt, {"interrupted": True})
        assert client.result_of(ending)["evaluations"][0]["outcome"] == "interrupted"
        error = {"class": "Interrupted", "message": "interrupted"}
        hung.reply(
            request,
            {"result": None, "result_type": "Interrupted", "execution_time": 9, "has_error": True, "error": error},
        )
        assert client.result_of(endless)["error"] == error
