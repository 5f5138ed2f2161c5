r"""How do sessions go from one store to another, or to a program? As JSON lines that one can read and check.

    {"format": "stui-export", "format_version": 1, "store_id": "...", "exported_at": "...", "sessions": 2}
    {"session": {...}}                          all of it, with history and named snapshots
    {"session": {...}, "damaged": "..."}        acknowledged changes are missing from this one
    {"sessions": 2, "missing": {}, "checksum": "sha256:..."}

The checksum is over all bytes before the last line. A session is written as in its file in `sessions/`.
"""

import errno
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from stui_sessiond.errors import SessionDamagedError, SessionNotFoundError, StorageError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.delta import DeltaError
from stui_sessiond.model.session import Session
from stui_sessiond.security.sealing import CLEAR, Sealer
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.index import decode_index
from stui_sessiond.storage.journal import MAX_PAYLOAD_BYTES
from stui_sessiond.storage.layout import STORE_VERSION, Layout, read_identity
from stui_sessiond.storage.records import SessionRecord
from stui_sessiond.storage.tools.stopped import (
    StoreInUseError,
    commit_whole,
    follow,
    keep_present,
    make_replaced,
    stopped_store,
)
from stui_sessiond.storage.tools.view import View, open_view, require_store
from stui_sessiond.storage.translation import from_record, to_record

FORMAT: Final = "stui-export"
FORMAT_VERSION: Final = 1

_SESSION_ID: Final = re.compile(r"session_[0-9]{1,20}_[0-9]{1,20}_[A-Za-z0-9_-]{1,64}")
_MAX_NAME_CHARS: Final = 256


