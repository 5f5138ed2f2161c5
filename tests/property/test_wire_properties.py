"""What holds for every message: no input crashes the codec, and however lines are cut makes no difference."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stui_sessiond.errors import MessageTooDeepError, StuiError, WireError
from stui_sessiond.security.origin import allowed_hosts, refusal
from stui_sessiond.security.token import Tokens
from stui_sessiond.transports.lines import TLS_HANDSHAKE, LineProtocol
from stui_sessiond.transports.pipe import PipeLimits
from stui_sessiond.wire.codec import decode_message, decode_parameters
from stui_sessiond.wire.forms import Request, command_name, encode_success, request_type, speaks
from stui_sessiond.wire.limits import MAX_DEPTH, check_depth
from stui_sessiond.wire.messages.session import UpdateSessionState
from stui_sessiond.wire.text import has_lone_surrogate, replace_lone_surrogates
from tests.unit.bed.pipe import Echoes

LIMIT = 2000
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
BODY = st.dictionaries(st.text(), JSON, max_size=4)
NAMES = st.sampled_from(["ping", "create_session", "evaluate", "x"])
COMMANDS = st.fixed_dictionaries(
    {"id": st.text(min_size=1), "command": NAMES}, optional={"parameters": BODY, "client_id": st.text()}
)
ENVELOPES = st.builds(
    lambda request_id, name, params: {
        "id": request_id,
        "version": "1.0.0",
        "payload": {"type": "Request", "data": {"request_type": request_type(name), "params": params}},
    },
    st.text(min_size=1),
    NAMES,
    BODY,
)
REPLIES = st.fixed_dictionaries({"id": st.text(min_size=1), "status": st.just("success"), "result": JSON})
EVENTS = st.fixed_dictionaries({"event": st.text(min_size=1), "data": BODY})
FIELDS = ["id", "command", "parameters", "payload", "version", "status", "result", "event", "data", "client_id", "x"]
SHAPED = st.dictionaries(st.sampled_from(FIELDS), JSON)
MESSAGES = st.one_of(COMMANDS, ENVELOPES, REPLIES, EVENTS, SHAPED)


def decode(payload: bytes, *, mend: bool = False) -> object:
    """Decode; the only failure is a WireError."""
    try:
        message = decode_message(payload, LIMIT, mend=mend)
    except WireError as error:
        return error
    if isinstance(message, Request):
        try:
            decode_parameters(message, UpdateSessionState)
        except StuiError as error:
            return error
    return message


@given(st.binary(max_size=200), st.booleans())
def test_codec_with_any_bytes(payload: bytes, mend: bool) -> None:
    """Arbitrary bytes are refused as a wire error, never as anything else."""
    decode(payload, mend=mend)


@given(MESSAGES, st.booleans())
def test_codec_with_any_json(message: dict[str, Any], mend: bool) -> None:
    """So is JSON of about the right shape."""
    decode(json.dumps(message).encode(), mend=mend)
    decode(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"), mend=mend)


@settings(max_examples=300)
@given(MESSAGES, st.data(), st.booleans())
def test_codec_with_a_damaged_message(message: dict[str, Any], data: st.DataObject, mend: bool) -> None:
    """And a valid message with bytes changed, left out or put in."""
    payload = bytearray(json.dumps(message).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload)))
        removed = data.draw(st.integers(0, 3))
        piece = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"{", b"]", b"\\ud83d", b"\xff", b"1e999", b"null", b"\x00"])
        )
        payload[place : place + removed] = piece
    decode(bytes(payload), mend=mend)


@given(COMMANDS)
def test_codec_keeps_a_request(message: dict[str, Any]) -> None:
    """Id, command and parameters come out as they went in."""
    request = decode_message(json.dumps(message).encode(), 10**6)
    assert isinstance(request, Request)
    assert (request.id, request.command) == (message["id"], message["command"])
    assert json.loads(request.parameters) == message.get("parameters", {})
    reply = json.loads(encode_success(request, message, ""))
    assert (reply["id"], reply["result"]) == (message["id"], message)


def naive_depth(text: bytes) -> int:
    """Count how deep JSON nests, character by character."""
    depth = deepest = 0
    in_string = escaped = False
    for char in text.decode():
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


TEXTS = st.text(st.sampled_from('[]{}"\\/ab\n'))
BRACKETS = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=15
)


@settings(max_examples=300)
@given(BRACKETS, st.integers(0, 8))
@example([[[]]], 3)
def test_depth_is_exact(value: object, limit: int) -> None:
    """For well-formed JSON the fast check agrees with counting."""
    text = json.dumps(value).encode()
    if naive_depth(text) <= limit:
        check_depth(text, limit)
    else:
        with pytest.raises(MessageTooDeepError):
            check_depth(text, limit)


@given(st.binary(max_size=300) | st.text('[]{}"\\', max_size=400).map(str.encode))
def test_depth_of_anything(payload: bytes) -> None:
    """What is no JSON passes or is refused; nothing else happens."""
    try:
        check_depth(payload, MAX_DEPTH)
    except MessageTooDeepError:
        assert payload.count(b"[") + payload.count(b"{") > MAX_DEPTH


ESCAPES = st.lists(
    st.sampled_from([r"\ud83d", r"\ude00", r"\uD83D", r"\uDE00", r"\\", r"\"", r"\n", r"\u00e9", "a", "é", "ud83d"])
).map("".join)


@settings(max_examples=300)
@given(ESCAPES)
def test_mended_text_can_be_encoded(inside: str) -> None:
    """However escapes stand together, the mended text is Unicode, and whole characters are left alone."""
    text = f'"{inside}"'.encode()
    mended = replace_lone_surrogates(text)
    value = json.loads(mended)
    value.encode()
    assert not has_lone_surrogate(mended)
    original = json.loads(text)
    is_whole = not any("\ud800" <= char <= "\udfff" for char in original)
    assert has_lone_surrogate(text) == (not is_whole)
    if is_whole:
        assert mended == text


@given(st.text())
def test_names_and_versions_of_anything(text: str) -> None:
    """Whatever a peer makes up is turned into something without a crash."""
    command_name(text)
    request_type(text)
    speaks(text)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_origin_of_anything(hosts: list[str], origins: list[str]) -> None:
    """Only what is on the lists gets in."""
    known = allowed_hosts("127.0.0.1", 80, [])
    allowed = refusal(hosts, origins, known, ["https://a"]) is None
    expected = len(hosts) == 1 and hosts[0].lower() in known and origins in ([], ["https://a"])
    assert allowed == expected


@given(st.text(st.characters(codec=None)))
def test_token_of_anything(token: str) -> None:
    """No made-up token is admitted, and none raises."""
    assert Tokens(Path("nowhere"), lambda: 0.0).find(token) == (None, "unknown")


class Wire(asyncio.Transport):
    """A transport that keeps what is written, with a connection that is always fast."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits here."""
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is written."""
        self.written += data

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close."""
        self.closed = True

    def abort(self) -> None:
        """Close."""
        self.closed = True


