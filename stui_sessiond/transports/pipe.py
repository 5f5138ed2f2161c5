"""What is a pipe to those who use it, and what do they owe the pipe?"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import WireError
from stui_sessiond.security.admission import Ticket
from stui_sessiond.wire.bundle import Bundle


class PipeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may hold in memory."""

    message_bytes: int
    """The longest message that is taken in, until `Pipe.limit_messages` says otherwise."""
    message_s: float = 10.0
    """How long a message may take from its first byte to its last: holding one open costs its sender nothing."""
    outbound_soft_bytes: int = 1024 * 1024
    """Unsent bytes above which nothing more is read from this peer, and no events are sent to it."""
    stall_s: float = 30.0
    """A peer that reads nothing for so long, while more than that is unsent, is a slow consumer."""
    outbound_hard_bytes: int = 8 * 1024 * 1024
    """Unsent bytes above which the peer is a slow consumer: instead of getting the next message it is cut off."""


class Pipe(Protocol):
    """One connection, as a sequence of whole messages."""

    transport_name: str
    address: str | None
    """Who is at the other end, as the system tells: `HOST:PORT`, or user and process."""
    process_id: int | None
    """The process at the other end, where the system tells: over the unix socket."""
    same_user: bool
    """Whether the system vouches that the peer is the daemon's own user."""
    strict_start: bool
    """Whether a first message that cannot be read ends the connection (a web page can be made to talk to us)."""
    whole_only: bool
    """Whether what comes after the last message's end, when the peer goes, is dropped: it was cut off in the middle."""
    only_events: bool
    """Whether the peer cannot ask for anything: what was subscribed when it came is all it gets."""
    bearer: str | None
    """A token that came with the transport's handshake."""
    ticket: Ticket | None
    """What counts this connection among those of its address; None for the unix socket."""
    broke: str | None
    """Why it ended, when it just broke: a word of ours such as `reset`; None when somebody ended it in good order."""

    def limit_messages(self, message_bytes: int, *, strict: bool) -> None:
        """Take in messages up to this length from now on. `strict`: hold no byte more than that."""

    def send(self, message: bytes) -> None:
        """Queue a message; those of one loop turn leave in one write. Never blocks; does nothing once closed."""

    def take(self, bundle: Bundle) -> bool:
        """Queue messages that others get as well; tell whether there was room. If not, it is as with `has_room`."""

    def close(self, reason: CloseReason) -> None:
        """Send what is queued, say why, and close."""

    def finish(self) -> None:
        """Send what is queued and close, without a reason: the peer is done."""

    def hold(self, *, reading: bool) -> None:
        """Stop reading from the peer (`reading` false) or go on."""

    def has_room(self) -> bool:
        """Tell whether the peer takes more now; if not, `Receiver.drained` is called when it does."""


class Receiver(Protocol):
    """Who gets what comes out of a pipe. Its methods must not block and must not raise."""

    def receive(self, payload: bytes) -> None:
        """Take one whole message."""

    def receive_broken(self, error: WireError) -> None:
        """Take note of something that was no message; the pipe goes on."""

    def ended(self) -> bool:
        """The peer sends no more, but may still listen. True: keep the pipe open until `close`."""

    def drained(self) -> None:
        """There is room again after there was none."""

    def stalled(self) -> None:
        """There has been no room for long, and nothing was read meanwhile: the pipe should be closed."""

    def dribbled(self) -> None:
        """A message was begun long ago and is not complete: the pipe should be closed."""

    def lost(self) -> None:
        """The pipe is gone. Called once, last."""


ReceiverFactory = Callable[[Pipe], Receiver | None]
"""Makes the receiver of a new pipe; None refuses the connection."""
