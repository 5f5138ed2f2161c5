"""Segments of a journal, made by hand."""

from stui_sessiond.storage.journal import HEADER_BYTES, RecordType, encode_header, encode_record
from stui_sessiond.storage.recovery import Segment

STORE = bytes(range(16))
SALT = bytes(16)


def name_of(session: int) -> str:
    """An id as the manager makes them."""
    return f"session_{session}_1700000000_{'x' * 20}"


def payload(lsn: int) -> bytes:
    """What the record of this LSN says: something about the session of this number."""
    return b'{"session_id":"%s","n":%d}' % (name_of(lsn).encode(), lsn)


def a_segment(
    first: int,
    count: int,
    *,
    store: bytes = STORE,
    salt: bytes = SALT,
    durable: int | None = None,
    sealed: bool = False,
) -> tuple[Segment, list[int]]:
    """Make a segment of so many records, and tell where each begins, and where the last ends.

    Each record says that all before it were durable, unless `durable` says what all of them say.
    """
    data, seed = encode_header(store, salt, first)
    starts, crc = [HEADER_BYTES], seed
    for lsn in range(first, first + count + sealed):
        kind = RecordType.SEAL if lsn == first + count else RecordType.CHANGE
        said = lsn - 1 if durable is None else durable
        piece, crc = encode_record(kind, lsn, said, crc, seed, b"" if kind is RecordType.SEAL else payload(lsn))
        data += piece
        starts.append(len(data))
    return Segment(f"{first:016x}.journal", data), starts


def broken(segment: Segment, *offsets: int) -> Segment:
    """The same with some bytes changed."""
    data = bytearray(segment.data)
    for offset in offsets:
        data[offset] ^= 0x40
    return Segment(segment.name, bytes(data))


def cut(segment: Segment, size: int) -> Segment:
    """The same, shorter."""
    return Segment(segment.name, segment.data[:size])


def sessions(*numbers: int) -> frozenset[str]:
    """The ids of sessions."""
    return frozenset(map(name_of, numbers))
