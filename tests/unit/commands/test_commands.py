"""The commands as a client sees them, over a daemon's socket: what the dispatch and manager tests cannot show."""

from typing import Any, Literal

import pytest
from msgspec.structs import replace

from stui_sessiond.ids import SessionId, ToolId
from stui_sessiond.model.session import StoredContext
from stui_sessiond.storage.api import Commit, Loaded
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.daemon import Json, Talker, running_daemon
from tests.unit.bed.house import TestStorage

# ---- sessions


async def a_session(talker: Talker, **wishes: Any) -> str:  # noqa: ANN401 -- any JSON
    """Create a session and give its id."""
    created = await talker.call("create_session", client_id="ada", **wishes)
    session_id: str = created["session_id"]
    return session_id


async def test_create_session_tells_what_was_made() -> None:
    """Every field that clients have been told, a whole number of seconds as one."""
    async with running_daemon() as running, running.talker() as client:
        wishes: Json = {"client_info": {"platform": "linux"}, "timeout": 90.0, "image_id": "pharo", "name": "work"}
        created = await client.call("create_session", client_id="ada", **wishes)
        assert {name: value for name, value in created.items() if name not in {"session_id", "capabilities"}} == {
            "client_id": "ada",
            "created_at": "2023-11-14T22:13:20.000Z",
            "timeout": 90,
            "is_active": True,
            "expires_at": "2023-11-14T22:14:50.000Z",
            "max_concurrent_clients": 1024,
            "image_id": "pharo",
            "version": 1,
        }


async def test_parameters_beside_the_command() -> None:
    """Older senders are understood."""
    async with running_daemon() as running, running.talker() as client:
        client.say({"id": "old", "command": "create_session", "client_id": "ada", "client_info": {}})
        assert (await client.reply_to("old"))["result"]["client_id"] == "ada"


async def test_update_with_sections_and_restore() -> None:
    """Sections that came with the state are handed back with it."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_session(client)
        sections: Json = {"workspace_context": {"a": 1}, "object_registry": {"b": 2}, "inspector_state": {"c": 3}}
        updated = await client.call("update_session_state", session_id=session_id, state_data={"s": 1}, **sections)
        assert (updated["session_state"], updated["update_successful"], updated["version"]) == ({"s": 1}, True, 2)
        restored = await client.call("restore_session", session_id=session_id, client_id="ada")
        assert {name: restored[name] for name in sections} == sections
        assert restored["integrity"] == {"status": "ok"}


@pytest.mark.parametrize("integrity", ["healed", "damaged"])
async def test_restore_of_a_session_whose_file_was_damaged(integrity: Literal["healed", "damaged"]) -> None:
    """The client is told whether something is missing, and what happened."""
    storage = TestStorage()
    async with running_daemon(storage) as running, running.talker() as client:
        session_id = SessionId(await a_session(client))
        older = await storage.load(session_id)
        assert older is not None
    async with running_daemon(storage) as running, running.talker() as client:
        storage.damage[session_id] = Loaded(older.session, integrity, "the newest was damaged")
        restored = await client.call("restore_session", session_id=session_id)
        assert restored["integrity"] == {"status": integrity, "detail": "the newest was damaged"}


async def test_information_about_sessions() -> None:
    """Time left, lists with and without those that are over, and counts."""
    async with running_daemon() as running, running.talker() as client:
        short, long = await a_session(client, timeout=10), await a_session(client)
        running.clock.pass_time(4)
        info = await client.call("get_session_info", session_id=short)
        assert (info["is_active"], info["is_expired"], info["time_until_expiry"]) == (True, False, 6.0)
        running.clock.pass_time(6)
        info = await client.call("get_session_info", session_id=short)
        assert (info["is_active"], info["is_expired"], info["time_until_expiry"]) == (False, True, 0.0)
        listed = await client.call("list_client_sessions", client_id="ada")
        assert (listed["session_count"], [row["session_id"] for row in listed["sessions"]]) == (1, [long])
        listed = await client.call("list_client_sessions", client_id="ada", include_inactive=True)
        assert [row["is_active"] for row in listed["sessions"]] in ([False, True], [True, False])
        statistics = await client.call("get_session_statistics")
        assert (statistics["total_sessions"], statistics["active_clients"]) == (1, 1)
        assert (statistics["storage"]["kind"], statistics["storage"]["sessions"]) == ("memory", 2)
        assert statistics["connections"]["before_hello"] == 1


async def test_close_session_lets_the_image_forget() -> None:
    """The image is told, and nobody waits for its answer."""
    async with running_daemon() as running, running.image() as image, running.talker() as client:
        session_id = await a_session(client, image_id="pharo")
        assert (await client.call("close_session", session_id=session_id))["closed"] is True
        told = await image.hear()
        assert (told["command"], told["parameters"]) == ("release_session", {"session_id": session_id})


async def test_describe() -> None:
    """All commands, or one; none that is not there."""
    async with running_daemon() as running, running.talker() as client:
        everything = await client.call("describe")
        assert len(everything["commands"]) > 20
        one = await client.call("describe", command="ping")
        assert [command["command"] for command in one["commands"]] == ["ping"]
        assert (await client.call("describe", command="wink"))["code"] == "unknown_command"


async def test_subscribe_with_a_position() -> None:
    """What came after it follows the answer; of what is not kept the answer and an event say why."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_session(client)
        here = (await client.call("subscribe", session_id=session_id))["position"]
        again = await client.call("subscribe", session_id=session_id, since=here)
        assert (again["recovered"], again["position"]) == (True, here)
        await client.call("update_session_state", session_id=session_id, state_data={})
        assert (await client.event())["seq"] == 2
        late = await client.call("subscribe", session_id=session_id, since=here)
        assert (late["recovered"], late["position"]["seq"]) == (True, 2)
        assert [(await client.event())["seq"]] == [2]
        elsewhere = {"epoch": "x", "seq": here["seq"]}
        other = await client.call("subscribe", session_id=session_id, since=elsewhere)
        assert (other["recovered"], other["gap"]["from"], other["gap"]["to"]) == (False, elsewhere, {**here, "seq": 0})
        assert "epoch" in other["gap"]["reason"]
        told = [await client.event() for _ in range(3)]
        assert [(event["event"], event["seq"]) for event in told] == [
            ("gap", 0),
            ("session.created", 1),
            ("session.updated", 2),
        ]
        assert told[0]["data"] == {"from": elsewhere, "reason": other["gap"]["reason"]}
        assert (await client.call("subscribe"))["code"] == "invalid_parameters"
        assert (await client.call("subscribe", topics=["x"]))["code"] == "invalid_parameters"
        both = await client.call("subscribe", topics=["all"], session_id=session_id)
        assert (both["code"], both["details"]["field"]) == ("invalid_parameters", "session_id")


