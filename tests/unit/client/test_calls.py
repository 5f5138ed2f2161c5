"""What becomes of a request after a cut, and which requests get a key."""

from __future__ import annotations

import pytest

from stui_sessiond.client import calls as calls_module
from stui_sessiond.client.calls import MAX_CUTS, MAX_TOLD, Call, CallTable, Fate, fate_of, only_reads, with_key
from stui_sessiond.client.conversation import Answer
from stui_sessiond.client.ending import cut
from stui_sessiond.client.failure import ConnectionFailedError, OutcomeUnknownError, QueueFullError
from stui_sessiond.contract import load_contract
from stui_sessiond.wire.messages.context import SaveContext
from stui_sessiond.wire.messages.development import Evaluate
from stui_sessiond.wire.messages.evaluation import InterruptEvaluation
from stui_sessiond.wire.messages.session import CloseSession, CreateSession

CONTRACT = load_contract()


@pytest.mark.parametrize(
    ("sends", "cuts", "repeatable", "in_flight", "fate"),
    [
        (0, 0, False, False, Fate.SEND),
        (1, 0, False, True, Fate.WAIT),
        (1, 0, True, True, Fate.WAIT),
        (1, 0, True, False, Fate.SEND),
        (1, 0, False, False, Fate.UNKNOWN),
        (9, MAX_CUTS, True, False, Fate.UNKNOWN),
        (9, MAX_CUTS, True, True, Fate.WAIT),
    ],
)
def test_fate_after_a_cut(sends: int, cuts: int, repeatable: bool, in_flight: bool, fate: Fate) -> None:
    """Nothing that may have happened is sent again, unless a key or its nature makes that harmless."""
    assert fate_of(sends, cuts, repeatable=repeatable, in_flight=in_flight) is fate


@pytest.mark.parametrize(
    ("command", "reads"),
    [
        ("ping", True),
        ("get_session_info", True),
        ("subscribe", True),
        ("restore_session", True),
        ("list_classes", True),
        ("get_request_status", True),
        ("close_session", False),
        ("evaluate", False),
        ("inspect", False),
        ("share_session", False),
        ("made_up", False),
    ],
)
def test_reading_commands_are_known_from_the_contract(command: str, reads: bool) -> None:
    """What only looks may be sent again."""
    assert only_reads(CONTRACT, command) is reads


def test_request_that_takes_a_key_gets_one() -> None:
    """A Struct or plain JSON, each gets a key of its own; the caller's is left alone."""
    first, key = with_key(CONTRACT, "create_session", CreateSession("me"))
    second, other = with_key(CONTRACT, "create_session", CreateSession("me"))
    assert first.idempotency_key == key != other == second.idempotency_key
    assert with_key(CONTRACT, "evaluate", Evaluate(code="1", session_id="s", idempotency_key="mine"))[1] == "mine"
    plain, key = with_key(CONTRACT, "evaluate", {"code": "1", "session_id": "s"})
    assert plain["idempotency_key"] == key is not None
    assert with_key(CONTRACT, "save_context", SaveContext("s"))[0].idempotency_key


@pytest.mark.parametrize(
    ("command", "parameters"),
    [("close_session", CloseSession("s")), ("evaluate", Evaluate(code="1")), ("made_up", {}), ("evaluate", {})],
)
def test_request_that_takes_no_key_gets_none(command: str, parameters: object) -> None:
    """Commands without keys stay as they are, as do evaluations outside a session, which nobody remembers."""
    assert with_key(CONTRACT, command, parameters) == (parameters, None)


def call(number: int, command: str, key: str | None = None) -> Call:
    """A call."""
    return Call(f"r{number}", CONTRACT, command, {}, key)


async def test_table_sorts_out_calls_after_a_cut() -> None:
    """Calls are sent in the order they were made; one that cannot be sent again ends with what to do."""
    table = CallTable()
    unsent, kept, keyed, lost = (
        call(1, "close_session"),
        call(2, "evaluate"),
        call(3, "evaluate", "k"),
        call(4, "debug"),
    )
    for each in (unsent, kept, keyed, lost):
        table.add(each)
        each.sends = 1
    unsent.sends = 0
    assert table.running() == ["r3"]
    assert table.sort_out({"r2"}, again=True) == [unsent, keyed]
    assert not kept.answer.done()
    with pytest.raises(OutcomeUnknownError, match="look at the present state"):
        await lost.answer
    table.answered(Answer("r2", "success"))
    assert (await kept.answer).status == "success"
    assert table.sort_out((), again=True) == [unsent, keyed]
    table.fail_all(ConnectionFailedError("over", cut("over")))
    with pytest.raises(ConnectionFailedError):
        await unsent.answer
    with pytest.raises(OutcomeUnknownError, match="get_request_status") as told:
        await keyed.answer
    assert (told.value.command, told.value.idempotency_key) == ("evaluate", "k")


async def test_interrupt_of_one_evaluation_can_be_said_twice() -> None:
    """One of everything cannot: what began meanwhile would end as well."""
    named = InterruptEvaluation("s", "k")
    assert Call("r", CONTRACT, "interrupt_evaluation", named, None).repeatable
    assert Call("r", CONTRACT, "interrupt_evaluation", {"session_id": "s", "evaluation": "k"}, None).repeatable
    assert not Call("r", CONTRACT, "interrupt_evaluation", InterruptEvaluation("s"), None).repeatable


async def test_answer_of_a_stopping_daemon_leaves_the_call_unsent() -> None:
    """It did nothing, so the next daemon may be asked, whatever it is."""
    table, one = CallTable(), call(1, "close_session")
    table.add(one)
    one.sends = 1
    table.answered(Answer("r1", "error", code="shutting_down"))
    assert table.sort_out((), again=True) == [one]
    table.answered(Answer("nobody", "success"))


async def test_outcome_is_open_where_asking_again_may_tell() -> None:
    """Only under a key, and an image that is away only right after the client connected again."""
    keyed, plain = call(1, "evaluate", "k"), call(2, "evaluate")
    assert keyed.is_open("outcome_unknown")
    assert keyed.is_open("image_lost")
    assert not keyed.is_open("image_unavailable")
    assert not plain.is_open("image_lost")
    table = CallTable()
    table.add(keyed)
    table.sort_out((), again=True)
    assert keyed.is_open("image_unavailable")
    assert not keyed.is_open("session_not_found")


async def test_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many calls are refused aloud, and hello asks for the newest evaluations only."""
    monkeypatch.setattr(calls_module, "MAX_WAITING_CALLS", MAX_TOLD + 1)
    table = CallTable()
    for number in range(MAX_TOLD + 1):
        one = call(number, "evaluate", f"k{number}")
        one.sends = 1
        table.add(one)
    assert table.running() == [f"r{number}" for number in range(1, MAX_TOLD + 1)]
    with pytest.raises(QueueFullError):
        table.add(call(1000, "ping"))
    assert len(table) == MAX_TOLD + 1
