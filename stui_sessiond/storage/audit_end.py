"""Where does the log of operations end, and what did whoever wrote it last leave behind?"""

import hashlib
import re
from collections.abc import Sequence

import msgspec

from stui_sessiond.security.audit import GENESIS, Actor, Entry, Event, Word, decode_entry, decode_head
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.layout import Layout

FILE_NAME = re.compile(r"^\d{16}\.\d{3}\.jsonl$")


class Draft(msgspec.Struct, frozen=True):
    """An entry without its place in the chain."""

    event: Event
    at: str
    outcome: str = "ok"
    actor: Actor | None = None
    session_id: str | None = None
    image_id: str | None = None
    command: str | None = None
    details: dict[str, Word] = {}


class Found(msgspec.Struct, frozen=True):
    """What an opening found: where the chain goes on, and what has to be said of it."""

    seq: int
    hash: str
    first_seq: int
    first_prev: str
    notes: list[Draft]


def log_files(layout: Layout, fs: FileSystem) -> list[str]:
    """List the files of the log, the oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    return [name for name in fs.names(layout.audit) if FILE_NAME.match(name)]


def find_end(layout: Layout, fs: FileSystem, key: bytes, at: str) -> Found:
    """Find the last entry, compare it with the head, and tell what a new file has to begin with.

    Only the end is looked at; `storage.tools.audit` looks at everything.

    Raises:
        OSError: something cannot be read.
    """
    files = log_files(layout, fs)
    data = fs.read(layout.audit_head)
    head = None if data is None else decode_head(data, key)
    tail, notes = _read_back(layout, fs, files, head.seq if head else None, at)
    last_seq, last_hash = (tail[-1].seq, tail[-1].hash) if tail else (0, GENESIS)
    if head is None:
        if data is not None or files:
            notes.append(_damaged(at, "head"))
        first = first_entry(layout, fs, files)
        first_seq, first_prev = (first.seq, first.prev) if first else (1, GENESIS)
        return Found(last_seq, last_hash, first_seq, first_prev, notes)
    if last_seq < head.seq:  # go on behind what is missing, so that the gap stays to be seen
        notes.append(_damaged(at, "end", expected=head.seq, found=last_seq))
        return Found(head.seq, head.hash, head.first_seq, head.first_prev, notes)
    if any(entry.seq == head.seq and entry.hash != head.hash for entry in tail):
        notes.append(_damaged(at, "rewritten", seq=head.seq))
    if head.clean and last_seq > head.seq:
        notes.append(_damaged(at, "added", seq=head.seq + 1))
    return Found(last_seq, last_hash, head.first_seq, head.first_prev, notes)


def _read_back(
    layout: Layout, fs: FileSystem, files: Sequence[str], down_to: int | None, at: str
) -> tuple[list[Entry], list[Draft]]:
    """Read files from the last one backwards until there is an entry, and the one with seq `down_to`."""
    tail: list[Entry] = []
    notes: list[Draft] = []
    for name in reversed(files):
        *lines, torn = (fs.read(layout.audit / name) or b"").split(b"\n")
        if torn and not tail:  # no entry after it says so yet
            details: dict[str, Word] = {"file": name, "bytes": len(torn)}
            details["torn_sha256"] = hashlib.sha256(torn).hexdigest()
            notes.append(Draft("audit.torn", at, "torn", details=details))
        entries = [decode_entry(line) for line in lines]
        if entries and entries[-1] is None:
            notes.append(_damaged(at, "last lines", file=name))
        tail = [*(entry for entry in entries if entry is not None), *tail]
        if tail and (down_to is None or tail[0].seq <= down_to):
            break
    return tail, notes


def _damaged(at: str, what: str, **details: Word) -> Draft:
    return Draft("audit.damaged", at, "damaged", details={"what": what, **details})


def first_entry(layout: Layout, fs: FileSystem, names: Sequence[str]) -> Entry | None:
    """Read the first entry of these files that can be read.

    Raises:
        OSError: a file cannot be read.
    """
    for name in names:
        for line in (fs.read(layout.audit / name) or b"").split(b"\n"):
            if entry := decode_entry(line):
                return entry
    return None
