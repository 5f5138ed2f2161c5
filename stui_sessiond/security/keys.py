"""Where do master keys come from? A key file, a credential of the service manager, or the keyring of the desktop.

All three hold the same text, one key a line, the current one first; others are only read with:

    # comments begin with #
    stui-key-1 <32 random bytes, base64url>

A key beside what it protects protects nothing: a key file inside the data folder, where the backups are too, is
refused, and so is one that others can read.
"""

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from stui_sessiond.errors import ConfigError
from stui_sessiond.security.sealing import CLEAR, KEY_BYTES, MasterKey, Sealer

MARK: Final = "stui-key-1"
KEYRING_USER: Final = "master-key"
"""The name under which the key is in the keyring; the service is set."""

MAX_FILE_BYTES: Final = 64 * 1024
"""No file of keys is longer; something else was named by mistake."""


class KeySources(Protocol):
    """The settings in [encryption]."""

    @property
    def key_file(self) -> str | None:
        """Path of a file of keys."""

    @property
    def key_credential(self) -> str | None:
        """Name of a credential of the service manager."""

    @property
    def keyring(self) -> str | None:
        """Name of a service in the keyring."""

    @property
    def previous_key_files(self) -> Sequence[str]:
        """Paths of files with keys that are still needed to read."""


def gather(sources: KeySources, data_folder: Path, environment: Mapping[str, str]) -> Sealer:
    """Read all keys that are named.

    Raises:
        ConfigError: one cannot be had; the text names the setting and what to do.
    """
    named = [source for source in (sources.key_file, sources.key_credential, sources.keyring) if source is not None]
    if len(named) > 1:
        msg = "encryption: name one of key_file, key_credential and keyring, not several"
        raise ConfigError(msg)
    current: list[MasterKey] = []
    if sources.key_file is not None:
        current = read_key_file(Path(sources.key_file), data_folder, "encryption.key_file")
    elif sources.key_credential is not None:
        current = _read_credential(sources.key_credential, data_folder, environment)
    elif sources.keyring is not None:
        current = _read_keyring(sources.keyring)
    previous = [
        key
        for file in sources.previous_key_files
        for key in read_key_file(Path(file), data_folder, "encryption.previous_key_files")
    ]
    if not current and not previous:
        return CLEAR
    return Sealer(current[0] if current else None, [*current[1:], *previous])


def read_key_file(path: Path, data_folder: Path, setting: str) -> list[MasterKey]:
    """Read a file of keys, the current one first.

    Raises:
        ConfigError: it is not there, lies where the data lies, is not yours alone, or holds no key.
    """
    _keep_out(path, data_folder, setting)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            msg = f"{setting}: {path} is no file"
            raise ConfigError(msg)
        if found.st_uid not in {os.geteuid(), 0} or stat.S_IMODE(found.st_mode) & 0o077:
            msg = f"{setting}: others can read or change {path}; it has to be yours alone: chmod 600 {path}"
            raise ConfigError(msg)
        return _parse(_read(path), f"{setting}: {path}")
    except OSError as error:
        msg = f"{setting}: cannot read {path}: {error.strerror or error}; `stui-sessiond store new-key FILE` makes one"
        raise ConfigError(msg) from None


def new_key_file(path: Path, data_folder: Path) -> MasterKey:
    """Make a file with a new key, for you alone, durably.

    Raises:
        ConfigError: it is there already, would lie where the data lies, or cannot be written.
    """
    _keep_out(path, data_folder, "new-key")
    secret = secrets.token_bytes(KEY_BYTES)
    key = MasterKey(secret)
    text = f"# {key.id}: whoever has this line can read what is sealed with it; without it nobody can\n"
    text += f"{MARK} {base64.urlsafe_b64encode(secret).decode()}\n"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        msg = f"{path} is there already; a key is never overwritten"
        raise ConfigError(msg) from None
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise ConfigError(msg) from None
    return key


def _keep_out(path: Path, data_folder: Path, setting: str) -> None:
    """Refuse a path inside the data folder, by its name or by where a link leads."""
    folder = data_folder.resolve()
    for place in (path.resolve(), path.absolute().parent.resolve() / path.name):
        if place.is_relative_to(folder):
            msg = (
                f"{setting}: {path} lies in the data folder {data_folder}: whoever gets a copy of the data or of a "
                "backup would have the key as well; keep it elsewhere"
            )
            raise ConfigError(msg)


def _read_credential(name: str, data_folder: Path, environment: Mapping[str, str]) -> list[MasterKey]:
    """The service manager keeps others out of its folder; the modes there are its own."""
    setting = "encryption.key_credential"
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        msg = f"{setting}: CREDENTIALS_DIRECTORY is not set; start with systemd and LoadCredential={name}:FILE"
        raise ConfigError(msg)
    if name != Path(name).name or name in {"", ".", ".."}:
        msg = f"{setting}: {name!r} is no name of a credential"
        raise ConfigError(msg)
    path = Path(folder) / name
    _keep_out(path, data_folder, setting)
    try:
        return _parse(_read(path), f"{setting}: {path}")
    except OSError as error:
        msg = f"{setting}: cannot read {path}: {error.strerror or error}; is there LoadCredential={name}:FILE?"
        raise ConfigError(msg) from None


def _read_keyring(service: str) -> list[MasterKey]:
    setting = "encryption.keyring"
    try:
        import keyring  # noqa: PLC0415 -- optional
    except ImportError:
        msg = f"{setting}: this needs the package `keyring`: pip install 'stui-sessiond[keyring]'; or use key_file"
        raise ConfigError(msg) from None
    try:
        text = keyring.get_password(service, KEYRING_USER)
    except Exception as error:  # noqa: BLE001 -- each backend has errors of its own
        msg = f"{setting}: the keyring does not answer: {error}"
        raise ConfigError(msg) from None
    if text is None:
        msg = f"{setting}: there is no key; `keyring set {service} {KEYRING_USER}` takes the line of a key file"
        raise ConfigError(msg)
    return _parse(text, f"{setting}: {service}")


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES).decode("ascii", "replace")


def _parse(text: str, place: str) -> list[MasterKey]:
    """Read keys; what is wrong is told without showing what is there."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        mark, _, secret_text = line.strip().partition(" ")
        try:
            secret = base64.b64decode(secret_text, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if mark != MARK or len(secret) != KEY_BYTES:
            msg = f"{place}: line {number} is no key; `stui-sessiond store new-key FILE` makes one"
            raise ConfigError(msg)
        found.append(MasterKey(secret))
    if not found:
        msg = f"{place} holds no key; `stui-sessiond store new-key FILE` makes one"
        raise ConfigError(msg)
    return found
