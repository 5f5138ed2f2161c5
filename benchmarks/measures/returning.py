"""How long does it take until all sessions know, when all images hang up and come back at once?"""

import statistics
import time

from benchmarks.harness import talk
from benchmarks.harness.daemon import Daemon, fresh_daemon
from benchmarks.harness.generator import standing
from benchmarks.harness.line import Line, fill
from benchmarks.harness.plan import Run

IMAGES = 20
SESSIONS = 2000


def measure(run: Run) -> None:
    """Measure with 20 images and 2,000 sessions."""
    halves, wholes = [], []
    with fresh_daemon() as daemon, Line(daemon, daemon.admin_token) as watcher:
        with standing(talk.images(daemon, IMAGES)):
            fill(daemon, 0, SESSIONS, IMAGES)
        watcher.ask([("subscribe", {"topics": ["all"]})])
        for _ in range(run.plan.rounds):
            times = come_back(daemon, watcher)
            halves.append(times[len(times) // 2])
            wholes.append(times[-1])
    note = f"{IMAGES} images, {SESSIONS:,} sessions, each event on the disk first"
    run.report.fact("all images come back: half of the sessions told", statistics.median(halves) * 1000, "ms", "", note)
    run.report.fact("all images come back: all sessions told", statistics.median(wholes) * 1000, "ms", "", note)


def come_back(daemon: Daemon, watcher: Line) -> list[float]:
    """Have all images connect; the times after which each session was told, as a client hears it."""
    times: list[float] = []
    began = time.perf_counter()
    with standing(talk.images(daemon, IMAGES)):
        while len(times) < SESSIONS:
            message = watcher.next_message()
            if message.get("event") == "image.connected" and message["session_id"] is not None:
                times.append(time.perf_counter() - began)
    return times
