"""Does the runner notice every way in which a daemon can do something else, and say which?"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from stui_sessiond.testing.link import LinkEndedError, UnreachableError, kind_of, open_link
from stui_sessiond.testing.report import Report, Row, as_json, as_table
from stui_sessiond.testing.runner import TokenNeededError, find_target, run_transcript, run_vector
from stui_sessiond.testing.talk import SYNC_ID, Target
from stui_sessiond.testing.transcripts import parse_transcript
from stui_sessiond.testing.vectors import Reply, Vector
from tests.conformance.bed import Bed

Answer = Callable[[dict[str, Any]], list[object]]

PONG = {"id": SYNC_ID, "status": "success", "result": {"status": "ready"}}


class ScriptedLink:
    """A connection to a daemon made up for a test. An int among its answers ends the connection with that code."""

    def __init__(self, answer: Answer) -> None:
        self.closed = False
        self._answer = answer
        self._waiting: asyncio.Queue[object] = asyncio.Queue()

    async def send(self, payload: bytes) -> None:
        """Take a message and think of answers."""
        message = json.loads(payload)
        is_sync = message.get("id") == SYNC_ID
        for each in [PONG] if is_sync else self._answer(message):
            self._waiting.put_nowait(each)

    async def receive(self) -> bytes:
        """Give the next answer."""
        found = await self._waiting.get()
        if isinstance(found, int):
            self._waiting.put_nowait(found)
            raise LinkEndedError(found)
        return found if isinstance(found, bytes) else json.dumps(found).encode()

    async def close(self) -> None:
        """Take note."""
        self.closed = True


def a_target(answer: Answer) -> tuple[Target, list[ScriptedLink]]:
    """A daemon that answers so, and the connections it was given."""
    links: list[ScriptedLink] = []

    async def open_one() -> ScriptedLink:
        links.append(ScriptedLink(answer))
        return links[-1]

    return Target(open_one, "tcp", step_timeout_s=0.01), links


def success(message: dict[str, Any], **more: object) -> dict[str, Any]:
    """What a good daemon answers."""
    return {"id": message["id"], "status": "success", "timestamp": "2025-01-20T10:30:00Z", "result": more}


ASKS = Vector("v", Reply("1", result={"a": 1}), message={"id": "1"})
ENDS = Vector("v", Reply("1", result={}), message={"id": "1"}, closes={"tcp": "replaced"})


@pytest.mark.parametrize(
    ("vector", "answer", "told"),
    [
        (ASKS, lambda m: [success(m, a=1)], []),
        (ASKS, lambda m: [success(m, a=2)], ["result.a: expected 1, got 2"]),
        (ASKS, lambda m: [{**success(m, a=1), "id": "2"}], ['id: expected "1", got "2"']),
        (ASKS, lambda _: [], ["the next message: nothing within 0.01 s"]),
        (ASKS, lambda _: [b"so what"], ["what came is not JSON"]),
        (ASKS, lambda _: [b'{"a": NaN}'], ["what came is not JSON: NaN is not JSON"]),
        (ASKS, lambda _: [b"[]"], ["what came is no JSON object"]),
        (ASKS, lambda _: [4400], ["the connection ended with code 4400"]),
        (ASKS, lambda m: [success(m, a=1)] * 2, ["after the reply, a ping was not answered as the next thing"]),
        (ASKS, lambda m: [success(m, a=1), 4400], ["the connection ended with code 4400"]),
        (ENDS, lambda m: [success(m), 4003], []),
        (ENDS, lambda m: [success(m), 4400], ["expected the end with code 4003 (replaced), got code 4400"]),
        (ENDS, lambda m: [success(m)], ["the next message: nothing within"]),
        (ENDS, lambda m: [success(m)] * 2, ["expected the end of the connection (replaced), got"]),
    ],
)
def test_vector_against_a_made_up_daemon(vector: Vector, answer: Answer, told: list[str]) -> None:
    """Each way to be wrong is told; a good daemon passes; the connection is closed either way."""
    target, links = a_target(answer)
    lines = asyncio.run(run_vector(vector, target))
    assert len(lines) >= len(told)
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=False)), lines
    assert bool(lines) == bool(told)
    assert all(link.closed for link in links)


TALK = (
    '>> {"id": "1"}\n<< {"id": "1", "result": {"n": "{{n:integer}}"}}\n>> {"id": "2", "n": "{{n+1}}"}\n<< {"id": "2"}'
)


@pytest.mark.parametrize(
    ("text", "answer", "told"),
    [
        (TALK, lambda m: [success(m, n=7)], ""),
        (TALK, lambda m: [success(m, n="7")], 'line 2: result.n: expected integer, got "7"'),
        (TALK, lambda m: [success(m, n=7)] if m["id"] == "1" else [], "line 4: the next message: nothing within"),
        (
            TALK,
            lambda m: [success(m, n=m.get("n", 7)), *([{"event": "x"}] * (m["id"] == "2"))],
            "after the last line: ",
        ),
        (
            TALK,
            lambda m: [success(m, n=7)] if m["id"] == "1" else [4001],
            "line 4: the connection ended with code 4001",
        ),
        ('>> {"id": "{{nobody}}"}\n<< {}', lambda m: [success(m)], "line 1: {{nobody}} stands for nothing here"),
        ('>> {"id": "1"}\n<< {}\n<<-- replaced', lambda m: [success(m), 4003], ""),
        (
            '>> {"id": "1"}\n<< {}\n<<-- replaced',
            lambda m: [success(m), 4001],
            "line 3: expected the end with code 4003",
        ),
        ('a>> {"id": "1"}\na<< {}\na--\nb>> {"id": "2"}\nb<< {"id": "2"}', lambda m: [success(m)], ""),
        (
            'a>> {"id": "1"}\nb>> {"id": "2"}\nb<< {"id": "2"}',
            lambda m: [success(m)],
            "after the last line: a: a ping was not",
        ),
    ],
)
def test_transcript_against_a_made_up_daemon(text: str, answer: Answer, told: str) -> None:
    """The line that differs is named; what comes beyond the end is noticed; every connection is closed."""
    target, links = a_target(answer)
    lines = asyncio.run(run_transcript(parse_transcript("t", text), target))
    assert "".join(lines[:1]).startswith(told)
    assert bool(lines) == bool(told)
    assert all(link.closed for link in links)


def test_report_for_people_and_for_scripts() -> None:
    """The table has a line per row, what differed below it, and the sums; the JSON has the same."""
    report = Report(
        [Row("a/b", ok=True, seconds=0.0012, differences=[]), Row("c", ok=False, seconds=1, differences=["x"])]
    )
    assert as_table(report).splitlines() == [
        "a/b  passed      1.2 ms",
        "c    FAILED   1000.0 ms",
        "    x",
        "1 passed, 1 failed",
    ]
    told = json.loads(as_json(report))
    assert (told["passed"], told["failed"]) == (1, 1)
    assert told["rows"][1] == {"name": "c", "ok": False, "ms": 1000.0, "differences": ["x"]}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "tcp://127.0.0.1", "tcp://", "unix://host/path", "unix:", "x"])
def test_url_that_is_none(url: str) -> None:
    """Only the three kinds of address are taken."""
    with pytest.raises(ValueError, match="no address of a daemon"):
        kind_of(url)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1", "ws://127.0.0.1:1/", "unix:///nowhere/daemon.sock"])
def test_nobody_there(url: str) -> None:
    """That nobody answers is told as such."""
    with pytest.raises(UnreachableError, match="no daemon answers"):
        asyncio.run(open_link(url))


@pytest.mark.parametrize("token", [None, "not valid"])
def test_token_is_wanted(guarded_bed: Bed, token: str | None) -> None:
    """A daemon that wants a token is told apart from one that fails the suite."""
    if guarded_bed.target.kind == "unix":
        assert not guarded_bed.runner.run(find_target(guarded_bed.url, token)).must_greet
        return
    with pytest.raises(TokenNeededError):
        guarded_bed.runner.run(find_target(guarded_bed.url, token))


def test_something_else_answers() -> None:
    """What hangs up at once is no daemon."""

    async def meet() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            await find_target(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)

    with pytest.raises(UnreachableError, match="is no daemon"):
        asyncio.run(meet())
