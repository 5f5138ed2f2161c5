"""What was evaluated, what came of it, and which error was met: read from the book."""

import asyncio
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from stui_sessiond.commands.evaluation import EvaluationCommands
from stui_sessiond.errors import (
    ClassNotFoundError,
    EvaluationNotFoundError,
    ImageLostError,
    ParameterError,
    RequestError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.images.reference import refer
from stui_sessiond.sessions import ledger
from stui_sessiond.sessions.requests import SHOWN_CODE_CHARS
from stui_sessiond.wire.messages import evaluation as wire
from tests.unit.bed.house import TestStorage
from tests.unit.bed.works import SEVEN, Json, Works, open_works

ERROR: Json = {
    "class": "ZeroDivide",
    "message": "division by zero",
    "signaler": "SmallInteger>>/",
    "stack": [{"index": 1, "class": "SmallInteger", "selector": "/", "receiver": "3", "line": 7}],
}
FAILED: Json = {**SEVEN, "result": None, "result_type": "ZeroDivide", "has_error": True, "error": ERROR}


def commands(works: Works) -> EvaluationCommands:
    """The commands of these works."""
    return EvaluationCommands(works.book, works.relay, works.running, works.long_results)


async def listed(works: Works, session_id: SessionId, **asked: Any) -> wire.ListEvaluationsResult:  # noqa: ANN401 -- fields of the parameters
    """List evaluations."""
    await works.settle()
    return await commands(works).list_evaluations(works.caller, wire.ListEvaluations(session_id, **asked))


async def page(works: Works, session_id: SessionId, evaluation: str, *where: int) -> wire.GetResultPageResult:
    """Read a page."""
    return await commands(works).get_result_page(works.caller, wire.GetResultPage(session_id, evaluation, *where))


async def report(works: Works, session_id: SessionId, **which: str) -> wire.GetErrorReportResult:
    """Read a report."""
    await works.settle()
    return await commands(works).get_error_report(works.caller, wire.GetErrorReport(session_id, **which))


async def evaluated(works: Works, session_id: SessionId, key: str, result: Json | None = None, **asked: Any) -> Any:  # noqa: ANN401 -- fields of the parameters; the result
    """Let something be evaluated."""
    running = works.run(session_id, key, **asked)
    works.answer(await works.asked(), result)
    return await running


# ---- the list


async def test_list_of_evaluations() -> None:
    """The newest first, with what was asked, by whom, where, and what came of it."""
    async with open_works() as works:
        session_id = await works.house.create()
        await evaluated(works, session_id, "a", tool_id="one")
        works.house.clock.pass_time(1)
        failing = works.run(session_id, "b", code="c" * (SHOWN_CODE_CHARS + 1))
        request = await works.asked()
        works.house.clock.pass_time(2.5)
        works.answer(request, error="no Foo", code="class_not_found")
        with pytest.raises(ClassNotFoundError):
            await failing
        works.house.clock.pass_time(1)
        await evaluated(works, session_id, "c", FAILED)
        works.house.clock.pass_time(1)
        running = works.run(session_id, "d")
        request = await works.asked()
        found = await listed(works, session_id)
        assert [(one.evaluation, one.status, one.has_error, one.display) for one in found.evaluations] == [
            ("d", "running", False, None),
            ("c", "done", True, "ZeroDivide: division by zero"),
            ("b", "failed", True, "no Foo"),
            ("a", "done", False, "7"),
        ]
        assert not found.more
        d, _, b, a = found.evaluations
        assert (a.command, a.client_id, a.tool_id, a.code, a.truncated) == ("evaluate", "ada", "one", "3 + 4", False)
        assert (a.image_id, a.instance_id, a.duration, a.debugger_id) == ("pharo", "i-1", 0, UNSET)
        assert (b.code, b.truncated, b.duration) == ("c" * SHOWN_CODE_CHARS, True, 2.5)
        assert (d.finished_at, d.duration) == (None, None)
        works.answer(request)
        await running


async def test_list_of_evaluations_in_pieces() -> None:
    """By tool and by number; what happened at the same time keeps its order. Changes are none."""
    async with open_works() as works:
        session_id = await works.house.create()
        for number in range(6):
            await evaluated(works, session_id, f"k{number}", tool_id=f"t{number % 2}")
        names: list[str] = []
        before = None
        for _ in range(3):
            found = await listed(works, session_id, limit=2, before=before)
            names += [one.evaluation for one in found.evaluations]
            before = names[-1]
        assert (names, found.more) == (["k5", "k4", "k3", "k2", "k1", "k0"], False)
        of_tool = await listed(works, session_id, tool_id="t1", limit=1, before="k4")
        assert ([one.evaluation for one in of_tool.evaluations], of_tool.more) == (["k3"], True)
        assert (await listed(works, session_id, before="k0")).evaluations == []
        with pytest.raises(EvaluationNotFoundError):
            await listed(works, session_id, before="nobody")


async def test_list_of_evaluations_that_wait() -> None:
    """What is not in the book yet is in the list."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create(image_id="pharo")
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        running = works.run(session_id, "k")
        await storage.saving.get()
        listing = asyncio.ensure_future(
            commands(works).list_evaluations(works.caller, wire.ListEvaluations(session_id))
        )
        storage.gate.set()
        (one,) = (await listing).evaluations
        assert (one.evaluation, one.code) == ("k", "3 + 4")
        works.answer(await works.asked())
        await running


async def test_list_of_evaluations_outlives_daemon_and_image() -> None:
    """What was under way when the daemon ended has an outcome that nobody knows; what was done is told as it was."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create()
        await evaluated(works, session_id, "a", FAILED)
        works.house.clock.pass_time(1)
        running = works.run(session_id, "b")
        await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        before = (await listed(works, session_id)).evaluations
    async with open_works(storage, works.house.clock, instance_id=None) as works:
        after = (await listed(works, session_id)).evaluations
        assert after == before
        assert [one.status for one in after] == ["outcome_unknown", "done"]
        works.connect("i-2")
        assert [one.status for one in (await listed(works, session_id)).evaluations] == ["lost_with_image", "done"]


async def test_process_that_waits_is_in_the_list() -> None:
    """As long as the book says that it does; also by its name a report is found."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create()
        await evaluated(works, session_id, "k", FAILED)
        found = await works.book.recall(session_id, "k")
        assert found is not None
        await works.book.begin(session_id, replace(found, key="l", debugger_id="abc.0.d"))
    async with open_works(storage, works.house.clock) as works:
        rows = (await listed(works, session_id)).evaluations
        assert [(one.evaluation, one.debugger_id) for one in rows] == [("l", "abc.0.d"), ("k", UNSET)]
        assert (await report(works, session_id, debugger_id="abc.0.d")).evaluation == "l"


# ---- pages


async def test_result_in_pages() -> None:
    """`evaluate` gives the first, the book the others; the image is asked once, and not for pages."""
    async with open_works() as works:
        session_id = await works.house.create()
        text = "".join(chr(0x1F600 + number) for number in range(10))
        running = works.run(session_id, "k", page_chars=4)
        request = await works.asked()
        assert "page_chars" not in request["parameters"]
        works.answer(request, {**SEVEN, "result": text})
        first = await running
        assert (first.result, first.truncated, first.total_chars, first.evaluation) == (text[:4], True, 10, "k")
        second = await page(works, session_id, "k", 4, 4)
        assert (second.text, second.start, second.total_chars, second.more) == (text[4:8], 4, 10, True)
        assert (await page(works, session_id, "k")).text == text
        again = await works.run(session_id, "k", page_chars=2)
        assert (again.result, works.waiting) == (text[:2], 0)


async def test_pages_of_a_result_that_is_too_long_for_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be read as long as this daemon holds it."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 100)
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create()
        for key, asked in (("paged", {"page_chars": 10}), ("whole", {})):
            await evaluated(works, session_id, key, {**SEVEN, "result": "x" * 200}, **asked)
        assert (await page(works, session_id, "paged", 195)).text == "x" * 5
        with pytest.raises(RequestError) as caught:
            await page(works, session_id, "whole")
        assert caught.value.code == "outcome_not_kept"
    async with open_works(storage, works.house.clock) as works:
        with pytest.raises(RequestError) as caught:
            await page(works, session_id, "paged")
        assert caught.value.code == "outcome_not_kept"
        assert [one.code for one in (await listed(works, session_id)).evaluations] == ["3 + 4", "3 + 4"]


async def test_pages_of_an_answer_that_came_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was cut off reads them from the start."""
    monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 100)
    async with open_works() as works:
        session_id = await works.house.create()
        running = works.run(session_id, "k", page_chars=10)
        request = await works.asked()
        works.disconnect()
        with pytest.raises(ImageLostError):
            await running
        with pytest.raises(EvaluationNotFoundError):
            await page(works, session_id, "k")
        works.connect()
        works.answer(request, {**SEVEN, "result": "y" * 200})
        await works.settle()
        assert (await page(works, session_id, "k", 0, 1000)).text == "y" * 200


