"""Which connections are known, and which forms describe one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stui_sessiond.tui.connection import (
    MAX_POSITIONS,
    MAX_RECENT,
    Connection,
    Connections,
    Form,
    Seen,
    check,
    connection_of,
    forget,
    form_of,
    note_seen,
    put,
)

GOOD = Form(url=" tcp://127.0.0.1:7447 ", name="here", client_id="ada")


def test_last_used_comes_first_and_the_list_is_bounded() -> None:
    """The newest first; of those that are no favourites the oldest are forgotten."""
    known = Connections()
    for number in range(MAX_RECENT + 10):
        known = put(known, Connection(f"tcp://host:{number}", used_at=float(number), favourite=number < 3))
    assert [one.url for one in known.recent()][:2] == [f"tcp://host:{MAX_RECENT + 9}", f"tcp://host:{MAX_RECENT + 8}"]
    assert (len(known.recent()), len(known.favourites())) == (MAX_RECENT, 3)


def test_changed_connection_takes_the_place_of_the_old_one() -> None:
    """Another address is the same line of the list, with what is remembered of it."""
    known = put(Connections(), Connection("tcp://a:1", used_at=5.0, session_id="s-1", session_name="work"))
    before = known.known[0]
    changed = connection_of(Form(url="tcp://b:1", name="b"), before)
    known = put(known, changed, before.url)
    assert [(one.url, one.name, one.session_id) for one in known.known] == [("tcp://b:1", "b", "s-1")]
    assert known.last() == changed
    assert forget(known, "tcp://b:1").known == ()


def test_positions_are_bounded() -> None:
    """How far events were seen is kept for the sessions that were seen last."""
    known = Connections()
    for number in range(MAX_POSITIONS + 5):
        known = note_seen(known, f"s-{number}", Seen("e", number, float(number)))
    assert len(known.seen) == MAX_POSITIONS
    assert "s-0" not in known.seen
    assert f"s-{MAX_POSITIONS + 4}" in known.seen


def test_good_form_has_no_faults() -> None:
    """Spaces around are no fault, and a form made of its connection says the same."""
    assert check(GOOD) == {}
    made = connection_of(GOOD)
    assert (made.url, made.name, made.client_id) == ("tcp://127.0.0.1:7447", "here", "ada")
    assert connection_of(form_of(made)) == made


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (Form(url="lab"), "url"),
        (Form(url="http://lab:1/"), "url"),
        (Form(url="tcp://a:1", name="n" * 65), "name"),
        (Form(url="tcp://a:1", name="a\x1b[2J"), "name"),
        (Form(url="tcp://a:1", client_id="a\nb"), "client_id"),
        (Form(url="tcp://a:1", proof_from="environment", proof_at="a b"), "proof_at"),
        (Form(url="tcp://a:1", proof_from="keyring"), "proof_at"),
        (Form(url="tcp://a:1", proof_from="file", proof_at=" "), "proof_at"),
    ],
)
def test_fault_is_told_beside_its_field(form: Form, field: str) -> None:
    """One fault, one field, words that say what is expected."""
    assert list(check(form)) == [field]
    assert check(form)[field]


@given(some.text(max_size=60), some.text(max_size=80), some.text(max_size=20))
def test_any_text_is_judged(url: str, name: str, client_id: str) -> None:
    """Whatever is typed, the form is judged; what passes can be stored and is an address."""
    form = Form(url=url, name=name, client_id=client_id)
    if not check(form):
        assert connection_of(form).url == url.strip()
