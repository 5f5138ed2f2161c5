"""The log of a real process: levels that change, a file that is moved away, what is in a line and what never is."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stui_sessiond.cli import main
from stui_sessiond.log_level import MAX_RULES, Levels

DEADLINE_S = 20.0


@pytest.mark.parametrize(
    ("logger", "number"),
    [
        ("stui_sessiond.daemon", logging.WARNING),
        ("stui_sessiond.storage", logging.DEBUG),
        ("stui_sessiond.storage.file", logging.DEBUG),
        ("stui_sessiond.storage_room", logging.WARNING),
        ("stui_sessiond.storage.audit_log", logging.ERROR),
        ("websockets.server", logging.WARNING),
    ],
)
def test_longest_name_that_fits_has_the_level(logger: str, number: int) -> None:
    """Rooms have levels, and modules in them; a library is never below a warning."""
    levels = Levels()
    before = levels.threshold_of(logger)
    levels.set(None, "warning")
    levels.set("stui_sessiond.storage", "debug")
    levels.set("stui_sessiond.storage.audit_log", "error")
    levels.set("websockets", "debug")
    assert before.number == levels.threshold_of(logger).number == number


def test_level_of_its_own_is_taken_back() -> None:
    """It follows the others again; to take back what is not there changes nothing."""
    levels = Levels()
    levels.set("stui_sessiond.wire", "error")
    for _ in range(2):
        levels.set("stui_sessiond.wire", None)
        assert levels.level_of("stui_sessiond.wire.codec") == "info"


def test_levels_of_their_own_are_bounded() -> None:
    """Whoever sets them without end is told so; one that is there can still be changed."""
    levels = Levels()
    for number in range(MAX_RULES):
        levels.set(f"stui_sessiond.x{number}", "debug")
    with pytest.raises(ValueError, match="take back some"):
        levels.set("stui_sessiond.more", "debug")
    levels.set("stui_sessiond.x0", "error")
    assert levels.level_of("stui_sessiond.x0") == "error"


# ---- a whole process


class Process:
    """A daemon as a process that logs into a file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.url = f"unix://{folder}/s"
        self._running = subprocess.Popen(
            [
                *(sys.executable, "-m", "stui_sessiond", "serve", "--data-dir", str(folder / "data")),
                *("--unix", str(folder / "s"), "--log-file", str(self.log), *options),
            ],
            stderr=subprocess.PIPE,
        )

    def lines(self, file: Path | None = None) -> list[dict[str, Any]]:
        """What is in the log, of JSON."""
        path = file or self.log
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait for a line."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for line in self.lines():
                if line["event"] == event and all(line.get(key) == value for key, value in fields.items()):
                    return line
            time.sleep(0.02)  # another process writes it
        pytest.fail(f"no {event} {fields} in {[line['event'] for line in self.lines()]}")

    def hang_up(self) -> None:
        """Send SIGHUP."""
        self._running.send_signal(signal.SIGHUP)

    def stop(self) -> str:
        """End it; give what it wrote to standard error."""
        self._running.terminate()
        _, told = self._running.communicate(timeout=DEADLINE_S)
        assert self._running.returncode == 0, told
        return told.decode()


@contextmanager
def process(folder: Path, *options: str) -> Iterator[Process]:
    """Run a daemon."""
    running = Process(folder, "--log-format", "json", *options)
    try:
        running.wait_for("daemon.ready")
        yield running
    finally:
        running.stop()


def command(*words: str) -> str:
    """Run a command of ours, and give what it prints."""
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def test_log_file_is_opened_anew_at_sighup(tmp_path: Path) -> None:
    """As logrotate does it: moved away, then SIGHUP. No line is lost, none comes twice; only the owner may read it."""
    with process(tmp_path) as running:
        assert running.log.stat().st_mode & 0o777 == 0o600
        moved = tmp_path / "log.1"
        running.log.rename(moved)
        command("call", "describe", "command=ping", "--url", running.url)
        running.hang_up()
        running.wait_for("settings.reloaded")
        command("call", "describe", "command=ping", "--url", running.url)
        running.wait_for("peer.left")
        before, after = running.lines(moved), running.lines()
    assert [line["event"] for line in before].count("peer.greeted") == 1
    assert [line["event"] for line in after].count("peer.greeted") == 1


