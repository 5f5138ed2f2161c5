"""What is written down of operations that matter for security, and how are the entries chained? Pure: no file or clock.

An entry is one line of JSON. Its `hash` is the SHA-256 of the line without `,"hash":"..."`; `prev` is the hash of the
entry before. Lines are canonical: one that is not byte for byte what `encode_entry` makes of it was altered. The head
says which entry is the last one, under a key, so that cutting off the end is seen (docs/adr/0016-audit-log.md).

Entries name who, what and which, never what was said: no code, no state, no secret. Text from outside is escaped, cut,
and where it looks like a secret (forty and more characters of the alphabets of tokens) replaced by its hash.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, Protocol

import msgspec
from msgspec.structs import replace

from stui_sessiond.printable import printable

Event = Literal[
    "daemon.started",
    "daemon.stopped",
    "config.reloaded",
    "peer.admitted",
    "peer.refused",
    "permission.denied",
    "command.accepted",
    "command.ended",
    "token.created",
    "token.revoked",
    "token.refused",
    "approval.decided",
    "image.conflict",
    "tool.ran",
    "audit.hole",
    "audit.torn",
    "audit.damaged",
    "audit.dropped",
]
"""`audit.*` are about the log itself: entries that were lost (`hole`), the unfinished line a crash left (`torn`), what
the daemon found wrong when it opened the log (`damaged`), old files that were let go of (`dropped`)."""

Word = str | int | bool | list[str] | None
"""What a detail may be."""

GENESIS = "0" * 64
"""`prev` of the first entry."""

MAX_WORD_CHARS = 200
MAX_WORDS = 16
"""Of a list, and of the details of one entry."""

KNOWN_WORDS = 4096
"""Words that are known to be fit: entries name the same commands, images and clients again and again."""

KNOWN_ACTORS = 1024
"""The same for who it was."""

HEAD_FORMAT = "stui-audit-head"
_SECRET_CHARS = 40
_SECRET = re.compile(rf"[A-Za-z0-9_\-+/=.]{{{_SECRET_CHARS},}}")
_SESSION_ID = re.compile(r"session_\d{1,20}_\d{1,20}_[A-Za-z0-9_-]{1,32}")


class Actor(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Who did it, as far as it is known."""

    principal: str | None = None
    """The name of the token that was shown, or what else vouches for the peer."""
    client_id: str | None = None
    connection_id: str | None = None
    role: str | None = None
    transport: str | None = None
    address: str | None = None
    """`HOST:PORT`, or user and process at the other end of a unix socket."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the log."""

    seq: int
    """Consecutive from 1 on, over all files."""
    at: str
    """UTC, RFC 3339, by the wall clock: it may go back."""
    event: Event
    outcome: str = "ok"
    """`ok`, or the error code."""
    actor: Actor | None = None
    session_id: str | None = None
    image_id: str | None = None
    command: str | None = None
    details: dict[str, Word] = {}
    prev: str
    hash: str = ""


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the log ends and begins."""

    format: str = HEAD_FORMAT
    format_version: int = 1
    seq: int
    """The newest entry that is durable; a crash may leave newer ones."""
    hash: str
    first_seq: int = 1
    """The oldest entry that is kept."""
    first_prev: str = GENESIS
    clean: bool = False
    """Whether the log was closed after this entry: then there is nothing behind it."""
    mac: str = ""
    """HMAC-SHA256 of the line with an empty `mac`, under the key of the data folder."""


class AuditLog(Protocol):
    """Takes entries. Never blocks, never raises."""

    def record(
        self,
        event: Event,
        actor: Actor | None = None,
        *,
        outcome: str = "ok",
        session_id: str | None = None,
        image_id: str | None = None,
        command: str | None = None,
        details: Mapping[str, Word] | None = None,
    ) -> None:
        """Write an entry down; it is durable within a second, unless the disk fails. Never pass payloads or secrets."""


class NoAudit:
    """Writes nothing down. An `AuditLog`."""

    def record(
        self,
        event: Event,
        actor: Actor | None = None,
        *,
        outcome: str = "ok",
        session_id: str | None = None,
        image_id: str | None = None,
        command: str | None = None,
        details: Mapping[str, Word] | None = None,
    ) -> None:
        """Do nothing."""


NO_AUDIT = NoAudit()


# ---- what the code for tokens, approvals and settings calls


def token_created(
    log: AuditLog, by: Actor | None, name: str, rights: Sequence[str], expires_at: str | None = None
) -> None:
    """Note a new token by its name; never pass the token."""
    log.record("token.created", by, details={"token": name, "rights": list(rights), "expires_at": expires_at})


def token_revoked(log: AuditLog, by: Actor | None, name: str) -> None:
    """Note that a token was revoked."""
    log.record("token.revoked", by, details={"token": name})


def config_reloaded(log: AuditLog, changed: Sequence[str], outcome: str = "ok") -> None:
    """Note that settings were read again; `changed` are keys, such as `access.clients_deny`, without values."""
    log.record("config.reloaded", outcome=outcome, details={"changed": list(changed)})


# ---- text from outside


def safe_word(text: str) -> str:
    """Make text from outside fit for an entry: hashes for what looks like a secret, escapes, a bounded length."""
    return _safe_short(text) if len(text) < _SECRET_CHARS else _safe_text(text)  # what may be a secret is not kept


def _safe_text(text: str) -> str:
    if _SESSION_ID.fullmatch(text):
        return text
    hidden = _SECRET.sub(lambda match: f"sha256:{hashlib.sha256(match.group().encode()).hexdigest()[:16]}", text)
    return printable(hidden, MAX_WORD_CHARS)


_safe_short = lru_cache(KNOWN_WORDS)(_safe_text)


def safe_id(text: str | None) -> str | None:
    """Make an id from outside fit for an entry."""
    return None if text is None else safe_word(text)


@lru_cache(KNOWN_ACTORS)
def safe_actor(actor: Actor) -> Actor:
    """Make an actor fit for an entry."""
    return replace(actor, principal=safe_id(actor.principal), client_id=safe_id(actor.client_id))


def safe_details(details: Mapping[str, Word]) -> dict[str, Word]:
    """Make details fit for an entry; those that are None are left out. Hashes under `*_sha256` stay whole."""
    return {
        key: value if key.endswith("sha256") and isinstance(value, str) and len(value) == len(GENESIS) else _safe(value)
        for key, value in list(details.items())[:MAX_WORDS]
        if value is not None
    }


def _safe(value: Word) -> Word:
    if isinstance(value, str):
        return safe_word(value)
    if isinstance(value, list):
        return [safe_word(each) for each in value[:MAX_WORDS]]
    return value


# ---- the chain


def seal_entry(entry: Entry) -> Entry:
    """Give an entry its hash."""
    return replace(entry, hash=hashlib.sha256(msgspec.json.encode(replace(entry, hash=""))).hexdigest())


def seal_line(entry: Entry) -> tuple[str, bytes]:
    """Give an entry that has none its hash; return that, and the line without the line break."""
    body = msgspec.json.encode(entry)
    digest = hashlib.sha256(body).hexdigest()
    return digest, b'%s,"hash":"%s"}' % (body[:-1], digest.encode())  # the last field


def encode_entry(entry: Entry) -> bytes:
    """Write an entry as a line, without the line break."""
    return msgspec.json.encode(entry)


def decode_entry(line: bytes) -> Entry | None:
    """Read a line; None when it is not exactly what was written."""
    try:
        entry = msgspec.json.decode(line, type=Entry)
        sound = entry.hash and encode_entry(entry) == line and seal_entry(entry).hash == entry.hash
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return entry if sound else None


def encode_head(head: Head, key: bytes) -> bytes:
    """Write a head, signed."""
    unsigned = replace(head, mac="")
    mac = hmac.digest(key, msgspec.json.encode(unsigned), hashlib.sha256).hex()
    return msgspec.json.encode(replace(unsigned, mac=mac)) + b"\n"


def decode_head(data: bytes, key: bytes) -> Head | None:
    """Read a head; None when it is not exactly what was written under this key."""
    try:
        head = msgspec.json.decode(data, type=Head)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return head if hmac.compare_digest(encode_head(head, key), data) else None
