"""What a watch makes of the events that come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stui_sessiond.client import watch as watch_module
from stui_sessiond.client.stream import Gap, Verdict, judge
from stui_sessiond.client.version import MAX_SESSIONS, Versions
from stui_sessiond.client.watch import Item, Watch
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from tests.unit.client.bed import EPOCH, SESSION, turn


def event(seq: int, name: str = "transcript", epoch: str = EPOCH, data: Any = None) -> EventMessage:  # noqa: ANN401
    """An event."""
    return EventMessage(name, SESSION, epoch, seq, data, "")


def at(seq: int, epoch: str = EPOCH) -> Position:
    """A position."""
    return Position(epoch, seq)


@pytest.mark.parametrize(
    ("known", "came", "verdict"),
    [
        (None, event(7), Verdict.TAKE),
        (at(6), event(7), Verdict.TAKE),
        (at(7), event(7), Verdict.OLD),
        (at(9), event(7), Verdict.OLD),
        (at(5), event(7), Verdict.JUMP),
        (at(6, "e0"), event(7), Verdict.JUMP),
        (at(5), event(7, "gap"), Verdict.GAP),
        (at(6, "e0"), event(0, "gap"), Verdict.GAP),
        (at(9), event(7, "gap"), Verdict.OLD),
    ],
)
def test_event_is_judged_by_its_place(known: Position | None, came: EventMessage, verdict: Verdict) -> None:
    """Only the next event of the same epoch is taken; the daemon alone may say that some are missing."""
    assert judge(known, came) is verdict


class Notes:
    """What a watch told its reader."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.replays = 0
        self.gaps = 0
        self.asked: list[Position | None] = []

    def delivered(self, event: EventMessage) -> None:
        self.seen.append(event.seq)

    def replayed(self) -> None:
        self.replays += 1

    def gap(self) -> None:
        self.gaps += 1

    def catch_up(self, watch: Watch) -> None:
        self.asked.append(watch.known)


def make(since: Position | None = None) -> tuple[Watch, Notes]:
    """A watch, not open yet."""
    notes = Notes()
    return Watch(SESSION, since, deltas=False, reader=notes), notes


async def items(watch: Watch, number: int) -> list[Item]:
    """The next items."""
    return [await anext(watch) for _ in range(number)]


async def test_event_before_the_answer_is_judged_after_it() -> None:
    """What comes before the answer to subscribe is held, and dropped if the answer says it is old."""
    watch, notes = make()
    watch.take(event(3), 1)
    watch.take(event(5), 1)
    watch.open(at(4))
    watch.take(event(6), 1)
    assert [item.seq for item in await items(watch, 2) if isinstance(item, EventMessage)] == [5, 6]
    assert (watch.position, notes.replays, notes.gaps) == (at(6), 0, 0)


async def test_replayed_events_are_counted_and_given_once() -> None:
    """After a new connection what was there already is dropped, and what is new is counted as replayed."""
    watch, notes = make(at(2))
    watch.open(at(4))
    for seq in (3, 4, 5):
        watch.take(event(seq), 1)
    watch.open(at(6))
    for seq in (4, 5, 6, 7):
        watch.take(event(seq), 1)
    assert [item.seq for item in await items(watch, 5) if isinstance(item, EventMessage)] == [3, 4, 5, 6, 7]
    assert notes.replays == 3


async def test_gap_is_an_item_and_the_stream_goes_on_behind_it() -> None:
    """A gap says what was known, where it goes on and why, also into another epoch."""
    watch, notes = make(at(2))
    watch.open(at(9, "e2"))
    watch.take(event(8, "gap", "e2", {"from": {"epoch": EPOCH, "seq": 2}, "reason": "restored"}), 1)
    watch.take(event(9, epoch="e2"), 1)
    gap, after = await items(watch, 2)
    assert gap == Gap(SESSION, at(8, "e2"), at(2), "restored")
    assert isinstance(after, EventMessage)
    assert (watch.position, notes.gaps) == (at(9, "e2"), 1)


