"""The journal on disk: appends records durably, one segment at a time. One thread at a time may use it.

Guarantee: when `append` returns, the records are on the disk and so is every name that leads to them. After an error
the records of that call are not in the journal, or, with DiskFailedError, the journal must not be used any more.
"""

import contextlib
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from stui_sessiond.storage.fs import AppendFile, FileSystem
from stui_sessiond.storage.journal import HEADER_BYTES, RecordType, encode_header, encode_record
from stui_sessiond.storage.layout import Layout

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A segment that has reached this size gets no more changes."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskFullError(Exception):
    """There is no room; nothing was written, and writing may work again later."""


class DiskFailedError(Exception):
    """The disk failed in a way after which the journal cannot be trusted: stop the process."""


class JournalWriter:
    """Writes the journal from `next_lsn` on, always in a new segment."""

    def __init__(
        self,
        fs: FileSystem,
        layout: Layout,
        store_id: bytes,
        next_lsn: int,
        salt: Callable[[], bytes],
        segment_bytes: int = SEGMENT_BYTES,
        seal: Callable[[bytes, int], bytes] = lambda payload, _lsn: payload,
    ) -> None:
        self.next_lsn = next_lsn
        self.segments: list[int] = []
        """First LSNs of the segments on disk, oldest first; the last one may be open."""
        self._fs = fs
        self._layout = layout
        self._store_id = store_id
        self._salt = salt
        self._segment_bytes = segment_bytes
        self._seal = seal
        self._file: AppendFile | None = None
        self._path = layout.journal
        self._size = 0
        self._seed = 0
        self._previous_crc = 0
        self._sealed = True
        self._failed = False

    @property
    def durable_lsn(self) -> int:
        """The highest LSN that is on the disk."""
        return self.next_lsn - 1

    def append(self, payloads: Sequence[bytes], kind: RecordType = RecordType.CHANGE) -> int:
        """Write records and sync them; give the LSN of the first.

        Raises:
            DiskFullError: nothing was written.
            DiskFailedError: the journal cannot be trusted any more.
        """
        if self._failed:
            msg = "the disk failed before"
            raise DiskFailedError(msg)
        if self._size >= self._segment_bytes and kind is not RecordType.SEAL:
            self._end_segment()
        file = self._file or self._start_segment()
        first = lsn = self.next_lsn
        crc, durable = self._previous_crc, self.durable_lsn
        pieces = []
        for payload in payloads:
            written = self._seal(payload, lsn) if kind is RecordType.CHANGE else payload
            piece, crc = encode_record(kind, lsn, durable, crc, self._seed, written)
            pieces.append(piece)
            lsn += 1
        self._write(file, b"".join(pieces))
        self.next_lsn, self._previous_crc = lsn, crc
        self._sealed = kind is RecordType.SEAL
        return first

    def seal(self) -> None:
        """Say in the journal that everything in it is durable, so that later damage cannot pass for a torn write.

        Raises:
            DiskFullError, DiskFailedError: as for `append`.
        """
        if not self._sealed and self._file is not None:
            self.append([b""], RecordType.SEAL)

    def drop_before(self, lsn: int) -> None:
        """Delete closed segments all of whose records are older than `lsn`.

        Raises:
            OSError: it did not work; it can be tried again.
        """
        while len(self.segments) > 1 and self.segments[1] <= lsn:
            self._fs.remove(self._layout.segment(self.segments[0]))
            self._fs.sync_folder(self._layout.journal)  # one by one: a power loss must not leave a hole
            self.segments.pop(0)

    def close(self) -> None:
        """Let go of the open segment."""
        self._end_segment()

    def _start_segment(self) -> AppendFile:
        path = self._path = self._layout.segment(self.next_lsn)
        header, self._seed = encode_header(self._store_id, self._salt(), self.next_lsn)
        try:
            self._file = file = self._fs.append_new(path)
            self._size = 0
            self._previous_crc = self._seed
            self._write(file, header)
            self._fs.sync_folder(self._layout.journal)
        except (OSError, DiskFullError) as error:
            self._end_segment()
            if isinstance(error, OSError) and error.errno not in _NO_ROOM:
                raise self._fail(error) from error
            self._forget_segment(path)
            msg = "there is no room for a segment of the journal"
            raise DiskFullError(msg) from error
        self.segments.append(self.next_lsn)
        return file

    def _forget_segment(self, path: Path) -> None:
        """Remove a segment that holds no record: its name will be needed again."""
        try:
            self._fs.remove(path)
        except OSError as error:
            raise self._fail(error) from error

    def _write(self, file: AppendFile, data: bytes) -> None:
        """Write and sync, or leave the segment as it was."""
        left = memoryview(data)
        try:
            while left:
                left = left[_write_some(file, left) :]
        except OSError as error:
            self._take_back(file, error)
            if error.errno in _NO_ROOM:
                msg = "the disk is full"
                raise DiskFullError(msg) from error
            raise self._fail(error) from error
        try:
            file.sync()
        except OSError as error:
            raise self._fail(error) from error
        self._size += len(data)

    def _take_back(self, file: AppendFile, error: OSError) -> None:
        """Cut off what was half written, and go on in another segment."""
        try:
            file.truncate(self._size)
            if self._size:  # of a segment that is removed as well: its name, and what was cut off, might come back
                file.sync()
        except OSError:
            raise self._fail(error) from error
        self._end_segment()
        if self._size == HEADER_BYTES and self.segments and self.segments[-1] == self.next_lsn:
            self.segments.pop()
            self._forget_segment(self._path)

    def _fail(self, error: OSError) -> DiskFailedError:
        self._failed = True
        self._end_segment()
        return DiskFailedError(f"the disk failed: {error.strerror or error}")

    def _end_segment(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # what counts was synced before
                file.close()


def _write_some(file: AppendFile, data: memoryview) -> int:
    taken = file.write(data)
    if not taken:
        raise OSError(errno.ENOSPC, "nothing was written")
    return taken
