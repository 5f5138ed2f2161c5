"""Where is the token of a connection? In a variable, the desktop's keyring, or a file; never among the preferences."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from stui_sessiond.tui.connection import Connection

SERVICE = "stui"
"""The service in the keyring; the user is the connection's `proof_at`."""

DEFAULT_VARIABLE = "STUI_SESSIOND_TOKEN"

MAX_TOKEN_BYTES = 4096
"""A token is some dozens of characters; a larger file is something else."""


class TokenError(Exception):
    """There is no token where there should be one; the text says what to do."""


def read_token(connection: Connection, environment: Mapping[str, str]) -> str | None:
    """Get the token of a connection; None when it needs none.

    Raises:
        TokenError: it is not there.
    """
    place = connection.proof_at
    if connection.proof_from == "none":
        return None
    if connection.proof_from == "environment":
        token = environment.get(place or DEFAULT_VARIABLE)
        if not token:
            msg = f"the variable {place or DEFAULT_VARIABLE} is not set; set it before you start stui"
            raise TokenError(msg)
        return token
    return _from_keyring(place) if connection.proof_from == "keyring" else _from_file(Path(place).expanduser())


def _from_keyring(user: str) -> str:
    try:
        import keyring  # noqa: PLC0415 -- optional
    except ImportError:
        msg = "the package keyring is missing: pip install 'stui-sessiond[keyring]'"
        raise TokenError(msg) from None
    token = keyring.get_password(SERVICE, user)
    if not token:
        msg = f"the keyring has no such entry; `keyring set {SERVICE} {user}` makes it"
        raise TokenError(msg)
    return str(token)


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise TokenError(msg) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        msg = f"others can read {path}: chmod 600 {path}"
        raise TokenError(msg)
    text = data.decode("utf-8", "replace").strip()
    if not text or len(data) > MAX_TOKEN_BYTES or not text.isprintable():
        msg = f"{path} holds no token: one line is expected"
        raise TokenError(msg)
    return text
