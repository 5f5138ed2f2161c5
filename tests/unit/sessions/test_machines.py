"""Machines and transitions in a manager: what is durable, who hears what, what costs nothing."""

import asyncio
from typing import Any

import msgspec
import pytest

from stui_sessiond.errors import (
    ChangeNotAllowedError,
    KeyReusedError,
    MachineMissingError,
    SessionTooLargeError,
    StateInvalidError,
    StorageError,
    StuiError,
    TransitionNotYoursError,
    TransitionRequiredError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.model.machine import Who
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.sessions.ledger import Once
from stui_sessiond.sessions.machines import Declaration, Machines
from stui_sessiond.sessions.shared_state import Wish, declared, require_satisfied, who_of, written_down
from stui_sessiond.sessions.transitions import Mode
from stui_sessiond.sessions.validator import SessionRules
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.storage.session_file import decode_session, encode_session
from stui_sessiond.wire.bundle import Bundle
from tests.unit.bed.game import HIDDEN, MACHINE
from tests.unit.bed.house import House, Listener, TestStorage, open_house

DEFINITION = written_down(MACHINE)


async def a_table(house: House) -> SessionId:
    """Start a game with two players and somebody who looks on."""
    session_id = await house.create("table", machine=DEFINITION, state=declared(DEFINITION).machine.initial)
    for client in ("one", "two", "viewer"):
        await house.manager.share(session_id, client, "viewer", by="table")
    return session_id


class Table:
    """Machines of a house, asked by client id."""

    def __init__(self, house: House) -> None:
        self.machines = Machines(house.keeper, house.manager)

    async def make(
        self,
        session_id: str,
        client: str,
        transition: str,
        change: Any = None,  # noqa: ANN401 -- any JSON
        **more: Any,  # noqa: ANN401 -- any JSON
    ) -> Session:
        """Make a transition."""

        def asker(header: SessionHeader) -> Who:
            return who_of(client, "client", None, header)

        wish = Wish(transition, {} if change is None else change, more.pop("mode", Mode.MERGE))
        return await self.machines.apply(session_id, wish, asker, **more)


async def test_bundle_is_built_once_for_each_view() -> None:
    """However many listen, an event is written once for each way in which it is seen."""
    async with open_house() as house:
        session_id = await a_table(house)
        bundles: list[Bundle] = []

        class Taker(Listener):
            def take(self, bundle: Bundle) -> bool:
                bundles.append(bundle)
                return super().take(bundle)

        listeners = [Taker(client) for client in ("one", "two", "viewer", "viewer", "viewer", None, "table", "two")]
        for listener in listeners:
            await house.listen(session_id, listener)
        await house.keeper.settle()
        bundles.clear()
        await Table(house).make(session_id, "one", "draw", {HIDDEN: {"one": "ace"}})
        assert len(bundles) == len(listeners)
        assert len({id(bundle) for bundle in bundles}) == 4
        whole = [each.heard[-1].data["session_state"][HIDDEN] for each in (listeners[0], listeners[6])]
        assert whole == [{"one": "ace"}] * 2
        assert [HIDDEN in each.heard[-1].data["session_state"] for each in listeners[2:6]] == [False] * 4
        numbers = {each.numbers[-1] for each in listeners}
        assert len(numbers) == 1


async def test_session_without_a_machine_asks_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events are told without a look at views."""
    monkeypatch.setattr("stui_sessiond.sessions.hub.shown", None)
    monkeypatch.setattr("stui_sessiond.sessions.hub.participant", None)
    async with open_house() as house:
        session_id = await house.create()
        await house.put(session_id, n=1)
        assert house.listener.heard[-1].data["session_state"] == {"n": 1}


async def test_patches_of_a_view_lead_from_state_to_state() -> None:
    """Whoever applies them has what his view shows, also over changes that he does not see."""
    import jsonpatch  # noqa: PLC0415 -- as the code has it

    async with open_house() as house:
        session_id = await a_table(house)
        table = Table(house)
        two = Listener("two")
        start = await house.listen(session_id, two, deltas=True)
        document: Any = {"state": {"status": "open", "turn": "one", "points": 0, HIDDEN: {}}}
        await table.make(session_id, "two", "draw", {HIDDEN: {"two": "king"}})
        await table.make(session_id, "one", "draw", {HIDDEN: {"one": "ace"}})
        await table.make(session_id, "one", "play", {"turn": "two", "points": 1})
        late = Listener("two")
        await house.listen(session_id, late, start.position, deltas=True)
        updates = [heard for heard in two.heard if heard.name == "session.updated"]
        assert [heard.data["mode"] for heard in updates] == ["transition", "hidden", "transition"]
        for heard in updates:
            document = jsonpatch.apply_patch(document, heard.data["patch"])
        assert document["state"] == {"status": "open", "turn": "two", "points": 1, HIDDEN: {"two": "king"}}
        assert [heard.data for heard in late.heard if heard.name == "session.updated"] == [
            heard.data for heard in updates
        ]


async def test_transition_is_durable_or_has_not_happened() -> None:
    """When the disk says no, the state is what it was, and nobody heard of it."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await a_table(house)
        table = Table(house)
        heard = len(house.listener.heard)
        storage.failure = StorageError("the disk is full")
        with pytest.raises(StorageError):
            await table.make(session_id, "one", "play", {"turn": "two", "points": 1})
        storage.failure = None
        assert (await house.state(session_id))["points"] == 0
        assert len(house.listener.heard) == heard
        assert table.machines.totals == {"storage_failed": 1}
        await table.make(session_id, "one", "play", {"turn": "two", "points": 1})
        assert table.machines.counts(session_id) == {"play": {"storage_failed": 1, "applied": 1}}


async def test_same_key_makes_a_transition_once() -> None:
    """A repeat tells the first outcome; another request under the key is a mistake."""
    async with open_house() as house:
        session_id = await a_table(house)
        table = Table(house)
        once = Once("k", "apply_transition", "digest", "one")
        for _ in range(2):
            after = await table.make(session_id, "one", "play", {"turn": "two", "points": 1}, once=once)
            assert (after.header.version, after.state["points"]) == (2, 1)
        with pytest.raises(KeyReusedError):
            await table.make(session_id, "one", "draw", once=msgspec.structs.replace(once, digest="other"))


async def test_two_who_act_at_once_act_one_after_the_other() -> None:
    """The second is judged by the state that the first has left."""
    async with open_house() as house:
        session_id = await a_table(house)
        table = Table(house)
        change = {"turn": "two", "points": 1}
        found = await asyncio.gather(
            *(table.make(session_id, "one", "play", change) for _ in range(5)), return_exceptions=True
        )
        assert [type(each).__name__ for each in found].count("Session") == 1
        assert [getattr(each, "code", "ok") for each in found].count("guard_failed") == 4


async def test_only_transitions_change_the_state() -> None:
    """Contexts are saved as ever; a snapshot is taken; to go back is for the owner and a role."""
    async with open_house() as house:
        session_id = await a_table(house)
        with pytest.raises(TransitionRequiredError):
            await house.put(session_id, status="over")
        await house.manager.save_context(session_id, "default", {"client": {"a": 1}}, by="one")
        with pytest.raises(StuiError) as refused:
            await house.manager.revert(session_id, None, 1, by="one")
        assert refused.value.code == "revert_not_allowed"
        plain = await house.create()
        with pytest.raises(MachineMissingError):
            await Table(house).make(plain, "one", "play")


async def test_revert_that_the_present_machine_does_not_take() -> None:
    """A state of before is no way around the schema."""
    async with open_house() as house:
        session_id = await house.create("table")
        await house.put(session_id, anything="goes")
        table = Table(house)
        wish = Declaration(DEFINITION, reset=True, expected_version=2)
        declared_now = await table.machines.declare(session_id, wish, "table")
        assert declared_now.state == declared(DEFINITION).machine.initial

        def owner(header: SessionHeader) -> Who:
            return who_of("table", "client", None, header)

        with pytest.raises(StateInvalidError):
            await house.manager.revert(session_id, None, 2, asker=owner, by="table")
        with pytest.raises(StateInvalidError):
            await table.machines.declare(
                await house.create("table"), Declaration(DEFINITION, reset=False, expected_version=None), "table"
            )


async def test_change_is_about_what_is_seen() -> None:
    """With mode `replace` what is hidden stays; a patch cannot read it."""
    async with open_house() as house:
        session_id = await a_table(house)
        table = Table(house)
        await table.make(session_id, "two", "draw", {HIDDEN: {"two": "king"}})
        seen = {"status": "open", "turn": "two", "points": 1, HIDDEN: {}}
        after = await table.make(session_id, "one", "play", seen, mode=Mode.REPLACE)
        assert after.state[HIDDEN] == {"two": "king"}
        spying = [{"op": "copy", "from": f"/{HIDDEN}/two", "path": f"/{HIDDEN}/one"}]
        with pytest.raises(StuiError) as refused:
            await table.make(session_id, "one", "draw", spying, mode=Mode.PATCH)
        assert refused.value.code == "invalid_patch"
        with pytest.raises(ChangeNotAllowedError) as blind:
            await table.make(session_id, "one", "draw", {HIDDEN: {"two": "x"}})
        assert blind.value.details["places"] == [f"/{HIDDEN}/two"]
        with pytest.raises(TransitionNotYoursError):
            await table.make(session_id, "viewer", "draw", {HIDDEN: {"one": "x"}})


async def test_machine_is_there_after_a_restart() -> None:
    """It comes from the disk with the session, and goes on as before."""
    storage = MemoryStorage()
    async with open_house(storage) as house:
        session_id = await a_table(house)
        await Table(house).make(session_id, "one", "play", {"turn": "two", "points": 1})
    async with open_house(storage) as house:
        after = await Table(house).make(session_id, "two", "play", {"turn": "one", "points": 2}, expected_version=2)
        assert after.machine is not None
        assert (after.machine.definition, after.header.machine_version) == (DEFINITION, 1)
        assert [entry.what for entry in after.history.entries] == ["transition:play"] * 2


async def test_session_file_holds_the_machine_as_json() -> None:
    """A person can read it; what is read back is the same."""
    async with open_house() as house:
        session = await house.manager.session(await a_table(house))
        data = encode_session(session, "store", 7)
        assert msgspec.json.decode(data)["session"]["machine"]["definition"] == MACHINE
        assert decode_session(data, "store").session == session


async def test_error_of_size_tells_no_size_to_who_does_not_see_all() -> None:
    """How large the whole is would tell how much is hidden."""
    async with open_house(rules=SessionRules(max_bytes=6000)) as house:
        session_id = await a_table(house)
        with pytest.raises(SessionTooLargeError) as refused:
            await Table(house).make(session_id, "one", "draw", {HIDDEN: {"one": "x" * 6000}})
        assert refused.value.details == {}
        assert not any(sign.isdigit() for sign in refused.value.message)


async def test_state_that_is_larger_than_the_machine_takes() -> None:
    """It is refused before anything is asked of it; who does not see all is not told the size."""
    async with open_house() as house:
        session_id = await a_table(house)
        large = {HIDDEN: {"one": "x" * 2_000_000}}
        with pytest.raises(SessionTooLargeError) as refused:
            await Table(house).make(session_id, "one", "draw", large)
        assert refused.value.details == {}
        limit = declared(DEFINITION).max_state_bytes
        with pytest.raises(SessionTooLargeError) as refused:
            require_satisfied(declared(DEFINITION), large, None)
        assert refused.value.details == {
            "size_bytes": 2_000_000 + len(msgspec.json.encode({HIDDEN: {"one": ""}})),
            "limit_bytes": limit,
        }


async def test_machine_counts_as_part_of_the_session() -> None:
    """It is in the size that is bounded."""
    async with open_house() as house:
        session_id = await house.create("table")
        size_bytes = house.manager.size_bytes(session_id)
        wish = Declaration(DEFINITION, reset=True, expected_version=None)
        await Table(house).machines.declare(session_id, wish, "table")
        assert house.manager.size_bytes(session_id) > size_bytes + len(DEFINITION)
