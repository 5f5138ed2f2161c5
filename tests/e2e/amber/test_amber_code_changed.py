"""The Amber image tells which code evaluated code changed."""

from __future__ import annotations

import uuid

import pytest

from tests.e2e.amber.bed import Image, Json


@pytest.fixture
def name() -> str:
    """The name of a class that nobody else uses."""
    return f"Changed{uuid.uuid4().hex}"


def told(image: Image, code: str, session: str | None = None) -> list[Json]:
    """What the image tells while it evaluates, before it answers."""
    image.link.events.clear()
    image.value(code, session)
    events, image.link.events = image.link.events, []
    assert all(event["event"] == "code_changed" for event in events)
    assert all(event.get("session_id") == session for event in events)
    return [event["data"] for event in events]


def shape(changes: list[Json]) -> list[tuple[str, str, str | None]]:
    """Kind, class and selector of changes."""
    return [(each["kind"], each["class_name"], each["selector"]) for each in changes]


def test_class_and_method_made_by_code_are_told_before_its_answer(image: Image, session: str, name: str) -> None:
    """A new class comes with its definition, a method with source and category, what was before is null."""
    assert told(image, f"Object subclass: #{name} slots: {{#a}} package: 'Changed'", session) == [
        {
            "kind": "class",
            "class_name": name,
            "selector": None,
            "is_class_method": False,
            "category": None,
            "source": f"Object subclass: #{name}\n\tslots: {{#a}}\n\tpackage: 'Changed'",
            "previous_source": None,
        }
    ]
    method = {
        "kind": "method",
        "class_name": name,
        "selector": "next",
        "is_class_method": False,
        "category": "counting",
        "source": "next ^ 1",
        "previous_source": None,
    }
    assert told(image, f"{name} compile: 'next ^ 1' protocol: 'counting'", session) == [method]
    assert told(image, f"{name} class compile: 'next ^ 2' protocol: 'counting'") == [
        {**method, "is_class_method": True, "source": "next ^ 2"}
    ]
    assert told(image, f"{name} compile: 'next ^ 3' protocol: 'counting'", session) == [
        {**method, "source": "next ^ 3", "previous_source": "next ^ 1"}
    ]
    assert told(image, f"({name} >> #next) protocol: 'moved'", session) == [
        {**method, "source": "next ^ 3", "previous_source": "next ^ 3", "category": "moved"}
    ]
    assert told(image, f"{name} removeCompiledMethod: {name} >> #next", session) == [
        {**method, "kind": "method_removed", "category": "moved", "source": None, "previous_source": "next ^ 3"}
    ]


def test_what_stays_the_same_is_not_told(image: Image, session: str, name: str) -> None:
    """Defining or compiling the same again, or taking back what was done, is no change; nor is evaluating."""
    definition = f"Object subclass: #{name} slots: {{#a}} package: 'Changed'. {name} compile: 'a ^ a'"
    assert len(told(image, definition, session)) == 2
    assert told(image, definition, session) == []
    assert told(image, f"{name} compile: 'b ^ a'. {name} removeCompiledMethod: {name} >> #b", session) == []
    assert told(image, "Compiler new evaluateExpression: '3 + 4'", session) == []
    assert told(image, "3 + 4. x := 5", session) == []
    image.evaluate("self", session, context={"receiver": "3"})
    assert image.link.events == []


def test_class_that_is_redefined_moved_renamed_and_removed_is_told(image: Image, session: str, name: str) -> None:
    """Each step is told by the definition after it and before it, however Amber carries it out."""
    told(image, f"Object subclass: #{name} slots: {{}} package: 'Changed'. {name} compile: 'a ^ 1'", session)
    redefined = told(image, f"Object subclass: #{name} slots: {{#b}} package: 'Changed'", session)
    assert shape(redefined) == [("class", name, None)]
    assert redefined[0]["previous_source"] == redefined[0]["source"].replace("#b", "")
    side = told(image, f"{name} class slots: {{#registry}}", session)
    assert (shape(side), side[0]["source"].endswith(f"{name} class slots: {{#registry}}")) == (
        [("class", name, None)],
        True,
    )
    moved = told(image, f"Queue subclass: #{name} slots: {{#b}} package: 'Changed'", session)
    assert (shape(moved), moved[0]["source"].startswith("Queue ")) == ([("class", name, None)], True)
    renamed = told(image, f"{name} rename: '{name}Two'", session)
    assert shape(renamed) == [
        ("class", f"{name}Two", None),
        ("method", f"{name}Two", "a"),
        ("class_removed", name, None),
    ]
    removed = told(image, f"Smalltalk removeClass: {name}Two", session)
    assert shape(removed) == [("class_removed", f"{name}Two", None)]
    assert (removed[0]["source"], removed[0]["previous_source"]) == (None, renamed[0]["source"])


def test_changes_that_clients_asked_for_are_not_told(image: Image, session: str, name: str) -> None:
    """Who asked for them knows already, and what evaluated code did before is told apart from them."""
    image.link.events.clear()
    image.result("define_class", class_name=name, session_id=session)
    image.result("compile_method", class_name=name, source="a ^ 1", session_id=session)
    image.result("define_class", class_name=name, superclass="Queue", comment="Mine", session_id=session)
    image.result("remove_method", class_name=name, method_name="a", session_id=session)
    image.result("remove_class", class_name=name, session_id=session)
    image.refusal("compile_method", class_name="Object", source="a ^ zork", session_id=session)
    image.value("3", session)
    assert image.link.events == []


def test_change_made_in_the_background_is_told_for_its_session(image: Image, session: str, name: str) -> None:
    """Code that a forked block or a failing evaluation changed is told as well."""
    image.link.events.clear()
    image.evaluate(f"Object subclass: #{name} slots: {{}} package: 'Changed'. nil foo", session)
    assert [event["data"]["kind"] for event in image.link.events] == ["class"]
    image.link.events.clear()
    image.value(f"[{name} compile: 'later ^ 1'] fork", session)
    event = image.link.next_event()
    assert (event["event"], event["session_id"], event["data"]["selector"]) == ("code_changed", session, "later")


def test_change_made_by_interrupted_code_is_told(image: Image, session: str, name: str) -> None:
    """What code did before it was ended is known before its answer."""
    image.link.events.clear()
    shout = "Transcript show: ((1 to: 14) inject: 'x' into: [:text :each | text, text])"
    code = f"Object subclass: #{name} slots: {{}} package: 'Changed'. {shout}. [true] whileTrue: []"
    running = image.start("evaluate", code=code, session_id=session)
    assert image.link.next_event()["event"] == "transcript"
    image.result("interrupt", request_id=running)
    assert image.link.answer_to(running)["result"]["result_type"] == "Interrupted"
    assert [event["event"] for event in image.link.events] == ["code_changed"]
