"""How is a whole store brought under another key at once, with the daemon stopped? By what a daemon does bit by bit.

Interrupted anywhere, the store is sound and takes both keys; done again, it is finished.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from stui_sessiond.errors import SessionDamagedError
from stui_sessiond.security.resume import KEY_FILE, open_key
from stui_sessiond.security.sealing import Sealer
from stui_sessiond.storage import rekey
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.database import seal_database_anew
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.layout import DATABASE
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.stopped import stopped_store


class RekeyReport(msgspec.Struct, frozen=True):
    """What was done."""

    key: str
    """The key that everything is under now; `clear` for none."""
    sessions: int
    """How many were written anew; 0 when there was nothing to do."""
    retired: tuple[str, ...]
    """The keys that the store does not need any more."""
    backups: tuple[str, ...]
    """Backups that are not under the present key; they stay as they are."""


def rekey_store(
    root: Path,
    fs: FileSystem,
    sealer: Sealer,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
) -> RekeyReport:
    """Write everything anew with the sealer's current key, or as clear text when it has none.

    Raises:
        StoreInUseError: a daemon uses it.
        StorageError: there is no store, or none that this version can read.
        KeyMissingError: it is sealed with a key that the sealer does not know; nothing was changed.
        ConfigError: the key for resuming connections cannot be sealed anew.
        OSError: the disk failed; do it again.
    """
    with stopped_store(root, fs, sealer) as store:
        if KEY_FILE in fs.names(root):
            open_key(root, sealer)
        if DATABASE in fs.names(root):
            seal_database_anew(store.layout.database, sealer)
        sessions = len(store.old_files)
        if store.rekeying:
            _write_anew(store, progress)
        retired = rekey.finish(store)
        others = [info.name for info in Backups(store).list() if info.keys != store.listed_keys]
        return RekeyReport(sealer.key_id, sessions, retired, tuple(others))


def _write_anew(store: Store, progress: Callable[[str, int, int], None]) -> None:
    wanted = store.first_lsn
    holders = store.holders(wanted - 1)
    for done, session_id in enumerate(holders, start=1):
        progress("sessions", done, len(holders))
        while store.holds(session_id, wanted - 1):
            with suppress(SessionDamagedError):  # then it is not in the store any more, and its files are kept aside
                store.hold_pending(session_id)
            store.checkpoint(session_id)
    store.finish_trim(wanted)
