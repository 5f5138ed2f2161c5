"""Tokens that continue a connection."""

import base64
from pathlib import Path

import pytest

from stui_sessiond.errors import ConfigError
from stui_sessiond.ids import ConnectionId
from stui_sessiond.security.resume import KEY_BYTES, KEY_FILE, Resumed, ResumeTokens, new_connection_id, open_key

KEY, OTHER = bytes(range(KEY_BYTES)), bytes(KEY_BYTES)
NAME = ConnectionId("conn_1")


def said(client: str | None, name: ConnectionId = NAME) -> Resumed:
    """What a client's token says."""
    return Resumed(name, client, "client", None)


@pytest.mark.parametrize("client", ["ada", "Grüße ☕ .", None])
def test_token_says_what_it_was_made_for(client: str | None) -> None:
    """The connection and its client; made again it is the same."""
    tokens = ResumeTokens(KEY)
    token = tokens.issue(said(client, NAME))
    assert tokens.read(token) == said(client)
    assert tokens.issue(said(client, NAME)) == token
    assert ResumeTokens(KEY).read(token) == said(client)


def test_token_of_another_key() -> None:
    """Another data folder's tokens say nothing here."""
    assert ResumeTokens(OTHER).read(ResumeTokens(KEY).issue(said("ada", NAME))) is None


def test_token_that_was_changed() -> None:
    """Whatever is changed in it, it is none of ours any more."""
    tokens = ResumeTokens(KEY)
    token = tokens.issue(said("ada", NAME))
    for at in range(len(token)):
        letter = "A" if token[at] != "A" else "B"
        changed = f"{token[:at]}{letter}{token[at + 1 :]}"
        assert tokens.read(changed) in (None, said("ada"))
        if tokens.read(changed) is not None:  # bits beyond the last byte of a part mean nothing
            assert at in {token.index(".") - 1, len(token) - 1}


def test_token_that_was_cut() -> None:
    """A beginning of one is none."""
    tokens = ResumeTokens(KEY)
    token = tokens.issue(said("ada", NAME))
    assert all(tokens.read(token[:size]) is None for size in range(len(token)))


def test_token_with_the_name_of_another_connection() -> None:
    """The seal of one does not fit to another."""
    tokens = ResumeTokens(KEY)
    mine, theirs = tokens.issue(said("ada", NAME)), tokens.issue(said("ada", ConnectionId("conn_2")))
    assert tokens.read(theirs.split(".")[0] + "." + mine.split(".")[1]) is None


def _sealed(body: bytes) -> str:
    text = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    seal = ResumeTokens(KEY)._mac(body)
    return text + "." + base64.urlsafe_b64encode(seal).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token", ["", ".", "a.b", "ä.ö", "\ud800.x", "AAAA.AAAA", "A" * 10_000, _sealed(b"{}"), _sealed(b"[1,2]")]
)
def test_token_that_is_nonsense(token: str) -> None:
    """It is read without harm."""
    assert ResumeTokens(KEY).read(token) is None


def test_names_of_connections_are_new() -> None:
    """Nobody guesses them."""
    assert len({new_connection_id() for _ in range(100)}) == 100


def test_key_is_made_once(tmp_path: Path) -> None:
    """It stays in the folder, and only its owner can read it."""
    key = open_key(tmp_path)
    assert len(key) == KEY_BYTES
    assert open_key(tmp_path) == key
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("found", [b"", b"short", bytes(KEY_BYTES + 1)])
def test_key_that_is_not_whole(tmp_path: Path, found: bytes) -> None:
    """It is made anew; so is one that a killed daemon had begun."""
    (tmp_path / KEY_FILE).write_bytes(found)
    (tmp_path / f"{KEY_FILE}.new").write_bytes(b"begun")
    key = open_key(tmp_path)
    assert len(key) == KEY_BYTES
    assert (tmp_path / KEY_FILE).read_bytes() == key


def test_key_that_cannot_be_kept(tmp_path: Path) -> None:
    """The error names the place."""
    with pytest.raises(ConfigError) as caught:
        open_key(tmp_path / "nowhere")
    assert KEY_FILE in str(caught.value)
