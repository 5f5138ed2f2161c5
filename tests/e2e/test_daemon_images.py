"""Images that behave badly, played over plain sockets: hung, dying, late, double, foreign. They harm themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Connection, Daemon, Json, ScriptedImage, folder

SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon without images."""
    with folder() as home, Daemon(home) as started:
        yield started


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Connection]:
    """A client of that daemon."""
    with Connection(daemon.socket_path) as connection:
        yield connection


@pytest.fixture
def image(daemon: Daemon) -> Iterator[ScriptedImage]:
    """An image that does what the test says, which may be nothing."""
    with ScriptedImage(daemon.socket_path, "scripted") as connected:
        yield connected


def answer_next(image: ScriptedImage, result: Json) -> Json:
    """Answer the next request, and tell what it was."""
    request = image.request()
    image.reply(request, result)
    return request


def test_hung_image_delays_no_other_session(daemon: Daemon, client: Connection, image: ScriptedImage) -> None:
    """While one image hangs, sessions of another, pings and session commands on the same connection are answered."""
    hung = client.new_session(image_id="scripted")
    stuck = client.start("evaluate", code="[true] whileTrue", session_id=hung)
    assert image.request()["parameters"]["code"] == "[true] whileTrue"
    with ScriptedImage(daemon.socket_path, "lively") as lively:
        other = client.new_session(image_id="lively")
        asked = client.start("evaluate", code="3 + 4", session_id=other)
        assert answer_next(lively, SEVEN)["parameters"]["session_id"] == other
        assert client.result_of(asked)["result"] == "7"
    assert client.result("ping", message="still there?")["message"] == "still there?"
    updated = client.result("update_session_state", session_id=hung, state_data={"a": 1})
    assert updated["session_state"] == {"a": 1}
    context = {"workspace": {"text": "x"}}
    assert client.result("save_context", session_id=hung, context=context)["saved"] is True
    assert client.result("restore_session", session_id=hung)["session_state"] == {"a": 1}
    image.close()
    assert client.answer(stuck)["code"] == "image_lost"


def test_hung_evaluations_up_to_the_limit_leave_room_for_the_rest(client: Connection, image: ScriptedImage) -> None:
    """A connection full of waiting evaluations is refused one more, and everything else still works."""
    waiting = [client.start("evaluate", code=str(n), image_id="scripted", timeout=30) for n in range(32)]
    refused = client.refusal("evaluate", code="one more", image_id="scripted")
    assert (refused["code"], refused["retryable"]) == ("too_many_in_flight", True)
    assert client.result("ping")["status"] == "ready"
    session = client.new_session()
    assert client.result("update_session_state", session_id=session, state_data={})["version"] == 2
    for request in [image.request() for _ in waiting]:
        image.reply(request, SEVEN)
    assert [client.result_of(request_id)["result"] for request_id in waiting] == ["7"] * 32


def test_timeout_of_a_request_gives_image_timeout(client: Connection, image: ScriptedImage) -> None:
    """A request that names a timeout ends with it; the late answer is dropped and the link goes on."""
    refused = client.refusal("evaluate", code="[true] whileTrue", image_id="scripted", timeout=0.05)
    assert (refused["code"], refused["retryable"], refused["details"]["timeout"]) == ("image_timeout", False, 0.05)
    late = image.request()
    assert "timeout" not in late["parameters"]
    image.reply(late, SEVEN)
    asked = client.start("evaluate", code="3 + 4", image_id="scripted")
    answer_next(image, {**SEVEN, "result": "second"})
    assert client.result_of(asked)["result"] == "second"


def test_timeout_in_envelope_form_has_its_code(client: Connection, image: ScriptedImage) -> None:
    """In the envelope form a timeout is the error `Timeout`."""
    params = {"code": "x", "image_id": "scripted", "timeout": 0.05}
    payload = {"type": "Request", "data": {"request_type": "Evaluate", "params": params}}
    client.write({"id": "e-1", "version": "1.0.0", "timestamp": "2025-01-20T10:30:00Z", "payload": payload})
    data = client.answer("e-1")["payload"]["data"]
    assert (data["response_type"], data["data"]["code"]) == ("Error", "Timeout")
    assert image.request()["command"] == "evaluate"