def test_log_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The start is refused, with the setting and the reason."""
    told = CliRunner().invoke(
        main, ["serve", "--data-dir", str(tmp_path / "d"), "--log-file", str(tmp_path / "no" / "log")]
    )
    assert told.exit_code == 2
    assert "server.log_file" in told.output
    assert "No such file" in told.output


def test_level_is_changed_while_it_runs(tmp_path: Path) -> None:
    """By the command line: for a part of the daemon, back again, and for all; lines follow at once."""
    with process(tmp_path) as running:
        at = ("--url", running.url)
        assert command("log-level", *at).split() == ["info", "all"]
        changed = command("log-level", "debug", "--logger", "stui_sessiond.commands.dispatch", *at)
        assert changed.splitlines()[1].split() == ["debug", "stui_sessiond.commands.dispatch"]
        assert CliRunner().invoke(main, ["call", "make_coffee", *at]).exit_code == 1
        line = running.wait_for("request.refused", code="unknown_command")
        assert (line["level"], line["command"]) == ("debug", "make_coffee")
        command("log-level", "default", "--logger", "stui_sessiond.commands.dispatch", *at)
        found = json.loads(command("log-level", "error", "--json", *at))
        assert found == {"default": "error", "loggers": {}}
        count = len(running.lines())
        assert CliRunner().invoke(main, ["call", "make_coffee", *at]).exit_code == 1
        assert len(running.lines()) == count
        refused = CliRunner().invoke(main, ["log-level", "debug", "--logger", "websockets", *at])
        assert (refused.exit_code, "invalid_parameters" in refused.output) == (1, True)
        command("log-level", "info", *at)


def test_level_is_in_the_audit_log(tmp_path: Path) -> None:
    """Whoever makes the daemon silent has said so."""
    with process(tmp_path) as running:
        command("log-level", "error", "--url", running.url)
    shown = command("audit", "tail", "--data-dir", str(tmp_path / "data"), "--json")
    (entry,) = [one for line in shown.splitlines() if (one := json.loads(line)).get("command") == "set_log_level"]
    assert entry["details"]["level"] == "error"


PROGRAM = """
import asyncio, logging, sys
import structlog
from stui_sessiond import asking, logs
from stui_sessiond.wire.forms import Request

logs.set_up_logs(sys.argv[1], "info")
log = structlog.get_logger("stui_sessiond.test")

class Who:
    connection_id = "conn_1"
    client_id = None

def fails(payload):
    raise RuntimeError("no")

async def handle():
    asking.asked.set((Request("r-1", "evaluate", b"{}", None, False), Who))
    await asyncio.create_task(note())
    try:
        fails("canary-" + "payload")
    except RuntimeError:
        log.exception("request.crashed", command="other")

async def note():
    log.warning("session.noted", session_id="s")

asyncio.run(handle())
log.info("outside")
logging.getLogger("lib").warning("it said %s", "\\x1b[31mred\\nforged")
logging.getLogger("lib").info("unheard")
"""


def logged(form: str) -> str:
    """What a process logs that has a request under way."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True)
    return done.stderr


def test_lines_say_during_which_request_it_was() -> None:
    """Tasks that it starts say so as well; what the line says itself goes before."""
    lines = [json.loads(line) for line in logged("json").splitlines()]
    noted, crashed, outside, said = lines
    assert (noted["request_id"], noted["command"], noted["connection_id"]) == ("r-1", "evaluate", "conn_1")
    assert "client_id" not in noted
    assert crashed["command"] == "other"
    assert "request_id" not in outside
    assert (said["event"], said["library"], said["level"]) == ("library.said", "lib", "warning")


@pytest.mark.parametrize("form", ["json", "console"])
def test_log_has_no_payloads_and_cannot_be_forged(form: str) -> None:
    """A traceback has places, not values; control characters of a library's text are escaped."""
    text = logged(form)
    assert "RuntimeError" in text
    assert "canary-payload" not in text
    assert "\x1b[31m" not in text
    assert "\nforged" not in text


def test_log_that_nobody_reads_harms_nobody(tmp_path: Path) -> None:
    """The reader of standard error is gone: lines are lost and counted, and the process goes on."""
    program = (
        "import sys, structlog\nfrom stui_sessiond import logs\nlogs.set_up_logs('json', 'info')\n"
        "for _ in range(3): structlog.get_logger('stui_sessiond.x').info('x')\n"
        f"open({str(tmp_path / 'lost')!r}, 'w').write(str(logs.SINK.tally.lost))\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        subprocess.run([sys.executable, "-c", program], stderr=writing, check=False, timeout=DEADLINE_S)
    finally:
        os.close(writing)
    assert (tmp_path / "lost").read_text() == "3"
