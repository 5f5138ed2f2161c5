"""What a session is on disk: events, requests and shares beside what 0.2.0 wrote, and what 0.2.0 wrote without them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from stui_sessiond.model.event import Event, EventLog, Position
from stui_sessiond.model.request import Requests
from stui_sessiond.model.session import Session
from stui_sessiond.storage.api import Commit
from stui_sessiond.storage.change_record import decode_change, encode_change, misses_events, replay
from stui_sessiond.storage.index import Place, decode_index, encode_index
from stui_sessiond.storage.layout import seal_json
from stui_sessiond.storage.records import ChangeRecord, SessionRecord
from stui_sessiond.storage.replay import follow
from stui_sessiond.storage.session_file import decode_session, encode_session
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.translation import entry_record, event_records, header_record, request_records, to_record
from tests.unit.bed.changes import a_full_session, a_new_session, happening, header_only, requests, told_step
from tests.unit.bed.stores import file_of, let_go, opened

NEW_IN_0_5 = {"has_error", "code", "code_cut", "page_chars", "debugger_id"}
NEW_IN_0_3 = {"epoch", "seq", "shares", "key", "events", "requests"}


def record_of(change: Commit) -> ChangeRecord:
    """Write a change as the file storage does, and read it."""
    entries = () if change.entry is None else (change.entry,)
    written = ChangeRecord(
        change.session.header.session_id,
        change.base_version,
        header_record(change.session.header),
        None if change.entry is None else entry_record(change.entry),
        events=event_records(change.events, entries),
        requests=request_records(change.requests),
    )
    return decode_change(encode_change(written))


def store_change(store: Store, change: Commit) -> Session:
    """Make a change durable."""
    lsn = store.writer.append([encode_change(record_of(change))])
    store.note_change(change.session, lsn, 100)
    return change.session


# ---- there and back


def test_session_file_with_everything() -> None:
    """Events, requests, shares and the key come back as they were."""
    session = a_full_session()
    found = decode_session(encode_session(session, "store", 5), "store").session
    assert found == session
    assert (len(found.log.events), len(found.requests.entries), found.header.shares["bob"]) == (3, 6, "editor")  # type: ignore[index]


def test_patch_is_written_once() -> None:
    """The event of a version that is in the same record leaves it to the history; what an image told does not."""
    session = a_full_session()
    written = json.loads(encode_session(session, "store", 5))["session"]["events"]
    assert ["patch" in event["data"] for event in written] == [False, False, True]
    change = told_step(session, "k", a=1)
    assert b"patch" not in bytes(record_of(change).events[0].data)
    assert replay(session, record_of(change)) == change.session


def test_patch_of_a_version_that_is_not_kept() -> None:
    """Then the event has it."""
    session = a_full_session()
    session = replace(session, history=replace(session.history, entries=()))
    written = json.loads(encode_session(session, "store", 5))["session"]["events"]
    assert written[1]["data"]["patch"]
    assert decode_session(encode_session(session, "store", 5), "store").session.log == session.log


@pytest.mark.parametrize("version", [[1], {"a": 1}, "4", 4, None, 4.5])
def test_event_of_an_image_with_a_version(version: object) -> None:
    """What an image tells is kept as it is, whatever names it uses."""
    session = a_full_session()
    event = Event.of(4, "code_changed", 5.0, {"version": version, "patch": "mine"})
    session = replace(session, log=EventLog((*session.log.events, event), session.log.size_bytes + 10))
    found = decode_session(encode_session(session, "store", 5), "store").session
    assert found.log.events[-1] == event


def test_changes_lead_to_the_session() -> None:
    """With events and requests, with a version and without."""
    session = a_new_session()
    changes = [
        happening(session, "a", "b"),
        happening(session, "c", request=requests()[0]),
        told_step(session, "k", a=1),
        header_only(session, closed_at=5.0),
    ]
    for change in changes:
        assert replay(session, record_of(change)) == change.session


def test_request_takes_the_place_of_what_it_was() -> None:
    """Its end follows its beginning under the same key, in the same place."""
    begun = happening(a_new_session(), "begun", request=requests()[0]).session
    begun = happening(begun, request=requests()[1]).session
    change = happening(begun, "ended", request=replace(requests()[0], state="done", result="7"))
    found = replay(begun, record_of(change))
    assert list(found.requests.entries) == ["running", "done"]
    assert found == change.session


# ---- holes


def test_events_that_are_missing_before_a_change() -> None:
    """That is seen: in one epoch by the number, in a new one when it does not begin at 1."""
    session = happening(a_new_session(), "a", "b").session
    follows = happening(session, "c", "d")
    assert not misses_events(session, record_of(follows))
    assert misses_events(session, record_of(happening(follows.session, "e")))
    anew = happening(session.without_events(), "f", epoch="e2")
    assert not misses_events(session, record_of(anew))
    assert misses_events(session, record_of(happening(anew.session, "g", epoch="e2")))
    assert not misses_events(session, record_of(header_only(session, closed_at=1.0)))
    assert misses_events(session, record_of(header_only(follows.session, closed_at=1.0)))


def test_change_that_a_session_whole_makes_good() -> None:
    """Nothing is missing before it, nor before a session's beginning."""
    session = happening(a_new_session(), "a").session
    later = happening(session, "b").session
    change = ChangeRecord(later.header.session_id, 1, header_record(later.header), full=to_record(later))
    assert not misses_events(a_new_session(), change)
    assert not misses_events(None, record_of(happening(session, "b")))


