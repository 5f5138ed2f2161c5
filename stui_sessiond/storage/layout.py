"""Where in the data folder is what? And the small files that say which store this is.

store.json                          which store this is, and its format
lock                                held while a daemon uses the folder
journal/<first LSN>.journal         segments of the journal
sessions/<client>/<session>.json    the newest snapshot; <client> is a hash, so that no name from outside is a path
sessions/<client>/<session>.prev.json   the one before it
index.json                          the headers of all sessions, so that a start reads none of them
damaged.json                        sessions of which acknowledged data could not be read
tmp/                                files that are being written
archive/<year>-<month>/             sessions whose retention is over; the operator may delete them
quarantine/                         what could not be read; nothing here is ever deleted
backups/<time>-<reason>/            verified copies
replaced/<time>/                    what a restore or an import replaced; the operator may delete it
restoring/                          copies for a restore that is under way
audit/<first seq>.<n>.jsonl         the log of operations that matter for security, chained
audit/head.json                     where that log ends, signed with the key in audit.key
images.sqlite3                      what concerns images and no session: their history, changes of their code
images.sqlite3-journal              the same while it changes, and after a crash
ballast                             room to shut down cleanly when the disk is full
"""

import hashlib
from pathlib import Path

import msgspec

from stui_sessiond.errors import StorageError

STORE_FORMAT = "stui-store"
SEALED_FORMAT = "stui-store-sealed"
"""In store.json while something in the store is sealed: versions that know nothing of that leave it alone."""
RESTORING_FORMAT = "stui-store-restoring"
"""In store.json while a backup is put back: such a folder is not opened."""
STORE_VERSION = 2
CURRENT = ".json"
PREVIOUS = ".prev.json"
SEGMENT_SUFFIX = ".journal"
DATABASE = "images.sqlite3"
DATABASE_JOURNAL = f"{DATABASE}-journal"
"""What SQLite keeps beside it; the two belong together."""


class StoreIdentity(msgspec.Struct, frozen=True, omit_defaults=True):
    """What store.json says."""

    format: str
    format_version: int
    store_id: str
    incarnation: str = ""
    """New each time the whole store is put back to a backup."""
    keys: tuple[str, ...] = ()
    """Ids of the master keys that are needed to read it, the present one first; `clear` is among them while some of it
    is clear text. Empty: all of it is."""


class Layout:
    """The paths of one data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.identity = root / "store.json"
        self.lock = root / "lock"
        self.journal = root / "journal"
        self.sessions = root / "sessions"
        self.index = root / "index.json"
        self.damaged = root / "damaged.json"
        self.tmp = root / "tmp"
        self.archive = root / "archive"
        self.quarantine = root / "quarantine"
        self.backups = root / "backups"
        self.ballast = root / "ballast"
        self.audit = root / "audit"
        self.audit_head = self.audit / "head.json"
        self.audit_key = root / "audit.key"
        self.database = root / DATABASE

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders, each after the one it lies in."""
        return (
            self.root,
            self.journal,
            self.sessions,
            self.tmp,
            self.archive,
            self.quarantine,
            self.backups,
        )

    def client_folder(self, client_id: str) -> Path:
        """Where a client's sessions are."""
        return self.sessions / hashlib.sha256(client_id.encode()).hexdigest()[:32]

    def segment(self, first_lsn: int) -> Path:
        """A segment of the journal."""
        return self.journal / f"{first_lsn:016x}{SEGMENT_SUFFIX}"


def seal_json(value: object) -> bytes:
    """Write a small file with a checksum: the value on the first line, its SHA-256 on the second."""
    return add_checksum(msgspec.json.encode(value))


def add_checksum(text: bytes) -> bytes:
    """The same of a value that is written already; it must be one line."""
    return text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n"


def unseal_json(data: bytes) -> bytes | None:
    """Read what `seal_json` wrote; None when it is damaged."""
    text, newline, checksum = data.partition(b"\n")
    if not newline or checksum != hashlib.sha256(text).hexdigest().encode() + b"\n":
        return None
    return text


def read_identity(path: Path, data: bytes) -> StoreIdentity:
    """Read store.json.

    Raises:
        StorageError: it is damaged, or of a format this version does not know.
    """
    text = unseal_json(data)
    try:
        found = msgspec.json.decode(data if text is None else text, type=StoreIdentity)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = None
    if found is None or (text is None and found.format_version != 1):  # format 1 had no checksum
        msg = f"{path} is damaged; put the copy from a backup in its place"
        raise StorageError(msg)
    if found.format == RESTORING_FORMAT:
        msg = f"a restore of {path.parent} was not finished; run `store backup restore` again, or with --undo"
        raise StorageError(msg)
    if found.format not in {STORE_FORMAT, SEALED_FORMAT} or found.format_version not in {1, STORE_VERSION}:
        msg = f"{path} is of format {found.format} {found.format_version}, which this version cannot read"
        raise StorageError(msg)
    return found
