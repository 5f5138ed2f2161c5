"""How a session gets versions, and how many of them are kept."""

from typing import Any

import pytest
from msgspec.structs import replace

from stui_sessiond.ids import ToolId
from stui_sessiond.model.delta import Step
from stui_sessiond.model.session import History, Session, session_delta
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.sessions.transitions import NewSession, create, save_context, seal
from tests.unit.bed.changes import a_new_session

NOW = 1.8e9
PLENTY = HistoryRules(max_versions=10_000, max_bytes=10**9, max_age_s=1e9)


def put(session: Session, rules: HistoryRules, now: float = NOW, **state: Any) -> Session:  # noqa: ANN401 -- any JSON
    """Make the next version with this state."""
    return advance(session, replace(session, state=state), now, "ada", "updated", rules)[0]


def counted(count: int, rules: HistoryRules) -> Session:
    """Make a session whose state is its version, from 2 to this one."""
    session = a_new_session()
    for version in range(2, count + 1):
        session = put(session, rules, NOW, n=version)
    return session


def test_new_session_has_one_version() -> None:
    """Its history begins with it."""
    header = a_new_session().header
    session = create(header.session_id, header.client_id, 60.0, NewSession(client_id="ada"), NOW)
    assert session.history.document_at(1) == session.document() == {"state": {}, "contexts": {}}
    assert session.history.document_at(0) is None
    assert session.history.document_at(2) is None


def test_advance_makes_the_next_version() -> None:
    """It counts, notes when and who and how, and tells the steps; the session before stays as it was."""
    old = a_new_session(a=1)
    new, entry = advance(old, replace(old, state={"b": 2}), NOW, "bob", "updated", PLENTY)
    assert (new.header.version, new.header.last_modified, new.header.last_activity) == (2, NOW, NOW)
    assert new.history.entries == (entry,)
    assert (entry.version, entry.at, entry.client_id, entry.what) == (2, NOW, "bob", "updated")
    assert entry.steps == (Step("remove", "/state/a"), Step("add", "/state/b", 2))
    assert entry.size_bytes == len('[{"op":"remove","path":"/state/a"},{"op":"add","path":"/state/b","value":2}]')
    assert (old.header.version, old.history.entries) == (1, ())


def test_change_of_nothing_is_a_version() -> None:
    """It has no steps, and counts all the same."""
    new = put(a_new_session(a=1), PLENTY, a=1)
    assert (new.header.version, new.history.entries[0].steps) == (2, ())
    assert new.history.document_at(2) == new.history.document_at(1) == new.document()


def test_document_at_every_version() -> None:
    """Each is what it was, contexts included."""
    session, was = a_new_session(), {}
    for version in range(2, 40):
        was[session.header.version] = session.document()
        if version % 3:
            session = put(session, PLENTY, n=version, deep={"list": list(range(version))})
        else:
            changed = save_context(session, ToolId(f"tool/{version % 2}"), {"workspace": {"n": version}}, NOW)
            session, _ = advance(session, changed, NOW, None, "context.saved", PLENTY)
    was[session.header.version] = session.document()
    assert {version: session.history.document_at(version) for version in range(1, 40)} == was
    assert session.with_document(session.history.document_at(39) or {}) == session


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 100])
def test_history_is_bounded_by_count(limit: int) -> None:
    """There never are more versions; when there would be, an eighth of them goes into the base."""
    rules = HistoryRules(max_versions=limit, max_bytes=10**9, max_age_s=1e9)
    session = counted(limit + 1, rules)
    assert (len(session.history.entries), session.history.base_version) == (limit, 1)
    session = put(session, rules, n=limit + 2)
    kept = max(limit * 7 // 8, 1)
    assert len(session.history.entries) == kept
    assert session.history.base_version == limit + 2 - kept
    for version in range(session.history.base_version, limit + 3):
        document = session.history.document_at(version)
        assert document is not None
        assert document["state"] == ({"n": version} if version > 1 else {})
    assert session.history.document_at(session.history.base_version - 1) is None


def test_history_is_bounded_by_bytes() -> None:
    """Steps beyond the bound go, the oldest first; the sum told is the sum kept."""
    rules = HistoryRules(max_versions=10_000, max_bytes=5000, max_age_s=1e9)
    session = a_new_session()
    most = 0
    for version in range(2, 200):
        session = put(session, rules, text="x" * 100, n=version)
        history = session.history
        assert history.size_bytes == sum(entry.size_bytes for entry in history.entries) <= 5000
        most = max(most, history.size_bytes)
        assert history.base_version == history.entries[0].version - 1
    assert most > 4000


def test_version_larger_than_the_history() -> None:
    """Then nothing before it is kept, and it is there itself."""
    rules = HistoryRules(max_versions=100, max_bytes=1000, max_age_s=1e9)
    session = put(counted(5, rules), rules, text="x" * 2000)
    assert session.history == History(session.document(), 6)
    assert session.history.document_at(6) == session.document()
    session = put(session, rules, text="y")
    assert [entry.version for entry in session.history.entries] == [7]


def test_history_is_bounded_by_age() -> None:
    """What is older than the bound goes with the next change, not before."""
    rules = HistoryRules(max_versions=100, max_bytes=10**9, max_age_s=60.0)
    session = a_new_session()
    for seconds in range(0, 100, 10):
        session = put(session, rules, NOW + seconds, n=seconds)
    assert all(entry.at >= NOW + 30 for entry in session.history.entries)
    session = put(session, rules, NOW + 1000, n="late")
    assert [entry.at for entry in session.history.entries] == [NOW + 1000]
    document = session.history.document_at(session.header.version - 1)
    assert document is not None
    assert document["state"] == {"n": 90}


def test_session_delta_looks_at_what_is_another_object() -> None:
    """A tool's context that stayed is not compared; one that came, went or changed is."""
    one, two = seal({"workspace": {"a": 1}}, 1.0), seal({}, 1.0)
    old = replace(a_new_session(), contexts={ToolId("a/b"): one, ToolId("gone"): two})
    new = replace(old, contexts={ToolId("a/b"): one, ToolId("come"): two})
    assert [(step.op, step.path) for step in session_delta(old, new)] == [
        ("remove", "/contexts/gone"),
        ("add", "/contexts/come"),
    ]
    changed = replace(old, contexts={**old.contexts, ToolId("a/b"): seal({"workspace": {"a": 2}}, 1.0)})
    assert {step.path for step in session_delta(old, changed)} == {
        "/contexts/a~1b/sections/workspace/a",
        "/contexts/a~1b/checksum",
    }
    assert session_delta(old, replace(old, state=dict(old.state), contexts=dict(old.contexts))) == []
