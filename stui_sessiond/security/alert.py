"""How does a peer learn why its handshake failed? Sends the alert that asyncio and uvloop leave behind.

Both cut the connection when OpenSSL refuses a handshake, without sending what OpenSSL has to say about it. So a peer
without a certificate would only see an end. A context made here hands the alert to whoever wanted it for the connection
at hand: a context variable, because the loops give no other way from a context to a connection.
"""

import ssl
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

on_alert: ContextVar[Callable[[bytes], None] | None] = ContextVar("on_alert", default=None)
"""Set it before the handshake; called with the alert's bytes when the handshake fails."""


class _TellingObject(ssl.SSLObject):
    """The server's end of one connection."""

    outgoing: ssl.MemoryBIO | None = None
    tell: Callable[[bytes], None] | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.tell is not None and self.outgoing is not None:
                self.tell(self.outgoing.read())
            raise


class TellingContext(ssl.SSLContext):
    """A server's context whose connections tell why a handshake failed."""

    sslobject_class = _TellingObject

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **more: Any) -> ssl.SSLObject:  # noqa: ANN401 -- as the library has it
        """Make the end of one connection."""
        made = super().wrap_bio(incoming, outgoing, *args, **more)
        if isinstance(made, _TellingObject):
            made.outgoing, made.tell = outgoing, on_alert.get()
        return made
