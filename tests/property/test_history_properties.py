"""What holds for every history: steps lead from document to document, merging loses nothing, versions come back."""

import contextlib
from typing import Any

import jsonpatch
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stui_sessiond.ids import DEFAULT_TOOL
from stui_sessiond.model.delta import WEIGHED_CHARS, DeltaError, Step, apply, diff, same
from stui_sessiond.model.session import History
from stui_sessiond.sessions import transitions
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.sessions.merge import merge
from stui_sessiond.storage.change_record import decode_change, encode_change, replay
from stui_sessiond.storage.records import ChangeRecord
from stui_sessiond.storage.translation import entry_record, header_record
from tests.unit.bed.house import a_session

NAMES = st.sampled_from(["a", "b", "c", "", "/", "~", "~1", "ü"])
LEAVES = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, "", "x"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=10
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)
Json = dict[str, Any]


@settings(max_examples=300)
@given(DOCUMENTS, DOCUMENTS)
def test_steps_lead_from_one_document_to_the_other(old: Json, new: Json) -> None:
    """Applied to the one they give the other, to the type of every number; neither is changed on the way."""
    before = msgspec.json.encode([old, new])
    steps = diff(old, new)
    assert same(apply(old, steps), new)
    assert (not steps) is same(old, new)
    assert msgspec.json.encode([old, new]) == before


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(0, 3000), st.integers(0, 400), st.integers(0, 400))
def test_steps_are_not_much_longer_than_the_documents(depth: int, name: int, few: int, many: int) -> None:
    """Every step names its whole place; long names with many changes in them do not multiply."""
    old: Json = {str(n): 0 for n in range(few)}
    new: Json = {str(n): 1 for n in range(many)}
    for _ in range(depth):
        old, new = {"n" * name: old, "o": 1}, {"n" * name: new, "o": 1}
    steps = diff(old, new, "/state")
    assert same(apply({"state": old}, steps)["state"], new)
    size = len(msgspec.json.encode([old, new]))
    assert sum(len(step.path) for step in steps) <= max(WEIGHED_CHARS, 2 * size)


def test_steps_of_one_long_name_are_one_step() -> None:
    """Named one by one, 10,000 members under a name of 100 KB would be a gigabyte."""
    name = "n" * 100_000
    old, new = ({name: {str(n): value for n in range(10_000)}} for value in (1, 2))
    assert diff(old, new, "/state") == [Step("replace", f"/state/{name}", new[name])]


@settings(max_examples=300)
@given(DOCUMENTS, DOCUMENTS)
def test_steps_are_a_patch_that_others_understand(old: Json, new: Json) -> None:
    """A library for RFC 6902 that knows nothing of us comes to the same document."""
    patched = jsonpatch.apply_patch(old, [step.to_json() for step in diff(old, new)])
    assert same(patched, new)


@settings(max_examples=300)
@given(
    DOCUMENTS, st.lists(st.builds(Step, st.sampled_from(["add", "replace", "remove"]), st.text("/a~01")), max_size=4)
)
def test_steps_of_anything(document: Json, steps: list[Step]) -> None:
    """They apply or do not fit; nothing else happens, and the document stays as it was."""
    before = msgspec.json.encode(document)
    with contextlib.suppress(DeltaError):
        assert isinstance(apply(document, steps), dict)
    assert msgspec.json.encode(document) == before


@settings(max_examples=200)
@given(
    st.lists(DOCUMENTS, min_size=1, max_size=12),
    st.integers(1, 8),
    st.integers(0, 300),
    st.integers(0, 40),
)
def test_versions_that_are_kept_are_what_they_were(states: list[Json], count: int, size: int, age: int) -> None:
    """Whatever the bounds, each kept version is the document it was, the bounds hold, and the newest is there."""
    rules = HistoryRules(max_versions=count, max_bytes=size, max_age_s=float(age))
    session = replace(a_session(), history=History(a_session().document(), 1))
    was = {1: session.document()}
    for number, state in enumerate(states):
        session, _ = advance(session, replace(session, state=state), 10.0 * number, "ada", "updated", rules)
        was[session.header.version] = session.document()
        kept = session.history
        assert len(kept.entries) <= count
        assert kept.size_bytes == sum(entry.size_bytes for entry in kept.entries) <= size
        assert all(entry.at >= 10.0 * number - age for entry in kept.entries)
        for version in range(kept.base_version, session.header.version + 1):
            assert same(kept.document_at(version), was[version])
        assert kept.document_at(kept.base_version - 1) is None
        assert kept.document_at(session.header.version + 1) is None


@settings(max_examples=200)
@given(st.lists(DOCUMENTS, min_size=1, max_size=6))
def test_changes_in_the_journal_lead_to_the_session(states: list[Json]) -> None:
    """Replaying the records of the changes gives the session as it was in memory, history included."""
    session = replayed = replace(a_session(), history=History(a_session().document(), 1))
    for number, state in enumerate(states):
        before = session.header.version
        changed = transitions.save_context(replace(session, state=state), DEFAULT_TOOL, {"c": state}, 1.0)
        session, entry = advance(session, changed, 1.7e9 + number, "ada", "updated", HistoryRules())
        record = ChangeRecord(session.header.session_id, before, header_record(session.header), entry_record(entry))
        replayed = replay(replayed, decode_change(encode_change(record)))
    assert replayed == session
    assert same(replayed.document(), session.document())


@settings(max_examples=300)
@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_merge_of_anything(base: Json, ours: Json, theirs: Json) -> None:
    """With itself, with one side unchanged, and mirrored: a merge without conflict is the same from both sides."""
    assert merge(base, ours, ours) == (ours, [])
    assert same(merge(base, ours, base)[0], ours)
    assert same(merge(base, base, theirs)[0], theirs)
    merged, conflicts = merge(base, ours, theirs)
    mirrored, others = merge(base, theirs, ours)
    assert sorted(conflicts) == sorted(others)
    if not conflicts:
        assert same(merged, mirrored)


@settings(max_examples=300)
@given(DOCUMENTS, st.dictionaries(st.just("ours"), VALUES), st.dictionaries(st.just("theirs"), VALUES))
def test_merge_of_changes_to_different_members(base: Json, ours: Json, theirs: Json) -> None:
    """They never are in conflict, and both are there."""
    merged, conflicts = merge(base, {**base, **ours}, {**base, **theirs})
    assert conflicts == []
    assert same(merged, {**base, **theirs, **ours})
