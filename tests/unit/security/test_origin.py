"""May a page in a browser talk to us?"""

import pytest

from stui_sessiond.security.origin import allowed_hosts, refusal

HOSTS = allowed_hosts("127.0.0.1", 7448, ["stui.example:7448"])
ORIGINS = ("https://app.example", "http://localhost:3000")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:7448",
        "localhost:7448",
        "LocalHost:7448",
        "[::1]:7448",
        "stui.example:7448",
        "STUI.example:7448",
    ],
)
def test_host_that_names_us(host: str) -> None:
    """The names of the loopback and the operator's own, in any case."""
    assert refusal([host], [], HOSTS, ORIGINS) is None


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["127.0.0.1:7448", "127.0.0.1:7448"],
        ["localhost6:7448"],
        ["127.0.0.1.evil.example:7448"],
        ["localhost.evil.example:7448"],
        ["evil.example:7448"],
        ["127.0.0.1"],
        ["127.0.0.1:7449"],
        ["127.0.0.1:07448"],
        ["0x7f.1:7448"],
        ["2130706433:7448"],
        ["127.1:7448"],
        ["0.0.0.0:7448"],
        [" 127.0.0.1:7448"],
        ["127.0.0.1:7448."],
        ["localhost.:7448"],
        ["user@127.0.0.1:7448"],
        ["[::ffff:127.0.0.1]:7448"],
        ["stui.example"],
        ["127.0.0.1:7448, evil.example"],
    ],
)
def test_host_that_does_not(hosts: list[str]) -> None:
    """Compared literally: absent, doubled, another port, another spelling of the same address are refused."""
    assert refusal(hosts, [], HOSTS, ORIGINS) == "the Host header does not name this server"


@pytest.mark.parametrize("origins", [[], ["https://app.example"], ["http://localhost:3000"]])
def test_origin_that_is_allowed(origins: list[str]) -> None:
    """Programs send none; pages have to be on the list."""
    assert refusal(["localhost:7448"], origins, HOSTS, ORIGINS) is None


@pytest.mark.parametrize(
    "origins",
    [
        ["null"],
        [""],
        ["http://app.example"],
        ["https://app.example:8443"],
        ["https://app.example.evil.example"],
        ["https://evil-app.example"],
        ["https://sub.app.example"],
        ["https://APP.example"],
        ["https://app.example/"],
        ["http://localhost"],
        ["http://127.0.0.1:7448"],
        ["https://app.example", "https://app.example"],
        ["https://app.example https://evil.example"],
    ],
)
def test_origin_that_is_not(origins: list[str]) -> None:
    """Compared exactly: scheme, port, suffix, case and number count."""
    assert refusal(["localhost:7448"], origins, HOSTS, ORIGINS) == "pages of this Origin are not allowed here"


def test_no_origin_is_allowed_by_default() -> None:
    """Where the operator lists none, no page gets in."""
    assert refusal(["localhost:7448"], ["http://localhost:7448"], HOSTS, ()) is not None


def test_hosts_of_a_listener() -> None:
    """An IPv6 address is written with brackets; the operator's names are taken in any case."""
    assert allowed_hosts("::1", 80, ["My.Host:80"]) == {"[::1]:80", "127.0.0.1:80", "localhost:80", "my.host:80"}
