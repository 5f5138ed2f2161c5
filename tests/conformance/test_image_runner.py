"""Does the runner pass an image that keeps its word, and find each lie, in words, in time?"""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stui_sessiond.testing.images import ImageReport, UnknownImageError, as_json, as_table, run_image_conformance
from tests.conformance.bed import FACTORIES, Bed, ask, running_daemon
from tests.conformance.conftest import BedOf
from tests.conformance.scripted_image import Answer, Honest, Json, connected, ok, value

SHORT_S = 0.5
"""For images that do not answer."""


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    """A daemon over TCP that leaves it to the runner to find out what an image can do."""
    with running_daemon(FACTORIES["tcp"], "none", {"STUI_SESSIOND_IMAGES_PROBE": "false"}) as running:
        yield running


def run(bed: Bed, answer: Answer, *capabilities: str, only: str, step_s: float = 20.0) -> ImageReport:
    """Play cases with an image that answers so."""
    with connected(bed, answer, *capabilities) as image:
        return bed.runner.run(run_image_conformance(bed.url, [image.image_id], only=only, step_s=step_s))


HONEST_CASES = (
    "evaluate/value",
    "evaluate/variables_of_each_tool",
    "evaluate/variables_of_each_session",
    "evaluate/order_within_a_tool",
    "ping/answer",
    "sessions/release_session",
)


@pytest.mark.parametrize("case", HONEST_CASES)
def test_honest_image_passes(bed: Bed, case: str) -> None:
    """An image that does what is promised passes, and is asked nothing it does not publish."""
    report = run(bed, Honest(), "evaluate", "ping", "release_session", only=case)
    assert [(row.case, row.verdict, row.differences) for row in report.rows] == [(case, "passed", [])]


def lie(about: str, told: Callable[[Json], Json | None]) -> Answer:
    """An image that is honest except for one command."""
    honest = Honest()
    return lambda command, parameters: told(parameters) if command == about else honest(command, parameters)


class OneForAll(Honest):
    """Has the same variables for all tools and sessions."""

    def evaluate(self, code: str, place: tuple[str, str]) -> Json:
        """Forget where it is."""
        del place
        return super().evaluate(code, ("", ""))


class Keeping(Honest):
    """Keeps the variables of a session that is closed."""

    def __call__(self, command: str, parameters: Json) -> Json | None:
        """Say so, and do nothing."""
        return ok({"released": True}) if command == "release_session" else super().__call__(command, parameters)


class LastFirst(Honest):
    """Works on what came last first."""

    def __init__(self) -> None:
        super().__init__()
        self._digits = iter((0, 4, 43, 432, 4321))

    def evaluate(self, code: str, place: tuple[str, str]) -> Json:
        """Count in the wrong order."""
        del code, place
        return value(str(next(self._digits)))


def without_error(_parameters: Json) -> Json:
    """What an image says that does not number its frames from 1."""
    stack = [{"index": 0, "class": "UndefinedObject", "selector": "foo"}]
    error = {"class": "MessageNotUnderstood", "message": "foo", "stack": stack}
    told = {"result": None, "result_type": "MessageNotUnderstood", "execution_time": 0, "has_error": True}
    return ok({**told, "error": error})


@pytest.mark.parametrize(
    ("case", "answer", "step", "told"),
    [
        ("evaluate/value", lie("evaluate", lambda _: value("8")), "step 1", 'result.result: expected "7", got "8"'),
        ("evaluate/value", lie("evaluate", lambda _: ok({"result": "7"})), "step 1", "expected a success"),
        ("evaluate/error", lie("evaluate", without_error), "step 1", '"index": 1'),
        ("evaluate/variables_of_each_tool", OneForAll(), "step 3", 'expected "1", got "2"'),
        ("evaluate/variables_of_each_session", OneForAll(), "step 3", "none of 2 possibilities"),
        ("evaluate/order_within_a_tool", LastFirst(), "step 6", 'expected "1234", got'),
        ("sessions/release_session", Keeping(), "step 4", "none of 2 possibilities"),
        (
            "ping/answer",
            lie(
                "ping", lambda asked: ok({"message": str(asked.get("message")).upper(), "status": "ready", "uptime": 1})
            ),
            "step 1",
            'result.message: expected "hello", got "HELLO"',
        ),
    ],
)
def test_lie_is_found(bed: Bed, case: str, answer: Answer, step: str, told: str) -> None:
    """An image that breaks a promise fails the case, at the step, with what came instead."""
    (row,) = run(bed, answer, "evaluate", "ping", "release_session", only=case).rows
    assert row.verdict == "failed"
    assert all(line.startswith(f"{step}, ") for line in row.differences)
    assert told in "\n".join(row.differences)


