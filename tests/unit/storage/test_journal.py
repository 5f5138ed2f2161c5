"""The bytes of the journal, and its writer: what is changed is found, what fails is taken back."""

import errno
import zlib
from pathlib import Path

import pytest

from stui_sessiond.storage.journal import (
    ALIGN,
    HEADER_BYTES,
    RECORD_BYTES,
    HeaderError,
    RecordType,
    decode_header,
    decode_record,
    encode_header,
    encode_record,
    read_chain,
    search,
)
from stui_sessiond.storage.layout import Layout
from stui_sessiond.storage.segments import DiskFailedError, DiskFullError, JournalWriter
from tests.unit.bed.disk import TestDisk
from tests.unit.bed.journals import SALT, STORE, a_segment, payload

# ---- bytes


def test_header() -> None:
    """It says whose it is and where it begins; its checksum seeds the records."""
    data, crc = encode_header(STORE, SALT, 17)
    assert len(data) == HEADER_BYTES
    header = decode_header(data + b"more")
    assert (header.store_id, header.salt, header.first_lsn, header.crc) == (STORE, SALT, 17, crc)
    assert crc == zlib.crc32(data[12:56]) == int.from_bytes(data[8:12], "little")


def test_every_bit_of_a_header_counts() -> None:
    """No bit of it can be another without being found, and no byte can be missing."""
    data, _ = encode_header(STORE, SALT, 17)
    for place in range(8 * HEADER_BYTES):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(HeaderError):
            decode_header(bytes(changed))
    for length in range(HEADER_BYTES):
        with pytest.raises(HeaderError, match=f"only {length} bytes"):
            decode_header(data[:length])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000])
def test_record(size: int) -> None:
    """It is read as it was written; the next one begins at a multiple of eight."""
    content = bytes(number % 256 for number in range(size))
    data, crc = encode_record(RecordType.CHANGE, 5, 3, 11, 99, content)
    assert len(data) % ALIGN == 0
    record = decode_record(b"before.." + data + b"after", 8, 99)
    assert record is not None
    assert (record.kind, record.lsn, record.durable_lsn, record.previous_crc) == (RecordType.CHANGE, 5, 3, 11)
    assert (record.payload, record.crc, record.end) == (content, crc, 8 + len(data))
    assert decode_record(data, 0, 98) is None  # the seed of another segment


def test_every_bit_of_a_record_counts() -> None:
    """Also those of its padding; a record that is cut is none."""
    data, _ = encode_record(RecordType.CHANGE, 5, 3, 11, 99, b"a payload")
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert decode_record(bytes(changed), 0, 99) is None, place
    assert all(decode_record(data[:length], 0, 99) is None for length in range(len(data)))


def test_record_that_claims_to_be_huge() -> None:
    """A length beyond reason is not followed."""
    data, _ = encode_record(RecordType.CHANGE, 5, 3, 11, 99, b"")
    huge = data[:8] + (2**32 - 1).to_bytes(4, "little") + data[12:]
    assert decode_record(huge, 0, 99) is None


def test_chain() -> None:
    """Records are read as long as each follows on the one before it."""
    segment, starts = a_segment(7, 5, sealed=True)
    header = decode_header(segment.data)
    records = list(read_chain(segment.data, header))
    assert [record.lsn for record in records] == [7, 8, 9, 10, 11, 12]
    assert [record.payload for record in records] == [*(payload(lsn) for lsn in range(7, 12)), b""]
    assert [record.kind for record in records] == [RecordType.CHANGE] * 5 + [RecordType.SEAL]
    assert [record.end for record in records] == starts[1:]
    swapped = segment.data[: starts[1]] + segment.data[starts[2] : starts[3]] + segment.data[starts[1] : starts[2]]
    assert [record.lsn for record in read_chain(swapped, header)] == [7]
    doubled = segment.data[: starts[2]] + segment.data[starts[1] : starts[2]]
    assert [record.lsn for record in read_chain(doubled, header)] == [7, 8]


def test_search_finds_records_behind_damage() -> None:
    """Chain or not; what only looks like one is passed over."""
    segment, starts = a_segment(1, 4)
    header = decode_header(segment.data)
    data = segment.data[: starts[1]] + b"SJL2" * 9 + segment.data[starts[2] :]
    assert [record.lsn for record in search(data, starts[1], header.crc)] == [3, 4]
    assert list(search(data, starts[1], header.crc ^ 1)) == []


# ---- the writer


def a_writer(folder: Path, disk: TestDisk, first: int = 1, segment_bytes: int = 10_000) -> JournalWriter:
    """Make a writer in a folder of its own."""
    layout = Layout(folder)
    layout.journal.mkdir(parents=True, exist_ok=True)
    return JournalWriter(disk, layout, STORE, first, lambda: SALT, segment_bytes)


def lsns(folder: Path) -> dict[str, list[int]]:
    """Read what is on the disk: the LSNs in every segment."""
    return {
        path.name.lstrip("0"): [record.lsn for record in read_chain(data, decode_header(data))]
        for path in sorted((folder / "journal").iterdir())
        if (data := path.read_bytes())
    }


