"""Is the log of operations that matter for security whole and unaltered? Reads everything, changes nothing.

It may run beside a daemon: what looks wrong is looked at again, and only what is still the same counts.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from stui_sessiond.errors import StorageError
from stui_sessiond.security.audit import GENESIS, Entry, Head, decode_entry, decode_head
from stui_sessiond.storage.audit_end import FILE_NAME, log_files
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.layout import Layout

LOOKS = 3
MAX_FINDINGS = 100
"""More are only counted."""

OWN_FILES = frozenset({"head.json", "head.new", "lock"})


class AuditFinding(msgspec.Struct, frozen=True):
    """Something about one place. A `problem` is an alteration; a `hole` is entries the disk had no room for."""

    severity: Literal["problem", "hole", "note"]
    where: str
    what: str


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    folder: str
    files: int
    entries: int
    first_seq: int | None
    last_seq: int | None
    last_hash: str | None
    """With `last_seq` an anchor: keep it elsewhere, and `--anchor` proves later that nothing before it was altered."""
    closed: bool
    """Whether the one who wrote it closed it: not so beside a running daemon, and after a crash."""
    holes: int
    lost: int
    """Entries that could not be written, over all holes."""
    problems: int
    findings: tuple[AuditFinding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was altered."""
        return not self.problems


class Anchor(msgspec.Struct, frozen=True):
    """What was once told of the log, and kept elsewhere."""

    seq: int
    hash: str


def read_anchor(text: str) -> Anchor:
    """Read `SEQ:HASH`; the hash may be given by its first characters, sixteen at least.

    Raises:
        ValueError: it is something else.
    """
    seq, colon, digest = text.partition(":")
    if not colon or not seq.isdecimal() or not 16 <= len(digest) <= len(GENESIS):  # noqa: PLR2004 -- 64 bits
        msg = f"{text!r} is no SEQ:HASH, as `audit verify` and the daemon's log (audit.anchor) tell it"
        raise ValueError(msg)
    return Anchor(int(seq), digest.lower())


def verify_audit(root: Path, fs: FileSystem, anchors: Sequence[Anchor] = ()) -> AuditReport:
    """Check every entry, the chain and the head.

    Raises:
        StorageError: there is no such log.
        OSError: it cannot be read now.
    """
    report = _Verifier(root, fs, anchors).run()
    for _ in range(LOOKS):
        if report.sound:
            break
        again, before = _Verifier(root, fs, anchors).run(), report
        report = again
        if [f for f in again.findings if f.severity == "problem"] == [
            f for f in before.findings if f.severity == "problem"
        ]:
            break
    return report


