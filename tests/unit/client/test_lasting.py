"""A lasting client against a daemon that cuts, refuses, falls silent and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from stui_sessiond.client import (
    Backoff,
    CallFailedError,
    ConnectionFailedError,
    ConnectionState,
    Health,
    LastingClient,
    OfflineError,
    OutcomeUnknownError,
    Patience,
)
from stui_sessiond.wire.messages.development import Debug, DebugResult
from stui_sessiond.wire.messages.session import CreateSession
from tests.unit.client.bed import (
    PATIENT,
    SESSION,
    Journey,
    ScriptedDaemon,
    StillNetwork,
    evaluated,
    hello_result,
    lasting,
    reach,
    turn,
)

State = ConnectionState

STATISTICS = {
    "total_sessions": 3,
    "active_clients": 1,
    "max_sessions_per_client": 1,
    "default_timeout": 1,
    "cleanup_interval": 1,
    "uptime_seconds": 1.0,
    "images": {"connected": 0, "known": 0},
    "connections": {"total": 1, "clients": 1, "images": 0, "observers": 0, "before_hello": 0},
    "storage": {"kind": "file", "status": "ok", "sessions": 1, "size_bytes": 1, "quarantined": 0},
}


# ---- the connection


async def test_client_greets_and_tells_how_it_is() -> None:
    """From the first status to the last: connecting, connected, closed."""
    async with ScriptedDaemon() as daemon:
        async with lasting(daemon, token="secret") as client:
            assert str(client.status) == "connecting"
            talk = await daemon.accept()
            hello = await talk.greet()
            assert (hello["role"], hello["client_id"], hello["token"]) == ("client", "me", "secret")
            assert hello.get("resume_token") is None
            await client.connected(5.0)
            status = await reach(client, State.CONNECTED)
            assert (status.server_id, status.connection_id, status.attempt) == ("server-1", "conn-1", 1)
            assert client.greeting is not None
        await talk.gone()
        assert client.status.state is State.CLOSED
        with pytest.raises(ConnectionFailedError, match="closed"):
            await client.ping()
        await client.close()


async def test_cut_is_mended_and_remembered() -> None:
    """The next connection continues the first one, the statuses tell of it, and the history says what happened."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        seen: list[State] = []

        async def look() -> None:
            seen.extend([status.state async for status in client.statuses()])

        looking = asyncio.ensure_future(look())
        talk = await daemon.greeted()
        await reach(client, State.CONNECTED)
        talk.cut()
        talk = await daemon.accept()
        hello = await talk.greet(resumed=True, server_id="server-2")
        assert hello["resume_token"] == "token-1"
        status = await reach(client, State.RESTORED)
        assert status.resumed
        assert status.reason is not None
        assert status.reason.name == "cut"
        first, second = client.visits()
        assert first.ending is not None
        assert first.ending.name == "cut"
        assert (second.resumed, second.same_daemon, second.attempts) == (True, False, 1)
        assert 0 < second.away_s < 5
        await client.close()
        await looking
    assert list(dict.fromkeys(seen)) == [
        State.CONNECTING,
        State.CONNECTED,
        State.RECONNECTING,
        State.RESTORED,
        State.CLOSED,
    ]


async def test_tries_go_on_until_the_daemon_is_back() -> None:
    """While nobody listens each status says which try comes next and when."""
    daemon = ScriptedDaemon()
    async with daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await daemon.stop()
        talk.cut()
        async for status in client.statuses():
            if status.state is State.RECONNECTING and status.attempt >= 3 and status.next_try_at is not None:
                break
        assert status.reason is not None
        assert status.reason.name == "unreachable"
        assert "serve" in status.advice
        await daemon.start()
        await daemon.greeted(resumed=True)
        status = await reach(client, State.RESTORED)
        assert status.attempt >= 3
        assert client.visits()[-1].attempts == status.attempt


