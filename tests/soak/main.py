"""Runs a soak and writes down what was seen; ends with 0 only if nothing grew and everything has its cause."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

import msgspec

from .inside import PLANTS
from .plan import SLICE, WHOLE
from .report import WORDS, write
from .soak import Soak


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(soak: Soak) -> None:
    for title, counts in (
        ("done", soak.account.done),
        ("causes", soak.account.causes),
        ("warnings in the log", soak.daemon.warned),
    ):
        _say(f"{title}: " + ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items())))
    for name, verdict in soak.verdicts.items():
        told = f"{verdict.first:,.1f} to {verdict.last:,.1f}, at most {verdict.highest:,.1f}"
        _say(f"  {WORDS[name]}: {told}; {verdict.per_hour:+,.1f} an hour, {verdict.rise:+,.1f} in all")
    _say("facts: " + ", ".join(f"{name} {number:.3g}" for name, number in soak.facts.items()))
    for wrong in soak.failed:
        _say(f"FAILED {wrong}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=WHOLE.clients)
    parser.add_argument("--slice", action="store_true", help="the slice that the tests take")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="plant a leak, which has to be found")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for soak.json, soak.md and soak.svg; default: nowhere")
    asked = parser.parse_args()
    plan = (
        SLICE
        if asked.slice
        else msgspec.structs.replace(
            WHOLE, seconds=asked.minutes * 60, clients=asked.clients, wave_s=min(60.0, asked.minutes * 6)
        )
    )
    soak = Soak(msgspec.structs.replace(plan, planted=asked.plant), asked.seed, _say)
    began = time.perf_counter()
    asyncio.run(soak.run())
    _tell(soak)
    if asked.out is not None:
        write(soak, asked.out)
        _say(f"written to {asked.out}")
    _say(f"{'FAILED' if soak.failed else 'held'}, {time.perf_counter() - began:.0f} s")
    return int(bool(soak.failed))
