"""Is a data folder in order, and if not, what is wrong and what helps? Reads everything, changes nothing.

It may run beside a daemon: what looks wrong is looked at again, and only what is still the same counts.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from stui_sessiond.errors import SessionDamagedError, StorageError
from stui_sessiond.security.sealing import CLEAR, KeyMissingError, Sealer
from stui_sessiond.storage.backups import FAILED_MANIFEST, MANIFEST, Backups
from stui_sessiond.storage.database import examine_file
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.index import decode_index
from stui_sessiond.storage.layout import CURRENT, DATABASE, PREVIOUS, STORE_VERSION, Layout, read_identity
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.view import View, open_view, read_damaged, require_store

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, of how much."""

REPAIR = "stop the daemon and run `store repair`"
REKEY = "a daemon with the present key brings it all under that one; or stop it and run `store rekey`"
RESTORE = "look for it with `store backup list`, put it back with `store backup restore NAME --session ID`"


class Finding(msgspec.Struct, frozen=True):
    """Something about one file or session. `damage` is wrong; a `note` is worth knowing."""

    severity: Literal["damage", "note"]
    where: str
    what: str
    advice: str | None = None


class CheckReport(msgspec.Struct, frozen=True):
    """What was found."""

    data_dir: str
    store_id: str
    format_version: int
    sessions: int
    clients: int
    session_files: int
    segments: int
    journal_bytes: int
    last_lsn: int
    archived: int
    quarantined: int
    backups: int
    backups_verified: bool
    backups_locked: int
    """How many were to be verified and take a key that is not given."""
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> bool:
        """Whether something is wrong."""
        return any(finding.severity == "damage" for finding in self.findings)


def check_store(
    root: Path,
    fs: FileSystem,
    *,
    backups: bool,
    progress: Progress = lambda _what, _done, _of: None,
    sealer: Sealer = CLEAR,
) -> CheckReport:
    """Look at everything; with `backups` also open every file of every backup.

    Raises:
        StorageError: there is no store, or none that this version can read.
        KeyMissingError: it is sealed with another key.
        OSError: it cannot be read now.
    """
    report = _Checker(root, fs, progress, sealer, backups=backups).run()
    if not report.damaged:
        return report
    again = _Checker(root, fs, progress, sealer, backups=backups).run()
    both = {(finding.where, finding.what) for finding in report.findings}
    lasting = [f for f in again.findings if f.severity == "note" or (f.where, f.what) in both]
    return msgspec.structs.replace(again, findings=tuple(lasting))


