"""How somebody comes to hear of a session, misses nothing, and leaves."""

import asyncio

import pytest

from stui_sessiond.errors import SessionClosedError, SessionNotFoundError, StorageError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.model.event import Position
from stui_sessiond.sessions import shelf
from stui_sessiond.sessions.hub import Subscription, Topic, topics_of
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.house import House, Listener, TestStorage, open_house


async def listening(house: House, client: str | None = None, connection: str | None = None) -> Listener:
    """Make a listener of the one session there is."""
    listener = Listener(client, connection)
    await house.listen(the_session(house), listener)
    await house.keeper.settle()
    return listener


def the_session(house: House) -> SessionId:
    """Name the one session there is."""
    return house.manager.of_client("ada")[0].session_id


# ---- from a position on


async def test_subscription_without_a_position_begins_now() -> None:
    """Nothing of what was, everything of what comes."""
    async with open_house() as house:
        session_id = await house.create()
        await house.tell(session_id, "before")
        listener = await listening(house)
        await house.tell(session_id, "after")
        assert listener.names == ["after"]


@pytest.mark.parametrize("seq", [0, 1, 2, 3])
async def test_subscription_from_a_position_replays_what_came_after_it(seq: int) -> None:
    """Then it goes on with what comes, without a hole or a repetition."""
    async with open_house() as house:
        session_id, listener = await house.create(), Listener()
        await house.tell(session_id, "a", "b")
        start = await house.listen(session_id, listener, Position(house.position(session_id).epoch, seq))
        await house.tell(session_id, "c")
        assert (start.missing, start.position.seq) == (None, 3)
        assert listener.numbers == list(range(seq + 1, 5))


async def test_subscription_after_a_restart_goes_on() -> None:
    """A position of before the restart is as good as ever."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.tell(session_id, "a", "b")
        position = house.heard[session_id][0]
    async with open_house(storage) as house:
        listener = Listener()
        start = await house.listen(session_id, listener, Position(position.epoch, position.seq))
        assert (start.missing, listener.names) == (None, ["b"])


async def test_subscription_from_before_the_log() -> None:
    """The gap comes first, ending where the first event follows; then what is kept, then what comes."""
    async with open_house(log=LogRules(max_events=4)) as house:
        session_id, listener = await house.create(), Listener()
        begin = house.position(session_id)
        await house.tell(session_id, *"abcdef")
        start = await house.listen(session_id, listener, begin)
        await house.tell(session_id, "g")
        assert start.missing is not None
        assert listener.names == ["gap", "d", "e", "f", "g"]
        assert listener.numbers == [4, 5, 6, 7, 8]
        assert listener.heard[0].data == {"from": {"epoch": begin.epoch, "seq": 1}, "reason": start.missing}


async def test_subscription_when_nothing_is_kept() -> None:
    """The gap ends at the newest event."""
    async with open_house(log=LogRules(max_bytes=100)) as house:
        session_id, listener = await house.create(), Listener()
        begin = house.position(session_id)
        await house.tell(session_id, "large", text="x" * 200)
        await house.listen(session_id, listener, begin)
        await house.tell(session_id, "small")
        assert [(each.name, each.seq) for each in listener.heard] == [("gap", 2), ("small", 3)]


async def test_state_in_a_replay() -> None:
    """Only the newest change carries the state whole; with deltas none does, and each has its patch."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        for number in range(3):
            await house.put(session_id, n=number)
        begin = Position(house.position(session_id).epoch, 0)
    async with open_house(storage) as house:
        whole, deltas = Listener(), Listener()
        await house.listen(session_id, whole, begin)
        await house.listen(session_id, deltas, begin, deltas=True)
        assert [each.data.get("session_state") for each in whole.heard] == [None, None, None, {"n": 2}]
        assert all("session_state" not in each.data for each in deltas.heard)
        assert [each.data["patch"][0]["value"] for each in deltas.heard[1:]] == [0, 1, 2]


# ---- between the answer and the events


async def test_nothing_is_delivered_before_the_answer() -> None:
    """What happens between subscribing and the answer comes behind it."""
    async with open_house() as house:
        session_id, listener = await house.create(), Listener()
        start = await house.feed.subscribe(session_id, listener, None, deltas=False)
        await house.tell(session_id, "a", "b")
        assert (listener.heard, listener.behind) == ([], [])
        assert not house.feed.begin(start.subscription)
        await house.feed.catch_up(start.subscription)
        await house.tell(session_id, "c")
        assert listener.numbers == [2, 3, 4]


