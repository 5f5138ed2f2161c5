"""The worlds that the tests of the tools share: each is started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tui.bed import World, amber_world, squeak_world


@pytest.fixture(scope="session")
def amber() -> Iterator[World]:
    """A daemon with a live Amber."""
    with amber_world() as world:
        yield world


@pytest.fixture(scope="session")
def squeak() -> Iterator[World]:
    """A daemon with a live Squeak, which can suspend processes."""
    with squeak_world() as world:
        yield world
