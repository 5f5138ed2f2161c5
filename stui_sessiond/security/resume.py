"""Does this token name a connection that we know? Tokens that continue a connection, also over a restart.

A token is the connection's name, who has it, and an HMAC-SHA256 over both under a key that stays in the data
folder. Nothing has to be remembered per connection, and nobody without the key can make one.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from pathlib import Path

import msgspec

from stui_sessiond.errors import ConfigError
from stui_sessiond.ids import ConnectionId
from stui_sessiond.security.kept_file import replace_file
from stui_sessiond.security.sealing import CLEAR, CLEAR_ID, KeyMissingError, Label, Sealer, SealError, key_of

KEY_FILE = "resume.key"
KEY_BYTES = 32
_LABEL = Label("", "resume key")


class Resumed(msgspec.Struct, frozen=True, array_like=True):
    """What a token says."""

    connection_id: str
    client_id: str | None
    role: str
    holder: str | None
    """The token that its peer showed; None for the daemon's own user."""


class ResumeTokens:
    """Makes and reads tokens."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, said: Resumed) -> str:
        """Make the token of a connection."""
        body = msgspec.json.encode(said)
        return _text(body) + "." + _text(self._mac(body))

    def read(self, token: str) -> Resumed | None:
        """Read a token; None when it is not one of ours."""
        body_text, _, mac_text = token.partition(".")
        try:
            body, mac = _bytes(body_text), _bytes(mac_text)
            if not hmac.compare_digest(self._mac(body), mac):
                return None
            return msgspec.json.decode(body, type=Resumed)
        except (binascii.Error, ValueError, msgspec.DecodeError):
            return None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)


def new_connection_id() -> ConnectionId:
    """Make a name for a connection."""
    return ConnectionId(f"conn_{secrets.token_urlsafe(12)}")


def open_key(folder: Path, sealer: Sealer = CLEAR) -> bytes:
    """Read the key of a data folder, or make one if there is none; the file is sealed with the current master key.

    Raises:
        ConfigError: it can neither be read nor made.
    """
    path = folder / KEY_FILE
    try:
        found = path.read_bytes() if path.exists() else b""
        key = _opened(found, sealer, path)
        if len(key) == KEY_BYTES:
            if _key_of(found) == sealer.key_id:
                return key
        else:
            key = secrets.token_bytes(KEY_BYTES)
        replace_file(path, sealer.seal(_LABEL, key))
    except OSError as error:
        msg = f"{path}: cannot keep the key for resuming connections there: {error.strerror or error}"
        raise ConfigError(msg) from error
    return key


def _key_of(data: bytes) -> str:
    return CLEAR_ID if len(data) == KEY_BYTES else key_of(data)


def _opened(data: bytes, sealer: Sealer, path: Path) -> bytes:
    if len(data) == KEY_BYTES:  # clear; its first byte may be anything
        return data
    try:
        return sealer.open(_LABEL, data)
    except SealError:  # damaged: connections from before say hello anew
        return b""
    except KeyMissingError as error:
        msg = f"{path}: {error}. Or delete the file: connections from before cannot be continued then"
        raise ConfigError(msg) from None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
