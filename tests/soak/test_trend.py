"""The verdict of a soak: it has to find what rises, and to leave alone what does not."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.trend import Bound, judge, slope

BOUND = Bound(per_hour=8.0, noise=6.0, filling=30.0)


def _hour(*, leak_per_hour: float = 0.0, seed: int = 1) -> list[tuple[float, float]]:
    """Samples of an hour that look like those of a daemon: noise, bursts, steps back after collections."""
    rng = random.Random(seed)  # noqa: S311 -- made-up samples
    points = []
    for number in range(720):
        at = number * 5.0
        value = 80 + rng.gauss(0, 0.8) + 3 * math.sin(at / 90) + (25 if rng.random() < 0.03 else 0)
        points.append((at, value + leak_per_hour * at / 3600))
    return points


@pytest.mark.parametrize("seed", range(5))
def test_trend_of_noise_and_bursts_is_flat(seed: int) -> None:
    """Bursts, waves and noise around a level are no rise."""
    assert judge(_hour(seed=seed), BOUND).flat


@pytest.mark.parametrize("seed", range(5))
def test_trend_of_a_leak_below_the_noise_is_found(seed: int) -> None:
    """A leak of 10 MiB an hour under bursts of 25 MiB is found, and its size is told."""
    verdict = judge(_hour(leak_per_hour=10.0, seed=seed), BOUND)
    assert not verdict.flat
    assert verdict.per_hour == pytest.approx(10.0, abs=1.0)


def test_trend_of_a_few_minutes_is_judged_by_what_rose() -> None:
    """What rises by less than one burst in a short time is no verdict, what rises by more is."""
    short = [(at, 80 + at / 60) for at in range(0, 300, 5)]
    assert judge(short, BOUND).flat
    steep = [(at, 80 + 2 * at / 60) for at in range(0, 300, 5)]
    assert not judge(steep, BOUND).flat


def test_trend_of_too_few_samples_is_refused() -> None:
    """A soak that measured nothing does not look like a flat one."""
    with pytest.raises(ValueError, match="say nothing"):
        judge([(0, 1), (1, 1)], BOUND)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=60),
    st.floats(-100, 100),
)
def test_trend_slope_survives_a_quarter_of_wild_samples(wild: list[float], per_s: float) -> None:
    """Whatever a quarter of the samples is, in whatever order, the slope stays that of the others."""
    points = [(float(at), per_s * at) for at in range(120)]
    for number, value in enumerate(wild[:15]):
        points[number * 8] = (points[number * 8][0], value)
    assert slope(points) == pytest.approx(per_s, abs=abs(per_s) * 0.2 + 1e-6)