@pytest.mark.parametrize(("code", "name"), [(4001, "authentication_failed"), (4004, "resumed")])
async def test_end_that_would_come_again_is_a_failure(code: int, name: str) -> None:
    """Where the daemon says not to connect again, everything that waits ends with the reason and what to do."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        asking = asyncio.ensure_future(client.get_session_statistics())
        await talk.take("get_session_statistics")
        talk.closing(code, name, reconnect=False)
        with pytest.raises(ConnectionFailedError, match=f"because of {name}") as failed:
            await asking
        assert failed.value.advice
        assert failed.value.ending is not None
        assert (failed.value.ending.name, failed.value.ending.code) == (name, code)
        assert client.status.state is State.FAILED
        for call in (client.ping(), client.connected()):
            with pytest.raises(ConnectionFailedError):
                await call


async def test_failure_is_over_when_somebody_did_something() -> None:
    """After `reconnect` with another token it is tried once more, and calls go through again."""
    network = StillNetwork()
    async with ScriptedDaemon() as daemon, lasting(daemon, network, token="old") as client:
        talk = await daemon.accept()
        talk.refuse(await talk.take("hello"), "authentication_failed")
        with pytest.raises(ConnectionFailedError):
            await client.connected()
        network.changed("it changed, which is no reason to try this again")
        await turn()
        assert client.status.state is State.FAILED
        client.reconnect(token="new")
        talk = await daemon.accept()
        assert (await talk.greet())["token"] == "new"
        await client.connected()
        asking = asyncio.ensure_future(client.ping("hi"))
        talk.answer(await talk.take("ping"), {"message": "hi"})
        assert (await asking).message == "hi"


async def test_refusal_that_may_go_away_is_tried_again() -> None:
    """A daemon that stops, or has too many connections, may take us later."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.accept()
        talk.refuse(await talk.take("hello"), "shutting_down")
        talk = await daemon.accept()
        await talk.take("hello")
        talk.closing(4403, "too_many_connections", reconnect=True)
        await daemon.greeted()
        status = await reach(client, State.CONNECTED)
        assert status.attempt == 3
        assert status.reason is not None
        assert status.reason.name == "too_many_connections"


async def test_what_is_no_daemon_is_told() -> None:
    """Something else behind the address is told as that, and tried again."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.accept()
        talk.writer.write(b"220 mail.example ready\n")
        async for status in client.statuses():
            if status.reason is not None:
                break
        assert status.reason is not None
        assert status.reason.name == "unreadable"
        talk = await daemon.accept()
        talk.answer(await talk.take("hello"), {"server_id": "of an older version"})
        async for status in client.statuses():
            if status.reason is not None and "no daemon of this version" in status.reason.text:
                break


async def test_patience_ends_where_the_application_says() -> None:
    """With a deadline, being away for longer is a failure."""
    patience = Patience(backoff=Backoff(first_s=0.001, cap_s=0.01), give_up_s=30.0)
    journey = Journey()
    async with ScriptedDaemon() as daemon:
        await daemon.stop()
        async with lasting(daemon, patience=patience) as client:
            async for status in client.statuses():
                if status.attempt:
                    break
            journey.jump(31.0)
            with pytest.raises(ConnectionFailedError, match="within 30 s"):
                await client.connected()


async def test_silent_hello_is_tried_again() -> None:
    """A daemon that accepts and says nothing is left after the connect timeout."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.accept()
        await talk.take("hello")
        journey.jump(11.0)
        await talk.gone()
        await daemon.greeted()
        status = await reach(client, State.CONNECTED)
        assert status.reason is not None
        assert status.reason.name == "silent"


# ---- the heart


async def test_heartbeat_measures_how_quickly_the_daemon_answers() -> None:
    """The first heartbeat after a return makes `restored` into `connected`, with latency and health."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        (await daemon.greeted()).cut()
        talk = await daemon.greeted(resumed=True)
        status = await reach(client, State.RESTORED)
        assert (status.health, status.latency_s) == (Health.UNKNOWN, None)
        journey.jump(10.1)
        ping = await talk.take("ping")
        journey.jump(0.5)
        talk.answer(ping, {"status": "ready"})
        status = await reach(client, State.CONNECTED)
        assert status.health is Health.WARNING
        assert status.latency_s is not None
        assert 0.5 <= status.latency_s < 1.5


async def test_half_open_connection_is_found_by_its_silence() -> None:
    """Where a heartbeat gets no answer and nothing else comes, the connection is cut and made anew."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await client.connected()
        await turn()
        journey.jump(10.1)
        assert (await talk.read() or {})["command"] == "ping"
        journey.jump(5.1)
        await talk.gone()
        await daemon.greeted(resumed=True)
        status = await reach(client, State.RESTORED)
        assert status.reason is not None
        assert status.reason.name == "silent"


