"""Which requests are remembered, for how long, and as what."""

from typing import Any

import msgspec
import pytest

from stui_sessiond.errors import ClassNotFoundError, KeyReusedError, LostWithImageError, RequestError, StuiError
from stui_sessiond.ids import ImageId
from stui_sessiond.model.request import Failure, RequestEntry, Requests
from stui_sessiond.model.session import HistoryEntry
from stui_sessiond.sessions import ledger
from stui_sessiond.sessions.ledger import LedgerRules, Once, carried_out, digest_of, failure_of, noted, once_of
from stui_sessiond.wire.messages.development import Evaluate

RULES = LedgerRules(max_requests=8, max_result_bytes=1000, max_age_s=100.0)
NOW = 1000.0


def entry(key: str, **fields: Any) -> RequestEntry:  # noqa: ANN401 -- fields of RequestEntry
    """Make a request that is done."""
    return RequestEntry(
        **{"key": key, "command": "evaluate", "digest": "d", "accepted_at": NOW, "state": "done", **fields}
    )


def book(*entries: RequestEntry, rules: LedgerRules = RULES, now: float = NOW) -> Requests:
    """Note requests one after the other."""
    requests = Requests()
    for each in entries:
        requests = noted(requests, each, now, rules)
    return requests


def evaluate(**parameters: Any) -> Evaluate:  # noqa: ANN401 -- any JSON
    """Read parameters as they come over the wire."""
    return msgspec.convert({"code": "3 + 4", **parameters}, Evaluate)


# ---- what is asked


def test_digest_of_the_same_request() -> None:
    """The key, the patience and the order of fields do not count; everything else does."""
    first = digest_of("evaluate", evaluate(session_id="s", idempotency_key="k", timeout=5.0))
    assert first == digest_of("evaluate", evaluate(timeout=9.0, session_id="s", idempotency_key="other"))
    assert first == digest_of("evaluate", evaluate(session_id="s"))
    assert first == digest_of("evaluate", evaluate(session_id="s", page_chars=5))
    assert len({first, digest_of("debug", evaluate(session_id="s")), digest_of("evaluate", evaluate(code="4"))}) == 3


def test_request_that_is_to_be_carried_out_once() -> None:
    """One with a key."""
    assert once_of("evaluate", evaluate(), "ada") is None
    asked = evaluate(idempotency_key="k")
    assert once_of("evaluate", asked, "ada") == Once("k", "evaluate", digest_of("evaluate", asked), "ada")


# ---- what is remembered


def test_request_is_noted_by_its_key() -> None:
    """Its end takes the place of its beginning; what was there before is not changed."""
    running = entry("a", state="running")
    before = book(running, entry("b", result="12"))
    after = noted(before, entry("a", result="1234"), NOW, RULES)
    assert list(after.entries) == ["a", "b"]
    assert (before.entries["a"], before.size_bytes) == (running, 2)
    assert (after.entries["a"].result, after.size_bytes) == ("1234", 6)


def test_too_many_requests() -> None:
    """The oldest go, an eighth at a time; those that run stay."""
    requests = book(entry("running", state="running"), *(entry(str(number)) for number in range(8)))
    assert list(requests.entries) == ["running", *map(str, range(1, 8))]


def test_too_many_requests_that_run() -> None:
    """Then the oldest of them go, too: the number is bounded whatever happens."""
    requests = book(*(entry(str(number), state="running") for number in range(12)))
    assert list(requests.entries) == [str(number) for number in range(4, 12)]


def test_old_requests() -> None:
    """They go when there are too many, all of them."""
    old = [entry(str(number), accepted_at=NOW - 101) for number in range(8)]
    requests = book(*old, entry("new"))
    assert list(requests.entries) == ["new"]


def test_results_that_are_too_large_together() -> None:
    """The oldest results are forgotten until half of the room is free, and the requests are remembered."""
    requests = book(*(entry(str(number), result="x" * 300) for number in range(4)))
    assert [(key, each.result is None) for key, each in requests.entries.items()] == [
        ("0", True),
        ("1", True),
        ("2", True),
        ("3", False),
    ]
    assert requests.size_bytes == 300