async def test_pages_of_other_ends() -> None:
    """An error's text is what was printed; what has no result, or never was, has no pages."""
    async with open_works() as works:
        session_id = await works.house.create()
        await evaluated(works, session_id, "raised", FAILED, page_chars=5)
        assert (await page(works, session_id, "raised")).text == "ZeroDivide: division by zero"
        failing = works.run(session_id, "failed")
        works.answer(await works.asked(), error="no Foo", code="class_not_found")
        with pytest.raises(ClassNotFoundError):
            await failing
        await works.settle()
        assert (await page(works, session_id, "failed")).text == "no Foo"
        with pytest.raises(EvaluationNotFoundError):
            await page(works, session_id, "never")


async def test_page_without_a_session() -> None:
    """There would be nowhere to read on."""
    async with open_works() as works:
        for asked in ({"page_chars": 5}, {"keep": True}, {"on_error": "suspend"}):
            with pytest.raises(ParameterError) as caught:
                await works.run(None, **asked)
            assert caught.value.details == {"field": "session_id"}
        assert works.waiting == 0


# ---- reports


async def test_report_of_an_error() -> None:
    """It is there when the image, and the daemon that saw it, are gone."""
    storage = TestStorage()
    async with open_works(storage) as works:
        session_id = await works.house.create()
        works.house.clock.pass_time(1)
        await evaluated(works, session_id, "k", FAILED, tool_id="one", code="3 / 0")
        first = await report(works, session_id, evaluation="k")
    async with open_works(storage, works.house.clock, instance_id=None) as works:
        found = await report(works, session_id, evaluation="k")
    assert found == first
    assert (found.evaluation, found.code, found.image_id, found.instance_id) == ("k", "3 / 0", "pharo", "i-1")
    assert (found.error.class_, found.error.stack[0].line) == ("ZeroDivide", 7)
    for word in ("ZeroDivide: division by zero", "3 / 0", "pharo", "SmallInteger>>/ line 7", found.at, "one"):
        assert word in found.text


