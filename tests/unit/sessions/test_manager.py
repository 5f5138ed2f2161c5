"""The SessionManager's commands: what each does, and when it refuses."""

import asyncio
from typing import Any

import pytest

from stui_sessiond.errors import (
    ClientNotAllowedError,
    ParameterError,
    SessionClosedError,
    SessionConflictError,
    SessionDamagedError,
    SessionExpiredError,
    SessionLimitError,
    SessionNotFoundError,
    SessionNotOwnedError,
    SessionTooLargeError,
    StuiError,
)
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.security.access import AccessLists
from stui_sessiond.sessions.transitions import Change, Mode, NewSession
from stui_sessiond.sessions.validator import SessionRules
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.house import TestStorage, a_session, open_house

NOBODY = SessionId("session_9_9_nobody")

# ---- create


async def test_create_makes_an_active_session() -> None:
    """It has an id of our kind, version 1, and the wishes that were made."""
    async with open_house() as house:
        wish = NewSession(client_id="ada", timeout_s=60, image_id="pharo", name="work", config={"a": 1})
        session = await house.manager.create(wish)
        header = session.header
        assert header.session_id.startswith("session_1_1700000000_")
        assert (header.version, header.timeout_s, header.image_id, header.name) == (1, 60, "pharo", "work")
        assert (header.expires_at, session.config) == (house.clock.now + 60, {"a": 1})
        assert (await house.manager.restore(header.session_id)).session == session


async def test_create_numbers_sessions_on_after_a_restart() -> None:
    """The counter in the id goes on where it was, also past sessions that are damaged."""
    storage = TestStorage()
    async with open_house(storage) as house:
        await house.create()
        await house.create()
    storage.damaged = frozenset({SessionId("session_7_1_x"), SessionId("session_by_hand")})
    async with open_house(storage) as house:
        assert (await house.create()).startswith("session_8_")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (NewSession(client_id="a\nb"), "client_id"),
        (NewSession(client_id="ada", name="a\x00"), "name"),
        (NewSession(client_id="ada", image_id=" x"), "image_id"),
        (NewSession(client_id="ada", timeout_s=1e9), "timeout"),
    ],
)
async def test_create_with_a_wrong_wish(wish: NewSession, field: str) -> None:
    """The error names the field, and nothing is stored."""
    async with open_house() as house:
        with pytest.raises(ParameterError) as caught:
            await house.manager.create(wish)
        assert caught.value.details["field"] == field
        assert house.storage.status().sessions == 0


async def test_create_for_a_client_that_is_kept_out() -> None:
    """The operator's lists decide."""
    async with open_house(clients=AccessLists(deny=("bad*",))) as house:
        with pytest.raises(ClientNotAllowedError):
            await house.create("bad-1")
        await house.create("good")


async def test_create_up_to_the_limit() -> None:
    """A client has five active sessions; another client has its own five; a closed one makes room."""
    async with open_house() as house:
        mine = [await house.create() for _ in range(5)]
        with pytest.raises(SessionLimitError) as caught:
            await house.create()
        assert caught.value.details == {"limit": 5}
        await house.create("bob")
        await house.manager.end(mine[0], keep=True)
        await house.create()


async def test_create_when_older_ones_expired() -> None:
    """An expired session does not count."""
    async with open_house(rules=SessionRules(max_per_client=1)) as house:
        await house.create()
        house.clock.pass_time(3600)
        await house.create()


async def test_create_too_large() -> None:
    """The configuration that came with it counts."""
    async with open_house(rules=SessionRules(max_bytes=1000)) as house:
        with pytest.raises(SessionTooLargeError):
            await house.create(config={"a": "x" * 1000})


# ---- restore


async def test_restore_of_nobody() -> None:
    """Unknown ids and impossible ids are the same to a client."""
    async with open_house() as house:
        for session_id in (NOBODY, "../etc/passwd", ""):
            with pytest.raises(SessionNotFoundError):
                await house.manager.restore(session_id)


async def test_restore_by_the_owner_and_others() -> None:
    """Who names a client has to name the owner; who names none is let in."""
    async with open_house(clients=AccessLists(deny=("bad",))) as house:
        session_id = await house.create("ada")
        await house.manager.restore(session_id, "ada")
        await house.manager.restore(session_id)
        with pytest.raises(SessionNotOwnedError) as caught:
            await house.manager.restore(session_id, "bob")
        assert caught.value.details == {"session_id": session_id}
        with pytest.raises(SessionNotOwnedError):
            await house.manager.restore(session_id, "bad")


