"""How long, how often and how large? What a run measures with."""

from typing import NamedTuple

from benchmarks.harness.contest import Troubles
from benchmarks.harness.report import Report


class Plan(NamedTuple):
    """A size of a run, and where its results go."""

    seconds: float
    """How long each measurement is, after it was warmed up."""
    rounds: int
    subscribers: tuple[int, ...]
    stored: tuple[int, ...]
    """Numbers of stored sessions, rising."""
    idle: tuple[int, ...]
    """Numbers of idle connections, rising."""
    images: tuple[int, ...]
    starts: int
    settle_s: float
    """After that long nothing is left of what connecting needed for the moment."""
    soak_connections: int
    soak_sessions: int
    soak_rate: float
    """Requests a second, over all connections."""
    soak_s: float


class Run(NamedTuple):
    """A run under way."""

    plan: Plan
    report: Report
    troubles: Troubles


FULL = Plan(
    seconds=1.2,
    rounds=3,
    subscribers=(100, 1000),
    stored=(1, 1000, 10_000, 100_000),
    idle=(1, 100, 1000, 10_000),
    images=(1, 10, 50),
    starts=5,
    settle_s=1.0,
    soak_connections=10_000,
    soak_sessions=1000,
    soak_rate=2000,
    soak_s=300,
)
QUICK = FULL._replace(
    seconds=0.4,
    rounds=1,
    stored=(1, 1000, 5000),
    idle=(1, 100, 1000),
    starts=3,
    soak_connections=1000,
    soak_sessions=100,
    soak_s=10,
)
SLICE = QUICK._replace(
    seconds=0.1,
    subscribers=(20,),
    stored=(100,),
    idle=(20,),
    images=(3,),
    starts=1,
    settle_s=0.1,
    soak_connections=50,
    soak_sessions=10,
    soak_rate=500,
    soak_s=1,
)
"""For tests: does it run, and is every answer right?"""
