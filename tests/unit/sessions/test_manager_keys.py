"""Changes that are carried out once, however often they are sent."""

import asyncio

import pytest

from stui_sessiond.errors import (
    KeyReusedError,
    RequestError,
    SessionConflictError,
    SessionLimitError,
    SessionNotFoundError,
    StorageFullError,
)
from stui_sessiond.model.session import Session
from stui_sessiond.sessions.history import HistoryRules
from stui_sessiond.sessions.ledger import Once
from stui_sessiond.sessions.transitions import Change, Mode, NewSession
from stui_sessiond.sessions.validator import SessionRules
from tests.unit.bed.house import House, TestStorage, open_house

MERGE = Once("k", "update_session_state", "digest", "ada")
REVERT = Once("r", "revert_session", "digest", "ada")
SAVE = Once("s", "save_context", "digest", "ada")


async def add(house: House, session_id: str, **state: int) -> Session:
    """Merge something into a session, once."""
    return await house.manager.update(session_id, Change(state, Mode.MERGE), by="ada", once=MERGE)


# ---- create


async def test_create_with_a_key() -> None:
    """A repeat hands over the session that was started, also after a restart; another client's key is its own."""
    storage = TestStorage()
    wish = NewSession(client_id="ada", key="digest:k")
    async with open_house(storage) as house:
        first = (await house.manager.create(wish)).header.session_id
        assert (await house.manager.create(wish)).header.session_id == first
        other = (await house.manager.create(NewSession(client_id="bob", key="digest:k"))).header.session_id
        another = (await house.manager.create(NewSession(client_id="ada", key="digest:l"))).header.session_id
        assert len({first, other, another}) == 3
    async with open_house(storage) as house:
        assert (await house.manager.create(wish)).header.session_id == first
        assert [event.name for event in await house.log(first)] == ["session.created"]


async def test_create_with_a_key_that_named_another_one() -> None:
    """The same key for something else is a mistake of the sender."""
    async with open_house() as house:
        await house.manager.create(NewSession(client_id="ada", key="one:k"))
        with pytest.raises(KeyReusedError):
            await house.manager.create(NewSession(client_id="ada", key="other:k", name="x"))


async def test_create_with_a_key_at_once() -> None:
    """Many that are sent together start one session."""
    storage = TestStorage()
    async with open_house(storage, rules=SessionRules(max_per_client=1)) as house:
        wish = NewSession(client_id="ada", key="digest:k")
        made = await asyncio.gather(*(house.manager.create(wish) for _ in range(10)))
        assert len({session.header.session_id for session in made}) == 1
        assert len(storage.commits) == 1


async def test_create_with_a_key_that_fails() -> None:
    """Nothing was started, so the same key can be sent again."""
    storage = TestStorage()
    async with open_house(storage, rules=SessionRules(max_per_client=1)) as house:
        wish = NewSession(client_id="ada", key="digest:k")
        storage.failure = StorageFullError("the disk is full")
        done = await asyncio.gather(house.manager.create(wish), house.manager.create(wish), return_exceptions=True)
        assert [type(outcome) for outcome in done] == [StorageFullError] * 2
        storage.failure = None
        await house.manager.create(wish)
        with pytest.raises(SessionLimitError):
            await house.manager.create(NewSession(client_id="ada", key="digest:l"))


async def test_create_with_a_key_whose_client_leaves() -> None:
    """The session is started all the same, and a repeat gets it."""
    storage = TestStorage()
    async with open_house(storage) as house:
        wish = NewSession(client_id="ada", key="digest:k")
        storage.gate = asyncio.Event()
        leaver = asyncio.ensure_future(house.manager.create(wish))
        await storage.saving.get()
        leaver.cancel()
        again = asyncio.ensure_future(house.manager.create(wish))
        await asyncio.wait([leaver])
        storage.gate.set()
        assert [header.session_id for header in house.manager.of_client("ada")] in (
            [],
            [(await again).header.session_id],
        )
        assert len(storage.commits) == 1


# ---- changes


