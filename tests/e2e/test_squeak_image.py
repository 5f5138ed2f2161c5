"""The Squeak example image speaks the image side of the wire contract, checked against real sockets."""

from __future__ import annotations

import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import folder
from tests.e2e.squeak import DEADLINE_S, TOKEN, SqueakImage, image_command

Json = dict[str, Any]

COUNTER: Json = {"class_name": "Counter", "instance_vars": ["count"], "package": "Demo", "comment": "I count."}
NEXT = 'next\n\t"Adds one."\n\tcount isNil ifTrue: [count := 0].\n\t^ count := count + 1'
DIVIDE = "divide: aNumber\n\t| result |\n\tresult := 10.\n\tresult := result / aNumber.\n\t^ result + 1"


@pytest.fixture(scope="module")
def image() -> Iterator[SqueakImage]:
    """An image that the tests of this module share, with a class Counter."""
    with folder() as home:
        started = SqueakImage(home / "shared.image", "--image-id", "squeak-test", "--name", "Squeak under test")
        try:
            started.accept()
            started.result("define_class", **COUNTER)
            for source in (NEXT, DIVIDE):
                started.result("compile_method", class_name="Counter", source=source, category="counting")
            yield started
        finally:
            started.stop()


@pytest.fixture
def own_image(tmp_path: Path) -> Iterator[SqueakImage]:
    """An image of the test's own, which has been let in."""
    started = SqueakImage(tmp_path / "own.image")
    try:
        started.accept()
        yield started
    finally:
        started.stop()


@pytest.fixture
def session() -> str:
    """The id of a session nobody else uses."""
    return f"session_{uuid.uuid4().hex}"


# Handshake and start


def test_hello_names_the_image(image: SqueakImage) -> None:
    """The first line is a hello with the identity, the token and the capabilities of the image."""
    parameters, identity = image.hello["parameters"], image.identity
    assert (image.hello["command"], parameters["role"], parameters["token"]) == ("hello", "image", TOKEN)
    assert (identity["image_id"], identity["name"], identity["dialect"]) == (
        "squeak-test",
        "Squeak under test",
        "Squeak",
    )
    assert uuid.UUID(identity["instance_id"]).version == 4
    assert identity["generation"] == 1
    assert (identity["process_id"], identity["host"]) == (image.process.pid, socket.gethostname())
    assert identity["changes_file"] == str(image.file.with_suffix(".changes"))
    wanted = {"evaluate", "inspect", "debug", "interrupt", "handles", "suspend", "transcript", "code_changed"}
    assert wanted <= set(identity["capabilities"])


def test_settings_with_the_token_are_for_the_owner_alone(image: SqueakImage) -> None:
    """The file that hands the token to the image cannot be read by others."""
    settings = image.file.with_name(image.file.name + ".settings")
    assert TOKEN in settings.read_text()
    assert settings.stat().st_mode & 0o777 == 0o600