class Head(msgspec.Struct, frozen=True):
    """The first line."""

    format: str
    format_version: int
    store_id: str
    exported_at: str
    sessions: int


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session."""

    session: SessionRecord
    damaged: str | None = None


class Tail(msgspec.Struct, frozen=True):
    """The last line. `missing` are sessions that could not be read, and why."""

    sessions: int
    missing: dict[str, str]
    checksum: str


class Exported(msgspec.Struct, frozen=True):
    """What was written."""

    sessions: int
    damaged: dict[str, str]
    missing: dict[str, str]
    notes: tuple[str, ...]


class Imported(msgspec.Struct, frozen=True):
    """What was taken in."""

    added: int
    replaced: int
    kept_in: str | None
    """The folder with what was there before."""


def export_store(
    root: Path,
    fs: FileSystem,
    write: Callable[[bytes], object],
    now: float,
    session_ids: Sequence[SessionId] = (),
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
    sealer: Sealer = CLEAR,
    *,
    clear_text: bool = False,
) -> Exported:
    """Write sessions, all of them if none is named, as lines. The store stays as it is.

    What leaves a sealed store is clear text: `clear_text` says that this is meant.

    Raises:
        KeyMissingError: it is sealed with another key.
        StoreInUseError: a daemon uses it.
        SessionNotFoundError: a session that is named is not there.
        StorageError: there is no store, or none that this version can read.
        OSError: it cannot be read or written now.
    """
    with _quiet(root, fs):
        if not clear_text and read_identity(Layout(root).identity, fs.read(Layout(root).identity) or b"").keys:
            msg = f"the store in {root} is sealed, and an export is clear text; say --clear-text if that is meant"
            raise StorageError(msg)
        view = open_view(root, fs, sealer)
        return _Exporter(view, write).run(now, session_ids, progress, _notes(root, fs, view))


class _Exporter:
    def __init__(self, view: View, write: Callable[[bytes], object]) -> None:
        self.store = view.store
        self.write = write
        self.sha256 = hashlib.sha256()

    def run(
        self,
        now: float,
        session_ids: Sequence[SessionId],
        progress: Callable[[str, int, int], None],
        notes: tuple[str, ...],
    ) -> Exported:
        store = self.store
        known = store.places.keys() | store.damaged.keys()
        for session_id in session_ids:
            if session_id not in known:
                msg = f"there is no session {session_id} in {store.layout.root}"
                raise SessionNotFoundError(msg)
        missing: dict[str, str] = {}
        wanted = []
        for session_id in sorted(set(session_ids) or known):  # before the head, which has to say how many
            try:
                if store.load(session_id) is not None:
                    wanted.append(session_id)
                    continue
            except SessionDamagedError:
                pass
            missing[session_id] = store.damaged.get(session_id, "it cannot be read")
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.line(Head(FORMAT, FORMAT_VERSION, store.store_id, at, len(wanted)))
        damaged: dict[str, str] = {}
        for done, session_id in enumerate(wanted, start=1):
            progress("sessions", done, len(wanted))
            session = store.load(session_id)
            if session is None:
                msg = f"session {session_id} went away"
                raise StorageError(msg)
            if (why := store.damaged.get(session_id)) is not None:
                damaged[session_id] = why
            self.line(Line(to_record(session), damaged.get(session_id)))
        tail = Tail(len(wanted), missing, f"sha256:{self.sha256.hexdigest()}")
        self.write(msgspec.json.encode(tail) + b"\n")
        return Exported(len(wanted), damaged, missing, notes)

    def line(self, value: msgspec.Struct) -> None:
        data = msgspec.json.encode(value) + b"\n"
        self.sha256.update(data)
        self.write(data)


def read_export(data: bytes) -> list[Session]:
    """Read lines that `export_store` wrote, all of them or none.

    Raises:
        StorageError: it is no export, damaged, or not whole; the text says what is wrong with which line.
    """
    lines = data.splitlines(keepends=True)
    if len(lines) < 2 or not data.endswith(b"\n"):  # noqa: PLR2004 -- a head and a tail
        msg = "the file ends early: it is no whole export"
        raise StorageError(msg)
    try:
        head = msgspec.json.decode(lines[0], type=Head)
        tail = msgspec.json.decode(lines[-1], type=Tail)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"this is no export, or its end is missing: {error}"
        raise StorageError(msg) from None
    if (head.format, head.format_version) != (FORMAT, FORMAT_VERSION):
        msg = f"format {head.format!r} {head.format_version} is unknown here"
        raise StorageError(msg)
    if tail.checksum != f"sha256:{hashlib.sha256(b''.join(lines[:-1])).hexdigest()}":
        msg = "the checksum does not match: the file is damaged, or was changed"
        raise StorageError(msg)
    if not head.sessions == tail.sessions == len(lines) - 2:
        msg = f"it says {head.sessions} sessions and has {len(lines) - 2}"
        raise StorageError(msg)
    sessions: dict[SessionId, Session] = {}
    for number, line in enumerate(lines[1:-1], start=2):
        session = _read_line(line, number)
        if sessions.setdefault(session.header.session_id, session) is not session:
            msg = f"line {number}: session {session.header.session_id} comes twice"
            raise StorageError(msg)
    return list(sessions.values())


def import_sessions(
    root: Path,
    fs: FileSystem,
    sessions: Sequence[Session],
    now: float,
    *,
    overwrite: bool,
    sealer: Sealer = CLEAR,
) -> Imported:
    """Take sessions into a store: new ones as they are, with `overwrite` others as a version after the present one.

    Raises:
        StoreInUseError: a daemon uses it.
        StorageError: some are there already and are not to be replaced; nothing was changed.
        OSError: the disk failed; do it again, with `overwrite`.
    """
    with stopped_store(root, fs, sealer) as store:
        known = store.places.keys() | store.damaged.keys()
        there = [session.header.session_id for session in sessions if session.header.session_id in known]
        if there and not overwrite:
            more = f" and {len(there) - 3} more" if len(there) > 3 else ""  # noqa: PLR2004 -- enough to look at
            msg = f"{', '.join(there[:3])}{more}: there already, nothing was imported; --replace keeps them aside"
            raise StorageError(msg)
        for session in sessions:
            place = store.places.get(session.header.session_id)
            if place is not None and place.header.client_id != session.header.client_id:
                msg = f"session {session.header.session_id} belongs to another client here; nothing was imported"
                raise StorageError(msg)
        folder = make_replaced(store.layout, fs, now) if there else None
        made = []
        for session in sessions:
            if folder is not None and session.header.session_id in there:
                present, _ = keep_present(store, session.header.session_id, folder)
                made.append(follow(present, session, now, "imported"))
            else:
                made.append(session.without_events())
        commit_whole(store, made)
        return Imported(len(made) - len(there), len(there), None if folder is None else str(folder))


# ---- inside


@contextmanager
def _quiet(root: Path, fs: FileSystem) -> Iterator[None]:
    """Keep daemons out without leaving anything behind: where no lock file is, no daemon has been."""
    require_store(root, fs)
    layout = Layout(root)
    if layout.lock.name not in fs.names(root):
        yield
        return
    try:
        free = fs.lock(layout.lock)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        free = True  # nobody writes there
    if not free:
        msg = f"a daemon uses the data folder {root}; stop it first, or export from a backup"
        raise StoreInUseError(msg)
    try:
        yield
    finally:
        fs.unlock()


def _notes(root: Path, fs: FileSystem, view: View) -> tuple[str, ...]:
    """What the next start has to do; the export has it done already."""
    layout, notes = Layout(root), []
    if read_identity(layout.identity, fs.read(layout.identity) or b"").format_version < STORE_VERSION:
        notes.append("the store is of an older format; the next start of the daemon brings it to the present one")
    index = decode_index(fs.read(layout.index) or b"", view.store.store_id, view.store.sealer)
    newest = view.verdict.records[-1].lsn if view.verdict.records else 0
    if newest > (index.lsn if index else 0) or view.verdict.torn:
        notes.append("the daemon did not end cleanly: changes that are only in the journal are in the export as well")
    if view.verdict.damage:
        notes.append("the journal is damaged; see `store check`")
    return tuple(notes)


def _read_line(line: bytes, number: int) -> Session:
    try:
        session = from_record(msgspec.json.decode(line, type=Line).session)
        header = session.header
        if _SESSION_ID.fullmatch(header.session_id) is None:
            msg = f"line {number}: {header.session_id[:80]!r} is no id of a session"
            raise StorageError(msg)
        if not 0 < len(header.client_id) <= _MAX_NAME_CHARS or header.version < 1:
            msg = f"line {number}: the client or the version of {header.session_id} makes no sense"
            raise StorageError(msg)
        if len(line) > MAX_PAYLOAD_BYTES:
            msg = f"line {number}: session {header.session_id} is too large"
            raise StorageError(msg)
        last = session.history.entries[-1].version if session.history.entries else session.history.base_version
        if session.history.document_at(last) != session.document():
            msg = f"line {number}: the history of {header.session_id} does not lead to what it is"
            raise StorageError(msg)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DeltaError, KeyError, TypeError) as error:
        msg = f"line {number} is no session: {error}"
        raise StorageError(msg) from None
    return session