async def test_sessions_of_a_client_that_was_denied_later() -> None:
    """The operator's list holds for what a client made before, whoever asks for it; looking at the header is free."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create("ada")
        other = await house.create("bob")
    commits = len(storage.commits)
    async with open_house(storage, clients=AccessLists(deny=("ada",))) as house:
        manager = house.manager
        for refused in (
            manager.restore(session_id),
            manager.restore(session_id, "ada", reopen=True),
            manager.update(session_id, Change({"a": 1})),
            manager.save_context(session_id, "one", {}),
            manager.clear_context(session_id, None),
            manager.session(session_id),
            manager.snapshot(session_id, "name"),
            manager.revert(session_id, None, 1),
            manager.bind_image(session_id, ImageId("pharo")),
            manager.end(session_id, keep=False),
        ):
            with pytest.raises(ClientNotAllowedError):
                await refused
        assert manager.header(session_id).client_id == "ada"
        await manager.restore(other, "bob")
    assert len(storage.commits) == commits


async def test_restore_counts_as_activity() -> None:
    """It puts off expiry."""
    async with open_house() as house:
        session_id = await house.create()
        house.clock.pass_time(3599)
        await house.manager.restore(session_id)
        house.clock.pass_time(3599)
        await house.manager.restore(session_id)


async def test_restore_of_an_expired_session() -> None:
    """It is refused until it is reopened; the error says how and how long."""
    async with open_house() as house:
        session_id = await house.create()
        await house.put(session_id, a=1)
        house.clock.pass_time(3600)
        with pytest.raises(SessionExpiredError) as caught:
            await house.manager.restore(session_id)
        assert caught.value.details["retained_until"] == "2023-12-14T23:13:20.000Z"
        restored = await house.manager.restore(session_id, reopen=True)
        assert restored.session.state == {"a": 1}
        assert house.names(session_id)[-1] == "session.reopened"
        assert await house.state(session_id) == {"a": 1}


async def test_restore_of_a_closed_session() -> None:
    """The same; and it stays open after a restart."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.manager.end(session_id, keep=True)
        with pytest.raises(SessionClosedError):
            await house.manager.restore(session_id)
        await house.manager.restore(session_id, reopen=True)
    async with open_house(storage) as house:
        await house.manager.restore(session_id)


async def test_reopening_one_too_many() -> None:
    """The limit holds for sessions that come back, too."""
    async with open_house(rules=SessionRules(max_per_client=1)) as house:
        old = await house.create()
        await house.manager.end(old, keep=True)
        await house.create()
        with pytest.raises(SessionLimitError):
            await house.manager.restore(old, reopen=True)
        with pytest.raises(SessionClosedError):
            await house.manager.restore(old)


async def test_restore_of_a_damaged_session() -> None:
    """What was found damaged at the start is reported as damaged, not as missing."""
    storage = TestStorage()
    storage.damaged = frozenset({NOBODY})
    async with open_house(storage) as house:
        with pytest.raises(SessionDamagedError):
            await house.manager.restore(NOBODY)


async def test_session_that_vanished_from_the_storage() -> None:
    """Somebody deleted its file: that is damage."""
    storage = TestStorage()
    async with open_house(storage) as house:
        await house.create()
    async with open_house(storage) as house:
        session_id = house.manager.of_client("ada")[0].session_id
        await storage.inner.remove(session_id)
        with pytest.raises(SessionDamagedError):
            await house.manager.restore(session_id)


# ---- update


