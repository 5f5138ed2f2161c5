"""What systemd gives a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from stui_sessiond import config
from stui_sessiond.config import load_settings, tls_files
from stui_sessiond.errors import ConfigError
from stui_sessiond.managed import credential, managed_folder
from stui_sessiond.settings import ServerSettings


def test_folder_of_another_service_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that somebody starts inside of another service has that one's variables."""
    environment = {"STATE_DIRECTORY": "/var/lib/emacs:/var/lib/stui-sessiond"}
    assert managed_folder("STATE_DIRECTORY", "stui-sessiond", environment) == Path("/var/lib/stui-sessiond")
    assert managed_folder("STATE_DIRECTORY", "stui-sessiond", {"STATE_DIRECTORY": "/var/lib/emacs"}) is None
    assert managed_folder("STATE_DIRECTORY", "stui-sessiond", {}) is None
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/stui-sessiond")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/stui-sessiond")
    assert config.data_dir(ServerSettings()) == Path("/var/lib/stui-sessiond")
    assert config.unix_path(ServerSettings()) == Path("/run/stui-sessiond/daemon.sock")
    assert config.data_dir(ServerSettings(data_dir="/mine")) == Path("/mine")


def test_key_of_tls_is_a_credential(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its name; beside a file it is one too many, and without a manager there is none."""
    wanted = {"STUI_SESSIOND_TLS_CERTIFICATE": "/c.pem", "STUI_SESSIOND_TLS_KEY_CREDENTIAL": "tls-key"}
    settings = load_settings(None, wanted, {})
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    files = tls_files(settings.tls)
    assert files is not None
    assert files.key == tmp_path / "tls-key"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="LoadCredential=tls-key:FILE"):
        tls_files(settings.tls)
    with pytest.raises(ConfigError, match="not both"):
        load_settings(None, {**wanted, "STUI_SESSIOND_TLS_KEY": "/k.pem"}, {})


@pytest.mark.parametrize("name", ["../x", "", ".", ".."])
def test_credential_has_a_name(name: str) -> None:
    """And no path."""
    with pytest.raises(ConfigError, match="no name"):
        credential(name, {"CREDENTIALS_DIRECTORY": "/run/credentials"})
