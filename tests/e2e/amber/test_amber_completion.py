"""The Amber image completes names."""

from __future__ import annotations

from tests.e2e.amber.bed import COMPILE_INCREMENT, DEFINE_COUNTER, Image, Json


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