def test_epoch_that_ended_without_an_event() -> None:
    """The events before it are gone with it."""
    session = happening(a_new_session(), "a", "b").session
    for change in (header_only(session.without_events()), header_only(session.without_events(), epoch="e2")):
        found = replay(session, record_of(change))
        assert (found.log, found.header) == (EventLog(), change.session.header)


def test_hole_in_the_events_ends_the_epoch() -> None:
    """The session is all there, and reported as damaged; who knows its old events is told."""
    begin = happening(a_new_session(), "a").session
    lost = happening(begin, "b")
    last = happening(lost.session, "c")
    followed = follow(begin, 1, [(2, record_of(lost)), (3, record_of(last))])
    assert (followed.session, followed.lost) == (last.session, None)
    followed = follow(begin, 1, [(3, record_of(last))])
    assert followed.lost is not None
    assert "events are lost" in followed.lost
    assert followed.session is not None
    assert (followed.session.log, followed.session.header.position) == (EventLog(), Position("", 0))
    assert followed.session.document() == begin.document()


def test_hole_in_the_events_that_was_made_good() -> None:
    """A session that was written whole later has them all."""
    begin = happening(a_new_session(), "a").session
    lost = happening(begin, "b")
    last = happening(lost.session, "c").session
    change = ChangeRecord(last.header.session_id, 1, header_record(last.header), full=to_record(last))
    followed = follow(begin, 1, [(3, record_of(happening(lost.session, "c"))), (4, change)])
    assert (followed.session, followed.lost) == (last, None)


def test_version_that_is_missing_ends_the_epoch() -> None:
    """What was read has no events that somebody could take for the newest."""
    begin = told_step(a_new_session(), "k", a=1).session
    lost = told_step(begin, "l", a=2)
    followed = follow(begin, 1, [(3, record_of(told_step(lost.session, "m", a=3)))])
    assert followed.lost is not None
    assert followed.session is not None
    assert (followed.session.header.version, followed.session.header.epoch) == (2, "")
    assert list(followed.session.requests.entries) == ["k"]


def test_store_reports_a_hole_in_the_events(tmp_path: Path) -> None:
    """A session file that is older than the journal: the session is read, and reported."""
    store = opened(tmp_path / "data")
    session = a_new_session()
    record = ChangeRecord(session.header.session_id, 0, header_record(session.header), full=to_record(session))
    store.note_change(session, store.writer.append([encode_change(record)]), 100)
    session = store_change(store, happening(session, "a"))
    unseen = happening(session, "b").session
    store_change(store, happening(unseen, "c"))
    let_go(store)
    store = opened(tmp_path / "data")
    name = session.header.session_id
    assert "events are lost" in store.damaged[name]
    found = store.load(name)
    assert found is not None
    assert (found.header.version, found.header.position, found.log) == (1, Position("", 0), EventLog())
    store.close()
    store = opened(tmp_path / "data")
    assert name in store.damaged
    let_go(store)


