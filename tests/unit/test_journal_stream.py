"""Lines for the journal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from stui_sessiond.journal_stream import is_journal, with_priority
from stui_sessiond.logs import Sink


def test_each_line_has_its_priority() -> None:
    """The lines of a traceback as well."""
    assert with_priority("error", "it broke\n    Traceback") == "<3>it broke\n<3>    Traceback"
    assert with_priority("whatever", "x") == "<6>x"


def test_journal_is_known_by_device_and_inode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only if standard error is what JOURNAL_STREAM names."""
    with (tmp_path / "stream").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        found = os.fstat(stream.fileno())
        assert is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_journal({"JOURNAL_STREAM": f"{found.st_dev}:1"})
        assert not is_journal({})


def test_sink_writes_for_the_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On standard error; a file has none."""
    with (tmp_path / "stream").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        sink = Sink()
        sink.open(None, journal=True)
        sink.write("warning", "look")
        assert sink.kept
    assert (tmp_path / "stream").read_text("utf-8") == "<4>look\n"
    sink.open(tmp_path / "log", journal=True)
    sink.write("warning", "look")
    assert sink.kept
    assert (tmp_path / "log").read_text("utf-8") == "look\n"
    sink.open(None)
    assert not sink.kept
