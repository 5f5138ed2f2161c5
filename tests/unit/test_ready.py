"""The file in which a daemon tells where it is."""

import json
from pathlib import Path

import pytest

from stui_sessiond.errors import ConfigError
from stui_sessiond.ready import Ready, remove_ready, write_ready

READY = Ready(pid=1, server_id="s", http=None, lines="127.0.0.1:7447", unix=None)


def test_ready_file_comes_and_goes(tmp_path: Path) -> None:
    """It is there whole, in the place of one before, and nothing is left beside it."""
    path = tmp_path / "ready"
    path.write_text("old", "utf-8")
    write_ready(path, READY)
    assert json.loads(path.read_bytes())["lines"] == "127.0.0.1:7447"
    assert list(tmp_path.iterdir()) == [path]
    remove_ready(str(path))
    assert list(tmp_path.iterdir()) == []


def test_ready_file_follows_nothing_that_others_put_there(tmp_path: Path) -> None:
    """Its folder may be one in which everybody can put files: what a link leads to is not written."""
    victim = tmp_path / "victim"
    victim.write_text("kept", "utf-8")
    (tmp_path / "ready.new").symlink_to(victim)
    write_ready(tmp_path / "ready", READY)
    assert victim.read_text("utf-8") == "kept"
    assert not (tmp_path / "ready").is_symlink()


def test_ready_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the setting that named it."""
    with pytest.raises(ConfigError, match="ready_file"):
        write_ready(tmp_path / "nowhere" / "ready", READY)