async def test_busy_connection_is_not_taken_for_dead() -> None:
    """If the heartbeat gets no answer but events come, the daemon is slow, not gone."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await client.connected()
        await turn()
        journey.jump(10.1)
        assert (await talk.read() or {})["command"] == "ping"
        journey.jump(1.0)
        talk.tell(1)
        asking = asyncio.ensure_future(client.ping("sync"))
        talk.answer((await talk.read() or {})["id"], {"message": "sync"})
        await asking
        journey.jump(4.2)
        status = await reach(client, State.CONNECTED)
        async for status in client.statuses():
            if status.health is not Health.UNKNOWN:
                break
        assert status.health is Health.CRITICAL
        assert len(client.visits()) == 1


async def test_changed_network_is_probed_at_once() -> None:
    """An answer leaves the connection as it is; none within a second makes a new one without waiting."""
    network, journey = StillNetwork(), Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon, network) as client:
        talk = await daemon.greeted()
        await client.connected()
        network.changed("another address")
        talk.answer(await talk.take("ping"), {"status": "ready"})
        async for status in client.statuses():
            if status.health is Health.HEALTHY:
                break
        network.changed("another address")
        await talk.take("ping")
        journey.jump(1.1)
        await talk.gone()
        await daemon.greeted(resumed=True)
        await reach(client, State.RESTORED)


async def test_changed_network_ends_the_wait_for_the_next_try() -> None:
    """Whoever waits for a long backoff does not when the network is back."""
    network = StillNetwork()
    patience = Patience(backoff=Backoff(first_s=1000.0, cap_s=1000.0))
    async with ScriptedDaemon() as daemon, lasting(daemon, network, patience=patience) as client:
        (await daemon.greeted()).cut()
        async for status in client.statuses():
            if status.next_try_at is not None:
                break
        assert status.next_try_at is not None
        assert status.next_try_at - status.since > 100
        network.changed("the machine slept for 3600 s")
        await daemon.greeted(resumed=True)
        await reach(client, State.RESTORED)


async def test_changed_network_gives_up_a_try_that_hangs() -> None:
    """A try over the old network does not hold up the one over the new."""
    network = StillNetwork()
    async with ScriptedDaemon() as daemon, lasting(daemon, network) as client:
        hanging = await daemon.accept()
        await hanging.take("hello")
        network.changed("another address")
        await hanging.gone()
        await daemon.greeted()
        await reach(client, State.CONNECTED)


# ---- calls


async def test_answer_that_was_on_its_way_comes_over_the_next_connection() -> None:
    """A call in flight is waited for under its id, told to hello, and not sent again."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        asking = asyncio.ensure_future(client.evaluate("3 + 4", session_id=SESSION))
        request = await talk.take("evaluate")
        assert request["parameters"]["idempotency_key"]
        talk.cut()
        talk = await daemon.accept()
        hello = await talk.take("hello")
        assert hello["parameters"]["unanswered"] == [request["id"]]
        talk.answer(hello, hello_result(resumed=True, in_flight=[request["id"]]))
        talk.answer(request, evaluated("7"))  # in one go with the answer to hello
        assert (await asking).result == "7"
        asking = asyncio.ensure_future(client.evaluate("1", session_id=SESSION))
        after = await talk.take("evaluate")
        assert after["id"] != request["id"]
        talk.answer(after, evaluated("1"))
        await asking
        assert (client.visits()[-1].in_flight, client.visits()[-1].sent_again) == (1, 0)


async def test_call_with_a_key_is_sent_again_as_it_was() -> None:
    """What the daemon does not know any more is sent under the same key, so that it happens once."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        evaluating = asyncio.ensure_future(client.evaluate("3 + 4", session_id=SESSION, idempotency_key="mine"))
        creating = asyncio.ensure_future(client.create_session(CreateSession("me")))
        first = [await talk.take("evaluate"), await talk.take("create_session")]
        assert first[0]["parameters"]["idempotency_key"] == "mine"
        talk.cut()
        talk = await daemon.greeted(resumed=True)
        again = [await talk.take("evaluate"), await talk.take("create_session")]
        assert again == first
        talk.answer(again[0], evaluated("7"))
        assert (await evaluating).result == "7"
        talk.refuse(again[1], "session_limit_reached")
        with pytest.raises(CallFailedError, match="session_limit_reached"):
            await creating
        assert client.visits()[-1].sent_again == 2


async def test_call_that_only_reads_is_sent_again() -> None:
    """Looking twice does no harm."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        asking = asyncio.ensure_future(client.get_session_statistics())
        await talk.take("get_session_statistics")
        talk.cut()
        talk = await daemon.greeted()
        talk.answer(await talk.take("get_session_statistics"), STATISTICS)
        assert (await asking).total_sessions == 3


