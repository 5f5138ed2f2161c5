"""How much memory does the daemon take, and how long until it accepts?"""

import statistics
import time

from benchmarks.harness import talk
from benchmarks.harness.daemon import Daemon, folder, fresh_daemon
from benchmarks.harness.generator import options, run, standing
from benchmarks.harness.plan import Run


def measure(run_: Run) -> None:
    """Measure start and memory of a daemon without sessions."""
    starts = []
    for _ in range(run_.plan.starts):
        with folder() as home, Daemon(home) as daemon:
            starts.append((daemon.start_s, daemon.start_cpu_s))
    tell_start(run_, "start to accepting, empty", starts, "under 300")
    with fresh_daemon() as daemon:
        time.sleep(run_.plan.settle_s)
        run_.report.fact("memory at rest", daemon.memory_bytes() / 2**20, "MiB", "under 60")
        few = [*talk.Clients(daemon).ask(talk.INFO, talk.INFORMED), *options(connections=8)]
        run(few, [daemon.pid], 0.2)  # what is loaded only when it is first needed
        time.sleep(run_.plan.settle_s)
        count, before = run_.plan.idle[-1], daemon.memory_bytes()
        with standing([*talk.Clients(daemon).idle(), *options(connections=count)]):
            time.sleep(run_.plan.settle_s)
            each = (daemon.memory_bytes() - before) / count
    note = f"of {count:,} connections"
    run_.report.fact("memory per idle, authenticated WebSocket connection", each / 1024, "KiB", "under 12", note)


def tell_start(run_: Run, name: str, starts: list[tuple[float, float]], aim: str) -> None:
    """Add the time of starts, and the processor time, which others change little."""
    took, used = (statistics.median(values) * 1000 for values in zip(*starts, strict=True))
    run_.report.fact(name, took, "ms", aim, f"{used:.0f} ms of processor time")
