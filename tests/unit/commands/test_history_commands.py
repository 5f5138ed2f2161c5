"""The history commands as a client sees them, over a daemon's socket, in both forms of messages."""

from typing import Any

import jsonpatch
import pytest

from tests.unit.bed.daemon import Json, Talker, running_daemon

Both = pytest.mark.parametrize("envelope", [False, True])


async def a_history(client: Talker, count: int = 4) -> str:
    """Create a session whose state counts its versions."""
    session_id: str = (await client.call("create_session", client_id="ada"))["session_id"]
    for version in range(2, count + 1):
        await client.call("update_session_state", session_id=session_id, state_data={"n": version})
    return session_id


@Both
async def test_history_tells_versions_newest_first(envelope: bool) -> None:
    """Each with its time, client, kind and patch; the oldest that can be shown is told."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_history(client, 3)
        running.clock.pass_time(1)
        await client.call("save_context", session_id=session_id, tool_id="one", context={"workspace": {"a": None}})
        found = await client.call("get_session_history", envelope=envelope, session_id=session_id)
        assert (found["session_id"], found["version"], found["oldest_version"]) == (session_id, 4, 1)
        saved, second, first = found["versions"]
        assert second == {
            "version": 3,
            "at": "2023-11-14T22:13:20.000Z",
            "client_id": None,
            "what": "updated",
            "patch": [{"op": "replace", "path": "/state/n", "value": 3}],
            "size_bytes": second["size_bytes"],
        }
        assert first["patch"] == [{"op": "add", "path": "/state/n", "value": 2}]
        assert (saved["version"], saved["what"], saved["at"]) == (4, "context.saved", "2023-11-14T22:13:21.000Z")
        assert saved["patch"][0]["path"] == "/contexts/one"


async def test_patches_lead_from_version_to_version() -> None:
    """A client that applies them itself comes to what `get_session_at` shows, null values included."""
    states: list[Json] = [{"a": None, "b/c": {"~": [1]}}, {"a": 1}, {"a": None, "d": {"e": {}}}, {"d": {"e": None}}, {}]
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_history(client, 1)
        for state in states:
            await client.call("update_session_state", session_id=session_id, state_data=state)
        found = await client.call("get_session_history", session_id=session_id)
        document: Any = {"state": {}, "contexts": {}}
        for version in reversed(found["versions"]):
            document = jsonpatch.apply_patch(document, version["patch"])
            shown = await client.call("get_session_at", session_id=session_id, version=version["version"])
            assert document["state"] == shown["session_state"] == states[version["version"] - 2]


async def test_history_in_pages() -> None:
    """`limit` takes the newest, `before_version` goes on from there."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_history(client, 8)

        async def page(**asked: Any) -> list[int]:  # noqa: ANN401 -- any JSON
            found = await client.call("get_session_history", session_id=session_id, **asked)
            return [version["version"] for version in found["versions"]]

        assert await page(limit=3) == [8, 7, 6]
        assert await page(limit=3, before_version=6) == [5, 4, 3]
        assert await page(limit=3, before_version=3) == [2]
        assert await page(before_version=2) == []
        assert await page(limit=0) == []
        assert await page(limit=1000) == [8, 7, 6, 5, 4, 3, 2]
        assert (await client.call("get_session_history", session_id=session_id, limit=-1))[
            "code"
        ] == "invalid_parameters"


