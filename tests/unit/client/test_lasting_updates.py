"""Updates that are made whether there is a connection or not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stui_sessiond.client import (
    CallFailedError,
    Conflict,
    ConflictError,
    ConnectionFailedError,
    LastingClient,
    OfflineError,
    OutcomeUnknownError,
    Refused,
    Saved,
    Superseded,
)
from stui_sessiond.wire.messages.context import ContextSections, SaveContext
from stui_sessiond.wire.messages.session import UpdateSessionState
from tests.unit.client.bed import SESSION, Journey, Json, ScriptedDaemon, Talk, lasting, saved_result, turn


def update(**members: object) -> UpdateSessionState:
    """An update that replaces the state."""
    return UpdateSessionState(SESSION, members)


async def restored(talk: Talk, version: int, state: object) -> None:
    """Answer the next restore_session."""
    result: Json = dict.fromkeys(("created_at", "last_modified", "client_id", "expires_at"), "")
    result |= {"workspace_context": {}, "inspector_state": {}, "object_registry": {}}
    result |= {"session_id": SESSION, "timeout": 1, "is_active": True, "session_state": state, "image_id": None}
    result |= {"name": None, "integrity": {"status": "ok"}, "version": version}
    talk.answer(await talk.take("restore_session"), result)


async def know(client: LastingClient, talk: Talk, version: int) -> None:
    """Let the client know the session at a version."""
    restoring = asyncio.ensure_future(client.restore_session(SESSION))
    await restored(talk, version, {})
    await restoring


async def offline(client: LastingClient, daemon: ScriptedDaemon, talk: Talk) -> None:
    """Cut the connection and keep the next one from being made."""
    await daemon.stop()
    talk.cut()
    async for status in client.statuses():
        if status.attempt >= 2:
            return


async def test_updates_made_offline_are_stored_on_return() -> None:
    """They are joined where one replaces another, keep their order, and say what they were made from."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await know(client, talk, 5)
        await offline(client, daemon, talk)
        first = client.save(update(a=1))
        second = client.save(update(a=2))
        third = client.save(UpdateSessionState(SESSION, {"b": 3}, mode="merge"))
        context = client.save(SaveContext(SESSION, "tool", ContextSections(client={"n": 1})))
        assert isinstance(first.outcome, Superseded)
        assert client.status.unsaved == 3
        assert [type(each).__name__ for each in client.unsaved()] == ["UpdateSessionState"] * 2 + ["SaveContext"]
        await daemon.start()
        talk = await daemon.greeted(resumed=True)
        request = (await talk.take("update_session_state"))["parameters"]
        assert (request["state_data"], request["expected_version"], request["on_conflict"]) == ({"a": 2}, 5, "merge")
        assert request["idempotency_key"]
        talk.answer(_last(talk), saved_result(6, {"a": 2}))
        request = (await talk.take("update_session_state"))["parameters"]
        assert (request["state_data"], request["expected_version"], request["mode"]) == ({"b": 3}, 6, "merge")
        talk.answer(_last(talk), saved_result(7, {"a": 2, "b": 3}))
        await talk.take("save_context")
        saved: Json = {"session_id": SESSION, "tool_id": "tool", "saved": True, "checksum": "", "saved_at": ""}
        talk.answer(_last(talk), {**saved, "size_bytes": 1, "version": 8})
        await client.flush()
        assert (await first.result()) is (await second.result())
        assert isinstance(await third.wait(), Saved)
        assert isinstance(context.outcome, Saved)
        assert (client.status.unsaved, client.unsaved()) == (0, [])


def _last(talk: Talk) -> Json:
    assert talk.last is not None
    return talk.last


async def test_update_under_way_at_a_cut_is_stored_once() -> None:
    """It is sent again as it was, under its key; the next one builds on it."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await know(client, talk, 5)
        storing = asyncio.ensure_future(client.update_session_state(update(a=1)))
        first = await talk.take("update_session_state")
        second = client.save(update(a=2))
        talk.cut()
        talk = await daemon.greeted(resumed=True)
        again = await talk.take("update_session_state")
        assert again == first
        talk.answer(again, saved_result(6, {"a": 1}))
        assert (await storing).version == 6
        request = await talk.take("update_session_state")
        assert (request["parameters"]["expected_version"], request["parameters"]["state_data"]) == (6, {"a": 2})
        talk.answer(request, saved_result(7, {"a": 2}))
        assert isinstance(await second.wait(), Saved)


CONFLICT: dict[str, Any] = {
    "version": 7,
    "conflicts": ["/a"],
    "base": {"a": 0},
    "ours": {"a": 1},
    "theirs": {"a": 9},
}


async def test_conflict_is_told_with_all_three_states() -> None:
    """Without somebody who decides, the update is not stored, and its writer gets what it takes to decide."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        storing = asyncio.ensure_future(client.update_session_state(update(a=1)))
        talk.refuse(await talk.take("update_session_state"), "session_conflict", **CONFLICT)
        with pytest.raises(ConflictError) as told:
            await storing
        conflict = told.value.conflict
        assert (conflict.base, conflict.ours, conflict.theirs) == ({"a": 0}, {"a": 1}, {"a": 9})
        assert (conflict.version, conflict.paths, told.value.code) == (7, ["/a"], "session_conflict")


