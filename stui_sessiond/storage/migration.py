"""How does a data folder of an older format become one of this format?

Format 1 (version 0.1.0) had one file per session and no journal. All its files are copied to a backup first, whose
manifest is written last; each session is then written anew, and only when all are there does store.json say the new
format. Interrupted, it is done again: a backup that has its manifest is not touched any more.
"""

import hashlib
import time
from typing import TYPE_CHECKING

import structlog

from stui_sessiond.ids import SessionId
from stui_sessiond.storage.backups import MANIFEST, Backups, Manifest
from stui_sessiond.storage.layout import (
    CURRENT,
    PREVIOUS,
    STORE_VERSION,
    seal_json,
)
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session

if TYPE_CHECKING:
    from stui_sessiond.storage.store import Store

_log = structlog.get_logger(__name__)

BACKUP_NAME = "before-format-2"


def migrate(store: "Store") -> None:
    """Bring a folder of format 1 to this one.

    Raises:
        OSError: the old files are still there, or in the backup; it can be done again.
    """
    layout, fs = store.layout, store.fs
    if MANIFEST not in fs.names(layout.backups / BACKUP_NAME):
        _keep_old(store)
    migrated = 0
    for client in fs.names(layout.sessions):
        names = [name for name in fs.names(layout.sessions / client) if name.endswith(CURRENT)]
        for stem in sorted({name.removesuffix(PREVIOUS).removesuffix(CURRENT) for name in names}):
            migrated += _migrate_session(store, client, SessionId(stem))
    for name, why in Backups(store).manifest(BACKUP_NAME).missing.items():  # also what an earlier attempt put aside
        if not name.endswith(PREVIOUS):
            _note_damage(store, SessionId(name.removesuffix(CURRENT)), why)
    store.write_damaged()
    store.write_identity(store.keys)
    _log.info("storage.migrated", sessions=migrated, backup=BACKUP_NAME)


def _keep_old(store: "Store") -> None:
    """Copy all files as they are. Nothing has been changed as long as the manifest is not there."""
    layout, fs = store.layout, store.fs
    kept = layout.backups / BACKUP_NAME
    fs.make_folder(kept)
    fs.make_folder(kept / "sessions")
    files: dict[str, str] = {}
    missing: dict[str, str] = {}

    def copy(path: str) -> bytes:
        data = fs.read(layout.root / path) or b""
        if fs.read(kept / path) != data:
            fs.remove(kept / path)  # half a copy of an earlier attempt
            fs.write_new(kept / path, data)
        return data

    for client in fs.names(layout.sessions):
        folder = layout.sessions / client
        for name in fs.names(folder):
            if name.endswith(".new"):
                store.snapshots.put_aside(folder / name, "unfinished")
        fs.make_folder(kept / "sessions" / client)
        for name in fs.names(folder):
            path = f"sessions/{client}/{name}"
            data = copy(path)
            try:
                decode_session(data, store.store_id, None, store.sealer)
                files[path] = hashlib.sha256(data).hexdigest()
            except UnreadableError as error:  # the copy is there all the same
                missing[name] = str(error)
        fs.sync_folder(kept / "sessions" / client)
    files["store.json"] = hashlib.sha256(copy("store.json")).hexdigest()
    fs.sync_folder(kept / "sessions")
    fs.sync_folder(kept)
    manifest = seal_json(Manifest(store.store_id, time.time(), BACKUP_NAME, 0, files, missing))
    fs.write_new(layout.tmp / f"{BACKUP_NAME}.{MANIFEST}", manifest)
    fs.rename(layout.tmp / f"{BACKUP_NAME}.{MANIFEST}", kept / MANIFEST)
    fs.sync_folder(kept)
    fs.sync_folder(layout.backups)


def _migrate_session(store: "Store", client: str, session_id: SessionId) -> int:
    folder = store.layout.sessions / client
    current, _ = store.snapshots.paths(folder, session_id)
    data = store.fs.read(current)
    try:
        if data is not None:
            file = decode_session(data, store.store_id, session_id, store.sealer)
            if file.format_version == STORE_VERSION:
                return 0  # done before an interruption
    except UnreadableError:
        pass  # found again, and put aside, when it is read below
    found = store.snapshots.read(folder, session_id)
    if found.file is None:
        return 0
    store.snapshots.write(found.file.session, 0)
    return 1


def _note_damage(store: "Store", session_id: SessionId, why: str) -> None:
    client_folders = store.fs.names(store.layout.sessions)
    left = any(f"{session_id}{CURRENT}" in store.fs.names(store.layout.sessions / client) for client in client_folders)
    what = f"its newest file of format 1 cannot be read ({why})"
    store.damaged[session_id] = f"{what}; this is an older one" if left else what
