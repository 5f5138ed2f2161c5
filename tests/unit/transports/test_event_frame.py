"""Server-sent events: what is written is read again, whatever is in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.events_over_http import Event, Reader
from stui_sessiond.transports.event_frame import HEARTBEAT, read_position, write_event, write_fields, write_position

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1)


def read(data: bytes, *cuts: int) -> list[Event]:
    """Read a stream that comes in pieces."""
    found: list[Event] = []
    reader, begin = Reader(), 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += reader.feed(data[begin:end])
        begin = end
    return found


@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8")), NAMES), max_size=5), st.lists(st.integers(0), max_size=8)
)
def test_event_is_read_as_it_was_written(events: list[tuple[str, str]], cuts: list[int]) -> None:
    """Data with any line ends, any name and any cut: line ends become LF, and nothing else changes."""
    data = b"".join(write_fields(text.encode(), name=name) + HEARTBEAT for text, name in events)
    expected = [(name, text.replace("\r\n", "\n").replace("\r", "\n")) for text, name in events]
    assert [(event.name, event.data) for event in read(data, *cuts)] == expected


@given(st.text(), st.text(), st.text())
def test_field_that_would_break_out(name: str, position: str, text: str) -> None:
    """Whatever a name or an id holds: there is one event, with just this data."""
    data = json.dumps(text).encode()
    (event,) = read(
        write_fields(
            data, name=name.encode(errors="replace").decode(), position=position.encode(errors="replace").decode()
        )
    )
    assert json.loads(event.data) == text


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True), st.integers(0, 10**16 - 1))
def test_position_is_read_as_it_was_written(epoch: str, seq: int) -> None:
    """Every position of ours comes back."""
    assert read_position(write_position(epoch, seq)) == (epoch, seq)


@given(st.text())
def test_text_that_is_no_position(text: str) -> None:
    """It is none, or written again it is the same text."""
    found = read_position(text)
    assert found is None or write_position(*found) == text


@pytest.mark.parametrize(
    ("message", "numbered", "expected"),
    [
        ('{"event":"a","session_id":"s","epoch":"e","seq":1}', True, b"id: e:1\nevent: a\ndata: MESSAGE\n\n"),
        ('{"event":"a","session_id":"s","epoch":"e","seq":1}', False, b"event: a\ndata: MESSAGE\n\n"),
        ('{"event":"a","session_id":null,"epoch":"e","seq":1}', True, b"event: a\ndata: MESSAGE\n\n"),
        ('{"event":"a","data":1}', True, b"event: a\ndata: MESSAGE\n\n"),
    ],
)
def test_message_as_an_event(message: str, numbered: bool, expected: bytes) -> None:
    """The fields say again what the message says; only a session's events have ids."""
    assert write_event(message.encode(), numbered=numbered) == expected.replace(b"MESSAGE", message.encode())
