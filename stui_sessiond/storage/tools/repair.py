"""How does a store become sound again after damage? By recovery, and by writing every file anew.

Never deletes what it cannot read: that goes to quarantine. What is lost is told, with the backup that still has it.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from stui_sessiond.errors import SessionDamagedError
from stui_sessiond.ids import SessionId
from stui_sessiond.security.sealing import CLEAR, Sealer
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.index import Place
from stui_sessiond.storage.layout import CURRENT, PREVIOUS
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session
from stui_sessiond.storage.store import Pending, Store
from stui_sessiond.storage.tools.stopped import stopped_store


class Loss(msgspec.Struct, frozen=True):
    """A session that lost acknowledged changes. `readable` is its last good version; None when nothing is left."""

    session_id: str
    why: str
    readable: int | None
    backup: str | None
    """The newest backup that has it."""


class RepairReport(msgspec.Struct, frozen=True):
    """What was done."""

    sessions: int
    healed: dict[str, str]
    adopted: tuple[str, ...]
    """Sessions that the index did not know."""
    lost: tuple[Loss, ...]
    quarantined: int
    """Files that were put aside just now."""


def repair_store(
    root: Path,
    fs: FileSystem,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
    sealer: Sealer = CLEAR,
) -> RepairReport:
    """Recover a store, and write the index and both files of each session anew.

    Raises:
        StoreInUseError: a daemon uses it.
        StorageError: there is no store, or none that this version can read.
        OSError: the disk failed; do it again.
    """
    quarantined = len(fs.names(root / "quarantine"))
    with stopped_store(root, fs, sealer) as store:
        healed = {str(name): why for name, why in store.healed.items()}
        adopted = _look_at_files(store, healed)
        for done, session_id in enumerate(sorted(store.places), start=1):
            progress("sessions", done, len(store.places))
            _write_anew(store, session_id)
        healed.update({str(name): why for name, why in store.healed.items()})
        store.write_damaged()
        holders = _newest_backups(store)
        lost = []
        for name, why in sorted(store.damaged.items()):
            place = store.places.get(name)
            lost.append(Loss(name, why, place.header.version if place else None, holders.get(name)))
        for name in store.damaged:
            healed.pop(name, None)
        now_quarantined = len(fs.names(store.layout.quarantine)) - quarantined
        return RepairReport(len(store.places), healed, tuple(adopted), tuple(lost), now_quarantined)


def _look_at_files(store: Store, healed: dict[str, str]) -> list[str]:
    """Put aside what cannot be read, and take in what the index does not know."""
    adopted: list[str] = []
    for client in store.fs.names(store.layout.sessions):
        folder = store.layout.sessions / client
        for name in store.fs.names(folder):
            if not name.endswith(CURRENT):
                continue
            is_previous = name.endswith(PREVIOUS)
            session_id = SessionId(name.removesuffix(PREVIOUS if is_previous else CURRENT))
            try:
                file = decode_session(store.fs.read(folder / name) or b"", store.store_id, session_id, store.sealer)
            except UnreadableError as error:
                if is_previous or session_id not in store.places:  # others are put aside when they are loaded
                    store.snapshots.put_aside(folder / name, "damaged", str(error))
                if session_id not in store.places:
                    store.damaged.setdefault(session_id, f"its file cannot be read: {error}")
                elif is_previous:
                    healed[session_id] = f"the file before its newest was damaged ({error}); nothing is missing"
                continue
            header = file.session.header
            ours = store.layout.client_folder(header.client_id) == folder
            if ours and session_id not in store.places:  # the newest file comes first
                store.places[session_id] = Place(header, 0, file.lsn, -1, file.lsn)
                adopted.append(session_id)
    return adopted


def _write_anew(store: Store, session_id: SessionId) -> None:
    try:
        session = store.load(session_id)
    except SessionDamagedError:
        store.places.pop(session_id, None)
        return
    if session is None:
        return
    lsn = max(store.places[session_id].last_lsn, 0)
    store.pending.pop(session_id, None)
    for _ in range(2):  # the second time moves the first to the place of the file before
        held = Pending(session, lsn)
        size = store.snapshots.write(session, lsn)
        store.note_file(session_id, held)
    store.places[session_id] = msgspec.structs.replace(
        store.places[session_id], header=session.header, size_bytes=size, last_lsn=lsn
    )


def _newest_backups(store: Store) -> dict[str, str]:
    found: dict[str, str] = {}
    if not store.damaged:
        return found
    backups = Backups(store)
    for info in backups.list():
        found.update({Path(path).stem: info.name for path in backups.manifest(info.name).files})
    return found
