"""How news and changes become durable together, and what is told when they do not."""

import asyncio

import pytest
from msgspec.structs import replace

from stui_sessiond.errors import SessionDamagedError, SessionNotFoundError, StorageError, StorageFullError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Position
from stui_sessiond.sessions import shelf
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.storage.api import Commit, Loaded
from tests.unit.bed.house import House, Listener, TestStorage, open_house

FULL = StorageFullError("the disk is full")


async def hold_back(storage: TestStorage) -> asyncio.Event:
    """Let commits wait from now on."""
    storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
    return storage.gate


async def missing(house: House, session_id: SessionId, since: Position) -> str | None:
    """Tell what somebody is told to have missed who comes with a position."""
    start = await house.feed.subscribe(session_id, Listener(), since, deltas=True)
    return start.missing


# ---- events with changes


async def test_event_is_durable_before_it_is_told() -> None:
    """While it is being stored nobody hears of it; afterwards it is in the log at its place."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        gate = await hold_back(storage)
        saving = asyncio.ensure_future(house.put(session_id, a=1))
        await storage.saving.get()
        assert house.names(session_id) == []
        gate.set()
        await saving
        assert [(each.name, each.seq) for each in house.heard[session_id]] == [("session.updated", 2)]
        assert [event.name for event in await house.log(session_id)] == ["session.created", "session.updated"]


async def test_first_event_of_a_session() -> None:
    """It is its creation, at 1, and it is there after a restart with everything that followed."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        assert house.position(session_id).seq == 1
        await house.put(session_id, a=1)
        await house.manager.end(session_id, keep=True)
        await house.manager.restore(session_id, reopen=True)
        kept, position = await house.log(session_id), house.position(session_id)
    names = ["session.created", "session.updated", "session.closed", "session.reopened"]
    assert [(event.name, event.seq) for event in kept] == list(zip(names, range(1, 5), strict=True))
    async with open_house(storage) as house:
        assert (await house.log(session_id), house.position(session_id)) == (kept, position)
        assert await missing(house, session_id, position) is None


async def test_change_that_is_refused_by_the_disk_has_no_event() -> None:
    """Nothing happened, so nothing is lost: the next event follows in the same epoch."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        before = house.position(session_id)
        storage.failure = FULL
        with pytest.raises(StorageFullError):
            await house.put(session_id, a=1)
        storage.failure = None
        assert house.position(session_id) == before
        await house.put(session_id, a=2)
        assert house.position(session_id) == Position(before.epoch, 2)
        assert [event.seq for event in await house.log(session_id)] == [1, 2]


# ---- news


async def test_news_is_stored_and_told() -> None:
    """What is posted is soon in the log, in the order it was told."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.tell(session_id, "a", "b", "c", x=1)
        assert [(each.name, each.seq, each.data) for each in house.heard[session_id]] == [
            ("a", 2, {"x": 1}),
            ("b", 3, {"x": 1}),
            ("c", 4, {"x": 1}),
        ]
        assert len(storage.commits) == 2
        assert [event.at for event in await house.log(session_id)] == [house.clock.now] * 4


async def test_news_waits_and_is_stored_with_the_next_change() -> None:
    """What was told before a change is before it, in one commit; what was told meanwhile is after it."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        gate = await hold_back(storage)
        house.post(session_id, "first")
        await storage.saving.get()
        house.post(session_id, "second", "third")
        change = asyncio.ensure_future(house.put(session_id, a=1))
        gate.set()
        await change
        await house.keeper.settle()
        assert house.names(session_id) == ["first", "second", "third", "session.updated"]
        assert [[event.name for event in one.events] for one in storage.commits[1:]] in (
            [["first"], ["second", "third"], ["session.updated"]],
            [["first"], ["second", "third", "session.updated"]],
        )


async def test_news_before_a_change_goes_first() -> None:
    """A change that comes before the news could be written takes it along."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        async with house.keeper.hold(session_id) as entry:
            house.post(session_id, "a", "b")
            session = await house.keeper.load(entry)
            await house.keeper.store(entry, session, (house.keeper.news("c", {}),))
        await house.keeper.settle()
        assert house.names(session_id) == ["a", "b", "c"]
        assert [[event.name for event in one.events] for one in storage.commits[1:]] == [["a", "b", "c"]]
        assert storage.commits[-1].base_seq == 1


