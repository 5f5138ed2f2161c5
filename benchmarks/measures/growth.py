"""Does a request cost the same when there are more sessions, more connections, more images?"""

import resource
import time
from collections.abc import Callable

from benchmarks.harness import talk
from benchmarks.harness.daemon import Daemon, fresh_daemon, memory_folder
from benchmarks.harness.generator import Outcome, options, run, standing
from benchmarks.harness.line import fill
from benchmarks.harness.plan import Run
from benchmarks.harness.process import BenchmarkError
from benchmarks.harness.report import Point
from benchmarks.measures.footprint import tell_start

CLIENTS = 64
SPARE_FILES = 500
"""What a process has open beside those connections."""


def measure(run_: Run) -> None:
    """Measure all of it."""
    for one in (_stored, _idle, _images):
        try:
            one(run_)
        except BenchmarkError as error:
            run_.troubles.broke(one.__doc__ or "", error)


def _stored(run_: Run) -> None:
    """Stored sessions, and the start with the most of them."""
    with memory_folder() as home:
        with Daemon(home) as daemon:
            filled = 0
            for size in run_.plan.stored:
                fill(daemon, filled, size)
                filled = size
                daemon.wait_until_idle()
                _points(run_, daemon, "stored sessions", size)
            run_.report.fact(f"memory with {filled:,} stored sessions", daemon.memory_bytes() / 2**20, "MiB")
            began = time.perf_counter()
        ended = time.perf_counter() - began
        run_.report.fact(f"end of the daemon that got {filled:,} sessions since its start", ended, "s")
        starts = []
        for _ in range(run_.plan.starts):
            with Daemon(home) as daemon:
                starts.append((daemon.start_s, daemon.start_cpu_s))
        tell_start(run_, f"start to accepting, {filled:,} stored sessions", starts, "under 2,000 with 100,000")


def _idle(run_: Run) -> None:
    """Idle connections."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
    for size in run_.plan.idle:
        if size > allowed:
            run_.report.texts.append(f"{size:,} idle connections: LEFT OUT, more than the limit of open files allows.")
            continue
        with fresh_daemon() as daemon, standing([*talk.Clients(daemon).idle(), *options(connections=size)]):
            _points(run_, daemon, "idle connections", size)


def _images(run_: Run) -> None:
    """Images, the clients' sessions spread over them."""
    for size in run_.plan.images:
        with fresh_daemon() as daemon, standing(talk.images(daemon, size)) as image:

            def spread(daemon: Daemon = daemon, size: int = size) -> list[str]:
                asked = talk.Clients(daemon).ask(talk.EVALUATE, talk.EVALUATED, image_id="bench-{M}")
                return [*asked, *options(modulo=size)]

            _point(run_, "evaluate", "images", size, [daemon.pid, image], spread)


def _points(run_: Run, daemon: Daemon, of: str, size: int) -> None:
    for series, message, expect in (
        ("get_session_info", talk.INFO, talk.INFORMED),
        ("update_session_state", talk.UPDATE, talk.UPDATED),
    ):

        def asked(message: str = message, expect: str = expect) -> list[str]:
            return talk.Clients(daemon).ask(message, expect)

        _point(run_, series, of, size, [daemon.pid], asked)


def _point(run_: Run, series: str, of: str, size: int, watch: list[int], asked: Callable[[], list[str]]) -> None:
    """The best of the rounds: what disturbs only ever adds."""
    load = options(connections=CLIENTS, warm=min(0.2, run_.plan.seconds))
    found: list[Outcome] = [run([*asked(), *load], watch, run_.plan.seconds * 0.6) for _ in range(run_.plan.rounds)]
    best = min(found, key=lambda outcome: outcome.cost_us)
    run_.report.points.append(Point(series, of, size, round(best.cost_us, 2), best.p50_us))
    print(f"  {series} with {size:,} {of}: {best.cost_us:.1f} us of the daemon's processor time", flush=True)
