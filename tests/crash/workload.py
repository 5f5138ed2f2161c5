"""Drives a store through a life, and knows what must be found after a crash at any moment of it.

All changes are numbered in the order of the journal. After a crash the sessions must be what they were after the first
`n` of them, for one `n` that is not less than the number of acknowledged ones.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from stui_sessiond.errors import SessionDamagedError
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.event import EventLog, News
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.model.session import HistoryEntry, NamedSnapshot, Session, SessionHeader, StoredContext
from stui_sessiond.security.sealing import CLEAR, Sealer
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.sessions.ledger import LedgerRules, Once, carried_out, noted
from stui_sessiond.sessions.log import LogRules, append
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.change_record import encode_change
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.records import ChangeRecord
from stui_sessiond.storage.segments import DiskFullError
from stui_sessiond.storage.session_file import decode_session
from stui_sessiond.storage.store import KEEP_SEGMENTS, Store
from stui_sessiond.storage.translation import entry_record, event_records, header_record, request_records, to_record

from .simulated_fs import chance

LOST = "acknowledged lost"
VIOLATED = "prefix violations"
FALSE_ALARM = "false damage reports"
ROOT = Path("/data")
SEGMENT_BYTES = 2500
RULES = HistoryRules(max_versions=5, max_bytes=100_000)
LOG_RULES = LogRules(max_events=6)
LEDGER_RULES = LedgerRules(max_requests=100)
SURE_EVENTS = 4
NOW = 1_800_000_000.0

_encode = msgspec.json.Encoder(order="sorted").encode


class Mismatch(Exception):  # noqa: N818 -- a finding, not a fault of the program
    """What was found is not what must be there; `kind` is a column of the table."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


_serial = itertools.count()


class Safe:
    """The keys that the stores of a proof are opened with; none, unless a proof says so."""

    sealer = CLEAR


@contextlib.contextmanager
def sealed(sealer: Sealer) -> Iterator[None]:
    """Run a proof with keys."""
    before, Safe.sealer = Safe.sealer, sealer
    try:
        yield
    finally:
        Safe.sealer = before


def new_store(fs: FileSystem, segment_bytes: int = SEGMENT_BYTES) -> Store:
    """Make a store that is not open yet."""
    random = chance(next(_serial))
    return Store(ROOT, fs, segment_bytes, random.randbytes, Safe.sealer)


def new_session(number: int) -> Session:
    """Make a session."""
    session_id = SessionId(f"session_{number}_1800000000_{number:04d}abcdefghijkl")
    header = SessionHeader(
        session_id=session_id,
        client_id=ClientId(f"client-{number % 3}"),
        created_at=NOW,
        last_modified=NOW,
        last_activity=NOW,
        timeout_s=3600.0,
        version=1,
    )
    return Session(header=header, state={"number": number}, description=f"session {number}")


def fingerprint(session: Session) -> bytes:
    """Everything that a session is, as bytes; of history and events only the last, which the rules keep for sure.

    Where its stream of events is, is in it: a position that somebody was told is never ahead of what is found.
    """
    log = EventLog(session.log.events[-SURE_EVENTS:])
    record = to_record(replace(session, history=type(session.history)({}, 0), log=log))
    version = session.header.version
    past = [session.history.document_at(kept) for kept in range(max(1, version - RULES.max_versions + 1), version + 1)]
    return _encode([record, past])


