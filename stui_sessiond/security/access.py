"""Which clients, images, addresses and commands do the operator's lists let in?

What is denied wins; an empty list of allowed ones allows all. The lists can be replaced while the daemon runs.
"""

import ipaddress
from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec


class AccessLists(msgspec.Struct, frozen=True):
    """Names with `*` and `?` as wildcards."""

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()

    def admits(self, name: str) -> bool:
        """Tell whether the name may come in."""
        if self.deny and any(fnmatchcase(name, pattern) for pattern in self.deny):
            return False
        return not self.allow or any(fnmatchcase(name, pattern) for pattern in self.allow)


class AddressLists(msgspec.Struct, frozen=True):
    """Networks such as `192.0.2.0/24`, or single addresses."""

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()

    def admits(self, address: str) -> bool:
        """Tell whether a peer at this IP address may come in."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return not self.allow
        mapped = getattr(found, "ipv4_mapped", None)
        found = mapped or found
        if any(_holds(network, found) for network in self.deny):
            return False
        return not self.allow or any(_holds(network, found) for network in self.allow)


class AccessRules(msgspec.Struct, frozen=True, kw_only=True):
    """All lists together."""

    clients: AccessLists = AccessLists()
    images: AccessLists = AccessLists()
    addresses: AddressLists = AddressLists()
    commands: AccessLists = AccessLists()


class Access:
    """The lists that are in force now."""

    def __init__(self, rules: AccessRules | None = None) -> None:
        self.rules = rules or AccessRules()


def check_networks(networks: Sequence[str]) -> str | None:
    """Find the first text that is no address and no network."""
    for text in networks:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            return text
    return None


def _holds(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address in ipaddress.ip_network(network, strict=False)
