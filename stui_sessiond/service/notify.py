"""How does a daemon tell its service manager how it is? The datagrams of sd_notify(3), and of its watchdog.

The protocol is one line of text a fact over a socket whose address is in the environment, and is promised to stay as it
is; that is less than any library around it. Where there is no such socket nothing is told, and nothing fails.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import MutableMapping

BARRIER_S = 5.0
"""How long `settle` waits until the manager has read what was told; systemd itself does that within milliseconds."""

ADDRESS = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
WATCHDOG_PROCESS = "WATCHDOG_PID"


class Notifier:
    """Tells a service manager; without one it does nothing."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        """How long the manager waits for a sign of life, in seconds; None: it does not ask for any."""
        self._address = address

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], *, successor: bool = False) -> "Notifier":
        """Read who is to be told. A watchdog that is meant for another process is not ours, unless we take its place.

        An address that cannot be one (neither a path nor an abstract name) is as good as none.
        """
        address = environment.get(ADDRESS)
        if address is not None and address[:1] not in {"/", "@"}:
            address = None
        meant_for = environment.get(WATCHDOG_PROCESS)
        microseconds = environment.get(WATCHDOG, "")
        ours = successor or meant_for in {None, str(os.getpid())}
        watched = address is not None and ours and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if watched else None)

    def __bool__(self) -> bool:
        return self._address is not None

    def tell(self, *facts: str) -> None:
        """Send facts such as `READY=1` in one datagram. A manager that does not listen is no reason to fail."""
        self._send("\n".join(facts).encode(), ())

    def status(self, text: str) -> None:
        """Say in one line what the daemon is doing; `systemctl status` shows it."""
        self.tell(f"STATUS={text}")

    def reloading(self) -> None:
        """A reload begins; `READY=1` ends it. The time keeps it from being taken for the end of an earlier one."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def extend(self, seconds: float) -> None:
        """It takes longer: ask for more time to start, or to stop, from now."""
        self.tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def settle(self, timeout_s: float = BARRIER_S) -> bool:
        """Wait until the manager has read all that was told before; tell whether it has.

        A process that tells something and ends may be gone before the manager looks who told it. The manager closes
        the descriptor that comes with `BARRIER=1` (systemd 246) when it gets there.
        """
        if self._address is None:
            return False
        ours, theirs = os.pipe()
        try:
            self._send(b"BARRIER=1", (theirs,))
            os.close(theirs)
            theirs = -1
            waiting = select.poll()
            waiting.register(ours, 0)  # hang-up is told of in any case
            return bool(waiting.poll(timeout_s * 1000))
        finally:
            os.close(ours)
            if theirs >= 0:
                os.close(theirs)

    def _send(self, message: bytes, descriptors: tuple[int, ...]) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | _CLOEXEC) as sock:
            sock.setblocking(False)  # noqa: FBT003 -- a manager that is busy must not hold us up
            sock.connect(address)
            if descriptors:
                socket.send_fds(sock, [message], list(descriptors))
            else:
                sock.send(message)


_CLOEXEC = getattr(socket, "SOCK_CLOEXEC", 0)
