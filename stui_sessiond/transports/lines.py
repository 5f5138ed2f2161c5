"""One JSON message per line, over TCP or a unix socket (FRAMING.md, Lines)."""

import asyncio
import re

import structlog

from stui_sessiond.contract import CloseReason
from stui_sessiond.security.admission import Ticket
from stui_sessiond.transports.pipe import PipeLimits, ReceiverFactory
from stui_sessiond.transports.stream import StreamPipe, is_own_user
from stui_sessiond.transports.turn import Turn
from stui_sessiond.wire.bundle import Bundle
from stui_sessiond.wire.codec import GLIMPSE_BYTES, too_large
from stui_sessiond.wire.forms import encode_closing

LINGER_S = 5.0
"""How long what is unsent may take after the connection was ended."""

_log = structlog.get_logger(__name__)

TURN_BYTES = 64 * 1024
"""After so much from one peer, others have their turn. The loop itself would read on, up to 8 MiB, while more comes."""

TLS_HANDSHAKE = b"\x16\x03"
"""How a connection begins that speaks TLS; no line does."""

_HTTP = re.compile(rb"[A-Z]{3,20} \S+ HTTP/[0-9.]+\r?$")


class LineProtocol(StreamPipe):
    """A pipe over a stream socket. A line that is too long is dropped and reported; the next one is read again."""

    __slots__ = (
        "_closing", "_dropping", "_head", "_linger", "_message_bytes", "_resting", "_seen_message", "_tail",
        "same_user", "strict_start", "transport_name",
    )  # fmt: skip

    def __init__(
        self,
        make_receiver: ReceiverFactory,
        limits: PipeLimits,
        ticket: Ticket | None = None,
        turn: Turn | None = None,
        *,
        same_user: bool,
    ) -> None:
        super().__init__(make_receiver, limits, ticket, turn)
        self.transport_name = "unix" if same_user else "tcp"
        self.same_user = same_user
        self.strict_start = not same_user
        self._message_bytes = limits.message_bytes
        self._tail = bytearray()
        self._head = b""
        """The first bytes of the connection, as many as it takes to tell TLS."""
        self._dropping = False
        self._seen_message = False
        self._closing = False
        self._linger: asyncio.TimerHandle | None = None
        self._resting = False

    # ---- from asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        super().connection_made(transport)
        if self.same_user and not is_own_user(transport.get_extra_info("socket")):
            self.same_user = False  # it got past the socket's mode, and has to show a token
        self._receiver = self._make_receiver(self)
        if self._receiver is None:
            self._closing = True

    def data_received(self, data: bytes) -> None:
        """Cut what came into lines."""
        if self._closing or self._receiver is None:
            return
        if len(self._head) < len(TLS_HANDSHAKE) and self._begins_tls(data):
            _log.warning("tls.at_plain_port", listener="lines", address=self.ticket and self.ticket.address)
            self.abort()
            return
        ended = b"\n" in data
        self._reading = True
        if ended:
            first, *others = data.split(b"\n")
            last = others.pop()
            for line in (bytes(self._tail) + first if self._tail else first, *others):
                if self._dropping:
                    self._dropping = False  # the end of a line that was reported already
                elif not self._take(line):
                    self._reading = False
                    return
            self._tail = bytearray(last)
        else:
            self._tail += data
        if len(self._tail) > self._message_bytes:
            if not self._dropping:
                self._report_too_long(self._tail)
            self._dropping = True
            self._tail.clear()
        self._watch_message(begun=bool(self._tail) or self._dropping, ended=ended)
        self.write_turn()
        if len(data) >= TURN_BYTES and not self._closing:
            self._rest()

    def _rest(self) -> None:
        """Read on in the loop's next turn."""
        self._resting = True
        self._apply_hold()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        self._apply_hold()

    def _reads(self) -> bool:
        return not self._resting and super()._reads()

    def _begins_tls(self, data: bytes) -> bool:
        """Look at the first bytes of the connection, however they come."""
        self._head += data[: len(TLS_HANDSHAKE) - len(self._head)]
        return self._head == TLS_HANDSHAKE

    def _take(self, line: bytes) -> bool:
        """Pass a line on; False when the connection is over."""
        if not line or line == b"\r":
            return True
        if len(line) > self._message_bytes:
            self._report_too_long(line)
        elif self._receiver is not None:
            if not self._seen_message and _HTTP.match(line):
                self.abort()
                return False
            self._seen_message = True
            self._receiver.receive(line)
        return not self._closing

    def _report_too_long(self, line: bytes | bytearray) -> None:
        if self._receiver is not None:
            self._receiver.receive_broken(too_large(bytes(line[:GLIMPSE_BYTES]), self._message_bytes))

    def eof_received(self) -> bool:
        """The peer sends no more; it may still wait for answers, as `printf ... | nc` does."""
        if self._tail and not self._dropping and not self._closing and not self.whole_only:
            tail, self._tail = bytes(self._tail), bytearray()
            self._take(tail)
        keep = not self._closing and self._receiver is not None and self._receiver.ended()
        self.write_turn()
        return keep

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        self._closing = True
        if self._linger is not None:
            self._linger.cancel()
        super().connection_lost(exc)

    # ---- the pipe

    def limit_messages(self, message_bytes: int, *, strict: bool) -> None:
        """Take in lines up to this length; what is longer is never held, so strict changes nothing."""
        del strict
        self._message_bytes = message_bytes

    def send(self, message: bytes) -> None:
        """Queue a message."""
        if not self._closing:
            self._queue(message)
            self._out.append(b"\n")  # joined with all others: a long message is copied once
            self._out_bytes += 1

    def take(self, bundle: Bundle) -> bool:
        """Queue messages that others get as well, if there is room."""
        if not self.has_room():
            return False
        if not self._closing:
            if bundle.lines is None:
                bundle.lines = b"\n".join([*bundle.messages, b""])
            self._send_shared(bundle.lines)
        return True

    def close(self, reason: CloseReason) -> None:
        """Say why, and close."""
        if self._closing or self._transport is None:
            return
        self.send(encode_closing(reason.code, reason.name, reason.meaning, reconnect=reason.reconnect))
        self.write_turn()
        self._closing = True
        self._transport.close()
        if self._transport.get_write_buffer_size():  # who does not read gets a moment more to learn why
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """Close without a word."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """Send what is queued and close without a word: the peer has gone home."""
        self.write_turn()
        self._closing = True
        if self._transport is not None:
            self._transport.close()