class Ledger:
    """What was submitted, what of it is acknowledged, and what there was after each change."""

    def __init__(self) -> None:
        self.changes: list[tuple[SessionId, bytes | None]] = []
        self.acknowledged = 0
        self.archived: dict[SessionId, bytes] = {}

    def submit(self, session_id: SessionId, content: bytes | None) -> None:
        self.changes.append((session_id, content))

    def acknowledge(self) -> None:
        self.acknowledged = len(self.changes)

    def withdraw(self, count: int) -> None:
        """Forget the last ones: they were refused, and must never be seen."""
        del self.changes[-count:]

    def now(self) -> dict[SessionId, bytes]:
        found: dict[SessionId, bytes] = {}
        for session_id, content in self.changes:
            _put(found, session_id, content)
        return found

    def shown(self, found: dict[SessionId, bytes]) -> "Ledger":
        """Make the ledger after `found` was shown to somebody: it must not be taken back."""
        state: dict[SessionId, bytes] = {}
        for number, (session_id, content) in enumerate([*self.changes, (SessionId(""), None)]):
            if number >= self.acknowledged and state == found:
                return self.up_to(number)
            _put(state, session_id, content)
        raise Mismatch(*self._explain(found))

    def up_to(self, number: int) -> "Ledger":
        """Make a ledger in which so many changes are acknowledged."""
        made = Ledger()
        made.changes, made.acknowledged, made.archived = self.changes, number, self.archived
        return made

    def check(self, found: dict[SessionId, bytes]) -> None:
        """Compare.

        Raises:
            Mismatch: `found` is not what there was at any moment that it may be.
        """
        state: dict[SessionId, bytes] = {}
        for number, (session_id, content) in enumerate(self.changes):
            if number >= self.acknowledged and state == found:
                return
            _put(state, session_id, content)
        if state == found:
            return
        raise Mismatch(*self._explain(found))

    def _explain(self, found: dict[SessionId, bytes]) -> tuple[str, str]:
        acked: dict[SessionId, int] = {}
        seen: dict[SessionId, list[bytes | None]] = {}
        for number, (session_id, content) in enumerate(self.changes):
            seen.setdefault(session_id, [None]).append(content)
            if number < self.acknowledged:
                acked[session_id] = len(seen[session_id]) - 1
        for session_id in found.keys() - seen.keys():
            return "prefix violations", f"{session_id} is a phantom"
        for session_id, contents in seen.items():
            at = [number for number, content in enumerate(contents) if content == found.get(session_id)]
            if not at:
                return "prefix violations", f"{session_id} was never so"
            if max(at) < acked.get(session_id, 0):
                return "acknowledged lost", f"{session_id}: change {max(at)}, not {acked[session_id]}"
        return "prefix violations", "sessions of different moments"


def _put(state: dict[SessionId, bytes], session_id: SessionId, content: bytes | None) -> None:
    if content is None:
        state.pop(session_id, None)
    else:
        state[session_id] = content


