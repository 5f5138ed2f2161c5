"""Code in the Amber image is ended on request, and takes nothing with it that could be kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.amber.bed import Image, Json

FOREVER = "[true] whileTrue: []"
SHOUT = "Transcript show: ((1 to: 14) inject: 'x' into: [:text :each | text, text]). "
"""Writes so much at once that the Transcript does not wait for more: the code runs, for certain."""


class SystemCall:
    """A system call in the image that lasts until the test ends it: V8 cannot end a thread inside of one."""

    def __init__(self, folder: Path) -> None:
        self.began, self.end = folder / "began", folder / "end"
        os.mkfifo(self.began)
        os.mkfifo(self.end)
        run = f"echo > {self.began}; cat {self.end}"
        self.code = f"(Smalltalk amdRequire value: 'child_process') execSync: '{run}'"

    def wait_until_inside(self) -> None:
        """Return when the image is inside of the call."""
        self.began.read_text()

    def let_return(self) -> None:
        """End the call."""
        self.end.write_text("")


def is_interrupted(answer: Json) -> bool:
    """Tell whether an answer is the one that the contract wants of interrupted code."""
    assert answer["status"] == "success", answer
    result = answer["result"]
    shown = (result["has_error"], result["result"], result["result_type"], result["error"]["class"])
    return shown == (True, None, "Interrupted", "Interrupted")


def begin(image: Image, code: str, session: str, before: str = "", **parameters: object) -> str:
    """Start an evaluation and return its id once it runs and is beyond what comes `before`."""
    request = image.start("evaluate", code=before + SHOUT + code, session_id=session, **parameters)
    assert image.link.next_event()["event"] == "transcript"
    return request


@pytest.mark.parametrize(
    "code",
    [
        FOREVER,
        f"[{FOREVER}] on: Error do: [:e | e return: 0]",
        f"[{FOREVER}] ensure: [n := 0]",
        "(RegularExpression fromString: '^(a+)+$') test: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'",
    ],
)
def test_interrupt_ends_running_code_and_keeps_all_objects(image: Image, session: str, code: str) -> None:
    """Code that would run for ever ends, whatever it catches; the variables are there and the next code runs."""
    image.value("n := 41", session)
    running = begin(image, code, session, before="n := n + 1. ")
    asked = image.start("interrupt", request_id=running, session_id=session)
    assert is_interrupted(image.link.answer_to(running))
    assert image.link.answer_to(asked)["result"] == {"interrupted": True, "state_lost": False}
    assert image.value("n", session) == "42"
    assert image.error("n zork", session)["stack"][-1]["selector"] == "doIt"


def test_interrupt_again_and_again_leaves_nothing_behind(image: Image, session: str) -> None:
    """Interrupted code leaves no method in the class of its receiver, and an entry in the history of its tool."""
    for _ in range(5):
        running = begin(image, FOREVER, session, context={"receiver": "3"}, tool_id="t")
        assert image.result("interrupt", request_id=running)["interrupted"] is True
        assert is_interrupted(image.link.answer_to(running))
    assert "xxxDoIt" not in image.result("inspect", target="3", include_private=True)["methods"]
    history = image.result("capture_context", session_id=session, tool_id="t")["workspace"]["history"]
    assert [entry["error"].partition(":")[0] for entry in history] == ["Interrupted"] * 5


def test_interrupt_drops_what_waits(image: Image, session: str) -> None:
    """A request that waits is answered and never carried out; those around it are."""
    image.value("done := 0", session)
    running = begin(image, FOREVER, session)
    first, second, third = (
        image.start("evaluate", code=f"done := done + {number}", session_id=session) for number in (1, 10, 100)
    )
    looking = image.start("inspect", target="3", session_id=session)
    assert image.result("interrupt", request_id=second) == {"interrupted": True, "state_lost": False}
    assert is_interrupted(image.link.answer_to(second))
    assert image.result("interrupt", request_id=looking)["interrupted"] is True
    refused = image.link.answer_to(looking)
    assert (refused["code"], refused["details"]["error"]["class"]) == ("evaluation_error", "Interrupted")
    assert image.result("interrupt", request_id=running)["interrupted"] is True
    assert is_interrupted(image.link.answer_to(running))
    assert [image.link.answer_to(request)["result"]["result"] for request in (first, third)] == ["1", "101"]


def test_interrupt_of_nothing_says_so(image: Image, session: str) -> None:
    """What has ended, and what never was, cannot be interrupted; the image goes on."""
    done = image.start("evaluate", code="3 + 4", session_id=session)
    image.link.answer_to(done)
    for request in (done, "no-such-request"):
        for force in (False, True):
            answer = image.result("interrupt", request_id=request, force=force)
            assert answer == {"interrupted": False, "state_lost": False}
    assert image.value("3 + 4", session) == "7"


def test_interrupt_behind_forked_code_that_never_ends_takes_force(own_image: Image, session: str) -> None:
    """A request that cannot begin is dropped; what keeps the image from working is ended by force alone."""
    own_image.welcome()
    forked = begin(own_image, f"[{SHOUT} {FOREVER}] fork", session)
    own_image.link.answer_to(forked)
    own_image.link.next_event()
    behind = own_image.start("evaluate", code="6 * 7", session_id=session)
    assert own_image.result("interrupt", request_id=behind) == {"interrupted": True, "state_lost": False}
    assert is_interrupted(own_image.link.answer_to(behind))
    assert own_image.result("ping")["status"] == "busy"
    behind = own_image.start("evaluate", code="6 * 7", session_id=session)
    assert own_image.result("interrupt", request_id=behind, force=True) == {"interrupted": True, "state_lost": True}
    assert is_interrupted(own_image.link.answer_to(behind))
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    assert own_image.value("6 * 7", session) == "42"


def test_interrupt_with_wrong_parameters_is_refused(image: Image) -> None:
    """A request has to be named by a text, and force is yes or no."""
    for parameters, field in (
        ({}, "request_id"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": 3}, "request_id"),
    ):
        assert image.refusal("interrupt", **parameters)["details"] == {"field": field}
    assert image.refusal("interrupt", request_id="x", force="yes")["details"] == {"field": "force"}


def test_interrupt_inside_of_a_system_call_ends_the_code_when_that_returns(
    own_image: Image, session: str, tmp_path: Path
) -> None:
    """What cannot be ended at once is being ended: the answer follows, and the objects stay."""
    own_image.welcome()
    own_image.value("n := 41", session)
    call = SystemCall(tmp_path)
    running = own_image.start("evaluate", code=f"{call.code}. {FOREVER}", session_id=session)
    call.wait_until_inside()
    assert own_image.result("interrupt", request_id=running) == {"interrupted": True, "state_lost": False}
    assert running not in own_image.link.answers
    assert own_image.result("ping")["status"] == "busy"
    call.let_return()
    assert is_interrupted(own_image.link.answer_to(running))
    assert own_image.value("n", session) == "41"


def test_interrupt_by_force_comes_back_as_another_instance(own_image: Image, session: str, tmp_path: Path) -> None:
    """Where nothing else helps, all that is under way is answered, and an image without state dials anew."""
    own_image.welcome()
    own_image.value("n := 41", session)
    before = own_image.hello["parameters"]["identity"]
    call = SystemCall(tmp_path)
    running = own_image.start("evaluate", code=call.code, session_id=session)
    call.wait_until_inside()
    waiting = own_image.start("evaluate", code="n := 1", session_id=session)
    compiling = own_image.start("compile_method", class_name="Object", source="zork ^ 1")
    assert own_image.result("interrupt", request_id=running, force=True) == {"interrupted": True, "state_lost": True}
    assert is_interrupted(own_image.link.answer_to(running))
    assert is_interrupted(own_image.link.answer_to(waiting))
    assert own_image.link.answer_to(compiling)["code"] == "internal_error"
    assert own_image.link.reader.readline() == b""
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    after = own_image.hello["parameters"]["identity"]
    assert before.pop("instance_id") != after.pop("instance_id")
    assert before == after
    assert own_image.error("n", session)["class"] == "UnknownVariableError"
    assert own_image.value("3 + 4", session) == "7"
    call.let_return()
