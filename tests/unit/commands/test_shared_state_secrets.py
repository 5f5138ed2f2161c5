"""Does any command, or any event, tell somebody what his view hides? Every command that tells of a session, by role."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stui_sessiond.contract import load_contract
from tests.unit.bed.daemon import Json, Running, Talker, running_daemon
from tests.unit.bed.game import CANARY, HIDDEN, MACHINE

HELLO = {"viewer": "v", "editor": "e", "nobody": None, "observer": "v", "two": "two"}
"""Who looks, and the client id he says hello with."""

OWN = {"two"}
"""Who knows that there is a hidden place, because a part of it is his."""


@asynccontextmanager
async def table() -> AsyncIterator[tuple[Running, Talker, Talker, str]]:
    """A game in which one has drawn what others may not see, in versions, events, snapshots and outcomes."""
    async with running_daemon() as running, running.talker() as owner, running.talker() as one:
        await owner.call("hello", role="client", client_id="table")
        await one.call("hello", role="client", client_id="one")
        session_id = (await owner.call("create_session", client_id="table", machine=MACHINE))["session_id"]
        for client_id, role in (("one", "viewer"), ("two", "viewer"), ("v", "viewer"), ("e", "editor")):
            await owner.call("share_session", session_id=session_id, client_id=client_id, role=role)
        await draw(one, session_id, "a", "draw-1")
        await owner.call("snapshot_session", session_id=session_id, name="drawn")
        await play(one, session_id)
        yield running, owner, one, session_id


async def draw(one: Talker, session_id: str, more: str, key: str | None = None) -> Json:
    """Let one draw something that is hidden from others."""
    change = {HIDDEN: {"one": f"{CANARY}-{more}"}}
    return await one.call(
        "apply_transition", session_id=session_id, transition="draw", change=change, idempotency_key=key
    )


async def play(one: Talker, session_id: str) -> None:
    """Let one do what all see."""
    played = await one.call(
        "apply_transition", session_id=session_id, transition="play", change={"turn": "two", "points": 1}
    )
    assert played["version"], played


ASKED: dict[str, list[Json]] = {
    "restore_session": [{}],
    "update_session_state": [{"state_data": {}}, {"state_data": {}, "expected_version": 1, "on_conflict": "merge"}],
    "get_session_info": [{}],
    "get_session_history": [{}, {"limit": 1}],
    "get_session_at": [{"version": version} for version in (1, 2, 3)] + [{"name": "drawn"}],
    "list_snapshots": [{}],
    "snapshot_session": [{"name": "mine"}],
    "revert_session": [{"version": 1}, {"name": "drawn"}],
    "subscribe": [
        {"with_state": True},
        {"with_state": True, "deltas": True},
        {"since": {"epoch": "x", "seq": 0}},
        {"since": {"epoch": "x", "seq": 0}, "deltas": True},
    ],
    "get_digest": [{}, {"since": {"epoch": "x", "seq": 0}}],
    "get_machine": [{}],
    "declare_machine": [{"machine": None}],
    "apply_transition": [
        {"transition": "draw", "change": {HIDDEN: {"one": "x"}}},
        {"transition": "draw", "change": {HIDDEN: 5}},
        {"transition": "draw", "change": {HIDDEN: None}},
        {"transition": "play", "change": {"points": "x"}},
        {"transition": "play", "mode": "patch", "change": [{"op": "copy", "from": f"/{HIDDEN}/one", "path": "/turn"}]},
        {
            "transition": "play",
            "mode": "patch",
            "change": [{"op": "test", "path": f"/{HIDDEN}/one", "value": f"{CANARY}-a"}],
        },
        {"transition": "play", "mode": "replace", "change": {"status": "open", "turn": "one", "points": 2}},
        {"transition": "nothing"},
        {"transition": "draw", "expected_version": 1},
    ],
    "get_request_status": [{"idempotency_key": "draw-1"}],
    "get_presence": [{}],
    "list_sessions": [{"status": "all"}],
    "load_context": [{}],
    "get_context_summary": [{}],
    "list_evaluations": [{}],
    "list_handles": [{}],
    "list_debuggers": [{}],
    "share_session": [{"client_id": "v", "role": "viewer"}],
    "close_session": [{}],
}
"""Requests by command; each names the session as well."""

ELSEWHERE = frozenset(
    {
        *("approve", "reject", "list_approvals", "browse_class", "code_completion", "compile_method", "create_backup"),
        *("define_class", "debug", "describe", "evaluate", "evaluate_on", "find_methods", "get_error_report"),
        *("get_hierarchy", "get_method", "get_result_page", "hello", "inspect", "interrupt", "interrupt_evaluation"),
        *("list_classes", "list_packages", "ping", "reapply_code_changes", "remove_class", "remove_method"),
        *("system_info", "take_debugger", "capture_context", "release_session", "release_handles", "rename_session"),
        *("cleanup_image_sessions", "get_image_connection_status", "get_image_session_stats", "list_image_sessions"),
        *("list_images", "list_code_changes", "switch_image_context", "create_session", "list_client_sessions"),
        *(
            "get_session_statistics",
            "get_log_levels",
            "get_figures",
            "list_connections",
            "list_running_evaluations",
            "get_store_status",
            "set_log_level",
            "unsubscribe",
            "detach_client",
            "drive_session",
            "save_context",
            "clear_context",
        ),
    }
)
"""Commands that tell nothing of a session's state: of images and code, of contexts, who is there, of the daemon."""


