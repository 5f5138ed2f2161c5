"""What a daemon writes into its audit log, and what never gets there."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.security.audit import Entry
from stui_sessiond.storage.audit_log import FileAudit
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.tools.audit import last_entries, verify_audit
from tests.unit.bed.daemon import Running, Talker, image_hello, running_daemon

AUDITED = sorted(name for name, descriptor in load_contract().commands.items() if descriptor.audited)


@asynccontextmanager
async def audited(**settings: Any) -> AsyncIterator[tuple[Running, Path]]:  # noqa: ANN401 -- settings of running_daemon
    """Start a daemon, and give its data folder."""
    async with running_daemon(audited=True, **settings) as running:
        folder = running.daemon.settings.server.data_dir
        assert folder is not None
        yield running, Path(folder)


def written(running: Running, folder: Path) -> list[Entry]:
    """All entries, once they are durable; the log has to be whole."""
    log = running.daemon.audit
    assert isinstance(log, FileAudit)
    assert log.flush()
    assert verify_audit(folder, LocalFileSystem()).sound
    return [entry for entry in last_entries(folder, LocalFileSystem(), 10_000) if isinstance(entry, Entry)]


def test_audited_commands_are_those_that_matter() -> None:
    """Whoever adds to them does so on purpose."""
    assert AUDITED == [
        "approve",
        "cleanup_image_sessions",
        "close_session",
        "compile_method",
        "create_backup",
        "debug",
        "declare_machine",
        "define_class",
        "detach_client",
        "drive_session",
        "evaluate",
        "evaluate_on",
        "hello",
        "inspect",
        "interrupt_evaluation",
        "reapply_code_changes",
        "reject",
        "remove_class",
        "remove_method",
        "set_log_level",
        "share_session",
        "switch_image_context",
    ]


async def test_start_and_stop_are_written_with_what_matters() -> None:
    """Version, authentication and listeners; the log is closed at the end."""
    async with audited(server={"lines": "127.0.0.1:0"}) as (running, folder):
        first = written(running, folder)[0]
        assert first.event == "daemon.started"
        assert first.details["auth"] == "token"
        assert first.details["lines"] == "127.0.0.1:0"
        await running.daemon.stop()
        last = last_entries(folder, LocalFileSystem(), 1)[0]
        assert isinstance(last, Entry)
        assert (last.event, last.outcome) == ("daemon.stopped", "ok")
        assert verify_audit(folder, LocalFileSystem()).closed


async def test_peers_let_in_and_refused_are_written() -> None:
    """With role, transport, address and code; not with the token they showed."""
    async with audited(server={"lines": "127.0.0.1:0"}) as (running, folder):
        address = running.ready.lines
        async with running.talker() as client, running.talker(address) as stranger, running.image() as image:
            await client.call("hello", role="client", client_id="ada")
            refused = await stranger.call("hello", role="client", client_id="eve", token="wrong")
            assert refused["code"] == "authentication_failed"
            assert (await image.call("ping")).get("status") == "ready"
            rows = {entry.outcome + entry.event: entry for entry in written(running, folder)}
        seen = [entry for entry in written(running, folder) if entry.event == "peer.admitted"]
        assert [(e.actor.role, e.actor.client_id) for e in seen if e.actor] == [("image", None), ("client", "ada")]
        assert seen[0].image_id == "pharo"
        assert seen[1].actor is not None
        assert seen[1].actor.transport == "unix"
        assert (seen[1].actor.address or "").startswith("user ")
        bad = rows["authentication_failedpeer.refused"]
        assert bad.actor is not None
        assert (bad.actor.address or "").startswith("127.0.0.1:")
        assert bad.details["claimed_client_id"] == "eve"


async def test_one_peer_too_many_is_written() -> None:
    """Also without a word of its own."""
    async with audited(limits={"max_connections": 1}) as (running, folder), running.talker() as first:
        await first.call("ping")
        async with running.talker() as second:
            await second.rest()
        assert [e.outcome for e in written(running, folder) if e.event == "peer.refused"] == ["too_many_connections"]


async def test_request_that_is_denied_is_written() -> None:
    """Whatever the command is, with its code."""
    async with audited() as (running, folder), running.talker() as watcher, running.talker() as owner:
        session = (await owner.call("create_session", client_id="ada"))["session_id"]
        await watcher.call("hello", role="observer", client_id="bob")
        denied = await watcher.call("update_session_state", session_id=session, state_data={})
        assert denied["code"] == "permission_denied"
        row = written(running, folder)[-1]
        assert (row.event, row.outcome, row.command) == (
            "permission.denied",
            "permission_denied",
            "update_session_state",
        )
        assert row.actor is not None
        assert row.actor.client_id == "bob"


async def test_evaluation_is_written_when_accepted_and_when_ended() -> None:
    """Size and SHA-256 of the code, not the code."""
    code = "Smalltalk halt: 'ümlaut'"
    async with audited() as (running, folder), running.talker() as client, running.image() as image:
        session = (await client.call("create_session", client_id="ada", image_id="pharo"))["session_id"]
        asked = client.ask("evaluate", session_id=session, code=code)
        request = await image.hear()
        accepted = written(running, folder)[-1]
        assert (accepted.event, accepted.command, accepted.session_id) == ("command.accepted", "evaluate", session)
        assert accepted.details["code_bytes"] == len(code.encode())
        assert accepted.details["code_sha256"] == hashlib.sha256(code.encode()).hexdigest()
        result = {"result": "1", "result_type": "X", "execution_time": 1, "has_error": False}
        image.say({"id": request["id"], "status": "success", "result": result})
        await client.reply_to(asked)
        ended = written(running, folder)[-1]
        assert (ended.event, ended.command, ended.outcome) == ("command.ended", "evaluate", "ok")
        lost = await client.call("evaluate", code=code, image_id="nobody")
        assert [e.outcome for e in written(running, folder)][-2:] == ["ok", lost["code"]]


async def test_code_on_many_images_and_interrupts_are_written() -> None:
    """Which images, what was to end; accepted and ended, like other code."""
    async with audited() as (running, folder), running.talker() as client, running.image() as image:
        session = (await client.call("create_session", client_id="ada", image_id="pharo"))["session_id"]
        asked = client.ask("evaluate_on", code="1", image_ids=["pharo", "nobody"])
        request = await image.hear()
        result = {"result": "1", "result_type": "X", "execution_time": 1, "has_error": False}
        image.say({"id": request["id"], "status": "success", "result": result})
        await client.reply_to(asked)
        await client.call("interrupt_evaluation", session_id=session, tool_id="w", force=True)
        rows = written(running, folder)[-4:]
        assert [(row.event, row.command) for row in rows] == [
            ("command.accepted", "evaluate_on"),
            ("command.ended", "evaluate_on"),
            ("command.accepted", "interrupt_evaluation"),
            ("command.ended", "interrupt_evaluation"),
        ]
        assert (rows[0].details["image_ids"], rows[0].details["image_ids_count"]) == ("pharo, nobody", 2)
        assert rows[2].session_id == session
        assert rows[2].details == {"tool_id": "w", "force": True}


async def test_sharing_driving_detaching_and_deleting_are_written() -> None:
    """With whom, and what."""
    async with audited() as (running, folder), running.talker() as owner, running.talker() as guest:
        await owner.call("hello", role="client", client_id="ada")
        await guest.call("hello", role="client", client_id="bob")
        session = (await owner.call("create_session", client_id="ada"))["session_id"]
        await owner.call("share_session", session_id=session, client_id="bob", role="editor")
        await guest.call("subscribe", session_id=session)
        await owner.call("subscribe", session_id=session)
        await guest.call("drive_session", session_id=session, action="request")
        await owner.call("drive_session", session_id=session, action="take_over")
        await owner.call("detach_client", session_id=session, client_id="bob")
        await owner.call("close_session", session_id=session, save_state=False)
        done = [e for e in written(running, folder) if e.event == "command.ended"]
        rows = [row for row in done if row.actor is not None and row.actor.client_id == "ada"]
        assert len(done) == 5
        assert [row.command for row in rows] == ["share_session", "drive_session", "detach_client", "close_session"]
        assert [row.details for row in rows] == [
            {"client_id": "bob", "role": "editor"},
            {"action": "take_over"},
            {"client_id": "bob"},
            {"save_state": False},
        ]
        assert [row.outcome for row in rows] == ["ok"] * 4
        assert {row.session_id for row in rows} == {session}


def _filled(kinds: set[str], canary: str) -> list[Any]:
    """Values of these kinds with the canary in them."""
    made: dict[str, list[Any]] = {
        "string": [canary],
        "object": [{canary: canary, "receiver": canary, "image_id": canary, "instance_id": canary}],
        "array": [[canary]],
        "any": [canary],
    }
    return [value for kind in sorted(kinds) for value in made.get(kind, [])]


async def _refuse_all(image: Talker, text: str) -> None:
    """Be an image that fails at everything."""
    while True:
        request = await image.hear()
        image.say({"id": request["id"], "status": "error", "error": text, "code": "image_error"})


async def test_secret_in_any_parameter_of_any_command_gets_into_no_file_of_the_log() -> None:
    """A token in the place of a name, an id, code or state, in valid requests and wrong ones, in both forms."""
    canary = secrets.token_urlsafe(32)
    planted = 0
    async with audited() as (running, folder), running.talker() as owner, running.image() as image:
        session = (await owner.call("create_session", client_id="ada"))["session_id"]
        answering = asyncio.create_task(_refuse_all(image, canary))
        for name, descriptor in load_contract().commands.items():
            if not descriptor.built:
                continue
            for field, described in descriptor.parameters.items():
                for value in _filled(set(described["type"].split("|")), canary):
                    asked: dict[str, Any] = {
                        other: session if other == "session_id" else (d.get("values") or ["x"])[0]
                        for other, d in descriptor.parameters.items()
                        if d["required"]
                    }
                    asked["timeout"] = 0.01
                    asked[field] = value
                    async with running.talker() as client, asyncio.timeout(5):
                        await client.call(name, envelope=bool(planted % 2), **asked)
                    planted += 1
        async with running.talker() as late:
            await late.call("hello", **image_hello(canary, canary))
        answering.cancel()
        written(running, folder)
        held = b"".join(path.read_bytes() for path in (folder / "audit").iterdir())
        assert planted > 100
        assert held.count(canary.encode()) == 0
        assert len(held.splitlines()) > 20


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("evaluate", {"code": "CANARY", "context": {"receiver": "CANARY"}, "image_id": "pharo"}),
        ("debug", {"operation": "CANARY", "context": {"a": "CANARY"}, "image_id": "pharo"}),
        ("debug", {"operation": "EvaluateInFrame", "expression": "CANARY", "image_id": "pharo"}),
        ("evaluate_on", {"code": "CANARY", "image_ids": ["pharo"]}),
        ("inspect", {"target": "CANARY", "image_id": "pharo"}),
        ("update_session_state", {"state_data": {"CANARY": "CANARY"}}),
        ("save_context", {"tool_id": "t", "context": {"workspace": {"x": "CANARY"}}}),
        ("hello", {"role": "client", "client_id": "ada", "token": "CANARY", "client_info": {"platform": "CANARY"}}),
        ("hello", {"role": "client", "resume_token": "CANARY", "unanswered": ["CANARY"]}),
    ],
)
async def test_content_gets_into_no_file_of_the_log(command: str, parameters: dict[str, Any]) -> None:
    """Neither code nor state nor tokens, whatever they look like."""
    async with audited() as (running, folder), running.talker() as client, running.image() as image:
        session = (await client.call("create_session", client_id="ada"))["session_id"]
        known = load_contract().commands[command].parameters
        asked = client.ask(command, **({"session_id": session} if "session_id" in known else {}), **parameters)
        if "code" in parameters or "operation" in parameters or "target" in parameters:
            request = await image.hear()
            image.say({"id": request["id"], "status": "error", "error": "CANARY", "code": "image_error"})
        await client.reply_to(asked)
        rows = written(running, folder)
        assert b"CANARY" not in b"".join(path.read_bytes() for path in (folder / "audit").iterdir())
        assert json.dumps([row.event for row in rows])
