"""Where master keys come from: each source, and what is said when there is something wrong with it."""

import os
import sys
import types
from pathlib import Path

import pytest

from stui_sessiond.config import load_settings
from stui_sessiond.errors import ConfigError
from stui_sessiond.security.keys import gather, new_key_file
from stui_sessiond.security.resume import KEY_FILE, open_key
from stui_sessiond.security.sealing import CLEAR, MasterKey, Sealer
from stui_sessiond.settings import EncryptionSettings


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder."""
    folder = tmp_path / "data"
    (folder / "backups").mkdir(parents=True)
    return folder


def refused(settings: EncryptionSettings, data: Path, **environment: str) -> str:
    """What is said of these settings."""
    with pytest.raises(ConfigError) as caught:
        gather(settings, data, environment)
    return str(caught.value)


def test_keys_that_are_not_set(data: Path) -> None:
    """Encryption is off by default."""
    assert gather(EncryptionSettings(), data, {}) is CLEAR


def test_key_file_that_was_made(tmp_path: Path, data: Path) -> None:
    """It is for its owner alone, is never overwritten, and is read back."""
    file = tmp_path / "key"
    made = new_key_file(file, data)
    assert file.stat().st_mode & 0o777 == 0o600
    sealer = gather(EncryptionSettings(key_file=str(file)), data, {})
    assert (sealer.key_id, list(sealer.known)) == (made.id, [made.id])
    assert made.id in file.read_text()
    with pytest.raises(ConfigError, match="never overwritten"):
        new_key_file(file, data)
    with pytest.raises(ConfigError, match="cannot write"):
        new_key_file(tmp_path / "nowhere" / "key", data)


def test_key_file_with_several_keys_and_previous_ones(tmp_path: Path, data: Path) -> None:
    """The first key of key_file is written with; all others, and previous ones, are only read with."""
    made = [new_key_file(tmp_path / name, data) for name in "abc"]
    both = tmp_path / "both"
    both.write_text((tmp_path / "b").read_text() + "\n" + (tmp_path / "a").read_text())
    both.chmod(0o600)
    settings = EncryptionSettings(key_file=str(both), previous_key_files=[str(tmp_path / "c")])
    sealer = gather(settings, data, {})
    assert sealer.key_id == made[1].id
    assert set(sealer.known) == {key.id for key in made}
    only_read = gather(EncryptionSettings(previous_key_files=[str(tmp_path / "c")]), data, {})
    assert (only_read.current, set(only_read.known)) == (None, {made[2].id})


@pytest.mark.parametrize("place", ["key", "backups/key", "linked"])
def test_key_file_where_the_data_is(tmp_path: Path, data: Path, place: str) -> None:
    """A key in the data folder or its backups, also by way of a link, is refused: a copy would have both."""
    outside = tmp_path / "key"
    new_key_file(outside, data)
    file = data / place
    if place == "linked":
        file.symlink_to(outside)
    else:
        file.write_bytes(outside.read_bytes())
        file.chmod(0o600)
        link = tmp_path / "link"
        link.symlink_to(file)
        assert "lies in the data folder" in refused(EncryptionSettings(key_file=str(link)), data)
    for settings in (EncryptionSettings(key_file=str(file)), EncryptionSettings(previous_key_files=[str(file)])):
        assert "lies in the data folder" in refused(settings, data)
    with pytest.raises(ConfigError, match="lies in the data folder"):
        new_key_file(data / "other", data)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o644])
def test_key_file_that_others_can_read(tmp_path: Path, data: Path, mode: int) -> None:
    """It is refused, with the command that helps."""
    file = tmp_path / "key"
    new_key_file(file, data)
    file.chmod(mode)
    assert f"chmod 600 {file}" in refused(EncryptionSettings(key_file=str(file)), data)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "canary-canary", "stui-key-1 canary", "stui-key-2 " + "A" * 43 + "=", "\xff\xfe\0"]
)
def test_key_file_without_a_key(tmp_path: Path, data: Path, text: str) -> None:
    """What is wrong is told, never what is in the file."""
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    said = refused(EncryptionSettings(key_file=str(file)), data)
    assert "no key" in said
    assert "canary" not in said.replace(str(tmp_path), "")


def test_key_file_that_is_not_there(tmp_path: Path, data: Path) -> None:
    """The advice is how to make one; a folder is none."""
    assert "new-key" in refused(EncryptionSettings(key_file=str(tmp_path / "none")), data)
    assert "no file" in refused(EncryptionSettings(key_file=str(tmp_path)), data)


def test_key_from_a_credential(tmp_path: Path, data: Path) -> None:
    """The folder of credentials is the service manager's: the mode there is its business."""
    made = new_key_file(tmp_path / "stui", data)
    (tmp_path / "stui").chmod(0o440)
    settings = EncryptionSettings(key_credential="stui")
    assert gather(settings, data, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).key_id == made.id
    assert "LoadCredential=stui" in refused(settings, data)
    nothing = str(tmp_path / "x")
    assert "LoadCredential=stui" in refused(settings, data, CREDENTIALS_DIRECTORY=nothing)
    assert "lies in the data" in refused(settings, tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path))
    for name in ("../key", "", "..", "a/b"):
        said = refused(EncryptionSettings(key_credential=name), data, CREDENTIALS_DIRECTORY=str(tmp_path))
        assert "no name of a credential" in said


