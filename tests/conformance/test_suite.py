"""Does the daemon pass every vector and every transcript, over every transport, with and without a token?"""

import pytest

from stui_sessiond.testing import run_conformance
from stui_sessiond.testing.runner import run_transcript, run_vector
from stui_sessiond.testing.transcripts import Transcript
from stui_sessiond.testing.vectors import Vector, load_suite
from tests.conformance.bed import FACTORIES, Bed, ask

SUITE = load_suite()
OVER_EACH_TRANSPORT = [
    pytest.param(transport, vector, id=f"{transport}-{vector.name}")
    for transport in FACTORIES
    for vector in SUITE.vectors
    if transport in vector.only and vector.when != "token"
]
"""Vectors for daemons that want a token are in `test_suite_with_token`."""


@pytest.mark.parametrize(("bed", "vector"), OVER_EACH_TRANSPORT, indirect=["bed"])
def test_vector(bed: Bed, vector: Vector) -> None:
    """A message is answered as its vector says."""
    assert bed.runner.run(run_vector(vector, bed.target)) == []


@pytest.mark.parametrize("transcript", SUITE.transcripts, ids=lambda transcript: transcript.name)
def test_transcript(bed: Bed, transcript: Transcript) -> None:
    """A conversation goes as its transcript says."""
    assert bed.runner.run(run_transcript(transcript, bed.target)) == []


def test_suite_with_token(guarded_bed: Bed) -> None:
    """Where a token is wanted, everything goes the same way after hello."""
    report = guarded_bed.runner.run(run_conformance(guarded_bed.url, guarded_bed.token))
    assert [(row.name, row.differences) for row in report.rows if not row.ok] == []
    assert report.passed > len(SUITE.transcripts)


def test_suite_leaves_nothing(bed: Bed) -> None:
    """What the suite opens it closes: it can run against a daemon that others use."""
    question = {"id": "1", "command": "get_session_statistics"}
    (before,) = bed.runner.run(ask(bed.target, question))
    assert bed.runner.run(run_conformance(bed.url, only="*/?e*")).failed == 0
    (after,) = bed.runner.run(ask(bed.target, question))
    for name in ("total_sessions", "active_clients"):
        assert after["result"][name] == before["result"][name]
    assert after["result"]["storage"]["sessions"] == before["result"]["storage"]["sessions"]
