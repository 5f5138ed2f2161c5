"""Events on their way to the disk and back: what an image put into one comes back as it was. Found by the fuzzer."""

from typing import Any

import msgspec
import pytest

from stui_sessiond.ids import ClientId, SessionId
from stui_sessiond.model.delta import Step, patch_of
from stui_sessiond.model.event import Event, EventLog
from stui_sessiond.model.session import History, HistoryEntry, Session, SessionHeader
from stui_sessiond.storage.session_file import decode_session, encode_session

STORE = "0123456789abcdef0123456789abcdef"
STEP = Step("add", "/state/a", 1)


def session_with(*events: Event) -> Session:
    """A session at version 2 with these events."""
    header = SessionHeader(
        session_id=SessionId("session_1_1756550000_aaaaaaaaaaaaaaaaaaaaaa"),
        client_id=ClientId("me"),
        created_at=1.0,
        last_modified=2.0,
        last_activity=2.0,
        timeout_s=60.0,
        version=2,
        epoch="e",
        seq=len(events),
    )
    base: dict[str, Any] = {"state": {}, "contexts": {}}
    history = History(base, 1, (HistoryEntry(2, 2.0, ClientId("me"), "updated", patch_of([STEP])),), 10)
    return Session(header=header, state={"a": 1}, history=history, log=EventLog(events, 0))


@pytest.mark.parametrize("version", [[1], {}, "2", None, 2, 2.0, True])
@pytest.mark.parametrize("name", ["progress", "session.updated"])
def test_event_with_a_version_of_any_type(name: str, version: object) -> None:
    """Whatever an event calls `version`, it is written and read."""
    data = {"version": version, "patch": [STEP.to_json()]}
    written = encode_session(session_with(Event.of(1, name, 2.0, data)), STORE, 1)
    assert decode_session(written, STORE).session.log.events[0].data == data


def test_event_of_an_image_keeps_its_own_patch() -> None:
    """A `patch` is left out of the file only where the history has it: in the daemon's own event of that version."""
    mine = {"version": 2, "patch": "mine"}
    updated = {"version": 2, "patch": [STEP.to_json()]}
    session = session_with(Event.of(1, "progress", 2.0, mine), Event.of(2, "session.updated", 2.0, updated))
    written = encode_session(session, STORE, 1)
    stored = msgspec.json.decode(written)["session"]["events"]
    assert [each["data"] for each in stored] == [mine, {"version": 2}]
    assert [each.data for each in decode_session(written, STORE).session.log.events] == [mine, updated]