class Driver:
    """Uses a store as the file storage does, one operation after the other."""

    def __init__(self, store: Store, ledger: Ledger | None = None) -> None:
        self.store = store
        self.ledger = ledger or Ledger()
        self.sessions: dict[SessionId, Session] = {}
        self.clock = NOW

    def commit(self, changes: Sequence[tuple[Session, ChangeRecord]]) -> None:
        """Append records together; they are acknowledged when that returns."""
        for session, _ in changes:
            self.ledger.submit(session.header.session_id, fingerprint(session))
        first = self._append([record for _, record in changes])
        for number, (session, _) in enumerate(changes):
            self.sessions[session.header.session_id] = session
            self.store.note_change(session, first + number, 100)

    def _append(self, records: Sequence[ChangeRecord]) -> int:
        try:
            first = self.store.writer.append([encode_change(record) for record in records])
        except DiskFullError:
            self.ledger.withdraw(len(records))  # that says that nothing was written
            raise
        self.ledger.acknowledge()
        return first

    def has(self, number: int) -> bool:
        """Tell whether there is such a session; without faults there always is."""
        return new_session(number).header.session_id in self.sessions

    def create(self, *numbers: int) -> None:
        made = [new_session(number) for number in numbers]
        self.commit([(session, _whole(session, 0)) for session in made])

    def update(self, *numbers: int, size: int = 20, context: bool = False) -> None:
        """Update sessions, in one batch; a session named twice is updated twice."""
        batch: list[tuple[Session, ChangeRecord]] = []
        current = dict(self.sessions)
        for number in filter(self.has, numbers):
            old = current[new_session(number).header.session_id]
            self.clock += 1
            new = _with_context(old, self.clock, size) if context else _with_state(old, self.clock, size)
            changed, entry = advance(old, new, self.clock, old.header.client_id, "updated", RULES)
            data = {"version": entry.version, "patch": [step.to_json() for step in entry.steps]}
            asked = Once(f"key-{self.clock:.0f}", "update_session_state", "digest", old.header.client_id)
            change = _told(changed, self.clock, [("session.updated", data)], [carried_out(asked, entry)], entry)
            current[changed.header.session_id] = change[0]
            batch.append(change)
        if batch:
            self.commit(batch)

    def tell(self, *numbers: int) -> None:
        """Let something happen that is no version, in one batch: an evaluation begins, or the one that runs ends."""
        batch: list[tuple[Session, ChangeRecord]] = []
        current = dict(self.sessions)
        for number in filter(self.has, numbers):
            old = current[new_session(number).header.session_id]
            self.clock += 1
            running = next((one for one in old.requests.entries.values() if one.state == "running"), None)
            if running is None:
                key = f"evaluation-{self.clock:.0f}"
                request = RequestEntry(key=key, command="evaluate", digest="digest", accepted_at=self.clock)
                names = ["evaluation.accepted", "evaluation.started"]
            else:
                request = replace(running, state="done", result=f"{self.clock:.0f}", finished_at=self.clock)
                names = ["evaluation.finished"]
            change = _told(old, self.clock, [(name, {"evaluation": request.key}) for name in names], [request])
            current[old.header.session_id] = change[0]
            batch.append(change)
        if batch:
            self.commit(batch)

    def lose_events(self, number: int) -> None:
        """Events were lost: with the next change another epoch begins."""
        if self.has(number):
            session_id = new_session(number).header.session_id
            self.clock += 1
            old = self.sessions[session_id].without_events()
            self.commit([_told(old, self.clock, [("transcript", {"text": "anew"})], [])])

    def bind(self, number: int) -> None:
        """Change only the header."""
        if not self.has(number):
            return
        old = self.sessions[new_session(number).header.session_id]
        self.clock += 1
        header = replace(old.header, image_id=ImageId(f"image-{self.clock:.0f}"), last_activity=self.clock)
        changed = replace(old, header=header)
        record = ChangeRecord(header.session_id, header.version, header_record(header))
        self.commit([(changed, record)])

    def snapshot(self, number: int) -> None:
        """Change more than header and document: the whole session is written."""
        if not self.has(number):
            return
        old = self.sessions[new_session(number).header.session_id]
        kept = NamedSnapshot(old.header.version, self.clock, old.document(), 10)
        changed = replace(old, snapshots={**old.snapshots, f"at-{old.header.version}": kept})
        self.commit([(changed, _whole(changed, old.header.version))])

    def remove(self, number: int, *, archive: bool = False) -> None:
        if not self.has(number):
            return
        session = self.sessions[new_session(number).header.session_id]
        session_id, header = session.header.session_id, session.header
        if archive:
            self.store.snapshots.archive(session, 0, NOW)
            self.ledger.archived[session_id] = fingerprint(session)
        self.ledger.submit(session_id, None)
        how = "archived" if archive else "removed"
        record = ChangeRecord(session_id, header.version, header_record(header), gone=how)
        self._append([record])
        del self.sessions[session_id]
        self.store.note_gone(session_id, self.store.writer.durable_lsn)
        self.store.delete_leftover(session_id)

    def checkpoint(self) -> None:
        self.store.checkpoint_all()
        wanted = self.store.trim_target(KEEP_SEGMENTS)
        if wanted is not None:
            self._trim(wanted)

    def _trim(self, wanted: int) -> None:
        """What `FileStorage` does in the background, in one go."""
        for session_id in self.store.holders(wanted - 1):
            while self.store.holds(session_id, wanted - 1):
                with contextlib.suppress(SessionDamagedError):  # then it holds nothing any more
                    self.store.hold_pending(session_id)
                self.store.checkpoint(session_id)
        self.store.finish_trim(wanted)

    def back_up(self) -> None:
        self.clock += 3600
        self.checkpoint()
        made = Backups(self.store).create(self.clock, "automatic")
        if made.sessions != len(self.store.places):
            raise Mismatch(LOST, f"{made.sessions} of {len(self.store.places)} are in the backup")


def _told(
    session: Session,
    clock: float,
    told: Sequence[tuple[str, dict[str, Any]]],
    requests: Sequence[RequestEntry],
    entry: HistoryEntry | None = None,
) -> tuple[Session, ChangeRecord]:
    """Add events and requests to a session, and make the record of the change."""
    news = [News(name, data, clock) for name, data in told]
    base = session.header.version if entry is None else entry.version - 1
    session, events = append(session, news, f"epoch-{clock:.0f}", clock, LOG_RULES)
    for request in requests:
        session = replace(session, requests=noted(session.requests, request, clock, LEDGER_RULES))
    entries = () if entry is None else (entry,)
    return session, ChangeRecord(
        session.header.session_id,
        base,
        header_record(session.header),
        None if entry is None else entry_record(entry),
        events=event_records(events, entries),
        requests=request_records(requests),
    )


