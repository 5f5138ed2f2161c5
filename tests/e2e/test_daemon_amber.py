"""A client, the daemon and a live Amber Smalltalk, all real: the development commands from end to end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import IMAGE_ID, Amber, Connection, Daemon, Json, folder


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with a live Amber connected to it."""
    with folder() as home, Daemon(home) as started, Amber(started.url):
        started.wait_for("image.connected", image_id=IMAGE_ID)
        yield started


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Connection]:
    """A client of that daemon."""
    with Connection(daemon.socket_path) as connection:
        yield connection


@pytest.fixture
def session(client: Connection) -> str:
    """A session in the image."""
    return client.new_session(image_id=IMAGE_ID)


def define_account(client: Connection, session: str) -> None:
    """Define a class with two methods."""
    client.value("Object subclass: #Account slots: {#balance} package: 'Bank'", session)
    client.value("Account compile: 'balance \"What is there.\" ^ balance' protocol: 'accessing'", session)
    client.value("Account compile: 'put: amount balance := (balance ifNil: [0]) + amount' protocol: 'doing'", session)


def test_evaluate_gives_printed_value_type_and_time(client: Connection, session: str) -> None:
    """A value comes back printed, with its class, and `Display` fills `display` as well."""
    reply = client.result("evaluate", code="3 + 4", session_id=session, evaluation_mode="Display")
    assert (reply["result"], reply["display"], reply["has_error"]) == ("7", "7", False)
    assert reply["result_type"] == "Number"
    assert reply["execution_time"] >= 0


def test_evaluate_in_envelope_form_is_answered_in_it(client: Connection, session: str) -> None:
    """A request in the envelope form gets its answer in the envelope form, under the same id."""
    params = {"code": "6 * 7", "session_id": session}
    payload = {"type": "Request", "data": {"request_type": "Evaluate", "params": params}}
    client.write({"id": "e-1", "version": "1.0.0", "timestamp": "2025-01-20T10:30:00Z", "payload": payload})
    answer = client.answer("e-1")
    assert answer["payload"]["type"] == "Response"
    assert answer["payload"]["data"]["response_type"] == "Evaluate"
    assert answer["payload"]["data"]["data"]["result"] == "42"


def test_evaluate_large_text_arrives_whole(client: Connection, session: str) -> None:
    """Text of many kinds and of a size that takes several reads comes back as it was sent."""
    text = "äöü € \U0001f600 \\ \u2028 " * 4000
    reply = client.result("evaluate", code=f"'{text}'", session_id=session, return_string=False)
    assert reply["result"] == text


def test_bindings_persist_per_session_and_per_tool(client: Connection, session: str) -> None:
    """A variable lives in the tool that made it, and in no other tool or session."""
    client.value("a := 1", session, "one")
    client.value("a := 2", session, "two")
    other = client.new_session(image_id=IMAGE_ID)
    assert client.value("a", session, "one") == "1"
    assert client.value("a", session, "two") == "2"
    missing = client.result("evaluate", code="a", session_id=other, tool_id="one")
    assert missing["error"]["class"] == "UnknownVariableError"


def test_error_has_class_message_and_stack(client: Connection, session: str) -> None:
    """A Smalltalk error is a result with class, message and the frames it came through."""
    reply = client.result("evaluate", code="3 fly: 4", session_id=session)
    assert reply["has_error"] is True
    assert reply["error"]["class"] == "MessageNotUnderstood"
    assert "fly:" in reply["error"]["message"]
    assert reply["error"]["stack"][0]["selector"] == "doesNotUnderstand:"
    assert [frame["index"] for frame in reply["error"]["stack"]] == list(range(1, len(reply["error"]["stack"]) + 1))


