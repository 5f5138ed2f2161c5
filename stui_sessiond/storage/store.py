"""The file storage without threads: opens and recovers a data folder, and carries out one operation after the other.

Guarantees: what `append` took survives; `open` finds every acknowledged change or says which sessions lost some;
recovery may be interrupted and done again; nothing that cannot be read is deleted.
"""

import contextlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.errors import SessionDamagedError, StorageError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session
from stui_sessiond.security.sealing import CLEAR, CLEAR_ID, Label, Sealer, SealError, session_of
from stui_sessiond.storage import migration, rekey
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.index import Index, Place, decode_index, encode_index
from stui_sessiond.storage.journal import Record
from stui_sessiond.storage.layout import (
    SEALED_FORMAT,
    SEGMENT_SUFFIX,
    STORE_FORMAT,
    STORE_VERSION,
    Layout,
    StoreIdentity,
    add_checksum,
    read_identity,
    seal_json,
    unseal_json,
)
from stui_sessiond.storage.recovery import Damage, Segment, Verdict, recover
from stui_sessiond.storage.replay import Changes, by_session, clients_of, follow, losers
from stui_sessiond.storage.sealed import open_change, open_text, seal_change, seal_text
from stui_sessiond.storage.segments import SEGMENT_BYTES, JournalWriter
from stui_sessiond.storage.snapshots import Found, Snapshots

_log = structlog.get_logger(__name__)