async def test_events_that_come_while_somebody_catches_up() -> None:
    """However replay and new events meet, each is delivered once and in order."""
    storage = TestStorage()
    for turns in range(6):
        async with open_house(storage) as house:
            session_id, listener = await house.create(f"client-{turns}"), Listener()
            begin = Position(house.position(session_id).epoch, 0)
            await house.tell(session_id, "a", "b")
            start = await house.feed.subscribe(session_id, listener, begin, deltas=False)
            storage.gate = asyncio.Event()
            house.post(session_id, "c")
            for _ in range(turns):
                await asyncio.sleep(0)
            catching = asyncio.ensure_future(house.feed.catch_up(start.subscription))
            house.post(session_id, "d")
            storage.gate.set()
            await catching
            await house.keeper.settle()
            assert listener.names == ["session.created", "a", "b", "c", "d"], turns
            storage.gate = None


async def test_catching_up_twice() -> None:
    """The second time there is nothing to do; neither is there for a subscription that was replaced."""
    async with open_house() as house:
        session_id, listener = await house.create(), Listener()
        begin = Position(house.position(session_id).epoch, 0)
        old = await house.feed.subscribe(session_id, listener, begin, deltas=False)
        new = await house.feed.subscribe(session_id, listener, begin, deltas=False)
        for start in (old, new, new):
            await house.feed.catch_up(start.subscription)
        assert listener.numbers == [1]
        assert not house.feed.begin(old.subscription)


async def test_session_that_goes_before_the_answer() -> None:
    """There is nothing to catch up with, and that disturbs nobody."""
    async with open_house() as house:
        session_id, listener = await house.create(), Listener()
        start = await house.feed.subscribe(session_id, listener, None, deltas=False)
        await house.manager.end(session_id, keep=False)
        assert not house.feed.begin(start.subscription)
        await house.feed.catch_up(start.subscription)
        assert (listener.heard, listener.gone) == ([], [session_id])


# ---- who does not keep up


async def test_subscriber_that_lags_catches_up() -> None:
    """It gets what it has room for, piece by piece, and is live again when that was all."""
    async with open_house() as house:
        session_id = await house.create()
        listener = await listening(house)
        listener.room = 1
        await house.tell(session_id, *"abcdefg")
        assert listener.names == ["a", "b", "c", "d", "e", "f", "g"] or listener.behind
        listener.room = 0
        await house.tell(session_id, *"hij")
        await house.drained(listener)
        for _ in range(20):
            listener.room = 2
            await house.drained(listener)
        listener.room = None
        await house.tell(session_id, "live")
        assert listener.names == [*"abcdefghij", "live"]
        assert listener.behind == []


async def test_subscriber_that_lags_for_too_long() -> None:
    """What the log no longer has is told as a gap, once."""
    async with open_house(log=LogRules(max_events=4)) as house:
        session_id = await house.create()
        listener = await listening(house)
        listener.room = 0
        for name in "abcdefghij":
            await house.tell(session_id, name)
        listener.room = None
        await house.drained(listener)
        await house.tell(session_id, "live")
        assert listener.names[0] == "gap"
        assert listener.names.count("gap") == 1
        assert listener.numbers == list(range(listener.numbers[0], 13))
        assert listener.names[-1] == "live"


async def test_subscriber_that_lags_while_events_are_lost() -> None:
    """The gap leads to the new epoch."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        listener = await listening(house)
        listener.room = 0
        await house.tell(session_id, "a")
        storage.failure = StorageError("the disk failed")
        await house.tell(session_id, "lost")
        storage.failure = None
        listener.room = None
        await house.drained(listener)
        await house.tell(session_id, "b")
        assert [(each.name, each.seq) for each in listener.heard] == [("gap", 0), ("b", 1)]


async def test_log_that_cannot_be_read_for_somebody_who_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next event finds the subscriber behind, and what it missed comes then."""
    monkeypatch.setattr(shelf, "RESIDENT_SESSIONS", 0)
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        listener = await listening(house)
        listener.room = 0
        await house.tell(session_id, "a")
        listener.room = None
        storage.failure = StorageError("it cannot be read now")
        await house.drained(listener)
        storage.failure = None
        assert (listener.heard, listener.behind) == ([], [])
        await house.tell(session_id, "b")
        await house.drained(listener)
        assert listener.names == ["a", "b"]