async def test_news_that_is_lost_ends_the_epoch() -> None:
    """Who comes with the old position is told; who comes meanwhile hears the next event without a gap."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        before, meanwhile = house.position(session_id), Listener()
        storage.failure = FULL
        await house.tell(session_id, "lost")
        storage.failure = None
        await house.listen(session_id, meanwhile)
        await house.drained(house.listener)
        await house.tell(session_id, "next")
        await house.drained(house.listener)
        after = house.position(session_id)
        assert (after.epoch != before.epoch, after.seq) == (True, 1)
        assert [(each.name, each.seq, each.epoch) for each in house.heard[session_id]] == [
            ("gap", 0, after.epoch),
            ("next", 1, after.epoch),
        ]
        assert meanwhile.names == ["next"]
        assert await missing(house, session_id, before) is not None
        assert [event.name for event in await house.log(session_id)] == ["next"]


async def test_news_that_is_lost_again_ends_the_epoch_again() -> None:
    """Who came between two losses is told of the second."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        storage.failure = FULL
        await house.tell(session_id, "lost")
        between = Listener()
        await house.listen(session_id, between)
        await house.tell(session_id, "lost, too")
        storage.failure = None
        await house.tell(session_id, "next")
        await house.drained(between)
        assert between.names == ["gap", "next"]


async def test_news_that_is_lost_with_a_change() -> None:
    """The change did not happen; what was told before it is lost, and the epoch ends."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        before = house.position(session_id)
        storage.failure = FULL
        async with house.keeper.hold(session_id) as entry:
            house.post(session_id, "lost")
            session = await house.keeper.load(entry)
            with pytest.raises(StorageFullError):
                await house.keeper.store(entry, session, (house.keeper.news("refused", {}),))
        await house.keeper.settle()
        storage.failure = None
        await house.put(session_id, a=1)
        assert house.position(session_id).epoch != before.epoch
        assert [event.name for event in await house.log(session_id)] == ["session.updated"]


async def test_news_of_a_session_that_cannot_be_read() -> None:
    """It is lost, and the epoch ends; when the disk reads again, the session is as it was."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.put(session_id, a=1)
        before = house.position(session_id)
    async with open_house(storage) as house:
        storage.failure = StorageError("it cannot be read now")
        await house.tell(session_id, "lost")
        storage.failure = None
        assert await house.state(session_id) == {"a": 1}
        assert await missing(house, session_id, before) is not None
        await house.tell(session_id, "next")
        assert [(event.name, event.seq) for event in await house.log(session_id)] == [("next", 1)]


async def test_more_news_than_the_disk_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the bound is counted, and told as a gap in its place; nothing comes between."""
    monkeypatch.setattr(shelf, "MAX_WAITING_NEWS", 3)
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        house.post(session_id, *"abcde")
        await house.keeper.settle()
        house.post(session_id, "f")
        await house.keeper.settle()
        assert [(each.name, each.seq) for each in house.heard[session_id]] == [
            ("a", 2),
            ("b", 3),
            ("c", 4),
            ("gap", 5),
            ("f", 6),
        ]
        assert house.heard[session_id][3].data["lost"] == 2


async def test_more_bytes_of_news_than_the_disk_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one behind a large one that was lost is lost, too: the gap is where it is."""
    monkeypatch.setattr(shelf, "MAX_WAITING_BYTES", 100)
    async with open_house() as house:
        session_id = await house.create()
        house.post(session_id, "small", x="")
        house.post(session_id, "large", x="x" * 100)
        house.post(session_id, "small again", x="")
        await house.keeper.settle()
        assert house.names(session_id) == ["small", "gap"]
        assert house.heard[session_id][-1].data["lost"] == 2


async def test_news_of_a_session_that_is_removed() -> None:
    """It is told before the end; what comes after the end is told to nobody."""
    async with open_house() as house:
        session_id = await house.create()
        entry = house.keeper.find(session_id)
        house.post(session_id, "a")
        await house.manager.end(session_id, keep=False)
        house.keeper.post(entry, "b", {})
        await house.keeper.settle()
        assert house.names(session_id) == ["a", "session.closed"]
        assert house.listener.gone == [session_id]


async def test_settle_waits_for_all_that_was_told() -> None:
    """Also for what is told while it waits."""
    storage = TestStorage()
    async with open_house(storage) as house:
        one, two = await house.create(), await house.create()
        gate = await hold_back(storage)
        house.post(one, "a")
        settling = asyncio.ensure_future(house.keeper.settle())
        await storage.saving.get()
        house.post(one, "b")
        house.post(two, "c")
        await storage.saving.get()
        assert not settling.done()
        gate.set()
        await settling
        assert (house.names(one), house.names(two)) == (["a", "b"], ["c"])


