"""Are vectors read strictly, made into the right bytes, and their replies into the right patterns?"""

from typing import Any

import msgspec
import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.testing.vectors import (
    Repeat,
    Reply,
    Vector,
    VectorError,
    check_vector,
    load_suite,
    payload,
    reply_pattern,
)

OK = Reply("1", result={})


def test_suite_is_read_whole() -> None:
    """There are vectors of both kinds, and transcripts; each name says where it stands, and says it once."""
    suite = load_suite()
    names = [vector.name for vector in suite.vectors] + [transcript.name for transcript in suite.transcripts]
    assert {name.split("/")[0] for name in names} == {"valid", "invalid", "transcripts"}
    assert len(names) == len(set(names))
    assert all(transcript.about for transcript in suite.transcripts)


def test_folders_keep_their_word() -> None:
    """In `valid` nothing fails, in `invalid` nearly everything does; what does not stands beside what does."""
    for vector in load_suite().vectors:
        if vector.name.startswith("valid/"):
            assert vector.reply is not None, vector.name
            assert vector.reply.code is None, vector.name
        elif not vector.name.startswith("invalid/start/"):
            assert vector.reply is None or vector.reply.code is not None, vector.name


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        (Vector("v", OK, message={"a": ["ß", 2**70, "{{run}}"]}), '{"a":["ß",1180591620717411303424,"r"]}'.encode()),
        (Vector("v", OK, message=None), b"null"),
        (Vector("v", OK, text=' {"a" :"{{run}}ß'), ' {"a" :"{{run}}ß'.encode()),
        (Vector("v", OK, base64="/wA="), b"\xff\x00"),
        (Vector("v", OK, parts=["a", Repeat("[]", 3), "ß"]), "a[][][]ß".encode()),
    ],
)
def test_payload(vector: Vector, expected: bytes) -> None:
    """Only `message` is filled in; the rest is sent as it stands."""
    assert payload(vector, {"run": "r"}) == expected


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        (Vector("v", OK), "exactly one of"),
        (Vector("v", OK, message=None, text=""), "exactly one of"),
        (Vector("v", message=1), "says in `closes`"),
        (Vector("v", Reply("1"), message=1), "either `result` or `code`"),
        (Vector("v", Reply("1", result=1, code="x"), message=1), "either `result` or `code`"),
        (Vector("v", Reply("1", form="envelope", result=1), message=1), "names its `response_type`"),
    ],
)
def test_vector_that_is_none(vector: Vector, told: str) -> None:
    """A vector that says two things, or nothing, is refused."""
    with pytest.raises(VectorError, match=told):
        check_vector(vector)


def test_vector_with_unknown_key_is_refused() -> None:
    """A slip of the pen in a key does not switch a check off."""
    with pytest.raises(msgspec.ValidationError, match="closses"):
        msgspec.convert({"name": "v", "message": 1, "closses": {}}, type=Vector)


def test_reply_patterns_hold_the_words_of_the_code() -> None:
    """In both forms the pattern has what `errors.json` says of a code."""
    errors = load_contract().errors
    command: dict[str, Any] = reply_pattern(Reply("1", code="image_timeout", details={"a": 1}), errors)
    assert command["error_type"] == "RuntimeError"
    assert command["details"] == {"a": 1}
    envelope = reply_pattern(Reply(None, form="envelope", code="image_timeout", details={"a": 1}), errors)
    told = envelope["payload"]["data"]["data"]
    assert envelope["in_reply_to"] is None
    assert told["code"] == "Timeout"
    assert told["details"] == {"a": 1, "code": "image_timeout", "error_type": "RuntimeError", "retryable": False}