def test_hello_refused_is_tried_again(tmp_path: Path) -> None:
    """An image that is refused for now comes back, as the same instance, and then works."""
    started = SqueakImage(tmp_path / "refused.image")
    try:
        started.accept_only()
        first = started.identity["instance_id"]
        started.send({"id": started.hello["id"], "status": "error", "error": "later", "retryable": True})
        started.hang_up()
        assert started.accept()["instance_id"] == first
        assert started.value("3 + 4") == "7"
    finally:
        started.stop()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--connect"),
        (("--connect", "http://localhost:80"), "http://localhost:80"),
        (("--connect", "tcp://localhost"), "tcp://localhost"),
        (("--connect", "unix:///tmp/x"), "TCP only"),
        (("--speed", "3", "--connect", "tcp://localhost:1"), "--speed"),
    ],
)
def test_command_line_mistake_is_one_clear_line(arguments: tuple[str, ...], named: str) -> None:
    """A wrong command line ends with 2 and one line that names the mistake."""
    command = [*image_command("")[:-2], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr


# Requests in general


def test_request_that_is_none_costs_only_itself(image: SqueakImage) -> None:
    """Lines that are no request, and commands nobody knows, leave the image as it is."""
    image.send_bytes(
        b'garbage\n\n[1]\n{"id": "x"}\n{"command": "evaluate"}\n\xe9{\n{"id": "y", "command": "x", "a": 01}\n'
    )
    assert image.refusal("teleport")["code"] == "unsupported_operation"
    assert image.evaluate("3 + 4", zork=[1], context=None)["result"] == "7"


@pytest.mark.parametrize("tag", ["Point[1,2]", "#symbol", "'text'", "{1:2}", '{"a":1,}', "[NaN]"])
def test_request_in_something_like_json_makes_no_object(image: SqueakImage, tag: str) -> None:
    """What is not strict JSON is no request."""
    image.send_bytes(f'{{"id": "tag", "command": "ping", "parameters": {{"message": {tag}}}}}\n'.encode())
    assert image.value("1") == "1"
    assert "tag" not in image.answers


@pytest.mark.parametrize(
    ("command", "parameters", "field"),
    [
        ("evaluate", {}, "code"),
        ("evaluate", {"code": 3}, "code"),
        ("evaluate", {"code": "3", "session_id": 4}, "session_id"),
        ("evaluate", {"code": "3", "return_string": "yes"}, "return_string"),
        ("evaluate", {"code": "3", "on_error": "dream"}, "on_error"),
        ("inspect", {}, "target"),
        ("inspect", {"target": "3", "depth": 9}, "depth"),
        ("browse_class", {}, "class_name"),
        ("define_class", {"class_name": "a b"}, "class_name"),
        ("debug", {}, "operation"),
    ],
)
def test_request_bad_parameter_is_named(image: SqueakImage, command: str, parameters: Json, field: str) -> None:
    """A missing or mistyped parameter is refused with invalid_parameters and its name."""
    answer = image.refusal(command, **parameters)
    assert (answer["code"], answer["details"]["field"]) == ("invalid_parameters", field)


def test_text_beyond_ascii_comes_back_as_it_was(image: SqueakImage) -> None:
    """Latin-1 comes back, however it was written; what Squeak has no byte for is a question mark."""
    assert image.value("'äé\u00ff \U0001f600 日'") == "'äé\u00ff ? ?'"
    image.send_bytes('{"id": "raw", "command": "evaluate", "parameters": {"code": "\'ä日\' size"}}\n'.encode())
    assert image.answer("raw")["result"]["result"] == "2"


def test_line_of_megabytes_is_read(image: SqueakImage) -> None:
    """A long line takes time in proportion to its length."""
    assert image.value(f"'{'x' * 1_000_000}' size") == "1000000"


# Evaluation


@pytest.mark.parametrize(
    ("code", "printed", "type_name"),
    [
        ("3 + 4", "7", "SmallInteger"),
        ("x := 3. x _ x + 1. x", "4", "SmallInteger"),
        ("30 factorial", "265252859812191058636308480000000", "LargePositiveInteger"),
        ("#(1 $a foo 'it''s') collect: [:each | each]", "(1 $a #foo 'it''s')", "Array"),
        ("", "nil", "UndefinedObject"),
        ("'two\nlines'", "'two\nlines'", "String"),
        ("5. ^ 6", "6", "SmallInteger"),
    ],
)
def test_evaluate_prints_the_value(image: SqueakImage, session: str, code: str, printed: str, type_name: str) -> None:
    """A result comes with its class and no error."""
    reply = image.evaluate(code, session)
    assert (reply["result"], reply["result_type"], reply["has_error"]) == (printed, type_name, False)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("nil", None),
        ("true", True),
        ("3.5", 3.5),
        ("2 raisedTo: 80", 2**80),
        ("Array with: 'a' with: nil", ["a", None]),
    ],
)
def test_evaluate_as_json_gives_the_value(image: SqueakImage, code: str, value: object) -> None:
    """With return_string false, what JSON has comes as such."""
    assert image.evaluate(code, return_string=False)["result"] == value


