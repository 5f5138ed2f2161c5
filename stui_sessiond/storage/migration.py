"""How does a data folder of an older format become one of this format?

Format 1 (version 0.1.0) had one file per session and no journal. Its files are kept in a backup first; each session is
then written anew, and only when all are there does store.json say the new format. Interrupted, it is done again.
"""

from typing import TYPE_CHECKING

import structlog

from stui_sessiond.ids import SessionId
from stui_sessiond.storage.layout import (
    CURRENT,
    PREVIOUS,
    STORE_FORMAT,
    STORE_VERSION,
    StoreIdentity,
    seal_json,
)
from stui_sessiond.storage.records import UnreadableError, decode_session

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
    kept = layout.backups / BACKUP_NAME
    fs.make_folder(kept)
    fs.sync_folder(layout.backups)
    migrated = 0
    for client in fs.names(layout.sessions):
        folder = layout.sessions / client
        stray = [name for name in fs.names(folder) if name.endswith(".new")]
        for name in stray:
            store.snapshots.put_aside(folder / name, "unfinished")
        for name in fs.names(folder):
            data = fs.read(folder / name)
            if data is not None and fs.read(kept / name) != data:
                fs.remove(kept / name)
                fs.write_new(kept / name, data)
        fs.sync_folder(kept)
        stems = {name.removesuffix(PREVIOUS) for name in fs.names(folder) if name.endswith(PREVIOUS)}
        stems |= {
            name.removesuffix(CURRENT)
            for name in fs.names(folder)
            if name.endswith(CURRENT) and not name.endswith(PREVIOUS)
        }
        for stem in sorted(stems):
            migrated += _migrate_session(store, client, SessionId(stem))
    made = StoreIdentity(STORE_FORMAT, STORE_VERSION, store.store_id)
    store.replace_file(layout.identity, seal_json(made))
    _log.info("storage.migrated", sessions=migrated, backup=kept.name)


def _migrate_session(store: "Store", client: str, session_id: SessionId) -> int:
    folder = store.layout.sessions / client
    current, _ = store.snapshots.paths(folder, session_id)
    data = store.fs.read(current)
    try:
        if data is not None and decode_session(data, store.store_id, session_id).format_version == STORE_VERSION:
            return 0  # done before an interruption
    except UnreadableError:
        pass  # found again, and put aside, when it is read below
    found = store.snapshots.read(folder, session_id)
    if found.file is None:
        store.damaged[session_id] = f"its file cannot be read: {found.damaged}"
        return 0
    if found.damaged is not None:
        store.damaged[session_id] = (
            f"its newest file of format 1 cannot be read ({found.damaged}); this is an older one"
        )
    store.snapshots.write(found.file.session, 0)
    return 1
