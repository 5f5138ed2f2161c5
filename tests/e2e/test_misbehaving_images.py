"""Images that misbehave: one definite outcome for every request that was under way, and nobody else is affected."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stui_sessiond.images.pace import ARRIVALS
from tests.e2e.harness import Connection, Daemon, Json, folder, run_cli
from tests.e2e.misbehaving import P99_S, Others, WildImage, event, success

FLOOD = 100_000
MANY_SESSIONS = 50
HUGE_P99_S = 1.0
"""Ten megabytes of JSON are read in one go, for which an evaluation of others waits up to four times."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that lets everybody in."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0", "--auth", "none") as started:
        yield started


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Connection]:
    """A client that nothing may come to but answers to what it asked, each once."""
    with Connection(daemon.socket_path) as connection:
        yield connection


@pytest.fixture
def others(daemon: Daemon) -> Iterator[Others]:
    """Everybody else."""
    with Others(daemon) as working:
        yield working


@contextmanager
def wild(daemon: Daemon, image_id: str | None = None, instance_id: str | None = None) -> Iterator[WildImage]:
    """An image that does what the test says."""
    with WildImage(daemon.place("lines"), image_id or f"wild-{uuid.uuid4().hex[:8]}", instance_id) as image:
        yield image


def nothing_more(client: Connection) -> None:
    """See that everything that was to come has come: the next message is the answer to a ping."""
    request_id = client.start("ping")
    message = client.read()
    assert message is not None
    assert message["id"] == request_id


# ---- answers


@pytest.mark.usefixtures("others")
def test_image_that_answers_twice(daemon: Daemon, client: Connection) -> None:
    """The first answer counts, for requests of a session and for others; the second reaches nobody."""
    with wild(daemon) as image:
        session = client.new_session(image_id=image.image_id)
        asked = [client.start("evaluate", code="1", session_id=session) for _ in range(15)]
        asked += [client.start("evaluate", code="1", image_id=image.image_id) for _ in range(15)]
        for number in range(len(asked)):
            request = image.asked()
            image.shout(success(request, result=f"first {number}") + success(request, result="second") * 3)
        got = {client.result_of(each)["result"] for each in asked}
        assert got == {f"first {number}" for number in range(len(asked))}
        nothing_more(client)


@pytest.mark.usefixtures("others")
def test_image_that_answers_anothers_requests(daemon: Daemon, client: Connection) -> None:
    """What it says of requests of another image, of whatever kind, reaches nobody; the honest answer does."""
    with wild(daemon) as honest, wild(daemon) as liar:
        session = client.new_session(image_id=honest.image_id)
        keyed = client.start("evaluate", code="1", session_id=session, idempotency_key="k")
        plain = client.start("evaluate", code="2", session_id=session, tool_id="other")
        alone = client.start("evaluate", code="3", image_id=honest.image_id)
        requests = [honest.asked() for _ in range(3)]
        for request in requests:
            liar.shout(success(request, result="from the liar"))
            liar.write({"id": request["id"], "status": "error", "code": "evaluation_error", "error": "from the liar"})
        liar.shout(success({"id": f"{session}:0123456789abcdef"}, result="of no request"))
        own = client.start("evaluate", code="4", image_id=liar.image_id)
        liar.shout(success(liar.asked(), result="its own"))
        assert client.result_of(own)["result"] == "its own"  # all it said before was read
        for request in requests:
            honest.shout(success(request, result=request["parameters"]["code"]))
        assert [client.result_of(each)["result"] for each in (keyed, plain, alone)] == ["1", "2", "3"]
        status = client.result("get_request_status", session_id=session, idempotency_key="k")
        assert status["result"]["result"] == "1"
        nothing_more(client)


@pytest.mark.usefixtures("others")
def test_image_that_never_answers(daemon: Daemon) -> None:
    """Every request ends with image_timeout, or with image_busy where too many wait, after the time it said."""
    with wild(daemon) as image:
        clients = [Connection(daemon.socket_path) for _ in range(10)]
        try:
            asked = [
                (each, each.start("evaluate", code=str(n), image_id=image.image_id, timeout=1.0))
                for each in clients
                for n in range(30)
            ]
            codes = [each.answer(request_id)["code"] for each, request_id in asked]
            assert {code: codes.count(code) for code in set(codes)} == {"image_timeout": 256, "image_busy": 44}
            for each in clients:
                nothing_more(each)
            late = [image.asked() for _ in range(256)]
            image.shout(b"".join(success(request, result="late") for request in late))
            again = clients[0].start("evaluate", code="again", image_id=image.image_id)
            image.shout(success(image.asked(), result="in time"))
            assert clients[0].result_of(again)["result"] == "in time"
        finally:
            for each in clients:
                each.close()


