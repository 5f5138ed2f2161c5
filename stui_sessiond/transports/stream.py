"""What do pipes over a stream socket have in common?

Reading stops while the peer does not read, or its host says so; messages of one loop turn leave in one write; a message
that was begun has to become complete.
"""

import abc
import asyncio
import os
import socket
import struct
import sys
from typing import cast

from stui_sessiond.security.admission import Ticket
from stui_sessiond.transports.pipe import PipeLimits, Receiver, ReceiverFactory
from stui_sessiond.transports.turn import Turn

TCP_USER_TIMEOUT_MS = 40_000
"""A peer that acknowledges nothing for so long is gone. One that does not read counts as such to the system, too: it is
longer than `PipeLimits.stall_s` and what it may take to say why (`lines.LINGER_S`), or nobody could read that."""

GOODBYE_S = 1.0
"""How long a peer that was too slow may take to read so; it would not answer a close frame any faster."""

LATE_S = 1.0
"""A timer that comes so late tells that the whole process was stopped, or its loop busy: the peer is not to blame."""


class StreamPipe(asyncio.Protocol, abc.ABC):
    """The part of a pipe that does not depend on how messages are framed."""

    same_user = False
    only_events = False

    __slots__ = (
        "_full", "_held", "_limits", "_make_receiver", "_message_timer", "_out", "_out_bytes", "_reading", "_receiver",
        "_room_wanted", "_stall_timer", "_transport", "_turn", "address", "bearer", "broke", "process_id",
        "ticket", "whole_only",
    )  # fmt: skip

    def __init__(
        self,
        make_receiver: ReceiverFactory,
        limits: PipeLimits,
        ticket: Ticket | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.bearer: str | None = None
        self.address: str | None = None
        self.process_id: int | None = None
        self.ticket = ticket
        self.whole_only = False
        self.broke: str | None = None
        self._make_receiver = make_receiver
        self._limits = limits
        self._turn = turn or Turn()
        self._receiver: Receiver | None = None
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        """Messages as they are written, that are not written yet."""
        self._out_bytes = 0
        self._reading = False
        """Whether what came is being worked off: at its end what is queued is written."""
        self._held = False
        self._full = False
        self._room_wanted = False
        self._stall_timer: asyncio.TimerHandle | None = None
        self._message_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.outbound_soft_bytes)
        sock = transport.get_extra_info("socket")
        tune_tcp(sock)
        self.address = _address(sock, transport.get_extra_info("peername"))
        credentials = _credentials(sock)
        self.process_id = None if credentials is None else credentials[0]

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        if exc is not None and self.broke is None:
            self.broke = "timed_out" if isinstance(exc, TimeoutError) else "reset"
        self._take_out()
        self._stop_stall_timer()
        self._watch_message(begun=False, ended=True)
        if self.ticket is not None:
            self.ticket.leave()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost()

    def pause_writing(self) -> None:
        """The peer does not read: do not read from it either."""
        self._full = True
        self._apply_hold()
        self._watch_stall()

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False
        self._apply_hold()
        self._stop_stall_timer()
        self._tell_room()

    def has_room(self) -> bool:
        """Tell whether the peer takes more."""
        if not self._full and self._out_bytes <= self._limits.outbound_soft_bytes:
            return True
        self._room_wanted = True
        return False

    def _tell_room(self) -> None:
        if self._room_wanted and not self._full and self._receiver is not None:
            self._room_wanted = False
            self._receiver.drained()

    def _watch_stall(self) -> None:
        """Look again later whether the peer has read anything at all."""
        if self._transport is not None:
            left = self._transport.get_write_buffer_size()
            loop = asyncio.get_running_loop()
            self._stall_timer = loop.call_later(self._limits.stall_s, self._check_stall, left)

    def _check_stall(self, left_before: int) -> None:
        if self._transport is None or self._receiver is None or not self._full:
            return
        if self._transport.get_write_buffer_size() >= left_before:
            self._receiver.stalled()
        else:
            self._watch_stall()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _watch_message(self, *, begun: bool, ended: bool) -> None:
        """Take note whether part of a message is here, and whether another one was completed meanwhile.

        The daemon's own user is trusted to finish: an image may stop in the middle while it saves itself.
        """
        if self._message_timer is not None and (ended or not begun):
            self._message_timer.cancel()
            self._message_timer = None
        if begun and self._message_timer is None and not self.same_user:
            loop = asyncio.get_running_loop()
            due = loop.time() + self._limits.message_s
            self._message_timer = loop.call_at(due, self._message_due, due)

    def _message_due(self, due: float) -> None:
        self._message_timer = None
        if self._transport is None or self._receiver is None:
            return
        asleep = asyncio.get_running_loop().time() - due > LATE_S
        if asleep or self._held or self._full:  # what is missing may have come, and we did not look
            self._watch_message(begun=True, ended=False)
        else:
            self._receiver.dribbled()
            asyncio.get_running_loop().call_later(GOODBYE_S, self._transport.abort)

    def _reads(self) -> bool:
        """Tell whether what the peer sends is taken in at present."""
        return not (self._held or self._full)

    def hold(self, *, reading: bool) -> None:
        """Stop reading or go on."""
        self._held = not reading
        self._apply_hold()

    def unsent_bytes(self) -> int:
        """How much waits to be sent."""
        return self._out_bytes + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def _apply_hold(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._reads():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _queue(self, written: bytes) -> None:
        """Have a message leave with the others of this loop turn."""
        if not self._out and not self._reading:
            self._turn.add(self)
        self._out.append(written)
        self._out_bytes += len(written)

    def _send_shared(self, written: bytes) -> None:
        """Write what others get as well: at once, unless something waits or enough pipes did so in this turn."""
        transport = self._transport
        if self._out or transport is None or transport.is_closing() or not self._turn.spend():
            self._queue(written)
        else:
            transport.write(written)

    def _take_out(self) -> list[bytes]:
        """Take what is queued, to be written now."""
        taken, self._out, self._out_bytes = self._out, [], 0
        if self._room_wanted:
            asyncio.get_running_loop().call_soon(self._tell_room)
        return taken

    def write_turn(self) -> None:
        """Write the messages that were queued in this turn of the loop, if that was not done."""
        self._reading = False
        transport, out = self._transport, self._out
        if not out or transport is None or transport.is_closing():
            return
        if self._full and self._is_slow(transport):
            self.broke = "slow_consumer"
            self.abort()
        elif len(out) > 1 or self._room_wanted:
            transport.write(b"".join(self._take_out()))
        else:  # an event, for most: the list is used again
            self._out_bytes = 0
            transport.write(out.pop())

    @abc.abstractmethod
    def abort(self) -> None:
        """Close without a word."""

    def _is_slow(self, transport: asyncio.Transport) -> bool:
        """Tell whether the peer has left too much unread to get more. One long answer alone is no reason."""
        return transport.get_write_buffer_size() > self._limits.outbound_hard_bytes


def _address(sock: socket.socket | None, name: object) -> str | None:
    """Tell who is at the other end."""
    if isinstance(name, tuple) and len(name) >= 2:  # noqa: PLR2004 -- host and port
        return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
    credentials = _credentials(sock)
    return None if credentials is None else f"user {credentials[1]} process {credentials[0]}"


def is_own_user(sock: socket.socket | None) -> bool:
    """Tell whether the peer over a unix socket is our user, or root; it is taken for ours where nobody can say."""
    credentials = _credentials(sock)
    return credentials is None or credentials[1] in {0, os.geteuid()}


def _credentials(sock: socket.socket | None) -> tuple[int, int] | None:
    """The process and the user at the other end of a unix socket, as the system tells."""
    if sock is None or sock.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    process, user, _ = struct.unpack(
        "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return process, user


def tune_tcp(sock: socket.socket | None) -> None:
    """Let a TCP connection answer at once, and notice when the other end is gone."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