# ---- presence


async def test_client_that_comes_and_goes() -> None:
    """The others hear of it, and it is in the log; who has no name comes and goes unnoticed."""
    async with open_house() as house:
        session_id = await house.create()
        ada = await listening(house, "ada", "conn-1")
        nobody = await listening(house)
        assert {each.subscriber for each in house.hub.attached(session_id)} == {house.listener, ada, nobody}
        house.feed.unsubscribe(session_id, ada, "bye")
        house.feed.unsubscribe(session_id, nobody, "bye")
        await house.keeper.settle()
        who = {"client_id": "ada", "connection_id": "conn-1", "role": "client"}
        assert [(each.name, each.data) for each in house.heard[session_id]] == [
            ("client.attached", who),
            ("client.detached", {**who, "reason": "bye"}),
        ]
        assert house.hub.attached(session_id)[0].subscriber is house.listener
        assert house.feed.unsubscribe(session_id, ada, "bye") is None


async def test_client_that_subscribes_again_is_attached_once() -> None:
    """The newer subscription takes the place of the older one."""
    async with open_house() as house:
        session_id = await house.create()
        ada = await listening(house, "ada", "conn-1")
        await house.listen(session_id, ada)
        await house.keeper.settle()
        assert house.names(session_id) == ["client.attached"]
        assert len(house.hub.attached(session_id)) == 2


async def test_client_that_is_detached() -> None:
    """It hears of that as the last thing, on the connections that were meant; others stay."""
    async with open_house() as house:
        session_id = await house.create()
        first, second = await listening(house, "bob", "conn-1"), await listening(house, "bob", "conn-2")
        other = await listening(house, "eve", "conn-3")
        assert await house.feed.detach(session_id, "bob", "conn-1", "ada") == 1
        assert (first.names[-1], first.gone) == ("client.detached", [session_id])
        assert (first.heard[-1].data["reason"], first.heard[-1].data["by"]) == ("detached", "ada")
        await house.tell(session_id, "a")
        assert (first.names[-1], second.names[-1]) == ("client.detached", "a")
        assert await house.feed.detach(session_id, "bob", None, "ada") == 1
        assert await house.feed.detach(session_id, "bob", None, "ada") == 0
        assert (second.gone, other.gone) == ([session_id], [])


async def test_session_that_cannot_be_subscribed_to() -> None:
    """One that is closed, and one that is not there; an expired one can be looked at."""
    async with open_house() as house:
        session_id = await house.create()
        house.clock.pass_time(3600)
        await house.listen(session_id, Listener())
        await house.manager.end(session_id, keep=True)
        for work in (
            house.feed.subscribe(session_id, Listener(), None, deltas=False),
            house.feed.detach(session_id, "bob", None, None),
        ):
            with pytest.raises(SessionClosedError):
                await work
        with pytest.raises(SessionNotFoundError):
            await house.feed.subscribe("session_9_9_nobody", Listener(), None, deltas=False)


# ---- topics


async def test_topic_tells_of_sessions_that_come_later() -> None:
    """From their first event on."""
    async with open_house() as house:
        listener = Listener("ada", "conn-1")
        house.feed.listen([Topic("client", "ada")], listener, deltas=True)
        session_id = await house.create("ada")
        await house.create("bob")
        await house.put(session_id, a=1)
        assert list(listener.by_session) == [session_id]
        assert [(each.name, each.seq) for each in listener.heard] == [("session.created", 1), ("session.updated", 2)]
        await house.keeper.settle()
        assert house.names(session_id) == ["session.updated"]


async def test_topic_tells_only_of_what_somebody_may_see() -> None:
    """Who named itself needs a role in the session; an operator who listens to all, and an observer, do not."""
    async with open_house() as house:
        bob, observer, operator = Listener("bob", "1"), Listener("eve", "2", role="observer"), Listener("tom", "3")
        house.feed.listen([Topic("client", "ada")], bob, deltas=True)
        house.feed.listen([Topic("client", "ada")], observer, deltas=True)
        house.feed.listen([Topic("all")], operator, deltas=True)
        session_id = await house.create("ada")
        assert [bool(each.heard) for each in (bob, observer, operator)] == [False, True, True]
        await house.manager.share(session_id, "bob", "viewer", by="ada")
        assert bob.names == ["session.shared"]