def test_variables_belong_to_a_tool_of_a_session(image: SqueakImage, session: str) -> None:
    """An undeclared name that is assigned is a variable of that tool until the session is released."""
    image.value("a := 5. [:each | b := each] value: 6", session)
    assert image.value("a + b", session) == "11"
    assert image.error("a", session, tool_id="other")["class"] == "UndeclaredVariable"
    bindings = image.result("capture_context", session_id=session)["workspace"]["bindings"]
    assert bindings == {
        "a": {"value": "5", "class_name": "SmallInteger"},
        "b": {"value": "6", "class_name": "SmallInteger"},
    }
    assert image.result("release_session", session_id=session) == {"released": True}
    assert image.result("release_session", session_id=session) == {"released": False}
    assert image.error("a", session)["message"] == "undeclared variable a"


@pytest.mark.parametrize(
    ("code", "class_name", "signaler"),
    [
        ("nil foo", "MessageNotUnderstood", "UndefinedObject>>doIt"),
        ("1 / 0", "ZeroDivide", "SmallInteger>>/"),
        ("Array new at: 1", "SubscriptOutOfBounds", "Object>>at:"),
        ("Dictionary new at: 1", "KeyNotFound", "Dictionary>>at:"),
        ("self error: 'no'", "Error", "UndefinedObject>>doIt"),
        ("self halt", "Halt", "UndefinedObject>>doIt"),
        ("FillInTheBlank request: 'who?'", "Error", "FillInTheBlank class>>request:initialAnswer:centerAt:"),
        ("Compiler evaluate: '3 +'", "SyntaxError", "SyntaxError class>>errorInClass:withCode:doitFlag:"),
    ],
)
def test_error_has_class_signaler_and_stack(image: SqueakImage, code: str, class_name: str, signaler: str) -> None:
    """An error tells what went wrong and where, down to the evaluated code; nothing waits for a person."""
    error = image.error(code)
    assert (error["class"], error["signaler"]) == (class_name, signaler)
    assert error["stack"][-1]["selector"] == "doIt"
    assert [frame["index"] for frame in error["stack"]] == list(range(1, len(error["stack"]) + 1))


@pytest.mark.parametrize(
    ("code", "class_name", "line"),
    [("3 +", "SyntaxError", 1), ("3\n\n+ )", "SyntaxError", 3), ("1.\nzork", "UndeclaredVariable", 2)],
)
def test_code_that_does_not_compile_says_where(image: SqueakImage, code: str, class_name: str, line: int) -> None:
    """What does not compile is an error with a position, and nothing of it ran."""
    error = image.error(code)
    assert (error["class"], error["line"]) == (class_name, line)
    assert error["message"]
    assert error["stack"] == []


def test_printing_that_fails_is_the_users_error(image: SqueakImage, session: str) -> None:
    """An error in printOn: is told like any other."""
    image.result("define_class", class_name="Unprintable")
    image.result("compile_method", class_name="Unprintable", source="printOn: aStream\n\t^ self zork")
    assert image.error("Unprintable new", session)["message"] == "Message not understood: zork"
    assert image.error("Unprintable new foo", session)["stack"][-1]["receiver"] == "nil"


def test_transcript_goes_to_the_session_that_writes(image: SqueakImage, session: str) -> None:
    """Text comes as events before the answer, with line feeds; also from processes that the code has forked."""
    image.value("Transcript show: 'hello'; cr", session)
    event = image.event("transcript")
    assert (event["session_id"], event["data"]["text"]) == (session, "hello\n")
    image.value("[Transcript show: 'forked'] fork", session)
    assert image.event("transcript")["data"]["text"] == "forked"


# Interrupts


def test_interrupt_ends_an_endless_loop_and_keeps_the_state(image: SqueakImage, session: str) -> None:
    """While code runs, pings and other sessions are answered; the interrupt ends it, and nothing else."""
    image.value("kept := OrderedCollection with: 5", session)
    endless = image.start("evaluate", code="[true] whileTrue", session_id=session)
    assert image.value("3 + 4", "session_of_another") == "7"
    assert image.result("ping", message="hi")["status"] == "busy"
    assert image.result("interrupt", request_id=endless) == {"interrupted": True, "state_lost": False}
    assert image.result_of(endless)["error"]["class"] == "Interrupted"
    assert image.value("kept", session) == "an OrderedCollection(5)"
    assert image.result("interrupt", request_id=endless)["interrupted"] is False
    assert image.result("ping")["status"] == "ready"