async def test_hole_without_a_word_is_told_as_a_fault() -> None:
    """If the daemon leaves events out without saying so, the application hears of it before what follows."""
    watch, notes = make(at(2))
    watch.open(at(2))
    watch.take(event(5), 1)
    gap, after = await items(watch, 2)
    assert isinstance(gap, Gap)
    assert (gap.announced, gap.after, gap.position) == (False, at(2), at(4))
    assert isinstance(after, EventMessage)
    assert notes.gaps == 1


async def test_full_watch_lets_go_and_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bound nothing is kept, and once the application has caught up it is asked for from where it stopped."""
    monkeypatch.setattr(watch_module, "MAX_WAITING_EVENTS", 3)
    watch, notes = make(at(0))
    watch.open(at(0))
    for seq in range(1, 9):
        watch.take(event(seq), 1)
    assert notes.asked == []
    await items(watch, 3)
    waiting = asyncio.ensure_future(anext(watch))
    await turn()
    assert notes.asked == [at(3)]
    watch.take(event(9), 1)  # was under way before the daemon heard of it
    watch.open(at(9))
    for seq in (4, 5):
        watch.take(event(seq), 1)
    first = await waiting
    assert isinstance(first, EventMessage)
    assert (first.seq, notes.gaps) == (4, 0)


async def test_watch_is_bounded_by_bytes_but_takes_one_large_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """One event over the bound is delivered, a second one waits at the daemon."""
    monkeypatch.setattr(watch_module, "MAX_WAITING_BYTES", 100)
    watch, notes = make(at(0))
    watch.open(at(0))
    watch.take(event(1), 1000)
    watch.take(event(2), 1)
    await items(watch, 1)
    waiting = asyncio.ensure_future(anext(watch))
    await turn()
    assert notes.asked == [at(1)]
    watch.end()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_waiting_may_be_given_up_without_losing_an_event() -> None:
    """A cancelled wait takes nothing."""
    watch, _ = make(at(0))
    watch.open(at(0))
    waiting = asyncio.ensure_future(anext(watch))
    await turn()
    watch.take(event(1), 1)
    waiting.cancel()
    await turn()
    assert [item.seq for item in await items(watch, 1) if isinstance(item, EventMessage)] == [1]


async def test_end_comes_after_what_waits() -> None:
    """The last events are delivered before the error that ended the watch, or before its quiet end."""
    watch, _ = make(at(0))
    watch.open(at(0))
    watch.take(event(1), 1)
    watch.end(ValueError("over"))
    watch.take(event(2), 1)
    await items(watch, 1)
    with pytest.raises(ValueError, match="over"):
        await anext(watch)
    quiet, _ = make()
    quiet.end()
    assert [item async for item in quiet] == []


def test_version_is_known_only_while_its_state_is() -> None:
    """A version without its state counts only if nothing came between it and the one that is known."""
    versions = Versions()
    versions.learn("s", 4, whole=False)
    assert versions.known("s") is None
    versions.learn("s", 4, whole=True)
    versions.learn("s", 5, whole=False)
    assert versions.known("s") == 5
    versions.learn("s", 7, whole=False)
    assert versions.known("s") == 5
    versions.learn_event("s", "session.updated", {"version": 8, "session_state": {}})
    versions.learn_event("s", "context.saved", {"version": 9})
    versions.learn_event("s", "transcript", {"text": ""})
    versions.learn_event(None, "image.connected", {"version": 99})
    assert versions.known("s") == 9
    versions.learn("s", 3, whole=True)
    assert versions.known("s") == 9


def test_versions_of_the_sessions_touched_last_are_remembered() -> None:
    """The memory is bounded."""
    versions = Versions()
    for number in range(MAX_SESSIONS + 1):
        versions.learn(f"s{number}", 1, whole=True)
    assert (versions.known("s0"), versions.known("s1")) == (None, 1)
