"""How a small file comes to be that must not be lost, or read by others."""

import stat
from pathlib import Path

import pytest

from stui_sessiond.security.kept_file import replace_file


def test_file_is_replaced_whole_and_has_its_mode(tmp_path: Path) -> None:
    """What a crash has left half beside it is in nobody's way, whatever its rights were."""
    path = tmp_path / "key"
    (tmp_path / "key.new").write_bytes(b"half")
    (tmp_path / "key.new").chmod(0o644)
    replace_file(path, b"one")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one", 0o600)
    replace_file(path, b"two", 0o644)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o644)
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_file_that_cannot_be_replaced_is_as_it_was(tmp_path: Path) -> None:
    """Where nothing can be put there, nothing is left beside it that counts."""
    with pytest.raises(OSError, match="No such file"):
        replace_file(tmp_path / "nowhere" / "key", b"one")
