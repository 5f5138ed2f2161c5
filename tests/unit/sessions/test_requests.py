"""The book of requests that ran code."""

import asyncio
from typing import Any

import pytest

from stui_sessiond.errors import StorageFullError
from stui_sessiond.ids import ConnectionId, InstanceId, SessionId
from stui_sessiond.model.request import Failure, Origin, RequestEntry
from stui_sessiond.sessions import keeper
from stui_sessiond.sessions.requests import SHOWN_CODE_CHARS, SHOWN_RESULT_CHARS, Outcome, Suspended
from tests.unit.bed.house import House, Listener, TestStorage, open_house

CONNECTION = ConnectionId("conn-1")


def a_request(house: House, key: str = "k", request_id: str | None = None, **fields: Any) -> RequestEntry:  # noqa: ANN401 -- fields of RequestEntry
    """Make a request that an image was asked."""
    origin = None if request_id is None else Origin(CONNECTION, request_id)
    made = {"client_id": "ada", "tool_id": "default", "relay_id": f"relay-{key}", "instance_id": InstanceId("i-1")}
    now = house.clock.now
    return RequestEntry(key=key, command="evaluate", digest="d", accepted_at=now, origin=origin, **{**made, **fields})


async def begin(house: House, session_id: SessionId, *keys: str) -> None:
    """Put requests into the book."""
    for key in keys:
        await house.book.begin(session_id, a_request(house, key, key, code="3 + 4"))


async def test_request_is_in_the_book_when_it_has_begun() -> None:
    """It survives a restart, and so does its end."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await begin(house, session_id, "k", "l")
        house.clock.pass_time(3)
        assert await house.book.finish(session_id, "k", Outcome('{"a":1}'))
    async with open_house(storage) as house:
        done, running = [await house.book.recall(session_id, key) for key in "kl"]
        assert done is not None
        assert running is not None
        assert (done.state, done.result, done.finished_at) == ("done", '{"a":1}', done.accepted_at + 3)
        assert (running.state, running.finished_at, running.result) == ("running", None, None)
        assert await house.book.recall(session_id, "m") is None


async def test_request_ends_once() -> None:
    """Who tells first is believed; nobody hears of the second end, nor of one of a request that never began."""
    async with open_house() as house:
        session_id = await house.create()
        await begin(house, session_id, "k")
        assert await house.book.finish(session_id, "k", Outcome("1"))
        assert not await house.book.finish(session_id, "k", Outcome("2"))
        assert not await house.book.finish_late(session_id, "relay-k", Outcome("3"))
        assert not await house.book.finish(session_id, "l", Outcome("4"))
        found = await house.book.recall(session_id, "k")
        assert found is not None
        assert found.result == "1"
        assert house.names(session_id).count("evaluation.finished") == 1


async def test_request_that_ends_late() -> None:
    """It is found by the id under which the image was asked, as long as it has not ended."""
    async with open_house() as house:
        session_id = await house.create()
        await begin(house, session_id, "k")
        found = await house.book.find_relayed(session_id, "relay-k")
        assert found is not None
        assert found.key == "k"
        assert await house.book.finish_late(session_id, "relay-k", Outcome(failure=Failure("image_error", "no", {})))
        assert await house.book.find_relayed(session_id, "relay-k") is None
        assert await house.book.find_relayed(session_id, "relay-l") is None
        data = house.heard[session_id][-1].data
        assert (data["late"], data["status"], data["has_error"]) == (True, "failed", True)


async def test_what_is_told_of_a_request_is_bounded() -> None:
    """Long code and long results are cut, and that is said; the result itself is kept whole."""
    async with open_house() as house:
        session_id = await house.create()
        await house.book.begin(session_id, a_request(house, code="c" * SHOWN_CODE_CHARS, code_cut=True))
        shown = "r" * (SHOWN_RESULT_CHARS + 1)
        await house.book.finish(session_id, "k", Outcome(f'"{shown}"', shown=shown))
        accepted, _, finished = (each.data for each in house.heard[session_id])
        assert (accepted["code"], accepted["truncated"]) == ("c" * SHOWN_CODE_CHARS, True)
        assert (finished["display"], finished["truncated"]) == ("r" * SHOWN_RESULT_CHARS, True)
        found = await house.book.recall(session_id, "k")
        assert found is not None
        assert found.result == f'"{shown}"'


@pytest.mark.parametrize("awaited", [True, False])
async def test_beginning_that_cannot_be_stored(awaited: bool) -> None:
    """If it is not carried out then, nothing is lost; if it is, there is no event of it, and the epoch ends."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        before = house.position(session_id)
        storage.failure = StorageFullError("the disk is full")
        if awaited:
            with pytest.raises(StorageFullError):
                await house.book.begin(session_id, a_request(house))
        else:
            house.book.begin_soon(session_id, a_request(house))
            await house.keeper.settle()
        storage.failure = None
        assert (house.position(session_id) == before) is awaited
        assert await house.book.recall(session_id, "k") is None


