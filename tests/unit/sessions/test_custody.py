"""Suspended processes: who holds one, for how long, and which one has waited for too long."""

import pytest

from stui_sessiond.errors import DebuggerHeldError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.sessions.custody import LEASE_S, NOBODY, UNTOUCHED_S, Change, CustodyTable, Lease, Place

PHARO = ImageId("pharo")
SESSION = SessionId("session_1_1_a")
PLACE = Place(SESSION, "d1")


def a_table() -> CustodyTable:
    """A table with one process, noted at 0."""
    table = CustodyTable()
    table.note(PLACE, PHARO, 0.0)
    return table


def work(table: CustodyTable, client_id: str | None, now: float) -> Change | None:
    """Let a client do one operation that takes no time."""
    change = table.begin(PLACE, client_id, now)
    table.end(PLACE, now)
    return change


def test_process_that_nobody_works_with() -> None:
    """It belongs to the session: who met the error does not hold it."""
    table = a_table()
    assert table.lease(PLACE, 1.0) == NOBODY
    assert work(table, "ada", 1.0) == Change(PLACE, "ada", None)


def test_others_while_one_works() -> None:
    """The lease keeps everybody else out, also who has no name, until it ends, to the second."""
    table = a_table()
    work(table, "ada", 0.0)
    for other in ("bob", None):
        with pytest.raises(DebuggerHeldError) as caught:
            work(table, other, LEASE_S - 0.001)
        assert caught.value.details == {"holder": "ada", "lease_ends_at": "1970-01-01T00:05:00.000Z"}
    assert table.lease(PLACE, LEASE_S - 0.001) == Lease("ada", LEASE_S)
    assert table.lease(PLACE, LEASE_S) == NOBODY
    assert work(table, "bob", LEASE_S) == Change(PLACE, "bob", "ada")


def test_each_operation_renews_the_lease() -> None:
    """It counts from the last one; going on is no change of hands."""
    table = a_table()
    work(table, "ada", 0.0)
    assert work(table, "ada", 200.0) is None
    assert table.lease(PLACE, 400.0) == Lease("ada", 200.0 + LEASE_S)


def test_operation_that_takes_longer_than_a_lease() -> None:
    """As long as the image has not answered the holder holds it; then the lease begins."""
    table = a_table()
    table.begin(PLACE, "ada", 0.0)
    late = 10 * LEASE_S
    with pytest.raises(DebuggerHeldError):
        table.begin(PLACE, "bob", late)
    assert table.lapse(late) == []
    assert table.lease(PLACE, late) == Lease("ada", late + LEASE_S)
    table.end(PLACE, late)
    assert table.lease(PLACE, late) == Lease("ada", late + LEASE_S)
    assert table.lease(PLACE, late + LEASE_S) == NOBODY


def test_clients_without_a_name() -> None:
    """They hold nothing, and stand in nobody's way."""
    table = a_table()
    assert work(table, None, 0.0) is None
    assert work(table, None, 1.0) is None
    assert work(table, "ada", 2.0) == Change(PLACE, "ada", None)


def test_process_that_is_taken_and_released() -> None:
    """Who takes it holds it without doing anything; who is not the holder cannot let it go."""
    table = a_table()
    assert table.take(PLACE, "ada", "take", 0.0, freely=False) == Change(PLACE, "ada", None)
    for action in ("take", "release", "take_over"):
        with pytest.raises(DebuggerHeldError):
            table.take(PLACE, "bob", action, 1.0, freely=False)
    assert table.take(PLACE, "ada", "release", 2.0, freely=False) == Change(PLACE, None, "ada")
    assert table.lease(PLACE, 2.0) == NOBODY
    assert table.take(PLACE, "ada", "release", 3.0, freely=False) is None


def test_process_that_is_taken_over() -> None:
    """Who may do so freely has it at once; the one before is out."""
    table = a_table()
    table.take(PLACE, "ada", "take", 0.0, freely=False)
    assert table.take(PLACE, "bob", "take_over", 1.0, freely=True) == Change(PLACE, "bob", "ada")
    with pytest.raises(DebuggerHeldError):
        work(table, "ada", 2.0)
    with pytest.raises(DebuggerHeldError):
        table.take(PLACE, "ada", "take", 2.0, freely=True)


def test_lease_that_is_over_is_told_once() -> None:
    """So that whoever watches sees that it is free."""
    table = a_table()
    work(table, "ada", 0.0)
    assert table.lapse(LEASE_S - 1) == []
    assert table.lapse(LEASE_S) == [Change(PLACE, None, "ada")]
    assert table.lapse(LEASE_S) == []


def test_process_that_nobody_touches() -> None:
    """It is over after a day without anybody, to the second; looking at it counts as touching."""
    table = a_table()
    table.touch(PLACE, 10.0)
    assert table.due(UNTOUCHED_S + 9.9, ()) == []
    assert table.due(UNTOUCHED_S + 10.0, {PHARO}) == [], "it cannot be ended there now"
    assert table.due(UNTOUCHED_S + 10.0, ()) == [PLACE]
    table.begin(PLACE, "ada", UNTOUCHED_S + 10.0)
    assert table.due(10 * UNTOUCHED_S, ()) == []
    table.end(PLACE, 10 * UNTOUCHED_S)
    assert table.expires_at(PLACE, 10 * UNTOUCHED_S) == 11 * UNTOUCHED_S


def test_session_with_too_many() -> None:
    """The ones that were not touched for the longest are to be ended; never one that is worked with."""
    table = CustodyTable(max_per_session=2)
    places = [Place(SESSION, name) for name in ("a", "b", "c", "d")]
    for at, place in enumerate(places[:2]):
        table.note(place, PHARO, at)
    table.note(Place(SessionId("session_2_1_b"), "x"), PHARO, 0.0)
    table.touch(places[0], 2.0)
    assert table.due(3.0, ()) == []
    table.note(places[2], PHARO, 3.0)
    assert table.due(3.0, ()) == [places[1]]
    table.begin(places[1], "ada", 4.0)
    table.note(places[3], PHARO, 5.0)
    assert table.due(5.0, ()) == [places[0], places[2]]
    table.forget(places[0])
    table.forget(places[2])
    assert table.due(6.0, ()) == []


def test_process_that_is_gone() -> None:
    """Nothing is known of it any more, and what ends late does no harm."""
    table = a_table()
    table.begin(PLACE, "ada", 0.0)
    table.forget(PLACE)
    table.end(PLACE, 1.0)
    table.touch(PLACE, 1.0)
    assert table.places() == []
    assert table.lease(PLACE, 1.0) == NOBODY
    table.note(PLACE, PHARO, 2.0)
    table.forget_session(SESSION)
    assert table.places() == []
