"""What is read of a `traceparent` (W3C Trace Context, section 3.2), and what is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.tracing import read_traceparent
from stui_sessiond.web.rpc import with_traceparent
from stui_sessiond.wire.codec import decode_message
from stui_sessiond.wire.forms import Request

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
GOOD = f"00-{TRACE_ID}-{PARENT_ID}-01"
LIMIT = 10_000


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (GOOD, GOOD),
        (f"00-{TRACE_ID}-{PARENT_ID}-00", f"00-{TRACE_ID}-{PARENT_ID}-00"),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01-what-comes-later", GOOD),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01", GOOD),
        (None, None),
        ("", None),
        (f"{GOOD}-more", None),
        (f"ff-{TRACE_ID}-{PARENT_ID}-01", None),
        (f"00-{'0' * 32}-{PARENT_ID}-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (GOOD.upper(), None),
        (f"{GOOD}\n", None),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01-" + "x" * 200, None),
    ],
)
def test_traceparent_is_read_as_its_standard_says(text: str | None, read: str | None) -> None:
    """Later versions are read as far as the present one goes; what is wrong is ignored."""
    assert read_traceparent(text) == read


@given(st.text(max_size=200))
def test_anything_else_is_none_or_of_the_right_form(text: str) -> None:
    """Whatever is sent, what is passed on has 55 characters of the alphabet."""
    found = read_traceparent(text)
    assert found is None or (len(found) == len(GOOD) and set(found) <= set("0123456789abcdef-"))


@pytest.mark.parametrize(
    "message",
    [
        {"id": "1", "command": "ping", "traceparent": GOOD},
        {"id": "1", "payload": {"type": "Request", "data": {"request_type": "Ping"}}, "traceparent": GOOD},
        {"id": "1", "command": "ping", "traceparent": GOOD, "status": 3},
    ],
)
def test_request_of_either_form_may_name_a_trace(message: dict[str, Any]) -> None:
    """The field stands beside `command`, or beside `payload`."""
    found = decode_message(json.dumps(message).encode(), LIMIT)
    assert isinstance(found, Request)
    assert found.traceparent == GOOD


def test_traceparent_that_is_no_text_is_ignored() -> None:
    """As the standard wants it: the request is carried out."""
    found = decode_message(b'{"id": "1", "command": "ping", "traceparent": {"a": 1}}', LIMIT)
    assert isinstance(found, Request)
    assert found.traceparent is None


def test_header_goes_into_the_message() -> None:
    """Over HTTP the trace is named where all of HTTP names it; what the message says itself goes before."""
    read = [
        decode_message(with_traceparent(body, GOOD), LIMIT)
        for body in (b' {"id": "1", "command": "ping"}', b'{"id": "1", "command": "ping", "traceparent": "own"}')
    ]
    assert [one.traceparent for one in read if isinstance(one, Request)] == [GOOD, "own"]
    for body in (b"{}", b"[]", b"", b"nonsense"):
        assert with_traceparent(body, GOOD) == body
    assert with_traceparent(b'{"id": "1"}', 'x","command":"evaluate') == b'{"id": "1"}'
