"""How are bytes at rest kept from whoever has the disk and not the key? AES-256-GCM with a data key per session.

    sealed = 1 | id of the master key 8 | length 1 | session id | 0 | nonce 12 | data key, wrapped 48
             nonce 12 | data | tag 16

The zero ends the session's id for those who look for ids in damaged bytes.

Whatever is sealed carries its data key, wrapped: no table of keys can be lost, and a file that was copied somewhere
needs nothing but the master key. The id of a master key comes from the key itself, so a wrong key is a key that is not
known, and never passes for damage. What the bytes are (`Label`) is authenticated: they open under no other label.

Nonces are random. A data key is used by one process for one session, at most `MAX_WRITES` times: two equal nonces come
with a probability below 2**-56. The key that wraps data keys is derived for each session, so it wraps few.
"""

import hmac
import os
import threading
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from stui_sessiond.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
CLEAR_ID: Final = "clear"
"""Stands for no key where keys are listed."""

MAX_WRITES: Final = 2**20
"""Uses of one data key: with 96 random bits each, the chance of a nonce twice stays below (2**20)**2 / 2**97."""

MAX_DATA_KEYS: Final = 4096
"""Sessions whose data keys are remembered for writing, and as many for reading: some kilobytes each. A session whose
key was forgotten gets a new one."""

MAX_KEYS_READ: Final = 4
"""Data keys of one session that are remembered for reading: each start of the daemon makes another one."""

_VERSION: Final = b"\x01"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_WRAPPED_BYTES: Final = _NONCE_BYTES + KEY_BYTES + _TAG_BYTES

_encode = msgspec.json.Encoder().encode


class SealError(Exception):
    """Sealed bytes do not open although their key is known: they were changed, or are not what they pass for."""


class KeyMissingError(ConfigError):
    """A master key is needed and not given: the operator's mistake, never damage. The text says which key."""


class Label(NamedTuple):
    """What sealed bytes are: whose store, which part of it, of which session, up to which journal record."""

    store_id: str
    field: Literal["session", "change", "index", "damaged", "resume key", "image"]
    session_id: str = ""
    lsn: int = 0


