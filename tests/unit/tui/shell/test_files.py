"""The user's files: written whole, put aside when they cannot be read; tokens are elsewhere."""

from __future__ import annotations

import stat
import sys
import types
from pathlib import Path

import pytest

from stui_sessiond.tui.connection import Connection, Connections, load_connections, store_connections
from stui_sessiond.tui.preferences import DARK, LIGHT, Preferences, SharedPreferences, effective, load_preferences
from stui_sessiond.tui.preferences import store_preferences as store
from stui_sessiond.tui.proof import TokenError, read_token
from stui_sessiond.tui.stored_file import MAX_BYTES, load_file
from tests.unit.tui.bed import household


def test_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Preferences and connections, in files that only their owner can read."""
    store(tmp_path, Preferences(theme=LIGHT, restore=True))
    store_connections(tmp_path, Connections((Connection("tcp://127.0.0.1:1", name="here", favourite=True),)))
    assert load_preferences(tmp_path) == (Preferences(theme=LIGHT, restore=True), "")
    found, problem = load_connections(tmp_path)
    assert (found.known[0].name, problem) == ("here", "")
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("content", [b"{", b'{"theme": 7}', b"\xff\xfe", b"[" * 5000, b" " * (MAX_BYTES + 1)])
def test_unreadable_file_is_put_aside_and_told(tmp_path: Path, content: bytes) -> None:
    """Nothing of it is lost, the program begins with the defaults, and a second one does not replace the first."""
    for number in (1, 2):
        (tmp_path / "preferences.json").write_bytes(content)
        found, problem = load_preferences(tmp_path)
        assert found == Preferences()
        assert f"preferences.json.unreadable-{number}" in problem
        assert (tmp_path / f"preferences.json.unreadable-{number}").read_bytes() == content


def test_unwritable_folder_is_told_and_nothing_breaks(tmp_path: Path) -> None:
    """Where the folder cannot be written, the program goes on, and says what is not kept."""
    (tmp_path / "config").write_text("a file where a folder should be")
    house = household(tmp_path)
    house.problems.clear()
    house.prefer(Preferences(theme=LIGHT))
    assert house.preferences.theme == LIGHT
    assert "preferences are not kept" in house.problems[0]


def test_missing_file_is_no_problem(tmp_path: Path) -> None:
    """A first start has nothing to tell."""
    assert load_file(tmp_path / "none" / "x.json", Preferences, Preferences()) == (Preferences(), "")


def test_own_choice_goes_before_that_of_the_session() -> None:
    """What was chosen on this machine holds; else what the session carried here; else the default."""
    shared = SharedPreferences(theme=LIGHT, text_mode=True)
    assert effective(Preferences(), SharedPreferences()) == (DARK, False)
    assert effective(Preferences(), shared) == (LIGHT, True)
    assert effective(Preferences(theme=DARK, text_mode=False), shared) == (DARK, False)


# ---- tokens


def test_token_from_variable_and_file(tmp_path: Path) -> None:
    """A connection says where its token is; without that none is sent, whatever the environment has."""
    path = tmp_path / "token"
    path.write_text("secret-1\n")
    path.chmod(0o600)
    environment = {"STUI_SESSIOND_TOKEN": "secret-2", "OTHER": "secret-3"}
    assert read_token(Connection("x"), environment) is None
    assert read_token(Connection("x", proof_from="environment"), environment) == "secret-2"
    assert read_token(Connection("x", proof_from="environment", proof_at="OTHER"), environment) == "secret-3"
    assert read_token(Connection("x", proof_from="file", proof_at=str(path)), environment) == "secret-1"


def test_token_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    """No variable, no file, a file that others can read, a file with something else in it."""
    path = tmp_path / "token"
    with pytest.raises(TokenError, match="set it before"):
        read_token(Connection("x", proof_from="environment", proof_at="NONE"), {})
    asked = Connection("x", proof_from="file", proof_at=str(path))
    with pytest.raises(TokenError, match="No such file"):
        read_token(asked, {})
    path.write_text("secret")
    path.chmod(0o644)
    with pytest.raises(TokenError, match="chmod 600"):
        read_token(asked, {})
    path.write_text("two\nlines\n")
    path.chmod(0o600)
    with pytest.raises(TokenError, match="one line"):
        read_token(asked, {})


def test_token_from_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keyring is asked for the service `stui`; without the package the error says how to get it."""
    asked = Connection("x", proof_from="keyring", proof_at="ada")
    ring = types.SimpleNamespace(get_password=lambda service, user: {("stui", "ada"): "secret"}.get((service, user)))
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert read_token(asked, {}) == "secret"
    with pytest.raises(TokenError, match="keyring set stui bob"):
        read_token(Connection("x", proof_from="keyring", proof_at="bob"), {})
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(TokenError, match=r"\[keyring\]"):
        read_token(asked, {})


def test_tokens_are_in_no_file(tmp_path: Path) -> None:
    """What the command line gave is used for the run, and written nowhere."""
    house = household(tmp_path)
    house._environment = {"STUI_SESSIOND_TOKEN": "secret-token"}
    client = house.client_for(Connection("tcp://127.0.0.1:1", proof_from="environment"))
    assert client._keeper._hello.token == "secret-token"
    house.remember(Connections((Connection("tcp://127.0.0.1:1", proof_from="environment"),)))
    house.prefer(Preferences(theme=LIGHT))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret-token" in path.read_bytes()]