def send_huge_answers(image: WildImage, client: Connection) -> None:
    """What is within the limit arrives whole; what is beyond it ends as an error, and the link goes on."""
    for size, fits in ((9_000_000, True), (12_000_000, False), (9_000_000, True), (40_000_000, False)):
        asked = client.start("evaluate", code="1", image_id=image.image_id, timeout=5)
        image.shout(success(image.asked(), result="HUGE").replace(b"HUGE", b"x" * size))
        if fits:
            assert len(client.result_of(asked)["result"]) == size
        else:
            assert client.answer(asked)["code"] in {"image_error", "image_timeout"}
    asked = client.start("evaluate", code="1", image_id=image.image_id)
    image.shout(success(image.asked()))
    assert client.result_of(asked)["result"] == "7"


def test_image_whose_answers_are_huge(daemon: Daemon, client: Connection) -> None:
    """However many come, no more memory is held than after the first ones.

    Those make the C library keep a buffer of their size for the next, wherever it happens to lie.
    """
    with wild(daemon) as image:
        send_huge_answers(image, client)
        with Others(daemon, p99_s=HUGE_P99_S):
            for _ in range(5):
                send_huge_answers(image, client)


@pytest.mark.usefixtures("others")
def test_image_that_dies_in_mid_answer(daemon: Daemon, client: Connection) -> None:
    """Half a line is no answer: image_lost. What the same instance says over its next link is the outcome."""
    instance = uuid.uuid4().hex
    with wild(daemon, "halved", instance) as image:
        session = client.new_session(image_id="halved")
        keyed = client.start("evaluate", code="1", session_id=session, idempotency_key="k")
        alone = client.start("evaluate", code="2", image_id="halved")
        requests = {request["parameters"]["code"]: request for request in (image.asked(), image.asked())}
        half = success(requests["1"], result="whole")
        image.shout(success(requests["2"])[:40])
        image.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        image.close()  # with a reset, as when a process is killed
        assert [client.answer(each)["code"] for each in (keyed, alone)] == ["image_lost", "image_lost"]
    told = client.result("get_request_status", session_id=session, idempotency_key="k")
    assert told["status"] == "outcome_unknown"
    with wild(daemon, "halved", instance) as image:
        client.result("subscribe", session_id=session)
        image.shout(half[: len(half) // 2])
        image.shout(half[len(half) // 2 :])
        assert client.event("evaluation.finished")["data"]["late"] is True
    told = client.result("get_request_status", session_id=session, idempotency_key="k")
    assert (told["status"], told["result"]["result"]) == ("done", "whole")


ODD_ANSWERS = {
    "NaN": b'{"id":"%s","status":"success","result":{"result":NaN,"has_error":false}}',
    "infinity": b'{"id":"%s","status":"success","result":{"result":1e999,"has_error":false}}',
    "mistyped": b'{"id":"%s","status":"success","result":{"result":"x","execution_time":"soon"}}',
    "a list": b'{"id":"%s","status":"success","result":[1,2,3]}',
    "no result": b'{"id":"%s","status":"success"}',
    "null": b'{"id":"%s","status":"success","result":null}',
    "no status": b'{"id":"%s","result":{"result":"7"}}',
    "a status of its own": b'{"id":"%s","status":"perhaps","result":{}}',
    "an error without text": b'{"id":"%s","status":"error"}',
    "an error with a list": b'{"id":"%s","status":"error","error":["x"],"code":{"a":1},"details":7}',
    "a code of the daemon": b'{"id":"%s","status":"error","error":"x","code":"authentication_failed"}',
    "deep": b'{"id":"%s","status":"success","result":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "details that are deep": b'{"id":"%s","status":"error","error":"x","details":{"a":'
    + b"[" * 500
    + b"]" * 500
    + b"}}",
    "invalid UTF-8": b'{"id":"%s","status":"success","result":{"result":"\xff\xfe","has_error":false}}',
    "many keys": b'{"id":"%s","status":"success","result":{'
    + b",".join(b'"k%d":%d' % (number, number) for number in range(50_000))
    + b"}}",
    "the id twice": b'{"id":"%s","id":"%s","status":"success","result":{}}',
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
def test_image_that_answers_what_nobody_can_read(daemon: Daemon, client: Connection, answer: bytes) -> None:
    """The request ends once, with an error; after it the image can be asked as before."""
    with wild(daemon) as image:
        session = client.new_session(image_id=image.image_id)
        asked = client.start("evaluate", code="1", session_id=session, timeout=1.5)
        request = image.asked()
        image.shout(answer.replace(b"%s", request["id"].encode()) + b"\n")
        told = client.answer(asked)
        assert told["code"] in {"image_error", "image_timeout"}, told
        image.shout(success(request, result="too late, or not"))
        again = client.start("evaluate", code="2", session_id=session, tool_id="other")
        image.shout(success(image.asked()))
        assert client.result_of(again)["result"] == "7"
        nothing_more(client)


@pytest.mark.usefixtures("others")
def test_image_that_says_garbage(daemon: Daemon, client: Connection) -> None:
    """Lines that are nothing: who waits for the image gets one outcome all the same."""
    with wild(daemon) as image:
        asked = client.start("evaluate", code="1", image_id=image.image_id, timeout=10)
        request = image.asked()
        for garbage in (
            b"\x00\xff garbage\n",
            b"{" * 100 + b"\n",
            b"[]\n",
            b"7\n",
            b"\n",
            b'{"id":1}\n',
            b"x" * 3000 + b"\n",
        ):
            image.shout(garbage * 2000)
        image.shout(success(request))
        assert client.answer(asked).get("code") in {None, "image_lost"}  # it read none of what it was told
        nothing_more(client)


# ---- identity


@pytest.mark.usefixtures("others")
def test_image_that_takes_anothers_name(daemon: Daemon, client: Connection) -> None:
    """Under another instance it is refused, and the first one goes on; its events and answers reach nobody."""
    with wild(daemon, "named") as honest, Connection(daemon.place("lines")) as liar:
        session = client.new_session(image_id="named")
        client.result("subscribe", session_id=session)
        identity = {"image_id": "named", "instance_id": "another"}
        for _ in range(20):
            assert liar.refusal("hello", role="image", identity=identity)["code"] == "image_id_in_use"
        asked = client.start("evaluate", code="1", session_id=session)
        request = honest.asked()
        liar.socket.sendall(success(request, result="from the liar") + event(session, text="forged"))
        liar.result("ping")
        honest.shout(event(session, text="real") + success(request))
        assert client.result_of(asked)["result"] == "7"
        assert client.event("transcript")["data"]["text"] == "real"


@pytest.mark.usefixtures("others")
def test_image_that_takes_anothers_name_and_instance(daemon: Daemon, client: Connection) -> None:
    """It is taken for the same image on a new link: the old one is closed, what was under way ends with image_lost."""
    with wild(daemon, "copied", "one") as first:
        asked = client.start("evaluate", code="1", image_id="copied")
        first.asked()
        with wild(daemon, "copied", "one") as second:
            assert client.answer(asked)["code"] == "image_lost"
            closing = first.read()
            assert closing is not None
            assert closing["data"]["code"] == 4003
            again = client.start("evaluate", code="2", image_id="copied")
            second.shout(success(second.asked(), result="of the second"))
            assert client.result_of(again)["result"] == "of the second"


def test_token_for_another_image_lets_nobody_in() -> None:
    """A token that is for one image is good for no other; the image it names is not kept from coming."""
    with folder() as home:
        made = run_cli("token", "create", "mine", "--image", "mine", "--data-dir", str(home / "data"), "--json")
        assert made.returncode == 0, made.stderr
        token = json.loads(made.stdout)["token"]
        with Daemon(home, "--lines", "127.0.0.1:0") as guarded, Connection(guarded.socket_path) as client:
            place = guarded.place("lines")
            identity = {"image_id": "theirs", "instance_id": "1"}
            with Connection(place) as liar:
                refused = liar.refusal("hello", role="image", token=token, identity=identity)
                assert refused["code"] == "image_not_allowed"
            with Connection(place) as honest:
                honest.result("hello", role="image", token=token, identity={**identity, "image_id": "mine"})
                images = client.result("list_images")["images"]
                assert [each["image_id"] for each in images if each["status"] == "connected"] == ["mine"]


# ---- events


@pytest.mark.usefixtures("others")
def test_image_that_floods_events(daemon: Daemon, client: Connection) -> None:
    """A hundred thousand lines of Transcript: a subscriber has each, or its gaps say how many it has not."""
    with wild(daemon) as image:
        session = client.new_session(image_id=image.image_id)
        client.result("subscribe", session_id=session)
        sender = threading.Thread(target=image.shout, args=(event(session, text="x" * 60) * FLOOD,))
        sender.start()
        heard, lost, seq = 0, 0, None
        while heard + lost < FLOOD:
            told = client.next_event()
            assert seq is None or told["seq"] == seq + 1
            seq = told["seq"]
            heard += told["event"] == "transcript"
            lost += told["data"].get("lost", 0) if told["event"] == "gap" else 0
        sender.join()
        assert heard + lost == FLOOD
        assert heard > 0
        asked = client.start("evaluate", code="1", session_id=session)
        image.shout(success(image.asked()))
        assert client.result_of(asked)["result"] == "7"
        client.result("close_session", session_id=session, save_state=False)


@pytest.mark.usefixtures("others")
def test_image_that_floods_events_of_others(daemon: Daemon, client: Connection) -> None:
    """Events of sessions that are not its own, of none, or that are none: nobody hears, the log stays short."""
    with wild(daemon) as honest, wild(daemon) as liar:
        session = client.new_session(image_id=honest.image_id)
        client.result("subscribe", session_id=session)
        lines_before = daemon.log.count("\n")
        for line in (
            event(session, text="forged"),
            event("session_1_1_nobody", text="forged"),
            event(session, "session.closed", kept=False),
            event(session, "no such event"),
            b'{"event":"transcript","data":{"text":"of no session"}}\n',
        ):
            liar.shout(line * (FLOOD // 10))
        asked = client.start("evaluate", code="1", image_id=liar.image_id)
        liar.shout(success(liar.asked()))
        assert client.result_of(asked)["result"] == "7"  # all it said before was read
        honest.shout(event(session, text="real"))
        assert client.next_event()["data"] == {"text": "real"}
        assert daemon.log.count("\n") - lines_before < 200


# ---- links


@pytest.mark.usefixtures("others")
def test_image_that_comes_and_goes_without_end(daemon: Daemon, client: Connection) -> None:
    """It has many sessions and dials as fast as it can: it is slowed down, and its sessions can be used."""
    image_id = f"flapping-{uuid.uuid4().hex[:8]}"
    sessions = [client.new_session(image_id=image_id) for _ in range(MANY_SESSIONS)]
    client.result("subscribe", session_id=sessions[0])
    until = time.monotonic() + 3.0
    dials, refused = 0, 0
    asked: list[str] = []
    while time.monotonic() < until or not dials:
        with Connection(daemon.place("lines")) as image:
            identity = {"image_id": image_id, "instance_id": f"instance-{dials}"}
            answer = image.ask("hello", role="image", identity=identity)
            refused += answer["status"] == "error"
            assert answer.get("code") in {None, "rate_limited"}
        if dials % 100 == 0:
            asked.append(client.start("evaluate", code="1", session_id=sessions[len(asked) % MANY_SESSIONS]))
        dials += 1
    assert dials >= 3 * 200
    assert refused > dials / 2
    assert {client.answer(request_id)["code"] for request_id in asked} <= {"image_lost", "image_unavailable"}
    began = time.monotonic()
    for session in sessions:
        assert client.result("update_session_state", session_id=session, state_data={"a": 1})["version"] == 2
    assert time.monotonic() - began < MANY_SESSIONS * P99_S
    for session in sessions:
        client.result("close_session", session_id=session, save_state=False)


def test_image_that_came_too_often_is_let_in_when_it_waits(daemon: Daemon, client: Connection) -> None:
    """It learns how long to wait, over the same connection; after that it is an image like any other."""
    image_id = f"eager-{uuid.uuid4().hex[:8]}"
    identity = {"image_id": image_id, "instance_id": "one"}
    for _ in range(ARRIVALS.burst):
        with Connection(daemon.place("lines")) as image:
            image.result("hello", role="image", identity=identity)
    with Connection(daemon.place("lines")) as image:
        told = image.refusal("hello", role="image", identity=identity)
        assert (told["code"], told["retryable"]) == ("rate_limited", True)
        time.sleep(told["details"]["retry_after"])  # it was told to
        image.result("hello", role="image", identity=identity)
        asked = client.start("evaluate", code="1", image_id=image_id)
        request = image.read()
        assert request is not None
        image.socket.sendall(success(request))
        assert client.result_of(asked)["result"] == "7"


# ---- names of things

NO_NAMES = ["", "with space", "x" * 65, "ä", "../..", "a.b", 7, None, ["h"], {"h": 1}]


@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
def test_image_that_gives_handles_that_are_none(daemon: Daemon, client: Connection, name: object) -> None:
    """The client gets an error and no handle; the session's list has none."""
    with wild(daemon) as image:
        session = client.new_session(image_id=image.image_id)
        asked = client.start("evaluate", code="1", session_id=session, keep=True)
        image.shout(success(image.asked(), handle=name))
        answer = client.answer(asked)
        assert answer.get("code") == "image_error" or "handle" not in answer["result"], answer
        assert client.result("list_handles", session_id=session)["handles"] == []


@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
def test_image_that_gives_debugger_ids_that_are_none(daemon: Daemon, client: Connection, name: object) -> None:
    """The client gets an error, or the error of its code without a debugger; the session's list has none."""
    with wild(daemon) as image:
        session = client.new_session(image_id=image.image_id)
        asked = client.start("evaluate", code="1", session_id=session, on_error="suspend")
        error: Json = {"class": "Error", "message": "no", "stack": [], "debugger_id": name}
        image.shout(success(image.asked(), result=None, result_type="Error", has_error=True, error=error))
        answer = client.answer(asked)
        told = answer.get("code") == "image_error" or "debugger_id" not in answer["result"]["error"]
        assert told or answer["result"]["error"]["debugger_id"] is None, answer
        assert client.result("list_debuggers", session_id=session)["debuggers"] == []
