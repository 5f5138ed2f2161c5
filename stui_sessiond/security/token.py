"""Is this token one of ours? A token is 256 random bits; only its SHA-256 is stored.

The daemon makes one at the first start with `--auth token` and prints it once.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

import msgspec

from stui_sessiond.errors import ConfigError

FILE_NAME = "tokens.json"


class _TokenFile(msgspec.Struct):
    format: str
    format_version: int
    sha256: list[str]


class TokenFile:
    """The tokens of one data folder."""

    def __init__(self, hashes: list[str]) -> None:
        self._hashes = hashes

    @classmethod
    def open(cls, folder: Path) -> "tuple[TokenFile, str | None]":
        """Read the file; where there is none make one with a new token, which is returned too.

        Raises:
            ConfigError: the file cannot be read.
            OSError: it cannot be written.
        """
        path = folder / FILE_NAME
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            token = secrets.token_urlsafe(32)
            made = _TokenFile("stui-tokens", 1, [_hash(token)])
            new = path.with_suffix(".new")
            new.unlink(missing_ok=True)
            new.touch(mode=0o600)
            new.write_bytes(msgspec.json.encode(made) + b"\n")
            new.replace(path)
            return cls(made.sha256), token
        try:
            return cls(msgspec.json.decode(data, type=_TokenFile).sha256), None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{path} cannot be read ({error}); delete it, and the next start makes a new token"
            raise ConfigError(msg) from None

    def admits(self, token: str | None) -> bool:
        """Tell whether the token is valid, in a time that does not depend on how wrong it is."""
        given = _hash(token or "")
        matches = [hmac.compare_digest(given, known) for known in self._hashes]
        return any(matches)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
