"""What do the segments of a journal tell after a crash, or after damage? Pure: bytes in, a verdict out.

A bad tail of the last segment is a torn write, and nothing acknowledged is in it, unless a sound record further on
says that more had been synced: then acknowledged data is damaged, and the verdict says which.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from stui_sessiond.storage.journal import (
    ALIGN,
    HEADER_BYTES,
    RECORD_BYTES,
    SEGMENT_MAGIC,
    HeaderError,
    Record,
    RecordType,
    SegmentHeader,
    decode_header,
    decode_record,
    read_chain,
    search,
)

_SESSION_ID: Final = re.compile(rb"session_[0-9]{1,20}_[0-9]{1,20}_[A-Za-z0-9_-]{16,64}")


class Segment(msgspec.Struct, frozen=True):
    """A segment file as found."""

    name: str
    data: bytes


class Damage(msgspec.Struct, frozen=True):
    """Acknowledged data that cannot be read: LSNs from `first_lsn` up to, not including, `next_lsn`."""

    name: str
    """The segment; empty when it is not there."""
    first_lsn: int
    next_lsn: int
    sessions: frozenset[str]
    reason: str


class Verdict(msgspec.Struct, frozen=True):
    """What to do with what was found."""

    records: Sequence[Record]
    """All sound changes, oldest first."""
    next_lsn: int
    """The first LSN that is not in use."""
    torn: dict[str, int]
    """Segments with a torn tail: cut them to this size, keeping a copy of the tail."""
    unfinished: Sequence[str]
    """Segments without a single record: remove them, their names are needed again."""
    damage: Sequence[Damage]
    mended: Sequence[str]
    """Segments whose header was damaged and could be made up for: nothing is lost."""


class _Reader:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.damage: list[Damage] = []
        self.torn: dict[str, int] = {}
        self.unfinished: list[str] = []
        self.mended: list[str] = []
        self.expected: int | None = None
        self.next_lsn = 0

    def take(self, record: Record) -> None:
        self.expect(record.lsn + 1)
        if record.kind == RecordType.CHANGE:
            self.records.append(record)

    def expect(self, lsn: int) -> None:
        self.expected = lsn
        self.next_lsn = max(self.next_lsn, lsn)

    def lost(self, name: str, next_lsn: int, sessions: frozenset[str], reason: str) -> None:
        first = self.expected if self.expected is not None else 0
        self.damage.append(Damage(name, first, next_lsn, sessions, reason))


def recover(segments: Sequence[Segment], store_id: bytes, floor_lsn: int = 1, covered_lsn: int = 0) -> Verdict:
    """Read all segments, in the order of their first LSN.

    `floor_lsn` is the next LSN if the journal is empty: one more than anything else in the store knows of. What is
    missing between segments up to `covered_lsn` is not missed.
    """
    reader = _Reader()
    for index, segment in enumerate(segments):
        _read_segment(reader, segment, segments[index + 1 :], store_id, covered_lsn)
    next_lsn = max(reader.next_lsn, floor_lsn)
    return Verdict(reader.records, next_lsn, reader.torn, reader.unfinished, reader.damage, reader.mended)


def _read_segment(
    reader: _Reader, segment: Segment, later: Sequence[Segment], store_id: bytes, covered_lsn: int
) -> None:
    data = segment.data
    last = not later
    try:
        header = decode_header(data)
    except HeaderError as error:
        if last and len(data) <= HEADER_BYTES:  # it is synced before any record is written
            reader.unfinished.append(segment.name)
            return
        salvaged = _salvage_header(data, store_id)
        if salvaged is None:
            reader.lost(segment.name, _first_lsn(later), _sessions_in(data), f"its header: {error}")
            reader.expected = None
            return
        header = salvaged
        reader.mended.append(segment.name)
    if header.store_id != store_id:
        reader.lost(segment.name, _first_lsn(later), frozenset(), "it belongs to another store")
        return
    if reader.expected is not None and header.first_lsn > max(reader.expected, covered_lsn + 1):
        reader.lost("", header.first_lsn, frozenset(), f"segments are missing before {segment.name}")
    reader.expect(header.first_lsn)
    if last and len(data) == HEADER_BYTES:
        reader.unfinished.append(segment.name)
        return
    following = _first_lsn(later)
    end = _read_records(reader, segment, header, following, last=last)
    rest = data[end:]
    if following > max(reader.expected or 0, 0 if rest else covered_lsn + 1) and not last:
        reader.lost(
            segment.name if rest else "", following, _sessions_in(rest), f"the end of {segment.name} is missing"
        )
        reader.expect(following)


def _read_records(reader: _Reader, segment: Segment, header: SegmentHeader, following: int, *, last: bool) -> int:
    """Take the records; give the offset after the last sound one. All before a later segment was synced."""
    data, offset = segment.data, HEADER_BYTES
    for record in read_chain(data, header):
        reader.take(record)
        offset = record.end
    while offset < len(data):
        expected = reader.expected or header.first_lsn
        beyond = [record for record in search(data, offset, header.crc) if record.lsn > expected]
        proven = any(record.lsn < following or record.durable_lsn >= expected for record in beyond)
        if not proven:
            if last:
                reader.torn[segment.name] = offset
                if offset == HEADER_BYTES:
                    reader.unfinished.append(segment.name)
            return offset
        survivor = beyond[0]
        start = survivor.end - _size(survivor)
        reader.lost(segment.name, survivor.lsn, _sessions_in(data[offset:start]), "a record is damaged")
        offset = _follow(reader, data, start, header.crc)
    return offset


def _follow(reader: _Reader, data: bytes, offset: int, seed: int) -> int:
    """Go on after a hole, as long as records follow each other."""
    previous: Record | None = None
    while (record := decode_record(data, offset, seed)) is not None:
        if previous is not None and (record.previous_crc != previous.crc or record.lsn != previous.lsn + 1):
            break
        reader.take(record)
        previous, offset = record, record.end
    return offset


def _salvage_header(data: bytes, store_id: bytes) -> SegmentHeader | None:
    """Use a damaged header if the records behind it fit to what it says, or to what it should say."""
    if len(data) < HEADER_BYTES:
        return None
    stored = int.from_bytes(data[8:12], "little")
    for mended in _mended_headers(data):
        try:
            header = decode_header(mended + data[HEADER_BYTES:])
        except HeaderError:
            continue
        first = decode_record(data, HEADER_BYTES, header.crc)
        if first is not None and first.lsn == header.first_lsn:
            return header
    first = decode_record(data, HEADER_BYTES, stored)
    if first is None:
        return None
    return SegmentHeader(store_id, data[32:48], first.lsn, stored)  # the records prove that it was ours


def _mended_headers(data: bytes) -> list[bytes]:
    """The header with its magic, its padding or its checksum as they have to be."""
    body = data[:56].ljust(HEADER_BYTES, b"\0")
    right_crc = zlib.crc32(data[12:56]).to_bytes(4, "little")
    return [SEGMENT_MAGIC + body[8:], SEGMENT_MAGIC + right_crc + body[12:]]


def _size(record: Record) -> int:
    size = RECORD_BYTES + len(record.payload)
    return size + -size % ALIGN


def _first_lsn(later: Sequence[Segment]) -> int:
    for segment in later:
        try:
            return decode_header(segment.data).first_lsn
        except HeaderError:
            continue
    return 0


def _sessions_in(data: bytes) -> frozenset[str]:
    return frozenset(found.decode() for found in _SESSION_ID.findall(data))
