"""How often may somebody ask?"""

from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.security.quota import MAX_ASKERS, Rate, RateLimiter


def test_rate_lets_a_burst_through_and_then_its_rate() -> None:
    """Whoever was silent may ask `burst` times at once, then as often as the rate says."""
    limiter = RateLimiter(Rate(10.0, 3))
    assert [limiter.take("a", 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert 0 < limiter.take("a", 100.0) <= 0.1
    assert limiter.take("a", 100.1) == 0.0
    assert limiter.take("a", 100.1) > 0


def test_rate_of_one_asker_is_not_used_by_another() -> None:
    """Each asker has its own."""
    limiter = RateLimiter(Rate(1.0, 1))
    assert limiter.take("a", 0.0) == 0.0
    assert limiter.take("a", 0.0) > 0
    assert limiter.take("b", 0.0) == 0.0


def test_rate_of_zero_is_without_bound() -> None:
    """An operator can switch it off."""
    limiter = RateLimiter(Rate(0.0, 1))
    assert not any(limiter.take("a", 0.0) for _ in range(1000))
    assert len(limiter) == 0


def test_asker_that_was_silent_is_forgotten() -> None:
    """As soon as it may ask as if it never had: nothing is left of many who came once."""
    limiter = RateLimiter(Rate(per_second=10.0, burst=5))
    for number in range(100):
        assert limiter.take(f"client-{number}", float(number)) == 0.0
    assert len(limiter) == 1


def test_limiter_remembers_a_bounded_number_of_askers() -> None:
    """Making up names costs the one who does it nothing, and the daemon no memory."""
    limiter = RateLimiter(Rate(1.0, 1))
    for number in range(MAX_ASKERS + 100):
        limiter.take(str(number), 0.0)
    assert len(limiter) == MAX_ASKERS


@given(
    st.floats(0.5, 1000.0),
    st.integers(1, 50),
    st.lists(st.floats(0.0, 2.0), min_size=1, max_size=200),
)
def test_rate_is_never_exceeded_in_any_window(per_second: float, burst: int, pauses: list[float]) -> None:
    """In any span of time no more is granted than the burst and what the rate gives in it."""
    limiter = RateLimiter(Rate(per_second, burst))
    now, granted = 1000.0, []
    for pause in pauses:
        now += pause
        if limiter.take("a", now) == 0.0:
            granted.append(now)
    for first, start in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= burst + per_second * (granted[last] - start) + 1e-6


@given(st.floats(0.5, 100.0), st.integers(1, 20), st.integers(0, 40))
def test_wait_that_is_told_is_enough(per_second: float, burst: int, asked: int) -> None:
    """Whoever waits as long as it is told is let through."""
    limiter = RateLimiter(Rate(per_second, burst))
    wait = 0.0
    for _ in range(asked):
        wait = limiter.take("a", 50.0)
    if wait:
        assert limiter.take("a", 50.0 + wait + 1e-6) == 0.0
