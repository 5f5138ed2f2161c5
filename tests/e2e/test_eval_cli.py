"""`stui-sessiond eval`: what it prints, its exit codes, and Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.harness import (
    DEADLINE_S,
    Amber,
    Connection,
    Daemon,
    Json,
    ScriptedImage,
    clean_environment,
    folder,
    run_cli,
)

INTERRUPTED: Json = {
    "result": None,
    "result_type": "Interrupted",
    "execution_time": 1,
    "has_error": True,
    "error": {"class": "Interrupted", "message": "interrupted"},
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon on the unix socket, with a live Smalltalk."""
    with folder() as home, Daemon(home) as started, Amber(started.url, "amber") as _:
        started.wait_for("image.connected", image_id="amber")
        yield started


@contextmanager
def evaluating(daemon: Daemon, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Let `eval` run beside the test."""
    command = [sys.executable, "-m", "stui_sessiond", "eval", *arguments, "--url", daemon.url]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def evaluate(daemon: Daemon, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Let `eval` run to its end."""
    shown = run_cli("eval", *arguments, "--url", daemon.url, stdin=stdin)
    return shown.returncode, shown.stdout, shown.stderr


def sessions(daemon: Daemon) -> int:
    """How many sessions there are."""
    with Connection(daemon.socket_path) as client:
        total: int = client.result("get_session_statistics")["total_sessions"]
        return total


def test_eval_prints_the_value(daemon: Daemon) -> None:
    """In the only image there is, or the one that is named; the session it took is gone afterwards."""
    before = sessions(daemon)
    assert evaluate(daemon, "3 + 4") == (0, "7\n", "")
    assert evaluate(daemon, "-", "--image", "amber", stdin="| a |\na := 'x\x1b[2J'.\na , 'ü'") == (
        0,
        "'x\x1b[2Jü'\n",
        "",
    )
    assert sessions(daemon) == before


def test_eval_in_a_session(daemon: Daemon) -> None:
    """Variables live on; the session does, too."""
    with Connection(daemon.socket_path) as client:
        session = client.new_session(image_id="amber")
    assert evaluate(daemon, "counter := 41", "--session", session, "--tool", "w")[0] == 0
    assert evaluate(daemon, "counter + 1", "--session", session, "--tool", "w") == (0, "42\n", "")
    with Connection(daemon.socket_path) as client:
        listed = client.result("list_evaluations", session_id=session)["evaluations"]
        assert [one["code"] for one in listed] == ["counter + 1", "counter := 41"]


def test_eval_of_code_that_raises_an_error(daemon: Daemon) -> None:
    """The error and its stack go to standard error, and the exit code is 1; with --json all of it is the result."""
    code, out, error = evaluate(daemon, "nil frobnicate")
    assert (code, out) == (1, "")
    assert error.startswith("MessageNotUnderstood: ")
    assert ">>" in error.splitlines()[1]
    code, out, error = evaluate(daemon, "nil frobnicate", "--json")
    assert (code, error) == (1, "")
    assert json.loads(out)["error"]["class"] == "MessageNotUnderstood"


def test_eval_that_cannot_be_done(daemon: Daemon) -> None:
    """An image that is not there, a session that is not there, and options that do not go together."""
    code, _, error = evaluate(daemon, "1", "--image", "nobody")
    assert code == 1
    assert "[image_unavailable]" in error
    code, out, _ = evaluate(daemon, "1", "--session", "session_1_1700000000_unknownunknownunkno", "--json")
    assert (code, json.loads(out)["code"]) == (1, "session_not_found")
    code, _, error = evaluate(daemon, "1", "--image", "amber", "--on-all")
    assert code == 2
    assert "--on-all" in error


def test_eval_as_the_client_that_a_token_is_for() -> None:
    """Its session is that client's; without the name it is told which option says it."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0") as daemon, Amber(daemon.url, "amber") as _:
        daemon.wait_for("image.connected", image_id="amber")
        made = run_cli("token", "create", "ada", "--client", "ada", "--data-dir", str(daemon.data)).stdout.strip()
        host, port = daemon.place("lines")
        there = {"STUI_SESSIOND_URL": f"tcp://{host}:{port}", "STUI_SESSIOND_TOKEN": made}
        shown = run_cli("eval", "3 + 4", "--client-id", "ada", environment=there)
        assert (shown.returncode, shown.stdout) == (0, "7\n")
        refused = run_cli("eval", "3 + 4", environment=there)
        assert refused.returncode == 1
        assert "--client-id" in refused.stderr


def test_eval_on_all_images(daemon: Daemon) -> None:
    """Equal answers once; an image that does not answer makes it a failure."""
    assert evaluate(daemon, "3 + 4", "--on-all") == (0, "amber:\n  7\n", "")
    with ScriptedImage(daemon.socket_path, "deaf"):
        code, out, _ = evaluate(daemon, "3 + 4", "--on-all", "--timeout", "0.5")
        assert code == 1
        assert out.splitlines()[:3] == ["amber:", "  7", "deaf:"]
        assert "[image_timeout]" in out


def test_ctrl_c_interrupts_the_code(daemon: Daemon) -> None:
    """The image hears of it, and what it then answers is shown."""
    with (
        ScriptedImage(daemon.socket_path, "busy") as image,
        evaluating(daemon, "[ true ] whileTrue", "--image", "busy") as child,
    ):
        request = image.request()
        child.send_signal(signal.SIGINT)
        interrupt = image.request()
        assert interrupt["command"] == "interrupt"
        assert interrupt["parameters"]["request_id"] == request["id"]
        image.reply(interrupt, {"interrupted": True})
        image.reply(request, INTERRUPTED)
        out, error = child.communicate(timeout=DEADLINE_S)
        assert (child.returncode, out) == (130, "")
        assert error.splitlines()[-1] == "Interrupted: interrupted"


def test_second_ctrl_c_leaves(daemon: Daemon) -> None:
    """Of an image that does not end the code: it says under which name that still runs."""
    with Connection(daemon.socket_path) as client, ScriptedImage(daemon.socket_path, "stubborn") as image:
        session = client.new_session(image_id="stubborn")
        with evaluating(daemon, "[ true ] whileTrue", "--session", session) as child:
            request = image.request()
            child.send_signal(signal.SIGINT)
            assert image.request()["command"] == "interrupt"
            child.send_signal(signal.SIGINT)
            _, error = child.communicate(timeout=DEADLINE_S)
            assert child.returncode == 130
        (running,) = client.result("list_evaluations", session_id=session)["evaluations"]
        assert running["status"] == "running"
        assert running["evaluation"] in error
        image.reply(request, INTERRUPTED)
