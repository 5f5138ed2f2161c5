"""The command that gives a session another name."""

from __future__ import annotations

from pathlib import Path

from stui_sessiond.storage.file import FileStorage
from tests.unit.bed.daemon import running_daemon


async def test_name_survives_a_restart_and_is_no_version(tmp_path: Path) -> None:
    """The new name is on the disk when the answer comes; versions, and going back to one, leave it alone."""
    async with running_daemon(FileStorage(tmp_path, backup_interval_s=None)) as running, running.talker() as client:
        session_id = (await client.call("create_session", client_id="me", name="before"))["session_id"]
        told = await client.call("rename_session", session_id=session_id, name="after")
        assert told == {"session_id": session_id, "name": "after"}
        await client.call("update_session_state", session_id=session_id, state_data={"n": 1})
        await client.call("revert_session", session_id=session_id, version=1)
    async with running_daemon(FileStorage(tmp_path, backup_interval_s=None)) as running, running.talker() as client:
        info = await client.call("get_session_info", session_id=session_id)
        assert (info["name"], info["version"]) == ("after", 3)
        assert (await client.call("list_client_sessions", client_id="me"))["sessions"][0]["name"] == "after"


async def test_viewer_may_not_rename() -> None:
    """A name is everybody's: who only reads along does not change it, and no control characters get into lists."""
    async with running_daemon() as running, running.talker() as owner, running.talker() as viewer:
        await owner.call("hello", role="client", protocol=["1.0.0"], client_id="owner")
        await viewer.call("hello", role="client", protocol=["1.0.0"], client_id="viewer")
        session_id = (await owner.call("create_session", client_id="owner", name="mine"))["session_id"]
        await owner.call("share_session", session_id=session_id, client_id="viewer", role="viewer")
        refused = await viewer.reply_to(viewer.ask("rename_session", session_id=session_id, name="yours"))
        assert refused["code"] == "session_not_shared"
        refused = await owner.reply_to(owner.ask("rename_session", session_id=session_id, name="a\nb"))
        assert refused["code"] == "invalid_parameters"
        assert (await owner.call("get_session_info", session_id=session_id))["name"] == "mine"
