"""Proof 6: each mutant breaks one rule of the storage, and the other proofs notice; singly, and some in pairs."""

import asyncio
import contextlib
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from stui_sessiond.errors import StorageFullError
from stui_sessiond.storage import journal, recovery, session_file
from stui_sessiond.storage.commit_queue import CommitQueue
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.fs import AppendFile
from stui_sessiond.storage.segments import DiskFailedError, JournalWriter
from stui_sessiond.storage.snapshots import Snapshots
from stui_sessiond.storage.store import Store

from . import bit_flips, faults, live_faults, power_loss, tails
from .simulated_fs import SimulatedFileSystem
from .workload import BEGINNING, LIFE

Patch = tuple[Any, str, Any]


def _write_unsynced(writer: JournalWriter, file: AppendFile, data: bytes) -> None:
    file.write(data)
    writer._size += len(data)


def _without_sync_of(unsynced: Callable[[Path], bool]) -> list[Patch]:
    real = SimulatedFileSystem.sync_folder

    def sync_folder(fs: SimulatedFileSystem, path: Path) -> None:
        if not unsynced(path):
            real(fs, path)

    return [(SimulatedFileSystem, "sync_folder", sync_folder)]


def _write_new_unsynced(fs: SimulatedFileSystem, path: Path, data: bytes) -> None:
    fs.append_new(path).write(data)


def _no_crc() -> list[Patch]:
    real = journal.decode_record

    def decode_record(data: bytes, offset: int, seed: int) -> journal.Record | None:
        length = int.from_bytes(data[offset + 8 : offset + 12], "little")
        end = offset + journal.RECORD_BYTES + length
        end += -(end - offset) % journal.ALIGN
        if length > journal.MAX_PAYLOAD_BYTES or end > len(data):
            return None
        right = zlib.crc32(data[offset + 8 : end], seed).to_bytes(4, "little")
        found = real(data[: offset + 4] + right + data[offset + 8 :], offset, seed)
        stored = int.from_bytes(data[offset + 4 : offset + 8], "little")
        return None if found is None else replace(found, crc=stored)

    return [(journal, "decode_record", decode_record), (recovery, "decode_record", decode_record)]


def _header_without_size_test() -> list[Patch]:
    real = recovery._read_segment

    def read_segment(reader: Any, segment: recovery.Segment, later: Sequence[recovery.Segment], *rest: Any) -> None:  # noqa: ANN401
        try:
            journal.decode_header(segment.data)
        except journal.HeaderError:
            if not later:
                reader.unfinished.append(segment.name)
                return
        real(reader, segment, later, *rest)

    return [(recovery, "_read_segment", read_segment)]


def _end_not_written_anew() -> list[Patch]:
    def settle_end(store: Store, last: recovery.Segment, verdict: recovery.Verdict) -> None:
        path = store.layout.journal / last.name
        if last.name in verdict.unfinished:
            store.fs.remove(path)
            store.fs.sync_folder(store.layout.journal)
        elif last.name in verdict.torn:
            assert isinstance(store.fs, SimulatedFileSystem)
            store.fs.cut(path, verdict.torn[last.name])

    return [(Store, "_settle_end", settle_end)]


def _end_left_as_it_is(_store: Store, _last: recovery.Segment, _verdict: recovery.Verdict) -> None:
    """Do nothing about the last segment."""


def _holds_by_newest(store: Store, session_id: Any, lsn: int) -> bool:  # noqa: ANN401
    place = store.places.get(session_id)
    return place is not None and place.current_lsn < min(place.last_lsn, lsn)


def _index_beyond() -> list[Patch]:
    real = Store._read_index

    def read_index(store: Store) -> None:
        real(store)
        store._index_lsn += 2

    return [(Store, "_read_index", read_index)]


def _fail_and_forget(_writer: JournalWriter, error: OSError) -> DiskFailedError:
    return DiskFailedError(str(error))


def _take_back_nothing(writer: JournalWriter, _file: AppendFile, _error: OSError) -> None:
    writer._end_segment()


def _early_answer() -> list[Patch]:
    real = CommitQueue._hand_over

    def hand_over(queue: CommitQueue) -> None:
        for _, waiter, _ in queue._waiting:
            if not waiter.done():
                waiter.set_result(queue.writer.next_lsn)
        real(queue)

    return [(CommitQueue, "_hand_over", hand_over)]


def _delete_unreadable(snapshots: Snapshots, path: Path, why: str, detail: str = "") -> None:  # noqa: ARG001
    snapshots._fs.remove(path)


def _replace_newest() -> list[Patch]:
    real = Snapshots.paths

    def write(snapshots: Snapshots, session: Any, lsn: int) -> int:  # noqa: ANN401
        folder = snapshots._layout.client_folder(session.header.client_id)
        data = session_file.encode_session(session, snapshots._store_id, lsn)
        new = snapshots._layout.tmp / f"{session.header.session_id}.{next(snapshots._serial)}"
        snapshots._fs.make_folder(folder)
        snapshots._fs.sync_folder(snapshots._layout.sessions)
        snapshots._fs.write_new(new, data)
        snapshots._fs.rename(new, real(snapshots, folder, session.header.session_id)[0])
        snapshots._fs.sync_folder(folder)
        return len(data)

    return [(Snapshots, "write", write)]


