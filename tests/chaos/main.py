"""Runs schedules, churn and the change of address; ends with 0 only if nothing happened that must never be."""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable

import structlog

from . import address_change
from .churn import ZERO as NOTHING_LEFT
from .churn import Churn
from .schedules import ZERO, Schedule

SCHEDULE_S = 120.0
"""A schedule that takes longer hangs."""


class Tried:
    """What several schedules found."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.examples: list[str] = []
        self.reconnects_s: list[float] = []
        self.starts_s: list[float] = []
        self.violations = 0

    def add(self, schedule: Schedule) -> None:
        """Count one more."""
        self.counts.update(schedule.counts)
        self.counts["schedules"] += 1
        self.steps.update(schedule.steps)
        self.reconnects_s += schedule.reconnects_s
        self.starts_s += schedule.starts_s
        self.violations += schedule.violations
        self.examples += [f"{kind}: {example}" for kind, example in schedule.examples.items()]


async def try_one(seed: int) -> Schedule:
    """Run one schedule; if it hangs or breaks down, that is a violation."""
    schedule = Schedule(seed)
    try:
        async with asyncio.timeout(SCHEDULE_S):
            await schedule.run()
    except Exception as error:  # noqa: BLE001 -- whatever it is, the seed has to be told
        schedule.complain("unanswered", f"the schedule broke down: {error!r}")
    return schedule


def try_all(seeds: Iterable[int]) -> Tried:
    """Run schedules one after the other, each in a loop of its own."""
    tried = Tried()
    for seed in seeds:
        schedule = asyncio.run(try_one(seed))
        tried.add(schedule)
        for kind, example in schedule.examples.items():
            _say(f"! {kind}: {example[:1500]}")
            _say(f"  again: python tests/chaos/run.py --seed {seed}")
    return tried


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))


def _spread(values_s: list[float]) -> str:
    if not values_s:
        return "none"
    ordered = sorted(values_s)
    high = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"median {statistics.median(ordered) * 1000:.0f} ms, p99 {high * 1000:.0f} ms, of {len(ordered):,}"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sample, in about a minute")
    parser.add_argument("--schedules", type=int, help="default 100, or 8 with --quick")
    parser.add_argument("--rounds", type=int, help="of coming and going; default 10000, or 500 with --quick")
    parser.add_argument("--seed", type=int, help="only the schedule of this seed")
    parser.add_argument("--from-seed", type=int, help="the first seed; default: one that differs each time")
    parser.add_argument("--in-namespace", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), logger_factory=structlog.ReturnLoggerFactory()
    )
    if asked.in_namespace:
        _say(json.dumps(asyncio.run(address_change.walk())))
        return 0
    began = time.perf_counter()
    first = asked.from_seed if asked.from_seed is not None else int.from_bytes(os.urandom(3), "big")
    number = asked.schedules if asked.schedules is not None else 8 if asked.quick else 100
    violations = _schedules([asked.seed] if asked.seed is not None else range(first, first + number))
    if asked.seed is None:
        violations += _churn(asked.rounds if asked.rounds is not None else 500 if asked.quick else 10_000)
        violations += _change_of_address()
    _say(f"{'VIOLATED' if violations else 'held'}: {violations} violations, {time.perf_counter() - began:.0f} s")
    return int(bool(violations))


def _schedules(seeds: "range | list[int]") -> int:
    tried = try_all(seeds)
    if len(seeds):
        _say(f"schedules {len(seeds)}, seeds {seeds[0]} to {seeds[-1]}; steps {tried.steps.total():,}")
    _say(f"  steps by kind: {_listed(tried.steps)}")
    must = {name: tried.counts.pop(name, 0) for name in ZERO}
    _say(f"  seen: {_listed(tried.counts)}")
    _say(f"  connection lost until resumed, the refusals in between included: {_spread(tried.reconnects_s)}")
    _say(f"  start of the daemon until ready: {_spread(tried.starts_s)}")
    _say("  must be 0: " + ", ".join(f"{name} {number}" for name, number in must.items()))
    return tried.violations


def _churn(rounds: int) -> int:
    churn = Churn(rounds)
    asyncio.run(churn.run())
    seen = {name: number for name, number in churn.counts.items() if name not in NOTHING_LEFT and name != "ms"}
    _say(f"coming and going, {churn.counts['ms'] / 1000:.1f} s: {_listed(Counter(seen))}")
    _say("  must be 0: " + ", ".join(f"{name} {churn.counts[name]}" for name in NOTHING_LEFT))
    for name, example in churn.examples.items():
        _say(f"! {name}: {example}")
    return churn.violations


def _change_of_address() -> int:
    reason = address_change.why_not()
    if reason is not None:
        _say(f"SKIPPED change of address: no network namespace can be had here ({reason})")
        return 0
    try:
        found = address_change.prove()
    except subprocess.TimeoutExpired as error:
        found = {"violations": [str(error)]}
    told = f"{found.get('resume_ms')} ms, {found.get('events')} events replayed"
    _say(f"change of address: resumed from the new one in {told}")
    for violation in found["violations"]:
        _say(f"! {violation}")
    return len(found["violations"])


if __name__ == "__main__":
    sys.exit(main())
