"""What do the metrics tell of requests, of code that images were asked to run, and of transitions of state machines?"""

from collections.abc import Iterator

from prometheus_client.core import Metric

from stui_sessiond.commands.tally import SAMPLED
from stui_sessiond.observe.family import Labelled, counters, gauge, histogram, histograms
from stui_sessiond.observe.parts import ObservedParts

UNKNOWN = "unknown"
"""Stands for every command that the protocol does not have."""


def families(parts: ObservedParts) -> Iterator[Metric]:
    """Make the metrics."""
    dispatcher = parts.server.dispatcher
    table = dispatcher.table
    yield counters(
        "requests",
        "Requests that were answered, by command (unknown: any that the protocol does not have) and by outcome: "
        "ok, or the code of the error.",
        ("command", "outcome"),
        _outcomes(parts),
    )
    yield histograms(
        "request_duration_seconds",
        f"From a request to its answer, of the first and every {SAMPLED}th of each command.",
        ("command",),
        {(name,): tally.took for name, tally in table.tallies() if tally.begun},
    )
    yield counters(
        "messages_refused",
        "Messages that were no requests that could be read, by the code they were answered with.",
        ("code",),
        (((code,), count) for code, count in dispatcher.broken.items()),
    )
    evaluations = parts.images.evaluations
    yield counters(
        "evaluations",
        "Code that images were asked to run, by what came of it: ok, error (the code met one), interrupted, given_up, "
        "or the code of the error it ended with.",
        ("outcome",),
        (((outcome,), count) for outcome, count in evaluations.ended.items()),
    )
    yield histogram(
        "evaluation_duration_seconds",
        "From asking an image to run code to its answer, or to what came instead.",
        evaluations.took,
    )
    yield gauge("evaluations_running", "Requests of sessions that run code and have not ended.", len(parts.running))
    yield counters(
        "state_transitions",
        "Transitions of state machines that were asked for, by what came of it: applied, or the code of the error.",
        ("outcome",),
        (((outcome,), count) for outcome, count in parts.transitions.items()),
    )


def _outcomes(parts: ObservedParts) -> Labelled:
    table = parts.server.dispatcher.table
    for name, tally in (*table.tallies(), (UNKNOWN, table.unknown)):
        if tally.answered:
            yield (name, "ok"), tally.answered
        for code, count in tally.failed.items():
            yield (name, code), count
