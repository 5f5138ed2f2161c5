"""Fuzz targets whose bytes are choices: well-typed content that no random damage would arrive at.

A decoder in C gives a coverage fuzzer no hints; so what it accepts is made from the schemas of the records themselves.
"""

import hashlib
from typing import Any, Final

import msgspec

from stui_sessiond.model.delta import Step
from stui_sessiond.storage import records
from stui_sessiond.storage.index import decode_index
from stui_sessiond.storage.records import ChangeRecord, SessionRecord
from stui_sessiond.testing.fuzz.shapes import instance
from stui_sessiond.testing.fuzz.source import PERCENT, Source, chance, pick
from stui_sessiond.testing.fuzz.values import write
from tests.fuzz.storage_targets import MAX_RECORDS, STORE, index, journal_content, session_file

SESSION: Final = "session_1_1756550000_aaaaaaaaaaaaaaaaaaaaaa"
_TEMPLATE: Final = "#/$defs/{name}"


class FromBytes:
    """Choices that bytes make; when they are used up, always the simplest."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, bound: int) -> int:
        """Choose."""
        size = 1 if bound <= 256 else 2
        piece = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(piece, "big") % bound


def _document(kind: type[msgspec.Struct]) -> tuple[dict[str, Any], dict[str, Any]]:
    (reference, step), parts = msgspec.json.schema_components((kind, Step), ref_template=_TEMPLATE)
    # what a record keeps as text has a shape as well
    parts["EventRecord"]["properties"]["data"] = {"type": "object"}
    parts["EntryRecord"]["properties"]["steps"] = {"type": "array", "items": step}
    return reference, {"$defs": parts}


_SESSION: Final = _document(SessionRecord)
_CHANGE: Final = _document(ChangeRecord)


def _text(tree: object) -> bytes:
    return write(tree, lambda _: None).encode("utf-8", "replace")


def _tidy(source: Source, record: dict[str, Any]) -> dict[str, Any]:
    """Make what belongs together fit, mostly: events and versions that point at each other."""
    record["session_id"] = SESSION
    for event in record.get("events", ()):
        if chance(source, PERCENT // 2):
            event["name"] = "session.updated"
            event["data"]["version"] = pick(source, (1, 2, "1", [], {}, None, 1.0))
    return record


def made_session(data: bytes) -> None:
    """A well-typed session file."""
    source = FromBytes(data)
    session_file(b"\x01" + _text(_tidy(source, instance(source, *_SESSION))))


def made_changes(data: bytes) -> None:
    """Well-typed changes of one session, one after the other."""
    source = FromBytes(data)
    changes = []
    for number in range(1 + source.below(MAX_RECORDS - 1)):
        change = _tidy(source, instance(source, *_CHANGE))
        if number == 0 or chance(source, 10):
            change["full"] = _tidy(source, instance(source, *_SESSION))
        elif change.get("header") and not chance(source, 10):
            change.pop("full", None)
            change["base_version"] = pick(source, (1, 2, 0))
            change["header"]["session_id"] = SESSION
        changes.append(_text(change))
    journal_content(b"\0".join(changes))


def made_index(data: bytes) -> None:
    """An index with a right checksum whose rows have one value of any type."""
    source = FromBytes(data)
    row: list[Any] = [SESSION, "c", 1.0, 1.0, 1.0, 60.0, 1, None, None, None, 10, 1, 0, "e", 1, {}, None]
    if chance(source, 70):
        row[source.below(len(row))] = instance(source, {}, {})
    tree = {
        "format": "stui-index",
        "format_version": 2,
        "store_id": STORE,
        "lsn": 1,
        "sessions": [row[: source.below(20)], row],
    }
    index(b"\x01" + _text(tree))
    text = _text(tree)
    decode_index(text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n", STORE)


REFUSALS: Final = (records.UnreadableError,)
