"""A short slice of the chaos; `python tests/chaos/run.py` is the whole."""

from __future__ import annotations

import pytest

from tests.chaos import address_change
from tests.chaos.churn import Churn
from tests.chaos.main import try_one
from tests.chaos.restarts import KINDS, Kind, Restarts


@pytest.mark.parametrize("seed", [1, 2, 15])
async def test_schedule_of_a_seed_violates_nothing(seed: int) -> None:
    """Whatever breaks, nothing acknowledged is lost, nothing is done twice, and everybody hears the same."""
    schedule = await try_one(seed)
    assert schedule.violations == 0, schedule.examples
    assert schedule.counts["resumed"] > 0
    assert schedule.counts["events heard"] > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_restarts_under_load_lose_nothing(kind: Kind) -> None:
    """However the daemon is restarted, all adds up; where it hands over, nobody is refused."""
    restarts = Restarts(7, kind, times=2, clients=6)
    await restarts.run()
    assert restarts.violations == 0, restarts.examples
    assert len(restarts.waits_s) > 20
    assert restarts.counts["resumed"] >= 12


async def test_connections_that_come_and_go_leave_nothing() -> None:
    """Five hundred connections over all transports, half of them aborted, some resumed, leave no trace."""
    churn = Churn(500)
    await churn.run()
    assert churn.violations == 0, churn.examples
    assert churn.counts["owed answers given"] > 0
    assert churn.counts["aborted"] > 100


def test_address_changed_connection_resumes() -> None:
    """A client whose address is taken away resumes from another, with its answers and events."""
    reason = address_change.why_not()
    if reason is not None:
        pytest.skip(f"no network namespace can be had here: {reason}")
    assert address_change.prove()["violations"] == []
