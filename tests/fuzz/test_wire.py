"""Does the daemon stand a short, fixed fuzzing over each transport? Hypothesis makes the scripts, and shrinks."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from stui_sessiond.contract import load_contract
from stui_sessiond.testing.fuzz.campaign import Fuzzer, Wanted
from stui_sessiond.testing.fuzz.script import Script
from stui_sessiond.testing.fuzz.strategies import scripts
from stui_sessiond.testing.fuzz.wishes import Book, load_schemas
from tests.conformance.bed import FACTORIES, Bed, running_daemon

BOOK = Book(load_contract(), load_schemas())
EXAMPLES = 12
CONVERSATIONS = 15


@pytest.fixture(scope="module", params=list(FACTORIES))
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """A daemon, over each transport."""
    with running_daemon(FACTORIES[request.param], "none") as found:
        yield found


@pytest.fixture
def fuzzer(bed: Bed) -> Iterator[Fuzzer]:
    """A fuzzer that knows the daemon."""
    found = Fuzzer(Wanted(url=bed.url))
    bed.runner.run(found.start())
    yield found
    bed.runner.run(found.stop())


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(script=scripts(BOOK))
def test_daemon_keeps_its_word_whatever_hypothesis_says(script: Script, bed: Bed, fuzzer: Fuzzer) -> None:
    """Every request gets one answer of the agreed shape, and the daemon lives."""
    failure = bed.runner.run(fuzzer.play(script))
    assert failure is None, f"{failure.kind}: {failure.text}"


def test_daemon_keeps_its_word_for_fixed_seeds(bed: Bed) -> None:
    """The same for the generator that `stui-sessiond fuzz` uses, watched by another client."""
    fuzzer = Fuzzer(Wanted(url=bed.url, seed=7, conversations=CONVERSATIONS, seconds=60))
    failure = bed.runner.run(fuzzer.run())
    assert failure is None, f"{failure.kind}: {failure.text}"
    assert fuzzer.tally.conversations == CONVERSATIONS
    assert len(fuzzer.tally.outcomes) > 50


def test_daemon_that_wants_a_token_is_fuzzed_with_one() -> None:
    """A token lets the fuzzer in, and what it made is deleted."""
    with running_daemon(FACTORIES["websocket"], "token") as bed:
        fuzzer = Fuzzer(Wanted(url=bed.url, token=bed.token, seed=3, conversations=4))
        failure = bed.runner.run(fuzzer.run())
    assert failure is None, f"{failure.kind}: {failure.text}"