def test_every_command_is_looked_at() -> None:
    """Whoever adds a command says whether it tells of a state."""
    assert set(ASKED) | ELSEWHERE == set(load_contract().commands)
    assert not set(ASKED) & ELSEWHERE


@pytest.mark.parametrize("who", HELLO)
@pytest.mark.parametrize("envelope", [False, True])
async def test_no_answer_and_no_event_tells_what_a_view_hides(who: str, envelope: bool) -> None:
    """Nobody hears the value; who has no part in the hidden place does not even hear its name, unless he said it."""
    async with table() as (running, _, one, session_id), running.talker() as curious:
        if who != "nobody":
            role = "observer" if who == "observer" else "client"
            await curious.call("hello", role=role, client_id=HELLO[who])
        heard: list[str] = []
        answered = 0
        for command, wishes in ASKED.items():
            for wish in wishes:
                answer = await curious.call(command, envelope=envelope, session_id=session_id, **wish)
                answered += "code" not in answer
                if HIDDEN not in json.dumps(wish):
                    heard.append(json.dumps(answer))
                assert CANARY not in json.dumps(answer), (command, answer)
                if command == "subscribe":  # what comes is heard in between, live and replayed, whole and as deltas
                    drawn = await draw(one, session_id, f"{len(heard)}")
                    assert "version" in drawn, drawn
                    await curious.call("ping")
                if command == "revert_session" and who in {"viewer", "two"}:
                    assert answer["code"] in {"session_not_shared", "revert_not_allowed"}
        heard += map(json.dumps, curious.events)
        told = "\n".join(heard)
        assert answered >= 10
        assert any('"hidden"' in text for text in heard)
        assert CANARY not in told
        assert who in OWN or HIDDEN not in told


async def test_who_may_see_does_see() -> None:
    """The same questions tell the owner, and one himself, all of it: the test above could fail."""
    async with table() as (_, owner, one, session_id):
        for command in ("restore_session", "get_session_history", "get_machine"):
            for seer in (owner, one):
                assert CANARY in json.dumps(await seer.call(command, session_id=session_id))
        subscribed = await owner.call("subscribe", session_id=session_id, since={"epoch": "x", "seq": 0})
        assert subscribed["recovered"] is False
        await draw(one, session_id, "live")
        await owner.call("ping")
        told = json.dumps(owner.events)
        assert f"{CANARY}-a" in told
        assert f"{CANARY}-live" in told
        assert "views" not in told


async def test_sizes_do_not_tell_how_much_is_hidden() -> None:
    """What a viewer hears of sizes is the same, however long the hidden text is."""
    async with table() as (running, _, one, session_id), running.talker() as viewer:
        await viewer.call("hello", role="client", client_id="v")
        before = await viewer.call("get_session_info", session_id=session_id)
        history = await viewer.call("get_session_history", session_id=session_id)
        await draw(one, session_id, "x" * 5000)
        after = await viewer.call("get_session_info", session_id=session_id)
        assert before["size_bytes"] == after["size_bytes"] < 200
        newest = (await viewer.call("get_session_history", session_id=session_id))["versions"][0]
        assert (newest["what"], newest["size_bytes"]) == ("hidden", history["versions"][1]["size_bytes"])


async def test_view_follows_the_share_and_the_machine() -> None:
    """Whoever loses a role hears no more of what it showed, from the very next event on."""
    async with table() as (running, owner, one, session_id), running.talker() as two:
        await two.call("hello", role="client", client_id="two")
        shown = {**MACHINE, "roles": {**MACHINE["roles"], "judge": {"shares": ["editor"]}}}
        await owner.call("share_session", session_id=session_id, client_id="two", role="editor")
        declared = {**shown, "views": sorted(MACHINE["views"], key=lambda view: view["name"] != "judge")}
        found = await owner.call("declare_machine", session_id=session_id, machine=declared)
        assert found["machine_version"] == 2
        await two.call("subscribe", session_id=session_id)
        await draw(one, session_id, "seen")
        await two.call("ping")
        assert f"{CANARY}-seen" in json.dumps(two.events)
        two.events.clear()
        await owner.call("share_session", session_id=session_id, client_id="two", role="viewer")
        await draw(one, session_id, "unseen")
        await two.call("ping")
        assert [event["event"] for event in two.events] == ["session.shared", "session.updated"]
        assert two.events[1]["data"]["mode"] == "hidden"
        assert CANARY not in json.dumps(two.events)