# ---- contexts


async def test_context_that_a_client_saves() -> None:
    """It is handed back as it was, with a checksum, and counted."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_session(client)
        context = {
            "workspace": {"bindings": {"x": 1, "y": 2}, "history": [1, 2, 3], "text": "3 + 4"},
            "object_registry": {"h-1": {}},
        }
        saved = await client.call("save_context", session_id=session_id, tool_id="one", context=context)
        loaded = await client.call("load_context", session_id=session_id, tool_id="one")
        assert (loaded["loaded"], loaded["context"]) == (True, context)
        assert (loaded["integrity"]["status"], loaded["integrity"]["checksum"]) == ("ok", saved["checksum"])
        summary = await client.call("get_context_summary", session_id=session_id)
        assert summary["tools"] == ["one"]
        assert (summary["variable_count"], summary["history_count"], summary["object_count"]) == (2, 3, 1)
        assert (summary["size_bytes"], summary["last_saved"]) == (saved["size_bytes"], saved["saved_at"])
        nothing = await client.call("load_context", session_id=session_id)
        assert (nothing["loaded"], nothing["context"], nothing["integrity"]["status"]) == (False, None, "none")
        assert (await client.call("clear_context", session_id=session_id))["cleared"] == ["one"]
        assert (await client.call("get_context_summary", session_id=session_id))["last_saved"] is None


async def test_context_that_the_image_tells() -> None:
    """Without a context the image is asked; what only the client knows stays."""
    async with running_daemon() as running, running.image() as image, running.talker() as client:
        session_id = await a_session(client)
        mine = {"workspace": {"text": "mine"}, "client": {"panel": 1}}
        await client.call("save_context", session_id=session_id, context=mine)
        saving = client.ask("save_context", session_id=session_id)
        request = await image.hear()
        assert (request["command"], request["parameters"]["tool_id"]) == ("capture_context", "default")
        told = {"workspace": {"bindings": {"x": 1}}, "inspector": {}, "object_registry": {"h": 1}}
        image.say({"id": request["id"], "status": "success", "result": told})
        assert (await client.reply_to(saving))["result"]["saved"] is True
        loaded = await client.call("load_context", session_id=session_id)
        assert loaded["context"] == {
            "workspace": {"text": "mine", "bindings": {"x": 1}},
            "client": {"panel": 1},
            "object_registry": {"h": 1},
        }


async def test_context_that_is_damaged() -> None:
    """It is never returned as good, even where the file around it is sound."""
    storage = MemoryStorage()
    async with running_daemon(storage) as running, running.talker() as client:
        session_id = SessionId(await a_session(client))
        saved = await client.call("save_context", session_id=session_id, context={"workspace": {"a": 1}})
    loaded = await storage.load(session_id)
    assert loaded is not None
    broken = StoredContext({"workspace": {"a": 2}}, saved["checksum"], 1.0, 10)
    await storage.commit(Commit(replace(loaded.session, contexts={ToolId("default"): broken}), 100, 2, whole=True))
    async with running_daemon(storage) as running, running.talker() as client:
        found = await client.call("load_context", session_id=session_id)
        assert (found["loaded"], found["context"], found["integrity"]["status"]) == (False, None, "damaged")
        assert found["integrity"]["checksum"] == saved["checksum"] != found["integrity"]["found_checksum"]
