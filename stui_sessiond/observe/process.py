"""What do the metrics tell of the process? Memory, descriptors, threads, tasks, the loop, the collector, the log."""

import threading
from collections.abc import Iterator

from prometheus_client.core import InfoMetricFamily, Metric

from stui_sessiond.observe.family import counter, counters, gauge, gauges, histogram
from stui_sessiond.observe.parts import ObservedParts
from stui_sessiond.tasks import tasks_by_owner


def families(parts: ObservedParts) -> Iterator[Metric]:
    """Make the metrics. Memory, descriptors and the collector are told by prometheus_client (`process_`, `python_`)."""
    yield InfoMetricFamily("stui_build", "Which stui_sessiond this is.", value={"version": parts.version})
    yield gauge("uptime_seconds", "Since the daemon started.", parts.uptime_s())
    yield gauge("threads", "Threads of the process.", threading.active_count())
    yield gauges(
        "tasks",
        "Tasks of the process, by the part that owns them; server: requests under way.",
        ("owner",),
        (((owner,), count) for owner, count in sorted(tasks_by_owner().items())),
    )
    yield histogram(
        "loop_lag_seconds", "How much later than it wanted the event loop came back, looked at twice a second.",
        parts.sampler.lag,
    )  # fmt: skip
    yield counters(
        "log_lines",
        "Lines of the log, by level.",
        ("level",),
        (((level,), count) for level, count in parts.log.lines.items()),
    )
    yield counter("log_lines_lost", "Lines of the log that could not be written.", parts.log.lost)
