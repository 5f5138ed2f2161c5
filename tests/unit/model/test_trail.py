"""Tests of sequences that share what they have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.model.trail import Trail, going_on

MORE = st.lists(st.tuples(st.integers(0, 20), st.lists(st.integers(), max_size=3)), max_size=30)


@given(MORE)
def test_trail_that_forks_anywhere_never_changes(steps: list[tuple[int, list[int]]]) -> None:
    """Whatever goes on from which version, each version is what it was when it was made."""
    made: list[tuple[Trail[int], tuple[int, ...]]] = [(Trail(), ())]
    for place, more in steps:
        trail, expected = made[place % len(made)]
        made.append((trail.going_on(more), (*expected, *more)))
    for trail, expected in made:
        assert tuple(trail) == expected
        assert len(trail) == len(expected)
        assert trail == expected
        assert [trail[at] for at in range(-len(expected), len(expected))] == [*expected, *expected]


@given(st.lists(st.integers(), max_size=6), st.slices(6))
def test_trail_sliced_is_as_a_tuple(items: list[int], part: slice) -> None:
    """A part of it is a tuple, also when others have gone on."""
    trail = Trail(items)
    trail.going_on([1, 2, 3])
    assert trail[part] == tuple(items)[part]


def test_trail_asked_beyond_its_end_refuses() -> None:
    """What went on from it is not part of it."""
    trail = Trail([1])
    trail.going_on([2])
    with pytest.raises(IndexError):
        trail[1]
    with pytest.raises(IndexError):
        trail[-2]


def test_trail_that_goes_on_shares_its_items() -> None:
    """Making the next version does not copy what was there; a fork does, and harms nobody."""
    first = going_on((1, 2), ())
    second = first.going_on([3])
    fork = first.going_on([4])
    assert [tuple(each) for each in (first, second, fork)] == [(1, 2), (1, 2, 3), (1, 2, 4)]
    assert second.going_on([5])._items is second._items
    assert fork._items is not first._items


def test_trail_compared_goes_by_its_items() -> None:
    """Equal items make equal sequences, and nothing else is equal to one."""
    assert Trail([1]) == Trail([1])
    assert Trail([1]) != Trail([2])
    assert Trail([1]) != [1]
    assert hash(Trail([1])) == hash(Trail([1]))
    assert repr(Trail([1])) == "Trail([1])"
