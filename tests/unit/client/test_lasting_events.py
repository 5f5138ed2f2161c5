"""The events of a session over several connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stui_sessiond.client import CallFailedError, ConnectionFailedError, ConnectionState, Gap, LastingClient, Watch
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import Position
from tests.unit.client.bed import EPOCH, SESSION, ScriptedDaemon, Talk, lasting, reach, turn

State = ConnectionState


async def seqs(watch: Watch, number: int) -> list[int]:
    """The places of the next events."""
    found = []
    for _ in range(number):
        item = await anext(watch)
        assert isinstance(item, EventMessage), item
        found.append(item.seq)
    return found


@asynccontextmanager
async def watching(client: LastingClient, talk: Talk, seq: int) -> AsyncIterator[Watch]:
    """A watch that began at a place in the stream."""
    watch = client.watch(SESSION)
    opening = asyncio.ensure_future(watch.__aenter__())
    talk.subscribed(await talk.take("subscribe"), seq)
    yield await opening
    await watch.__aexit__(None, None, None)


async def synced(client: LastingClient, talk: Talk) -> None:
    """Everything the daemon has said so far has been heard."""
    asking = asyncio.ensure_future(client.ping("sync"))
    while (request := await talk.take("ping"))["parameters"].get("message") != "sync":
        talk.answer(request, {})
    talk.answer(request, {"message": "sync"})
    await asking


async def test_watch_goes_on_where_it_was() -> None:
    """After a cut it is subscribed again from the last event that came; each event is given once, in order."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        entering = client.watch(SESSION, deltas=True, with_state=True)
        opening = asyncio.ensure_future(entering.__aenter__())
        request = await talk.take("subscribe")
        assert request["parameters"]["deltas"] is True
        assert request["parameters"]["since"] is None
        talk.subscribed(request, 4, state={"version": 3, "session_state": {"a": 1}})
        watch = await opening
        assert watch.state is not None
        assert (watch.state.version, watch.position) == (3, Position(EPOCH, 4))
        talk.tell(5)
        talk.tell(6)
        assert await seqs(watch, 1) == [5]
        await synced(client, talk)
        talk.cut()
        talk = await daemon.greeted(resumed=True)
        request = await talk.take("subscribe")
        assert request["parameters"]["since"] == {"epoch": EPOCH, "seq": 6}  # 6 waits here, and is not lost
        talk.subscribed(request, 8)
        for seq in (6, 7, 8, 9):
            talk.tell(seq)
        assert await seqs(watch, 4) == [6, 7, 8, 9]
        assert watch.position == Position(EPOCH, 9)
        visit = client.visits()[-1]
        assert (visit.replayed, visit.gaps) == (2, 0)
        leaving = asyncio.ensure_future(entering.__aexit__(None, None, None))
        await talk.take("unsubscribe")
        await leaving


