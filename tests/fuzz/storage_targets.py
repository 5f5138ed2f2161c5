"""Fuzz targets of what is read back from the disk: journal, changes, session files, index, the file of the store.

A checksum would keep a fuzzer out, so each target also puts a right one around what it is given: what is behind the
checksum has to hold, too.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from stui_sessiond.errors import StorageError
from stui_sessiond.model.session import Session
from stui_sessiond.storage import journal, layout, records, replay
from stui_sessiond.storage.index import decode_index, encode_index
from stui_sessiond.storage.recovery import Segment, recover
from stui_sessiond.storage.session_file import decode_session, encode_session

STORE: Final = "0123456789abcdef0123456789abcdef"
STORE_BYTES: Final = bytes.fromhex(STORE)
MAX_RECORDS: Final = 8


def segment(payloads: list[bytes], first_lsn: int = 1) -> bytes:
    """Write a segment with these payloads."""
    data, crc = journal.encode_header(STORE_BYTES, b"s" * 16, first_lsn)
    seed = crc
    for number, payload in enumerate(payloads):
        lsn = first_lsn + number
        record, crc = journal.encode_record(journal.RecordType.CHANGE, lsn, lsn - 1, crc, seed, payload)
        data += record
    return data


def journal_bytes(data: bytes) -> None:
    """Damaged segments, one or two (cut at the first byte's place): recovery gives a verdict, and it is consistent."""
    if not data:
        return
    place = data[0] * len(data) // 256
    parts = [data[1:]] if place < 2 else [data[1:place], data[place:]]
    segments = [Segment(f"{number}.journal", part) for number, part in enumerate(parts)]
    verdict = recover(segments, STORE_BYTES)
    assert all(record.lsn < verdict.next_lsn for record in verdict.records)
    assert all(size >= 0 for size in verdict.torn.values())
    follow_all(verdict.records)


def journal_content(data: bytes) -> None:
    """Records with right checksums and any content, separated by a zero byte."""
    verdict = recover([Segment("1.journal", segment(data.split(b"\0")[:MAX_RECORDS]))], STORE_BYTES)
    assert not verdict.damage
    assert not verdict.torn
    follow_all(verdict.records)


def follow_all(found: "list[journal.Record] | tuple[journal.Record, ...] | object") -> None:
    """Make sessions of what recovery gave."""
    assert isinstance(found, list)
    try:
        changes = replay.by_session(found)
    except records.UnreadableError:
        return
    for of_one in changes.values():
        followed = replay.follow(None, 0, of_one)
        if followed.session is not None:
            check_session(followed.session)


def session_file(data: bytes) -> None:
    """A session file as it is (first byte even), or any content with a right checksum."""
    if not data or data[0] % 2 == 0:
        found = decode_session(data[1:], STORE)
    else:
        body = data[1:]
        checksum = f"sha256:{hashlib.sha256(b'7:' + body).hexdigest()}".encode()
        head = f'{{"format":"stui-session","format_version":2,"store_id":"{STORE}","lsn":7,"checksum":"'.encode()
        found = decode_session(head + checksum + b'","session":' + body + b"}", STORE)
    check_session(found.session)


def check_session(session: Session) -> None:
    """What was read can be written, and reads the same again."""
    again = decode_session(encode_session(session, STORE, 7), STORE).session
    assert again.header == session.header
    assert again.state == session.state
    assert again.contexts == session.contexts


def index(data: bytes) -> None:
    """An index as it is (first byte even), or any content with a right checksum: it is read or it is not."""
    raw = data[1:]
    if data and data[0] % 2:
        raw = raw + b"\n" + hashlib.sha256(raw).hexdigest().encode() + b"\n"
    found = decode_index(raw, STORE)
    if found is not None:
        again = decode_index(encode_index(STORE, found.lsn, found.places.values()), STORE)
        assert again is not None
        assert again.lsn == found.lsn


def store_file(data: bytes) -> None:
    """The file that says which store this is."""
    raw = data[1:]
    if data and data[0] % 2:
        raw = raw + b"\n" + hashlib.sha256(raw).hexdigest().encode() + b"\n"
    found = layout.read_identity(Path("store.json"), raw)
    msgspec.json.encode(found)


REFUSALS: Final = (records.UnreadableError, StorageError)