def test_interrupt_drops_what_waits(image: SqueakImage, session: str) -> None:
    """A request behind another one of its tool is answered as interrupted and never runs."""
    image.value("ran := false", session)
    first = image.start("evaluate", code="(Delay forSeconds: 1000) wait", session_id=session)
    second = image.start("evaluate", code="ran := true", session_id=session)
    assert image.result("interrupt", request_id=second)["interrupted"] is True
    assert image.result("interrupt", request_id=first)["interrupted"] is True
    assert [image.result_of(each)["error"]["class"] for each in (first, second)] == ["Interrupted"] * 2
    assert image.value("ran", session) == "false"


def test_interrupt_releases_what_the_code_held(image: SqueakImage, session: str) -> None:
    """A semaphore that interrupted code holds does not stay held."""
    image.value("mutex := Semaphore forMutualExclusion", session)
    held = image.start("evaluate", code="mutex critical: [[true] whileTrue]", session_id=session)
    image.result("ping")
    assert image.value("1", "session_of_another") == "1"
    image.result("interrupt", request_id=held)
    assert image.result_of(held)["error"]["class"] == "Interrupted"
    assert image.value("mutex critical: [8]", session) == "8"


def test_endless_recursion_is_ended(image: SqueakImage, session: str) -> None:
    """A stack that grows without end is an error, and the image goes on."""
    image.result("compile_method", class_name="Counter", source="forever\n\t^ self forever + 1")
    assert image.error("Counter new forever", session)["class"] == "StackOverflow"
    assert image.value("3 + 4", session) == "7"


def test_code_that_ends_its_own_process_is_answered(image: SqueakImage, session: str) -> None:
    """Whoever waits for an answer gets one, also when the code terminates the process it runs in."""
    assert image.error("Processor terminateActive. 3", session)["class"] == "ProcessTerminated"
    assert image.value("3 + 4", session) == "7"


# Objects


def test_inspect_shows_parts_and_follows_paths(image: SqueakImage, session: str) -> None:
    """Named variables, elements and keys are parts; a path leads from one to the next."""
    image.value("o := Dictionary new. o at: #list put: (OrderedCollection with: 3 @ 4)", session)
    found = image.result("inspect", target="o", depth=2, session_id=session)
    assert found["object_info"]["class_name"] == "Dictionary"
    assert (found["object_info"]["size"], found["elements_total"], found["more"]) == (1, 1, False)
    assert found["instance_vars"]["#list"]["instance_vars"]["1"]["string_representation"] == "3@4"
    point = image.result("inspect", target="o", path=["#list", "1"], session_id=session)
    assert {name: part["string_representation"] for name, part in point["instance_vars"].items()} == {
        "x": "3",
        "y": "4",
    }
    lost = image.refusal("inspect", target="o", path=["#list", "7"], session_id=session)
    assert (lost["code"], lost["details"]["path"]) == ("object_not_found", ["#list"])


def test_inspect_of_a_cycle_and_of_many_elements_ends(image: SqueakImage, session: str) -> None:
    """An object in itself is marked; elements come in pages."""
    cycle = image.result("inspect", target="(Array new: 1) at: 1 put: 2; yourself", session_id=session)
    assert "cycle" not in cycle["instance_vars"]["1"]
    image.value("c := Array new: 1. c at: 1 put: c. 1", session)
    assert image.result("inspect", target="c", depth=5, session_id=session)["instance_vars"]["1"]["cycle"] is True
    page = image.result("inspect", target="1 to: 500", start=498, count=5)
    assert (sorted(page["instance_vars"]), page["elements_total"], page["more"]) == (["499", "500"], 500, False)


def test_inspect_of_an_expression_that_fails_is_an_evaluation_error(image: SqueakImage) -> None:
    """The error is in the details; an unknown name is no object."""
    refused = image.refusal("inspect", target="1 / 0")
    assert (refused["code"], refused["details"]["error"]["class"]) == ("evaluation_error", "ZeroDivide")
    assert image.refusal("inspect", target="nonsense")["code"] == "object_not_found"