KEEP_SEGMENTS = 3
"""Segments of the journal that are kept before old ones are freed."""


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A session whose newest content is in the journal and not yet in its file."""

    session: Session
    lsn: int


class Leftover(msgspec.Struct, frozen=True):
    """Files of a session that is gone, by the journal record `lsn`."""

    folder: Path
    lsn: int


class Store:
    """A data folder. Only one thread at a time may call `append` and `seal`, and one at a time the rest."""

    def __init__(
        self,
        root: Path,
        fs: FileSystem,
        segment_bytes: int = SEGMENT_BYTES,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        sealer: Sealer = CLEAR,
    ) -> None:
        self.layout = Layout(root)
        self.fs = fs
        self.store_id = ""
        self.incarnation = ""
        self.sealer = sealer
        self.keys: tuple[str, ...] = (sealer.key_id,)
        """Ids of the keys that something in the store may be sealed with, the present one first; store.json has them
        before the first byte is written with a new one, and as long as something may be left under an old one."""
        self.old_files: dict[SessionId, int] = {}
        """Sessions of whose two files so many may be under another key than the present one."""
        self.places: dict[SessionId, Place] = {}
        self.pending: dict[SessionId, Pending] = {}
        self.leftover: dict[SessionId, Leftover] = {}
        self.healed: dict[SessionId, str] = {}
        """Sessions read from the file before the newest, and why."""
        self.damaged: dict[SessionId, str] = {}
        """Sessions of which acknowledged data could not be read, and what."""
        self._segment_bytes = segment_bytes
        self._random_bytes = random_bytes
        self._index_lsn = 0
        self.first_lsn = 0
        """Older journal records may be under another key than the present one."""
        self._unread: dict[SessionId, str] = {}
        """Sessions of which no file could be read, until the journal is: all of one may be in there."""

    # ---- opening

    def open(self) -> None:
        """Lock the folder, recover what is in it, and make what was recovered durable anew.

        Raises:
            StorageError: another daemon has it, or it is of a format this version cannot read.
            KeyMissingError: it is sealed with a key that is not given; nothing was changed.
            OSError: the disk failed; it can be tried again.
        """
        layout, fs = self.layout, self.fs
        for folder in layout.folders:
            fs.make_folder(folder)
        if not fs.lock(layout.lock):
            msg = f"another daemon uses the data folder {layout.root}; stop it, or choose another --data-dir"
            raise StorageError(msg)
        identity = self._identify()
        self.store_id = identity.store_id
        self.incarnation = identity.incarnation
        self._settle_keys(identity)
        self.snapshots = Snapshots(fs, layout, self.store_id, self.sealer)
        for name in fs.names(layout.tmp):
            self.snapshots.put_aside(layout.tmp / name, "unfinished")
        self.damaged = self._read_damaged()
        if identity.format_version < STORE_VERSION:
            migration.migrate(self)
        self._read_index()
        verdict = self._read_journal()
        self._replay(verdict.records)
        self.damaged.update({name: f"its file cannot be read: {why}" for name, why in self._unread.items()})
        self._report(verdict)
        self.checkpoint_all()
        self._retire(verdict)
        if self.rekeying:
            rekey.begin(self)

    def _identify(self) -> StoreIdentity:
        layout = self.layout
        for folder in (layout.root, layout.sessions):  # a process that was killed may have left names unsynced
            self.fs.sync_folder(folder)
        data = self.fs.read(layout.identity)
        if data is not None:
            return read_identity(layout.identity, data)
        if any(self.fs.names(folder) for folder in (layout.sessions, layout.journal)):
            msg = f"{layout.identity} is missing and there are sessions; put the copy from a backup in its place"
            raise StorageError(msg)
        self.fs.sync_folder(layout.root.parent)
        self.store_id = self._random_bytes(16).hex()
        return self.write_identity((self.sealer.key_id,))

    def write_identity(self, keys: Sequence[str]) -> StoreIdentity:
        """Say in store.json which store this is, and which keys it takes to read it.

        Raises:
            OSError: it says what it said before.
        """
        sealed = set(keys) != {CLEAR_ID}
        what = SEALED_FORMAT if sealed else STORE_FORMAT
        made = StoreIdentity(what, STORE_VERSION, self.store_id, self.incarnation, tuple(keys) if sealed else ())
        self.replace_file(self.layout.identity, seal_json(made))
        self.keys = tuple(keys)
        return made

    def _settle_keys(self, identity: StoreIdentity) -> None:
        """Make sure that all keys are there, and write the present one down before anything is sealed with it."""
        found = identity.keys or (CLEAR_ID,)
        self.sealer.require(found, f"the store in {self.layout.root}")
        self.keys = tuple(dict.fromkeys((self.sealer.key_id, *found)))
        if set(self.keys) != set(found) and identity.format_version == STORE_VERSION:  # else the migration says it
            self.write_identity(self.keys)

    def replace_file(self, path: Path, data: bytes) -> None:
        """Put a file durably in the place of another.

        Raises:
            OSError: the old one is there.
        """
        new = self.layout.tmp / f"{path.name}.{self._random_bytes(4).hex()}"
        self.fs.write_new(new, data)
        self.fs.rename(new, path)
        self.fs.sync_folder(path.parent)

    def _read_damaged(self) -> dict[SessionId, str]:
        data = self.fs.read(self.layout.damaged)
        if data is None:
            return {}
        text = unseal_json(data)
        if text is None:
            self.snapshots.put_aside(self.layout.damaged, "damaged")
            return {}
        try:
            listed = open_text(self.sealer, Label(self.store_id, "damaged"), text)
        except SealError:
            self.snapshots.put_aside(self.layout.damaged, "damaged")
            return {}
        return {SessionId(name): why for name, why in msgspec.json.decode(listed, type=dict[str, str]).items()}

    def _read_index(self) -> None:
        data = self.fs.read(self.layout.index)
        index = None if data is None else decode_index(data, self.store_id, self.sealer)
        if index is None:
            if data is not None:
                self.snapshots.put_aside(self.layout.index, "damaged")
            scan = self.snapshots.scan()
            self.healed.update({name: _healed(damage) for name, damage in scan.healed.items()})
            self._unread = scan.unread
            index = Index(0, scan.places)
        self._index_lsn = index.lsn
        self.places = index.places

    def _read_segments(self) -> list[Segment]:
        names = [name for name in self.fs.names(self.layout.journal) if name.endswith(SEGMENT_SUFFIX)]
        return [Segment(name, self.fs.read(self.layout.journal / name) or b"") for name in names]

    def _read_journal(self) -> Verdict:
        segments = self._read_segments()
        floor = max([self._index_lsn, *(place.current_lsn for place in self.places.values())]) + 1
        verdict = self._opened(recover(segments, bytes.fromhex(self.store_id), floor, self._index_lsn), segments)
        if segments:
            self._settle_end(segments[-1], verdict)
        self.writer = JournalWriter(
            self.fs,
            self.layout,
            bytes.fromhex(self.store_id),
            verdict.next_lsn,
            lambda: self._random_bytes(16),
            self._segment_bytes,
            self._seal,
        )
        left = [segment.name for segment in segments if segment.name not in verdict.unfinished]
        self.writer.segments = [int(name.removesuffix(SEGMENT_SUFFIX), 16) for name in left]
        return verdict

    def _seal(self, payload: bytes, lsn: int) -> bytes:
        return seal_change(payload, self.store_id, lsn, self.sealer)

    def _opened(self, verdict: Verdict, segments: Sequence[Segment]) -> Verdict:
        """Open sealed records. One that does not open, though its checksum is right, was forged: that is damage."""
        records: list[Record] = []
        damage = list(verdict.damage)
        for record in verdict.records:
            try:
                payload = open_change(record.payload, self.store_id, record.lsn, self.sealer)
            except SealError as error:
                name = max(segment.name for segment in segments if segment.name <= self.layout.segment(record.lsn).name)
                named = frozenset({session_of(record.payload)})
                damage.append(Damage(name, record.lsn, record.lsn + 1, named, str(error)))
            else:
                records.append(record if payload is record.payload else replace(record, payload=payload))
        return replace(verdict, records=records, damage=damage)

    def _settle_end(self, last: Segment, verdict: Verdict) -> None:
        """Write the last segment anew: what is read from it now may never have been synced. Its torn end is kept."""
        path = self.layout.journal / last.name
        size = verdict.torn.get(last.name)
        if size is not None:
            self.snapshots.keep_copy(last.name, "torn", last.data[size:])
        if last.name in verdict.unfinished:
            self.fs.remove(path)
            self.fs.sync_folder(self.layout.journal)
        elif size is not None or verdict.next_lsn > self._index_lsn + 1:  # else it was closed in order
            self.replace_file(path, last.data[:size])

    # ---- replaying the journal

    def _replay(self, records: Sequence[Record]) -> None:
        """Bring every session that the journal knows more of up to date."""
        newer = by_session([record for record in records if record.lsn > self._index_lsn])
        for folder in {
            self.layout.client_folder(client) for changes in newer.values() for client in clients_of(changes)
        }:
            if self.fs.names(folder):
                self.fs.sync_folder(folder)  # a process that was killed may have left names unsynced
        for session_id, changes in newer.items():
            last_lsn, last = changes[-1]
            place = self.places.get(session_id)
            if last.gone is not None:
                self._finish_removal(session_id, changes)
            elif place is None or place.current_lsn < last_lsn:
                self._bring_up(session_id, changes, records)

    def _finish_removal(self, session_id: SessionId, changes: Changes) -> None:
        place = self.places.pop(session_id, None)
        self.damaged.pop(session_id, None)
        self._unread.pop(session_id, None)
        client = place.header.client_id if place else next(clients_of(changes), None)
        if client is not None:
            folder = self.layout.client_folder(client)
            if self.fs.names(folder):
                self.snapshots.remove(folder, session_id)

    def _bring_up(self, session_id: SessionId, changes: Changes, records: Sequence[Record]) -> None:
        client = next(clients_of(changes), None)
        if client is None:
            return
        found = self._read_file(client, session_id)
        if found.damaged is not None:  # the file before it needs older records, too
            changes = by_session(records)[session_id]
        session = found.file.session if found.file else None
        file_lsn = found.file.lsn if found.file else -1
        session, last_lsn = self._follow(session_id, session, file_lsn, changes)
        if session is None:
            self.places.pop(session_id, None)
            return
        damaged = found.damaged or self._unread.pop(session_id, None)
        if damaged is not None and session_id not in self.damaged:
            self.healed[session_id] = _healed(damaged)
        self.places[session_id] = Place(session.header, found.size_bytes, file_lsn, -1, last_lsn)
        if last_lsn > file_lsn or found.damaged is not None:
            self.pending[session_id] = Pending(session, last_lsn)

    def _follow(
        self, session_id: SessionId, session: Session | None, lsn: int, changes: Changes
    ) -> tuple[Session | None, int]:
        followed = follow(session, lsn, changes)
        if followed.lost is not None:
            self.damaged[session_id] = followed.lost
        return followed.session, followed.lsn

    def _report(self, verdict: Verdict) -> None:
        for damage in verdict.damage:
            _log.error(
                "storage.journal_damaged",
                segment=damage.name,
                first_lsn=damage.first_lsn,
                next_lsn=damage.next_lsn,
                sessions=sorted(damage.sessions),
                reason=damage.reason,
            )
            why = f"acknowledged changes are lost: the journal is damaged ({damage.reason})"
            if not 0 < damage.next_lsn <= self._index_lsn + 1:  # else all of it is in the files
                for session_id in losers(damage, verdict.records, self.places.keys(), self._has):
                    self.damaged.setdefault(session_id, why)

    def _has(self, session_id: SessionId, lsn: int) -> bool:
        """Tell whether a session's file has the record `lsn`; it may be newer than the index and the journal say."""
        place = self.places.get(session_id)
        if place is None:
            return False
        found = None if lsn <= place.current_lsn else self._read_file(place.header.client_id, session_id).file
        if found is not None and found.lsn > place.last_lsn:
            self.places[session_id] = Place(found.session.header, place.size_bytes, found.lsn, -1, found.lsn)
        return lsn <= max(place.current_lsn, found.lsn if found else -1)

    def _retire(self, verdict: Verdict) -> None:
        """Now that everything sound is in other files, move damaged segments out of the way."""
        self.write_damaged()
        bad = {damage.name for damage in verdict.damage} | set(verdict.mended)
        if bad:
            self.write_index(verdict.next_lsn - 1)  # the next start must not miss what was in them
        for name in bad:
            path = self.layout.journal / name
            if path.name in self.fs.names(self.layout.journal):
                self.snapshots.put_aside(path, "damaged")
                self.writer.segments.remove(int(name.removesuffix(SEGMENT_SUFFIX), 16))

    def _read_file(self, client_id: str, session_id: SessionId) -> Found:
        """Read the newest sound file; one older than the newest that was written counts as damaged."""
        found = self.snapshots.read(self.layout.client_folder(client_id), session_id)
        newest_lsn = self.places[session_id].current_lsn if session_id in self.places else -1
        if found.damaged is None and newest_lsn > (found.file.lsn if found.file else -1):
            return replace(found, damaged="it is missing")
        return found

    # ---- working

    def load(self, session_id: SessionId) -> Session | None:
        """Read a session; None when there is none.

        Raises:
            SessionDamagedError: no sound copy is left.
            OSError: it cannot be read now.
        """
        held = self.pending.get(session_id)
        if held is not None:
            return held.session
        place = self.places.get(session_id)
        if place is None:
            return None
        found = self._read_file(place.header.client_id, session_id)
        if found.damaged is None and found.file is not None:
            return found.file.session
        session = found.file.session if found.file else None
        lsn = found.file.lsn if found.file else -1
        segments = self._read_segments()
        records = self._opened(recover(segments, bytes.fromhex(self.store_id)), segments).records
        changes = by_session(records).get(session_id, [])
        session, lsn = self._follow(session_id, session, lsn, changes)
        if session is None:
            self.damaged[session_id] = f"its file cannot be read: {found.damaged}"
            self.write_damaged()
            self.places.pop(session_id, None)
            msg = f"session {session_id} cannot be read: {found.damaged}; its files are in quarantine"
            raise SessionDamagedError(msg, session_id=session_id)
        if session.header.version < place.header.version:
            self.damaged[session_id] = (
                f"versions {session.header.version + 1} to {place.header.version} are lost: its newest file is damaged"
            )
            self.write_damaged()
        else:
            self.healed[session_id] = _healed(found.damaged or "")
        self.pending[session_id] = Pending(session, max(lsn, place.last_lsn))
        return session

    def note_change(self, session: Session, lsn: int, size_bytes: int) -> None:
        """Take note of a change that `append` has made durable."""
        session_id = session.header.session_id
        place = self.places.get(session_id)
        if place is None:
            self.places[session_id] = Place(session.header, size_bytes, last_lsn=lsn)
        else:
            self.places[session_id] = Place(session.header, size_bytes, place.current_lsn, place.previous_lsn, lsn)
        self.pending[session_id] = Pending(session, lsn)
        self.healed.pop(session_id, None)
        self.damaged.pop(session_id, None)

    def note_gone(self, session_id: SessionId, lsn: int) -> None:
        """Take note that a session is not here any more, by the record with this LSN; its files may be there still."""
        place = self.places.get(session_id)
        if place is not None:
            self.leftover[session_id] = Leftover(self.layout.client_folder(place.header.client_id), lsn)
        for known in (self.places, self.pending, self.healed, self.damaged, self.old_files):
            known.pop(session_id, None)

    def delete_leftover(self, session_id: SessionId) -> None:
        """Delete the files of a session that is gone.

        Raises:
            OSError: they may be there still; it can be tried again, and the next start will.
        """
        left = self.leftover.get(session_id)
        if left is not None:
            if self.fs.names(left.folder):
                self.snapshots.remove(left.folder, session_id)
            self.leftover.pop(session_id, None)
            self.sealer.forget(self.store_id, session_id)

    def note_file(self, session_id: SessionId, written: Pending) -> None:
        """Take note that this content has become the session's newest file."""
        place = self.places.get(session_id)
        if place is None:  # removed meanwhile
            return
        self.places[session_id] = replace(place, previous_lsn=place.current_lsn, current_lsn=written.lsn)
        if (left := self.old_files.pop(session_id, 0)) > 1:
            self.old_files[session_id] = left - 1
        if self.pending.get(session_id) is written:
            del self.pending[session_id]

    def checkpoint(self, session_id: SessionId) -> None:
        """Write what is pending of a session to its file.

        Raises:
            OSError: it is pending still; it can be tried again.
        """
        held = self.pending.get(session_id)
        if held is not None:
            self.snapshots.write(held.session, held.lsn)
            self.note_file(session_id, held)

    def checkpoint_all(self) -> None:
        """Write all that is pending.

        Raises:
            OSError: some of it is pending still.
        """
        for session_id in list(self.pending):
            self.checkpoint(session_id)

    def holders(self, lsn: int) -> list[SessionId]:
        """List the sessions that need journal records up to `lsn`, or an old key: one of their two files is older."""
        old = self.old_files
        places = list(self.places.items())
        return [n for n, place in places if place.previous_lsn < min(place.last_lsn, lsn) or n in old]

    def holds(self, session_id: SessionId, lsn: int) -> bool:
        """Tell whether one session does."""
        place = self.places.get(session_id)
        if place is None:
            return False
        return place.previous_lsn < min(place.last_lsn, lsn) or session_id in self.old_files

    def trim_target(self, keep_segments: int) -> int | None:
        """The first LSN to keep, if there are more segments than that, or some under an old key.

        A removal that is not finished is kept.
        """
        segments = self.writer.segments
        wanted = self.first_lsn if self.rekeying else 0
        if len(segments) > keep_segments:
            wanted = max(wanted, segments[-keep_segments])
        return min([wanted, *(left.lsn for left in self.leftover.values())]) if wanted else None

    def hold_pending(self, session_id: SessionId) -> None:
        """Have a session's content ready for its file.

        Raises:
            SessionDamagedError, OSError: it cannot be read.
        """
        place = self.places.get(session_id)
        if session_id not in self.pending and place is not None and (session := self.load(session_id)) is not None:
            self.pending.setdefault(session_id, Pending(session, place.last_lsn))

    def finish_trim(self, wanted: int) -> None:
        """Write the index, then drop the segments before `wanted`.

        Raises:
            OSError: they are still there.
        """
        self.write_index(wanted - 1)
        self.writer.drop_before(wanted)

    def write_index(self, lsn: int) -> None:
        """Write the index; it is true up to `lsn`, or up to a removal whose files are there still.

        Raises:
            OSError: the old one is there.
        """
        lsn = min([lsn, *(left.lsn - 1 for left in self.leftover.values())])
        index = encode_index(self.store_id, lsn, list(self.places.values()), self.sealer)
        self.replace_file(self.layout.index, index)
        self._index_lsn = lsn

    def write_damaged(self) -> None:
        """Write down which sessions are damaged.

        Raises:
            OSError: the old list is there.
        """
        if self.damaged or self.fs.read(self.layout.damaged) is not None:
            text = seal_text(self.sealer, Label(self.store_id, "damaged"), msgspec.json.encode(self.damaged))
            self.replace_file(self.layout.damaged, add_checksum(text))

    # ---- another key

    @property
    def listed_keys(self) -> tuple[str, ...]:
        """The keys, as a backup names them: none for clear text."""
        return () if self.keys == (CLEAR_ID,) else self.keys

    @property
    def rekeying(self) -> bool:
        """Whether something may still be under another key than the present one."""
        return self.keys != (self.sealer.key_id,)

    def close(self) -> None:
        """Write all that is pending, seal the journal, write the index, let go.

        Raises:
            OSError, DiskFullError, DiskFailedError: the journal has what the files do not.
        """
        for session_id in list(self.leftover):
            with contextlib.suppress(OSError):  # the next start tries again
                self.delete_leftover(session_id)
        self.checkpoint_all()
        self.writer.seal()
        self.write_index(self.writer.durable_lsn)
        self.write_damaged()
        self.writer.close()
        self.fs.unlock()


def _healed(damage: str) -> str:
    return f"the newest file was damaged ({damage}); nothing that was acknowledged is missing"
