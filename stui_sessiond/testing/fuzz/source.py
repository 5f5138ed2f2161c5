"""Where do the choices come from? One primitive, so that a seed, Hypothesis and a coverage fuzzer can all make them."""

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

PERCENT = 100


class Source(Protocol):
    """Makes choices. The smaller the number, the simpler what is made of it: that is how Hypothesis shrinks."""

    def below(self, bound: int) -> int:
        """Choose a whole number from 0 up to, not including, `bound`, which is at least 1."""


class Seeded:
    """Choices that one number decides: the same number, the same script."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- tests are repeatable, not secret

    def below(self, bound: int) -> int:
        """Choose."""
        return self._random.randrange(bound)


def pick(source: Source, choices: Sequence[T]) -> T:
    """Choose one; the first is the simplest."""
    return choices[source.below(len(choices))]


def chance(source: Source, percent: int) -> bool:
    """Say yes in so many of a hundred cases; no is the simpler answer."""
    return source.below(PERCENT) >= PERCENT - percent