@Both
async def test_session_as_it_was(envelope: bool) -> None:
    """By version or by name: the state and the sections of every tool's context then; nothing changes."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_history(client, 2)
        await client.call("save_context", session_id=session_id, tool_id="one", context={"workspace": {"a": 1}})
        await client.call("snapshot_session", session_id=session_id, name="then")
        await client.call("update_session_state", session_id=session_id, state_data={"n": "now"})
        await client.call("clear_context", session_id=session_id)

        async def at(**asked: object) -> Json:
            return await client.call("get_session_at", envelope=envelope, session_id=session_id, **asked)

        then = {"session_id": session_id, "version": 3, "session_state": {"n": 2}}
        assert await at(version=3) == {**then, "contexts": {"one": {"workspace": {"a": 1}}}}
        assert await at(name="then") == {**then, "contexts": {"one": {"workspace": {"a": 1}}}}
        assert await at(version=1) == {"session_id": session_id, "version": 1, "session_state": {}, "contexts": {}}
        assert (await at(version=5))["session_state"] == {"n": "now"}
        assert (await at(version=6))["code"] == "version_not_found"
        assert (await at(version=0))["code"] == "version_not_found"
        assert (await at(name="never"))["code"] == "version_not_found"
        assert (await at())["code"] == "invalid_parameters"
        assert (await at(version=1, name="then"))["code"] == "invalid_parameters"
        assert (await client.call("get_session_info", session_id=session_id))["version"] == 5


@Both
async def test_snapshots_are_listed(envelope: bool) -> None:
    """The oldest first, with version, time and size; one that was taken again is new."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_history(client, 2)
        assert await client.call("list_snapshots", envelope=envelope, session_id=session_id) == {
            "session_id": session_id,
            "snapshots": [],
        }
        for name in ("b", "a", "b"):
            running.clock.pass_time(1)
            made = await client.call("snapshot_session", envelope=envelope, session_id=session_id, name=name)
        listed = (await client.call("list_snapshots", envelope=envelope, session_id=session_id))["snapshots"]
        assert [(row["name"], row["version"], row["at"]) for row in listed] == [
            ("a", 2, "2023-11-14T22:13:22.000Z"),
            ("b", 2, "2023-11-14T22:13:23.000Z"),
        ]
        assert made == {"session_id": session_id, **listed[1]}


@Both
async def test_revert_of_a_revert(envelope: bool) -> None:
    """Each is a new version, and says so."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_history(client, 3)

        async def revert(**asked: object) -> Json:
            return await client.call("revert_session", envelope=envelope, session_id=session_id, **asked)

        await client.call("snapshot_session", session_id=session_id, name="three")
        assert await revert(version=2) == {"session_id": session_id, "version": 4, "session_state": {"n": 2}}
        assert await revert(version=3) == {"session_id": session_id, "version": 5, "session_state": {"n": 3}}
        assert await revert(version=4, client_id="ada") == {
            "session_id": session_id,
            "version": 6,
            "session_state": {"n": 2},
        }
        assert (await revert(name="three"))["session_state"] == {"n": 3}
        assert (await revert(version=1, client_id="bob"))["code"] == "session_not_owned"
        assert (await revert(version=8))["code"] == "version_not_found"
        assert (await revert(name="four"))["details"]["names"] == ["three"] if not envelope else True
        assert (await revert())["code"] == "invalid_parameters"
        history = await client.call("get_session_history", session_id=session_id)
        assert [version["what"] for version in history["versions"]] == ["reverted"] * 4 + ["updated"] * 2


async def test_history_of_sessions_that_are_not_there() -> None:
    """Unknown, closed and expired ones are refused as everywhere."""
    async with running_daemon() as running, running.talker() as client:
        expired = (await client.call("create_session", client_id="ada", timeout=10))["session_id"]
        closed = await a_history(client, 2)
        await client.call("close_session", session_id=closed)
        running.clock.pass_time(10)
        for session_id, code in (
            ("session_9_9_nobody", "session_not_found"),
            (closed, "session_closed"),
            (expired, "session_expired"),
        ):
            for command, more in (
                ("get_session_history", {}),
                ("get_session_at", {"version": 1}),
                ("snapshot_session", {"name": "x"}),
                ("list_snapshots", {}),
                ("revert_session", {"version": 1}),
            ):
                assert (await client.call(command, session_id=session_id, **more))["code"] == code, command


async def test_conflict_that_is_merged_or_told() -> None:
    """`on_conflict: merge` keeps both changes; where it cannot, the reply has all three sides."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_history(client, 1)

        async def put(expected: int, **state: object) -> Json:
            asked: Json = {"session_id": session_id, "state_data": state, "expected_version": expected}
            return await client.call("update_session_state", on_conflict="merge", **asked)

        await put(1, a=1, b=1)
        await put(2, a=2, b=1)
        assert (await put(2, a=1, b=2))["session_state"] == {"a": 2, "b": 2}
        refused = await put(2, a=9, b=1)
        assert refused["code"] == "session_conflict"
        assert refused["details"] == {
            "expected_version": 2,
            "version": 4,
            "conflicts": ["/a"],
            "base": {"a": 1, "b": 1},
            "ours": {"a": 9, "b": 1},
            "theirs": {"a": 2, "b": 2},
        }
        wrong = await client.call("update_session_state", session_id=session_id, state_data={}, on_conflict="force")
        assert wrong["code"] == "invalid_parameters"