def _full_is_no_end(queue: CommitQueue, batch: Any, error: Any) -> None:  # noqa: ANN401
    queue._settle(batch)
    for _, waiter, _ in batch:
        if not waiter.done():
            waiter.set_exception(error) if not isinstance(error, StorageFullError) else waiter.set_result(0)


async def _leave_thread(storage: FileStorage, work: Callable[..., object], *args: object) -> object:
    return await asyncio.get_running_loop().run_in_executor(storage._threads, work, *args)


def _nothing(*_arguments: object) -> None:
    """Do nothing."""


MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    "acknowledges before the sync": lambda: [(JournalWriter, "_write", _write_unsynced)],
    "answers before the sync": _early_answer,
    "no sync of the journal's folder": lambda: _without_sync_of(lambda path: path.name == "journal"),
    "no sync of a client's folder": lambda: _without_sync_of(lambda path: path.parent.name == "sessions"),
    "no sync of the data folder": lambda: _without_sync_of(lambda path: path.name == "data"),
    "no sync of the sessions folder": lambda: _without_sync_of(lambda path: path.name == "sessions"),
    "no sync of the archive": lambda: _without_sync_of(lambda path: path.parent.name == "archive"),
    "no sync before a rename": lambda: [(SimulatedFileSystem, "write_new", _write_new_unsynced)],
    "no check of a record's checksum": _no_crc,
    "no check of a file's checksum": lambda: [(session_file, "_checksum", lambda _body, _lsn: "sha256:")],
    "unfinished header without the size test": _header_without_size_test,
    "the end read is not written anew": _end_not_written_anew,
    "the torn end stays": lambda: [(Store, "_settle_end", _end_left_as_it_is)],
    "trims by the newest file only": lambda: [(Store, "holds", _holds_by_newest)],
    "no file before the newest": _replace_newest,
    "no seal": lambda: [(JournalWriter, "seal", _nothing)],
    "durable LSN ignored": lambda: [(recovery, "search", lambda _data, _offset, _seed: iter(()))],
    "index trusted beyond its LSN": _index_beyond,
    "goes on after a failed sync": lambda: [(JournalWriter, "_fail", _fail_and_forget)],
    "half a write is not taken back": lambda: [(JournalWriter, "_take_back", _take_back_nothing)],
    "a full disk counts as success": lambda: [(CommitQueue, "_refused", _full_is_no_end)],
    "cancelled work goes on unseen": lambda: [(FileStorage, "_on_thread", _leave_thread)],
    "removals are not replayed": lambda: [(Store, "_finish_removal", _nothing)],
    "the unreadable is deleted": lambda: [(Snapshots, "put_aside", _delete_unreadable)],
    "damage in the journal is not reported": lambda: [(Store, "_report", _nothing)],
    "damaged sessions are not written down": lambda: [(Store, "write_damaged", _nothing)],
}

PAIRS = (
    ("acknowledges before the sync", "no seal"),
    ("no sync before a rename", "no file before the newest"),
    ("no sync of the journal's folder", "no seal"),
    ("no check of a record's checksum", "durable LSN ignored"),
    ("index trusted beyond its LSN", "trims by the newest file only"),
    ("the end read is not written anew", "no sync of a client's folder"),
)


def _power() -> int:
    effort = power_loss.Effort(one_in=2, nested_one_in=20, nested_states=2, again_one_in=4)
    return power_loss.prove(effort, BEGINNING, stop_early=True).failures


def _power_longer() -> int:
    return power_loss.prove(power_loss.Effort(), LIFE, stop_early=True).failures


DETECTORS: tuple[tuple[str, Callable[[], int]], ...] = (
    ("power loss", _power),
    ("bit flips", lambda: bit_flips.prove(17).failures),
    ("faults", lambda: faults.prove(5).failures),
    ("tails", lambda: tails.prove(23).failures),
    ("live faults", lambda: live_faults.prove(slow_sync_s=0.0).failures),
    ("power loss, longer", _power_longer),
)


@contextlib.contextmanager
def mutated(*names: str) -> Iterator[None]:
    """Break these rules for a while."""
    with contextlib.ExitStack() as stack:
        for name in names:
            for place, attribute, value in MUTANTS[name]():
                stack.callback(setattr, place, attribute, getattr(place, attribute))
                setattr(place, attribute, value)
        yield


class Mutants:
    """Tries mutants and notes which proof caught each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.caught_by: dict[str, str] = {}

    @property
    def failures(self) -> int:
        return self.counts["mutants"] - self.counts["caught"]

    def run(self, groups: Sequence[tuple[str, ...]]) -> None:
        for names in groups:
            name = " + ".join(names)
            self.counts["mutants"] += 1
            catcher = self._catcher(names)
            if catcher is None:
                self.examples[name] = "not caught"
            else:
                self.counts["caught"] += 1
                self.caught_by[name] = catcher

    def _catcher(self, names: tuple[str, ...]) -> str | None:
        for catcher, detect in DETECTORS:
            with mutated(*names):
                try:
                    found = detect()
                except Exception:  # noqa: BLE001 -- a mutant that breaks even the making of the test is caught
                    found = 1
            if found:
                return catcher
        return None


def prove(groups: Sequence[tuple[str, ...]] | None = None) -> Mutants:
    """Run it."""
    started = time.perf_counter()
    proof = Mutants()
    proof.run(groups or [*((name,) for name in MUTANTS), *PAIRS])
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
