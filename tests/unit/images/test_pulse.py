"""Signs of life: when an image is asked, and what its silence means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.images.pulse import MAX_UNANSWERED, QUIET_S, SUSPECT_S, Pulse
from tests.unit.bed.clock import FakeClock


def a_pulse() -> tuple[Pulse, FakeClock]:
    """A pulse that has just begun, and its clock."""
    clock = FakeClock(100.0)
    return Pulse(clock), clock


def test_pulse_of_a_talking_image_is_never_due() -> None:
    """Whatever comes from it counts, so it is not asked."""
    pulse, clock = a_pulse()
    for _ in range(10):
        clock.pass_time(QUIET_S - 1)
        assert not pulse.is_due()
        pulse.heard()
    clock.pass_time(QUIET_S)
    assert pulse.is_due()


def test_pulse_that_is_answered_has_a_latency_and_the_words_of_the_image() -> None:
    """The answer tells how long it took, and how the user interface is."""
    pulse, clock = a_pulse()
    pulse.asked("p-1")
    clock.pass_time(0.25)
    pulse.heard()
    assert pulse.answered("p-1", "interface_blocked")
    assert (pulse.latency_s, pulse.blocked, pulse.busy, pulse.silent_s) == (0.25, True, False, 0.0)
    pulse.asked("p-2")
    assert pulse.answered("p-2", "busy")
    assert (pulse.blocked, pulse.busy) == (False, True)
    pulse.asked("p-3")
    assert pulse.answered("p-3", None)
    assert (pulse.blocked, pulse.busy) == (False, False)
    assert not pulse.answered("p-3", "ready")


def test_pulse_that_is_missing_is_asked_for_sooner_and_not_for_ever() -> None:
    """While an answer is missing it is asked every few seconds, up to a bound; the oldest tells how long."""
    pulse, clock = a_pulse()
    clock.pass_time(QUIET_S)
    asked = 0
    for second in range(600):
        if pulse.is_due():
            asked += 1
            pulse.asked(f"p-{asked}")
        assert pulse.silent_s == second
        clock.pass_time(1)
    assert asked == MAX_UNANSWERED
    pulse.heard()
    assert pulse.silent_s == 0
    assert pulse.answered(f"p-{asked}", "ready")
    assert pulse.silent_s == 0
    assert not pulse.is_due()
    clock.pass_time(QUIET_S)
    assert pulse.is_due()


def test_pulse_of_an_image_that_talks_and_does_not_answer_is_not_silent() -> None:
    """An image whose Transcript goes on is alive, though its answer is missing."""
    pulse, clock = a_pulse()
    pulse.asked("p-1")
    for _ in range(20):
        clock.pass_time(1)
        pulse.heard()
        assert pulse.silent_s == 0
    clock.pass_time(SUSPECT_S)
    assert pulse.silent_s == SUSPECT_S


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pass"), st.floats(0, 60)),
            st.tuples(st.just("heard"), st.just(0.0)),
            st.tuples(st.just("answer"), st.integers(0, 30).map(float)),
        ),
        max_size=80,
    )
)
def test_pulse_in_any_order_keeps_its_word(steps: list[tuple[str, float]]) -> None:
    """Silence is never negative nor longer than the time since anything came; what waits is bounded."""
    pulse, clock = a_pulse()
    waiting: list[str] = []
    heard_at, serial = clock(), 0
    for step, value in steps:
        if step == "pass":
            clock.pass_time(value)
        elif step == "heard":
            pulse.heard()
            heard_at = clock()
        elif waiting:
            name = waiting.pop(int(value) % len(waiting))
            pulse.heard()
            heard_at = clock()
            pulse.answered(name, "ready")
        if pulse.is_due():
            serial += 1
            waiting.append(f"p-{serial}")
            pulse.asked(waiting[-1])
        assert 0 <= pulse.silent_s <= clock() - heard_at + 1e-6
        assert pulse.quiet_s == pytest.approx(clock() - heard_at)
        assert len(pulse._unanswered) <= MAX_UNANSWERED
        if not waiting:
            assert pulse.silent_s == 0