async def test_watch_continues_another_day() -> None:
    """With a position from before, what was missed comes first; what cannot come is a gap."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()

        async def work() -> list[object]:
            async with client.watch(SESSION, Position(EPOCH, 2)) as watch:
                return [await anext(watch) for _ in range(2)]

        working = asyncio.ensure_future(work())
        request = await talk.take("subscribe")
        assert request["parameters"]["since"] == {"epoch": EPOCH, "seq": 2}
        known = {"epoch": EPOCH, "seq": 2}
        gap = {"from": known, "to": {"epoch": "e2", "seq": 7}, "reason": "too old"}
        talk.answer(request, {"recovered": False, "position": {"epoch": "e2", "seq": 8}, "gap": gap})
        talk.tell(7, "gap", epoch="e2", reason="too old")
        talk.tell(8, epoch="e2")
        first, second = await working
        assert first == Gap(SESSION, Position("e2", 7), Position(EPOCH, 2), "too old")
        assert isinstance(second, EventMessage)
        assert client.visits()[-1].gaps == 1


async def test_watches_of_one_session_share_a_subscription() -> None:
    """A second watch subscribes from where the first one is; each gets what is new to it, and the last one leaves."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        first, second = client.watch(SESSION, deltas=True), client.watch(SESSION)
        opening = asyncio.ensure_future(first.__aenter__())
        talk.subscribed(await talk.take("subscribe"), 4)
        one = await opening
        talk.tell(5)
        await synced(client, talk)
        opening = asyncio.ensure_future(second.__aenter__())
        request = await talk.take("subscribe")
        assert request["parameters"]["since"] == {"epoch": EPOCH, "seq": 5}
        assert request["parameters"]["deltas"] is False
        talk.subscribed(request, 6)
        for seq in (6, 7):
            talk.tell(seq)
        other = await opening
        assert await seqs(one, 3) == [5, 6, 7]
        assert await seqs(other, 1) == [7]
        await first.__aexit__(None, None, None)
        await turn()
        leaving = asyncio.ensure_future(second.__aexit__(None, None, None))
        assert (await talk.take("unsubscribe"))["parameters"] == {"session_id": SESSION, "topics": None}
        await leaving
        talk.tell(8)
        await synced(client, talk)


async def test_session_that_may_not_be_watched_is_told_at_once() -> None:
    """The refusal is raised where the watch begins."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        opening = asyncio.ensure_future(client.watch(SESSION).__aenter__())
        talk.refuse(await talk.take("subscribe"), "session_not_shared")
        with pytest.raises(CallFailedError) as told:
            await opening
        assert told.value.code == "session_not_shared"


async def test_watch_that_is_cut_before_it_began_begins_again() -> None:
    """A cut between the question and the answer only takes time."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        opening = asyncio.ensure_future(client.watch(SESSION).__aenter__())
        await talk.take("subscribe")
        talk.cut()
        talk = await daemon.greeted(resumed=True)
        talk.subscribed(await talk.take("subscribe"), 4)
        assert (await opening).position == Position(EPOCH, 4)


async def test_session_that_is_gone_after_a_cut_ends_its_watch() -> None:
    """What waits is delivered, then the daemon's error is raised; the client goes on."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        async with watching(client, talk, 4) as watch:
            talk.tell(5)
            await synced(client, talk)
            talk.cut()
            talk = await daemon.greeted(resumed=True)
            talk.refuse(await talk.take("subscribe"), "session_not_found")
            assert await seqs(watch, 1) == [5]
            with pytest.raises(CallFailedError) as told:
                await anext(watch)
        assert told.value.code == "session_not_found"
        await reach(client, State.RESTORED)


async def test_failure_and_end_of_the_client_end_its_watches() -> None:
    """A failure is raised where events are taken; the end of the client is the end of the events."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        async with watching(client, talk, 4) as watch:
            talk.closing(4001, "authentication_failed", reconnect=False)
            with pytest.raises(ConnectionFailedError):
                await anext(watch)
        with pytest.raises(ConnectionFailedError):
            await client.watch(SESSION).__aenter__()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        async with watching(client, talk, 4) as watch:
            await client.close()
            assert [item async for item in watch] == []


async def test_slow_application_gets_everything_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What did not fit is asked for again when the application has caught up."""
    monkeypatch.setattr("stui_sessiond.client.watch.MAX_WAITING_EVENTS", 2)
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        async with watching(client, talk, 0) as watch:
            for seq in range(1, 6):
                talk.tell(seq)
            await synced(client, talk)
            assert await seqs(watch, 2) == [1, 2]
            waiting = asyncio.ensure_future(seqs(watch, 3))
            request = await talk.take("subscribe")
            assert request["parameters"]["since"] == {"epoch": EPOCH, "seq": 2}
            talk.subscribed(request, 5)
            for seq in (3, 4, 5):
                talk.tell(seq)
                await synced(client, talk)
            assert await waiting == [3, 4, 5]
