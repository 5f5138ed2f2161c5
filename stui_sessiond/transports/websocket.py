"""One JSON message per WebSocket text frame (FRAMING.md, WebSocket).

An asyncio.Protocol over the Sans-I/O layer of `websockets`, which uvicorn hands a connection to when it asks for an
upgrade. All frames of one read leave in one write. No compression: what is sent is small or goes to the same machine.
"""

import asyncio
import math
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import InvalidUtf8Error
from stui_sessiond.security.admission import Ticket
from stui_sessiond.security.origin import refusal
from stui_sessiond.transports.pipe import PipeLimits, ReceiverFactory
from stui_sessiond.transports.stream import StreamPipe
from stui_sessiond.transports.text_frame import read_text, write_text
from stui_sessiond.transports.turn import Turn
from stui_sessiond.wire.bundle import Bundle
from stui_sessiond.wire.codec import check_utf8

SUBPROTOCOL: Final = Subprotocol("stui.v1")
CLOSE_TIMEOUT_S = 10.0
"""How long the peer has to answer a close frame."""

SLICE_BYTES = 8 * 1024
"""So much is worked off before looking whether the peer sends too many frames: some 1,400 pings, about 10 ms."""

TURN_S = 0.02
"""How long the work for one peer may take before others have their turn."""

IDLE_FRAMES_PER_S = 1000
"""Frames without content that are answered or joined in a second, about 1 % of a processor. More wait in the kernel."""

_CONTENT_BYTES = 64
"""A fragment from this size on is honest work, whatever comes of it."""

_END_OF_HEAD = b"\r\n\r\n"

_FRAME_SLACK = 2
"""A message up to so many times the limit is read and answered with an error; beyond, the connection is failed."""


class WebSocketRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a WebSocket listener accepts, and how it looks after its connections."""

    hosts: Collection[str]
    origins: Collection[str]
    path: str = "/"
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 20.0


class _Handshake(ServerProtocol):
    """The library's handshake. A class of its own: a function that is given to it would hold it in a circle."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Take ours if it is offered; a client that offers others only gets none, and may leave."""
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None


