"""The objects that images keep for sessions: what is kept, and when it is let go."""

from typing import Any

from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.sessions.handles import EXPRESSION_CHARS, SHOWN_CHARS, UNUSED_S, HandleTable, KeptObject

ADA, BOB = SessionId("session_1_1_a"), SessionId("session_2_1_b")


def kept(handle: str, session_id: SessionId = ADA, at: float = 0.0, **fields: Any) -> KeptObject:  # noqa: ANN401 -- fields
    """Make a kept object."""
    described: dict[str, Any] = {
        "class_name": "Point",
        "shown": "1@2",
        "expression": "1@2",
        "tool_id": "w",
        "image_id": ImageId("pharo"),
        "instance_id": "i-1",
        "generation": 1,
        "obtained_at": at,
        "used_at": at,
    }
    return KeptObject(session_id=session_id, handle=handle, **{**described, **fields})


def handles(found: list[KeptObject]) -> list[str]:
    """The names of objects."""
    return [one.handle for one in found]


def test_object_that_is_kept() -> None:
    """A session's objects are listed, the one used last at the end; another session has its own."""
    table = HandleTable()
    for handle in ("a", "b", "c"):
        assert table.keep(kept(handle)) == []
    assert table.keep(kept("d", BOB)) == []
    assert table.use(ADA, "a", 5.0)
    assert handles(table.of(ADA)) == ["b", "c", "a"]
    assert handles(table.of(BOB)) == ["d"]
    assert table.of(ADA)[-1].expires_at == 5.0 + UNUSED_S


def test_object_that_is_kept_again() -> None:
    """It is the same one: it counts as used, and has been there since the first time."""
    table = HandleTable()
    table.keep(kept("a", at=1.0))
    table.keep(kept("a", at=2.0, shown="3@4"))
    (found,) = table.of(ADA)
    assert (found.shown, found.obtained_at, found.used_at) == ("3@4", 1.0, 2.0)


def test_long_texts_are_cut() -> None:
    """However long an object prints, or its expression is, the table stays small."""
    table = HandleTable()
    table.keep(kept("a", class_name="C" * 1000, shown="s" * 1000, expression="e" * 1000))
    (found,) = table.of(ADA)
    assert len(found.class_name) == len(found.shown) == SHOWN_CHARS
    assert len(found.expression or "") == EXPRESSION_CHARS


def test_session_with_too_many() -> None:
    """The one that was not used for the longest is pushed out, and another session loses nothing."""
    table = HandleTable(max_per_session=2)
    table.keep(kept("x", BOB))
    table.keep(kept("a"))
    table.keep(kept("b"))
    table.use(ADA, "a", 1.0)
    assert handles(table.keep(kept("c"))) == ["b"]
    assert handles(table.of(ADA)) == ["a", "c"]
    assert handles(table.of(BOB)) == ["x"]


def test_too_many_together() -> None:
    """Above the bound for all sessions the one not used for the longest goes, whose ever it is."""
    table = HandleTable(max_together=2)
    table.keep(kept("x", BOB))
    table.keep(kept("a"))
    assert handles(table.keep(kept("b"))) == ["x"]
    assert table.of(BOB) == []
    assert len(table) == 2


def test_object_that_was_not_used() -> None:
    """After the time of its lease it is let go, to the second; what was used meanwhile stays."""
    table = HandleTable()
    table.keep(kept("a", at=0.0))
    table.keep(kept("b", at=0.0))
    table.use(ADA, "a", 10.0)
    assert table.expire(UNUSED_S - 0.001, ()) == []
    assert handles(table.expire(UNUSED_S, ())) == ["b"]
    assert handles(table.expire(UNUSED_S + 10.0, ())) == ["a"]
    assert len(table) == 0


def test_object_of_an_image_that_is_away() -> None:
    """It stays in the table until the image can be told; it keeps nothing else from going."""
    table = HandleTable()
    table.keep(kept("a", image_id=ImageId("squeak")))
    table.keep(kept("b"))
    assert handles(table.expire(UNUSED_S, {ImageId("squeak")})) == ["b"]
    assert handles(table.expire(UNUSED_S, ())) == ["a"]


def test_objects_that_are_dropped() -> None:
    """Those that were in the table are told, each once, and are gone."""
    table = HandleTable()
    table.keep(kept("a"))
    table.keep(kept("b"))
    assert handles(table.drop(ADA, ["b", "nobody", "b"])) == ["b"]
    assert not table.use(ADA, "b", 1.0)
    assert handles(table.forget(ADA)) == ["a"]
    assert table.forget(ADA) == []
