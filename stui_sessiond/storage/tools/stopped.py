"""How does a tool change a store that no daemon uses? It takes the lock, opens the store, and keeps what it replaces.

Guarantee: nothing is replaced before the present content lies, synced, in `replaced/<time>/`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from stui_sessiond.errors import SessionDamagedError, StorageError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.delta import patch_of
from stui_sessiond.model.session import HistoryEntry, Session, session_delta
from stui_sessiond.security.sealing import CLEAR, Sealer
from stui_sessiond.storage.change_record import encode_change
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.layout import Layout
from stui_sessiond.storage.records import ChangeRecord
from stui_sessiond.storage.segments import DiskFailedError, DiskFullError
from stui_sessiond.storage.session_file import encode_session
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.view import require_store
from stui_sessiond.storage.translation import header_record, to_record

BATCH_BYTES = 8 * 1024 * 1024
"""How much is written to the journal at a time."""

MAX_SAME_SECOND = 1000


class StoreInUseError(Exception):
    """A daemon uses the folder. No `StuiError`: this is told to an operator, never to a client."""


@contextmanager
def locked(root: Path, fs: FileSystem) -> Iterator[None]:
    """Keep daemons out of a folder.

    Raises:
        StoreInUseError: one is in.
        OSError: the lock cannot be taken.
    """
    if not fs.lock(Layout(root).lock):
        msg = f"a daemon uses the data folder {root}; stop it first"
        raise StoreInUseError(msg)
    try:
        yield
    finally:
        fs.unlock()


@contextmanager
def stopped_store(root: Path, fs: FileSystem, sealer: Sealer = CLEAR) -> Iterator[Store]:
    """Open a store, which recovers it; close it at the end.

    Raises:
        StoreInUseError: a daemon uses it.
        StorageError: there is none, or it cannot be read.
        KeyMissingError: it is sealed with another key; nothing was changed.
        OSError: the disk failed; what was acknowledged is in the journal.
    """
    require_store(root, fs)
    with locked(root, fs):
        pass  # only to say it in words that fit; `open` takes it again
    store = Store(root, fs, sealer=sealer)
    try:
        store.open()
        yield store
        store.close()
    except (DiskFullError, DiskFailedError) as error:
        raise StorageError(str(error)) from error
    finally:
        if hasattr(store, "writer"):
            store.writer.close()
        fs.unlock()


def make_replaced(layout: Layout, fs: FileSystem, now: float) -> Path:
    """Make a folder for what is about to be replaced.

    Raises:
        StorageError, OSError: there is none.
    """
    parent = layout.root / "replaced"
    if fs.make_folder(parent):
        fs.sync_folder(layout.root)
    name = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, MAX_SAME_SECOND):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if fs.make_folder(folder):
            fs.sync_folder(parent)
            return folder
    msg = f"there are too many folders {name} in {parent}"
    raise StorageError(msg)


def keep_present(store: Store, session_id: SessionId, folder: Path) -> tuple[Session | None, str | None]:
    """Write a session's present content to a folder; also tell what is wrong with it.

    Raises:
        OSError: it is not there.
    """
    try:
        present = store.load(session_id)
    except SessionDamagedError as error:
        return None, error.message
    if present is not None:
        lsn = store.places[session_id].last_lsn
        store.fs.write_new(folder / f"{session_id}.json", encode_session(present, store.store_id, lsn, store.sealer))
        store.fs.sync_folder(folder)
    return present, store.damaged.get(session_id)


def follow(present: Session | None, wanted: Session, now: float, what: str) -> Session:
    """Make `wanted` the version after both, so that clients see one more change and nothing of the history goes.

    When it was used last and when it was closed stay as they are in `wanted`.
    """
    newer = wanted if present is None or present.header.version < wanted.header.version else present
    version = newer.header.version + 1
    entry = HistoryEntry(version, now, None, what, patch_of(session_delta(newer, wanted)))
    return replace(
        wanted,
        header=replace(wanted.header, version=version, last_modified=now),
        history=replace(newer.history, entries=(*newer.history.entries, entry)),
        snapshots={**newer.snapshots, **wanted.snapshots},
        requests=newer.requests,
    ).without_events()


def commit_whole(store: Store, sessions: Sequence[Session]) -> None:
    """Make whole sessions durable, each in the place of what it is now; their files are written as well.

    Raises:
        DiskFullError, DiskFailedError: some of them are not stored.
        OSError: they are in the journal, and not all in their files.
    """
    batch: list[tuple[Session, bytes]] = []
    size = 0
    for session in sessions:
        header = session.header
        place = store.places.get(header.session_id)
        base = 0 if place is None else place.header.version
        change = ChangeRecord(header.session_id, base, header_record(header), full=to_record(session))
        batch.append((session, encode_change(change)))
        size += len(batch[-1][1])
        if size >= BATCH_BYTES:
            _commit(store, batch)
            batch, size = [], 0
    _commit(store, batch)


def _commit(store: Store, batch: Sequence[tuple[Session, bytes]]) -> None:
    if not batch:
        return
    first = store.writer.append([payload for _, payload in batch])
    for lsn, (session, payload) in enumerate(batch, start=first):
        store.note_change(session, lsn, len(payload))
        store.checkpoint(session.header.session_id)