class WebSocketProtocol(StreamPipe):
    """A pipe over a WebSocket."""

    transport_name = "websocket"
    same_user = False
    strict_start = False

    __slots__ = (
        "_awaiting_pong", "_begun_bytes", "_expecting_close", "_frames", "_handshake", "_idle_frames", "_idle_since",
        "_message", "_open", "_patience", "_rules", "_strict_bytes", "_timer", "_unread", "_ws",
    )  # fmt: skip

    def __init__(
        self,
        make_receiver: ReceiverFactory,
        limits: PipeLimits,
        rules: WebSocketRules,
        ticket: Ticket | None = None,
        turn: Turn | None = None,
        **from_uvicorn: Any,  # noqa: ANN401 -- config, server_state, app_state: not needed here
    ) -> None:
        del from_uvicorn
        super().__init__(make_receiver, limits, ticket, turn)
        self._rules = rules
        self._handshake: ServerProtocol | None = _Handshake(max_size=limits.message_bytes * _FRAME_SLACK)
        self._ws: Protocol = self._handshake
        self._message: bytearray | None = None
        self._open = False
        """Whether messages may be written: no more behind a close frame."""
        self._frames: list[bytes] = []
        """What is to be sent next."""
        self._timer: asyncio.TimerHandle | None = None
        self._awaiting_pong = False
        self._unread = b""
        """What came and waits because the peer sends too many frames."""
        self._patience: asyncio.Handle | None = None
        self._idle_frames = 0
        self._idle_since = 0.0
        self._begun_bytes = 0
        """What is here of a frame that is not complete."""
        self._strict_bytes: float = math.inf
        """What may be here of a message that is not complete."""
        self._expecting_close = False

    # ---- from asyncio

    def data_received(self, data: bytes) -> None:
        """Read frames; answer in one write."""
        if not self._unread and not self._begun_bytes and self._reads():
            end = self._read_text(data, 0)
            if end == len(data):  # one message, whole, as nearly always
                self._flush()
                return
            data = data[end or 0 :]
        self._unread = self._unread + data if self._unread else data
        if self._patience is None:
            self._work_off()

    def _work_off(self) -> None:
        """Read what is unread, a slice at a time, as long as the peer keeps to its share of frames."""
        loop = asyncio.get_running_loop()
        data, self._unread, self._patience = self._unread, b"", None
        ended, done, turn_ends = False, 0, loop.time() + TURN_S
        while done < len(data) and self._reads():
            if self._begun_bytes or (whole := self._read_text(data, done)) is None:
                ended |= self._read(data[done : done + SLICE_BYTES])
                done += SLICE_BYTES
            else:
                ended, done = True, whole
            if self._begun_bytes + len(self._message or b"") > self._strict_bytes and self._ws.state is State.OPEN:
                self._write_out()
                self._ws.fail(1009, f"{self._strict_bytes} bytes are allowed before hello")
            if self._out_bytes > self._limits.outbound_soft_bytes:
                self._flush()  # which tells whether the peer reads
            if not self._overdrawn() and done < len(data) and loop.time() > turn_ends:
                self._patience = loop.call_soon(self._work_off)  # others first
        self._unread = data[done:]
        begun = self._ws.state is State.OPEN and (self._begun_bytes > 0 or self._message is not None)
        self._watch_message(begun=begun, ended=ended)
        self._apply_hold()
        self._flush()

    def _read_text(self, data: bytes, start: int) -> int | None:
        """Take the message that begins here, if it is here whole, in one plain frame; tell where that ends."""
        if self._message is not None or self._ws.state is not State.OPEN:
            return None
        found = read_text(data, start, self._ws.max_message_size or 0)
        if found is None:
            return None
        self._awaiting_pong = False
        self._take_message(found.payload)
        return found.end

    def _read(self, piece: bytes) -> bool:
        """Read a slice; tell whether a message or a frame of its own came to its end in it."""
        ended = False
        self._begun_bytes += len(piece)
        self._ws.receive_data(piece)
        for event in self._ws.events_received():
            if isinstance(event, Frame):
                self._begun_bytes -= _frame_bytes(len(event.data))
                self._take_frame(event)
                ended |= self._message is None
                if event.opcode in _WITHOUT_CONTENT or (not event.fin and len(event.data) < _CONTENT_BYTES):
                    self._count_idle_frame()
            elif isinstance(event, Request) and self._handshake is not None:
                at_once = self._begun_bytes == len(piece)
                alone = at_once and piece.find(_END_OF_HEAD) == len(piece) - len(_END_OF_HEAD)
                self._begun_bytes = 0
                handshake, self._handshake = self._handshake, None
                self._shake_hands(handshake, event, alone=alone)
        return ended

    def _count_idle_frame(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._idle_since >= 1:
            self._idle_since, self._idle_frames = now, 0
        self._idle_frames += 1
        if self._idle_frames >= IDLE_FRAMES_PER_S and not self._overdrawn():
            self._patience = loop.call_at(self._idle_since + 1, self._work_off)

    def _apply_hold(self) -> None:
        super()._apply_hold()
        if self._unread and self._reads():
            self._patience = asyncio.get_running_loop().call_soon(self._work_off)

    def _overdrawn(self) -> bool:
        """Tell whether the peer has used up its share of frames for the present second, or of the present turn."""
        return self._patience is not None

    def _reads(self) -> bool:
        return not self._overdrawn() and super()._reads()

    def eof_received(self) -> bool:
        """The peer is gone: a WebSocket does not go on in one direction."""
        self._ws.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        self._unread = b""
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        _untie(self._ws)

    # ---- frames

    def _shake_hands(self, handshake: ServerProtocol, request: Request, *, alone: bool) -> None:
        """Answer the request. `alone`: nothing has come behind it."""
        if self._ws.parser_exc is not None:  # frames came with the request, and were wrong: it is over already
            return
        headers = request.headers
        rules, secure = self._rules, self._transport is not None and self._transport.get_extra_info("ssl_object")
        scheme = "https" if secure else "http"
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        reason = refusal(hosts, origins, rules.hosts, rules.origins, scheme)
        if reason is not None:
            handshake.send_response(handshake.reject(403, f"{reason}\n"))
            return
        if request.path.partition("?")[0] != self._rules.path:
            handshake.send_response(handshake.reject(404, f"the WebSocket is at {self._rules.path}\n"))
            return
        response = handshake.accept(request)
        handshake.send_response(response)
        if response.status_code != 101:  # noqa: PLR2004 -- Switching Protocols
            return
        if alone:  # go on without the request and its headers, which the library would keep: 2 KB a connection
            self._frames += handshake.data_to_send()
            self._ws = Protocol(Side.SERVER, max_size=handshake.max_message_size)
            _untie(handshake)
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            self.bearer = token.strip()
        self._receiver = self._make_receiver(self)
        if self._rules.ping_interval_s > 0:
            self._timer = asyncio.get_running_loop().call_later(self._rules.ping_interval_s, self._ping)

    def _take_frame(self, frame: Frame) -> None:
        self._awaiting_pong = False  # any frame is a sign of life
        if frame.opcode is Opcode.TEXT and frame.fin:
            self._take_message(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._message = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._message is not None:
            self._message += frame.data
            if frame.fin:
                whole, self._message = bytes(self._message), None
                self._take_message(whole)
        elif frame.opcode is Opcode.BINARY and self._ws.state is State.OPEN:
            self._write_out()  # what was asked before is answered
            self._ws.fail(1003, "messages are text frames")

    def _take_message(self, payload: bytes) -> None:
        if self._receiver is None or self._ws.state is not State.OPEN:
            return
        self._reading = True
        try:
            check_utf8(payload)
        except InvalidUtf8Error as error:  # RFC 6455 section 8.1 wants the connection failed
            self._receiver.receive_broken(error)
            self._write_out()
            self._ws.fail(1007, "text frames are UTF-8")
            return
        self._receiver.receive(payload)

    # ---- the pipe

    def limit_messages(self, message_bytes: int, *, strict: bool) -> None:
        """Take in messages up to this length; more bytes of one than a strict limit fail the connection.

        The library looks at the next frame's length before this one is handled, so a strict limit is not its business.
        """
        self._strict_bytes = message_bytes if strict else math.inf
        if not strict:
            self._ws.max_message_size = message_bytes * _FRAME_SLACK

    def send(self, message: bytes) -> None:
        """Queue a message."""
        if self._transport is not None and self._ws.state is State.OPEN:
            self._queue(write_text(message))

    def take(self, bundle: Bundle) -> bool:
        """Queue messages that others get as well, if there is room."""
        if self._full or self._out_bytes > self._limits.outbound_soft_bytes:
            self._room_wanted = True
            return False
        frames = bundle.frames
        if frames is None:
            frames = bundle.frames = b"".join(map(write_text, bundle.messages))
        self._send_shared(frames)
        return True

    def close(self, reason: CloseReason) -> None:
        """Say why, and close."""
        if self._ws.state is not State.OPEN:
            return
        self._write_out()
        try:
            self._ws.send_close(reason.code, reason.name)
        except InvalidState:  # the peer's close frame was faster
            return
        self._flush()

    def finish(self) -> None:
        """Close: there is nothing more to say."""
        if self._ws.state is State.OPEN:
            self._write_out()
            self._ws.send_close(1000)
            self._flush()

    # ---- inside

    def _write_out(self) -> None:
        self._frames += self._ws.data_to_send()  # what the library wants to say goes before it
        self._frames += self._take_out()

    def write_turn(self) -> None:
        """Write the messages that were queued in this turn of the loop, if that was not done."""
        if self._open:
            super().write_turn()

    def _flush(self) -> None:
        """Write all there is: what the library wants to say, and messages. Called whenever the library did anything."""
        self._open = is_open = self._ws.state is State.OPEN
        self._reading = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_slow(transport):
            self.broke = "slow_consumer"
            transport.abort()
            return
        if is_open and self._out:
            self._write_out()
        else:
            self._frames += self._ws.data_to_send()
        pieces, self._frames = self._frames, []
        if pieces:
            data = b"".join(pieces)
            if data:
                transport.write(data)
            if pieces[-1] == b"":  # the library's mark for the end of the stream
                transport.close()
                return
        if not is_open and self._ws.close_expected():
            self._expect_close()

    def _expect_close(self) -> None:
        if self._expecting_close:
            return  # whatever still comes: the time is not begun again
        self._expecting_close = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    def _ping(self) -> None:
        if self._ws.state is not State.OPEN:
            return
        loop = asyncio.get_running_loop()
        if self._awaiting_pong and self._reads():  # while we do not read, silence says nothing
            self.broke = "silent"
            self._ws.fail(1011, "no sign of life")
            self._flush()
            self.abort()
            return
        self._awaiting_pong = True
        self._ws.send_ping(b"")
        self._flush()
        self._timer = loop.call_later(self._rules.ping_timeout_s, self._after_ping)

    def _after_ping(self) -> None:
        if self._awaiting_pong:
            self._ping()
            return
        self._timer = asyncio.get_running_loop().call_later(self._rules.ping_interval_s, self._ping)

    def abort(self) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._transport.abort()


_WITHOUT_CONTENT = frozenset({Opcode.PING, Opcode.PONG})


def _untie(protocol: Protocol) -> None:
    """End the parser, which holds what it parses for: else the two stay until the collector of cycles comes by."""
    protocol.parser.close()
    if protocol.parser_exc is not None:
        protocol.parser_exc.__traceback__ = None


def _frame_bytes(length: int) -> int:
    """Tell how long a frame from a client is on the wire, in the shortest form."""
    extended = 0 if length < 126 else 2 if length < 65536 else 8  # noqa: PLR2004 -- RFC 6455, section 5.2
    return 2 + extended + 4 + length