async def test_end_that_cannot_be_stored() -> None:
    """It has not ended in the book, and the epoch ends: it happened, and nobody will hear of it."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await begin(house, session_id, "k")
        before = house.position(session_id)
        storage.failure = StorageFullError("the disk is full")
        with pytest.raises(StorageFullError):
            await house.book.finish(session_id, "k", Outcome("1"))
        storage.failure = None
        assert house.position(session_id).epoch != before.epoch
        found = await house.book.recall(session_id, "k")
        assert found is not None
        assert found.state == "running"


async def test_image_that_comes_as_another_instance() -> None:
    """What the one before worked on is lost; what this one works on, and what no image was asked, is not."""
    async with open_house() as house:
        session_id = await house.create()
        await begin(house, session_id, "old", "done")
        await house.book.finish(session_id, "done", Outcome("1"))
        for key, fields in (("new", {"instance_id": InstanceId("i-2")}), ("own", {"relay_id": None})):
            await house.book.begin(session_id, a_request(house, key, **fields))
        await house.book.lose(session_id, "i-2", {"image_id": "pharo"})
        states = {}
        for key in ("old", "done", "new", "own"):
            found = await house.book.recall(session_id, key)
            assert found is not None
            states[key] = found.state
        assert states == {"old": "lost", "done": "done", "new": "running", "own": "running"}
        assert house.names(session_id)[-2:] == ["image.connected", "evaluation.lost"]
        assert house.heard[session_id][-1].data["evaluation"] == "old"


async def test_request_that_is_interrupted() -> None:
    """That is told; for a session that is gone there is nobody to tell."""
    async with open_house() as house:
        session_id = await house.create()
        house.book.interrupt(session_id, "k", "the link broke")
        house.book.interrupt(SessionId("session_9_9_nobody"), "k", "the link broke")
        await house.keeper.settle()
        heard = house.heard[session_id][-1]
        assert (heard.name, heard.data) == ("evaluation.interrupted", {"evaluation": "k", "reason": "the link broke"})


async def test_requests_that_a_connection_is_owed() -> None:
    """Those it names, of all its client's sessions, which have ended; of one id the newest."""
    storage = TestStorage()
    async with open_house(storage) as house:
        one, two, theirs = await house.create(), await house.create(), await house.create("bob")
        await begin(house, one, "a", "b", "running")
        await begin(house, two, "c")
        await begin(house, theirs, "d")
        for session_id, key in ((one, "a"), (one, "b"), (two, "c"), (theirs, "d")):
            await house.book.finish(session_id, key, Outcome(f'"{key}"'))
        house.clock.pass_time(1)
        await house.book.begin(two, a_request(house, "again", "a"))
        await house.book.finish(two, "again", Outcome('"newer"'))
    async with open_house(storage) as house:
        names = ["a", "c", "d", "running", "nobody"]
        owed = await house.book.owed(CONNECTION, "ada", names)
        assert {name: one.result for name, one in owed.items()} == {"a": '"newer"', "c": '"c"'}
        assert await house.book.owed(ConnectionId("conn-2"), "ada", names) == {}
        assert await house.book.owed(CONNECTION, "nobody", names) == {}


async def test_what_an_image_tells_stands_between_the_events_of_its_evaluation() -> None:
    """However long the session is held by others: first the beginning, then what was told, the end, what comes next."""
    async with open_house() as house:
        session_id = await house.create()
        house.post(session_id, "transcript", text="before")
        async with house.keeper.hold(session_id):
            beginning = asyncio.ensure_future(begin(house, session_id, "k"))
            await asyncio.sleep(0)
            house.post(session_id, "transcript", text="within")
        await beginning
        await house.keeper.settle()
        async with house.keeper.hold(session_id):
            house.post(session_id, "transcript", text="within, too")
            ending = asyncio.ensure_future(house.book.finish(session_id, "k", Outcome("1")))
            await asyncio.sleep(0)
            house.post(session_id, "transcript", text="after")
        await ending
        await house.keeper.settle()
        told = [(event.name, event.data.get("text")) for event in await house.log(session_id)]
        assert told == [
            ("session.created", None),
            ("transcript", "before"),
            ("evaluation.accepted", None),
            ("evaluation.started", None),
            ("transcript", "within"),
            ("transcript", "within, too"),
            ("evaluation.finished", None),
            ("transcript", "after"),
        ]


# ---- beginnings that are not waited for


async def records(house: House, storage: TestStorage, session_id: SessionId) -> list[tuple[list[str], dict[str, str]]]:
    """List what was stored of a session's evaluations: the events and the requests' states of each record."""
    await house.keeper.settle()
    mine = [each for each in storage.commits if each.session.header.session_id == session_id and each.base_seq]
    return [([one.name for one in each.events], {one.key: one.state for one in each.requests}) for each in mine]


