"""Whom do the operator's lists let in?"""

import pytest

from stui_sessiond.security.access import AccessLists, AddressLists, check_networks


@pytest.mark.parametrize(
    ("allow", "deny", "name", "admitted"),
    [
        ([], [], "ada", True),
        (["ada"], [], "ada", True),
        (["ada"], [], "bob", False),
        (["a*"], ["ad?"], "ada", False),
        ([], ["guest-*"], "guest-1", False),
        (["*"], ["*"], "ada", False),
    ],
)
def test_name_is_admitted_as_the_lists_say(allow: list[str], deny: list[str], name: str, admitted: bool) -> None:
    """What is denied wins; an empty list of allowed ones allows all."""
    assert AccessLists(allow, deny).admits(name) is admitted


@pytest.mark.parametrize(
    ("allow", "deny", "address", "admitted"),
    [
        ([], [], "192.0.2.7", True),
        (["192.0.2.0/24"], [], "192.0.2.7", True),
        (["192.0.2.0/24"], [], "198.51.100.1", False),
        (["192.0.2.0/24"], ["192.0.2.7"], "192.0.2.7", False),
        (["2001:db8::/32"], [], "2001:db8::1%eth0", True),
        ([], ["192.0.2.0/24"], "::ffff:192.0.2.9", False),
        (["192.0.2.0/24"], [], "nonsense", False),
    ],
)
def test_address_is_admitted_as_the_networks_say(
    allow: list[str], deny: list[str], address: str, admitted: bool
) -> None:
    """Networks of both families; an IPv4 address in IPv6 clothes is the same address."""
    assert AddressLists(allow, deny).admits(address) is admitted


def test_networks_that_are_none_are_found() -> None:
    """A setting that cannot work is told at the start."""
    assert check_networks(["10.0.0.0/8", "::1"]) is None
    assert check_networks(["10.0.0.0/8", "all"]) == "all"
