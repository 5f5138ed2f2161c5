"""Runs all proofs and prints one table; ends with 0 only if every figure that must be 0 is 0."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from . import bit_flips, faults, kill_rounds, live_faults, migration_crash, mutants, power_loss, tails


class Proof(Protocol):
    """What every proof has."""

    counts: Counter[str]
    examples: dict[str, str]

    @property
    def failures(self) -> int:
        """How much of what must be 0 is not."""


Rows = list[tuple[str, Callable[[], Proof], tuple[str, ...]]]

QUICK_MUTANTS = tuple(
    (name,)
    for name in (
        "acknowledges before the sync",
        "no sync of the journal's folder",
        "no sync of a client's folder",
        "no sync before a rename",
        "no check of a record's checksum",
        "unfinished header without the size test",
        "the end read is not written anew",
        "trims by the newest file only",
        "no seal",
    )
)


def proofs(kills: int, *, quick: bool) -> Rows:
    """List the proofs with the figures of each that must be 0."""
    sparing = power_loss.Effort(one_in=3, nested_one_in=16, again_one_in=8)
    thorough = power_loss.Effort(one_in=1, nested_one_in=8, again_one_in=4)
    return [
        ("power loss", lambda: power_loss.prove(sparing if quick else thorough), power_loss.ZERO),
        ("power loss while migrating", lambda: migration_crash.prove(20 if quick else 3), migration_crash.ZERO),
        ("one flipped bit", lambda: bit_flips.prove(11 if quick else 1), bit_flips.ZERO),
        ("calls that fail", lambda: faults.prove(2 if quick else 1), faults.ZERO),
        ("calls that fail, live", live_faults.prove, live_faults.ZERO),
        ("ends of the journal", lambda: tails.prove(7 if quick else 1), tails.ZERO),
        ("kill -9", lambda: kill_rounds.prove(kills), kill_rounds.ZERO),
        ("mutants", lambda: mutants.prove(QUICK_MUTANTS if quick else None), ("not caught",)),
    ]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sample of everything, in less than 100 seconds")
    parser.add_argument("--kill-rounds", type=int, help="default 200, or 8 with --quick")
    parser.add_argument("--only", action="append", help="the name of a proof; may be given several times")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), logger_factory=structlog.ReturnLoggerFactory()
    )
    kills = asked.kill_rounds if asked.kill_rounds is not None else 8 if asked.quick else 200
    figures: dict[str, dict[str, int]] = {}
    failed = False
    started = time.perf_counter()
    for name, prove, zero in proofs(kills, quick=asked.quick):
        if asked.only and name not in asked.only:
            continue
        proof = prove()
        failed = failed or bool(proof.failures)
        figures[name] = show(name, proof, zero)
    took = time.perf_counter() - started
    sys.stdout.write(f"{'NOT PROVEN' if failed else 'proven'} in {took:.0f} s\n")
    if asked.json is not None:
        text = json.dumps({"quick": asked.quick, "seconds": round(took, 1), "proofs": figures}, indent=1)
        asked.json.write_text(text + "\n", "utf-8")
    return int(failed)


def show(name: str, proof: Proof, zero: tuple[str, ...]) -> dict[str, int]:
    """Print a proof's row of the table; give its figures."""
    counts = {kind: number for kind, number in proof.counts.items() if kind != "ms"}
    if name == "mutants":
        counts["not caught"] = proof.failures
    must = {kind: counts.pop(kind, 0) for kind in zero}
    seconds = proof.counts["ms"] / 1000
    tried = ", ".join(f"{kind} {number:,}" for kind, number in sorted(counts.items()))
    lines = [f"{name:<28}{seconds:>7.1f} s  {tried}"]
    lines.append(f"{'':<39}must be 0: " + ", ".join(f"{kind} {number}" for kind, number in must.items()))
    lines += [f"{'':<39}! {kind}: {example[:500]}" for kind, example in proof.examples.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return {**counts, **must, "ms": proof.counts["ms"]}


if __name__ == "__main__":
    sys.exit(main())