async def test_beginning_and_end_close_together_are_one_record() -> None:
    """Its events are told in their order, once it is stored; the request was never running on the disk."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        request = a_request(house)
        house.book.begin_soon(session_id, request)
        assert not house.book.has_begun(session_id, request)
        assert house.names(session_id) == []
        assert await house.book.finish(session_id, "k", Outcome("1"))
        names = ["evaluation.accepted", "evaluation.started", "evaluation.finished"]
        assert house.names(session_id) == names
        assert await records(house, storage, session_id) == [(names, {"k": "done"})]


async def test_answer_goes_before_the_event_of_the_end() -> None:
    """If that is wanted: not before those of the beginning, and whoever has just come hears each event once."""
    async with open_house() as house:
        session_id = await house.create()
        late = Listener()
        house.book.begin_soon(session_id, a_request(house))
        house.post(session_id, "transcript", text="within")
        await house.book.finish(session_id, "k", Outcome("1"), answer_first=True)
        names = ["evaluation.accepted", "evaluation.started", "transcript"]
        assert house.names(session_id) == names
        await house.listen(session_id, late)
        await asyncio.sleep(0)
        await house.put(session_id, a=1)
        await house.drained(late)
        assert house.names(session_id) == [*names, "evaluation.finished", "session.updated"]
        assert [heard.name for heard in late.heard] == ["session.updated"]


async def test_beginning_that_nothing_follows_is_written_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a moment the request is in the book as running; its end is a record of its own."""
    monkeypatch.setattr(keeper, "BEGIN_S", 0.0)
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        storage.saving = asyncio.Queue()
        for key in ("k", "l"):
            house.book.begin_soon(session_id, request := a_request(house, key))
            await storage.saving.get()
            async with house.keeper.hold(session_id):
                assert house.book.has_begun(session_id, request)
        await house.book.finish(session_id, "k", Outcome("1"))
        begun = ["evaluation.accepted", "evaluation.started"]
        assert await records(house, storage, session_id) == [
            (begun, {"k": "running"}),
            (begun, {"l": "running"}),
            (["evaluation.finished"], {"k": "done"}),
        ]


async def test_beginning_goes_with_whatever_is_stored_next() -> None:
    """A change, or what an image tells: the beginning stands before it, in the same record, and survives a restart."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        house.book.begin_soon(session_id, a_request(house))
        house.post(session_id, "transcript", text="within")
        await house.put(session_id, a=1)
        names = ["evaluation.accepted", "evaluation.started", "transcript", "session.updated"]
        assert await records(house, storage, session_id) == [(names, {"k": "running"})]
    async with open_house(storage) as house:
        found = await house.book.recall(session_id, "k")
        assert found is not None
        assert found.state == "running"


async def test_request_that_begins_just_now_is_known() -> None:
    """By its key, by the id the image was asked under, and to an image that comes as another instance."""
    async with open_house() as house:
        session_id = await house.create()
        for key in ("k", "l"):
            house.book.begin_soon(session_id, a_request(house, key))
        found = await house.book.find_relayed(session_id, "relay-k")
        assert found == await house.book.recall(session_id, "k")
        assert found is not None
        assert await house.book.finish_late(session_id, "relay-k", Outcome("1"))
        house.book.begin_soon(session_id, a_request(house, "m"))
        await house.book.lose(session_id, "i-2", {"image_id": "pharo"})
        states = {key: one.state for key, one in (await house.book.remembered(session_id)).items()}
        assert states == {"k": "done", "l": "lost", "m": "lost"}


@pytest.mark.parametrize("ends", [True, False])
async def test_id_that_is_used_again_while_its_process_waits(ends: bool) -> None:
    """The process gets another key, whether the new request ends in the record in which it begins, or later."""
    async with open_house() as house:
        session_id = await house.create()
        await begin(house, session_id, "k")
        suspended = Outcome("1", has_error=True, suspended=Suspended("i-1.d", "Error", None))
        await house.book.finish(session_id, "k", suspended)
        house.book.begin_soon(session_id, a_request(house, relay_id="relay-again"))
        if ends:
            await house.book.finish(session_id, "k", Outcome("2"))
        await house.keeper.settle()
        assert [one.key for one in await house.book.waiting(session_id)] == ["k:i-1.d"]
        found = await house.book.recall(session_id, "k")
        assert found is not None
        assert (found.relay_id, found.state) == ("relay-again", "done" if ends else "running")


async def test_beginning_of_a_session_that_is_gone() -> None:
    """There is no book any more, and nobody to tell."""
    async with open_house() as house:
        house.book.begin_soon(SessionId("session_9_9_nobody"), a_request(house))
        await house.keeper.settle()
        assert house.heard == {}


async def test_end_that_cannot_be_stored_with_its_beginning() -> None:
    """Nothing of it is in the book, and the epoch ends."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        before = house.position(session_id)
        house.book.begin_soon(session_id, a_request(house))
        storage.failure = StorageFullError("the disk is full")
        with pytest.raises(StorageFullError):
            await house.book.finish(session_id, "k", Outcome("1"))
        storage.failure = None
        assert house.position(session_id).epoch != before.epoch
        assert await house.book.recall(session_id, "k") is None
        assert not await house.book.finish(session_id, "k", Outcome("1"))
