"""How long and how large may an HTTP request be? uvicorn's protocol with the bounds it does not have.

The request that asks for a WebSocket comes through here as well: its handshake has the same bounds.
"""

import asyncio
import contextlib
import functools
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from stui_sessiond.security.admission import Ticket
from stui_sessiond.transports.lines import TLS_HANDSHAKE
from stui_sessiond.transports.plain import plain_answer
from stui_sessiond.transports.stream import StreamPipe, tune_tcp

_log = structlog.get_logger(__name__)

HEAD_BYTES = 16 * 1024
"""Request line, headers and trailers of a request: a browser sends along all cookies of `localhost`, which none of ours
are. Also what is read of it without anything coming of it: the parser keeps what it has not understood yet."""

MAX_WAITING = 64
"""Requests that wait behind the one that is answered, as many as a socket may have under way. The parser makes requests
of all that was read at once, which may be thousands."""

BODY_SLACK_BYTES = 64 * 1024
"""A body may be so much longer than a message before the connection is cut: whoever reads it says what is wrong."""


TICK_S = 0.1
TICKS_PER_DAY = 864_000
"""uvicorn counts its ticks in days."""


class WebProtocol(HttpToolsProtocol):
    """One HTTP connection until it ends or becomes a WebSocket."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        ticket: Ticket,
        request_s: float,
        message_bytes: int,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "ticket": ticket, "connection": weakref.ref(self)})
        make_web_socket: Any = self.ws_protocol_class
        self.ws_protocol_class: Any = functools.partial(make_web_socket, ticket=ticket)  # uvicorn only calls it
        self._ticket: Ticket | None = ticket
        self._request_s = request_s
        self._timer: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        """The request that is being answered."""
        self._in_head = True
        self._head_bytes = 0
        self._pending_bytes = 0
        """What was read of a head that is not complete, or, in a body, since the parser last gave us something."""
        self._parsed = False
        self._body_bytes = 0
        self._most_bytes = message_bytes + BODY_SLACK_BYTES

    # ---- from asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start."""
        super().connection_made(transport)
        tune_tcp(transport.get_extra_info("socket"))  # head and body are written one after the other
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Read, and count."""
        if self.transport.is_closing():
            return
        if self._in_head and not (self._head_bytes or self._pending_bytes) and data.startswith(TLS_HANDSHAKE):
            _log.warning("tls.at_plain_port", listener="http", address=self._ticket and self._ticket.address)
            self.transport.abort()
            return
        in_head, self._parsed = self._in_head, False
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._parsed and not in_head:
            self._pending_bytes = 0
        if max(self._head_bytes, self._pending_bytes) > HEAD_BYTES:
            self._refuse_head()
        elif not self._parsed and self._timer is None and self._is_idle():
            self._start_timer()  # empty lines between requests end the wait for the next one, and begin none

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        self._stop_timer()
        running, self._running = self._running, None
        if running is not None:  # the library tells the newest request alone
            running.disconnected = True
            running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._ticket is not None:
            self._ticket.leave()

    # ---- from the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._body_bytes = True, 0, 0
        if self._timer is None:
            self._start_timer()

    def on_url(self, url: bytes) -> None:
        """Part of what it asks for is here."""
        if self._count_head(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers or trailers is here."""
        if self._count_head(len(name) + len(value) + 4):
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its headers are here."""
        self._parsed = True
        if self.transport.is_closing():
            return
        if len(self.pipeline) >= MAX_WAITING:
            _log.warning("http.too_many_waiting", address=self._ticket and self._ticket.address)
            self.pipeline.clear()
            self.transport.close()
            return
        self._in_head, self._pending_bytes = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of its body is here."""
        self._parsed = True
        if self.transport.is_closing():
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._most_bytes:
            self._refuse(413, f"the body has more than {self._most_bytes} bytes")
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is complete."""
        self._parsed = self._in_head = True  # the next thing is another one
        self._head_bytes = self._pending_bytes = 0
        self._stop_timer()
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered. While others wait behind it nothing more is read, or they would be more and more."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket, which has its own bounds."""
        self._stop_timer()
        self._ticket = None  # it goes with the connection
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it holds us: else both stay until the collector comes by

    def hand_over(self, pipe: StreamPipe) -> bool:
        """Let a pipe have the connection instead of the present request's response; False: it is gone."""
        cycle = self._running
        if cycle is None or cycle.disconnected or cycle.response_started or self.transport.is_closing():
            return False
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._ticket = None  # it goes with the connection
        self.connections.discard(self)
        self.pipeline.clear()
        self._running = self.parser = None  # type: ignore[assignment]  # as uvicorn does: the parser holds us
        cycle.disconnected = True  # what the application still says goes nowhere
        self.transport.set_protocol(pipe)
        pipe.connection_made(self.transport)
        if self.flow.write_paused:  # by an earlier answer that is not read: nobody will say so again
            pipe.pause_writing()
        else:
            pipe.hold(reading=True)  # a request that waits behind this one has stopped it
        return True

    # ---- inside

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 -- an ASGI application
        self._running = cycle  # `cycle` is the newest request, which may wait behind this one
        super()._start_asgi_task(cycle, app)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._request_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        _log.warning("http.too_slow", address=self._ticket and self._ticket.address)
        self._refuse(408, f"a request has to be complete within {self._request_s:g} s")

    def _count_head(self, size: int) -> bool:
        """Count a part of the head, or of the trailers; tell whether it is taken."""
        self._parsed = True
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            self._refuse_head()
        return not self.transport.is_closing()

    def _refuse_head(self) -> None:
        self._refuse(431, f"the headers have more than {HEAD_BYTES} bytes")

    def _is_idle(self) -> bool:
        """Tell whether no request is being answered."""
        return self._running is None or self._running.response_complete

    def _refuse(self, status: int, text: str) -> None:
        """Close, and say why, unless that would be taken for the answer to another request, or be a second one."""
        if self.transport.is_closing():
            return
        running = self._running
        mine = running is not None and running is self.cycle and not (self._in_head or running.response_started)
        if mine or (self._in_head and self._is_idle()):
            self.transport.write(plain_answer(status, text))
        self.pipeline.clear()
        self.transport.close()


class HttpServer(uvicorn.Server):
    """uvicorn without its own sockets and signals: the door accepts, and the daemon decides when to stop."""

    def __init__(self, config: uvicorn.Config, request_s: float, message_bytes: int) -> None:
        super().__init__(config)
        self._message_bytes = message_bytes
        self._request_s = request_s
        self._ending = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Get ready without listening."""
        del sockets
        await self.lifespan.startup()
        self.servers = []
        self.started = True

    def end(self) -> None:
        """Stop, and do not wait for uvicorn's next look at its flag: a restart would wait with it."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Do what there is to do ten times a second, until the end."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % TICKS_PER_DAY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End connections; wait only if there are any."""
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)

    def make_protocol(self, ticket: Ticket) -> asyncio.Protocol:
        """Make what serves a connection."""
        return WebProtocol(
            self.config, self.server_state, self.lifespan.state, ticket, self._request_s, self._message_bytes
        )
