"""Who is let in through a TCP port? Accepts, counts, speaks TLS, and tells those who are turned away why.

Accepting is done here and not by `create_server`, because a connection has to be counted before its TLS handshake, and
somebody who speaks plain text to a TLS port deserves an answer.
"""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import structlog

from stui_sessiond.contract import CloseReason
from stui_sessiond.security.admission import Admission, Refusal, Ticket
from stui_sessiond.security.alert import on_alert
from stui_sessiond.server.binding import BACKLOG
from stui_sessiond.server.certificate import LiveCertificate
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.transports.lines import TLS_HANDSHAKE
from stui_sessiond.transports.plain import plain_answer
from stui_sessiond.wire.forms import encode_closing

_log = structlog.get_logger(__name__)

RETRY_S = 0.2
"""Before accepting again when the system has no descriptor left."""

GOODBYE_S = 1.0
"""How long somebody who is turned away may take to read why."""

MAX_GOODBYES = 64
"""How many are told why at once; the others are cut off."""

LET_IN_S = 0.1
"""How long the end waits for those who are being let in. To cut one off in the middle leaves a connection of which its
pipe hears no more; without TLS it takes a turn of the loop or two."""

SHUTDOWN_S = 5.0
"""How long the peer may take to answer the end of TLS."""

LOG_EVERY_S = 5.0
"""Between lines of the log about the same: whoever knocks must not fill the disk."""

_HTTP_STATUS = {"too_many_connections": 503, "too_many_attempts": 429, "tls_required": 400}

MakeProtocol = Callable[[Ticket], asyncio.Protocol]


class Door:
    """One port, on one address or several."""

    def __init__(
        self,
        kind: Literal["lines", "http"],
        sockets: Sequence[socket.socket],
        make_protocol: MakeProtocol,
        admission: Admission,
        close_reasons: Mapping[str, CloseReason],
        certificate: LiveCertificate | None,
        handshake_s: float,
    ) -> None:
        self._kind = kind
        self._sockets = sockets
        self._make_protocol = make_protocol
        self._admission = admission
        self._close_reasons = close_reasons
        self._certificate = certificate
        self._handshake_s = handshake_s
        self._tasks = TaskOwner(f"door.{kind}")
        self._arriving = TaskOwner(f"door.{kind}.arriving")
        self._goodbyes = 0
        self._logged: dict[str, tuple[float, int]] = {}

    def open(self) -> None:
        """Begin to accept."""
        for sock in self._sockets:
            sock.listen(BACKLOG)
            sock.settimeout(0)
            self._tasks.start(self._accept(sock), "accept")

    async def close(self) -> None:
        """Accept nobody any more; those who are in stay."""
        await self._tasks.close()
        await self._arriving.drain(LET_IN_S)
        await self._arriving.close()
        for sock in self._sockets:
            sock.close()

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:  # nothing is awaited here: whoever is accepted is not lost when the end comes
                connection, place = listening.accept()
            except BlockingIOError:
                await _readable(listening)
                continue
            except ConnectionError:
                continue  # it was gone before it was in
            except OSError as error:  # no descriptors or no memory left: those who are in go on
                self._warn("door.cannot_accept", reason=error.strerror)
                await asyncio.sleep(RETRY_S)
                continue
            connection.settimeout(0)
            ticket = self._admission.enter(place[0])
            if isinstance(ticket, Ticket):
                self._arriving.start(self._let_in(connection, ticket), "handshake")
            else:
                self._warn("door.refused", reason=ticket, address=place[0])
                self._turn_away(connection, ticket)
            await asyncio.sleep(0)  # whoever knocks very often lets others have their turn

    async def _let_in(self, connection: socket.socket, ticket: Ticket) -> None:
        handed_over = False
        try:
            async with asyncio.timeout(self._handshake_s):
                if self._certificate is None or await self._speaks_tls(connection, ticket):
                    handed_over = True
                    await self._hand_over(connection, ticket)
        except (OSError, TimeoutError) as error:
            ticket.leave()
            if self._certificate is not None:
                self._warn("tls.handshake_failed", reason=_reason(error), address=ticket.address)
        except BaseException:
            ticket.leave()
            raise
        finally:
            if not handed_over:
                ticket.leave()
                connection.close()

    async def _hand_over(self, connection: socket.socket, ticket: Ticket) -> None:
        loop = asyncio.get_running_loop()
        make = functools.partial(self._make_protocol, ticket)
        if self._certificate is None:
            await loop.connect_accepted_socket(make, connection)
            return
        on_alert.set(functools.partial(_send, connection))  # in the context of this task alone
        await loop.connect_accepted_socket(
            make,
            connection,
            ssl=self._certificate.context,
            ssl_handshake_timeout=self._handshake_s,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )

    async def _speaks_tls(self, connection: socket.socket, ticket: Ticket) -> bool:
        """Look at the first byte, and leave it where it is. Tells the peer if it is not one of TLS."""
        await _readable(connection)
        first = connection.recv(1, socket.MSG_PEEK)
        if first == TLS_HANDSHAKE[:1]:
            return True
        if first:
            self._warn("tls.plain_at_tls_port", address=ticket.address)
            await self._say_goodbye(connection, "tls_required")
        return False

    # ---- turning away

    def _turn_away(self, connection: socket.socket, why: Refusal) -> None:
        if self._certificate is not None or self._goodbyes >= MAX_GOODBYES:
            connection.close()
        else:
            self._tasks.start(self._dismiss(connection, why), "dismiss")

    async def _dismiss(self, connection: socket.socket, why: Refusal) -> None:
        try:
            await self._say_goodbye(connection, why)
        finally:
            connection.close()

    async def _say_goodbye(self, connection: socket.socket, why: str) -> None:
        """Say why, in plain text, and wait a moment until it is read: closing at once could take it back."""
        reason = self._close_reasons[why]
        if self._kind == "http":
            words = plain_answer(_HTTP_STATUS[why], reason.meaning)
        else:
            words = encode_closing(reason.code, reason.name, reason.meaning, reconnect=reason.reconnect) + b"\n"
        loop = asyncio.get_running_loop()
        self._goodbyes += 1
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await loop.sock_sendall(connection, words)
                    connection.shutdown(socket.SHUT_WR)
                    while await loop.sock_recv(connection, 65536):
                        pass
        finally:
            self._goodbyes -= 1

    def _warn(self, event: str, **fields: object) -> None:
        """Log, but not the same over and over; the next line says how many were left out."""
        now = asyncio.get_running_loop().time()
        at, left_out = self._logged.get(event, (now - LOG_EVERY_S, 0))
        if now - at < LOG_EVERY_S:
            self._logged[event] = (at, left_out + 1)
            return
        self._logged[event] = (now, 0)
        more = {"left_out": left_out} if left_out else {}
        _log.warning(event, listener=self._kind, **fields, **more)


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(connection, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.send(data)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _reason(error: OSError) -> str:
    """Tell in a few words what went wrong with a handshake."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return _REASONS.get(error.reason or "", (error.reason or str(error)).replace("_", " ").lower())
    return error.strerror or "the peer hung up"


_REASONS = {
    "UNSUPPORTED_PROTOCOL": "the peer does not speak TLS 1.3",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer does not accept our certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer does not speak TLS 1.3",
}