class MasterKey:
    """A key that wraps data keys; `id` may be shown to anyone."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = f"key-{hmac.digest(secret, b'stui key id', 'sha256')[:_ID_BYTES].hex()}"

    def __repr__(self) -> str:
        return f"<MasterKey {self.id}>"

    def wrapping_key(self, label: Label) -> bytes:
        """Derive the key that wraps the data keys of one session."""
        return hmac.digest(self._secret, _encode(("stui wrapping key", label.store_id, label.session_id)), "sha256")


class _DataKey:
    """A data key in use for writing."""

    __slots__ = ("cipher", "left", "wrapped")

    def __init__(self, cipher: "AESGCM", wrapped: bytes) -> None:
        self.cipher = cipher
        self.wrapped = wrapped
        self.left = MAX_WRITES


class Sealer:
    """Seals with the current key, opens with all that are known; without a current key it writes clear text.

    May be used by several threads at once.
    """

    def __init__(
        self,
        current: MasterKey | None = None,
        others: Iterable[MasterKey] = (),
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.current = current
        self.known = {key.id: key for key in (*others, *([] if current is None else [current]))}
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._writing: dict[tuple[str, str], _DataKey] = {}
        self._reading: dict[str, dict[bytes, AESGCM]] = {}
        """By session and wrapped key."""
        if self.known:
            from cryptography.hazmat.primitives.ciphers import aead  # noqa: PLC0415 -- only who seals pays

            self._cipher = aead.AESGCM

    @property
    def key_id(self) -> str:
        """The key that is written with."""
        return CLEAR_ID if self.current is None else self.current.id

    def require(self, key_ids: Collection[str], what: str) -> None:
        """Make sure that keys are known.

        Raises:
            KeyMissingError: one is not.
        """
        missing = sorted(set(key_ids) - self.known.keys() - {CLEAR_ID})
        if missing:
            given = f"only {', '.join(sorted(self.known))} given" if self.known else "no key is given"
            msg = (
                f"{what} is sealed with {' and '.join(missing)}, and {given}; nothing was changed. Name its key with "
                "key_file, key_credential, keyring or previous_key_files in [encryption], or with --key-file"
            )
            raise KeyMissingError(msg)

    def seal(self, label: Label, data: bytes) -> bytes:
        """Seal bytes; without a current key they stay as they are."""
        if self.current is None:
            return data
        key = self._data_key(self.current, label)
        nonce = self._random_bytes(_NONCE_BYTES)
        return key.wrapped + nonce + key.cipher.encrypt(nonce, data, _encode(label))

    def open(self, label: Label, data: bytes) -> bytes:
        """Read what `seal` made, or clear text.

        Raises:
            KeyMissingError: its key is not known.
            SealError: it does not open under this label.
        """
        if not is_sealed(data):
            return data
        self.require([key_of(data)], f"{label.field} {label.session_id}".strip())
        session_id, start = _session_at(data)
        end = start + _WRAPPED_BYTES
        nonce = data[end : end + _NONCE_BYTES]
        if session_id != label.session_id or len(data) < end + _NONCE_BYTES + _TAG_BYTES:
            msg = f"it is sealed as something of session {session_id[:80]!r}, or cut off"
            raise SealError(msg)
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- only who seals pays

        try:
            cipher = self._unwrapped(label, session_id, data[:end], start)
            return cipher.decrypt(nonce, data[end + _NONCE_BYTES :], _encode(label))
        except InvalidTag:
            msg = "the seal is broken: it was changed by somebody without the key, or belongs to another place"
            raise SealError(msg) from None

    def forget(self, store_id: str, session_id: str) -> None:
        """Let go of the keys of a session that is gone."""
        with self._lock:
            self._writing.pop((store_id, session_id), None)
            self._reading.pop(session_id, None)

    def _data_key(self, master: MasterKey, label: Label) -> _DataKey:
        name = (label.store_id, label.session_id)
        with self._lock:
            key = self._writing.get(name)
            if key is None or not key.left:
                self._writing.pop(name, None)
                _make_room(self._writing, MAX_DATA_KEYS)
                key = self._writing[name] = self._new_data_key(master, label)
            key.left -= 1
        return key

    def _new_data_key(self, master: MasterKey, label: Label) -> _DataKey:
        secret, nonce = self._random_bytes(KEY_BYTES), self._random_bytes(_NONCE_BYTES)
        session = label.session_id.encode()
        head = _VERSION + bytes.fromhex(master.id.removeprefix("key-")) + bytes([len(session)]) + session + b"\0"
        wrapped = self._cipher(master.wrapping_key(label)).encrypt(nonce, secret, head)
        return _DataKey(self._cipher(secret), head + nonce + wrapped)

    def _unwrapped(self, label: Label, session_id: str, wrapped: bytes, start: int) -> "AESGCM":
        with self._lock:
            cipher = self._reading.get(session_id, {}).get(wrapped)
        if cipher is None:
            wrapping = self._cipher(self.known[key_of(wrapped)].wrapping_key(label))
            nonce, secret = wrapped[start : start + _NONCE_BYTES], wrapped[start + _NONCE_BYTES :]
            cipher = self._cipher(wrapping.decrypt(nonce, secret, wrapped[:start]))
            if label.field == "change":  # of those there are many under one key; a file is read once
                self._remember(session_id, wrapped, cipher)
        return cipher

    def _remember(self, session_id: str, wrapped: bytes, cipher: "AESGCM") -> None:
        with self._lock:
            of_session = self._reading.get(session_id)
            if of_session is None:
                _make_room(self._reading, MAX_DATA_KEYS)
                of_session = self._reading[session_id] = {}
            _make_room(of_session, MAX_KEYS_READ)
            of_session[wrapped] = cipher


def _make_room(cache: dict[Any, Any], most: int) -> None:
    """Let go of what came first, if there is no room for one more."""
    if len(cache) >= most:
        del cache[next(iter(cache))]


CLEAR: Final = Sealer()
"""Writes clear text and knows no key."""


def is_sealed(data: bytes) -> bool:
    """Tell sealed bytes from JSON text."""
    return data[:1] == _VERSION


def key_of(data: bytes) -> str:
    """The id of the key that bytes are sealed with; `CLEAR_ID` for clear text. Needs no key."""
    return f"key-{data[1 : 1 + _ID_BYTES].hex()}" if is_sealed(data) else CLEAR_ID


def session_of(data: bytes) -> str:
    """The session that sealed bytes are of. Needs no key; nothing vouches for it before they are opened."""
    return _session_at(data)[0]


def _session_at(data: bytes) -> tuple[str, int]:
    start = 1 + _ID_BYTES + 1
    end = start + (data[start - 1] if len(data) >= start else 0)
    return data[start:end].decode("ascii", "replace"), end + 1
