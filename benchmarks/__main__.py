"""Measure the daemon beside its peers, print a table and write it; docs/explanation/performance.md explains.

    python -m benchmarks [--quick] [--only NAME ...] [--minutes M] [--output FOLDER]

It ends with 1 when a run was broken (a wrong, lost or refused answer), never because of a time.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.contest import Troubles
from benchmarks.harness.generator import executable
from benchmarks.harness.machine import ROOT, describe_machine
from benchmarks.harness.plan import FULL, QUICK, Run
from benchmarks.harness.plot import write_plot
from benchmarks.harness.process import BenchmarkError
from benchmarks.harness.report import Report
from benchmarks.measures import broadcast, footprint, growth, requests, returning, soak, stalled, storage

MEASURES: dict[str, Callable[[Run], None]] = {
    "requests": requests.measure,
    "broadcast": broadcast.measure,
    "footprint": footprint.measure,
    "growth": growth.measure,
    "storage": storage.measure,
    "returning": returning.measure,
    "stalled": stalled.measure,
    "soak": soak.measure,
}
LEFT_FOR_FULL = ("storage", "stalled", "returning")


def measure(run: Run, names: list[str]) -> None:
    """Measure what is named; what breaks is noted, and the others go on."""
    for name in names:
        began = time.monotonic()
        print(f"{name}:", flush=True)
        try:
            MEASURES[name](run)
        except BenchmarkError as error:
            run.troubles.broke(name, error)
        run.report.took[name] = time.monotonic() - began


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="under two minutes, one round: for a rough idea")
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--minutes", type=float, help="how long the soak is (it is only run with --only soak)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", metavar="FOLDER")
    asked = parser.parse_args()
    plan = QUICK if asked.quick else FULL
    if asked.minutes:
        plan = plan._replace(soak_s=asked.minutes * 60)
    usual = [name for name in MEASURES if name != "soak" and not (asked.quick and name in LEFT_FOR_FULL)]
    try:
        executable()
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")
    run = Run(plan, Report(describe_machine()), Troubles())
    for trouble in run.troubles.left_out.values():
        print(trouble, file=sys.stderr)
    measure(run, asked.only or usual)
    name = "-".join(["soak" if asked.only == ["soak"] else "bench", str(run.report.machine["date"])[:10]])
    name += "-quick" if asked.quick else ""
    run.report.write(asked.output, name, run.troubles)
    if run.report.points:
        write_plot(run.report.points, asked.output / ("growth-quick.svg" if asked.quick else "growth.svg"))
    print(run.report.markdown(run.troubles))
    print(f"written: {asked.output / name}.md, .json")
    sys.exit(1 if run.troubles.broken else 0)


if __name__ == "__main__":
    main()
