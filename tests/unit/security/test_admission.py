"""How many may come in, and how often may they be wrong?"""

import pytest

from stui_sessiond.security.admission import MAX_REMEMBERED, WINDOW_S, Admission, AdmissionRules, Ticket, group_of

RULES = AdmissionRules(connections=6, unauthenticated=4, unauthenticated_per_address=2, failures=3)


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def admission() -> tuple[Admission, Clock]:
    """Counts with small bounds."""
    clock = Clock()
    return Admission(RULES, clock), clock


def let_in(counts: Admission, address: str = "192.0.2.1") -> Ticket:
    """Enter, where there is room."""
    ticket = counts.enter(address)
    assert isinstance(ticket, Ticket)
    return ticket


def test_strangers_of_an_address() -> None:
    """Two are let in; one that is known or gone makes room, and leaving twice counts once."""
    counts, _ = admission()
    first, second = let_in(counts), let_in(counts)
    assert counts.enter("192.0.2.1") == "too_many_connections"
    let_in(counts, "192.0.2.2")
    first.known()
    let_in(counts).leave()
    second.leave()
    second.leave()
    assert (counts.connections, counts.unauthenticated) == (2, 1)


def test_strangers_of_all_addresses() -> None:
    """Four are let in, wherever they come from."""
    counts, _ = admission()
    for number in range(4):
        let_in(counts, f"192.0.2.{number}")
    assert counts.enter("192.0.2.9") == "too_many_connections"


def test_connections_of_all_kinds() -> None:
    """Six are let in, known or not."""
    counts, _ = admission()
    for number in range(6):
        let_in(counts, f"192.0.2.{number}").known()
    assert counts.enter("192.0.2.9") == "too_many_connections"
    assert counts.unauthenticated == 0


def test_failures_of_an_address() -> None:
    """After three it is refused, also on connections it has; when the first is a minute old there is another try."""
    counts, clock = admission()
    ticket = let_in(counts)
    for _ in range(3):
        assert not ticket.blocked
        ticket.failed()
        clock.now += 10
    assert ticket.blocked
    assert counts.enter("192.0.2.1") == "too_many_attempts"
    let_in(counts, "192.0.2.2").leave()
    clock.now += WINDOW_S - 30
    let_in(counts, "192.0.2.1").failed()
    assert ticket.blocked


def test_failures_that_are_remembered() -> None:
    """Their number is bounded: who failed longest ago is forgotten first."""
    counts, _ = admission()
    for number in range(MAX_REMEMBERED + 1):
        for _ in range(3):
            counts.note_failure(f"place {number}")
    assert not counts.is_blocked("place 0")
    assert counts.is_blocked("place 1")


def test_failures_that_say_nothing_any_more_are_forgotten() -> None:
    """Strangers from ever new addresses leave nothing behind for longer than their failures count."""
    counts, clock = admission()
    for number in range(100):
        counts.note_failure(f"place {number}")
        clock.now += WINDOW_S / 10
    assert len(counts._failures) == 10


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("odd", "odd"),
    ],
)
def test_address_counts_as(address: str, group: str) -> None:
    """Who has one address of an IPv6 network has them all."""
    assert group_of(address) == group
