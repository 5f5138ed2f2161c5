"""What holds of the client's decisions whatever happens: its waits, its outbox, its streams."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from stui_sessiond.client.backoff import Backoff
from stui_sessiond.client.outbox import Letter, Outbox
from stui_sessiond.client.stream import Gap
from stui_sessiond.client.watch import Watch
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.session import UpdateSessionState

DRAWS = st.floats(0.0, 1.0, exclude_max=True)


@given(st.lists(DRAWS, min_size=1, max_size=60), st.floats(0.001, 1.0), st.floats(1.0, 60.0))
def test_waits_are_bounded_and_never_far_ahead_of_the_time_lost(
    draws: list[float], first_s: float, cap_s: float
) -> None:
    """No wait is over the cap, nor much more than three times what has been waited already."""
    backoff, wait_s, waited_s = Backoff(first_s, cap_s), None, 0.0
    for draw in draws:
        wait_s = backoff.wait(wait_s, lambda draw=draw: draw)  # type: ignore[misc]  # binds the loop's value
        assert 0.0 <= wait_s <= cap_s
        assert wait_s <= max(3 * first_s, 3 * waited_s + first_s)
        waited_s += wait_s


@given(st.floats(0.001, 1.0), st.floats(1.0, 60.0))
def test_waits_reach_the_cap(first_s: float, cap_s: float) -> None:
    """With the longest draws, the cap is reached after as many tries as it takes to grow threefold to it."""
    backoff, wait_s = Backoff(first_s, cap_s), None
    for _ in range(20):
        wait_s = backoff.wait(wait_s, lambda: 1.0)
    assert wait_s == cap_s


class Mail(RuleBasedStateMachine):
    """A session at a daemon, another writer, and an outbox that is sent whenever it may be."""

    letters = Bundle("letters")

    def __init__(self) -> None:
        super().__init__()
        self.box = Outbox()
        self.version = 1
        self.state: dict[str, Any] = {}
        self.known = 1
        self.seen: dict[str, Any] = {}
        self.written: list[int] = []
        self.gone: set[int] = set()
        self.stored: list[int] = []
        self.theirs = 0

    @rule(member=st.sampled_from("ab"), value=st.integers(0, 9), online=st.booleans())
    def write(self, member: str, value: int, online: bool) -> None:
        """The application replaces the state with what it believes it is, changed."""
        self.seen = {**self.seen, member: value}
        update = UpdateSessionState("s", dict(self.seen), expected_version=None)
        letter, replaced = self.box.put(update, known=self.known, online=online)
        self.written.append(letter.number)
        if replaced is not None:
            self.gone.add(replaced.number)

    @rule()
    def other_writes(self) -> None:
        """Somebody else changes a member of their own."""
        self.theirs += 1
        self.state = {**self.state, "theirs": self.theirs}
        self.version += 1

    @rule()
    def cut(self) -> None:
        """The connection is lost and comes back."""
        self.box.was_cut()

    @rule()
    def send(self) -> None:
        """The first letter arrives; a whole state with an older version is merged as the daemon does."""
        letter = self.box.next("s")
        if letter is None:
            return
        if letter.conflict is not None:
            assert letter.conflict.theirs is not None
            self.gone.add(letter.number)
            self.box.refused(letter)
            return
        self._arrive(letter)

    def _arrive(self, letter: Letter) -> None:
        update = letter.update
        assert isinstance(update, UpdateSessionState)
        assert isinstance(update.state_data, dict)
        expected = update.expected_version
        if expected is not None and letter.waited and expected < self.version and "theirs" in self.state:
            self.state = {**update.state_data, "theirs": self.state["theirs"]}  # nobody else writes that member
        else:
            assert expected is None or expected == self.version or "theirs" not in self.state or not letter.waited
            self.state = dict(update.state_data)
        self.version += 1
        self.known = self.version
        self.stored.append(letter.number)
        self.box.saved(letter, self.version, dict(self.state))

    @invariant()
    def nothing_is_lost_or_stored_twice(self) -> None:
        """Each letter waits, was stored, or its end is known; they are stored in the order they were written."""
        waiting = {letter.number for letter in self.box.letters()}
        assert waiting | set(self.stored) | self.gone == set(self.written)
        assert not waiting & (set(self.stored) | self.gone)
        assert self.stored == sorted(set(self.stored))

    @invariant()
    def the_count_is_right(self) -> None:
        """Count and size are those of what waits."""
        letters = self.box.letters()
        assert self.box.count == len(letters)
        assert self.box.size == sum(letter.size for letter in letters)


TestMail = Mail.TestCase


class Silent:
    """A reader that does not care."""

    def delivered(self, event: EventMessage) -> None:
        """Not used."""

    def replayed(self) -> None:
        """Not used."""

    def gap(self) -> None:
        """Not used."""

    def catch_up(self, watch: Watch) -> None:
        """Not used."""


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), st.integers(1, 12), st.booleans()), max_size=60))
def test_stream_is_whole_but_for_gaps_that_are_told(came: list[tuple[str, int, bool]]) -> None:
    """Whatever comes in whatever order, the application sees each epoch's numbers go up by one, or a gap."""
    watch = Watch("s", Position("one", 0), deltas=False, reader=Silent())
    watch.open(Position("one", 0))
    for epoch, seq, gap in came:
        watch.take(EventMessage("gap" if gap else "transcript", "s", epoch, seq, {}, ""), 1)
    place = Position("one", 0)
    for item, _ in watch._items:
        if isinstance(item, Gap):
            assert item.after == place
            place = item.position
        else:
            assert (item.epoch, item.seq) == (place.epoch, place.seq + 1)
            place = Position(item.epoch, item.seq)