def test_key_from_the_keyring(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only with the optional package; each way it can fail has a text of its own."""
    made = new_key_file(tmp_path / "key", data)
    settings = EncryptionSettings(keyring="stui")
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install" in refused(settings, data)
    kept = {("stui", "master-key"): (tmp_path / "key").read_text()}
    fake = types.ModuleType("keyring")
    monkeypatch.setattr(fake, "get_password", lambda *place: kept.get(place), raising=False)
    monkeypatch.setitem(sys.modules, "keyring", fake)
    assert gather(settings, data, {}).key_id == made.id
    assert "keyring set other master-key" in refused(EncryptionSettings(keyring="other"), data)

    def locked(*_place: str) -> str:
        msg = "locked"
        raise RuntimeError(msg)

    monkeypatch.setattr(fake, "get_password", locked)
    assert "does not answer: locked" in refused(settings, data)


def test_keys_from_two_places(data: Path) -> None:
    """Which one would be the current one?"""
    assert "one of" in refused(EncryptionSettings(key_file="a", keyring="b"), data)


def test_encryption_settings_from_file_and_environment(tmp_path: Path) -> None:
    """The section is read like the others; several previous files are separated by commas."""
    file = tmp_path / "settings.toml"
    file.write_text('[encryption]\nkey_file = "/k/new"\nprevious_key_files = ["/k/old"]\n')
    assert load_settings(file, {}, {}).encryption == EncryptionSettings(
        key_file="/k/new", previous_key_files=["/k/old"]
    )
    environment = {"STUI_SESSIOND_ENCRYPTION_KEYRING": "s", "STUI_SESSIOND_ENCRYPTION_PREVIOUS_KEY_FILES": "/a, /b"}
    assert load_settings(None, environment, {}).encryption == EncryptionSettings(
        keyring="s", previous_key_files=["/a", "/b"]
    )


# ---- the key for resuming connections, the one secret that is no hash


def test_resume_key_is_sealed_and_follows_the_master_key(data: Path) -> None:
    """The same key comes back under each master key, and under none; the file shows it only without."""
    one, two = MasterKey(b"1" * 32), MasterKey(b"2" * 32)
    key = open_key(data)
    for sealer in (Sealer(one), Sealer(two, [one]), Sealer(two), Sealer(None, [two]), CLEAR):
        assert open_key(data, sealer) == key
        found = (data / KEY_FILE).read_bytes()
        assert (key in found) == (sealer.current is None)
        assert os.stat(data / KEY_FILE).st_mode & 0o777 == 0o600  # noqa: PTH116 -- the mode is what counts


def test_resume_key_under_a_key_that_is_not_given(data: Path) -> None:
    """It stays, and the ways out are told; a damaged one is made anew."""
    sealer = Sealer(MasterKey(b"1" * 32))
    key = open_key(data, sealer)
    kept = (data / KEY_FILE).read_bytes()
    for other in (CLEAR, Sealer(MasterKey(b"2" * 32))):
        with pytest.raises(ConfigError, match="Or delete the file"):
            open_key(data, other)
    assert (data / KEY_FILE).read_bytes() == kept
    (data / KEY_FILE).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert open_key(data, sealer) != key
