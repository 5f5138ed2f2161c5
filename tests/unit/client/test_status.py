"""What a user interface is told of a connection, and what is remembered of it."""

from __future__ import annotations

import pytest

from stui_sessiond.client.board import MAX_UNREAD, Board
from stui_sessiond.client.ending import closed_with, cut, refused, unreachable
from stui_sessiond.client.history import MAX_VISITS, History, Visit
from stui_sessiond.client.status import ConnectionState, Health, Status, health_of
from stui_sessiond.contract import load_contract


@pytest.mark.parametrize(
    ("latencies_s", "health"),
    [
        ((), Health.UNKNOWN),
        ((0.01,), Health.HEALTHY),
        ((0.3,), Health.WARNING),
        ((2.0,), Health.CRITICAL),
        ((0.01, 9.0, 0.01), Health.HEALTHY),
        ((9.0,) * 10 + (0.01,) * 5, Health.HEALTHY),
        ((0.01, 0.5, 0.5), Health.WARNING),
    ],
)
def test_health_is_that_of_the_newest_heartbeats(latencies_s: tuple[float, ...], health: Health) -> None:
    """The median of the last five decides, so that one slow answer does not."""
    assert health_of(latencies_s) is health


def test_status_without_connection_says_why_and_what_to_do() -> None:
    """A failed status shows the reason and the advice; a good one shows neither."""
    reason = refused("authentication_failed", "the token is not valid here")
    failed = Status(ConnectionState.FAILED, 0.0, reason=reason)
    assert str(failed) == "failed: the token is not valid here"
    assert "token" in failed.advice
    assert not failed.online
    good = Status(ConnectionState.RESTORED, 0.0, attempt=2, reason=cut("it broke"))
    assert (str(good), good.advice, good.online) == ("restored", "", True)
    trying = Status(ConnectionState.RECONNECTING, 0.0, attempt=3, reason=unreachable("nobody there"))
    assert str(trying) == "reconnecting (attempt 3): nobody there"
    assert "stui-sessiond serve" in trying.advice


@pytest.mark.parametrize("reason", load_contract().close_reasons.values(), ids=lambda reason: reason.name)
def test_close_codes_say_whether_to_connect_again(reason: object) -> None:
    """Of each code in the contract, the ending has name, meaning, and whether another try is worth it."""
    row = next(each for each in load_contract().close_reasons.values() if each is reason)
    ending = closed_with(row.code)
    assert (ending.name, ending.text, ending.reconnect) == (row.name, row.meaning, row.reconnect)
    assert row.reconnect or ending.advice or row.name in {"image_refused", "replaced"}


@pytest.mark.parametrize(("code", "reconnect"), [(1000, True), (1006, True), (1011, True), (4099, False), (4700, True)])
def test_close_code_nobody_knows_goes_by_its_range(code: int, reconnect: bool) -> None:
    """Codes of other versions, and of what is in between, follow the ranges of the contract."""
    assert closed_with(code).reconnect is reconnect


@pytest.mark.parametrize(
    ("code", "reconnect"),
    [
        ("authentication_failed", False),
        ("unsupported_version", False),
        ("client_not_allowed", False),
        ("shutting_down", True),
        ("internal_error", True),
        ("made_up", True),
    ],
)
def test_refused_hello_is_tried_again_unless_it_would_be_refused_again(code: str, reconnect: bool) -> None:
    """Only what another try cannot change ends the tries."""
    assert refused(code, "no").reconnect is reconnect


def visit(number: int) -> Visit:
    """A connection."""
    return Visit(float(number), "server", "conn", 1, 0.0, resumed=False, same_daemon=True)


def test_history_remembers_the_last_connections_only() -> None:
    """The oldest make room, and the count goes on."""
    history = History()
    for number in range(MAX_VISITS + 5):
        history.begin(visit(number))
        history.end(number + 0.5, cut("it broke"))
    assert history.count == MAX_VISITS + 5
    assert [each.connected_at for each in history.visits()][:2] == [5.0, 6.0]
    assert history.last is not None
    assert history.last.lasted_s(1e9) == 0.5


def test_history_keeps_the_first_reason_of_an_end() -> None:
    """What is said after the end of a connection does not change why it ended."""
    history = History()
    history.end(1.0, cut("nobody was there"))
    history.begin(visit(0))
    assert history.visits()[0].lasted_s(3.0) == 3.0
    history.end(2.0, cut("first"))
    history.end(9.0, cut("second"))
    ended = history.visits()[0]
    assert (ended.ended_at, ended.ending) == (2.0, cut("first"))


async def test_board_tells_the_present_first_and_the_newest_always() -> None:
    """Who does not look loses the oldest changes, never the newest, and hears of the end."""
    board = Board(Status(ConnectionState.CONNECTING, 0.0))
    statuses = board.statuses()
    assert (await anext(statuses)).state is ConnectionState.CONNECTING
    for number in range(MAX_UNREAD + 10):
        board.post(Status(ConnectionState.RECONNECTING, 0.0, attempt=number))
    board.post(Status(ConnectionState.CLOSED, 0.0))
    told = [status async for status in statuses]
    assert [status.attempt for status in told[:2]] == [11, 12]
    assert told[-1].state is ConnectionState.CLOSED
    assert [status.state async for status in board.statuses()] == [ConnectionState.CLOSED]
