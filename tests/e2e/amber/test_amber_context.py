"""The Amber image tells the variables and history of a tool, and forgets them."""

from __future__ import annotations

from tests.e2e.amber.bed import Image


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
