"""What is the matter with an image: the words, where one goes over into the other, and the advice."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.images.condition import (
    CRITICAL_S,
    GRACE_S,
    RECONNECTING_S,
    SILENT_S,
    SLOW_S,
    Facts,
    condition_of,
    health_of,
    is_orphaned,
    status_of,
    text_of,
)

TIMES = st.floats(0, 1e6, allow_nan=False)
FACTS = st.builds(
    Facts,
    connected=st.booleans(),
    seen=st.booleans(),
    refused=st.booleans(),
    gone_s=TIMES,
    has_sessions=st.booleans(),
    silent_s=TIMES,
    latency_s=st.none() | TIMES,
    blocked=st.booleans(),
    evaluating=st.booleans(),
    process=st.sampled_from(["alive", "gone", "unknown"]),
)
GONE = Facts(gone_s=1.0)
HERE = Facts(connected=True)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (HERE, "connected"),
        (Facts(connected=True, refused=True), "connected"),
        (Facts(gone_s=RECONNECTING_S - 0.1), "reconnecting"),
        (Facts(gone_s=RECONNECTING_S), "disconnected"),
        (Facts(gone_s=GRACE_S, has_sessions=True), "disconnected"),
        (Facts(gone_s=GRACE_S + 0.1, has_sessions=True), "orphaned"),
        (Facts(gone_s=GRACE_S + 0.1), "disconnected"),
        (Facts(gone_s=1, refused=True), "failed"),
        (Facts(seen=False, has_sessions=True), "unknown"),
    ],
)
def test_status_at_the_borders(facts: Facts, status: str) -> None:
    """Each word begins exactly where IMAGES.md says."""
    assert status_of(facts) == status


@pytest.mark.parametrize(
    ("facts", "condition"),
    [
        (HERE, "idle"),
        (Facts(connected=True, evaluating=True), "evaluating"),
        (Facts(connected=True, evaluating=True, blocked=True), "interface_blocked"),
        (Facts(connected=True, blocked=True, silent_s=SILENT_S), "not_answering"),
        (Facts(connected=True, silent_s=SILENT_S - 0.1), "idle"),
        (GONE, "link_lost"),
        (Facts(process="alive"), "link_lost"),
        (Facts(process="gone"), "process_gone"),
        (Facts(seen=False), "unknown"),
    ],
)
def test_condition_goes_by_the_worst(facts: Facts, condition: str) -> None:
    """Of several things that are so, the one that helps to act is told."""
    assert condition_of(facts) == condition


@pytest.mark.parametrize(
    ("silent_s", "latency_s", "health"),
    [
        (0, None, "healthy"),
        (0, SLOW_S, "healthy"),
        (0, SLOW_S + 0.01, "warning"),
        (SILENT_S, 0.1, "warning"),
        (CRITICAL_S, 0.1, "critical"),
        (CRITICAL_S - 0.1, 9, "warning"),
    ],
)
def test_health_at_the_borders(silent_s: float, latency_s: float | None, health: str) -> None:
    """How soon signs of life come decides, and nothing else."""
    assert health_of(Facts(connected=True, silent_s=silent_s, latency_s=latency_s)) == health


@given(FACTS, st.floats(1, 1e5))
def test_words_agree_with_each_other(facts: Facts, grace_s: float) -> None:
    """Whether there is a link is never told in two ways; what is orphaned has sessions and no link."""
    status, condition, health = status_of(facts, grace_s), condition_of(facts), health_of(facts)
    assert (status == "connected") == facts.connected
    assert (health == "unknown") == (not facts.connected)
    assert (condition in {"link_lost", "process_gone", "unknown"}) == (not facts.connected)
    assert (health in {"warning", "critical"}) or condition != "not_answering"
    if status == "orphaned":
        assert facts.has_sessions
        assert facts.gone_s > grace_s
        assert is_orphaned(facts, grace_s)
    assert (condition == "process_gone") <= (facts.process == "gone")


@given(FACTS)
def test_text_names_the_image_and_never_promises_a_lost_one(facts: Facts) -> None:
    """The words name the image; what helps fits what is so."""
    text = text_of(facts, "pharo-12")
    assert "'pharo-12'" in text
    assert ("interrupt_evaluation" in text) <= (facts.connected and facts.evaluating)
    if condition_of(facts) in {"process_gone", "unknown"}:
        assert "start" in text


def test_text_is_another_one_for_each_condition() -> None:
    """No two conditions are told in the same words."""
    texts: dict[str, set[str]] = {}
    for connected, seen, silent, blocked, evaluating, process in itertools.product(
        (True, False), (True, False), (0, 7), (True, False), (True, False), ("alive", "gone", "unknown")
    ):
        facts = Facts(
            connected=connected,
            seen=seen,
            silent_s=silent,
            blocked=blocked,
            evaluating=evaluating,
            process=process,  # type: ignore[arg-type]  # one of the words
        )
        texts.setdefault(condition_of(facts), set()).add(text_of(facts, "i"))
    assert len(texts) == 7
    for one, other in itertools.combinations(texts.values(), 2):
        assert not one & other
