"""Does `stui-sessiond conformance` tell how it went, in words, in JSON and in its exit code?"""

import json
import logging
import threading
from collections.abc import Iterator

import pytest
import structlog
from click.testing import CliRunner

from stui_sessiond.cli import main
from stui_sessiond.cli_ask import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE
from stui_sessiond.testing import Report, Row
from tests.conformance.bed import FACTORIES, running_daemon


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A daemon that runs beside the test, as the command has a loop of its own."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # it shares our output
    with running_daemon(FACTORIES["tcp"], "none") as bed:
        loop = bed.runner.get_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield bed.url
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            structlog.configure(**before)


def test_conformance_prints_a_table(url: str) -> None:
    """A line per vector and transcript, and the sums."""
    done = CliRunner().invoke(main, ["conformance", url, "--only", "*life*"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["transcripts/session_life", "passed"],
        ["transcripts/session_life_envelope", "passed"],
    ]
    assert lines[-1] == "2 passed, 0 failed"


def test_conformance_prints_json(url: str) -> None:
    """The same for a script."""
    done = CliRunner().invoke(main, ["conformance", url, "--only", "valid/ping/*", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["failed"] == 0
    assert told["passed"] == len(told["rows"]) > 5


def test_conformance_fails_if_one_row_did(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code says so, and the table what differed."""

    async def run(*_: object, **__: object) -> Report:
        return Report([Row("a", ok=False, seconds=0, differences=["id: expected 1, got 2"])])

    monkeypatch.setattr("stui_sessiond.testing.run_conformance", run)
    done = CliRunner().invoke(main, ["conformance", url])
    assert done.exit_code == EXIT_FAILED
    assert "id: expected 1, got 2" in done.output
    assert done.output.endswith("0 passed, 1 failed\n")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["tcp://127.0.0.1:1"], EXIT_UNREACHABLE, "no daemon answers at tcp://127.0.0.1:1"),
        (["http://127.0.0.1:1/"], EXIT_USAGE, "no address of a daemon"),
    ],
)
def test_conformance_that_cannot_begin(arguments: list[str], code: int, told: str) -> None:
    """Why nothing was checked is told, and is no failure of the daemon."""
    done = CliRunner().invoke(main, ["conformance", *arguments])
    assert done.exit_code == code
    assert told in done.output


def test_conformance_of_nothing(url: str) -> None:
    """A pattern that matches nothing does not pass."""
    done = CliRunner().invoke(main, ["conformance", url, "--only", "nothing"])
    assert done.exit_code == EXIT_USAGE
    assert "no vector and no transcript is called 'nothing'" in done.output
