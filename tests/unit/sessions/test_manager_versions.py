"""The SessionManager's versions: history, snapshots, reverting, and merging what two clients did."""

from typing import Any

import pytest

from stui_sessiond.errors import (
    MessageTooDeepError,
    ParameterError,
    SessionClosedError,
    SessionConflictError,
    SessionExpiredError,
    SessionNotOwnedError,
    SessionTooLargeError,
    VersionNotFoundError,
)
from stui_sessiond.ids import ImageId, SessionId, ToolId
from stui_sessiond.sessions.history import HistoryRules
from stui_sessiond.sessions.transitions import MAX_SNAPSHOTS, Change
from stui_sessiond.sessions.validator import SessionRules
from tests.unit.bed.house import House, TestStorage, open_house


async def a_history(house: House, count: int = 5) -> SessionId:
    """Create a session whose state counts its versions."""
    session_id = await house.create()
    for version in range(2, count + 1):
        await house.put(session_id, n=version)
    return session_id


def merging(expected: int, **state: Any) -> Change:  # noqa: ANN401 -- any JSON
    """A change that would rather be merged than refused."""
    return Change(state, expected_version=expected, merge_on_conflict=True)


# ---- history


async def test_every_change_is_a_version() -> None:
    """Who, when, what and how are told, the same after a restart; closing, reopening and binding are none."""
    storage = TestStorage()
    async with open_house(storage) as house:
        manager, session_id = house.manager, await house.create()
        await manager.update(session_id, Change({"a": 1}), "ada")
        house.clock.pass_time(5)
        await manager.save_context(session_id, "one", {"workspace": {}})
        await manager.clear_context(session_id, None)
        await manager.clear_context(session_id, None)
        await manager.bind_image(session_id, ImageId("pharo"))
        await manager.end(session_id, keep=True)
        await manager.restore(session_id, reopen=True)
        await manager.snapshot(session_id, "name")
        await manager.revert(session_id, None, 1)
        history = (await manager.session(session_id)).history
        assert [(entry.version, entry.what, entry.client_id) for entry in history.entries] == [
            (2, "updated", "ada"),
            (3, "context.saved", None),
            (4, "context.cleared", None),
            (5, "reverted", None),
        ]
        assert history.entries[1].at - history.entries[0].at == 5
        assert history.base_version == 1
    async with open_house(storage) as house:
        assert (await house.manager.session(session_id)).history == history


async def test_history_is_bounded_by_the_rules() -> None:
    """What the operator set is what is kept."""
    rules = SessionRules(history=HistoryRules(max_versions=4))
    async with open_house(rules=rules) as house:
        session_id = await a_history(house, 12)
        history = (await house.manager.session(session_id)).history
        assert len(history.entries) <= 4
        with pytest.raises(VersionNotFoundError) as caught:
            await house.manager.revert(session_id, None, history.base_version - 1)
        assert caught.value.details == {"oldest_version": history.base_version, "version": 12}
        assert (await house.manager.revert(session_id, None, history.base_version)).header.version == 13