def test_handles_keep_objects_of_their_session(image: SqueakImage, session: str) -> None:
    """A handle names the same object until it is released, and only in its session."""
    handle = image.evaluate("o := OrderedCollection new", session, keep=True)["handle"]
    image.value("o add: 7", session)
    assert (
        image.result("inspect", handle=handle, session_id=session)["instance_vars"]["1"]["class_name"] == "SmallInteger"
    )
    assert image.refusal("inspect", handle=handle, session_id="another")["code"] == "object_not_found"
    assert image.result("release_handles", session_id=session, handles=[handle, "h"]) == {"released": 1}
    assert image.refusal("inspect", handle=handle, session_id=session)["code"] == "object_not_found"


# Suspended processes


def test_suspended_process_shows_frames_variables_and_source(image: SqueakImage, session: str) -> None:
    """The process waits where the error was; another evaluation of the tool goes on meanwhile."""
    debugger_id = image.suspend("Counter new divide: 0", session)
    assert image.value("3 + 4", session) == "7"
    info = image.debug("GetLocalVars", debugger_id, session, frame=2)["debug_info"]
    assert [frame["selector"] for frame in info["stack"]] == ["/", "divide:", "doIt"]
    assert {name: local["string_representation"] for name, local in info["locals"].items()} == {
        "self": "a Counter",
        "aNumber": "0",
        "result": "10",
    }
    frame = info["frame"]
    assert frame["source"] == DIVIDE
    assert (frame["line"], DIVIDE[frame["start"] - 1 : frame["stop"]]) == (4, "/ aNumber")
    assert image.debug("GetSource", debugger_id, session, frame=3)["result"] == "Counter new divide: 0"
    assert image.debug("Terminate", debugger_id, session)["debug_info"]["state"] == "terminated"
    gone = image.refusal("debug", operation="Continue", debugger_id=debugger_id, session_id=session)
    assert gone["code"] == "object_not_found"


def test_suspended_process_is_mended_and_restarted(image: SqueakImage, session: str) -> None:
    """A variable is changed in its frame, the frame begun anew, and the code runs to its end with its value."""
    debugger_id = image.suspend("(Counter new divide: 0) * 100", session)
    assert image.debug("EvaluateInFrame", debugger_id, session, frame=2, expression="aNumber := 5")["result"] == "5"
    info = image.debug("RestartFrame", debugger_id, session, frame=2)["debug_info"]
    assert (info["state"], info["frame"]["selector"]) == ("suspended", "divide:")
    done = image.debug("Continue", debugger_id, session)
    assert (done["result"], done["debug_info"]["state"]) == ("300", "finished")
    assert done["debug_info"]["outcome"]["result"] == "300"


def test_suspended_process_steps(image: SqueakImage, session: str) -> None:
    """Into a send, past one, and out of a frame, each step for real."""
    debugger_id = image.suspend("self error: 'here'. c := Counter new. c next. c next", session)
    info = image.debug("StepOver", debugger_id, session)["debug_info"]
    assert info["frame"]["source"][info["frame"]["start"] - 1 : info["frame"]["stop"]] == "next"
    info = image.debug("StepInto", debugger_id, session)["debug_info"]
    assert [frame["selector"] for frame in info["stack"]] == ["next", "doIt"]
    assert info["locals"]["self"]["string_representation"] == "a Counter"
    info = image.debug("StepOut", debugger_id, session)["debug_info"]
    assert [frame["selector"] for frame in info["stack"]] == ["doIt"]
    assert image.value("c next", session) == "2"
    assert image.debug("Continue", debugger_id, session)["result"] == "3"


def test_suspended_process_returns_a_value(image: SqueakImage, session: str) -> None:
    """A frame is left with the value that is given for it."""
    debugger_id = image.suspend("(Counter new divide: 0) + 1000", session)
    image.debug("ReturnValue", debugger_id, session, frame=2, expression="70 + 7")
    assert image.debug("Continue", debugger_id, session)["result"] == "1077"


