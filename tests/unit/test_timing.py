"""Durations that are gathered and taken."""

from stui_sessiond.timing import Taken, Timing


def test_take_tells_what_was_added_since() -> None:
    """Each duration is told once; the slowest is that of the time since it was taken; the sums go on."""
    timing = Timing()
    timing.add(0.5)
    timing.add(1.5)
    assert timing.take() == Taken(2, 2.0, 1.5)
    timing.add(0.25)
    taken = timing.take()
    assert (taken, taken.mean_s) == (Taken(1, 0.25, 0.25), 0.25)
    assert (timing.count, timing.seconds) == (3, 2.25)


def test_take_of_nothing_has_no_mean() -> None:
    """Where nothing was added there is nothing to tell."""
    assert Timing().take().mean_s is None
