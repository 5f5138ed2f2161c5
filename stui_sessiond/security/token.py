"""Is this token one of ours, and what does it allow?

`tokens.json` in the data folder holds each token's SHA-256, never the token: a token has 256 random bits, so that
nothing slower is needed. Tools change the file under a lock while the daemon runs; it reads it again.
"""

import contextlib
import fcntl
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from stui_sessiond.errors import ConfigError
from stui_sessiond.security.kept_file import replace_file
from stui_sessiond.security.principal import GRANTABLE, Principal

FILE_NAME = "tokens.json"
FIRST_NAME = "first"
"""The token that a start makes when there is none."""

PREFIX = "stui_"
"""How tokens begin, so that people and scanners know what they have found."""

MAX_TOKENS = 10_000

FIRST_RIGHTS = ("session", "eval", "observe", "admin", "image")


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One token, as the file has it. Times are seconds since 1970."""

    id: str
    name: str
    sha256: str
    rights: Sequence[str]
    clients: Sequence[str] = ()
    image_id: str | None = None
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def state(self, now: float) -> str:
        """Tell whether it is `valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "valid"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a new token is to allow."""

    name: str
    rights: Sequence[str]
    clients: Sequence[str] = ()
    image_id: str | None = None
    expires_at: float | None = None


class TokenChange(msgspec.Struct, frozen=True):
    """A token that was made, or revoked, since the file was read before."""

    what: Literal["created", "revoked"]
    record: TokenRecord


class _File(msgspec.Struct):
    format: str
    format_version: int
    tokens: list[TokenRecord] = []
    sha256: list[str] = []
    """Format 1 had nothing but these."""


class Tokens:
    """The tokens of one data folder, as they are in its file."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._by_hash: dict[str, TokenRecord] = {}
        self._by_id: dict[str, TokenRecord] = {}
        self._expiring: Sequence[TokenRecord] = ()

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float]) -> "tuple[Tokens, str | None]":
        """Read the file; where there is none make one with a first token, which is returned too.

        Raises:
            ConfigError: the file cannot be read.
            OSError: it cannot be written.
        """
        path = folder / FILE_NAME
        made = None
        if not path.exists():
            wish = Wish(name=FIRST_NAME, rights=FIRST_RIGHTS)
            made = create(folder, wish, clock())
        tokens = cls(path, clock)
        tokens.reload()
        return tokens, made

    def reload(self) -> Sequence[TokenChange]:
        """Read the file again if it was changed; tell what is new and what was revoked since.

        Raises:
            ConfigError: it cannot be read; what was known is still in force.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            msg = f"{self._path} cannot be read: {error.strerror or error}"
            raise ConfigError(msg) from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp == self._stamp:
            return ()
        records = _read(self._path)
        changes = [_change(self._by_id.get(record.id), record) for record in records] if self._stamp else []
        self._by_hash = {record.sha256: record for record in records}
        self._by_id = {record.id: record for record in records}
        self._expiring = [record for record in records if record.expires_at is not None]
        self._stamp = stamp
        return [change for change in changes if change is not None]

    @property
    def edition(self) -> tuple[object, int]:
        """Another one as soon as any of them is worth something else: the file changed, or a token expired."""
        now = self._clock()
        return self._stamp, sum(record.state(now) == "expired" for record in self._expiring)

    def find(self, token: str) -> tuple[Principal | None, str]:
        """Find who holds a token; or None and why: `unknown`, `expired` or `revoked`.

        What is looked up is the token's hash, so the time it takes tells nothing about tokens.
        """
        record = self._by_hash.get(_hash(token))
        if record is None or not hmac.compare_digest(record.sha256, _hash(token)):
            return None, "unknown"
        state = record.state(self._clock())
        if state != "valid":
            return None, state
        return _principal(record), "valid"

    def still_valid(self, principal: Principal) -> bool:
        """Tell whether somebody who was let in may stay, with just these rights."""
        if principal.token_id is None:
            return True
        record = self._by_id.get(principal.token_id)
        return record is not None and record.state(self._clock()) == "valid" and _principal(record) == principal


def create(folder: Path, wish: Wish, now: float) -> str:
    """Make a token and return it: it is shown once and kept nowhere.

    Raises:
        ConfigError: the wish is not possible; the text says why.
        OSError: it cannot be written.
    """
    unknown = sorted(set(wish.rights) - GRANTABLE)
    if unknown or not wish.rights:
        msg = f"rights: {', '.join(unknown) or 'none given'}; there are {', '.join(sorted(GRANTABLE))}"
        raise ConfigError(msg)
    if wish.image_id is not None and set(wish.rights) != {"image"}:
        msg = "a token that is bound to an image has the right `image` alone"
        raise ConfigError(msg)
    if not wish.name or not wish.name.isprintable() or len(wish.name) > 100:  # noqa: PLR2004 -- a line
        msg = "name: 1 to 100 printable characters"
        raise ConfigError(msg)
    token = PREFIX + secrets.token_urlsafe(32)
    with _changing(folder / FILE_NAME) as records:
        if any(record.name == wish.name and record.state(now) == "valid" for record in records):
            msg = f"there is a valid token {wish.name!r}; revoke it first, or choose another name"
            raise ConfigError(msg)
        if len(records) >= MAX_TOKENS:
            msg = f"there are {MAX_TOKENS} tokens; remove old ones with `token prune`"
            raise ConfigError(msg)
        records.append(
            TokenRecord(
                id=secrets.token_hex(6),
                name=wish.name,
                sha256=_hash(token),
                rights=sorted(wish.rights),
                clients=tuple(wish.clients),
                image_id=wish.image_id,
                created_at=now,
                expires_at=wish.expires_at,
            )
        )
    return token


def revoke(folder: Path, name: str, now: float) -> int:
    """Revoke the tokens of this name or id; tell how many were valid.

    Raises:
        ConfigError: the file cannot be read.
        OSError: it cannot be written.
    """
    revoked = 0
    if not (folder / FILE_NAME).exists():  # none is made: the first start would make no first token then
        return revoked
    with _changing(folder / FILE_NAME) as records:
        for number, record in enumerate(records):
            if name in (record.name, record.id) and record.revoked_at is None:
                revoked += record.state(now) == "valid"
                records[number] = replace(record, revoked_at=now)
    return revoked


def prune(folder: Path, now: float) -> int:
    """Forget tokens that are expired or revoked; tell how many.

    Raises:
        ConfigError: the file cannot be read.
        OSError: it cannot be written.
    """
    if not (folder / FILE_NAME).exists():  # see `revoke`
        return 0
    with _changing(folder / FILE_NAME) as records:
        before = len(records)
        records[:] = [record for record in records if record.state(now) == "valid"]
        return before - len(records)


def list_tokens(folder: Path) -> Sequence[TokenRecord]:
    """List all tokens, oldest first; none where there is no file.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = folder / FILE_NAME
    return _read(path) if path.exists() else ()


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[TokenRecord]]:
    """Let one process at a time change the list, and put the new file in the place of the old one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        records = list(_read(path)) if path.exists() else []
        yield records
        data = msgspec.json.format(msgspec.json.encode(_File("stui-tokens", 2, records)), indent=1) + b"\n"
        replace_file(path, data)


def _read(path: Path) -> Sequence[TokenRecord]:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read ({error}); move it away, and the next start makes a new first token"
        raise ConfigError(msg) from None
    if (file.format, file.format_version) not in {("stui-tokens", 1), ("stui-tokens", 2)}:
        msg = f"{path}: format {file.format!r} {file.format_version} is unknown here"
        raise ConfigError(msg)
    old = [TokenRecord(id=digest[:12], name=FIRST_NAME, sha256=digest, rights=FIRST_RIGHTS) for digest in file.sha256]
    return [*old, *file.tokens]


def _change(known: TokenRecord | None, now: TokenRecord) -> TokenChange | None:
    if known is None:
        return TokenChange("created", now)
    return TokenChange("revoked", now) if known.revoked_at is None and now.revoked_at is not None else None


def _principal(record: TokenRecord) -> Principal:
    return Principal(
        name=record.name,
        rights=frozenset(record.rights),
        clients=tuple(record.clients),
        image_id=record.image_id,
        token_id=record.id,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
