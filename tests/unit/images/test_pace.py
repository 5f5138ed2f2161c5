"""How often an image may come and how much it may tell: each by itself, and what is beyond is said."""

import pytest

from stui_sessiond.errors import RateLimitedError
from stui_sessiond.ids import ImageId
from stui_sessiond.images.pace import ARRIVALS, EVENTS, Pace
from tests.unit.bed.clock import FakeClock

ONE, OTHER = ImageId("one"), ImageId("other")


def test_events_beyond_the_burst_are_not_taken() -> None:
    """A burst is; then as many in a second as the rate says. Another image has a burst of its own."""
    clock = FakeClock()
    clock.now = 0.0
    pace = Pace(clock)
    assert all(pace.admits_event(ONE) for _ in range(EVENTS.burst))
    assert not pace.admits_event(ONE)
    assert pace.admits_event(OTHER)
    clock.now += 0.5
    taken = sum(pace.admits_event(ONE) for _ in range(EVENTS.burst))
    assert taken == pytest.approx(EVENTS.per_second / 2, abs=1)


def test_image_that_comes_too_often_learns_when_to_come_again() -> None:
    """After that time it is let in; before it is not, and asking earlier does not make it later."""
    clock = FakeClock()
    clock.now = 0.0
    pace = Pace(clock)
    for _ in range(ARRIVALS.burst):
        pace.check_arrival(ONE)
    for _ in range(3):
        with pytest.raises(RateLimitedError) as told:
            pace.check_arrival(ONE)
        assert told.value.details == {
            "retry_after": pytest.approx(1 / ARRIVALS.per_second, abs=0.002),
            "image_id": "one",
        }
    pace.check_arrival(OTHER)
    clock.now += 1 / ARRIVALS.per_second + 0.001
    pace.check_arrival(ONE)