@pytest.mark.parametrize(
    ("change", "state", "patch"),
    [
        (
            Change({"b": 2}),
            {"b": 2},
            [{"op": "remove", "path": "/state/a"}, {"op": "add", "path": "/state/b", "value": 2}],
        ),
        (Change({"b": 2}, Mode.MERGE), {"a": 1, "b": 2}, [{"op": "add", "path": "/state/b", "value": 2}]),
        (Change([{"op": "remove", "path": "/a"}], Mode.PATCH), {}, [{"op": "remove", "path": "/state/a"}]),
    ],
)
async def test_update_in_each_mode(change: Change, state: dict[str, Any], patch: list[Any]) -> None:
    """It is stored, told to subscribers with the steps and the whole, and there after a restart."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.put(session_id, a=1)
        changed = await house.manager.update(session_id, change)
        assert (changed.state, changed.header.version) == (state, 3)
        assert house.heard[session_id][-1].data == {
            "client_id": "ada",
            "version": 3,
            "mode": change.mode.value,
            "patch": patch,
            "session_state": state,
        }
    async with open_house(storage) as house:
        assert await house.state(session_id) == state


async def test_update_that_is_refused() -> None:
    """Conflict, size, owner: nothing changes and nobody hears of it."""
    async with open_house(rules=SessionRules(max_bytes=2000)) as house:
        session_id = await house.create()
        refusals: list[tuple[type[StuiError], Change, str | None]] = [
            (SessionConflictError, Change({}, expected_version=2), None),
            (SessionTooLargeError, Change({"a": "x" * 2000}), None),
            (SessionNotOwnedError, Change({"a": 1}), "bob"),
        ]
        for kind, change, client in refusals:
            with pytest.raises(kind):
                await house.manager.update(session_id, change, client)
        assert await house.state(session_id) == {}
        assert house.names(session_id) == []


async def test_update_of_a_session_that_is_over() -> None:
    """Expired on time, to the second; closed at once."""
    async with open_house() as house:
        session_id, closed = await house.create(), await house.create()
        await house.manager.end(closed, keep=True)
        with pytest.raises(SessionClosedError):
            await house.put(closed)
        house.clock.pass_time(3599.9)
        await house.put(session_id)
        house.clock.pass_time(3600)
        with pytest.raises(SessionExpiredError):
            await house.put(session_id)


# ---- close


async def test_close_and_keep() -> None:
    """It is listed only among the inactive ones, cannot be closed twice, and is stored."""
    async with open_house() as house:
        session_id = await house.create()
        await house.manager.end(session_id, keep=True)
        assert house.heard[session_id][-1].data == {"kept": True}
        assert house.manager.of_client("ada") == []
        assert len(house.manager.of_client("ada", inactive=True)) == 1
        for refused in (house.manager.end(session_id, keep=True), house.manager.end(session_id, keep=False)):
            with pytest.raises(SessionClosedError):
                await refused
        with pytest.raises(SessionClosedError):
            house.manager.header(session_id)


async def test_close_and_forget() -> None:
    """Nothing is left of it."""
    async with open_house() as house:
        session_id = await house.create()
        await house.manager.end(session_id, keep=False)
        assert house.heard[session_id][-1].data == {"kept": False}
        with pytest.raises(SessionNotFoundError):
            await house.manager.restore(session_id, reopen=True)
        assert house.manager.of_client("ada", inactive=True) == []
        assert house.storage.status().sessions == 0
        assert house.hub.attached(session_id) == []
        assert house.listener.gone == [session_id]


async def test_close_while_others_wait() -> None:
    """A request that waited for the session while it was deleted finds none."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        first = asyncio.ensure_future(house.put(session_id, a=1))
        gone = asyncio.ensure_future(house.manager.end(session_id, keep=False))
        late = asyncio.ensure_future(house.put(session_id, a=2))
        await storage.saving.get()
        storage.gate.set()
        await first
        await gone
        with pytest.raises(SessionNotFoundError):
            await late


# ---- looking


async def test_headers_and_counts() -> None:
    """Lists are in order of creation, counts are of active sessions."""
    clock = FakeClock()
    async with open_house(clock=clock) as house:
        first = await house.create("ada", image_id="pharo")
        clock.pass_time(1)
        second = await house.create("ada", image_id="pharo", timeout_s=10)
        await house.create("bob", image_id="amber")
        manager = house.manager
        assert [header.session_id for header in manager.of_client("ada")] == [first, second]
        assert manager.count_by_image() == {"pharo": 2, "amber": 1}
        assert (manager.totals().sessions, manager.totals().clients) == (3, 2)
        clock.pass_time(10)
        assert manager.of_image(ImageId("pharo")) == [first]
        assert manager.header(second).session_id == second
        assert manager.of_client("nobody") == []
        await house.put(first, text="x" * 100)
        assert 100 < manager.size_bytes(first) < 200
        with pytest.raises(SessionNotFoundError):
            manager.header(NOBODY)


def test_session_made_for_tests_is_like_the_managers() -> None:
    """The example that other tests use has an id that the validator takes."""
    assert a_session().header.session_id == "session_1_1700000000_abc"
