"""A client, the daemon and a live Amber, all real: code that never ends is ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import IMAGE_ID, Amber, Connection, Daemon, folder

FOREVER = "[true] whileTrue: []"
SHOUT = "Transcript show: ((1 to: 14) inject: 'x' into: [:text :each | text, text])"
"""Writes so much at once that the Transcript does not wait for more: the code runs, for certain."""


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon with a live Amber connected to it."""
    with folder() as home, Daemon(home) as started, Amber(started.url):
        started.wait_for("image.probed", image_id=IMAGE_ID)  # from then on only clients ask it
        yield started


def test_code_that_never_ends_is_interrupted_and_costs_no_object(daemon: Daemon) -> None:
    """The client that sent it gets `Interrupted`, what waited behind it is carried out, and the variables are there."""
    with Connection(daemon.socket_path) as client, Connection(daemon.socket_path) as helper:
        session = client.new_session(image_id=IMAGE_ID)
        client.result("subscribe", session_id=session)
        client.value("n := 41", session)
        code = f"n := n + 1. {SHOUT}. {FOREVER}"
        hung = client.start("evaluate", code=code, session_id=session, idempotency_key="hung")
        client.event("transcript")
        behind = client.start("evaluate", code="n * 10", session_id=session)
        client.event("evaluation.started")
        ended = helper.result("interrupt_evaluation", session_id=session, evaluation="hung")["evaluations"]
        assert [(each["outcome"], each["state_lost"]) for each in ended] == [("interrupted", False)]
        answer = client.result_of(hung)
        assert (answer["has_error"], answer["error"]["class"]) == (True, "Interrupted")
        assert client.result_of(behind)["result"] == "420"
        assert client.value("n", session) == "42"


def test_image_that_a_forked_block_blocks_is_started_anew_by_force(daemon: Daemon) -> None:
    """What cannot begin is dropped, and by force the image comes back without its objects, as another instance."""
    with Connection(daemon.socket_path) as client, Connection(daemon.socket_path) as helper:
        session = client.new_session(image_id=IMAGE_ID)
        client.result("subscribe", session_id=session)
        client.value("n := 41", session)
        client.value(f"[{SHOUT}. {FOREVER}] fork", session)
        client.event("transcript")
        blocked = client.start("evaluate", code="n", session_id=session)
        client.event("evaluation.started")
        (outcome,) = helper.result("interrupt_evaluation", session_id=session, force=True)["evaluations"]
        assert (outcome["outcome"], outcome["state_lost"]) == ("interrupted", True)
        assert client.result_of(blocked)["error"]["class"] == "Interrupted"
        client.event("image.disconnected")
        client.event("image.connected")
        missing = client.result("evaluate", code="n", session_id=session)
        assert missing["error"]["class"] == "UnknownVariableError"
        assert client.value("3 + 4", session) == "7"