def test_debug_shows_stack_and_variables_of_last_error(client: Connection, session: str) -> None:
    """After an error its stack can be asked for; before there was one, there is nothing to debug."""
    assert client.refusal("debug", operation="GetStackTrace", session_id=session)["code"] == "object_not_found"
    client.result("evaluate", code="#(4) do: [:each | each fly]", session_id=session)
    trace = client.result("debug", operation="GetStackTrace", session_id=session)
    assert trace["debug_info"]["stack"][0]["selector"] == "doesNotUnderstand:"
    local = client.result("debug", operation="GetLocalVars", session_id=session)
    assert local["debug_info"]["locals"]["each"] == "4"
    assert client.refusal("debug", operation="StepOver", session_id=session)["code"] == "unsupported_operation"


def test_class_defined_can_be_browsed_and_read(client: Connection, session: str) -> None:
    """A class defined through the daemon shows up in browse_class, get_method and list_classes."""
    define_account(client, session)
    shown = client.result("browse_class", class_name="Account", session_id=session)
    assert (shown["class_info"]["superclass"], shown["class_info"]["package"]) == ("Object", "Bank")
    assert [method["name"] for method in shown["instance_methods"]] == ["balance", "put:"]
    assert shown["instance_vars"] == ["balance"]
    method = client.result("get_method", class_name="Account", method_name="put:", session_id=session)["method"]
    assert (method["arguments"], method["category"]) == (["amount"], "doing")
    assert method["source"].startswith("put: amount")
    listed = client.result("list_classes", pattern="Accoun*", session_id=session)
    assert ([each["name"] for each in listed["classes"]], listed["total_count"]) == (["Account"], 1)


def test_inspect_shows_variables_of_an_object(client: Connection, session: str) -> None:
    """An inspected object shows its class, how it prints, and what its variables hold."""
    define_account(client, session)
    client.value("mine := Account new. mine put: 12; put: 30", session)
    shown = client.result("inspect", target="mine", session_id=session)
    assert shown["object_info"]["class_name"] == "Account"
    assert shown["instance_vars"]["balance"] == {"class_name": "Number", "string_representation": "42"}


def test_code_completion_suggests_variables_and_classes(client: Connection, session: str) -> None:
    """What is suggested comes from the session's variables and the image's classes."""
    client.value("myNumber := 3", session)
    ask = {"session_id": session, "limit": 5}
    variable = client.result("code_completion", code="4 + myN", cursor_position=7, **ask)["suggestions"][0]
    assert (variable["text"], variable["kind"]) == ("myNumber", "variable")
    found = client.result("code_completion", code="x := Associative", cursor_position=16, **ask)["suggestions"]
    assert "AssociativeCollection" in {each["text"] for each in found}


def test_system_info_and_ping_are_answered_by_the_image(client: Connection) -> None:
    """`system_info` and a `ping` that names the image are the image's; a bare `ping` is the daemon's."""
    assert client.result("system_info", image_id=IMAGE_ID)["info"]["dialect"] == "Amber"
    assert client.result("ping", image_id=IMAGE_ID, message="here?")["message"] == "here?"
    assert client.result("ping", message="and you?")["message"] == "and you?"


@pytest.mark.parametrize(
    ("command", "parameters", "code"),
    [
        ("browse_class", {"class_name": "NoSuchClass"}, "class_not_found"),
        ("get_method", {"class_name": "Object", "method_name": "fly"}, "method_not_found"),
        ("inspect", {"target": "3 fly"}, "evaluation_error"),
    ],
)
def test_failure_of_the_image_keeps_its_code(
    client: Connection, session: str, command: str, parameters: dict[str, str], code: str
) -> None:
    """What the image cannot find or evaluate reaches the client under its own code, naming the image."""
    refused = client.refusal(command, session_id=session, **parameters)
    assert (refused["code"], refused["details"]["image_id"]) == (code, IMAGE_ID)


