"""Does the desk hand each message to the one it is for, in whatever order they come?"""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.testing.images.desk import Desk
from stui_sessiond.testing.images.report import ImageReport, ImageRow, Verdict, as_json, as_table
from stui_sessiond.testing.link import LinkEndedError
from stui_sessiond.testing.talk import DifferenceError, Talk, Target

Json = dict[str, Any]
VERDICTS: tuple[Verdict, ...] = ("passed", "failed", "not offered")


class Played:
    """A link whose other side says what it is given, and then no more."""

    def __init__(self, messages: Sequence[Json]) -> None:
        self._messages = deque(messages)
        self.sent: list[Json] = []

    async def send(self, payload: bytes) -> None:
        """Keep it."""
        self.sent.append(json.loads(payload))

    async def receive(self) -> bytes:
        """Give the next one."""
        if not self._messages:
            await asyncio.get_running_loop().create_future()
        return json.dumps(self._messages.popleft()).encode()

    async def close(self) -> None:
        """Nothing to do."""


def desk_over(link: Played, patience_s: float = 5.0) -> Desk:
    """A desk whose talk goes over that link."""

    async def refuse() -> Played:
        raise LinkEndedError(None)

    return Desk(Talk(Target(refuse, "tcp"), link), patience_s)


@given(st.permutations(["c-1", "c-2", "c-3", "tick", "tock"]), st.permutations(["c-1", "c-2", "c-3"]))
def test_answers_and_events_come_in_any_order(come: list[str], taken: list[str]) -> None:
    """Whatever comes between, each request gets its own answer, and each event is still there afterwards."""
    messages = [{"event": each, "data": {"n": 1}} if each[0] == "t" else {"id": each} for each in come]

    async def go() -> None:
        link = Played(messages)
        desk = desk_over(link)
        asked = [await desk.ask("ping", {"n": number}) for number in range(3)]
        assert asked == [each["id"] for each in link.sent]
        for request_id in taken:
            assert (await desk.answer(request_id))["id"] == request_id
        last = [each for each in come if each[0] == "t"][-1]
        await desk.event(last, {"n": 1}, {})

    asyncio.run(go())


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "no answer within"),
        ([{"id": "c-9"}], "an answer to nothing that was asked"),
        ([{"id": None}], "an answer to nothing that was asked"),
        ([{"id": "c-2"}, {"id": "c-2"}], "an answer to nothing that was asked"),
    ],
)
def test_answer_that_does_not_come_is_told(messages: list[Json], told: str) -> None:
    """No answer, one to nobody, and a second one to the same request are differences."""

    async def go() -> None:
        desk = desk_over(Played(messages), 0.05)
        for _ in range(2):
            await desk.ask("ping", {})
        await desk.answer("c-1")

    with pytest.raises(DifferenceError, match=told):
        asyncio.run(go())


def test_event_that_differs_is_shown() -> None:
    """When the time is over, the last event of that name is told; what it captured is not kept."""
    events = [{"event": "tick", "data": {"n": number}} for number in range(3)]

    async def go() -> None:
        names: dict[str, Any] = {}
        with pytest.raises(DifferenceError, match=r"no event tick.*data\.m: expected 1"):
            await desk_over(Played(events), 0.05).event("tick", {"n": "{{n}}", "m": 1}, names)
        assert names == {}

    asyncio.run(go())


rows = st.lists(
    st.builds(
        ImageRow,
        image_id=st.sampled_from(["one", "two"]),
        case=st.text(max_size=5),
        capability=st.sampled_from(["ping", "evaluate", "inspect"]),
        verdict=st.sampled_from(VERDICTS),
        seconds=st.just(0.1),
        differences=st.just(["why"]),
    ),
    max_size=30,
)


@given(rows, st.sampled_from([("one",), ("two", "one")]))
def test_every_row_counts_once(rows: list[ImageRow], image_ids: tuple[str, ...]) -> None:
    """The sums of the table, of its cells and of the JSON are the number of rows, and every failure is explained."""
    rows = [row for row in rows if row.image_id in image_ids]
    report = ImageReport(image_ids, rows)
    assert sum(report.count(verdict) for verdict in VERDICTS) == len(rows)
    assert sum(len(report.cell(what, who)) for what in report.capabilities for who in image_ids) == len(rows)
    table = as_table(report)
    assert sum(line.startswith("FAILED ") for line in table.split("\n")) == report.count("failed")
    assert table.endswith(", ".join(f"{report.count(verdict)} {verdict}" for verdict in VERDICTS))
    told = json.loads(as_json(report))
    assert (told["passed"], told["failed"], told["not_offered"]) == tuple(report.count(each) for each in VERDICTS)
    assert len(told["rows"]) == len(rows)
