"""What are the bytes of the journal? Writes and reads records and segments. Pure: no files, no clock.

    segment  = header record*
    header   = magic 8 | crc 4 | version 4 | store id 16 | salt 16 | first LSN 8 | zeros to 64
    record   = magic 4 | crc 4 | length 4 | type 1 | zeros 3 | LSN 8 | durable LSN 8 | previous crc 4 | zeros 4
               payload | zeros to a multiple of 8

All numbers are little-endian. A record's crc is over everything after itself, seeded with the segment's header crc, so
a record of another segment never passes. `durable LSN` is the highest LSN known to be synced when the record was
written: finding it later than a damaged record proves that what is damaged was acknowledged. `previous crc` chains the
records of a segment. CRC-32 as in zlib.
"""

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

SEGMENT_MAGIC: Final = b"STUIJNL2"
RECORD_MAGIC: Final = 0x324C4A53
FORMAT_VERSION: Final = 2
HEADER_BYTES: Final = 64
ALIGN: Final = 8
MAX_PAYLOAD_BYTES: Final = 64 * 1024 * 1024
"""No record is longer: a session has at most a few megabytes."""

_HEADER = struct.Struct("<8sII16s16sQ")
_RECORD = struct.Struct("<IIIBxxxQQI4x")
_CRC_END = 8
RECORD_BYTES: Final = _RECORD.size


class RecordType(IntEnum):
    """What a record's payload is. Numbers are never used for something else."""

    CHANGE = 1
    SEAL = 9


class SegmentHeader(msgspec.Struct, frozen=True):
    """The start of a segment."""

    store_id: bytes
    salt: bytes
    first_lsn: int
    crc: int


class Record(msgspec.Struct, frozen=True):
    """One record as read."""

    kind: int
    lsn: int
    durable_lsn: int
    previous_crc: int
    payload: bytes
    crc: int
    end: int
    """Offset in the segment after the record and its padding."""


class HeaderError(Exception):
    """These bytes do not start a segment of this store; the text says why."""


def encode_header(store_id: bytes, salt: bytes, first_lsn: int) -> tuple[bytes, int]:
    """Write a segment header; also give its crc, which seeds the records."""
    body = _HEADER.pack(SEGMENT_MAGIC, 0, FORMAT_VERSION, store_id, salt, first_lsn)
    crc = zlib.crc32(body[12:])
    return (body[:8] + crc.to_bytes(4, "little") + body[12:]).ljust(HEADER_BYTES, b"\0"), crc


def decode_header(data: bytes) -> SegmentHeader:
    """Read a segment header.

    Raises:
        HeaderError: it is none.
    """
    if len(data) < HEADER_BYTES:
        msg = f"only {len(data)} bytes"
        raise HeaderError(msg)
    magic, crc, version, store_id, salt, first_lsn = _HEADER.unpack_from(data)
    if magic != SEGMENT_MAGIC or zlib.crc32(data[12 : _HEADER.size]) != crc or any(data[_HEADER.size : HEADER_BYTES]):
        msg = "the checksum does not match"
        raise HeaderError(msg)
    if version != FORMAT_VERSION:
        msg = f"journal format {version} is unknown here"
        raise HeaderError(msg)
    return SegmentHeader(store_id, salt, first_lsn, crc)


def encode_record(
    kind: RecordType, lsn: int, durable_lsn: int, previous_crc: int, seed: int, payload: bytes
) -> tuple[bytes, int]:
    """Write a record; also give its crc, for the next one's chain."""
    head = _RECORD.pack(RECORD_MAGIC, 0, len(payload), kind, lsn, durable_lsn, previous_crc)
    rest = head[_CRC_END:] + payload
    rest += bytes(-(_CRC_END + len(rest)) % ALIGN)  # the record's whole length
    crc = zlib.crc32(rest, seed)
    return head[:4] + crc.to_bytes(4, "little") + rest, crc


def decode_record(data: bytes, offset: int, seed: int) -> Record | None:
    """Read the record at an offset; None when there is no sound one."""
    if offset + RECORD_BYTES > len(data):
        return None
    magic, crc, length, kind, lsn, durable_lsn, previous_crc = _RECORD.unpack_from(data, offset)
    if magic != RECORD_MAGIC or length > MAX_PAYLOAD_BYTES:
        return None
    start = offset + RECORD_BYTES
    end = start + length
    end += -(end - offset) % ALIGN
    if end > len(data) or zlib.crc32(data[offset + _CRC_END : end], seed) != crc:
        return None
    return Record(kind, lsn, durable_lsn, previous_crc, data[start : start + length], crc, end)


def read_chain(data: bytes, header: SegmentHeader, offset: int = HEADER_BYTES) -> Iterator[Record]:
    """Go through the records from the start, as long as checksum, LSN and chain fit."""
    previous_crc, lsn = header.crc, header.first_lsn
    while (record := decode_record(data, offset, header.crc)) is not None:
        if record.previous_crc != previous_crc or record.lsn != lsn:
            return
        yield record
        previous_crc, offset = record.crc, record.end
        lsn += 1


def search(data: bytes, offset: int, seed: int) -> Iterator[Record]:
    """Find sound records anywhere after an offset, chain or not."""
    magic = RECORD_MAGIC.to_bytes(4, "little")
    while (offset := data.find(magic, offset)) >= 0:
        record = decode_record(data, offset, seed)
        if record is None:
            offset += 1
        else:
            yield record
            offset = record.end
