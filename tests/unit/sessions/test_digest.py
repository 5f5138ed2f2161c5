"""What a digest makes of events."""

import itertools
from typing import Any

from stui_sessiond.model.event import Event
from stui_sessiond.sessions.digest import MAX_ROWS, TAIL_CHARS, Note, sum_up

Told = tuple[str, dict[str, Any]]


def events(*told: Told) -> list[Event]:
    """Make events, a second apart."""
    return [Event.of(seq, name, 100.0 + seq, data) for seq, (name, data) in enumerate(told, start=1)]


def accepted(name: str, code: str = "1", client: str = "ada") -> Told:
    """An evaluation was taken on."""
    return "evaluation.accepted", {"evaluation": name, "client_id": client, "code": code}


def finished(name: str, status: str = "done", **more: Any) -> Told:  # noqa: ANN401 -- any JSON
    """An evaluation ended."""
    return "evaluation.finished", {"evaluation": name, "client_id": "ada", "status": status, "duration": 2.0, **more}


def test_digest_of_nothing() -> None:
    """There is nothing in it."""
    digest = sum_up([])
    assert (digest.events, digest.finished, digest.running, digest.changes) == (0, [], [], {})
    assert (digest.images, digest.clients, digest.output_chars, digest.output_tail) == ([], [], 0, "")


def test_digest_of_evaluations() -> None:
    """Each with its code and how it ended, those that run apart, in the order they were taken on."""
    digest = sum_up(
        events(
            accepted("a", "3 + 4"),
            ("evaluation.started", {"evaluation": "a"}),
            accepted("b", "1/0"),
            accepted("c", "wait"),
            finished("b", "failed", has_error=True, display="ZeroDivide"),
            finished("a", display="7", has_error=False),
        )
    )
    assert [(one.evaluation, one.code, one.status, one.has_error, one.display) for one in digest.finished] == [
        ("a", "3 + 4", "done", False, "7"),
        ("b", "1/0", "failed", True, "ZeroDivide"),
    ]
    assert [(one.evaluation, one.at, one.client_id) for one in digest.running] == [("c", 104.0, "ada")]
    assert (digest.finished[0].at, digest.finished[0].duration) == (106.0, 2.0)


def test_digest_of_evaluations_that_were_cut_off() -> None:
    """Nobody knows, until the image tells; with the image it is lost."""
    digest = sum_up(
        events(
            *(accepted(name) for name in "abc"),
            *(("evaluation.interrupted", {"evaluation": name, "reason": "gone"}) for name in "abc"),
            finished("b", late=True),
            ("evaluation.lost", {"evaluation": "c", "reason": "gone"}),
        )
    )
    assert [(one.evaluation, one.status, one.has_error) for one in digest.finished] == [
        ("a", "outcome_unknown", False),
        ("b", "done", False),
        ("c", "lost_with_image", True),
    ]
    assert digest.running == []


def test_digest_of_an_evaluation_whose_beginning_is_not_kept() -> None:
    """What is known is told."""
    digest = sum_up(events(finished("a", display="7")))
    assert [(one.evaluation, one.code, one.status) for one in digest.finished] == [("a", None, "done")]


def test_digest_of_an_id_that_was_used_again() -> None:
    """The newest is meant."""
    digest = sum_up(events(accepted("a", "1"), finished("a"), accepted("b"), accepted("a", "2")))
    assert digest.finished == []
    assert [(one.evaluation, one.code) for one in digest.running] == [("b", "1"), ("a", "2")]


def test_digest_of_changes() -> None:
    """How many per client, and the last one's version and time."""
    digest = sum_up(
        events(
            ("session.updated", {"client_id": "ada", "version": 2}),
            ("context.saved", {"client_id": "ada", "version": 3}),
            ("session.updated", {"client_id": None, "version": 4}),
            ("context.cleared", {"client_id": "ada", "version": 5}),
        )
    )
    assert {who: (one.count, one.last_version, one.last_at) for who, one in digest.changes.items()} == {
        "ada": (3, 5, 104.0),
        None: (1, 4, 103.0),
    }


def test_digest_of_who_came_and_went() -> None:
    """Images and clients, each with the event and the time; what is unknown counts and is otherwise left out."""
    digest = sum_up(
        events(
            ("image.connected", {"image_id": "pharo"}),
            ("client.attached", {"client_id": "ada"}),
            ("driver.changed", {"driver": "ada", "previous": None}),
            ("image.disconnected", {"image_id": "pharo"}),
            ("session.shared", {"client_id": "bob", "role": "viewer"}),
            ("made.up", {}),
        )
    )
    assert digest.images == [Note("image.connected", "pharo", 101.0), Note("image.disconnected", "pharo", 104.0)]
    assert digest.clients == [
        Note("client.attached", "ada", 102.0),
        Note("driver.changed", "ada", 103.0),
        Note("session.shared", "bob", 105.0),
    ]
    assert digest.events == 6


def test_digest_of_the_transcript() -> None:
    """All characters are counted, the end is shown; what is no text is no output."""
    texts = ["a" * TAIL_CHARS, "b" * 10]
    told: list[Told] = [("transcript", {"text": text}) for text in texts]
    digest = sum_up(events(*told, ("transcript", {"text": 5}), ("transcript", {})))
    assert digest.output_chars == TAIL_CHARS + 10
    assert digest.output_tail == "a" * (TAIL_CHARS - 10) + "b" * 10


def test_digest_is_bounded() -> None:
    """Of each kind the newest are shown."""
    many = range(MAX_ROWS + 1)
    done = itertools.chain.from_iterable((accepted(f"d{number}"), finished(f"d{number}")) for number in many)
    digest = sum_up(
        events(
            *done,
            *(accepted(f"r{number}") for number in many),
            *(("image.connected", {"image_id": str(number)}) for number in many),
            *(("client.attached", {"client_id": str(number)}) for number in many),
        )
    )
    rows = (digest.finished, digest.running, digest.images, digest.clients)
    assert [len(each) for each in rows] == [MAX_ROWS] * 4
    assert (digest.finished[0].evaluation, digest.running[0].evaluation) == ("d1", "r1")
    assert (digest.images[0].who, digest.clients[0].who) == ("1", "1")