async def test_conflict_without_states_is_completed() -> None:
    """If the daemon did not compare, the present state is asked for."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        delivery = client.save(update(a=1))
        talk.refuse(await talk.take("update_session_state"), "session_conflict", version=7, expected_version=5)
        await restored(talk, 8, {"a": 9})
        outcome = await delivery.wait()
        assert isinstance(outcome, Conflict)
        assert (outcome.ours, outcome.theirs, outcome.base, outcome.version) == ({"a": 1}, {"a": 9}, None, 8)
        with pytest.raises(ConflictError):
            await delivery.result()


async def test_conflict_is_settled_by_who_was_given_for_it() -> None:
    """What it gives is stored over their version, under a key of its own."""
    seen: list[Conflict] = []

    async def resolve(conflict: Conflict) -> dict[str, Any] | None:
        seen.append(conflict)
        return {**conflict.theirs, **conflict.ours}

    async with ScriptedDaemon() as daemon, lasting(daemon, resolve=resolve) as client:
        talk = await daemon.greeted()
        delivery = client.save(update(a=1))
        first = await talk.take("update_session_state")
        talk.refuse(first, "session_conflict", **{**CONFLICT, "theirs": {"a": 9, "b": 2}})
        second = await talk.take("update_session_state")
        asked = second["parameters"]
        assert (asked["state_data"], asked["expected_version"], asked["mode"]) == ({"a": 1, "b": 2}, 7, "replace")
        assert asked["idempotency_key"] != first["parameters"]["idempotency_key"]
        talk.answer(second, saved_result(8, {"a": 1, "b": 2}))
        assert isinstance(await delivery.wait(), Saved)
        assert len(seen) == 1


async def test_conflict_that_nobody_wants_to_settle_leaves_theirs() -> None:
    """None, or a fault of who decides, leaves the session as it is; the next update goes on."""
    answers = iter([None, ZeroDivisionError()])

    async def resolve(conflict: Conflict) -> dict[str, Any] | None:
        del conflict
        answer = next(answers)
        if answer is not None:
            raise answer
        return None

    async with ScriptedDaemon() as daemon, lasting(daemon, resolve=resolve) as client:
        talk = await daemon.greeted()
        for _ in range(2):
            delivery = client.save(update(a=1))
            talk.refuse(await talk.take("update_session_state"), "session_conflict", **CONFLICT)
            assert isinstance(await delivery.wait(), Conflict)
        delivery = client.save(update(a=1))
        talk.answer(await talk.take("update_session_state"), saved_result(9, {"a": 1}))
        assert isinstance(await delivery.wait(), Saved)


async def test_refused_update_is_told_and_does_not_hold_the_next() -> None:
    """Another error is the outcome; what waits behind is sent."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        first = client.save(update(a=1))
        talk.refuse(await talk.take("update_session_state"), "session_too_large")
        outcome = await first.wait()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, CallFailedError)
        with pytest.raises(CallFailedError):
            await first.result()


async def test_waiting_for_an_update_has_an_end() -> None:
    """With a time, or where it should not wait at all; in the queue it stays unless it was never taken."""
    journey = Journey()
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        with pytest.raises(OfflineError, match="nothing was sent"):
            await client.within(wait=False).update_session_state(update(a=1))
        assert client.unsaved() == []
        waiting = asyncio.ensure_future(client.within(5.0).update_session_state(update(a=1)))
        await turn()
        journey.jump(5.1)
        with pytest.raises(OfflineError, match="stays in the queue"):
            await waiting
        assert len(client.unsaved()) == 1


async def test_update_that_waits_hears_of_a_failure_and_stays() -> None:
    """Its writer does not wait in vain; if the connection comes back after all, it is stored."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await know(client, talk, 5)
        storing = asyncio.ensure_future(client.update_session_state(update(a=1)))
        first = await talk.take("update_session_state")
        talk.closing(4001, "authentication_failed", reconnect=False)
        with pytest.raises(ConnectionFailedError):
            await storing
        with pytest.raises(ConnectionFailedError):
            client.save(update(a=2))
        assert len(client.unsaved()) == 1
        client.reconnect(token="new")
        talk = await daemon.greeted(resumed=True)
        again = await talk.take("update_session_state")
        assert again["parameters"] == first["parameters"]
        talk.answer(again, saved_result(6, {"a": 1}))
        await client.flush()


async def test_updates_left_at_the_end_are_told() -> None:
    """Nothing is dropped without a word: one that was not sent did not happen, one that was may have."""
    async with ScriptedDaemon() as daemon:
        async with lasting(daemon) as client:
            talk = await daemon.greeted()
            sent = client.save(update(a=1))
            await talk.take("update_session_state")
            unsent = client.save(UpdateSessionState(SESSION, {"b": 1}, mode="merge"))
        assert isinstance(sent.outcome, Refused)
        assert isinstance(sent.outcome.error, OutcomeUnknownError)
        assert isinstance(unsent.outcome, Refused)
        assert isinstance(unsent.outcome.error, ConnectionFailedError)


async def test_sessions_do_not_wait_for_each_other() -> None:
    """An update that the daemon takes its time over holds only those of its own session."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        slow = client.save(update(a=1))
        request = await talk.take("update_session_state")
        quick = client.save(UpdateSessionState("session_other", {}))
        talk.answer(await talk.take("update_session_state"), {**saved_result(2), "session_id": "session_other"})
        assert isinstance(await quick.wait(), Saved)
        assert slow.outcome is None
        talk.answer(request, saved_result(2, {"a": 1}))
        await client.flush()
