"""Which daemons does the suite run against? One per transport, started when it is first asked for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.conformance.bed import FACTORIES, Bed, running_daemon

BedOf = Callable[[str, str], Bed]


@pytest.fixture(scope="session")
def bed_of() -> Iterator[BedOf]:
    """Give the daemon of a transport, with or without a need for tokens; each is started once."""
    with ExitStack() as stack:
        yield cache(lambda transport, auth: stack.enter_context(running_daemon(FACTORIES[transport], auth)))


@pytest.fixture(params=list(FACTORIES))
def bed(request: pytest.FixtureRequest, bed_of: BedOf) -> Bed:
    """A daemon that lets everybody in, over each transport."""
    return bed_of(request.param, "none")


@pytest.fixture(params=list(FACTORIES))
def guarded_bed(request: pytest.FixtureRequest, bed_of: BedOf) -> Bed:
    """A daemon that wants a token, over each transport (the unix socket needs none)."""
    return bed_of(request.param, "token")
