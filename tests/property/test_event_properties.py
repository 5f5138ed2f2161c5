"""Logs, ledgers and their records with anything in them, compared with what a list and a dictionary would do."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stui_sessiond.ids import ClientId, ConnectionId, ImageId, InstanceId
from stui_sessiond.model.event import News, Position
from stui_sessiond.model.request import Failure, Origin, RequestEntry, Requests
from stui_sessiond.model.session import Role, Session
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.sessions.ledger import LedgerRules, noted
from stui_sessiond.sessions.log import LogRules, append, follow_up
from stui_sessiond.storage.change_record import decode_change, encode_change, misses_events, replay
from stui_sessiond.storage.records import ChangeRecord
from stui_sessiond.storage.session_file import decode_session, encode_session
from stui_sessiond.storage.translation import entry_record, event_records, header_record, request_records
from tests.unit.bed.changes import a_new_session

NOW = 1000.0
TEXTS = st.text(max_size=5)
VALUES: st.SearchStrategy[Any] = st.none() | st.integers(-5, 5) | TEXTS | st.lists(st.integers(0, 9), max_size=2)
DATA = st.fixed_dictionaries({}, optional={"version": VALUES, "patch": VALUES, "text": VALUES})
NEWS = st.builds(News, st.sampled_from(["transcript", "code_changed", "gap", "x"]), DATA, st.floats(NOW - 50, NOW + 50))
RULES = st.builds(
    LogRules, max_events=st.integers(1, 12), max_bytes=st.integers(1, 300), max_age_s=st.sampled_from([1.0, 30.0, 1e9])
)

# ---- the log


@given(RULES, st.lists(st.lists(NEWS, max_size=4), max_size=12), st.floats(NOW, NOW + 60))
def test_log_tells_exactly_what_is_missing(rules: LogRules, batches: list[list[News]], now: float) -> None:
    """From every position: what comes after it, as far as it is kept, and whether that is all."""
    session = a_new_session()
    everything: list[News] = []
    for batch in batches:
        session, events = append(session, batch, "e1", now, rules)
        everything += batch
        assert [(event.seq, event.name, event.data) for event in events] == [
            (len(everything) - len(batch) + number, each.name, each.data) for number, each in enumerate(batch, start=1)
        ]
    header, log = session.header, session.log
    assert len(log.events) <= rules.max_events
    assert log.size_bytes <= rules.max_bytes
    assert log.size_bytes == sum(event.size_bytes for event in log.events)
    first = len(everything) - len(log.events)
    for seq in range(len(everything) + 2):
        found = follow_up(header, log, Position(header.epoch, seq))
        expected = everything[max(seq, first) :] if seq <= len(everything) else everything[first:]
        assert [event.data for event in found.events] == [each.data for each in expected]
        assert [event.seq for event in found.events] == list(
            range(len(everything) - len(expected) + 1, len(everything) + 1)
        )
        assert (found.missing is None) == (first <= seq <= len(everything))
    assert follow_up(header, log, Position("another", 1)).missing is not None


@given(RULES, st.lists(st.integers(1, 5), max_size=10))
def test_log_begins_anew_after_a_loss(rules: LogRules, losses: list[int]) -> None:
    """Each loss is another epoch, whose events begin at 1; nothing of the one before is in it."""
    session = a_new_session()
    known: list[Position] = []
    for number, count in enumerate(losses):
        session = session.without_events()
        session, events = append(session, [News("x", {}, NOW)] * count, f"e{number}", NOW, rules)
        assert [event.seq for event in events] == list(range(1, count + 1))
        assert all(follow_up(session.header, session.log, position).missing for position in known)
        known.append(session.header.position)


# ---- the ledger

STATES = st.sampled_from(["running", "done", "failed", "lost"])
FAILURES = st.none() | st.builds(Failure, st.just("image_error"), st.sampled_from(["", "no", "x" * 300]), DATA)
ENTRIES = st.builds(
    RequestEntry,
    key=st.sampled_from("abcdefghijkl"),
    command=st.sampled_from(["evaluate", "debug"]),
    digest=st.just("d"),
    accepted_at=st.floats(NOW - 50, NOW),
    state=STATES,
    client_id=st.none() | TEXTS,
    tool_id=st.none() | TEXTS,
    origin=st.none() | st.builds(Origin, st.just(ConnectionId("c")), TEXTS, st.booleans()),
    relay_id=st.none() | TEXTS,
    image_id=st.none() | st.builds(ImageId, TEXTS),
    instance_id=st.none() | st.builds(InstanceId, TEXTS),
    finished_at=st.none() | st.floats(NOW, NOW + 50),
    version=st.none() | st.integers(1, 9),
    result=st.none() | st.integers(0, 60).map("x".__mul__),
    failure=FAILURES,
)
LEDGERS = st.builds(
    LedgerRules,
    max_requests=st.integers(1, 8),
    max_result_bytes=st.integers(0, 500),
    max_age_s=st.sampled_from([10.0, 1e9]),
)


@given(LEDGERS, st.lists(ENTRIES, max_size=15))
def test_ledger_is_bounded(rules: LedgerRules, entries: list[RequestEntry]) -> None:
    """The newest is always there as it is; so many keys and no more; outcomes together within their bound."""
    requests = Requests()
    for entry in entries:
        before = dict(requests.entries)
        after = noted(requests, entry, NOW, rules)
        assert requests.entries == before, "what others hold is never changed"
        requests = after
        assert requests.entries[entry.key] == entry
        assert len(requests.entries) <= rules.max_requests
        assert requests.size_bytes == sum(each.size_bytes for each in requests.entries.values())
        rest = requests.size_bytes - entry.size_bytes
        shortest = sum(len(each.failure.message[:200]) for each in requests.entries.values() if each.failure)
        assert rest <= max(rules.max_result_bytes, shortest)
        for key, each in requests.entries.items():
            if key != entry.key:
                assert each.state == before[key].state, "how a request ended is remembered as long as its key"


# ---- the records


@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(NEWS, max_size=3), st.lists(ENTRIES, max_size=2), st.booleans()), max_size=6
    ),
    st.dictionaries(st.builds(ClientId, TEXTS), st.sampled_from(["viewer", "editor"]), max_size=2),
)
def test_records_keep_events_and_requests(
    changes: list[tuple[bool, list[News], list[RequestEntry], bool]], shares: dict[ClientId, Role]
) -> None:
    """Whatever happened with or without versions and losses: the changes, and the file, lead to the same session."""
    session = a_new_session()
    session = replace(session, header=replace(session.header, shares=shares))
    followed: Session = session
    for number, (versioned, pushed, entries, loses) in enumerate(changes):
        news = pushed
        base = session.header
        made = replace(session, header=replace(session.header, epoch="", seq=0)).without_events() if loses else session
        entry = None
        if versioned:
            made, entry = advance(made, replace(made, state={"n": number}), NOW, "ada", "updated", HistoryRules())
            patch = [step.to_json() for step in entry.steps]
            news = [News("session.updated", {"version": entry.version, "patch": patch}, NOW), *pushed]
        made, events = append(made, news, f"e{number}", NOW, LogRules())
        for one in entries:
            made = replace(made, requests=noted(made.requests, one, NOW, LedgerRules()))
        change = ChangeRecord(
            base.session_id,
            base.version,
            header_record(made.header),
            None if entry is None else entry_record(entry),
            events=event_records(events, () if entry is None else (entry,)),
            requests=request_records(entries),
        )
        read = decode_change(encode_change(change))
        assert not misses_events(followed, read)
        followed = replay(followed, read)
        session = made
        assert followed == session
        assert decode_session(encode_session(session, "store", 1), "store").session == session