async def test_news_is_stored_at_the_end() -> None:
    """What was told before the daemon stops is in the log; what is told after it is not kept."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        house.post(session_id, "last")
    house.post(session_id, "too late")
    await house.keeper.settle()
    async with open_house(storage) as house:
        assert [event.name for event in await house.log(session_id)] == ["session.created", "last"]


async def test_log_is_bounded_by_the_rules() -> None:
    """Who comes from before it is told so."""
    async with open_house(log=LogRules(max_events=4)) as house:
        session_id = await house.create()
        begin = house.position(session_id)
        await house.tell(session_id, *"abcdef")
        assert [event.name for event in await house.log(session_id)] == ["d", "e", "f"]
        assert await missing(house, session_id, Position(begin.epoch, 4)) is None
        assert await missing(house, session_id, Position(begin.epoch, 3)) is not None


# ---- restarts


async def test_session_without_events() -> None:
    """One of version 0.2.0 has none: its first epoch begins at the start, and who listens misses nothing."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
    loaded = await storage.load(session_id)
    assert loaded is not None
    await storage.inner.commit(Commit(loaded.session.without_events(), 100, 1, whole=True))
    async with open_house(storage) as house:
        listener = Listener()
        start = await house.listen(session_id, listener)
        assert (start.position.seq, start.missing, bool(start.position.epoch)) == (0, None, True)
        await house.tell(session_id, "a")
        assert [(each.name, each.seq, each.epoch) for each in listener.heard] == [("a", 1, start.position.epoch)]


async def test_store_that_was_put_back() -> None:
    """After a backup was restored every stream begins anew, once: what came after it may be known to clients."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        before = house.position(session_id)
    storage.incarnation = "aaaa"
    async with open_house(storage) as house:
        first = house.position(session_id)
        assert (first.epoch != before.epoch, first.epoch.endswith(".aaaa")) == (True, True)
        assert await missing(house, session_id, before) is not None
        await house.tell(session_id, "a")
        first = house.position(session_id)
        other = await house.create()
    async with open_house(storage) as house:
        assert house.position(session_id) == first
        assert await missing(house, session_id, first) is None
        assert house.position(other).epoch.endswith(".aaaa")
    storage.incarnation = "bbbb"
    async with open_house(storage) as house:
        assert await missing(house, session_id, first) is not None
        assert house.position(other).epoch.endswith(".bbbb")


async def test_session_that_lost_changes() -> None:
    """What can be read has no events; another epoch begins before anybody listens."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        older = await house.put(session_id, a=1)
        await house.put(session_id, a=2)
        before = house.position(session_id)
    async with open_house(storage) as house:
        storage.damage[session_id] = Loaded(older.without_events(), "damaged", "version 3 is lost")
        listener = Listener()
        start = await house.listen(session_id, listener, before)
        assert start.missing is not None
        await house.put(session_id, a=3)
        assert listener.names == ["gap", "session.updated"]
        assert listener.heard[0].seq == 0
        assert {each.epoch for each in listener.heard} == {start.position.epoch} != {before.epoch}


async def test_session_whose_log_is_older_than_its_header() -> None:
    """A file that was healed may lack the newest events: who knows less than the newest is told so."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        healed = await house.put(session_id, a=1)
        await house.tell(session_id, "newest")
        known = house.position(session_id)
    async with open_house(storage) as house:
        storage.damage[session_id] = Loaded(healed, "healed", "the newest file was damaged")
        assert await missing(house, session_id, known) is None
        assert await missing(house, session_id, Position(known.epoch, 2)) is not None
        await house.tell(session_id, "next")
        assert house.position(session_id) == Position(known.epoch, 4)


# ---- finding and holding


async def test_holding_is_in_the_order_of_asking() -> None:
    """One at a time; what went meanwhile is not there."""
    async with open_house() as house:
        session_id = await house.create()
        order: list[int] = []

        async def hold(number: int) -> None:
            async with house.keeper.hold(session_id) as entry:
                order.append(number)
                await house.keeper.load(entry)

        async with house.keeper.hold(session_id):
            waiting = [asyncio.ensure_future(hold(number)) for number in range(5)]
        await asyncio.gather(*waiting)
        assert order == [0, 1, 2, 3, 4]


async def test_session_that_is_not_there() -> None:
    """One that cannot be read is told apart from one that never was."""
    storage = TestStorage()
    damaged = SessionId("session_3_1_x")
    storage.damaged = frozenset({damaged})
    async with open_house(storage) as house:
        with pytest.raises(SessionDamagedError):
            house.keeper.find(damaged)
        with pytest.raises(SessionNotFoundError):
            house.keeper.find("session_4_1_x")


async def test_activity_meanwhile_is_kept() -> None:
    """Storing an older session does not take back the time of the last activity."""
    async with open_house() as house:
        session_id = await house.create()
        async with house.keeper.hold(session_id) as entry:
            session = await house.keeper.load(entry)
            house.clock.pass_time(10)
            house.keeper.touch(entry)
            old = replace(session, header=replace(session.header, last_activity=1.0))
            stored = await house.keeper.store(entry, old)
        assert stored.header.last_activity == house.clock.now
