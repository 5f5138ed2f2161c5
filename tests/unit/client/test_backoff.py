"""How long a client waits before the next try."""

from __future__ import annotations

import pytest

from stui_sessiond.client.backoff import Backoff


def test_first_wait_is_short_and_spread() -> None:
    """After a loss the next try is within the first bound, wherever the draw falls."""
    backoff = Backoff()
    assert backoff.wait(None, lambda: 0.0) == 0.0
    assert backoff.wait(None, lambda: 0.999) < backoff.first_s


def test_wait_grows_up_to_the_cap() -> None:
    """With the longest draws the waits grow threefold until the cap."""
    backoff, wait_s, waits = Backoff(first_s=1.0, cap_s=30.0), None, []
    for _ in range(6):
        wait_s = backoff.wait(wait_s, lambda: 1.0)
        waits.append(wait_s)
    assert waits == [1.0, 3.0, 9.0, 27.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("last_s", "lasted_s", "counted"),
    [(0.1, 4.9, 0.1), (7.0, 4.9, 0.2), (7.0, 5.0, None), (7.0, 3600.0, None), (None, 0.0, None)],
)
def test_connection_that_lasted_starts_the_waits_over(
    last_s: float | None, lasted_s: float, counted: float | None
) -> None:
    """One that broke soon goes on with the waits where they were, below a second; a good one starts over."""
    assert Backoff(lasting_s=5.0).after(last_s, lasted_s) == counted
    assert Backoff().wait(counted, lambda: 0.999) < 1.0


@pytest.mark.parametrize("away_s", [0.0, 0.3, 0.5, 0.7])
def test_daemon_that_starts_again_is_found_in_time(away_s: float) -> None:
    """A daemon that is back after a time is found within four times that, with whatever draws; a cut within 0.1 s."""
    for draw in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999):
        now, wait_s = 0.0, None
        while True:
            wait_s = Backoff().wait(wait_s, lambda: draw)  # noqa: B023 -- called at once
            now += wait_s
            if now >= away_s:
                break
        assert now <= max(0.1, 4 * away_s)
