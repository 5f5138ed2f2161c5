"""The daemon's tokens."""

import hashlib
import json
from pathlib import Path

import pytest

from stui_sessiond.errors import ConfigError
from stui_sessiond.security.token import FILE_NAME, TokenFile


def test_token_is_made_once(tmp_path: Path) -> None:
    """The first start makes one and hands it over; the second knows it and makes none."""
    first, token = TokenFile.open(tmp_path)
    assert token is not None
    assert len(token) >= 43  # 256 bits
    second, nothing = TokenFile.open(tmp_path)
    assert nothing is None
    assert first.admits(token)
    assert second.admits(token)


def test_token_is_not_stored(tmp_path: Path) -> None:
    """The file has its SHA-256 and is for the owner alone; nothing else is left behind."""
    _, token = TokenFile.open(tmp_path)
    assert token is not None
    path = tmp_path / FILE_NAME
    text = path.read_text()
    assert token not in text
    assert json.loads(text)["sha256"] == [hashlib.sha256(token.encode()).hexdigest()]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == [FILE_NAME]


def test_token_after_a_crash_in_the_first_start(tmp_path: Path) -> None:
    """A half-written file does not get into the way, and what was in it is not readable by others."""
    left = tmp_path / "tokens.new"
    left.write_text("half")
    left.chmod(0o644)
    tokens, token = TokenFile.open(tmp_path)
    assert tokens.admits(token)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_token_that_is_wrong(tmp_path: Path) -> None:
    """Missing, empty, nearly right, and impossible ones are not admitted, and nothing raises."""
    tokens, token = TokenFile.open(tmp_path)
    assert token is not None
    hashed = hashlib.sha256(token.encode()).hexdigest()
    for wrong in (None, "", token[:-1], f"{token} ", token.swapcase(), hashed, "\ud800", "é", "x" * 100_000):
        assert not tokens.admits(wrong)
    assert not TokenFile([]).admits(None)
    assert not TokenFile([]).admits("")


def test_tokens_of_several(tmp_path: Path) -> None:
    """Every token of the file is admitted."""
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two")]
    text = json.dumps({"format": "stui-tokens", "format_version": 1, "sha256": hashes})
    (tmp_path / FILE_NAME).write_text(text)
    tokens, _ = TokenFile.open(tmp_path)
    assert tokens.admits("one")
    assert tokens.admits("two")
    assert not tokens.admits("three")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sha256":5}', b'{"format":"\xff"}'])
def test_token_file_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    """The start is refused with advice, and the file is left as it is."""
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"tokens\.json cannot be read"):
        TokenFile.open(tmp_path)
    assert path.read_bytes() == content
