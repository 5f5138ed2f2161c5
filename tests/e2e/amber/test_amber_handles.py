"""The Amber image keeps objects for a session and names them."""

from __future__ import annotations

import re

import pytest

from tests.e2e.amber.bed import Image, Json


def test_handle_names_the_very_object(image: Image, session: str) -> None:
    """What was kept is shown as it is now, whatever became of the variable it was in."""
    kept = image.evaluate("a := #(1 2)", session, keep=True)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", kept["handle"])
    image.value("a at: 1 put: 9. a := nil", session)
    shown = image.result("inspect", handle=kept["handle"], session_id=session)
    assert shown["object_info"]["string_representation"] == "an Array (9 2)"
    part = image.result("inspect", handle=kept["handle"], path=["2"], session_id=session, keep=True)
    assert part["object_info"]["string_representation"] == "2"
    assert part["handle"] != kept["handle"]
    again = image.result("inspect", handle=part["handle"], session_id=session)
    assert again["object_info"]["string_representation"] == "2"


def test_handle_of_nil_and_of_numbers_works(image: Image, session: str) -> None:
    """Every value can be kept."""
    for code in ("nil", "3", "Object", "[:x | x]", "process"):
        handle = image.evaluate(code, session, keep=True)["handle"]
        assert image.result("inspect", handle=handle, session_id=session)["object_info"]["class_name"]


def test_handle_is_not_made_for_an_error(image: Image, session: str) -> None:
    """There is no value to keep, and without `keep` nothing is kept."""
    assert "handle" not in image.evaluate("nil foo", session, keep=True)
    assert "handle" not in image.evaluate("3", session, keep=False)


def test_handle_of_another_session_is_object_not_found(image: Image, session: str) -> None:
    """A name is good in the session it was made for only."""
    handle = image.evaluate("3", session, keep=True)["handle"]
    for parameters in ({"session_id": "another"}, {}):
        answer = image.refusal("inspect", handle=handle, **parameters)
        assert (answer["code"], answer["details"]) == ("object_not_found", {"handle": handle})


def test_release_handles_forgets_those_named(image: Image, session: str) -> None:
    """Those that were kept are counted; a name is never given out again."""
    names = [image.evaluate("3", session, keep=True)["handle"] for _ in range(3)]
    assert image.result("release_handles", session_id=session, handles=[*names[:2], "x"]) == {"released": 2}
    assert image.result("release_handles", session_id=session, handles=names[:1]) == {"released": 0}
    assert image.refusal("inspect", handle=names[0], session_id=session)["code"] == "object_not_found"
    assert image.result("inspect", handle=names[2], session_id=session)["object_info"]["class_name"] == "Number"
    assert image.evaluate("3", session, keep=True)["handle"] not in names


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"handles": ["x"]}, "session_id"),
        ({"session_id": "s"}, "handles"),
        ({"session_id": "s", "handles": []}, "handles"),
        ({"session_id": "s", "handles": [1]}, "handles"),
        ({"session_id": "s", "handles": ["x"] * 1001}, "handles"),
    ],
)
def test_release_handles_bad_parameter_is_named(image: Image, parameters: Json, field: str) -> None:
    """What is missing or of the wrong kind is refused with its name."""
    answer = image.refusal("release_handles", **parameters)
    assert (answer["code"], answer["details"]) == ("invalid_parameters", {"field": field})


def test_release_session_forgets_its_handles(image: Image, session: str) -> None:
    """Nothing is kept for a session that was released."""
    handle = image.result("inspect", target="3", session_id=session, keep=True)["handle"]
    assert image.result("release_session", session_id=session) == {"released": True}
    assert image.refusal("inspect", handle=handle, session_id=session)["code"] == "object_not_found"


def test_handle_1001_costs_the_oldest(image: Image, session: str) -> None:
    """A session has a bounded number of kept objects, and another session's are not touched."""
    other = image.evaluate("3", "other-session", keep=True)["handle"]
    ids = [image.start("evaluate", code=str(n), session_id=session, keep=True) for n in range(990)]
    first = [image.link.answer_to(request)["result"]["handle"] for request in ids]
    rest = [image.evaluate(str(n), session, keep=True)["handle"] for n in range(990, 1002)]
    assert [image.ask("inspect", handle=name, session_id=session)["status"] for name in [*first[:3], rest[-1]]] == [
        "error",
        "error",
        "success",
        "success",
    ]
    assert image.result("inspect", handle=other, session_id="other-session")["object_info"]["class_name"] == "Number"