def feed(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """Feed a line protocol; tell the messages it took and what it wrote."""

    async def run() -> tuple[list[bytes], bytes]:
        echoes = Echoes()
        protocol = LineProtocol(echoes, PipeLimits(message_bytes=8), same_user=True)
        wire = Wire()
        protocol.connection_made(wire)
        for piece in pieces:
            protocol.data_received(piece)
        protocol.eof_received()
        protocol.connection_lost(None)
        return echoes.made.get_nowait().heard, bytes(wire.written)

    return asyncio.run(run())


def test_tls_at_the_line_port_cut_in_its_first_bytes() -> None:
    """A TLS client at the wrong port is hung up on, however its first bytes come."""
    assert (
        feed([TLS_HANDSHAKE + b"\x01\nabc\n"])
        == feed([TLS_HANDSHAKE[:1], TLS_HANDSHAKE[1:], b"\x01\nabc\n"])
        == ([], b"")
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60).map(lambda data: data.replace(b"\xff", b"\n").replace(b"\x00", b"\n")), st.data())
def test_lines_cut_anywhere(stream: bytes, data: st.DataObject) -> None:
    """Whole, byte by byte, or cut at will: the same messages and the same answers."""
    whole = feed([stream])
    assert feed([bytes([byte]) for byte in stream]) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    assert feed([stream[start:end] for start, end in itertools.pairwise(edges)]) == whole
    lines = [line for line in stream.split(b"\n") if line not in (b"", b"\r") and len(line) <= 8]
    assert whole[0] == ([] if stream.startswith(TLS_HANDSHAKE) else lines)