async def test_change_is_stored_as_its_steps() -> None:
    """What goes to the storage is the new version's entry, on top of the version before; only a snapshot is whole."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await a_history(house, 3)
        await house.manager.bind_image(session_id, ImageId("pharo"))
        await house.manager.snapshot(session_id, "name")
    told = [
        (change.base_version, change.entry.version if change.entry else None, change.whole)
        for change in storage.commits
    ]
    assert told == [(0, None, True), (1, 2, False), (2, 3, False), (3, None, False), (3, None, True)]


# ---- revert


async def test_revert_makes_a_new_version() -> None:
    """State and contexts are what they were; all versions between are kept; subscribers are told."""
    storage = TestStorage()
    async with open_house(storage) as house:
        session_id = await a_history(house, 3)
        await house.manager.save_context(session_id, "one", {"workspace": {"a": 1}})
        await house.put(session_id, n=5)
        await house.manager.clear_context(session_id, None)
        reverted = await house.manager.revert(session_id, None, 4, "ada")
        assert (reverted.header.version, reverted.state) == (7, {"n": 3})
        assert reverted.contexts[ToolId("one")].sections == {"workspace": {"a": 1}}
        heard = house.heard[session_id][-1]
        patch = [step.to_json() for step in reverted.history.entries[-1].steps]
        assert (heard.name, heard.data) == (
            "session.updated",
            {"client_id": "ada", "version": 7, "mode": "revert", "patch": patch, "session_state": {"n": 3}},
        )
        assert patch[0] == {"op": "replace", "path": "/state/n", "value": 3}
        document = reverted.history.document_at(5)
        assert document is not None
        assert document["state"] == {"n": 5}
    async with open_house(storage) as house:
        assert await house.state(session_id) == {"n": 3}


async def test_revert_of_a_revert() -> None:
    """It can be undone as any change can."""
    async with open_house() as house:
        session_id = await a_history(house, 4)
        assert (await house.manager.revert(session_id, None, 2)).state == {"n": 2}
        undone = await house.manager.revert(session_id, None, 4)
        assert (undone.header.version, undone.state) == (6, {"n": 4})
        again = await house.manager.revert(session_id, None, 5)
        assert (again.header.version, again.state) == (7, {"n": 2})


async def test_revert_to_the_present() -> None:
    """It is a version that changes nothing."""
    async with open_house() as house:
        session_id = await a_history(house, 3)
        reverted = await house.manager.revert(session_id, None, 3)
        assert (reverted.header.version, reverted.state, reverted.history.entries[-1].steps) == (4, {"n": 3}, ())


@pytest.mark.parametrize("version", [0, 4, 99])
async def test_revert_to_a_version_there_is_not(version: int) -> None:
    """The error tells which there are, and nothing changes."""
    async with open_house() as house:
        session_id = await a_history(house, 3)
        with pytest.raises(VersionNotFoundError) as caught:
            await house.manager.revert(session_id, None, version)
        assert caught.value.details == {"oldest_version": 1, "version": 3}
        assert house.manager.header(session_id).version == 3


async def test_revert_that_is_refused() -> None:
    """Neither or both of name and version, another owner, a session that is over."""
    async with open_house() as house:
        session_id = await a_history(house, 3)
        for name, version in ((None, None), ("name", 1)):
            with pytest.raises(ParameterError):
                await house.manager.revert(session_id, name, version)
        with pytest.raises(SessionNotOwnedError):
            await house.manager.revert(session_id, None, 1, "bob")
        house.clock.pass_time(3600)
        for over in (
            house.manager.revert(session_id, None, 1),
            house.manager.snapshot(session_id, "name"),
            house.manager.session(session_id),
        ):
            with pytest.raises(SessionExpiredError):
                await over
        await house.manager.end(session_id, keep=True)
        with pytest.raises(SessionClosedError):
            await house.manager.revert(session_id, None, 1)


# ---- snapshots


async def test_snapshot_is_kept_under_its_name() -> None:
    """It is no version; it outlives the history, a restart and a revert; subscribers are told."""
    storage = TestStorage()
    rules = SessionRules(history=HistoryRules(max_versions=2))
    async with open_house(storage, rules=rules) as house:
        session_id = await a_history(house, 3)
        await house.manager.save_context(session_id, "one", {"workspace": {}})
        kept = (await house.manager.snapshot(session_id, "the good one")).snapshots["the good one"]
        assert (kept.version, kept.at, kept.document["state"]) == (4, house.clock.now, {"n": 3})
        heard = house.heard[session_id][-1]
        assert (heard.name, heard.data) == ("session.snapshot", {"name": "the good one", "version": 4})
        for version in range(5, 12):
            await house.put(session_id, n=version)
    async with open_house(storage, rules=rules) as house:
        with pytest.raises(VersionNotFoundError):
            await house.manager.revert(session_id, None, 4)
        reverted = await house.manager.revert(session_id, "the good one", None)
        assert (reverted.header.version, reverted.state, list(reverted.contexts)) == (12, {"n": 3}, ["one"])
        assert list(reverted.snapshots) == ["the good one"]


async def test_snapshot_takes_the_place_of_the_one_before() -> None:
    """A name is used once."""
    async with open_house() as house:
        session_id = await a_history(house, 2)
        await house.manager.snapshot(session_id, "name")
        await house.put(session_id, n=3)
        session = await house.manager.snapshot(session_id, "name")
        assert [(name, kept.version) for name, kept in session.snapshots.items()] == [("name", 3)]


async def test_snapshots_are_bounded() -> None:
    """So many names and no more; a name that is there can be used again."""
    async with open_house() as house:
        session_id = await house.create()
        for number in range(MAX_SNAPSHOTS):
            await house.manager.snapshot(session_id, f"name {number}")
        with pytest.raises(ParameterError) as caught:
            await house.manager.snapshot(session_id, "one more")
        assert caught.value.details == {"field": "name", "maximum": MAX_SNAPSHOTS}
        await house.manager.snapshot(session_id, "name 0")
        assert len((await house.manager.session(session_id)).snapshots) == MAX_SNAPSHOTS


async def test_snapshots_count_for_the_size() -> None:
    """A session cannot grow beyond its size by being copied into itself."""
    async with open_house(rules=SessionRules(max_bytes=5000)) as house:
        session_id = await house.create()
        await house.put(session_id, text="x" * 2000)
        size = house.manager.size_bytes(session_id)
        await house.manager.snapshot(session_id, "one")
        assert house.manager.size_bytes(session_id) > size + 2000
        with pytest.raises(SessionTooLargeError):
            await house.manager.snapshot(session_id, "two")
        assert list((await house.manager.session(session_id)).snapshots) == ["one"]
        with pytest.raises(SessionTooLargeError):
            await house.put(session_id, text="x" * 3000)


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 257])
async def test_snapshot_of_an_impossible_name(name: str) -> None:
    """A name is a line of text."""
    async with open_house() as house:
        session_id = await house.create()
        with pytest.raises(ParameterError) as caught:
            await house.manager.snapshot(session_id, name)
        assert caught.value.details["field"] == "name"


async def test_snapshot_there_is_not() -> None:
    """The error tells which there are."""
    async with open_house() as house:
        session_id = await house.create()
        await house.manager.snapshot(session_id, "b")
        await house.manager.snapshot(session_id, "a")
        with pytest.raises(VersionNotFoundError) as caught:
            await house.manager.revert(session_id, "c", None)
        assert caught.value.details == {"name": "c", "names": ["a", "b"]}


# ---- merging


async def test_update_of_two_clients_is_merged() -> None:
    """What the other one did meanwhile is there as well; subscribers see the whole."""
    async with open_house() as house:
        session_id = await house.create()
        await house.put(session_id, a=1, b=1)
        await house.put(session_id, a=2, b=1)
        merged = await house.manager.update(session_id, merging(2, a=1, b=2))
        assert (merged.state, merged.header.version) == ({"a": 2, "b": 2}, 4)
        assert house.heard[session_id][-1].data["session_state"] == {"a": 2, "b": 2}


async def test_update_that_conflicts_carries_all_sides() -> None:
    """Nothing changes, nobody hears of it, and a person can choose."""
    async with open_house() as house:
        session_id = await house.create()
        await house.put(session_id, a=1)
        await house.put(session_id, a=2)
        with pytest.raises(SessionConflictError) as caught:
            await house.manager.update(session_id, merging(2, a=3))
        details = caught.value.details
        assert (details["base"], details["ours"], details["theirs"]) == ({"a": 1}, {"a": 3}, {"a": 2})
        assert (details["conflicts"], details["expected_version"], details["version"]) == (["/a"], 2, 3)
        assert await house.state(session_id) == {"a": 2}
        assert len(house.names(session_id)) == 2


async def test_update_whose_base_is_not_kept() -> None:
    """There is nothing to merge from: a conflict without sides."""
    async with open_house(rules=SessionRules(history=HistoryRules(max_versions=2))) as house:
        session_id = await a_history(house, 9)
        with pytest.raises(SessionConflictError) as caught:
            await house.manager.update(session_id, merging(2, a=3))
        assert caught.value.details == {"expected_version": 2, "version": 9}


async def test_merge_of_a_version_before_a_revert() -> None:
    """The revert is what the others did."""
    async with open_house() as house:
        session_id = await house.create()
        await house.put(session_id, a=1)
        await house.put(session_id, a=2)
        await house.manager.revert(session_id, None, 2)
        merged = await house.manager.update(session_id, merging(3, a=2, b=1))
        assert merged.state == {"a": 1, "b": 1}


async def test_merge_that_gets_too_large_or_too_deep() -> None:
    """What comes of it is measured, not only what was sent."""
    deep: dict[str, Any] = {}
    for _ in range(60):
        deep = {"a": deep}
    async with open_house(rules=SessionRules(max_bytes=3000)) as house:
        session_id = await house.create()
        await house.put(session_id)
        await house.put(session_id, a="x" * 2000)
        with pytest.raises(SessionTooLargeError):
            await house.manager.update(session_id, merging(2, b="x" * 2000))
        with pytest.raises(MessageTooDeepError):
            await house.manager.update(session_id, merging(2, b=deep))
        assert house.manager.header(session_id).version == 3
