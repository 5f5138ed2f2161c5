"""How does a store come under another master key, or under none, while it is in use?

From the moment it is opened with another key everything is written with that one. What was written before is brought
over by the work that keeps the journal short: `Store.trim_target` and `Store.holders` ask for both files of each
session to be written anew, and for the journal before `Store.first_lsn` to go. Interrupted, it begins again: store.json
names all keys that may be needed until the last step has said otherwise.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from stui_sessiond.security.sealing import KeyMissingError
from stui_sessiond.storage.journal import RecordType
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session, encode_session, key_of_file

if TYPE_CHECKING:
    from stui_sessiond.storage.store import Store

_log = structlog.get_logger(__name__)


def begin(store: "Store") -> None:
    """Note what was written before now; a new segment begins, so that all older ones can go.

    Raises:
        DiskFullError, DiskFailedError: the journal takes nothing.
    """
    store.first_lsn = store.writer.next_lsn
    store.writer.append([b""], RecordType.SEAL)
    store.old_files = dict.fromkeys(store.places, 2)
    _log.info("storage.rekeying", key=store.sealer.key_id, keys=store.keys, sessions=len(store.old_files))


def finish(store: "Store") -> tuple[str, ...]:
    """If sessions and journal are under the present key, see to the rest; give the keys not needed any more.

    Raises:
        OSError: it is not finished; it can be tried again.
    """
    segments = store.writer.segments
    old_segments = bool(segments) and segments[0] < store.first_lsn
    if not store.rekeying or old_segments or any(name in store.places for name in list(store.old_files)):
        return ()
    layout = store.layout
    left = [
        _bring_over(store, layout.archive / month / name)
        for month in store.fs.names(layout.archive)
        for name in store.fs.names(layout.archive / month)
    ]
    store.write_damaged()
    present = store.sealer.key_id
    retired = tuple(key for key in store.keys if key != present)
    store.write_identity((present,))
    _log.info("storage.rekeyed", key=present, not_needed_any_more=retired, archived_left=sum(left))
    return retired


def _bring_over(store: "Store", path: Path) -> bool:
    """Write an archived session anew; tell whether it was left because it cannot be read."""
    data = store.fs.read(path) or b""
    if key_of_file(data) == store.sealer.key_id:
        return False
    try:
        file = decode_session(data, store.store_id, None, store.sealer)
    except (UnreadableError, KeyMissingError) as error:
        _log.warning("storage.archived_not_rekeyed", file=path.name, error=str(error))
        return True
    store.replace_file(path, encode_session(file.session, store.store_id, file.lsn, store.sealer))
    return False
