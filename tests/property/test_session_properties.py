"""What holds for every session: what is stored is read back, and merging is what the specification says."""

import contextlib
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stui_sessiond.errors import (
    ClientNotAllowedError,
    InvalidPatchError,
    ParameterError,
    SessionNotFoundError,
    SessionTooLargeError,
)
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.delta import Step, patch_of
from stui_sessiond.model.session import History, HistoryEntry, NamedSnapshot, Session, SessionHeader
from stui_sessiond.security.access import Access, AccessLists, AccessRules
from stui_sessiond.sessions import transitions
from stui_sessiond.sessions.transitions import Change, Mode, found_checksum, seal
from stui_sessiond.sessions.validator import SessionRules, SessionValidator
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session, encode_session
from tests.unit.bed.house import a_session

TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=15)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
TIMES = st.floats(0, 4e9)
CONTEXTS = st.dictionaries(
    TEXT.map(ToolId), st.builds(seal, st.dictionaries(TEXT, OBJECTS, max_size=3), TIMES), max_size=3
)
STEPS = st.builds(Step, st.sampled_from(["add", "replace"]), TEXT, JSON) | st.builds(Step, st.just("remove"), TEXT)
ENTRIES = st.builds(
    HistoryEntry,
    st.integers(0, 2**53),
    TIMES,
    st.none() | TEXT,
    TEXT,
    st.lists(STEPS, max_size=2).map(patch_of),
)
HISTORIES = st.builds(
    lambda base, version, entries: History(base, version, entries, sum(entry.size_bytes for entry in entries)),
    OBJECTS,
    st.integers(0, 2**53),
    st.lists(ENTRIES, max_size=2).map(tuple),
)
SNAPSHOTS = st.dictionaries(
    TEXT, st.builds(NamedSnapshot, st.integers(0, 2**53), TIMES, OBJECTS, st.integers(0, 2**53)), max_size=2
)
SESSIONS = st.builds(
    Session,
    header=st.builds(
        SessionHeader,
        session_id=TEXT.map(SessionId),
        client_id=TEXT.map(ClientId),
        created_at=TIMES,
        last_modified=TIMES,
        last_activity=TIMES,
        timeout_s=TIMES,
        version=st.integers(0, 2**53),
        image_id=st.none() | TEXT.map(ImageId),
        name=st.none() | TEXT,
        closed_at=st.none() | TIMES,
    ),
    state=OBJECTS,
    contexts=CONTEXTS,
    history=HISTORIES,
    snapshots=SNAPSHOTS,
    description=st.none() | TEXT,
    client_version=st.none() | TEXT,
    client_info=OBJECTS,
    config=OBJECTS,
)


@given(SESSIONS)
def test_session_survives_its_record(session: Session) -> None:
    """Every session is read back as it was written, checksums of contexts included."""
    found = decode_session(encode_session(session, "store", 17), "store")
    assert (found.session, found.lsn, found.format_version) == (session, 17, 2)
    assert all(found_checksum(stored) == stored.checksum for stored in found.session.contexts.values())


@settings(max_examples=200)
@given(SESSIONS, st.data())
def test_session_record_that_is_damaged(session: Session, data: st.DataObject) -> None:
    """A changed byte or a cut is found, or changes nothing that is read."""
    record = bytearray(encode_session(session, "store", 17))
    place = data.draw(st.integers(0, len(record) - 1))
    if data.draw(st.booleans()):
        del record[place:]
    else:
        record[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableError):
        found = decode_session(bytes(record), "store")
        assert (found.session, found.lsn) == (session, 17)


@given(st.binary(max_size=200))
def test_session_record_of_any_bytes(data: bytes) -> None:
    """Nothing but a session file is one."""
    try:
        decode_session(data, "store")
    except UnreadableError:
        return
    msg = "arbitrary bytes were taken for a session"
    raise AssertionError(msg)


def naive_merge(target: object, patch: object) -> object:
    """Merge as RFC 7396 section 2 writes it, line by line."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            if name in result:
                del result[name]
        else:
            result[name] = naive_merge(result.get(name), value)
    return result


FEW = st.sampled_from("abc")
SMALL = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FEW, inner),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.dictionaries(FEW, SMALL), st.dictionaries(FEW, SMALL))
def test_merge_is_what_the_specification_says(state: dict[str, Any], patch: dict[str, Any]) -> None:
    """The same result as the specification's own pseudo-code, and the state before untouched."""
    before = msgspec.json.encode(state)
    changed = transitions.update(a_session(**state), Change(patch, Mode.MERGE), 1.8e9, 10**6)
    assert changed.state == naive_merge(state, patch)
    assert msgspec.json.encode(state) == before


POINTERS = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "", "~0", "~1", "~"]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": POINTERS},
    optional={"from": POINTERS | st.none(), "value": SMALL},
)


@settings(max_examples=300)
@given(st.dictionaries(FEW, SMALL), st.lists(OPERATIONS | SMALL, max_size=5))
def test_patch_of_anything(state: dict[str, Any], operations: list[Any]) -> None:
    """A patch applies or is refused as one; the state before is untouched, the one after is an object."""
    before = msgspec.json.encode(state)
    try:
        changed = transitions.update(a_session(**state), Change(operations, Mode.PATCH), 1.8e9, 1000)
    except (InvalidPatchError, SessionTooLargeError):
        pass
    else:
        assert isinstance(changed.state, dict)
        msgspec.json.encode(changed.state)
    assert msgspec.json.encode(state) == before


@given(st.text(), st.lists(st.text(), max_size=2), st.lists(st.text(), max_size=2))
def test_validator_of_anything(text: str, allow: list[str], deny: list[str]) -> None:
    """Whatever text a peer or an operator makes up, it is let in or refused with a code."""
    validator = SessionValidator(SessionRules(), Access(AccessRules(clients=AccessLists(allow, deny))))
    for check in (validator.admit_client, validator.tool_id, validator.session_id):
        with contextlib.suppress(ParameterError, ClientNotAllowedError, SessionNotFoundError):
            check(text)