def test_suspended_process_meets_the_next_error(image: SqueakImage, session: str) -> None:
    """Continue goes on as if the error had been handled, up to the next one, under the same name."""
    debugger_id = image.suspend("nil foo. nil bar. 42", session)
    info = image.debug("Continue", debugger_id, session)["debug_info"]
    assert (info["state"], info["error"]["message"]) == ("suspended", "Message not understood: bar")
    assert info["error"]["debugger_id"] == debugger_id
    assert image.debug("Continue", debugger_id, session)["result"] == "42"


def test_suspended_process_that_goes_on_for_ever_is_interrupted(image: SqueakImage, session: str) -> None:
    """The request that let it go on is the one to interrupt."""
    debugger_id = image.suspend("nil foo. [true] whileTrue", session)
    going_on = image.start("debug", operation="Continue", debugger_id=debugger_id, session_id=session)
    assert image.value("1", "session_of_another") == "1"
    assert image.result("interrupt", request_id=going_on)["interrupted"] is True
    info = image.result_of(going_on)["debug_info"]
    assert (info["state"], info["outcome"]["error"]["class"]) == ("terminated", "Interrupted")
    assert image.value("3 + 4", session) == "7"
    assert image.result("ping")["status"] == "ready"


def test_error_between_a_step_and_its_end_keeps_the_stack_whole(image: SqueakImage, session: str) -> None:
    """A step out of a frame that meets an error shows all frames, and the code still ends with its value."""
    debugger_id = image.suspend("#(1 0 2) collect: [:each | (10 // each) + 1]", session)
    image.debug("StepOver", debugger_id, session)
    image.debug("StepOver", debugger_id, session)
    info = image.debug("StepOut", debugger_id, session)["debug_info"]
    assert info["error"]["message"] == "Message not understood: +"
    assert [frame["selector"] for frame in info["stack"]] == ["[] in doIt", "collect:", "doIt"]
    assert image.debug("Continue", debugger_id, session)["result"] == "(11 nil 6)"


# Code


def test_browsing_tells_of_packages_classes_and_methods(image: SqueakImage) -> None:
    """What a browser shows, of classes of the system and of new ones."""
    assert {"name": "Demo", "class_count": 1} in image.result("list_packages", pattern="demo")["packages"]
    counter = image.result("list_classes", package="Demo")["classes"]
    assert [(each["name"], each["comment"], each["is_system"]) for each in counter] == [("Counter", "I count.", False)]
    assert image.result("browse_class", class_name="Counter")["class_info"]["definition"].startswith(
        "Object subclass: #"
    )
    above = image.result("get_hierarchy", class_name="SmallInteger")["superclasses"]
    assert above == ["Integer", "Number", "Magnitude", "Object"]
    method = image.result("get_method", class_name="Counter", method_name="divide:")["method"]
    assert (method["source"], method["arguments"], method["category"]) == (DIVIDE, ["aNumber"], "counting")
    assert (
        "printStringLimitedTo:"
        in image.result("get_method", class_name="Object", method_name="printString")["method"]["source"]
    )
    assert image.refusal("browse_class", class_name="Nope")["code"] == "class_not_found"
    assert image.refusal("get_method", class_name="Object", method_name="nope")["code"] == "method_not_found"


@pytest.mark.parametrize(
    ("what", "text", "package", "found"),
    [
        ("implementors", "divide:", None, ("Counter", "divide:")),
        ("senders", "nextInstance", "Kernel-Classes", ("Behavior", "allInstancesDo:")),
        ("references", "count", "Demo", ("Counter", "next")),
        ("source", "Adds one", None, ("Counter", "next")),
    ],
)
def test_find_methods_finds(
    image: SqueakImage, what: str, text: str, package: str | None, found: tuple[str, str]
) -> None:
    """Senders, implementors, references and text in sources."""
    methods = image.result("find_methods", what=what, text=text, package=package)["methods"]
    assert found in [(each["class_name"], each["selector"]) for each in methods]