def test_writer_appends_and_syncs(tmp_path: Path) -> None:
    """A segment is begun with the first record; each batch is one write and one sync, and says what was durable."""
    disk = TestDisk()
    writer = a_writer(tmp_path, disk)
    assert writer.append([b"one"]) == 1
    assert [name for name, _ in disk.calls] == ["append_new", "write", "sync", "sync_folder", "write", "sync"]
    disk.calls.clear()
    assert writer.append([b"two", b"three"]) == 2
    assert [name for name, _ in disk.calls] == ["write", "sync"]
    assert (writer.next_lsn, writer.durable_lsn, writer.segments) == (4, 3, [1])
    writer.close()
    data = (tmp_path / "journal" / f"{1:016x}.journal").read_bytes()
    records = list(read_chain(data, decode_header(data)))
    assert [(record.lsn, record.durable_lsn, record.payload) for record in records] == [
        (1, 0, b"one"),
        (2, 1, b"two"),
        (3, 1, b"three"),
    ]


def test_writer_seals_once(tmp_path: Path) -> None:
    """An idle journal says that all of it is durable; there is nothing to say twice, nor in an empty one."""
    writer = a_writer(tmp_path, TestDisk())
    writer.seal()
    assert lsns(tmp_path) == {}
    writer.append([b"one", b"two"])
    writer.seal()
    writer.seal()
    assert writer.next_lsn == 4
    writer.append([b"three"])
    writer.close()
    data = (tmp_path / "journal" / f"{1:016x}.journal").read_bytes()
    records = list(read_chain(data, decode_header(data)))
    assert [record.kind for record in records] == [
        RecordType.CHANGE,
        RecordType.CHANGE,
        RecordType.SEAL,
        RecordType.CHANGE,
    ]
    assert [record.durable_lsn for record in records] == [0, 0, 2, 3]


def test_writer_begins_segments(tmp_path: Path) -> None:
    """A full segment gets no more changes, but may get its seal; old ones can be dropped, the open one never."""
    writer = a_writer(tmp_path, TestDisk(), segment_bytes=HEADER_BYTES + 2 * RECORD_BYTES)
    for _ in range(5):
        writer.append([b""])
    assert lsns(tmp_path) == {"1.journal": [1, 2], "3.journal": [3, 4], "5.journal": [5]}
    writer.append([b""])
    writer.seal()
    assert lsns(tmp_path)["5.journal"] == [5, 6, 7]
    assert writer.segments == [1, 3, 5]
    writer.drop_before(4)
    assert list(lsns(tmp_path)) == ["3.journal", "5.journal"]
    writer.drop_before(1000)
    assert list(lsns(tmp_path)) == ["5.journal"]
    writer.close()


def test_writer_drops_segments_oldest_first(tmp_path: Path) -> None:
    """Each is gone for good before the next goes, so that a power loss leaves no hole."""
    disk = TestDisk()
    writer = a_writer(tmp_path, disk, segment_bytes=1)
    for _ in range(4):
        writer.append([b""])
    disk.calls.clear()
    writer.drop_before(4)
    assert [name for name, _ in disk.calls] == ["remove", "sync_folder"] * 3
    disk.fail(errno.EIO)
    writer.close()


@pytest.mark.parametrize("fresh", [True, False])
def test_writer_on_a_disk_that_is_full(tmp_path: Path, fresh: bool) -> None:
    """Whichever call finds no room, nothing of the batch stays, and the writer goes on when there is room."""
    for call in (1, 2, 4, 5) if fresh else (1,):
        folder, disk = tmp_path / str(call), TestDisk()
        writer = a_writer(folder, disk)
        if not fresh:
            writer.append([b"old"])
        disk.fail(errno.ENOSPC, at=call)
        with pytest.raises(DiskFullError):
            writer.append([b"new", b"er"])
        disk.heal()
        assert writer.durable_lsn == (0 if fresh else 1)
        assert lsns(folder) == ({} if fresh else {"1.journal": [1]})
        assert writer.append([b"later"]) == (1 if fresh else 2)
        assert lsns(folder) == ({"1.journal": [1]} if fresh else {"1.journal": [1], "2.journal": [2]})
        writer.close()


def test_writer_takes_back_what_was_half_written(tmp_path: Path) -> None:
    """A write that took only a part is cut off again."""
    disk = TestDisk()
    writer = a_writer(tmp_path, disk)
    writer.append([b"old"])
    path = tmp_path / "journal" / f"{1:016x}.journal"
    sound = path.read_bytes()
    assert writer._file is not None
    writer._file.write(b"half of a record")  # as the system does before it says ENOSPC
    disk.fail(errno.ENOSPC, at=1)
    with pytest.raises(DiskFullError):
        writer.append([b"new"])
    assert path.read_bytes() == sound
    writer.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
def test_writer_on_a_disk_that_failed(tmp_path: Path, number: int, call: int) -> None:
    """Nothing can be trusted any more: everything after it is refused, whatever the disk says then."""
    disk = TestDisk()
    writer = a_writer(tmp_path, disk)
    disk.fail(number, at=call)
    with pytest.raises(DiskFailedError):
        writer.append([b"new"])
    disk.heal()
    with pytest.raises(DiskFailedError, match="failed before"):
        writer.append([b"newer"])
    writer.seal()
    assert (writer.durable_lsn, disk.calls) == (0, [])
    writer.close()


@pytest.mark.parametrize("call", [3, 6])
def test_writer_whose_sync_finds_no_room(tmp_path: Path, call: int) -> None:
    """A failed sync is never tried again, not even when it was for want of room."""
    disk = TestDisk()
    writer = a_writer(tmp_path, disk)
    disk.fail(errno.ENOSPC, at=call)
    with pytest.raises(DiskFailedError):
        writer.append([b"new"])
    assert disk.failed == ["sync"]
    writer.close()