async def test_report_by_the_process_that_waits() -> None:
    """Or that did: the error names it."""
    async with open_works() as works:
        session_id = await works.house.create()
        other = {**FAILED, "error": {**ERROR, "message": "d-1 is not it"}}
        await evaluated(works, session_id, "a", {**FAILED, "error": {**ERROR, "debugger_id": "d-1"}})
        await evaluated(works, session_id, "b", other)
        waits = refer(works.link.identity, "d-1")
        assert (await report(works, session_id, debugger_id=waits)).evaluation == "a"
        with pytest.raises(EvaluationNotFoundError):
            await report(works, session_id, debugger_id=f"{waits}2")


async def test_report_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No error was met, the evaluation is unknown, what came of it is not kept, or it is not said which."""
    async with open_works() as works:
        session_id = await works.house.create()
        await evaluated(works, session_id, "fine")
        for name in ("fine", "never"):
            with pytest.raises(EvaluationNotFoundError):
                await report(works, session_id, evaluation=name)
        which: list[dict[str, str]] = [{}, {"evaluation": "fine", "debugger_id": "d"}]
        for asked in which:
            with pytest.raises(ParameterError):
                await report(works, session_id, **asked)
        monkeypatch.setattr(ledger, "MAX_RESULT_BYTES", 10)
        await evaluated(works, session_id, "long", FAILED)
        with pytest.raises(RequestError) as caught:
            await report(works, session_id, evaluation="long")
        assert caught.value.code == "outcome_not_kept"
