"""`stui` in scripts: the same things as on the screen, without Textual."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.harness import IMAGE_ID, Amber, Connection, Daemon, clean_environment, folder


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with a live Amber."""
    with folder() as home, Daemon(home) as started, Amber(started.url):
        started.wait_for("image.connected", image_id=IMAGE_ID)
        yield started


def stui(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `stui` to its end, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "stui_sessiond.tui", *arguments],
        input=stdin,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_eval_prints_the_value(daemon: Daemon) -> None:
    """From an argument, from standard input; an error goes to standard error, with exit code 1."""
    assert stui("eval", "3 + 4", "--url", daemon.url).stdout == "7\n"
    assert stui("eval", "-", "--url", daemon.url, stdin="6 * 7").stdout == "42\n"
    failed = stui("eval", "3 fly", "--url", daemon.url)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "MessageNotUnderstood" in failed.stderr


def test_inspect_shows_what_is_inside(daemon: Daemon) -> None:
    """For people and for programs; with a path from there; of an expression from standard input."""
    shown = stui("inspect", "-", "--url", daemon.url, stdin="1 -> 'two'")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[0].startswith("Association: ")
    assert "'two'" in shown.stdout
    as_json = json.loads(stui("inspect", "1 -> 'two'", "--url", daemon.url, "--json").stdout)
    assert as_json["object_info"]["class_name"] == "Association"
    inner = stui("inspect", "1 -> 'two'", "--path", "value", "--url", daemon.url)
    assert inner.stdout.startswith("String: ")
    refused = stui("inspect", "1", "--image", "none", "--session", "s", "--url", daemon.url)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_sessions_are_listed_by_image(daemon: Daemon) -> None:
    """As on the screen, with the id for `attach`; JSON for programs."""
    with Connection(daemon.socket_path) as client:
        session_id = client.new_session(client_id="ada", name="work", image_id=IMAGE_ID)
    shown = stui("sessions", "--client-id", "ada", "--url", daemon.url)
    assert shown.stdout.splitlines()[0].startswith(f"* {IMAGE_ID} (Amber")
    assert any("work" in line and line.endswith(session_id) for line in shown.stdout.splitlines())
    groups = json.loads(
        stui("sessions", "--client-id", "ada", "--image", IMAGE_ID, "--json", "--url", daemon.url).stdout
    )
    assert session_id in [row["session_id"] for row in groups[0]["rows"]]


def test_no_daemon_is_exit_code_3() -> None:
    """And it says what to do."""
    done = stui("sessions", "--url", "unix:///none/daemon.sock")
    assert done.returncode == 3
    assert "stui-sessiond serve" in done.stderr


def test_front_end_without_terminal_or_textual_says_so() -> None:
    """Neither hangs, neither shows a traceback."""
    done = stui()
    assert (done.returncode, "needs a terminal" in done.stderr) == (2, True)
    hide = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'textual' else find(name, *rest)\n"
        "from stui_sessiond.tui.cli import main; main(prog_name='stui', args=[])"
    )
    without = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, timeout=60, check=False)
    assert without.returncode == 2
    assert "pip install 'stui-sessiond[tui]'" in without.stderr


def test_commands_for_scripts_do_without_textual(daemon: Daemon) -> None:
    """They start as fast as those of the daemon."""
    code = (
        "import sys\n"
        "from stui_sessiond.tui.cli import main\n"
        "main(prog_name='stui', standalone_mode=False, "
        f"args=['sessions', '--client-id', 'ada', '--url', {daemon.url!r}])\n"
        "sys.exit(any(name.partition('.')[0] == 'textual' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
