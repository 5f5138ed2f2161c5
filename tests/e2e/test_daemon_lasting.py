"""What outlives a killed daemon, a killed image and a client that went away: outcomes, histories, digests, sharing."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import DEADLINE_S, IMAGE_ID, Amber, Connection, Daemon, Json, folder

KEY = "the one evaluation"


def hello(
    connection: Connection, client_id: str, greeting: Json | None = None, unanswered: tuple[str, ...] = ()
) -> Json:
    """Say who it is, going on from an earlier connection if there was one."""
    before = {} if greeting is None else {"resume_token": greeting["resume_token"], "unanswered": list(unanswered)}
    return connection.result("hello", role="client", protocol=["1.0.0"], client_id=client_id, **before)


def gated(begun: Path, gate: Path) -> str:
    """Code that counts its runs, makes a folder to say so, and goes on only when there is a certain file."""
    files = "(process mainModule require: 'fs')"
    wait = f"[{files} existsSync: '{gate}'] whileFalse"
    return f"ran := (ran ifNil: [0]) + 1. {files} mkdirSync: '{begun}'. {wait}. ran"


class Walk:
    """A client that asked a live image for something slow, under a key."""

    def __init__(self, home: Path, daemon: Daemon) -> None:
        self.gate = home / "gate"
        begun = home / "begun"
        with Connection(daemon.socket_path) as client:
            self.greeting = hello(client, "ada")
            self.session = client.new_session(client_id="ada", image_id=IMAGE_ID)
            self.since = client.result("subscribe", session_id=self.session)["position"]
            self.asked = {"session_id": self.session, "code": gated(begun, self.gate), "idempotency_key": KEY}
            self.request_id = client.start("evaluate", **self.asked)
            end = time.monotonic() + DEADLINE_S
            while not begun.exists():
                assert time.monotonic() < end, "the image has not begun"
                client.result("ping")

    def status(self, client: Connection) -> str:
        """What the daemon knows of it."""
        told = client.result("get_request_status", session_id=self.session, idempotency_key=KEY)
        status: str = told["status"]
        return status


def test_evaluation_survives_a_killed_daemon() -> None:
    """It is run once, its outcome arrives late, and who repeats it or comes back for it gets the first outcome."""
    with folder() as home, Daemon(home) as first, Amber(first.url) as image:
        first.wait_for("image.connected", image_id=IMAGE_ID)
        walk = Walk(home, first)
        first.kill()
        with Daemon(home) as second, Connection(second.socket_path) as client:
            second.wait_for("image.connected", image_id=IMAGE_ID)
            again = hello(client, "ada", walk.greeting, (walk.request_id,))
            assert (again["resumed"], again["in_flight"]) == (True, [])
            assert again["connection_id"] == walk.greeting["connection_id"]
            assert walk.status(client) == "outcome_unknown"
            assert client.refusal("evaluate", **walk.asked)["code"] == "outcome_unknown"
            assert client.result("subscribe", session_id=walk.session, since=walk.since)["recovered"] is True
            walk.gate.touch()
            finished = client.event("evaluation.finished")["data"]
            assert (finished["evaluation"], finished["late"], finished["display"]) == (KEY, True, "1")
            assert walk.status(client) == "done"
            assert client.result("evaluate", **walk.asked)["result"] == "1"
            assert client.value("ran", walk.session) == "1"
            with Connection(second.socket_path) as later:
                assert hello(later, "ada", walk.greeting, (walk.request_id,))["in_flight"] == [walk.request_id]
                assert later.result_of(walk.request_id)["result"] == "1"
            assert client.event("connection.closing")["data"]["name"] == "resumed"
        assert image.child.poll() is None


def test_evaluation_of_a_killed_image_is_lost_with_it() -> None:
    """When another instance of the image comes, what the killed one worked on is known to be lost."""
    with folder() as home, Daemon(home) as daemon:
        with Amber(daemon.url) as image:
            daemon.wait_for("image.connected", image_id=IMAGE_ID)
            walk = Walk(home, daemon)
            image.kill()
        with Connection(daemon.socket_path) as client:
            hello(client, "ada")
            client.result("subscribe", session_id=walk.session, since=walk.since)
            assert client.event("evaluation.interrupted")["data"]["evaluation"] == KEY
            assert walk.status(client) == "outcome_unknown"
            with Amber(daemon.url):
                assert client.event("evaluation.lost")["data"]["evaluation"] == KEY
                assert walk.status(client) == "lost_with_image"
                assert client.refusal("evaluate", **walk.asked)["code"] == "lost_with_image"
                assert client.value("3 + 4", walk.session) == "7"


def test_history_is_the_same_for_a_second_client() -> None:
    """What one client heard, another reads, byte for byte, after the first died and the daemon was killed."""

    def told(event: Json) -> tuple[str, int, str, str]:
        return event["epoch"], event["seq"], event["event"], json.dumps(event["data"])

    with folder() as home, Daemon(home) as first, Amber(first.url):
        first.wait_for("image.connected", image_id=IMAGE_ID)
        with Connection(first.socket_path) as client:
            session = client.new_session(image_id=IMAGE_ID)
            since = client.result("subscribe", session_id=session, deltas=True)["position"]
            for number in range(10):
                client.result(
                    "update_session_state",
                    session_id=session,
                    state_data={"n": number, "text": "\u00e4\u20ac" * number},
                )
                client.value(f"Transcript show: 'line {number}'. {number} / 3", session)
            client.result("evaluate", code="nil fly", session_id=session)
            client.result("save_context", session_id=session, tool_id="default")
            here = client.result("get_session_info", session_id=session)["position"]
            heard = [told(event) for event in client.events_to(here)]
            client.socket.shutdown(2)
        first.kill()
        with Daemon(home) as second, Connection(second.socket_path) as other:
            answer = other.result("subscribe", session_id=session, since=since, deltas=True)
            assert answer["recovered"] is True
            read = [told(event) for event in other.events_to(here)]
    assert read == heard
    assert [each[1] for each in read] == list(range(since["seq"] + 1, here["seq"] + 1))


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon without an image."""
    with folder() as home, Daemon(home) as started:
        yield started


