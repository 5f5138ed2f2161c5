"""How is a backup put back, so that nothing is lost whatever happens on the way?

One session comes back as a change like others: a version after the present one, which is kept in `replaced/<time>/`.

The whole store, in this order, each step synced before the next:

1. Every file of the backup is verified and copied to `restoring/`. Until here nothing else has changed.
2. `store.json` is copied to `replaced/<time>/`; in its place comes a marker. No daemon opens such a folder.
3. `journal/`, `sessions/`, `index.json`, `damaged.json` are moved to `replaced/<time>/`, which then is a whole store;
   the database of images goes along, if the backup has one.
4. `restoring/sessions` is moved to `sessions`, then the database to its place.
5. `restoring/store.json` takes the place of the marker. From here the backup is the store.

Interrupted before 2, the old store is as it was. Between 2 and 5, `restore_store` goes on where it was, and
`undo_restore` takes the steps back.
"""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from stui_sessiond.errors import StorageError
from stui_sessiond.ids import SessionId
from stui_sessiond.security.sealing import CLEAR, Sealer
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.layout import (
    DATABASE,
    DATABASE_JOURNAL,
    RESTORING_FORMAT,
    STORE_VERSION,
    Layout,
    read_identity,
    seal_json,
    unseal_json,
)
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.stopped import (
    commit_whole,
    follow,
    keep_present,
    locked,
    make_replaced,
    stopped_store,
)
from stui_sessiond.storage.tools.view import require_store

MOVED = ("journal", "sessions", "index.json", "damaged.json")
"""What belongs to the content of a store, besides store.json."""

DATABASES = (DATABASE, DATABASE_JOURNAL)
"""The same of the database of images. Backups of earlier versions have none; then the present one stays."""


class Restored(msgspec.Struct, frozen=True):
    """What was put back."""

    backup: str
    replaced: str
    """The folder with what was there before."""
    sessions: int
    version: int | None = None
    """The version that the session has now, if only one was put back."""
    note: str | None = None


class _Marker(msgspec.Struct, frozen=True):
    format: str
    format_version: int
    store_id: str
    backup: str
    replaced: str
    database: bool = False
    """Whether the backup has the database of images."""


def interrupted(root: Path, fs: FileSystem) -> str | None:
    """Name the backup whose restoring was not finished.

    Raises:
        OSError: it cannot be told.
    """
    marker = _read_marker(Layout(root), fs)
    return None if marker is None else marker.backup


def restore_store(
    root: Path,
    fs: FileSystem,
    name: str,
    now: float,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
    sealer: Sealer = CLEAR,
) -> Restored:
    """Put a whole backup in the place of the present store, then open it once to see that it works.

    Raises:
        StoreInUseError: a daemon uses it.
        StorageError: the backup is not there or not sound; nothing was changed.
        OSError: it was interrupted; do it again, or undo it.
    """
    layout = Layout(root)
    backups = Backups(Store(root, fs, sealer=sealer))
    if not fs.names(layout.backups):
        require_store(root, fs)
    with locked(root, fs):
        marker = _read_marker(layout, fs)
        if marker is not None and marker.backup != name:
            msg = f"restoring {marker.backup} was not finished; give that name to go on, or --undo to go back"
            raise StorageError(msg)
        info = backups.verify(name, lambda done, of: progress("files verified", done, of))
        if info.problems:
            msg = f"backup {name} is damaged, nothing was changed: {'; '.join(info.problems[:3])}"
            raise StorageError(msg)
        if marker is None:
            marker = _prepare(layout, fs, backups, name, now, progress)
        _switch(layout, fs, root / marker.replaced, (*MOVED, *DATABASES) if marker.database else MOVED)
    _open_once(root, fs, info.sessions, sealer)
    return Restored(name, str(root / marker.replaced), info.sessions)


def undo_restore(root: Path, fs: FileSystem) -> Path:
    """Go back to the store before a restore that was interrupted; give the folder it was kept in.

    Raises:
        StoreInUseError: a daemon uses it.
        StorageError: no restore was interrupted.
        OSError: it was interrupted; do it again.
    """
    layout = Layout(root)
    with locked(root, fs):
        marker = _read_marker(layout, fs)
        if marker is None:
            msg = f"no restore was interrupted in {root}; what a finished one replaced is in replaced/"
            raise StorageError(msg)
        staged, replaced = _staged(layout), root / marker.replaced
        fs.make_folder(staged)
        if "sessions" not in fs.names(staged):  # what lies in its place came from the backup
            if marker.database and DATABASE not in fs.names(staged):
                fs.rename(layout.database, staged / DATABASE)
                fs.sync_folder(staged)
                fs.sync_folder(root)
            fs.rename(layout.sessions, staged / "sessions")
            fs.sync_folder(staged)
            fs.sync_folder(root)
        kept = fs.names(replaced)
        for each in (*MOVED, *DATABASES):
            if each in kept:
                fs.rename(replaced / each, root / each)
        fs.sync_folder(root)
        fs.sync_folder(replaced)
        if not fs.rename(replaced / layout.identity.name, layout.identity):
            fs.remove(layout.identity)  # there was none
        fs.sync_folder(root)
        fs.remove_tree(staged)
        fs.sync_folder(root)
    return replaced