def test_code_is_changed_unless_somebody_else_did(image: SqueakImage, session: str) -> None:
    """Methods and classes are compiled and removed; a base that is not the present text changes nothing."""
    made = image.result("define_class", class_name="Guarded", base_definition="", session_id=session)
    assert made["previous_definition"] is None
    first = image.result(
        "compile_method", class_name="Guarded", source="one\n\t^ 1", base_source="", session_id=session
    )
    assert (first["selector"], first["previous_source"]) == ("one", None)
    stale = image.refusal(
        "compile_method", class_name="Guarded", source="one\n\t^ 2", base_source="", session_id=session
    )
    assert (stale["code"], stale["details"]["present"]) == ("code_conflict", "one\n\t^ 1")
    again = image.result(
        "compile_method", class_name="Guarded", source="one\n\t^ 2", base_source="one\r\n\t^ 1", session_id=session
    )
    assert again["previous_source"] == "one\n\t^ 1"
    assert image.value("Guarded new one", session) == "2"
    wrong = image.refusal("compile_method", class_name="Guarded", source="one\n\t^ zork + ", session_id=session)
    assert (wrong["code"], wrong["details"]["line"]) == ("compile_error", 2)
    assert image.refusal("remove_class", class_name="Guarded", base_definition="x")["code"] == "code_conflict"
    assert image.result("remove_method", class_name="Guarded", method_name="one")["previous_source"] == "one\n\t^ 2"
    assert image.result("remove_class", class_name="Guarded")["removed"] is True
    assert image.refusal("browse_class", class_name="Guarded")["code"] == "class_not_found"


def test_code_compiled_by_several_sessions_at_once_keeps_its_sources(image: SqueakImage) -> None:
    """They write to one file of changes, one after the other."""
    sources = {f"at{n}": f'at{n}\n\t"{"long " * 200}{n}"\n\t^ {n}' for n in range(20)}
    asked = [
        image.start("compile_method", class_name="Counter", source=source, session_id=f"session_{selector}")
        for selector, source in sources.items()
    ]
    assert [image.result_of(each)["selector"] for each in asked] == list(sources)
    for selector, source in sources.items():
        method = image.result("get_method", class_name="Counter", method_name=selector)["method"]
        assert method["source"] == source


def test_symbols_made_by_several_sessions_at_once_are_all_kept(image: SqueakImage) -> None:
    """A symbol that is lost from the table would be made anew, and no method of that name be found any more."""
    made = "1 to: 1500 do: [:n | ('zz', n printString, '{}') asSymbol]"
    asked = [image.start("evaluate", code=made.format(each), session_id=f"session_{each}") for each in "abc"]
    for each in asked:
        image.result_of(each)
    missing = """| missing |
    missing := 0.
    #('a' 'b' 'c') do: [:each | 1 to: 1500 do: [:n |
        (Symbol hasInterned: 'zz', n printString, each ifTrue: [:symbol | nil]) ifFalse: [missing := missing + 1]]].
    missing"""
    assert image.value(missing) == "0"


def test_code_that_came_with_the_image_is_not_removed(image: SqueakImage) -> None:
    """The image does not let itself be taken apart from outside."""
    refused = image.refusal("remove_method", class_name="Object", method_name="printString")
    assert refused["code"] == "unsupported_operation"
    assert image.refusal("remove_class", class_name="String")["code"] == "unsupported_operation"
    assert image.refusal("define_class", class_name="Array")["code"] == "unsupported_operation"


def test_source_that_the_image_cannot_hold_is_refused(image: SqueakImage) -> None:
    """A method is not stored with question marks in it."""
    refused = image.refusal("compile_method", class_name="Counter", source='comment\n\t"日本"')
    assert (refused["code"], refused["details"]["field"]) == ("invalid_parameters", "source")


def test_changes_by_evaluation_are_told(image: SqueakImage, session: str) -> None:
    """Code that compiles code is heard of; what the daemon asks for is not."""
    image.events.clear()
    image.result("compile_method", class_name="Counter", source="told\n\t^ 1", session_id=session)
    image.value("Counter compile: 'told ^ 2' classified: 'x'", session)
    data = image.event("code_changed")["data"]
    assert (data["kind"], data["class_name"], data["selector"]) == ("method", "Counter", "told")
    assert (data["source"], data["previous_source"]) == ("told ^ 2", "told\n\t^ 1")
    image.value("Counter removeSelector: #told", session)
    assert image.event("code_changed")["data"]["kind"] == "method_removed"