def test_session_shared_is_driven_by_one_at_a_time(daemon: Daemon) -> None:
    """Two clients share a session, the wheel goes from one to the other, and both hear of all of it."""
    with Connection(daemon.socket_path) as ada, Connection(daemon.socket_path) as bob:
        hello(ada, "ada")
        hello(bob, "bob")
        session = ada.new_session(client_id="ada")
        change = {"session_id": session, "state_data": {"by": "bob"}}
        assert bob.refusal("update_session_state", **change)["code"] == "session_not_shared"
        assert ada.result("share_session", session_id=session, client_id="bob", role="editor")["shares"] == {
            "bob": "editor"
        }
        for client in (ada, bob):
            client.result("subscribe", session_id=session)
        assert bob.result("update_session_state", **change)["version"] == 2
        assert ada.result("drive_session", session_id=session, action="request")["granted"] is True
        refused = bob.refusal("update_session_state", **change)
        assert (refused["code"], refused["details"]["driver"]) == ("not_driving", "ada")
        assert bob.result("drive_session", session_id=session, action="request")["granted"] is False
        assert ada.event("driver.requested")["data"]["client_id"] == "bob"
        handed = ada.result("drive_session", session_id=session, action="hand_over", to_client_id="bob")
        assert handed["driver"] == "bob"
        assert bob.result("update_session_state", **change)["version"] == 3
        assert ada.refusal("update_session_state", **change)["code"] == "not_driving"
        presence = ada.result("get_presence", session_id=session)
        assert (presence["owner"], presence["driver"]) == ("ada", "bob")
        assert {each["client_id"] for each in presence["attached"]} == {"ada", "bob"}
        bob.close()
        assert ada.event("client.detached")["data"]["client_id"] == "bob"
        assert ada.event("driver.changed")["data"] == {"driver": None, "previous": "bob", "how": "left"}
        assert ada.result("update_session_state", **change)["version"] == 4
        ada.result("share_session", session_id=session, client_id="bob", role="none")
        with Connection(daemon.socket_path) as back:
            hello(back, "bob")
            assert back.refusal("subscribe", session_id=session)["code"] == "session_not_shared"


def test_digest_tells_what_happened_while_away() -> None:
    """Who was away, over a restart of the daemon too, gets the sum of what happened since."""
    with folder() as home, Daemon(home) as first, Amber(first.url):
        first.wait_for("image.connected", image_id=IMAGE_ID)
        with Connection(first.socket_path) as away, Connection(first.socket_path) as busy:
            hello(away, "ada")
            session = away.new_session(client_id="ada", image_id=IMAGE_ID)
            since = away.result("subscribe", session_id=session)["position"]
            away.close()
            busy.value("Transcript show: 'all is well'. 6 * 7", session)
            busy.result("evaluate", code="nil fly", session_id=session)
            for number in range(3):
                busy.result("update_session_state", session_id=session, state_data={"n": number})
        os.kill(first.child.pid, signal.SIGKILL)
        first.wait()
        with Daemon(home) as second, Connection(second.socket_path) as back:
            hello(back, "ada")
            digest = back.result("get_digest", session_id=session, since=since)
    assert digest["recovered"] is True
    assert [(each["code"], each["has_error"]) for each in digest["finished"]] == [
        ("Transcript show: 'all is well'. 6 * 7", False),
        ("nil fly", True),
    ]
    assert digest["finished"][0]["display"] == "42"
    assert (digest["running"], digest["output_tail"]) == ([], "all is well")
    assert [(each["count"], each["last_version"]) for each in digest["changes"]] == [(3, 4)]
    assert ("client.detached", "ada") in {(each["event"], each["client_id"]) for each in digest["clients"]}
