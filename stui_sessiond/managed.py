"""What does systemd give a service besides its sockets? Folders of its own, and credentials (systemd.exec(5))."""

from collections.abc import Mapping
from pathlib import Path

from stui_sessiond.errors import ConfigError


def managed_folder(variable: str, name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder that was made for us (`StateDirectory=stui-sessiond`); one of another service's is not ours."""
    folders = map(Path, filter(None, environment.get(variable, "").split(":")))
    return next((folder for folder in folders if folder.name.startswith(name) and folder.is_absolute()), None)


def credential(name: str, environment: Mapping[str, str]) -> Path:
    """Tell where a credential is (`LoadCredential=`, `SetCredentialEncrypted=`).

    Raises:
        ConfigError: there are none, or the name is no name.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        msg = f"there is no credential {name!r}: the service manager gives none (LoadCredential={name}:FILE)"
        raise ConfigError(msg)
    if "/" in name or name in {"", ".", ".."}:
        msg = f"{name!r} is no name of a credential"
        raise ConfigError(msg)
    return Path(folder) / name
