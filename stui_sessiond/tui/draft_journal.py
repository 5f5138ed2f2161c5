"""Where is unsaved work until the daemon has it? In a journal per session and program, on this machine, synced.

A journal is locked by the program that writes it. One that nobody holds was left by a terminal that was killed: whoever
opens the session next adopts it.
"""

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from stui_sessiond.tui.layout import Done, Draft, unsaved_of
from stui_sessiond.tui.stored_file import sync_folder

MAX_BYTES = 8 * 1024 * 1024
"""A journal that is longer is written anew with what is unsaved in it."""

MAX_LEFT_BYTES = 64 * 1024 * 1024
"""A journal that was left behind and is longer than this is none that we wrote."""

SUFFIX = ".drafts"

_SAFE = re.compile(r"[^A-Za-z0-9_-]")


class _Line(msgspec.Struct, omit_defaults=True):
    """One line: one of the two."""

    draft: Draft | None = None
    done: Done | None = None


class DraftJournal:
    """Drafts of one session. All calls may wait for the disk; call them in a thread.

    A thread that is at work goes on when nobody waits for it any more. What it writes after the journal was closed is
    kept, and the file is let go of again: the next one to open the session, perhaps in this program, has to find it.

    Args:
        folder: for all journals of this user.
        session_id: the session.
        writer: this program's name, new for each start.
    """

    def __init__(self, folder: Path, session_id: str, writer: str) -> None:
        self._folder = folder
        self._prefix = f"{_SAFE.sub('_', session_id)}."
        self.path = folder / f"{self._prefix}{_SAFE.sub('_', writer)}{SUFFIX}"
        self._stream: BinaryIO | None = None
        self._unsaved: dict[str, Draft] = {}
        self._left: list[tuple[Path, BinaryIO]] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            finally:
                if self._closed:
                    self._let_go()

    @property
    def unsaved(self) -> dict[str, Draft]:
        """The last draft of each tool that is not stored yet."""
        return dict(self._unsaved)

    def adopt(self) -> tuple[list[Draft], list[str]]:
        """Read the journals of this session that were left behind; `settle` removes them.

        Returns:
            Their unsaved drafts, the oldest journal first, and what was wrong, for a person.
        """
        with self._alone():
            drafts: list[Draft] = []
            problems: list[str] = []
            for path in sorted(self._folder.glob(f"{self._prefix}*{SUFFIX}"), key=_age):
                if path == self.path:
                    continue
                stream = _locked(path)
                if stream is None:
                    continue
                self._left.append((path, stream))
                records, problem = read_journal(stream, path)
                drafts += unsaved_of(records).values()
                if problem:
                    problems.append(problem)
            return drafts, problems

    def settle(self) -> None:
        """The adopted drafts are in this journal or stored: remove those they came from."""
        with self._alone():
            for path, stream in self._left:
                with contextlib.suppress(OSError):
                    path.unlink()
                stream.close()
            self._left.clear()

    def write(self, drafts: list[Draft]) -> None:
        """Keep drafts: when this returns they survive a crash of the machine.

        Raises:
            OSError: the disk did not take them.
        """
        with self._alone():
            self._unsaved.update({draft.tool_id: draft for draft in drafts})
            self._append([_Line(draft=draft) for draft in drafts], sync=True)

    def done(self, tool_id: str, number: int) -> None:
        """The daemon has a draft, up to its number. When nothing is unsaved the journal is emptied."""
        with self._alone():
            kept = self._unsaved.get(tool_id)
            if kept is None or kept.stamp.number > number:
                return
            del self._unsaved[tool_id]
            if self._unsaved:
                self._append([_Line(done=Done(tool_id, number))], sync=False)
            elif self._stream is not None:
                self._stream.truncate(0)

    def close(self) -> None:
        """Let go; an empty journal is removed."""
        with self._alone():
            self._closed = True

    def _let_go(self) -> None:
        for _, stream in self._left:
            stream.close()
        self._left.clear()
        if self._stream is None:
            return
        if not self._unsaved:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._stream.close()
        self._stream = None

    def _append(self, lines: list[_Line], *, sync: bool) -> None:
        stream = self._open()
        stream.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        stream.flush()
        if sync:
            os.fsync(stream.fileno())
        if stream.tell() > MAX_BYTES:
            self._compact(stream)

    def _open(self) -> BinaryIO:
        if self._stream is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._stream = os.fdopen(handle, "ab")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync_folder(self._folder)
        return self._stream

    def _compact(self, stream: BinaryIO) -> None:
        """Write what is unsaved into a new file, which takes the place of the old one."""
        fresh = self.path.with_suffix(".new")
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._stream = os.fdopen(handle, "ab")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._stream.write(b"".join(msgspec.json.encode(_Line(draft=one)) + b"\n" for one in self._unsaved.values()))
        self._stream.flush()
        os.fsync(handle)
        fresh.replace(self.path)
        sync_folder(self._folder)
        stream.close()


def read_journal(stream: BinaryIO, path: Path) -> tuple[list[Draft | Done], str]:
    """Read a journal; a last line that was torn is left out, one that cannot be read ends it and is told of."""
    stream.seek(0)
    data = stream.read(MAX_LEFT_BYTES + 1)
    records: list[Draft | Done] = []
    problem = f"{path.name} is larger than {MAX_LEFT_BYTES} bytes" if len(data) > MAX_LEFT_BYTES else ""
    for text in [] if problem else data.split(b"\n")[:-1]:
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            problem = f"{path.name} has a line that cannot be read ({error})"
            break
        if (record := line.draft or line.done) is not None:
            records.append(record)
    if problem:
        aside = path.with_name(f"{path.name}.unreadable")
        aside.write_bytes(data)
        problem += f"; it is kept as {aside.name}"
    return records, problem


def _locked(path: Path) -> BinaryIO | None:
    """Open a journal for ourselves alone; None when its writer lives, or it has gone."""
    try:
        stream = path.open("rb")
    except OSError:
        return None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        return None
    return stream


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