def test_image_dying_in_a_request_gives_image_lost(daemon: Daemon, client: Connection) -> None:
    """What an image was asked when it died ends with image_lost, and its sessions hear that it left."""
    with ScriptedImage(daemon.socket_path, "mortal") as mortal:
        session = client.new_session(image_id="mortal")
        client.result("subscribe", session_id=session)
        asked = client.start("evaluate", code="Smalltalk quit", session_id=session)
        assert mortal.request()["command"] == "evaluate"
        mortal.close()
    lost = client.answer(asked)
    assert (lost["code"], lost["retryable"]) == ("image_lost", False)
    assert client.event("image.disconnected")["data"]["image_id"] == "mortal"
    refused = client.refusal("evaluate", code="3 + 4", session_id=session)
    assert (refused["code"], refused["retryable"]) == ("image_unavailable", True)
    with ScriptedImage(daemon.socket_path, "mortal") as reborn:
        assert client.event("image.connected")["data"]["image_id"] == "mortal"
        asked = client.start("evaluate", code="3 + 4", session_id=session)
        answer_next(reborn, SEVEN)
        assert client.result_of(asked)["result"] == "7"


def test_image_answering_in_any_order_is_matched_by_id(client: Connection, image: ScriptedImage) -> None:
    """Answers reach the requests they name, whatever order they come in; strays are ignored."""
    asked = [client.start("evaluate", code=str(n), image_id="scripted") for n in range(20)]
    requests = [image.request() for _ in asked]
    for request in reversed(requests):
        image.reply(request, {**SEVEN, "result": request["parameters"]["code"]})
        image.reply(request, {**SEVEN, "result": "twice"})
    image.write({"id": "nobody", "status": "success", "result": SEVEN})
    assert [client.result_of(request_id)["result"] for request_id in asked] == [str(n) for n in range(20)]


def test_image_answer_that_is_not_as_agreed_gives_image_error(client: Connection, image: ScriptedImage) -> None:
    """An answer without the fields of its command is the image's error, not the client's."""
    asked = client.start("evaluate", code="3 + 4", image_id="scripted")
    answer_next(image, {"result": 7})
    assert client.answer(asked)["code"] == "image_error"


def test_image_speaking_of_a_foreign_session_is_not_heard(daemon: Daemon, client: Connection) -> None:
    """An event for a session of another image reaches nobody; one for its own does."""
    with ScriptedImage(daemon.socket_path, "first") as first, ScriptedImage(daemon.socket_path, "second") as second:
        session = client.new_session(image_id="first")
        client.result("subscribe", session_id=session)
        second.write({"event": "transcript", "session_id": session, "data": {"text": "forged"}})
        daemon.wait_for("image.event_for_foreign_session", image_id="second")
        first.write({"event": "transcript", "session_id": session, "data": {"text": "real"}})
        assert client.event("transcript")["data"]["text"] == "real"


def test_image_id_in_use_is_refused_for_now(daemon: Daemon, image: ScriptedImage) -> None:
    """A second image under a taken id may try again later; the first one stays."""
    with Connection(daemon.socket_path) as second:
        identity = {"image_id": "scripted", "instance_id": "another"}
        refused = second.refusal("hello", role="image", protocol=["1.0.0"], identity=identity)
        assert (refused["code"], refused["retryable"]) == ("image_id_in_use", True)
    with Connection(daemon.socket_path) as client:
        asked = client.start("evaluate", code="3 + 4", image_id="scripted")
        answer_next(image, SEVEN)
        assert client.result_of(asked)["result"] == "7"


def test_no_image_gives_image_unavailable() -> None:
    """Without an image an evaluation is refused, retryable, and the session stays usable for all the rest."""
    with folder() as home, Daemon(home) as alone, Connection(alone.socket_path) as client:
        session = client.new_session()
        for parameters in ({"session_id": session}, {"image_id": "gone"}, {}):
            refused = client.refusal("evaluate", code="3 + 4", **parameters)
            assert (refused["code"], refused["error_type"]) == ("image_unavailable", "RuntimeError")
            assert refused["retryable"] is True
        assert client.refusal("save_context", session_id=session)["code"] == "image_unavailable"
        assert client.result("update_session_state", session_id=session, state_data={"a": 1})["version"] == 2
        assert client.result("list_images") == {"images": []}


def test_two_images_and_none_named_is_refused(daemon: Daemon, client: Connection, image: ScriptedImage) -> None:
    """With two images nothing is guessed: the error lists them."""
    del image
    with ScriptedImage(daemon.socket_path, "other"):
        refused = client.refusal("evaluate", code="3 + 4", session_id=client.new_session())
    assert (refused["code"], refused["details"]["connected"]) == ("image_unavailable", ["other", "scripted"])
