"""Which events are kept, and what follows on a position."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from stui_sessiond.model.event import Event, News, Position
from stui_sessiond.model.session import Session
from stui_sessiond.sessions.log import LogRules, append, follow_up
from tests.unit.bed.house import a_session

RULES = LogRules(max_events=8, max_bytes=1000, max_age_s=100.0)
NOW = 1000.0


def news(count: int, at: float = NOW, **data: Any) -> list[News]:  # noqa: ANN401 -- any JSON
    """Make so many pieces of news."""
    return [News("happened", data, at) for _ in range(count)]


def with_events(count: int, rules: LogRules = LogRules(), epoch: str = "e1") -> Session:  # noqa: B008 -- frozen
    """Make a session to which so much happened, one after the other."""
    session = a_session()
    for _ in range(count):
        session, _ = append(session, news(1), epoch, NOW, rules)
    return session


def numbers(events: Sequence[Event]) -> list[int]:
    """List where events are."""
    return [event.seq for event in events]


def test_append_to_a_session_without_events() -> None:
    """It begins the epoch that is offered, at 1."""
    session, events = append(a_session(), news(2, a=1), "e1", NOW, RULES)
    assert session.header.position == Position("e1", 2)
    assert events == list(session.log.events)
    assert (events[0].seq, events[0].name, events[0].at, events[0].data) == (1, "happened", NOW, {"a": 1})
    assert events[0].size_bytes == len(json.dumps({"a": 1}, separators=(",", ":")))
    assert session.log.size_bytes == 2 * events[0].size_bytes


def test_append_to_a_session_with_events() -> None:
    """Numbers go on, and the epoch that is offered is not taken."""
    session, events = append(with_events(2), news(1), "e2", NOW, RULES)
    assert (session.header.position, events[0].seq) == (Position("e1", 3), 3)


def test_append_after_events_were_lost() -> None:
    """What is left of the old epoch goes, and the new one begins at 1."""
    session, events = append(with_events(3).without_events(), news(1), "e2", NOW, RULES)
    assert (session.header.position, events[0].seq) == (Position("e2", 1), 1)
    assert numbers(session.log.events) == [1]


def test_append_of_nothing() -> None:
    """Nothing is what it was."""
    session, events = append(with_events(2), (), "e2", NOW, RULES)
    assert (session, events) == (with_events(2), [])


def test_append_leaves_the_session_alone_otherwise() -> None:
    """Only the position and the log are others."""
    before = a_session(a=1)
    after, _ = append(before, news(3), "e1", NOW, RULES)
    header = replace(after.header, epoch="", seq=0)
    assert replace(after, header=header, log=before.log) == before


def test_log_with_too_many_events() -> None:
    """An eighth more than the surplus is dropped from its beginning, so that it does not happen at every event."""
    session = with_events(8, RULES)
    assert numbers(session.log.events) == [1, 2, 3, 4, 5, 6, 7, 8]
    session, _ = append(session, news(1), "e1", NOW, RULES)
    assert numbers(session.log.events) == [3, 4, 5, 6, 7, 8, 9]
    assert session.log.size_bytes == sum(event.size_bytes for event in session.log.events)


def test_log_with_too_many_bytes() -> None:
    """The oldest go until an eighth of the room is free."""
    session = a_session()
    for _ in range(4):
        session, _ = append(session, news(1, text="x" * 289), "e1", NOW, RULES)
    assert numbers(session.log.events) == [3, 4]
    assert session.log.size_bytes == 600


def test_event_larger_than_the_log() -> None:
    """It is told and not kept, and its number is used."""
    session, events = append(with_events(2), news(1, text="x" * 2000), "e1", NOW, RULES)
    assert (len(events), session.log.events, session.log.size_bytes) == (1, (), 0)
    assert session.header.position == Position("e1", 3)


def test_log_with_old_events() -> None:
    """What is older than the rules say goes with the next event."""
    session, _ = append(with_events(2), news(1, at=NOW + 101), "e1", NOW + 101, RULES)
    assert numbers(session.log.events) == [3]


@pytest.mark.parametrize(("seq", "expected"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, [])])
def test_follow_up_of_a_position_in_the_log(seq: int, expected: list[int]) -> None:
    """All that came after it, and nothing is missing."""
    session = with_events(3)
    replay = follow_up(session.header, session.log, Position("e1", seq))
    assert (numbers(tuple(replay.events)), replay.missing) == (expected, None)


@pytest.mark.parametrize(("since", "reason"), [(1, "before 3"), (0, "before 3")])
def test_follow_up_of_a_position_before_the_log(since: int, reason: str) -> None:
    """What is kept, and that something before it is not."""
    session = with_events(9, RULES)
    replay = follow_up(session.header, session.log, Position("e1", since))
    assert numbers(tuple(replay.events)) == [3, 4, 5, 6, 7, 8, 9]
    assert replay.missing is not None
    assert reason in replay.missing
    assert follow_up(session.header, session.log, Position("e1", 2)).missing is None


def test_follow_up_of_another_epoch() -> None:
    """Everything that is kept, and that what was before is not here."""
    session = with_events(2)
    replay = follow_up(session.header, session.log, Position("e0", 2))
    assert numbers(tuple(replay.events)) == [1, 2]
    assert replay.missing is not None
    assert "epoch" in replay.missing


def test_follow_up_of_a_position_that_never_was() -> None:
    """Somebody knows more than there is: that is told, and what there is."""
    session = with_events(2)
    replay = follow_up(session.header, session.log, Position("e1", 3))
    assert numbers(tuple(replay.events)) == [1, 2]
    assert replay.missing is not None
    assert "newest event is 2" in replay.missing


def test_follow_up_when_nothing_is_kept() -> None:
    """The newest position is as good as ever; an older one is told of."""
    session, _ = append(with_events(2), news(1, text="x" * 2000), "e1", NOW, RULES)
    assert follow_up(session.header, session.log, Position("e1", 3)).missing is None
    replay = follow_up(session.header, session.log, Position("e1", 2))
    assert (replay.events, replay.missing) == ((), "events before 4 are not kept any more")
