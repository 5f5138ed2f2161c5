"""The command line, as people and scripts use it: what it prints, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.harness import ROOT, Connection, Daemon, ScriptedImage, find_node, folder, run_cli


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon on the unix socket and on TCP."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0") as started:
        yield started


# ---- demo


def test_demo_shows_the_main_job() -> None:
    """The demo works with a live Smalltalk, survives leaving and a restart, and says so."""
    shown = run_cli("demo", environment={"NODE": find_node()})
    assert (shown.returncode, shown.stderr) == (0, "")
    steps = [
        "Amber",
        "3 + 4  ->  7",
        "Counter defined",
        "increment; increment  ->  2",
        "inspect c: count  ->  2",
        "MessageNotUnderstood: a Counter does not understand #fly:",
        "Counter>>doesNotUnderstand:",
        "stored as version 2",
        "sha256:",
        "back: everything is as it was",
        "exit code  ->  0",
        "started again",
        "restored: state and context are equal",
        "c increment  ->  4",
        "All of it held.",
    ]
    rest = shown.stdout
    for step in steps:
        _, found, rest = rest.partition(step)
        assert found, f"{step!r} is missing or out of order in\n{shown.stdout}"


@pytest.mark.parametrize("name", ["nowhere/image.js", "examples/first_session.py"])
def test_demo_without_its_image_says_what_is_missing(name: str) -> None:
    """A wrong path, or one without its packages, ends with 1 and what to do."""
    shown = run_cli("demo", "--image", str(ROOT / name))
    assert shown.returncode == 1
    assert "make" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_demo_with_an_image_that_never_comes_says_so() -> None:
    """When the image cannot be started the demo fails and says at what."""
    shown = run_cli("demo", environment={"NODE": "/nowhere/node"})
    assert shown.returncode == 1
    assert "/nowhere/node" in shown.stderr
    assert "Traceback" not in shown.stderr


# ---- call


def test_call_prints_the_result(daemon: Daemon) -> None:
    """A result is printed as indented JSON; with --json on one line."""
    shown = run_cli("call", "ping", "message=3", "--url", daemon.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["message"] == "3"
    assert len(shown.stdout.splitlines()) > 1
    shown = run_cli("call", "create_session", "client_id=für mich", "timeout=60", "--url", daemon.url, "--json")
    assert len(shown.stdout.splitlines()) == 1
    created = json.loads(shown.stdout)
    assert (created["client_id"], created["timeout"]) == ("für mich", 60)
    state = 'state_data={"a": [1, null]}'
    shown = run_cli(
        "call", "update_session_state", f"session_id={created['session_id']}", state, "--url", daemon.url, "--json"
    )
    assert json.loads(shown.stdout)["session_state"] == {"a": [1, None]}


def test_call_failure_exits_1(daemon: Daemon) -> None:
    """An error goes to standard error with its code; with --json it is JSON on standard output."""
    arguments = ("call", "get_session_info", "session_id=nowhere", "--url", daemon.url)
    shown = run_cli(*arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "nowhere" in shown.stderr
    assert "[session_not_found]" in shown.stderr
    shown = run_cli(*arguments, "--json")
    assert (shown.returncode, shown.stderr) == (1, "")
    failure = json.loads(shown.stdout)
    assert (failure["code"], failure["error_type"], failure["retryable"]) == (
        "session_not_found",
        "SessionNotFound",
        False,
    )


def test_call_unknown_command_exits_1(daemon: Daemon) -> None:
    """A command that the daemon does not know is its error, with a hint."""
    shown = run_cli("call", "frobnicate", "a=1", "--url", daemon.url)
    assert shown.returncode == 1
    assert "[unknown_command]" in shown.stderr
    assert "describe" in shown.stderr


def test_call_reads_a_value_from_standard_input(daemon: Daemon) -> None:
    """A value of `-` is read from standard input, so that code needs no quoting."""
    code = "| a |\na := 'it''s \"quoted\"'.\n^ a\n"
    with ScriptedImage(daemon.socket_path, "reader") as image:
        with Connection(daemon.socket_path) as client:
            session = client.new_session(image_id="reader")
        arguments = ("call", "evaluate", f"session_id={session}", "code=-", "timeout=0.05", "--url", daemon.url)
        shown = run_cli(*arguments, stdin=code)
        assert "[image_timeout]" in shown.stderr
        assert image.request()["parameters"]["code"] == code


def test_call_over_tcp_takes_the_token_from_the_environment(daemon: Daemon) -> None:
    """Over TCP the token comes from STUI_SESSIOND_TOKEN; without it the call is refused."""
    host, port = daemon.place("lines")
    place = {"STUI_SESSIOND_URL": f"tcp://{host}:{port}"}
    shown = run_cli("call", "ping", environment={**place, "STUI_SESSIOND_TOKEN": daemon.token()})
    assert (shown.returncode, shown.stderr) == (0, "")
    shown = run_cli("call", "ping", environment=place)
    assert shown.returncode == 1
    assert "[authentication_failed]" in shown.stderr
    assert "token create" in shown.stderr


def test_token_made_beside_a_daemon_is_good_at_once(daemon: Daemon) -> None:
    """Whoever makes a token and uses it in one line is let in."""
    made = run_cli("token", "create", "at-once", "--data-dir", str(daemon.data)).stdout.strip()
    with Connection(daemon.place("lines")) as client:
        assert client.result("hello", role="client", token=made)["rights"] == ["connect", "eval", "observe", "session"]


@pytest.mark.parametrize("command", ["call ping", "status", "restart"])
def test_unreachable_daemon_exits_3(command: str) -> None:
    """Where no daemon answers the exit code is 3 and the text says how to start one."""
    with folder() as home:
        shown = run_cli(*command.split(), environment={"STUI_SESSIOND_RUNTIME_DIR": str(home)})
        assert (shown.returncode, shown.stdout) == (3, "")
        assert str(home) in shown.stderr
        assert "stui-sessiond serve" in shown.stderr
        assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("frobnicate",), "frobnicate"),
        (("call",), "COMMAND"),
        (("call", "ping", "message"), "KEY=VALUE"),
        (("call", "ping", "--url", "http://localhost"), "ws://HOST:PORT/"),
        (("call", "ping", "--url", "tcp://localhost:99999"), "tcp://"),
        (("describe", "frobnicate"), "frobnicate"),
        (("serve", "--speed", "3"), "--speed"),
        (("token", "create", "x", "--expires", "0s"), "'0s'"),
        (("token", "create", "x", "--expires", "99999999999d"), "100 years"),
    ],
)
def test_wrong_use_exits_2(arguments: tuple[str, ...], named: str) -> None:
    """A wrong command line ends with 2 and names the mistake."""
    shown = run_cli(*arguments)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert named in shown.stderr
    assert "Traceback" not in shown.stderr


# ---- status and describe


def test_status_tells_how_the_daemon_is(daemon: Daemon) -> None:
    """Status shows sessions, connections, storage and images, for people or as JSON."""
    with ScriptedImage(daemon.socket_path, "shown"), Connection(daemon.socket_path) as client:
        client.new_session(image_id="shown")
        shown = run_cli("status", "--url", daemon.url)
        assert (shown.returncode, shown.stderr) == (0, "")
        lines = {line.split()[0]: line for line in shown.stdout.splitlines() if "shown" in line or "image" not in line}
        assert set(lines) >= {"up", "sessions", "connections", "storage", "image"}
        assert "ok" in lines["storage"]
        assert "connected, idle, 1 sessions" in lines["image"]
        told = json.loads(run_cli("status", "--url", daemon.url, "--json").stdout)
        assert told["storage"]["status"] == "ok"
        assert "shown" in {image["image_id"] for image in told["images"]}


def test_describe_lists_and_explains_commands() -> None:
    """Describe needs no daemon: it lists all commands, or tells everything about one."""
    listed = run_cli("describe")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert {"hello", "create_session", "evaluate"} <= {line.split()[0] for line in listed.stdout.splitlines()}
    shown = run_cli("describe", "evaluate").stdout
    assert "code: string (required)" in shown
    assert "image_timeout" in shown
    told = json.loads(run_cli("describe", "evaluate", "--json").stdout)
    assert (told["command"], told["request_type"]) == ("evaluate", "Evaluate")
    assert len(json.loads(run_cli("describe", "--json").stdout)) == len(listed.stdout.splitlines())


@pytest.mark.parametrize("command", ["call", "eval"])
def test_help_keeps_the_lines_of_examples_apart(command: str) -> None:
    """An example begins a line of its own."""
    shown = run_cli(command, "--help").stdout
    assert "\\b" not in shown
    assert f"\n  stui-sessiond {command} " in shown


def test_help_and_version_are_shown() -> None:
    """Help names all subcommands; the version is one line."""
    shown = run_cli("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("serve", "call", "status", "describe", "demo"))
    assert "\n  stui-sessiond call create_session client_id=me\n" in run_cli("call", "--help").stdout
    assert run_cli("--version").stdout.startswith("stui-sessiond, version 0.")
