"""What hostile clients and images say once they are in: others are answered at once, every request has one outcome."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.harness import Connection, Daemon, Json, folder
from tests.security.test_attacks import unharmed
from tests.unit.bed.daemon import running_daemon

SEVEN: Json = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that lets everybody in."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0", "--auth", "none") as started:
        yield started


@contextmanager
def an_image(daemon: Daemon, name: str) -> Iterator[Connection]:
    """A connection that said hello as an image."""
    with Connection(daemon.place("lines")) as image:
        image.result("hello", role="image", identity={"image_id": name, "instance_id": name})
        yield image


def asked(image: Connection) -> str:
    """The id of the next request that an image is asked."""
    while (message := image.read()) is not None:
        if message.get("command") == "evaluate":
            return str(message["id"])
    pytest.fail("the daemon closed the connection")


# ---- clients


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"[" * 100_000, "message_too_deep"),
        (b'{"id":"a","command":"ping","unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "message_too_deep"),
        (b'{"id":"a","command":"ping","parameters":{"message":"\\ud83d"}}', "invalid_utf8"),
        (b'{"id":"a","command":"ping","parameters":{"message":NaN}}', "malformed_json"),
        (b'{"id":"a","command":"update_session_state","command":"make_coffee"}', "unknown_command"),
        (
            b'{"id":"a","command":"get_session_info","parameters":{"session_id":"../../etc/passwd"}}',
            "session_not_found",
        ),
        (b'{"id":"a","command":"get_session_info","parameters":{"session_id":"CON\\u0000x"}}', "session_not_found"),
        (b'{"id":"a","command":"create_session","parameters":{"client_id":"a\\nb"}}', "invalid_parameters"),
    ],
)
def test_message_that_is_meant_to_break_something(daemon: Daemon, payload: bytes, code: str) -> None:
    """It has its error, and the connection that sent it goes on."""
    with unharmed(daemon), Connection(daemon.place("lines")) as hostile:
        assert hostile.result("ping")["status"] == "ready"
        hostile.socket.sendall(payload + b"\n")
        answer = hostile.read()
        assert answer is not None
        assert answer["code"] == code
        assert hostile.result("ping")["status"] == "ready"


def test_ids_that_look_like_paths_make_no_files(daemon: Daemon) -> None:
    """A client or a tool may be called anything; nothing of it becomes a file name."""
    before = {path for path in daemon.home.rglob("*") if path.is_dir()}
    with Connection(daemon.place("lines")) as hostile:
        for name in ("../../x", "/etc/passwd", "CON", "a/../../b", ".", "..", "e\u0301", "\u00e9", "~root"):
            session = hostile.result("create_session", client_id=name)["session_id"]
            hostile.result("save_context", session_id=session, tool_id=name, context={"workspace": {"text": name}})
            assert hostile.result("load_context", session_id=session, tool_id=name)["loaded"]
    made = {path for path in daemon.home.rglob("*") if path.is_dir()} - before
    assert all((daemon.data / "sessions") in path.parents for path in made)
    assert not (daemon.home.parent / "x").exists()


# ---- images


def test_image_that_answers_twice_and_for_others(daemon: Daemon) -> None:
    """The first answer counts; what it says of requests that are not its own reaches nobody."""
    with (
        unharmed(daemon),
        an_image(daemon, "honest") as honest,
        an_image(daemon, "liar") as liar,
        Connection(daemon.place("lines")) as client,
    ):
        first = client.start("evaluate", code="1", image_id="honest")
        theirs = asked(honest)
        second = client.start("evaluate", code="2", image_id="liar")
        own = asked(liar)
        for name in (theirs, own, own, "d-1", "no such request", theirs):
            liar.write({"id": name, "status": "success", "result": {**SEVEN, "result": "from the liar"}})
        assert client.result_of(second)["result"] == "from the liar"
        honest.write({"id": theirs, "status": "success", "result": SEVEN})
        assert client.result_of(first)["result"] == "7"
        assert client.result("ping")["status"] == "ready"


@pytest.mark.parametrize(
    "answer",
    [
        b'{"id":"%s","status":"success","result":{"result":NaN,"has_error":false}}',
        b'{"id":"%s","status":"success","result":{"result":"x","execution_time":"soon"}}',
        b'{"id":"%s","status":"success","result":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"id":"%s","status":"success","result":{"result":"' + b"x" * 12_000_000 + b'"}}',
    ],
    ids=["NaN", "mistyped", "deep", "twelve megabytes"],
)
def test_image_that_answers_what_nobody_can_read(daemon: Daemon, answer: bytes) -> None:
    """The request ends with an error, at the latest when its time is over."""
    with unharmed(daemon), an_image(daemon, "odd") as image, Connection(daemon.place("lines")) as client:
        request = client.start("evaluate", code="1", image_id="odd", timeout=1.5)
        image.socket.sendall(answer.replace(b"%s", asked(image).encode(), 1) + b"\n")
        assert client.answer(request)["code"] in {"image_error", "image_timeout"}


def test_image_that_says_half_a_surrogate_pair(daemon: Daemon) -> None:
    """The result is not lost over one character."""
    with unharmed(daemon), an_image(daemon, "half") as image, Connection(daemon.place("lines")) as client:
        request = client.start("evaluate", code="1", image_id="half")
        text = json.dumps({"id": asked(image), "status": "success", "result": {**SEVEN, "result": "\ud83d!"}})
        image.socket.sendall(text.encode() + b"\n")
        assert client.result_of(request)["result"] == "\ufffd!"


def test_image_that_floods_events(daemon: Daemon) -> None:
    """Twenty thousand lines of Transcript: others are answered meanwhile, and a subscriber has all, or a gap."""
    with unharmed(daemon) as answers, an_image(daemon, "loud") as image, Connection(daemon.place("lines")) as client:
        session = client.new_session(image_id="loud")
        client.result("subscribe", session_id=session)
        line = json.dumps({"event": "transcript", "session_id": session, "data": {"text": "x" * 100}}).encode() + b"\n"
        for _ in range(20):
            image.socket.sendall(line * 1000)
            answers()
        image.write({"event": "progress", "session_id": session, "data": {"last": True}})
        heard, lost, expected = 0, 0, None
        while True:
            event = client.next_event()
            if expected is not None and event["event"] != "gap":
                assert event["seq"] == expected
            expected = event["seq"] + 1
            heard += event["event"] == "transcript"
            lost += event["data"].get("lost", 0) if event["event"] == "gap" else 0
            if event["event"] == "progress" or (event["event"] == "gap" and heard + lost >= 20_000):
                break
        assert heard + lost >= 20_000 or lost > 0
        client.result("close_session", session_id=session, save_state=False)


# ---- the machine


def test_daemon_that_is_stopped_for_a_while_goes_on(daemon: Daemon) -> None:
    """SIGSTOP and SIGCONT: connections, subscriptions and sessions are there afterwards."""
    with unharmed(daemon), Connection(daemon.place("lines")) as client:
        session = client.new_session()
        client.result("subscribe", session_id=session)
        daemon.signal(signal.SIGSTOP)
        time.sleep(3)  # the machine was asleep, say
        daemon.signal(signal.SIGCONT)
        assert client.result("update_session_state", session_id=session, state_data={"a": 1})["version"] == 2
        assert client.event("session.updated")["data"]["version"] == 2


@pytest.mark.parametrize("jump_s", [86_400.0, 50 * 365 * 86_400.0, -86_400.0, -50 * 365 * 86_400.0])
async def test_clock_that_jumps_loses_nothing(jump_s: float) -> None:
    """A day or fifty years, forwards or back: sessions may expire, nothing is lost, and the daemon works on."""
    async with running_daemon() as running, running.talker() as client:
        session = (await client.call("create_session", client_id="ada", timeout=3600))["session_id"]
        await client.call("update_session_state", session_id=session, state_data={"a": 1})
        running.clock.now += jump_s
        assert (await client.call("ping"))["status"] == "ready"
        info = await client.call("get_session_info", session_id=session)
        assert info["is_expired"] is (jump_s > 0)
        restored = await client.call("restore_session", session_id=session, reopen=True)
        assert restored["session_state"] == {"a": 1}
        changed = await client.call("update_session_state", session_id=session, state_data={"a": 2})
        assert changed["update_successful"]
        running.clock.now -= jump_s
        again = await client.call("restore_session", session_id=session, reopen=True)
        assert again["session_state"] == {"a": 2}


def test_home_of_the_daemon_is_its_users_alone(daemon: Daemon) -> None:
    """Nobody else reads what is kept."""
    for path in (daemon.data, Path(daemon.socket_path).parent):
        assert path.stat().st_mode & 0o077 == 0
