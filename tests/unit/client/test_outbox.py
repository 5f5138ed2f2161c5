"""What waits to be stored, in which order, and made from what."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stui_sessiond.client import outbox as outbox_module
from stui_sessiond.client.failure import QueueFullError
from stui_sessiond.client.outbox import Letter, Outbox
from stui_sessiond.wire.messages.context import ContextSections, SaveContext
from stui_sessiond.wire.messages.session import UpdateSessionState


def state(value: Any, session: str = "s", **more: Any) -> UpdateSessionState:  # noqa: ANN401
    """An update that replaces the state."""
    return UpdateSessionState(session, {"v": value}, **more)


def sent(letter: Letter | None) -> UpdateSessionState:
    """The update in a letter that is ready to go."""
    assert letter is not None
    assert isinstance(letter.update, UpdateSessionState)
    return letter.update


def test_update_without_connection_says_what_it_was_made_from() -> None:
    """Its writer could not know better, so the daemon is asked to merge with what came meanwhile."""
    box = Outbox()
    box.put(state(1), known=5, online=False)
    update = sent(box.next("s"))
    assert (update.expected_version, update.on_conflict, update.mode) == (5, "merge", "replace")


def test_update_over_a_connection_goes_as_it_is() -> None:
    """Who can be answered at once decides himself."""
    box = Outbox()
    box.put(state(1), known=5, online=True)
    assert sent(box.next("s")) == state(1)
    box = Outbox()
    box.put(state(1, expected_version=3), known=5, online=True)
    assert sent(box.next("s")) == state(1, expected_version=3)


def test_update_that_met_a_cut_before_it_was_sent_counts_as_waiting() -> None:
    """A connection that was dead before it was noticed makes no difference."""
    box = Outbox()
    box.put(state(1), known=5, online=True)
    box.was_cut()
    assert (sent(box.next("s")).expected_version, sent(box.next("s")).on_conflict) == (5, "merge")


def test_newer_whole_state_takes_the_place_of_the_older() -> None:
    """It keeps what the older one was made from, and the sections that it does not replace itself."""
    box = Outbox()
    first, none = box.put(state(1, workspace_context={"a": 1}), known=5, online=False)
    second, replaced = box.put(state(2, object_registry={"b": 2}), known=5, online=False)
    assert (none, replaced) == (None, first)
    assert box.count == 1
    update = sent(box.next("s"))
    assert update.state_data == {"v": 2}
    assert (update.workspace_context, update.object_registry, update.expected_version) == ({"a": 1}, {"b": 2}, 5)
    box.saved(second, 6, {"v": 2})
    assert (box.count, box.size, box.sessions()) == (0, 0, [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (state(1), UpdateSessionState("s", {"v": 2}, mode="merge")),
        (state(1), UpdateSessionState("s", [], mode="patch")),
        (state(1), state(2, client_id="other")),
        (state(1, expected_version=4), state(2)),
        (state(1), SaveContext("s", None, ContextSections())),
        (SaveContext("s", None, ContextSections()), state(1)),
        (SaveContext("s", "a", ContextSections()), SaveContext("s", "b", ContextSections())),
        (state(1), state(1, session="t")),
    ],
)
def test_what_says_something_else_keeps_its_place(first: Any, second: Any) -> None:  # noqa: ANN401
    """Only an update that says all the earlier one says goes instead of it."""
    box = Outbox()
    box.put(first, known=5, online=False)
    assert box.put(second, known=5, online=False)[1] is None
    assert box.count == 2


def test_context_takes_the_place_of_one_of_the_same_tool() -> None:
    """A context is whole, so the newer one is enough."""
    box = Outbox()
    first, _ = box.put(SaveContext("s", "a", ContextSections(client={"n": 1})), known=None, online=False)
    assert box.put(SaveContext("s", "a", ContextSections(client={"n": 2})), known=None, online=False)[1] is first


def test_update_that_was_sent_stays_as_it_is() -> None:
    """It may have arrived, so the next one goes behind it, and builds on it once it is stored."""
    box = Outbox()
    first, _ = box.put(state(1), known=5, online=False)
    box.next("s")
    second, replaced = box.put(state(2), known=5, online=False)
    assert replaced is None
    assert box.next("s") is first
    box.saved(first, 6, {"v": 1})
    assert box.next("s") is second
    assert sent(second).expected_version == 6


def test_update_behind_one_with_others_changes_in_it_is_a_conflict() -> None:
    """Its writer did not know what was merged: to store it would undo that."""
    box = Outbox()
    first, _ = box.put(state(1), known=5, online=False)
    box.next("s")
    second, _ = box.put(state(2), known=5, online=False)
    box.saved(first, 8, {"v": 1, "theirs": 1})
    letter = box.next("s")
    assert letter is second
    assert letter.conflict is not None
    conflict = letter.conflict
    assert (conflict.base, conflict.ours, conflict.theirs) == ({"v": 1}, {"v": 2}, {"v": 1, "theirs": 1})
    assert (conflict.version, letter.sent) == (8, False)
    settled = replace(sent(letter), state_data={"v": 2, "theirs": 1}, expected_version=8)
    box.rewrite(letter, settled)
    assert box.next("s") is letter
    assert (sent(letter).state_data, sent(letter).expected_version) == ({"v": 2, "theirs": 1}, 8)
    assert (letter.sent, letter.rounds) == (True, 1)


def test_merge_behind_one_with_others_changes_in_it_goes_on() -> None:
    """A merge patch says only what it changes, so it does not undo anything."""
    box = Outbox()
    first, _ = box.put(state(1), known=5, online=False)
    box.next("s")
    second, _ = box.put(UpdateSessionState("s", {"w": 2}, mode="merge"), known=5, online=False)
    box.saved(first, 8, {"v": 1, "theirs": 1})
    assert box.next("s") is second
    assert (sent(second).expected_version, second.conflict) == (8, None)


def test_version_of_others_changes_elsewhere_is_no_conflict() -> None:
    """If what was stored is what was written, nothing of others is in it, whatever its number."""
    box = Outbox()
    first, _ = box.put(state(1), known=5, online=False)
    box.next("s")
    box.put(state(2), known=5, online=False)
    box.saved(first, 9, {"v": 1})
    letter = box.next("s")
    assert letter is not None
    assert letter.conflict is None
    assert sent(letter).expected_version == 9


def test_refused_update_makes_room_and_the_next_one_keeps_its_base() -> None:
    """What was not stored is not built on."""
    box = Outbox()
    first, _ = box.put(state(1), known=5, online=False)
    box.next("s")
    box.put(state(2), known=5, online=False)
    box.refused(first)
    assert sent(box.next("s")).expected_version == 5


def test_sessions_have_lanes_of_their_own() -> None:
    """What waits in one session holds no other, and all is listed in the order it was written."""
    box = Outbox()
    for number in range(3):
        box.put(state(number, session=f"s{number}"), known=None, online=False)
    assert box.next("s1") is not None
    assert box.next("nowhere") is None
    assert box.sessions() == ["s0", "s1", "s2"]
    assert [letter.session_id for letter in box.letters()] == ["s0", "s1", "s2"]


def test_full_outbox_refuses_and_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a bound, the new update is refused aloud; one that takes the place of another still fits."""
    monkeypatch.setattr(outbox_module, "MAX_UPDATES", 2)
    box = Outbox()
    box.put(state(1), known=None, online=False)
    box.put(state(1, session="t"), known=None, online=False)
    with pytest.raises(QueueFullError, match="2 updates"):
        box.put(state(1, session="u"), known=None, online=False)
    box.put(state(2), known=None, online=False)
    monkeypatch.setattr(outbox_module, "MAX_UPDATE_BYTES", box.size + 100)
    with pytest.raises(QueueFullError):
        box.put(state("x" * 200), known=None, online=False)
    assert [sent(letter).state_data for letter in box.letters()] == [{"v": 1}, {"v": 2}]
