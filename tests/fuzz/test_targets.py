"""Do the fuzz targets hold for their seeds, and for a short, fixed run of damage? `make fuzz` does it at length."""

import random

import pytest

from tests.fuzz.targets import TARGETS, Target, mutate

DAMAGED = 150


@pytest.fixture(params=TARGETS, ids=[target.name for target in TARGETS])
def target(request: pytest.FixtureRequest) -> Target:
    """Each target."""
    found: Target = request.param
    return found


def test_target_holds_for_its_seeds(target: Target) -> None:
    """What real peers say and real disks hold goes through."""
    for data in target.seeds()[:400]:
        target.execute(data)


def test_target_holds_for_damaged_seeds(target: Target) -> None:
    """So does what is left of it after some damage."""
    chooser = random.Random(20261120)  # noqa: S311 -- tests are repeatable, not secret
    found = target.seeds()
    for _ in range(DAMAGED):
        target.execute(mutate(chooser, chooser.choice(found)))
    target.execute(b"")