def test_result_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept, and the request is remembered as done."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 10)
    requests = book(entry("a", result="x" * 10), entry("b", result="x" * 11))
    assert (requests.entries["a"].result, requests.entries["b"].result) == ("x" * 10, None)
    assert requests.size_bytes == 10


def test_code_and_results_that_are_too_large_together() -> None:
    """Code counts, and shrinks with the result to what tells requests apart; the newest is whole."""
    long = "c" * 250
    requests = book(*(entry(str(number), code=long, result="x" * 50) for number in range(5)))
    kept = [(each.code, each.code_cut, each.result is None) for each in requests.entries.values()]
    faded = (long[: ledger.FADED_CODE_CHARS], True, True)
    assert kept == [faded, faded, faded, (long, False, False), (long, False, False)]
    assert requests.size_bytes == sum(each.size_bytes for each in requests.entries.values())


def test_code_does_not_keep_a_result_from_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long one result may be has nothing to do with its code."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 10)
    assert book(entry("a", code="c" * 50, result="x" * 10)).entries["a"].result == "x" * 10


def test_failures_that_are_too_large() -> None:
    """They count as results do; that it failed, with which code, and how the text begins, is remembered."""
    failure = Failure("image_error", "m" * 250, {"trace": "x" * 200})
    requests = book(*(entry(str(number), state="failed", failure=failure) for number in range(4)))
    kept = [each.failure for each in requests.entries.values()]
    assert kept[0] == Failure("image_error", "m" * 200, {})
    assert kept[-1] == failure
    assert requests.size_bytes == sum(each.size_bytes for each in requests.entries.values()) <= 1000 + 462


def test_failure_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning is kept."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 500)
    failure = Failure("image_error", "m" * 300, {"trace": "x" * 1000})
    found = book(entry("a", state="failed", failure=failure)).entries["a"].failure
    assert found == Failure("image_error", "m" * 200, {})


# ---- what is told of it


def test_key_that_named_another_request() -> None:
    """It is refused; the same request is found, another key is not."""
    requests = book(entry("k"))
    assert ledger.recall(requests, "k", "d") is requests.entries["k"]
    assert ledger.recall(requests, "other", "d") is None
    assert ledger.recall(requests, None, "d") is None
    with pytest.raises(KeyReusedError) as caught:
        ledger.recall(requests, "k", "another")
    assert caught.value.details == {"command": "evaluate"}


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"result": "7"}, None, ""),
        ({"version": 3}, None, ""),
        ({"state": "running"}, None, ""),
        ({}, RequestError, "outcome_not_kept"),
        ({"state": "lost", "image_id": ImageId("p")}, LostWithImageError, "lost_with_image"),
        ({"state": "failed", "failure": Failure("class_not_found", "no", {})}, ClassNotFoundError, "class_not_found"),
        ({"state": "failed", "failure": Failure("of_tomorrow", "no", {})}, StuiError, "internal_error"),
    ],
)
def test_error_of_a_request_that_is_remembered(fields: dict[str, Any], kind: type[StuiError] | None, code: str) -> None:
    """A success has none, nor has one whose result can be made again; each other end has its own."""
    error = failure_of(entry("k", **fields))
    if kind is None:
        assert error is None
    else:
        assert type(error) is kind
        assert error.code == code


def test_request_that_made_a_version() -> None:
    """It is done, at the time of the version."""
    once = Once("k", "update_session_state", "d", "ada")
    made = carried_out(once, HistoryEntry(4, NOW, "ada", "updated", b"[]"))
    assert (made.key, made.command, made.digest, made.client_id) == ("k", "update_session_state", "d", "ada")
    assert (made.state, made.version, made.accepted_at, made.finished_at) == ("done", 4, NOW, NOW)
