"""Proof 2: one flipped bit in every byte of every file at rest; what was lost is reported, and nothing is silent."""

import time
from collections import Counter
from pathlib import PurePosixPath

from stui_sessiond.errors import StorageError
from stui_sessiond.ids import SessionId
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.layout import PREVIOUS
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session

from .simulated_fs import Contents, SimulatedFileSystem
from .workload import FALSE_ALARM, ROOT, Driver, Mismatch, Safe, fingerprint, found_in, new_store

SILENT = "silent"
LOST_TWICE = "lost though kept twice"
DELETED = "deleted"
ZERO = (SILENT, FALSE_ALARM, LOST_TWICE, DELETED, "exceptions")


class AtRest:
    """A data folder, and what must be found in it."""

    def __init__(self, name: str, driver: Driver, *, twice: bool) -> None:
        fs = driver.store.fs
        assert isinstance(fs, SimulatedFileSystem)
        self.name = name
        self.contents = fs.contents()
        self.ledger = driver.ledger
        self.expected = driver.ledger.now()
        self.archived = driver.ledger.archived
        self.store_id = driver.store.store_id
        self.twice = twice
        """All sessions are in files and journal: damage to one loses nothing."""


def folders_at_rest() -> list[AtRest]:
    """Make a folder that was closed in order, and one whose process was killed when it was idle."""
    made = []
    for closed in (True, False):
        driver = Driver(new_store(SimulatedFileSystem(), 1500))
        driver.store.open()
        driver.create(1, 2, 3)
        driver.update(1, size=100)
        driver.update(1, 2, context=True, size=30)
        driver.back_up()
        driver.update(3, 2, size=20)
        driver.bind(2)
        driver.create(5)
        driver.checkpoint()
        driver.update(5)
        driver.checkpoint()  # and no more of this one: what its older file needs of the journal must stay, or be in it
        driver.update(1, 3, 3, size=10)
        driver.remove(2, archive=True)
        driver.create(4)
        driver.update(4, 1)
        driver.update(4, size=1500)
        driver.checkpoint()
        driver.update(4, 1, size=800)
        driver.checkpoint()
        for _ in range(3):
            driver.update(4, size=1500)
            driver.checkpoint()
        driver.update(3, 1, size=10)
        if closed:
            driver.store.close()
        else:
            driver.store.writer.seal()
        made.append(AtRest("closed" if closed else "idle", driver, twice=closed))
    return made


class BitFlips:
    """Tries flips and counts what came of them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def failures(self) -> int:
        return sum(self.counts[name] for name in ZERO)

    def run(self, at_rest: AtRest, one_in: int = 1) -> None:
        """Flip one bit in every `one_in`-th byte."""
        for path, data in sorted(at_rest.contents.items()):
            for offset in range(0, len(data or b""), one_in):
                assert data is not None
                flipped = bytearray(data)
                flipped[offset] ^= 1 << (offset % 8)
                self.counts["flips"] += 1
                where = f"{at_rest.name}, {path}, byte {offset} of {len(data)}"
                self.attempt(at_rest, path, {**at_rest.contents, path: bytes(flipped)}, where)

    def attempt(self, at_rest: AtRest, path: str, contents: Contents, where: str) -> None:
        """Open it, and count what came of it."""
        try:
            outcome = self._outcome(at_rest, path, contents)
        except Mismatch as found:
            outcome = found.kind
            self.examples.setdefault(f"{outcome} {path}", f"{where}: {found}")
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
            outcome = "exceptions"
            self.examples.setdefault(outcome, f"{where}: {type(error).__name__}: {error}")
        self.counts[outcome] += 1

    def _outcome(self, at_rest: AtRest, path: str, contents: Contents) -> str:
        kind = PurePosixPath(path).relative_to(ROOT).parts[0]
        if kind == "archive":
            return _archived(path, contents[path] or b"", at_rest)
        if kind == "backups":
            return _backed_up(contents, at_rest.contents)
        fs = SimulatedFileSystem(contents)
        store = new_store(fs, 1500)
        try:
            store.open()
        except StorageError:
            return "refused"
        found, damaged = found_in(store)
        first = _judge(at_rest, kind, found, damaged)
        newest = kind == "sessions" and not path.endswith(PREVIOUS)  # the one before is replaced without being read
        if newest and contents[path] not in fs.contents().values():
            raise Mismatch(DELETED, f"{path} is nowhere any more")
        if first == "equal" and (store.healed or fs.names(store.layout.quarantine)):
            first = "healed"
        # and again, as after a kill: what was said before is said again
        store = new_store(SimulatedFileSystem(fs.contents()), 1500)
        store.open()
        again = _judge(at_rest, kind, *found_in(store))
        if (again == "damaged") != (first == "damaged"):
            raise Mismatch(SILENT, f"it was {first} at first and {again} at the next start")
        return first


def _judge(at_rest: AtRest, kind: str, found: dict[SessionId, bytes], damaged: set[SessionId]) -> str:
    expected = at_rest.expected
    differing = {name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)}
    if silent := differing - damaged:
        raise Mismatch(SILENT, f"{silent} differ")
    # who can know that a record was the removal? or, if nothing else is left of that session, its right name?
    gone = {name for name, _ in at_rest.ledger.changes} - expected.keys()
    if not damaged & gone and (false := damaged - differing):
        raise Mismatch(FALSE_ALARM, f"{false}")
    if differing and (at_rest.twice or kind == "sessions"):
        raise Mismatch(LOST_TWICE, f"{differing}")
    return "damaged" if damaged else "equal"


def _archived(path: str, data: bytes, at_rest: AtRest) -> str:
    session_id = SessionId(PurePosixPath(path).stem)
    try:
        found = decode_session(data, at_rest.store_id, session_id, Safe.sealer)
    except UnreadableError:
        return "refused"
    if fingerprint(found.session) == at_rest.archived[session_id]:
        return "equal"
    raise Mismatch(SILENT, f"{path} is read as if it were sound")


def _backed_up(contents: Contents, sound: Contents) -> str:
    store = new_store(SimulatedFileSystem(contents))
    sound_names = {info.name for info in Backups(new_store(SimulatedFileSystem(sound))).list()}
    backups = Backups(store)
    listed = backups.list()
    if {info.name for info in listed} != sound_names or any(backups.verify(info.name).problems for info in listed):
        return "refused"
    raise Mismatch(SILENT, "the backup verifies")


def prove(one_in: int = 1) -> BitFlips:
    """Run it."""
    proof = BitFlips()
    started = time.perf_counter()
    for at_rest in folders_at_rest():
        proof.run(at_rest, one_in)
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