def restore_session(
    root: Path, fs: FileSystem, name: str, session_id: SessionId, now: float, sealer: Sealer = CLEAR
) -> Restored:
    """Put one session back as it is in a backup: as a version after the present one.

    Raises:
        StoreInUseError: a daemon uses it.
        StorageError: it is not in the backup, or not sound there; nothing was changed.
        OSError: the disk failed; do it again.
    """
    with stopped_store(root, fs, sealer) as store:
        backups = Backups(store)
        data = backups.session_data(name, session_id)
        try:
            wanted = decode_session(data, backups.manifest(name).store_id, session_id, sealer).session
        except UnreadableError as error:
            msg = f"session {session_id} is damaged in backup {name}: {error}"
            raise StorageError(msg) from None
        replaced = make_replaced(store.layout, fs, now)
        present, note = keep_present(store, session_id, replaced)
        session = follow(present, wanted, now, "restored")
        commit_whole(store, [session])
        return Restored(name, str(replaced), 1, session.header.version, note)


# ---- inside


def _staged(layout: Layout) -> Path:
    return layout.root / "restoring"


def _read_marker(layout: Layout, fs: FileSystem) -> _Marker | None:
    text = unseal_json(fs.read(layout.identity) or b"")
    try:
        marker = None if text is None else msgspec.json.decode(text, type=_Marker)
    except msgspec.DecodeError:  # it is a store
        return None
    return marker if marker is not None and marker.format == RESTORING_FORMAT else None


def _prepare(
    layout: Layout,
    fs: FileSystem,
    backups: Backups,
    name: str,
    now: float,
    progress: Callable[[str, int, int], None],
) -> _Marker:
    """Steps 1 and 2."""
    manifest, staged = backups.manifest(name), _staged(layout)
    if staged.name in fs.names(layout.root):  # copies that an earlier one made before it changed anything
        fs.remove_tree(staged)
    fs.make_folder(staged)
    fs.make_folder(staged / "sessions")
    made = [staged / "sessions", staged]
    for done, path in enumerate(sorted(manifest.files), start=1):
        progress("files copied", done, len(manifest.files))
        target = staged / path
        if target.parent not in made:
            fs.make_folder(target.parent)
            made.insert(0, target.parent)
        data = fs.read(backups.folder / name / path)
        if data is None:
            msg = f"{path} went away from backup {name}"
            raise StorageError(msg)
        if path == layout.identity.name:  # positions in events that came after the backup mean nothing from now on
            data = seal_json(replace(read_identity(target, data), incarnation=secrets.token_hex(4)))
        fs.write_new(target, data)
    for folder in (*made, layout.root):
        fs.sync_folder(folder)
    replaced = make_replaced(layout, fs, now)
    present = fs.read(layout.identity)
    if present is not None:
        fs.write_new(replaced / layout.identity.name, present)
        fs.sync_folder(replaced)
    place = str(replaced.relative_to(layout.root))
    database = DATABASE in manifest.files
    marker = _Marker(RESTORING_FORMAT, STORE_VERSION, manifest.store_id, name, place, database)
    fs.write_new(staged / "marker", seal_json(marker))
    fs.rename(staged / "marker", layout.identity)
    fs.sync_folder(layout.root)
    return marker


def _switch(layout: Layout, fs: FileSystem, replaced: Path, moved: Sequence[str]) -> None:
    """Steps 3 to 5, from wherever they were interrupted."""
    root, staged = layout.root, _staged(layout)
    if "sessions" in fs.names(staged):  # as long as it is there, what lies in its place is what was there before
        present, kept = fs.names(root), fs.names(replaced)
        for each in moved:
            if each in present:  # a second one is an empty folder that a start has made before it was refused
                fs.rename(root / each, replaced / (f"{each}.again" if each in kept else each))
        fs.sync_folder(replaced)
        fs.sync_folder(root)
        fs.rename(staged / "sessions", layout.sessions)
    if DATABASE in fs.names(staged):
        fs.sync_folder(root)
        fs.sync_folder(staged)  # that `sessions` is in its place has to be seen before the database is in its own
        fs.rename(staged / DATABASE, layout.database)
    fs.sync_folder(root)
    fs.sync_folder(staged)
    fs.rename(staged / layout.identity.name, layout.identity)
    fs.sync_folder(root)
    fs.remove_tree(staged)
    fs.sync_folder(root)


def _open_once(root: Path, fs: FileSystem, sessions: int, sealer: Sealer) -> None:
    with stopped_store(root, fs, sealer) as store:
        if store.damaged or len(store.places) != sessions:
            msg = f"the store was put back, but {len(store.places)} of {sessions} sessions open: run `store check`"
            raise StorageError(msg)
