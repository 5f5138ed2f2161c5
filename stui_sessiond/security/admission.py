"""May one more connection from this address come in? Counts connections and failed attempts to authenticate.

What is counted is what has not said who it is: a stranger must not use up what others need. The unix socket has no
address and does not come here.
"""

import ipaddress
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Literal

import msgspec

Refusal = Literal["too_many_connections", "too_many_attempts"]
"""Names of close codes."""

WINDOW_S = 60.0
"""Failed attempts are counted over so long; whoever has used them up waits until the first of them is older."""

MAX_REMEMBERED = 10_000
"""Addresses whose failed attempts are remembered; those that failed longest ago are forgotten first."""

_NETWORK_BITS = 64
"""What one household or machine usually has of IPv6: whoever has it has all its addresses."""


class AdmissionRules(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections may be there at once."""

    connections: int = 1024
    unauthenticated: int = 64
    """Small enough that 4 KiB and a TLS handshake each are nothing."""
    unauthenticated_per_address: int = 8
    """So that one address leaves room for the others."""
    failures: int = 5
    """Failed attempts to authenticate that an address has in `WINDOW_S`."""


class Ticket:
    """One connection, from its acceptance to its end."""

    __slots__ = ("_admission", "_counted", "_group", "_here", "address")

    def __init__(self, address: str, group: str, admission: "Admission") -> None:
        self.address = address
        self._group = group
        self._admission = admission
        self._counted = True
        self._here = True

    @property
    def blocked(self) -> bool:
        """Whether its address has used up its attempts to authenticate."""
        return self._admission.is_blocked(self._group)

    def known(self) -> None:
        """The peer has said who it is, or need not."""
        if self._counted:
            self._counted = False
            self._admission.uncount(self._group)

    def failed(self) -> None:
        """The peer tried to authenticate, and failed."""
        self._admission.note_failure(self._group)

    def leave(self) -> None:
        """The connection is gone. May be called again."""
        self.known()
        if self._here:
            self._here = False
            self._admission.connections -= 1


class Admission:
    """The counts of all TCP listeners of a daemon together."""

    def __init__(self, rules: AdmissionRules, clock: Callable[[], float]) -> None:
        self.connections = 0
        self.unauthenticated = 0
        self.failed = 0
        """Attempts to authenticate that failed, since the start."""
        self.refused: Counter[Refusal] = Counter()
        """Connections that were not let in, since the start."""
        self._rules = rules
        self._clock = clock
        self._strangers: dict[str, int] = {}
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def enter(self, address: str) -> Ticket | Refusal:
        """Count a new connection, or say why it may not come in."""
        group = group_of(address)
        if self.is_blocked(group):
            self.refused["too_many_attempts"] += 1
            return "too_many_attempts"
        strangers = self._strangers.get(group, 0)
        rules = self._rules
        if (
            self.connections >= rules.connections
            or self.unauthenticated >= rules.unauthenticated
            or strangers >= rules.unauthenticated_per_address
        ):
            self.refused["too_many_connections"] += 1
            return "too_many_connections"
        self.connections += 1
        self.unauthenticated += 1
        self._strangers[group] = strangers + 1
        return Ticket(address, group, self)

    def is_blocked(self, group: str) -> bool:
        """Tell whether a group has used up its attempts to authenticate."""
        failures = self._failures.get(group)
        if failures is None:
            return False
        limit = self._clock() - WINDOW_S
        while failures and failures[0] <= limit:
            failures.popleft()
        if not failures:
            del self._failures[group]
        return len(failures) >= self._rules.failures

    def note_failure(self, group: str) -> None:
        """Count a failed attempt."""
        self.failed += 1
        now = self._clock()
        self._failures.setdefault(group, deque(maxlen=self._rules.failures)).append(now)
        self._failures.move_to_end(group)
        while len(self._failures) > MAX_REMEMBERED or next(iter(self._failures.values()))[-1] <= now - WINDOW_S:
            self._failures.popitem(last=False)  # the one that failed last longest ago

    def uncount(self, group: str) -> None:
        """One stranger less."""
        self.unauthenticated -= 1
        left = self._strangers[group] - 1
        if left:
            self._strangers[group] = left
        else:
            del self._strangers[group]


def group_of(address: str) -> str:
    """Tell what counts as one address: an IPv4 address, also when written as IPv6, or an IPv6 network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        if not found.is_loopback:
            return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
    return str(found)