# ---- what version 0.4.0 wrote


def test_requests_without_their_code() -> None:
    """Session files and journals of 0.4.0 are read; of their requests there is no code and no process."""
    session = a_full_session()
    written = msgspec.json.decode(msgspec.json.encode(to_record(session)))
    written["requests"] = [
        {name: value for name, value in one.items() if name not in NEW_IN_0_5} for one in written["requests"]
    ]
    record = msgspec.json.decode(msgspec.json.encode(written), type=SessionRecord)
    found = replay(None, ChangeRecord(session.header.session_id, full=record))
    old = {
        key: replace(one, has_error=False, code=None, code_cut=False, page_chars=None, debugger_id=None)
        for key, one in session.requests.entries.items()
    }
    assert found.requests.entries == old
    assert replace(found, requests=session.requests) == session


# ---- what version 0.2.0 wrote


def without(told: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is new."""
    return {name: value for name, value in told.items() if name not in NEW_IN_0_3}


def as_of_0_2(session: Session) -> Session:
    """What is left of a session without what is new."""
    header = replace(session.header, epoch="", seq=0, shares={}, key=None)
    return replace(session, header=header, log=EventLog(), requests=Requests())


def test_session_file_without_events() -> None:
    """It is read; its events begin anew."""
    session = a_full_session()
    told = without(msgspec.json.decode(msgspec.json.encode(to_record(session))))
    found = msgspec.json.decode(msgspec.json.encode(told), type=SessionRecord)
    change = ChangeRecord(session.header.session_id, full=found)
    assert replay(None, change) == as_of_0_2(session)


def test_change_without_events() -> None:
    """A journal of 0.2.0 leads where it led."""
    session = as_of_0_2(a_full_session())
    text = json.dumps(
        {
            "session_id": session.header.session_id,
            "base_version": 4,
            "header": without(msgspec.to_builtins(header_record(replace(session.header, version=5)))),
            "entry": {"version": 5, "at": 9.0, "what": "reverted"},
        }
    )
    change = decode_change(text.encode())
    assert not misses_events(session, change)
    found = replay(session, change)
    assert (found.header.version, found.header.position, found.log) == (5, Position("", 0), EventLog())
    assert found.history.entries[-1].version == 5


def test_index_without_events() -> None:
    """Its rows are shorter, and are read; new rows come back whole."""
    session = a_full_session()
    place = Place(session.header, 100, 7, 3, 7)
    data = encode_index("store", 7, [place])
    index = decode_index(data, "store")
    assert index is not None
    assert index.places == {session.header.session_id: place}
    lines = [msgspec.json.decode(line) for line in data.splitlines() if line.startswith(b"{")]
    body = next(one for one in lines if "sessions" in one or "content" in one)
    body = body.get("content", body)
    body["sessions"] = [row[:13] for row in body["sessions"]]
    old = decode_index(seal_json(body), "store")
    assert old is not None
    assert old.places == {session.header.session_id: replace(place, header=as_of_0_2(session).header)}


def test_store_of_0_2_is_opened(tmp_path: Path) -> None:
    """Its sessions are there; what happens to them from now on is kept."""
    root = tmp_path / "data"
    store = opened(root)
    session = as_of_0_2(a_full_session())
    record = ChangeRecord(session.header.session_id, 0, header_record(session.header), full=to_record(session))
    store.note_change(session, store.writer.append([encode_change(record)]), 100)
    store.close()
    body = json.loads(file_of(root, session).read_bytes())["session"]
    assert set(body).isdisjoint(NEW_IN_0_3)
    store = opened(root)
    assert store.load(session.header.session_id) == session
    session = store_change(store, happening(session, "first"))
    let_go(store)
    store = opened(root)
    assert store.load(session.header.session_id) == session
    assert store.damaged == {}
    let_go(store)
