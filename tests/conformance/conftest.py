"""Which daemons does the suite run against? One per transport, started when it is first asked for."""

from collections.abc import Iterator

import pytest

from tests.conformance.bed import FACTORIES, Bed, running_daemon


@pytest.fixture(scope="session", params=list(FACTORIES))
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """A daemon that lets everybody in, over each transport."""
    with running_daemon(FACTORIES[request.param], "none") as found:
        yield found


@pytest.fixture(scope="session", params=list(FACTORIES))
def guarded_bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """A daemon that wants a token, over each transport (the unix socket needs none)."""
    with running_daemon(FACTORIES[request.param], "token") as found:
        yield found
