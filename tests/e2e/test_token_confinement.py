"""What may the holder of a token see of somebody else's session? Asked of a real daemon, with the id in hand."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.security import token as tokens
from tests.unit.bed.daemon import Running, Talker, running_daemon
from tests.unit.bed.http import http_peer

READING = [
    each.command
    for each in load_contract().commands.values()
    if each.right == "observe" and each.session_role is not None and each.command != "unsubscribe"
]
MORE: dict[str, dict[str, Any]] = {
    "load_context": {"tool_id": "w"},
    "get_session_at": {"version": 2},
    "get_result_page": {"evaluation": "none", "page": 1},
    "get_error_report": {"evaluation": "none"},
}
"""What these commands take beside a session."""

ROLES = ("client", "observer")
SECRET = "what ada does"


@asynccontextmanager
async def house() -> AsyncIterator[tuple[Running, Path]]:
    """A daemon with token and two listeners, and an image that a session can belong to."""
    server = {"lines": "127.0.0.1:0", "http": "127.0.0.1:0"}
    async with running_daemon(server=server) as running, running.image():
        yield running, Path(running.daemon.settings.server.data_dir or "")


async def foreign_session(running: Running) -> str:
    """A session of ada's with a state and a context."""
    async with running.talker() as ada:
        await ada.call("hello", role="client", client_id="ada")
        made = await ada.call("create_session", client_id="ada", name="mine", image_id="pharo")
        session_id = str(made["session_id"])
        await ada.call("update_session_state", session_id=session_id, state_data={"doing": SECRET})
        await ada.call("save_context", session_id=session_id, tool_id="w", context={"workspace": {"text": SECRET}})
        return session_id


async def greet(running: Running, talker: Talker, token: str, role: str) -> None:
    """Say hello as the holder of a token."""
    assert "server_id" in await talker.call("hello", role=role, token=token), running.ready


def make_token(running: Running, folder: Path, *clients: str) -> str:
    """A token that may observe."""
    wish = tokens.Wish(name="guest", rights=["observe", "session"], clients=list(clients))
    shown = tokens.create(folder, wish, running.clock())
    running.reloader.check()
    return shown


@pytest.mark.parametrize("role", ROLES)
async def test_token_for_another_client_reads_nothing(role: str) -> None:
    """Whatever role its connection takes up, and though it knows the id, every command that reads says no."""
    async with house() as (running, folder):
        session_id = await foreign_session(running)
        token = make_token(running, folder, "bob")
        async with running.talker(running.ready.lines) as bob:
            await greet(running, bob, token, role)
            for command in READING:
                answer = await bob.call(command, session_id=session_id, **MORE.get(command, {}))
                assert answer.get("code") == "session_not_shared", (command, answer)
            by_topic = await bob.call(
                "subscribe", topics=["image:pharo"], positions={session_id: {"epoch": "", "seq": 0}}
            )
            assert by_topic["code"] == "session_not_shared"


@pytest.mark.parametrize("role", ROLES)
async def test_token_for_another_client_is_told_no_id(role: str) -> None:
    """No list that it may ask for, and no event, names a session of somebody else."""
    async with house() as (running, folder):
        session_id = await foreign_session(running)
        token = make_token(running, folder, "bob")
        async with running.talker(running.ready.lines) as bob, running.talker() as ada:
            await greet(running, bob, token, role)
            await ada.call("hello", role="client", client_id="ada")
            await ada.call("subscribe", session_id=session_id)
            assert (await bob.call("subscribe", topics=["image:pharo"]))["recovered"]
            await ada.call("update_session_state", session_id=session_id, state_data={"doing": "more"})
            for command in ("list_sessions", "list_image_sessions", "list_connections", "list_running_evaluations"):
                assert session_id not in json.dumps(await bob.call(command)), command
            assert (await bob.call("list_client_sessions", client_id="ada"))["code"] == "client_not_allowed"
            assert bob.events == []


@pytest.mark.parametrize("role", ROLES)
async def test_token_for_a_client_sees_what_is_shared_with_it(role: str) -> None:
    """Its own sessions, and those that their owners share with it."""
    async with house() as (running, folder):
        session_id = await foreign_session(running)
        async with running.talker() as ada:
            await ada.call("hello", role="client", client_id="ada")
            await ada.call("share_session", session_id=session_id, client_id="bob", role="viewer")
        token = make_token(running, folder, "bob")
        async with running.talker(running.ready.lines) as bob:
            await greet(running, bob, token, role)
            assert [row["session_id"] for row in (await bob.call("list_sessions"))["sessions"]] == [session_id]
            read = await bob.call("get_session_at", session_id=session_id, version=2)
            assert read["session_state"] == {"doing": SECRET}


async def test_token_for_no_client_reads_everything_and_changes_nothing() -> None:
    """The right `observe` is the right to read all; ids are told to whoever has it."""
    async with house() as (running, folder):
        session_id = await foreign_session(running)
        wish = tokens.Wish(name="page", rights=["observe"])
        token = tokens.create(folder, wish, running.clock())
        running.reloader.check()
        for role in ROLES:
            async with running.talker(running.ready.lines) as page:
                await greet(running, page, token, role)
                assert [row["session_id"] for row in (await page.call("list_sessions"))["sessions"]] == [session_id]
                read = await page.call("get_session_at", session_id=session_id, version=2)
                assert read["session_state"] == {"doing": SECRET}
                changed = await page.call("update_session_state", session_id=session_id, state_data={})
                assert changed["code"] == "permission_denied"


async def test_token_for_a_name_that_owns_nothing_reads_numbers_alone() -> None:
    """As the how-to makes one for Prometheus: it gets `/metrics`, and no session over HTTP either."""
    async with house() as (running, folder):
        session_id = await foreign_session(running)
        wish = tokens.Wish(name="prometheus", rights=["observe"], clients=["prometheus"])
        token = tokens.create(folder, wish, running.clock())
        running.reloader.check()
        async with http_peer(running.ready.http) as peer:
            peer.ask("GET", "/metrics", Authorization=f"Bearer {token}")
            assert (await peer.response()).status == 200
            peer.ask("GET", f"/events?session_id={session_id}", Authorization=f"Bearer {token}")
            refused = await peer.response()
            assert (refused.status, refused.json["code"]) == (403, "session_not_shared")