def test_transcript_reaches_subscribers_with_consecutive_seq(daemon: Daemon, client: Connection, session: str) -> None:
    """What code writes to the Transcript reaches a subscriber in order, between the events of its evaluation."""
    with Connection(daemon.socket_path) as subscriber, Connection(daemon.socket_path) as stranger:
        position = subscriber.result("subscribe", session_id=session)["position"]
        stranger.result("subscribe", session_id=stranger.new_session(image_id=IMAGE_ID))
        for number in range(5):
            client.value(f"Transcript show: 'line {number}'", session)
        events: list[Json] = []
        while sum(event["event"] == "evaluation.finished" for event in events) < 5:
            events.append(subscriber.next_event())
        names = [event["event"] for event in events if event["event"] != "client.attached"]
        one = ["evaluation.accepted", "evaluation.started", "transcript", "evaluation.finished"]
        assert names == one * 5
        text = "".join(event["data"]["text"] for event in events if event["event"] == "transcript")
        assert text == "line 0line 1line 2line 3line 4"
        assert [event["seq"] for event in events] == [position["seq"] + number + 1 for number in range(len(events))]
        assert {(event["epoch"], event["session_id"]) for event in events} == {(position["epoch"], session)}
        stranger.result("ping")
        assert session not in {event["session_id"] for event in stranger.take_events()}


def test_save_context_without_context_holds_the_bindings(client: Connection, session: str) -> None:
    """The daemon asks the image for a tool's variables and history, and keeps what the client had saved beside them."""
    client.result("save_context", session_id=session, tool_id="w", context={"workspace": {"text": "a + 1"}})
    client.value("a := 'text'", session, "w")
    saved = client.result("save_context", session_id=session, tool_id="w")
    loaded = client.result("load_context", session_id=session, tool_id="w")
    workspace = loaded["context"]["workspace"]
    assert (loaded["integrity"]["status"], loaded["integrity"]["checksum"]) == ("ok", saved["checksum"])
    assert workspace["text"] == "a + 1"
    assert workspace["bindings"] == {"a": {"value": "'text'", "class_name": "String"}}
    assert [entry["code"] for entry in workspace["history"]] == ["a := 'text'"]
    summary = client.result("get_context_summary", session_id=session)
    assert (summary["tools"], summary["variable_count"], summary["history_count"]) == (["w"], 1, 1)


def test_session_without_image_is_bound_to_the_only_one_on_first_use(client: Connection) -> None:
    """A session that names no image belongs, from its first evaluation on, to the only image there is."""
    session = client.new_session()
    assert client.result("get_session_info", session_id=session)["image_id"] is None
    assert client.value("3 + 4", session) == "7"
    assert client.result("get_session_info", session_id=session)["image_id"] == IMAGE_ID
    refused = client.refusal("evaluate", code="1", session_id=session, image_id="another")
    assert (refused["code"], refused["details"]["field"]) == ("invalid_parameters", "image_id")


def test_close_session_lets_the_image_forget_its_variables(client: Connection, session: str) -> None:
    """A closed session is refused; once it is reopened its variables are gone from the image."""
    client.value("a := 1", session)
    client.result("close_session", session_id=session)
    assert client.refusal("evaluate", code="a", session_id=session)["code"] == "session_closed"
    client.result("restore_session", session_id=session, reopen=True)
    assert client.result("evaluate", code="a", session_id=session)["error"]["class"] == "UnknownVariableError"


def test_image_reconnects_after_the_daemon_was_killed() -> None:
    """An image outlives its daemon: it comes back by itself and its variables are still there."""
    with folder() as home, Daemon(home) as first, Amber(first.url) as image:
        first.wait_for("image.connected", image_id=IMAGE_ID)
        with Connection(first.socket_path) as client:
            mine = client.new_session(image_id=IMAGE_ID)
            client.value("kept := 41", mine)
        first.kill()
        with Daemon(home) as second:
            second.wait_for("image.connected", image_id=IMAGE_ID)
            with Connection(second.socket_path) as client:
                assert client.value("kept + 1", mine) == "42"
                listed = client.result("list_images")["images"]
        assert image.child.poll() is None
    assert [(each["image_id"], each["status"], each["session_count"]) for each in listed] == [
        (IMAGE_ID, "connected", 1)
    ]
