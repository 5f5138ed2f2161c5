"""A pipe that only sends: events over HTTP (WHATWG HTML, section 9.2).

It begins beside a request. When the subscription stands it takes the connection over, and writes like all other pipes:
no task, and nothing of the HTTP server, is kept for it. If there is no subscription the request is answered as others
are.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from stui_sessiond.contract import CloseReason
from stui_sessiond.security.admission import Ticket
from stui_sessiond.transports.event_frame import HEARTBEAT, write_event, write_fields
from stui_sessiond.transports.lines import LINGER_S
from stui_sessiond.transports.pipe import Pipe, PipeLimits, Receiver
from stui_sessiond.transports.stream import StreamPipe
from stui_sessiond.transports.turn import Turn
from stui_sessiond.wire.bundle import Bundle
from stui_sessiond.wire.forms import encode_closing

HEARTBEAT_S = 15.0
"""Between comments, so that whoever stands between does not take the connection for dead (WHATWG HTML, 9.2.7)."""

HEAD = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "Connection": "close",
}
"""The stream ends with the connection, so nothing has to be framed twice."""


class Beat:
    """One timer for the heartbeats of all streams."""

    def __init__(self, interval_s: float = HEARTBEAT_S) -> None:
        self.interval_s = interval_s
        self._pipes: set[EventPipe] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pipes)

    def join(self, pipe: "EventPipe") -> None:
        """Have a heartbeat written to a pipe from now on."""
        self._pipes.add(pipe)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.interval_s, self.beat)

    def leave(self, pipe: "EventPipe") -> None:
        """Stop that."""
        self._pipes.discard(pipe)
        if not self._pipes and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def beat(self) -> None:
        """Write to all, and come again."""
        for pipe in self._pipes:
            pipe.beat()
        self._timer = asyncio.get_running_loop().call_later(self.interval_s, self.beat)


class Connection(Protocol):
    """The HTTP connection a stream begins beside."""

    def hand_over(self, pipe: StreamPipe) -> bool:
        """Let the pipe have the connection; False: it is gone."""


class EventPipe(StreamPipe):
    """One stream of events."""

    transport_name = "sse"
    strict_start = False
    only_events = True

    __slots__ = ("_beat", "_closing", "_connection", "_linger", "_numbered", "_write_start", "opened")

    def __init__(
        self,
        connection: Connection,
        address: str | None,
        limits: PipeLimits,
        ticket: Ticket,
        turn: Turn,
        beat: Beat,
        write_start: Callable[[bytes], bytes | None],
        *,
        numbered: bool,
    ) -> None:
        super().__init__(_nobody, limits, ticket, turn)
        self.address = address
        self.opened: asyncio.Future[bytes | CloseReason | None] = asyncio.get_running_loop().create_future()
        """Why there is no stream; None: there is one, and the connection is taken."""
        self._connection: Connection | None = connection
        self._beat = beat
        self._write_start: Callable[[bytes], bytes | None] | None = write_start
        self._numbered = numbered
        self._closing = False
        self._linger: asyncio.TimerHandle | None = None

    def give_to(self, receiver: Receiver) -> None:
        """Tell who is at this end."""
        self._receiver = receiver

    # ---- from asyncio

    def data_received(self, data: bytes) -> None:
        """Drop it: nothing can be asked any more."""

    def eof_received(self) -> bool:
        """The peer is gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        self._closing = True
        self._beat.leave(self)
        if self._linger is not None:
            self._linger.cancel()
        super().connection_lost(exc)

    # ---- the pipe

    def limit_messages(self, message_bytes: int, *, strict: bool) -> None:
        """Do nothing: no messages come."""

    def send(self, message: bytes) -> None:
        """Queue an event. The first message is the answer to the subscription, and begins the stream, or not."""
        if self._write_start is not None:
            self._start(message)
        elif not self._closing:
            self._queue(write_event(message, numbered=self._numbered))

    def _start(self, answer: bytes) -> None:
        if self.opened.done():
            return
        assert self._write_start is not None  # noqa: S101 -- the caller looked
        start, connection = self._write_start(answer), self._connection
        self._write_start = self._connection = None
        if start is None:
            self.opened.set_result(answer)
            return
        self.opened.set_result(None)
        if connection is None or not connection.hand_over(self):
            self._closing = True
            asyncio.get_running_loop().call_soon(self.connection_lost, None)  # whoever answers has more to do first
            return
        self._beat.join(self)
        self._queue(start)

    def take(self, bundle: Bundle) -> bool:
        """Queue events that others get as well, if there is room."""
        if self._full or self._out_bytes > self._limits.outbound_soft_bytes:
            self._room_wanted = True
            return False
        written = bundle.events if self._numbered else bundle.unnumbered
        if written is None:
            written = b"".join([write_event(each, numbered=self._numbered) for each in bundle.messages])
            if self._numbered:
                bundle.events = written
            else:
                bundle.unnumbered = written
        if not self._closing:
            self._send_shared(written)
        return True

    def beat(self) -> None:
        """Show that the connection is there, unless there is something else to write, or nobody reads."""
        if not (self._out or self._full or self._closing):
            self._queue(HEARTBEAT)

    def close(self, reason: CloseReason) -> None:
        """Say why, and close."""
        if not self.opened.done():
            self.opened.set_result(reason)
        elif not self._closing and self._transport is not None:
            closing = encode_closing(reason.code, reason.name, reason.meaning, reconnect=reason.reconnect)
            self._queue(write_fields(closing, name="connection.closing"))
            self.finish()

    def finish(self) -> None:
        """Send what is queued, and close."""
        self.write_turn()
        self._closing = True
        if self._transport is None:
            return
        self._transport.close()
        if self._transport.get_write_buffer_size() and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """Close without a word."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()


def _nobody(pipe: Pipe) -> None:
    """Make no receiver: `give_to` names it."""
    del pipe


def write_head(more: Mapping[str, str]) -> bytes:
    """Write the head of the response; `more` are headers that belong to the request."""
    lines = [f"{name}: {value}\r\n" for name, value in {**HEAD, **more}.items()]
    return b"HTTP/1.1 200 OK\r\n" + "".join(lines).encode("latin-1") + b"\r\n"
