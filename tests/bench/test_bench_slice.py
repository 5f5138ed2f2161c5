"""Do the benchmarks run, and is every answer right? A fraction of a second a row; never a word about times."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.__main__ import MEASURES
from benchmarks.harness import peers
from benchmarks.harness.contest import DAEMON, Troubles
from benchmarks.harness.plan import SLICE, Run
from benchmarks.harness.plot import write_plot
from benchmarks.harness.report import Report

pytestmark = pytest.mark.skipif(
    not (os.environ.get("CC") or shutil.which("cc")), reason="the load generator needs a C compiler"
)

PEERS = {peers.REDIS, peers.SOCKETIO, peers.PYTHON_SOCKETIO, peers.FLASK, peers.AIOHTTP, peers.NATS}


def measured(name: str) -> Report:
    """Measure one thing; nothing may be broken, wrong or lost."""
    run = Run(SLICE, Report({"date": "2026-01-01", "commit": "0"}), Troubles())
    MEASURES[name](run)
    assert run.troubles.broken == []
    text = run.report.markdown(run.troubles)
    assert all(trouble in text for trouble in run.troubles.left_out.values())
    return run.report


def test_requests_are_answered_beside_the_peers_that_are_installed() -> None:
    """Durable updates, reads and relayed evaluations come back right, beside every peer that is there."""
    report = measured("requests")
    ours = {(row.title, row.setting) for row in report.rows if row.contestant == DAEMON}
    assert len(ours) == 5
    assert {row.contestant for row in report.rows} == {DAEMON, *PEERS} - set(peers.missing())
    assert [fact.name for fact in report.facts] == ["added latency of a relayed evaluate, 1 client"]


def test_broadcast_reaches_every_subscriber_once_and_in_order() -> None:
    """What the generator would have complained about did not happen."""
    assert DAEMON in {row.contestant for row in measured("broadcast").rows}


def test_footprint_and_growth_give_a_figure_for_each_size(tmp_path: Path) -> None:
    """Starts, memory, and the cost of requests at each size, which can be drawn."""
    assert len(measured("footprint").facts) == 3
    points = measured("growth").points
    assert {(point.of, point.size) for point in points} == {
        *(("stored sessions", size) for size in SLICE.stored),
        *(("idle connections", size) for size in SLICE.idle),
        *(("images", size) for size in SLICE.images),
    }
    write_plot(points, tmp_path / "growth.svg")
    assert (tmp_path / "growth.svg").read_text("utf-8").count("<circle") == len(points)


def test_soak_of_mixed_traffic_loses_nothing() -> None:
    """All replies right, all events of shared sessions without a gap, for a second."""
    facts = {fact.name: fact.value for fact in measured("soak").facts}
    assert facts["soak: requests answered"] > 0
    assert facts["soak: events delivered"] > 0