class _Checker:
    def __init__(self, root: Path, fs: FileSystem, progress: Progress, sealer: Sealer, *, backups: bool) -> None:
        self.layout = Layout(root)
        self.fs = fs
        self.progress = progress
        self.sealer = sealer
        self.verify_backups = backups
        self.locked = 0
        self.findings: list[Finding] = []

    def run(self) -> CheckReport:
        layout, fs = self.layout, self.fs
        require_store(layout.root, fs)
        identity = read_identity(layout.identity, fs.read(layout.identity) or b"")
        if identity.format_version < STORE_VERSION:
            advice = "the next start of the daemon brings it to the present one, and keeps the old files in backups/"
            self.note("store.json", f"the store is of format {identity.format_version}", advice)
        view = open_view(layout.root, fs, self.sealer)
        if len(identity.keys) > 1:
            self.note("store.json", f"it takes {' and '.join(identity.keys)} to read all of it", REKEY)
        self.journal(view)
        self.index(identity.store_id, view.store)
        files = self.session_files(identity.store_id, view.store)
        self.sessions(view)
        archived = self.archive(identity.store_id)
        self.database()
        quarantined = len(fs.names(layout.quarantine))
        if quarantined:
            self.note("quarantine/", f"{quarantined} files were put aside", "look at them; nothing deletes them")
        if unfinished := len(fs.names(layout.tmp)):
            self.note("tmp/", f"{unfinished} files are being written, or were when the daemon ended")
        kept = self.backups()
        headers = [place.header for place in view.store.places.values()]
        return CheckReport(
            data_dir=str(layout.root),
            store_id=identity.store_id,
            format_version=identity.format_version,
            sessions=len(headers),
            clients=len({header.client_id for header in headers}),
            session_files=files,
            segments=len([name for name in fs.names(layout.journal) if name.endswith(".journal")]),
            journal_bytes=view.journal_bytes,
            last_lsn=view.last_lsn,
            archived=archived,
            quarantined=quarantined,
            backups=kept,
            backups_verified=self.verify_backups,
            backups_locked=self.locked,
            findings=tuple(self.findings),
        )

    def damage(self, where: str, what: str, advice: str | None = None) -> None:
        self.findings.append(Finding("damage", where, what, advice))

    def note(self, where: str, what: str, advice: str | None = None) -> None:
        self.findings.append(Finding("note", where, what, advice))

    # ---- piece by piece

    def journal(self, view: View) -> None:
        verdict = view.verdict
        for name, size in verdict.torn.items():
            what = f"the end is unfinished from byte {size} on: nothing acknowledged is in it"
            self.note(f"journal/{name}", what, "normal beside a running daemon and after a crash")
        for name in verdict.unfinished:
            self.note(f"journal/{name}", "the segment holds no record yet")
        for name in verdict.mended:
            self.damage(f"journal/{name}", "its header is damaged; everything in it can still be read", REPAIR)
        for damage in verdict.damage:
            touched = f" Sessions: {', '.join(sorted(damage.sessions))}." if damage.sessions else ""
            lost = f"records {damage.first_lsn} to {damage.next_lsn - 1}" if damage.next_lsn else "its records"
            self.damage(f"journal/{damage.name}", f"{lost} cannot be read: {damage.reason}.{touched}", REPAIR)

    def index(self, store_id: str, store: Store) -> None:
        data = self.fs.read(self.layout.index)
        if data is None:
            if store.places:
                self.note("index.json", "there is none; a start reads all session files instead")
        elif decode_index(data, store_id, self.sealer) is None:
            self.damage("index.json", "damaged; nothing is lost by it, all session files are read instead", REPAIR)

    def session_files(self, store_id: str, store: Store) -> int:
        count = 0
        clients = self.fs.names(self.layout.sessions)
        for done, client in enumerate(clients, start=1):
            self.progress("session files", done, len(clients))
            folder = self.layout.sessions / client
            for name in self.fs.names(folder):
                where = f"sessions/{client}/{name}"
                stem = name.removesuffix(PREVIOUS) if name.endswith(PREVIOUS) else name.removesuffix(CURRENT)
                if not name.endswith(CURRENT):
                    self.note(where, "this is no session file")
                    continue
                data = self.fs.read(folder / name)
                if data is None:  # gone meanwhile
                    continue
                count += 1
                try:
                    header = decode_session(data, store_id, stem, self.sealer).session.header
                except UnreadableError as error:
                    self.damage(where, f"damaged: {error}", REPAIR)
                    continue
                if self.layout.client_folder(header.client_id) != folder:
                    self.damage(where, f"the session of {header.client_id!r} lies in another client's folder", REPAIR)
                elif header.session_id not in store.places and name == f"{stem}{CURRENT}":
                    self.note(where, "the index does not know it", REPAIR)
        return count

    def sessions(self, view: View) -> None:
        store = view.store
        if read_damaged(self.fs.read(self.layout.damaged), store) is None:
            self.damage("damaged.json", "damaged: which sessions lost changes earlier is not known", REPAIR)
        places = sorted(store.places.items())
        for done, (session_id, place) in enumerate(places, start=1):
            self.progress("sessions", done, len(places))
            try:
                session = store.load(session_id)
            except SessionDamagedError:  # it is in `damaged` now
                continue
            if session is not None and session.header.version < place.header.version:
                what = f"only version {session.header.version} of {place.header.version} is there"
                self.damage(f"session {session_id}", what, RESTORE)
        for session_id, why in sorted(store.damaged.items()):
            what = why if session_id in store.places else f"lost: {why}"
            self.damage(f"session {session_id}", what, RESTORE)
        for session_id, why in sorted(store.healed.items()):
            self.damage(f"session {session_id}", why, REPAIR)

    def archive(self, store_id: str) -> int:
        count = 0
        for month in self.fs.names(self.layout.archive):
            for name in self.fs.names(self.layout.archive / month):
                count += 1
                data = self.fs.read(self.layout.archive / month / name)
                try:
                    decode_session(data or b"", store_id, None, self.sealer)
                except UnreadableError as error:
                    self.damage(f"archive/{month}/{name}", f"damaged: {error}", RESTORE)
                except KeyMissingError as error:
                    self.note(f"archive/{month}/{name}", f"not opened: {error}")
        return count

    def database(self) -> None:
        if DATABASE not in self.fs.names(self.layout.root):
            return
        try:
            problem = examine_file(self.layout.database)
        except StorageError as error:
            self.note(
                DATABASE, f"not looked at: {error.message}", "the next start of the daemon finishes what was begun"
            )
            return
        if problem is not None:
            self.damage(DATABASE, f"damaged: {problem}", "the next start of the daemon puts it into quarantine")

    def backups(self) -> int:
        backups = Backups(Store(self.layout.root, self.fs, sealer=self.sealer))
        complete = {info.name: info for info in backups.list()}
        for name in self.fs.names(self.layout.backups):
            names = self.fs.names(self.layout.backups / name)
            if name in complete:
                continue
            if MANIFEST in names:
                self.damage(f"backups/{name}", "its manifest is damaged: it cannot be verified", "use another")
            elif FAILED_MANIFEST in names:
                self.damage(f"backups/{name}", "it did not verify when it was made", "use another")
            else:
                self.note(f"backups/{name}", "unfinished: no backup", "delete it when no daemon is making one")
        for done, (name, info) in enumerate(complete.items(), start=1):
            self.progress("backups", done, len(complete))
            for missing in info.missing:
                self.note(f"backups/{name}", f"was made when the store was damaged: {missing}")
            for problem in self._problems(backups, name):
                self.damage(f"backups/{name}", problem, "use another; it stays where it is")
        return len(complete)

    def _problems(self, backups: Backups, name: str) -> Iterator[str]:
        if self.verify_backups:
            try:
                yield from backups.verify(name).problems
            except KeyMissingError as error:
                self.locked += 1
                self.note(f"backups/{name}", f"not opened: {error}")
            except StorageError:  # the daemon let go of it meanwhile
                return