async def test_update_with_a_key() -> None:
    """A repeat changes nothing, tells nobody, and hands over what there was after the first one."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        first = await add(house, session_id, a=1)
        await house.put(session_id, b=2)
        again = await add(house, session_id, a=1)
        assert (again.state, again.header.version) == (first.state, 2) == ({"a": 1}, 2)
        assert again.header.last_modified == first.header.last_modified
        assert house.names(session_id) == ["session.updated"] * 2
        assert await house.state(session_id) == {"b": 2}
    async with open_house(storage) as house:
        again = await add(house, session_id, a=1)
        assert (again.state, again.header.version) == ({"a": 1}, 2)
        assert house.manager.header(session_id).version == 3


async def test_updates_with_a_key_at_once() -> None:
    """One of them changes the session."""
    async with open_house(TestStorage()) as house:
        session_id = await house.create()
        done = await asyncio.gather(*(add(house, session_id, a=1) for _ in range(10)))
        assert {session.header.version for session in done} == {2}
        assert house.manager.header(session_id).version == 2


async def test_update_with_a_key_that_is_refused() -> None:
    """It was not carried out: the same key can be sent again."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        with pytest.raises(SessionConflictError):
            await house.manager.update(session_id, Change({"a": 1}, expected_version=9), once=MERGE)
        storage.failure = StorageFullError("the disk is full")
        with pytest.raises(StorageFullError):
            await add(house, session_id, a=1)
        storage.failure = None
        assert (await add(house, session_id, a=1)).header.version == 2


async def test_update_with_a_key_that_named_another_request() -> None:
    """It is refused, whatever the command was."""
    async with open_house() as house:
        session_id = await house.create()
        await add(house, session_id, a=1)
        other = Once("k", "save_context", "another", "ada")
        for refused in (
            house.manager.update(session_id, Change({}), once=other),
            house.manager.save_context(session_id, "one", {}, once=other),
            house.manager.revert(session_id, None, 1, once=other),
        ):
            with pytest.raises(KeyReusedError):
                await refused
        assert house.manager.header(session_id).version == 2


async def test_update_with_a_key_whose_version_is_not_kept() -> None:
    """It was carried out, and that is said; nothing is done."""
    async with open_house(rules=SessionRules(history=HistoryRules(max_versions=2))) as house:
        session_id = await house.create()
        await add(house, session_id, a=1)
        for number in range(6):
            await house.put(session_id, n=number)
        with pytest.raises(RequestError) as caught:
            await add(house, session_id, a=1)
        assert (caught.value.code, caught.value.details) == (
            "outcome_not_kept",
            {"idempotency_key": "k", "version": 2},
        )
        assert house.manager.header(session_id).version == 8


async def test_save_and_revert_with_a_key() -> None:
    """The same for contexts and for going back, also after a restart."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.put(session_id, a=1)

        async def both(house: House) -> list[tuple[int, list[str]]]:
            save = house.manager.save_context(session_id, "one", {"workspace": {"x": 1}}, by="ada", once=SAVE)
            saved = await save
            back = await house.manager.revert(session_id, None, 1, by="ada", once=REVERT)
            return [(each.header.version, list(each.contexts)) for each in (saved, back)]

        first = await both(house)
        assert first == [(3, ["one"]), (4, [])]
        await house.put(session_id, a=2)
        assert await both(house) == first
        assert house.names(session_id).count("context.saved") == 1
    async with open_house(storage) as house:
        assert await both(house) == first
        assert house.manager.header(session_id).version == 5


async def test_key_goes_with_its_session() -> None:
    """What is remembered of requests is the session's."""
    async with open_house() as house:
        session_id = await house.create()
        await add(house, session_id, a=1)
        await house.manager.end(session_id, keep=False)
        with pytest.raises(SessionNotFoundError):
            await add(house, session_id, a=1)


# ---- shares


async def test_session_is_shared() -> None:
    """Who may take part is told, kept over a restart, and ended by `none`; versions stay as they are."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await house.create()
        await house.manager.share(session_id, "bob", "editor", by="ada")
        await house.manager.share(session_id, "tom", "viewer", by="ada")
        header = await house.manager.share(session_id, "tom", "none", by="ada")
        assert header.shares == {"bob": "editor"}
        assert [header.role_of(name) for name in ("ada", "bob", "tom")] == ["owner", "editor", "none"]
        assert house.heard[session_id][0].data == {"client_id": "bob", "role": "editor", "by": "ada"}
        assert house.names(session_id) == ["session.shared"] * 3
        assert header.version == 1
        await house.manager.restore(session_id, "bob")
    async with open_house(storage) as house:
        assert house.manager.header(session_id).shares == {"bob": "editor"}