def test_image_that_does_not_answer_is_given_up(bed: Bed) -> None:
    """The step fails when its time is over; the image is not asked the rest, and that is told as a failure."""
    report = run(bed, lambda _command, _parameters: None, "evaluate", "ping", only="evaluate/v*", step_s=SHORT_S)
    first, *rest = report.rows
    assert f"no answer within {SHORT_S:g} s" in first.differences[0]
    assert rest
    assert all(row.verdict == "failed" for row in rest if row.capability == "evaluate")
    assert all("the image did not answer a ping" in row.differences[0] for row in rest)


def test_image_that_goes_fails(bed: Bed) -> None:
    """An image that hangs up in the middle has failed; the runner waits for it no longer than a step may take."""
    report = run(bed, lie("evaluate", lambda _: {}), "evaluate", "ping", only="evaluate/value", step_s=SHORT_S)
    assert report.rows[0].verdict == "failed"
    assert "image_lost" in "\n".join(report.rows[0].differences)


def test_what_is_published_and_not_done_is_a_failure(bed: Bed) -> None:
    """`unsupported_operation` of an image that published the capability is a broken promise."""
    (row,) = run(bed, Honest(), "ping", "system_info", only="browsing/system_info").rows
    assert row.verdict == "failed"
    assert "unsupported_operation" in "\n".join(row.differences)


def test_what_is_not_published_is_not_asked(bed: Bed) -> None:
    """What the image does not offer is no failure, and it hears nothing of it."""
    with connected(bed, Honest(), "ping") as image:
        report = bed.runner.run(run_image_conformance(bed.url, [image.image_id], only="evaluate/*"))
        assert "evaluate" not in image.requests
    assert {row.verdict for row in report.rows} == {"not offered"}


def test_image_that_published_nothing_is_asked_everything(bed: Bed) -> None:
    """It offers what it carries out; what it says it does not know, it does not offer."""
    assert run(bed, Honest(), only="evaluate/value").rows[0].verdict == "passed"
    assert run(bed, Honest(), only="browsing/system_info").rows[0].verdict == "not offered"


def test_unknown_image_is_told(bed: Bed) -> None:
    """The one who asks learns which images there are."""
    with connected(bed, Honest(), "ping") as image, pytest.raises(UnknownImageError, match=image.image_id):
        bed.runner.run(run_image_conformance(bed.url, ["nobody"]))


def test_cases_leave_no_session(bed: Bed) -> None:
    """Sessions of the cases are gone afterwards, also of those that failed."""
    question: dict[str, Any] = {"id": "1", "command": "get_session_statistics"}
    (before,) = bed.runner.run(ask(bed.target, question))
    run(bed, Honest(), "evaluate", "ping", only="evaluate/v*")
    (after,) = bed.runner.run(ask(bed.target, question))
    assert after["result"]["total_sessions"] == before["result"]["total_sessions"]
    assert after["result"]["storage"]["sessions"] == before["result"]["storage"]["sessions"]


def test_two_images_make_a_table(bed: Bed) -> None:
    """A column for each image, a row for each capability, failures explained above."""
    wrong = lie("ping", lambda _: ok({"message": "no", "status": "ready", "uptime": 1}))
    with connected(bed, Honest(), "ping", "evaluate") as one, connected(bed, wrong, "ping") as two:
        images = [one.image_id, two.image_id]
        said: list[str] = []
        done = bed.runner.run(run_image_conformance(bed.url, images, only="[ep][iv]*/[av][an]?[uw]e*", say=said.append))
    told = as_table(done)
    lines = told.splitlines()
    assert f"FAILED ping/answer ({two.image_id}" in told
    assert lines[-5].split() == ["capability", *images]
    assert [line.split() for line in lines[-4:-2]] == [
        ["evaluate", *f"{done.count('passed') - 1} passed not offered".split()],
        ["ping", *["1", "passed", "1", "of", "1", "FAILED"]],
    ]
    assert len(said) == len(done.rows)
    assert json.loads(as_json(done))["failed"] == 1


def test_run_with_token(bed_of: BedOf) -> None:
    """Where the daemon wants a token, the client shows it, and waits where it is told to."""
    guarded = bed_of("unix", "token")
    assert guarded.token is None
    bed = bed_of("tcp", "token")
    image_id = f"nobody-{secrets.token_hex(3)}"
    with pytest.raises(UnknownImageError, match="none"):
        bed.runner.run(run_image_conformance(bed.url, [image_id], bed.token))