def test_completion_and_system_info_answer(image: SqueakImage, session: str) -> None:
    """Variables, classes and selectors are suggested; the image tells of itself."""
    image.value("objective := 3", session)
    texts = [
        [
            each["text"]
            for each in image.result("code_completion", code=code, cursor_position=len(code), session_id=session)[
                "suggestions"
            ]
        ]
        for code in ("obj", "3 + OrderedC", "3 printStringL")
    ]
    assert [each[0] for each in texts] == ["objective", "OrderedCollection", "printStringLimitedTo:"]
    info = image.result("system_info", info_type="All")["info"]
    assert (info["dialect"], info["image_id"]) == ("Squeak", "squeak-test")
    assert info["free_bytes"] > 1_000_000


# Links, saves and restarts


def test_answer_goes_over_the_next_link(own_image: SqueakImage, session: str) -> None:
    """Code that runs while the link breaks is answered over the next, under the same id."""
    own_image.value("Smalltalk at: #Gate put: Semaphore new", session)
    waiting = own_image.start("evaluate", code="Gate wait. 77", session_id=session)
    own_image.result("ping")
    first = own_image.identity["instance_id"]
    own_image.hang_up()
    assert own_image.accept()["instance_id"] == first
    own_image.value("Gate signal", session, tool_id="other")
    assert own_image.result_of(waiting)["result"] == "77"


def test_saved_image_lives_on_and_again(own_image: SqueakImage, session: str) -> None:
    """A save is a new generation; what was saved is there after kill -9, under a new instance, without stale names."""
    own_image.value("list := OrderedCollection with: 3", session)
    handle = own_image.evaluate("list", session, keep=True)["handle"]
    debugger_id = own_image.suspend("nil foo", session)
    own_image.result("define_class", class_name="Lasting")
    first = own_image.identity
    saved = own_image.save(session)
    assert (saved["generation"], saved["instance_id"]) == (2, first["instance_id"])
    assert own_image.result("inspect", handle=handle, session_id=session)["elements_total"] == 1
    own_image.value("list add: 4", session)
    restarted = own_image.restart()
    assert (restarted["generation"], restarted["image_id"]) == (2, first["image_id"])
    assert restarted["instance_id"] != first["instance_id"]
    assert own_image.value("list", session) == "an OrderedCollection(3)"
    assert own_image.value("Lasting new", session) == "a Lasting"
    assert own_image.refusal("inspect", handle=handle, session_id=session)["code"] == "object_not_found"
    gone = own_image.refusal("debug", operation="Continue", debugger_id=debugger_id, session_id=session)
    assert gone["code"] == "object_not_found"
    assert own_image.evaluate("list", session, keep=True)["handle"] != handle


def test_saved_image_does_not_go_on_with_what_ran(own_image: SqueakImage, session: str) -> None:
    """Code that ran at the save goes on in the image that lives on, not in the one that is started again."""
    endless = own_image.start("evaluate", code="[true] whileTrue", session_id="session_endless")
    own_image.save(session)
    assert own_image.result("interrupt", request_id=endless)["interrupted"] is True
    assert own_image.result_of(endless)["error"]["class"] == "Interrupted"
    own_image.restart()
    assert own_image.result("ping")["status"] == "ready"


def test_save_that_fails_is_an_error_and_the_image_goes_on(own_image: SqueakImage, session: str) -> None:
    """Where the file cannot be written the image says so, and its generation stays."""
    shutil.rmtree(own_image.file.parent)
    saving = own_image.start("evaluate", code="StuiImage save", session_id=session)
    own_image.hang_up()
    assert own_image.accept()["generation"] == 1
    assert own_image.result_of(saving)["error"]["message"] == "the image could not be written"
    assert own_image.value("3 + 4", session) == "7"
