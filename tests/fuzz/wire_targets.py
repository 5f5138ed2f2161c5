"""Fuzz targets of what comes in over the wire: framing, both codecs, the WebSocket handshake, resume tokens."""

import asyncio
import itertools
import json
import struct
from typing import Any, Final

import msgspec

from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import StuiError, WireError
from stui_sessiond.security.origin import allowed_hosts
from stui_sessiond.security.resume import Resumed, ResumeTokens
from stui_sessiond.transports.lines import LineProtocol
from stui_sessiond.transports.pipe import Pipe, PipeLimits
from stui_sessiond.transports.stream import StreamPipe
from stui_sessiond.transports.websocket import WebSocketProtocol, WebSocketRules
from stui_sessiond.wire import codec, forms
from stui_sessiond.wire.schema import message_pairs

LIMIT: Final = 4096
PAIRS: Final = message_pairs()
HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
_RULES: Final = WebSocketRules(hosts=allowed_hosts("127.0.0.1", 80, []), origins=["https://a"], ping_interval_s=0)
_TOKENS: Final = ResumeTokens(b"k" * 32)
_BYE: Final = CloseReason(4400, "shutting_down", reconnect=True, meaning="x")
_MAX_DIGITS: Final = 4000


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

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
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close."""
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""


class Listener:
    """A receiver that keeps what it hears, and says something to each message."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.heard: list[bytes] = []
        self.broken = 0
        self.losses = 0

    def receive(self, payload: bytes) -> None:
        """Take a message."""
        self.heard.append(payload)
        self.pipe.send(b"heard")

    def receive_broken(self, error: WireError) -> None:
        """Take what was none."""
        self.broken += 1
        self.pipe.send(error.message.encode())

    def ended(self) -> bool:
        """The peer sends no more."""
        return False

    def dribbled(self) -> None:
        """A message was begun and is not complete."""

    def drained(self) -> None:
        """Nothing waits here."""

    def stalled(self) -> None:
        """Nothing waits here."""

    def lost(self) -> None:
        """The pipe is gone."""
        self.losses += 1


Heard = tuple[list[bytes], int, bytes]


def _feed(make: type[LineProtocol] | type[WebSocketProtocol], pieces: list[bytes]) -> Heard:
    made: list[Listener] = []

    def receiver(pipe: Pipe) -> Listener:
        made.append(Listener(pipe))
        return made[-1]

    async def run() -> bytes:
        limits = PipeLimits(message_bytes=64)
        protocol: StreamPipe
        if make is LineProtocol:
            protocol = LineProtocol(receiver, limits, same_user=True)
        else:
            protocol = WebSocketProtocol(receiver, limits, _RULES)
        wire = Wire()
        protocol.connection_made(wire)
        for piece in pieces:
            if not wire.closed:  # asyncio reads nothing more then
                protocol.data_received(piece)
        if not wire.closed:
            protocol.eof_received()
        if isinstance(protocol, WebSocketProtocol):
            protocol.close(_BYE)
        protocol.connection_lost(None)
        return bytes(wire.written)

    written = asyncio.run(run()) if _LOOP.is_closed() else _LOOP.run_until_complete(run())
    listener = made[0] if made else None
    if listener is None:
        return [], 0, written
    assert listener.losses == 1
    return listener.heard, listener.broken, written


_LOOP: Final = asyncio.new_event_loop()


