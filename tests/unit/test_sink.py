"""Where lines of the log go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from stui_sessiond.errors import ConfigError
from stui_sessiond.sink import Sink


def test_journal_gets_priorities(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of an entry has its own: the journal takes lines for entries."""
    sink = Sink(journal=True)
    sink.logger().error("it broke\n    Traceback")
    sink.logger().info("all is well")
    sink.write("a library warns\n")
    assert capsys.readouterr().err == "<3>it broke\n<3>    Traceback\n<6>all is well\n<4>a library warns\n"
    assert sink.kept


def test_terminal_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    """People read it."""
    sink = Sink()
    sink.logger().warning("look")
    assert capsys.readouterr().err == "look\n"
    assert not sink.kept


def test_journal_is_told_by_its_stream() -> None:
    """Only if standard error is what JOURNAL_STREAM names; it may have been redirected since."""
    if not hasattr(sys.__stderr__, "fileno"):
        pytest.skip("standard error has no descriptor here")
    assert not Sink.chosen(None, {"JOURNAL_STREAM": "0:0"}).kept
    assert not Sink.chosen(None, {}).kept


def test_file_is_for_its_owner_and_opened_anew(tmp_path: Path) -> None:
    """Lines before a rotation stay in the old file."""
    path = tmp_path / "log"
    sink = Sink(path)
    sink.line("one", "info")
    path.rename(tmp_path / "log.1")
    sink.line("two", "info")
    assert sink.reopen()
    sink.line("three", "info")
    sink.close()
    assert (tmp_path / "log.1").read_text("utf-8") == "one\ntwo\n"
    assert path.read_text("utf-8") == "three\n"
    assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116 -- the same


def test_file_that_cannot_be_opened_anew_stays(tmp_path: Path) -> None:
    """What is written is not lost, and the file says why."""
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = Sink(folder / "log")
    folder.rename(tmp_path / "moved")
    assert not sink.reopen()
    sink.line("on", "info")
    sink.close()
    assert "log.not_reopened" in (tmp_path / "moved" / "log").read_text("utf-8")
    assert (tmp_path / "moved" / "log").read_text("utf-8").endswith("on\n")


def test_file_in_no_folder_is_refused(tmp_path: Path) -> None:
    """At the start it is a mistake in the settings."""
    with pytest.raises(ConfigError, match=r"server\.log_file"):
        Sink(tmp_path / "none" / "log")