class _Verifier:
    def __init__(self, root: Path, fs: FileSystem, anchors: Sequence[Anchor]) -> None:
        self.layout = Layout(root)
        self.fs = fs
        self.anchors = {anchor.seq: anchor for anchor in anchors}
        self.findings: list[AuditFinding] = []
        self.problems = 0
        self.entries = 0
        self.holes = 0
        self.lost = 0
        self.first: Entry | None = None
        self.last: Entry | None = None
        self.next_seq: int | None = None
        self.prev: str | None = None
        self.torn: dict[str, tuple[int, str]] = {}
        """Unfinished lines that no entry has named so far, by file: bytes, SHA-256."""
        self.hash_at_head: str | None = None

    def run(self) -> AuditReport:
        key = self.fs.read(self.layout.audit_key)
        data = self.fs.read(self.layout.audit_head)  # before the files: they are never behind it
        names = self.fs.names(self.layout.audit)
        files = log_files(self.layout, self.fs)
        if key is None and not names:
            msg = f"there is no audit log in {self.layout.root}; a daemon of this version makes one at its start"
            raise StorageError(msg)
        head = decode_head(data, key) if data is not None and key is not None else None
        for name in names:
            if name not in OWN_FILES and not FILE_NAME.match(name):
                self.add("note", name, "does not belong to the log")
        for name in files:
            self.file(name, head)
        self.end(head, key, data, files)
        return AuditReport(
            folder=str(self.layout.audit),
            files=len(files),
            entries=self.entries,
            first_seq=self.first.seq if self.first else None,
            last_seq=self.last.seq if self.last else None,
            last_hash=self.last.hash if self.last else None,
            closed=head is not None and head.clean,
            holes=self.holes,
            lost=self.lost,
            problems=self.problems,
            findings=tuple(self.findings),
        )

    def add(self, severity: Literal["problem", "hole", "note"], where: str, what: str) -> None:
        self.problems += severity == "problem"
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(AuditFinding(severity, where, what))

    # ---- piece by piece

    def file(self, name: str, head: Head | None) -> None:
        data = self.fs.read(self.layout.audit / name)
        if data is None:
            self.add("problem", name, "it went away meanwhile")
            return
        *lines, torn = data.split(b"\n")
        for number, line in enumerate(lines, start=1):
            entry = decode_entry(line)
            if entry is None:
                self.add("problem", f"{name}:{number}", "the line is not what was written")
                self.prev = None
                self.next_seq = None if self.next_seq is None else self.next_seq + 1
            else:
                self.entry(f"{name}:{number}", entry, head)
        if lines:
            for unnamed in self.torn:
                self.add("problem", unnamed, "the end is cut in the middle of a line, and no entry after it says so")
            self.torn.clear()
        if torn:
            self.torn[name] = (len(torn), hashlib.sha256(torn).hexdigest())

    def entry(self, where: str, entry: Entry, head: Head | None) -> None:
        self.entries += 1
        if self.first is None:
            self.first = entry
        elif self.next_seq is not None and entry.seq != self.next_seq:
            missing = entry.seq - self.next_seq
            gap = f"{missing} entries before it are missing" if missing > 0 else "it is not in its place"
            self.add("problem", where, f"entry {entry.seq} follows {self.next_seq - 1}: {gap}")
        elif self.prev is not None and entry.prev != self.prev:
            self.add("problem", where, f"entry {entry.seq} does not continue the one before it")
        self.next_seq, self.prev, self.last = entry.seq + 1, entry.hash, entry
        if head is not None:
            if entry.seq == head.seq:
                self.hash_at_head = entry.hash
            if entry.seq == head.first_seq and entry.prev != head.first_prev:
                self.add("problem", where, "the log does not begin with this entry")
        anchor = self.anchors.pop(entry.seq, None)
        if anchor is not None and not entry.hash.startswith(anchor.hash):
            self.add("problem", where, f"entry {entry.seq} is not the one of the anchor: the log was written anew")
        self.own_words(where, entry)

    def own_words(self, where: str, entry: Entry) -> None:
        """What the one who wrote the log said of it."""
        details = entry.details
        if entry.event == "audit.hole":
            lost = details.get("lost")
            self.holes += 1
            self.lost += lost if isinstance(lost, int) else 0
            self.add(
                "hole", where, f"{lost} entries since {details.get('since')} could not be written ({entry.outcome})"
            )
        elif entry.event == "audit.damaged":
            self.add("problem", where, f"the log was found altered when it was opened at {entry.at}: {details}")
        elif entry.event == "audit.torn":
            name = str(details.get("file"))
            if self.torn.pop(name, None) == (details.get("bytes"), details.get("torn_sha256")):
                what = "bytes at the end are an unfinished line: a crash; nothing promised is in it"
                self.add("note", name, f"{details.get('bytes')} {what}")
            elif self.first is not entry:  # what it names may have been let go of
                self.add("problem", name, "its unfinished end was altered after the crash")
        elif entry.event == "audit.dropped":
            self.add("note", where, f"older entries up to {details.get('up_to')} were let go of, as the settings say")

    def end(self, head: Head | None, key: bytes | None, data: bytes | None, files: Sequence[str]) -> None:
        for name, (size, _) in self.torn.items():
            what = f"{size} bytes at the end are an unfinished line"
            if head is not None and head.clean:
                self.add("problem", name, f"{what}, though the log was closed")
            else:
                self.add("note", name, f"{what}: being written, or the daemon was killed")
        if key is None:
            self.add("problem", "audit.key", "missing: the head cannot be checked")
        elif data is None:
            if files:
                self.add("problem", "head.json", "missing: whether the end was cut off cannot be told")
        elif head is None:
            self.add("problem", "head.json", "it is not what was written")
        else:
            self.against_head(head)
        for anchor in self.anchors.values():
            if self.first is not None and anchor.seq < self.first.seq:
                self.add("note", f"anchor {anchor.seq}", "that entry is not kept any more")
            else:
                self.add("problem", f"anchor {anchor.seq}", "there is no such entry: the end was cut off")

    def against_head(self, head: Head) -> None:
        last = 0 if self.last is None else self.last.seq
        if last < head.seq:
            self.add("problem", "head.json", f"the log ends with entry {last}: those up to {head.seq} were cut off")
        elif head.seq and self.hash_at_head != head.hash:
            self.add("problem", "head.json", f"entry {head.seq} is not the one that was written")
        elif head.clean and last > head.seq:
            self.add("problem", "head.json", f"entries after {head.seq} were added when the log was closed")
        if self.first is not None and self.first.seq > head.first_seq and head.first_seq <= head.seq:
            self.add("problem", "head.json", f"entries {head.first_seq} to {self.first.seq - 1} are missing")


# ---- reading


def last_entries(root: Path, fs: FileSystem, count: int) -> list[Entry | bytes]:
    """Read the newest `count` entries, the oldest first; a line that was altered comes as its bytes.

    Raises:
        OSError: they cannot be read now.
    """
    layout = Layout(root)
    found: deque[Entry | bytes] = deque()
    for name in reversed(log_files(layout, fs)):
        if len(found) >= count:
            break
        lines = (fs.read(layout.audit / name) or b"").split(b"\n")[:-1]
        found.extendleft(decode_entry(line) or line for line in reversed(lines[-(count - len(found)) :]))
    return list(found)


class Follower:
    """Gives entries as they are written."""

    def __init__(self, root: Path, fs: FileSystem) -> None:
        """Begin at the present end.

        Raises:
            OSError: it cannot be read now.
        """
        self._layout = Layout(root)
        self._fs = fs
        self._read: dict[str, int] = {}
        """How much of each file was given."""
        for _ in self.poll():
            pass

    def poll(self) -> Iterator[Entry | bytes]:
        """Give what is new since the last time.

        Raises:
            OSError: it cannot be read now.
        """
        files = log_files(self._layout, self._fs)
        newest = max(self._read, default="")
        for name in files:
            if name < newest:
                continue
            data = (self._fs.read(self._layout.audit / name) or b"")[self._read.get(name, 0) :]
            whole = data.rpartition(b"\n")[0]
            if whole:
                self._read[name] = self._read.get(name, 0) + len(whole) + 1
                yield from (decode_entry(line) or line for line in whole.split(b"\n"))