def _cut(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


def lines(data: bytes) -> None:
    """However a stream is cut, the same lines come out of it, and nothing raises."""
    step, stream = 1 + data[0] % 16 if data else 1, data[1:]
    whole = _feed(LineProtocol, [stream])
    cut = _feed(LineProtocol, _cut(stream, step))
    assert cut[:2] == whole[:2], (whole, cut)
    assert all(b"\n" not in line for line in whole[0])


def frames(data: bytes) -> None:
    """After a handshake: however frames are cut, the same messages come out of them, and nothing raises."""
    step, stream = 1 + data[0] % 16 if data else 1, data[1:]
    head = HANDSHAKE + b"\r\n"
    whole = _feed(WebSocketProtocol, [head, stream])
    cut = _feed(WebSocketProtocol, [head, *_cut(stream, step)])
    if b"\x88" in whole[2].removeprefix(whole[2].partition(b"\r\n\r\n")[0]):
        # it was failed or closed: messages that came in the same read as what ended it may be left out
        fewer, more = sorted((whole[0], cut[0]), key=len)
        assert more[: len(fewer)] == fewer, (whole, cut)
        return
    assert cut[:2] == whole[:2], (whole, cut)


def handshake(data: bytes) -> None:
    """Whatever comes as a handshake: nobody is let in whose Host or Origin is not ours.

    The HTTP server hands over the head of the request alone, so that is what comes first here, too.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    heard, broken, written = _feed(WebSocketProtocol, [head + end, rest] if rest else [head + end])
    if written.startswith(b"HTTP/1.1 101"):
        headers = [line.lower() for line in data.partition(b"\r\n\r\n")[0].split(b"\n")]
        origins = [line for line in headers if line.startswith(b"origin:")]
        assert sum(line.startswith(b"host:") for line in headers) == 1, data
        assert all(line.partition(b":")[2].strip() == b"https://a" for line in origins), data
    else:
        assert not heard, data
        assert not broken, data


def a_frame(payload: bytes, first: int = 0x81) -> bytes:
    """Write a masked frame, for seeds; the mask is all zeros."""
    size = len(payload)
    length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    return bytes([first]) + length + bytes(4) + payload


def message(data: bytes) -> None:
    """A message of a client, or (first byte odd) of an image: read in either form as a plain JSON reader reads it."""
    mend, payload = bool(data[:1] and data[0] & 1), data[1:]
    try:
        found = codec.decode_message(payload, LIMIT, mend=mend)
    except WireError as error:
        forms.encode_failure(error.request_id, _body(error), "", envelope=error.envelope)
        return
    tree = _tree(payload)
    if isinstance(found, forms.Request):
        _check_request(found, tree)
    elif isinstance(found, forms.Reply):
        assert tree is None or tree["id"] == found.id or mend
        _decode_answers(found)
    else:
        assert tree is None or tree["event"] == found.event or mend


def _check_request(found: forms.Request, tree: dict[str, Any] | None) -> None:
    if tree is not None and "\\u" not in json.dumps(tree):
        assert tree["id"] == found.id
        assert ("payload" in tree and tree.get("command") is None) == found.envelope
    again = msgspec.json.decode(forms.encode_success(found, msgspec.Raw(b"{}"), ""))
    assert again["id"] == found.id
    pair = PAIRS.get(found.command)
    if pair is None:
        return
    try:
        parameters = codec.decode_parameters(found, pair.parameters)
    except StuiError:
        return
    msgspec.json.encode(parameters)


def _decode_answers(reply: forms.Reply) -> None:
    for pair in PAIRS.values():
        if pair.relayed and reply.result is not None:
            try:
                msgspec.json.encode(codec.decode_result(reply, pair.result))
            except StuiError:
                continue


def _tree(payload: bytes) -> dict[str, Any] | None:
    """Read it with another reader; None where Python's own has limits that JSON does not know."""
    try:
        tree = json.loads(payload, parse_int=lambda digits: int(digits[:_MAX_DIGITS]))
    except RecursionError:
        return None
    assert isinstance(tree, dict)
    return tree


def _body(error: WireError) -> forms.ErrorBody:
    return forms.ErrorBody(error.code, "Error", "InvalidRequest", retryable=False, message=error.message)


def resume_token(data: bytes) -> None:
    """No made-up token is taken (first byte even); one with a right seal (odd) is read or refused, never raises."""
    body = data[1:]
    if not data or data[0] % 2 == 0:
        assert _TOKENS.read(body.decode("utf-8", "surrogateescape")) is None
        return
    text = body.decode("utf-8", "replace")
    said = Resumed(text[:50], text[50:] or None, text[:10], text[10:20] or None)
    assert _TOKENS.read(_TOKENS.issue(said)) == said


def pairs_of(pieces: list[bytes]) -> list[bytes]:
    """Join each piece with the next, for seeds."""
    return [b"\n".join(pair) for pair in itertools.pairwise(pieces)]