async def test_call_that_may_have_happened_is_not_sent_again() -> None:
    """Without a key, a change whose answer was lost ends with what to do."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        asking = asyncio.ensure_future(client.close_session(SESSION))
        await talk.take("close_session")
        talk.cut()
        await daemon.greeted(resumed=True)
        with pytest.raises(OutcomeUnknownError, match=r"close_session was sent.*look at the present state"):
            await asking


async def test_calls_wait_for_a_connection_unless_told_otherwise() -> None:
    """Offline a call waits, fails at once, or fails after its time; what was not sent is known not to have happened."""
    journey = Journey()
    patience = Patience(connect_s=1000.0)
    async with ScriptedDaemon() as daemon, lasting(daemon, patience=patience) as client:
        with pytest.raises(OfflineError, match="nothing was sent"):
            await client.within(wait=False).ping()
        calls: tuple[Coroutine[Any, Any, object], ...] = (
            client.within(5.0).close_session(SESSION),
            client.connected(5.0),
        )
        for call in calls:
            waiting = asyncio.ensure_future(call)
            await turn()
            journey.jump(5.1)
            with pytest.raises(OfflineError, match=r"within 5 s.*nothing was sent"):
                await waiting
        asking = asyncio.ensure_future(client.call("ping", {"message": "later"}))
        talk = await daemon.greeted()
        request = await talk.take("ping")
        talk.answer(request, {"message": "later"})
        assert (await asking)["message"] == "later"


async def test_answer_that_does_not_come_in_time_leaves_the_outcome_unknown() -> None:
    """Who stops waiting after the request was sent hears that it may happen, and under which key to ask."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        waiting = asyncio.ensure_future(client.within(5.0).evaluate("Delay forever", session_id=SESSION))
        request = await talk.take("evaluate")
        journey.jump(5.1)
        with pytest.raises(OutcomeUnknownError, match="no answer came within 5 s") as told:
            await waiting
        assert told.value.idempotency_key == request["parameters"]["idempotency_key"]


async def test_outcome_nobody_knows_yet_is_asked_for_again() -> None:
    """After a restart of the daemon, the same key is asked with until the image has told what became of it."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        (await daemon.greeted()).cut()
        talk = await daemon.greeted(resumed=True)
        asking = asyncio.ensure_future(client.ask(Debug(operation="go", session_id=SESSION), DebugResult))
        first = await talk.take("debug")
        talk.refuse(first, "outcome_unknown")
        await turn(200)
        journey.jump(1.1)
        assert await talk.take("debug") == first
        talk.answer(first, {"result": 1})
        assert (await asking).result == 1


async def test_outcome_nobody_knows_is_told_in_the_end() -> None:
    """The application is not kept waiting for ever."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        asking = asyncio.ensure_future(client.evaluate("1", session_id=SESSION))
        talk.refuse(await talk.take("evaluate"), "image_lost")
        await turn(200)
        journey.jump(10.1)
        talk.refuse(await talk.take("evaluate"), "outcome_unknown")
        with pytest.raises(CallFailedError) as told:
            await asking
        assert told.value.code == "outcome_unknown"


async def test_stopping_daemon_hands_its_requests_to_the_next() -> None:
    """A refusal because the daemon stops is no answer: the request goes to the one that comes after it."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        asking = asyncio.ensure_future(client.close_session(SESSION))
        talk.refuse(await talk.take("close_session"), "shutting_down")
        talk.closing(4400, "shutting_down", reconnect=True)
        talk = await daemon.greeted()
        talk.answer(await talk.take("close_session"), {"session_id": SESSION, "closed": True})
        assert (await asking).closed


async def test_request_that_always_cuts_is_given_up() -> None:
    """What was under way at cut after cut may be what cuts."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        asking = asyncio.ensure_future(client.evaluate("poison", session_id=SESSION))
        for _ in range(6):
            talk = await daemon.greeted(resumed=True)
            await talk.take("evaluate")
            talk.cut()
        await daemon.greeted(resumed=True)
        with pytest.raises(OutcomeUnknownError):
            await asking


async def test_call_that_is_cancelled_is_forgotten() -> None:
    """Nobody waits for its answer, which comes all the same."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        asking = asyncio.ensure_future(client.get_session_statistics())
        request = await talk.take("get_session_statistics")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        talk.answer(request, STATISTICS)
        talk.cut()
        talk = await daemon.greeted(resumed=True)
        asking2 = asyncio.ensure_future(client.ping("alone"))
        assert (await talk.read() or {})["parameters"]["message"] == "alone"
        asking2.cancel()


async def test_clients_that_start_before_their_daemon_find_it() -> None:
    """The order of starting does not matter."""
    daemon = ScriptedDaemon()
    async with daemon:
        await daemon.stop()
        async with lasting(daemon, patience=PATIENT) as client:
            async for status in client.statuses():
                if status.attempt >= 2:
                    break
            await daemon.start()
            await daemon.greeted()
            await client.connected()


async def test_client_that_was_not_started_says_how() -> None:
    """A call without `async with` is told what is missing."""
    with pytest.raises(RuntimeError, match="async with LastingClient"):
        await LastingClient("unix:///nowhere").ping()