def _whole(session: Session, base_version: int) -> ChangeRecord:
    header = session.header
    return ChangeRecord(header.session_id, base_version, header_record(header), full=to_record(session))


def _with_state(old: Session, clock: float, size: int) -> Session:
    return replace(old, state={**old.state, f"key-{int(clock) % 3}": clock, "pad": "x" * size})


def _with_context(old: Session, clock: float, size: int) -> Session:
    stored = StoredContext({"workspace": {"text": "y" * size, "at": clock}}, f"{clock:.0f}", clock, size)
    return replace(old, contexts={**old.contexts, ToolId(f"tool-{int(clock) % 2}"): stored})


def read_all(store: Store) -> dict[SessionId, bytes]:
    """Load every session."""
    return {name: fingerprint(session) for name in list(store.places) if (session := store.load(name)) is not None}


def found_in(store: Store) -> tuple[dict[SessionId, bytes], set[SessionId]]:
    """Load every session; also tell which cannot be."""
    found: dict[SessionId, bytes] = {}
    damaged: set[SessionId] = set(store.damaged)
    for name in list(store.places):
        try:
            session = store.load(name)
        except SessionDamagedError:
            damaged.add(name)
        else:
            if session is not None:
                found[name] = fingerprint(session)
    return found, damaged | set(store.damaged)


def check_archive(store: Store, ledger: Ledger, gone: set[SessionId]) -> None:
    """Look for what was archived.

    Raises:
        Mismatch: a session that is gone from the store is not in the archive.
    """
    for session_id, content in ledger.archived.items():
        if session_id in gone:
            month = store.layout.archive / "2027-01"
            data = store.fs.read(month / f"{session_id}.json")
            file = None if data is None else decode_session(data, store.store_id, session_id, store.sealer)
            if file is None or fingerprint(file.session) != content:
                raise Mismatch(LOST, f"{session_id} is not in the archive")


def reopen(driver: Driver) -> None:
    """Close the store and open it again."""
    driver.store.close()
    driver.store = new_store(driver.store.fs)
    driver.store.open()
    driver.ledger.check(read_all(driver.store))


BEGINNING: tuple[Callable[[Driver], None], ...] = (
    lambda driver: driver.create(1),
    lambda driver: driver.create(2, 3, 4),
    lambda driver: driver.update(1),
    lambda driver: driver.update(1, 2, 3, size=300),
    lambda driver: driver.update(2, context=True, size=700),
    lambda driver: driver.checkpoint(),
    lambda driver: driver.update(3, 3, 1, size=50),
    lambda driver: driver.bind(4),
    lambda driver: driver.tell(4, 2),
    lambda driver: driver.update(4, size=1500),
    lambda driver: driver.back_up(),
    lambda driver: driver.tell(2, 3, 2),
    lambda driver: driver.update(1, 2),
    lambda driver: driver.remove(1),
    lambda driver: driver.remove(4, archive=True),
    lambda driver: driver.lose_events(3),
    lambda driver: driver.update(3, context=True, size=300),
    lambda driver: driver.checkpoint(),
    reopen,
    lambda driver: driver.update(2, 3, size=40),
)
"""Something of everything."""

LIFE: tuple[Callable[[Driver], None], ...] = (
    *BEGINNING,
    lambda driver: driver.update(2, size=200),
    lambda driver: driver.update(3, context=True, size=300),
    lambda driver: driver.snapshot(2),
    lambda driver: driver.tell(2, 3),
    lambda driver: driver.create(5, 6),
    lambda driver: driver.update(2, size=400),
    lambda driver: driver.update(5, 6, 5, size=400),
    lambda driver: driver.checkpoint(),
    reopen,
    lambda driver: driver.update(2, 3, size=100),
    lambda driver: driver.bind(5),
    lambda driver: driver.update(6, context=True, size=900),
    lambda driver: driver.back_up(),
    lambda driver: driver.remove(6),
    lambda driver: driver.tell(2, 2, 2),
    lambda driver: driver.lose_events(2),
    *(
        lambda driver: driver.update(2, 3, size=500),
        lambda driver: driver.checkpoint(),
    )
    * 3,
    lambda driver: driver.update(5),
    lambda driver: driver.store.writer.seal(),
    lambda driver: driver.update(2, size=30),
    lambda driver: driver.tell(3, 5),
    reopen,
    lambda driver: driver.update(3, size=30),
)
"""Create, change, checkpoint, trim, remove, archive, back up, close, open again, several times."""
