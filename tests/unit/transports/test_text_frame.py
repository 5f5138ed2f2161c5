"""The short way of reading and writing text frames, with the library as the judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from stui_sessiond.transports.text_frame import read_text, write_text

LIMIT = 200_000
LENGTHS = st.sampled_from([0, 1, 125, 126, 127, 65535, 65536, 65537]) | st.integers(0, 300)
MASKS = st.binary(min_size=4, max_size=4)


def masked(payload: bytes, mask: bytes, first: int = 0x81) -> bytes:
    """A client's frame with the length in its shortest form, made by hand."""
    length = len(payload)
    if length <= 125:
        header = bytes([first, 0x80 | length])
    elif length <= 0xFFFF:
        header = bytes([first, 0xFE]) + length.to_bytes(2, "big")
    else:
        header = bytes([first, 0xFF]) + length.to_bytes(8, "big")
    return header + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def library_reads(data: bytes) -> list[Frame]:
    """What the library makes of the bytes."""
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@given(LENGTHS, MASKS, st.binary(max_size=20), st.binary(max_size=20))
def test_reading_a_plain_frame(length: int, mask: bytes, before: bytes, after: bytes) -> None:
    """It gives what the library gives, and tells where the next one begins."""
    frame = masked(b"m" * length, mask)
    found = read_text(before + frame + after, len(before), LIMIT)
    assert found is not None
    assert found.end == len(before) + len(frame)
    (judged,) = library_reads(frame)
    assert (judged.opcode, judged.fin, bytes(judged.data)) == (Opcode.TEXT, True, found.payload)


@given(st.binary(max_size=400) | st.tuples(st.binary(max_size=14), st.binary(max_size=300)).map(b"".join))
def test_reading_anything(data: bytes) -> None:
    """What the short way takes, the library takes as the same; what it leaves is not looked at."""
    found = read_text(data, 0, LIMIT)
    if found is not None:
        judged = library_reads(data[: found.end])
        assert [(one.opcode, one.fin, bytes(one.data)) for one in judged] == [(Opcode.TEXT, True, found.payload)]


@given(LENGTHS, MASKS, st.data())
def test_reading_a_frame_that_is_not_all_here(length: int, mask: bytes, data: st.DataObject) -> None:
    """It is left to the library, wherever it is cut."""
    frame = masked(b"m" * length, mask)
    assert read_text(frame[: data.draw(st.integers(0, len(frame) - 1))], 0, LIMIT) is None


@pytest.mark.parametrize(
    "data",
    [
        masked(b"hi", b"mask", first=0x01),
        masked(b"hi", b"mask", first=0x80),
        masked(b"hi", b"mask", first=0x82),
        masked(b"hi", b"mask", first=0x89),
        masked(b"hi", b"mask", first=0xC1),
        b"\x81\x02hihihi",
        b"\x81\x7e\x00\x80" + b"x" * 200,
        b"\x81\xfe\x00\x02maskhi",
        b"\x81\xff" + (126).to_bytes(8, "big") + b"mask" + b"x" * 126,
        masked(b"x" * 101, b"mask"),
    ],
    ids=["fragment", "continuation", "binary", "ping", "reserved", "unmasked", "unmasked16", "long2", "long8", "limit"],
)
def test_reading_what_is_not_plain(data: bytes) -> None:
    """The library, which knows all the rules, decides about it."""
    assert read_text(data, 0, 100) is None


@given(LENGTHS)
def test_writing_a_frame(length: int) -> None:
    """The bytes are those of the library."""
    message = b"m" * length
    protocol = Protocol(Side.SERVER, state=State.OPEN)
    protocol.send_text(message)
    assert write_text(message) == b"".join(protocol.data_to_send())
