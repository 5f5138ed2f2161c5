"""The journal and the session files, for any bytes: read whole, cut, mutated, or made up."""

from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.storage.journal import (
    HEADER_BYTES,
    RecordType,
    SegmentHeader,
    decode_header,
    decode_record,
    encode_header,
    encode_record,
    read_chain,
)
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.recovery import Segment, recover
from stui_sessiond.storage.session_file import decode_session, encode_session

from .workload import new_session

STORE_ID = bytes(range(16))
PAYLOADS = st.lists(st.binary(max_size=200), max_size=6)


def make_segment(payloads: list[bytes], first_lsn: int = 1, salt: bytes = b"salt" * 4) -> tuple[bytes, list[int]]:
    """Write a segment, each record after the sync of the one before; also give where records end."""
    data, seed = encode_header(STORE_ID, salt, first_lsn)
    previous, ends = seed, []
    for lsn, payload in enumerate(payloads, first_lsn):
        record, previous = encode_record(RecordType.CHANGE, lsn, lsn - 1, previous, seed, payload)
        data += record
        ends.append(len(data))
    return data, ends


@given(payload=st.binary(max_size=2000), lsn=st.integers(0, 2**63), seed=st.integers(0, 2**32 - 1))
def test_record_round_trip(payload: bytes, lsn: int, seed: int) -> None:
    """A record reads back as it was written, and not with another segment's seed."""
    data, crc = encode_record(RecordType.CHANGE, lsn, max(0, lsn - 1), 7, seed, payload)
    found = decode_record(data + b"behind it", 0, seed)
    assert found is not None
    assert (found.payload, found.lsn, found.previous_crc, found.crc, found.end) == (payload, lsn, 7, crc, len(data))
    assert decode_record(data, 0, seed ^ 1) is None


@given(payloads=PAYLOADS)
def test_segment_cut_at_every_byte(payloads: list[bytes]) -> None:
    """A segment that is cut anywhere is read up to the last whole record."""
    data, ends = make_segment(payloads)
    header = decode_header(data)
    assert header == SegmentHeader(STORE_ID, b"salt" * 4, 1, header.crc)
    for size in range(HEADER_BYTES, len(data) + 1):
        found = [record.payload for record in read_chain(data[:size], header)]
        assert found == payloads[: sum(end <= size for end in ends)]


@given(payloads=PAYLOADS, tail=st.binary(max_size=300))
def test_segment_bytes_behind_its_end(payloads: list[bytes], tail: bytes) -> None:
    """Bytes behind the last record are a torn write: they change nothing and are no damage."""
    data, _ = make_segment(payloads)
    verdict = recover([Segment("1", data + tail)], STORE_ID)
    assert [record.payload for record in verdict.records] == payloads
    assert not verdict.damage


@given(payloads=st.lists(st.binary(max_size=60), min_size=1, max_size=5), data=st.data())
def test_segment_old_records_behind_its_end(payloads: list[bytes], data: st.DataObject) -> None:
    """Records of another segment never pass for this one's."""
    now, _ = make_segment(payloads, 1, b"now!" * 4)
    old, _ = make_segment(payloads, data.draw(st.integers(1, 8)), b"old!" * 4)
    verdict = recover([Segment("1", now + old[HEADER_BYTES:])], STORE_ID)
    assert [record.payload for record in verdict.records] == payloads


@given(contents=st.lists(st.binary(max_size=400), max_size=4))
def test_recover_any_bytes(contents: list[bytes]) -> None:
    """Recovery has a verdict about anything, and finds nothing in noise."""
    verdict = recover([Segment(f"{number}", data) for number, data in enumerate(contents)], STORE_ID, 5)
    assert not verdict.records
    assert verdict.next_lsn == 5


@given(batches=st.lists(PAYLOADS.filter(bool), min_size=1, max_size=3), data=st.data())
def test_recover_mutated_segments(batches: list[list[bytes]], data: st.DataObject) -> None:
    """Whatever bytes change in whichever segment, every record that is read is one that was written, in order."""
    segments: list[bytearray] = []
    written: dict[int, bytes] = {}
    lsn = 1
    for number, payloads in enumerate(batches):
        raw, _ = make_segment(payloads, lsn, bytes([number]) * 16)
        written.update(enumerate(payloads, lsn))
        lsn += len(payloads)
        segments.append(bytearray(raw))
    for _ in range(data.draw(st.integers(1, 4))):
        hit = data.draw(st.sampled_from(segments))
        hit[data.draw(st.integers(0, len(hit) - 1))] = data.draw(st.integers(0, 255))
    verdict = recover([Segment(f"{number}", bytes(raw)) for number, raw in enumerate(segments)], STORE_ID)
    found = [(record.lsn, record.payload) for record in verdict.records]
    assert found == sorted(found)
    assert all(written[lsn] == payload for lsn, payload in found)
    assert verdict.next_lsn > max((lsn for lsn, _ in found), default=0)


@given(data=st.binary(max_size=500))
def test_session_file_any_bytes(data: bytes) -> None:
    """What is no session file is refused in one way only."""
    try:
        decode_session(data, "store")
    except UnreadableError:
        return
    raise AssertionError


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_session_file_changed_byte(at: int, byte: int) -> None:
    """A session file with a changed byte is refused, or means the same."""
    session = new_session(1)
    sound = encode_session(session, "store", 3)
    changed = bytearray(sound)
    changed[at % len(sound)] = byte
    try:
        found = decode_session(bytes(changed), "store")
    except UnreadableError:
        return
    assert found == decode_session(sound, "store")