async def test_client_that_listens_by_a_topic_is_detached_too() -> None:
    """It hears no more of that session until it asks again."""
    async with open_house() as house:
        session_id = await house.create("ada")
        await house.manager.share(session_id, "bob", "viewer", by="ada")
        bob = Listener("bob", "conn-1")
        house.feed.listen([Topic("client", "ada")], bob, deltas=True)
        await house.tell(session_id, "a")
        await house.manager.share(session_id, "bob", "none", by="ada")
        assert await house.feed.detach(session_id, "bob", None, "ada") == 1
        await house.tell(session_id, "b")
        assert bob.names == ["a", "session.shared", "client.detached"]


async def test_subscription_for_a_topic_from_a_position() -> None:
    """What was missed of that session comes first; nobody is attached by it until it asks for the session itself."""
    async with open_house() as house:
        session_id = await house.create()
        await house.tell(session_id, "a")
        listener = Listener("bob", "conn-1")
        begin = Position(house.position(session_id).epoch, 1)
        start = await house.feed.subscribe(session_id, listener, begin, deltas=True, by_topic=True)
        house.feed.listen([Topic("all")], listener, deltas=True)
        await house.tell(session_id, "b")
        await house.feed.catch_up(start.subscription)
        await house.tell(session_id, "c")
        assert listener.names == ["a", "b", "c"]
        assert "client.attached" not in house.names(session_id)
        await house.listen(session_id, listener)
        await house.keeper.settle()
        assert house.names(session_id)[-1] == "client.attached"


async def test_topic_that_is_left_ends_its_subscriptions() -> None:
    """Those for another topic stay, with what they have missed; so do those to a session itself."""
    async with open_house() as house:
        one, two, three = await house.create("ada", image_id="pharo"), await house.create("ada"), await house.create()
        listener = Listener()
        await house.listen(three, listener)
        topics = [Topic("client", "ada"), Topic("image", "pharo")]
        house.feed.listen(topics, listener, deltas=True)
        for session_id in (one, two):
            await house.tell(session_id, "a")
        listener.room = 0
        await house.tell(one, "b")
        listener.room = None
        subscriptions: dict[SessionId, Subscription] = listener.subscriptions
        assert house.feed.ignore(topics[0], listener, subscriptions)
        assert set(subscriptions) == {one, three}
        await house.drained(listener)
        for session_id in (one, two, three):
            await house.tell(session_id, "c")
        assert [each.name for each in listener.by_session[one]] == ["a", "b", "c"]
        assert [each.name for each in listener.by_session[two]] == ["a"]
        assert [each.name for each in listener.by_session[three]] == ["c"]
        assert not house.feed.ignore(topics[0], listener, subscriptions)


async def test_session_that_gets_an_image_comes_to_its_topic() -> None:
    """From the next event on."""
    async with open_house(MemoryStorage()) as house:
        session_id, listener = await house.create(), Listener()
        house.feed.listen([Topic("image", "pharo")], listener, deltas=True)
        await house.tell(session_id, "a")
        await house.manager.bind_image(session_id, ImageId("pharo"))
        await house.tell(session_id, "b")
        assert listener.names == ["b"]
        assert Topic("image", "pharo") in topics_of(house.manager.header(session_id))


async def test_topic_tells_a_named_client_of_what_it_has_a_role_in() -> None:
    """A share lets it hear of a session, and without one any longer it does not; `all` is for who may hear all."""
    async with open_house() as house:
        bob, operator = Listener("bob", "conn-1"), Listener("carl", "conn-2")
        house.feed.listen([Topic("client", "ada")], bob, deltas=True)
        house.feed.listen([Topic("all")], operator, deltas=True)
        session_id = await house.create("ada")
        assert bob.heard == []
        await house.manager.share(session_id, "bob", "viewer", by="ada")
        await house.put(session_id, a=1)
        assert [each.name for each in bob.heard] == ["session.shared", "session.updated"]
        await house.manager.share(session_id, "bob", "none", by="ada")
        await house.feed.detach(session_id, "bob", None, "ada")
        await house.put(session_id, a=2)
        assert bob.heard[-1].name == "client.detached"
        assert operator.heard[-1].name == "session.updated"
