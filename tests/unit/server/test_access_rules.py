"""Are lists, rates, quotas and the policy enforced, and can they change while the daemon runs?"""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stui_sessiond.security import token as tokens
from stui_sessiond.server.peer import Peer
from stui_sessiond.settings import AccessSettings, PolicySettings
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.bed.http import http_peer

Json = dict[str, Any]


def a_token(running: Running, **wish: Any) -> str:  # noqa: ANN401 -- fields of Wish
    """Make a token that the daemon knows."""
    folder = Path(running.daemon.settings.server.data_dir or "")
    asked = tokens.Wish(**{"name": "t", "rights": ["session", "eval", "observe"], **wish})
    made = tokens.create(folder, asked, running.clock())
    running.reloader.check()
    return made


async def test_lists_that_change_cut_off_who_may_not_stay() -> None:
    """A client that is denied while it is there is closed, with the reason; others go on."""
    async with running_daemon() as running, running.talker() as guest, running.talker() as ada:
        await guest.call("hello", role="client", client_id="guest-1")
        await ada.call("hello", role="client", client_id="ada")
        running.fresh = replace(running.fresh, access=AccessSettings(clients_deny=["guest-*"]))
        running.reloader.check(now=True)
        closing = await guest.event()
        assert closing["data"]["name"] == "access_revoked"
        assert (await ada.call("ping"))["status"] == "ready"


async def test_settings_that_cannot_be_read_change_nothing() -> None:
    """What was in force stays in force."""
    async with running_daemon(access={"commands_deny": ["debug"]}) as running, running.talker() as ada:
        running.fresh = replace(running.fresh, policy=PolicySettings(forbid=["x"]))
        running.reloader.check(now=True)
        assert (await ada.call("evaluate", code="x"))["code"] == "evaluation_forbidden"
        assert (await ada.call("evaluate", code="y"))["code"] == "image_unavailable"


async def test_command_that_is_denied_is_refused() -> None:
    """Also for the daemon's own user: the operator wanted it so."""
    async with running_daemon(access={"commands_deny": ["debug", "create_*"]}) as running, running.talker() as ada:
        assert (await ada.call("create_session", client_id="a"))["code"] == "command_not_allowed"
        assert "total_sessions" in await ada.call("get_session_statistics")


async def test_image_that_is_denied_is_refused_and_closed() -> None:
    """The lists of images hold for hello."""
    async with running_daemon(access={"images_allow": ["pharo*"]}) as running, running.talker() as image:
        identity = {"image_id": "squeak", "instance_id": "i"}
        assert (await image.call("hello", role="image", identity=identity))["code"] == "image_not_allowed"
        assert (await image.event())["data"]["name"] == "image_refused"
        async with running.image("pharo-12"):
            pass


async def test_address_that_is_denied_is_closed_at_once() -> None:
    """Before anything is read from it."""
    server = {"lines": "127.0.0.1:0"}
    async with running_daemon(server=server, access={"addresses_deny": ["127.0.0.0/8"]}) as running:
        async with running.talker(running.ready.lines) as stranger:
            assert (await stranger.event())["data"]["name"] == "address_not_allowed"
        async with running.talker() as local:
            assert (await local.call("ping"))["status"] == "ready"


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/ui/", "/ui/app.js", "/openapi.json", "/", "/rpc"]
)
async def test_address_that_is_denied_gets_nothing_over_http(path: str) -> None:
    """Not even what takes no token, or what the operator opened to all; and it is told once for each connection."""
    access, observe = {"addresses_deny": ["127.0.0.0/8"]}, {"metrics_open": True}
    async with (
        running_daemon(server={"http": "127.0.0.1:0"}, access=access, observe=observe) as running,
        http_peer(running.ready.http) as stranger,
    ):
        stranger.ask("GET", path)
        refused = await stranger.response()
        assert (refused.status, refused.json["code"]) == (403, "permission_denied")
        assert await stranger.ended()


async def test_only_who_is_new_is_looked_at_as_long_as_nothing_changed() -> None:
    """To look at 10,000 connections twice a second would take a tenth of the daemon's time."""
    async with running_daemon() as running, running.talker() as ada:
        await ada.call("hello", role="client", client_id="ada")
        looked_at: list[str | None] = []

        def may_stay(peer: Peer) -> bool:
            looked_at.append(peer.client_id)
            return True

        running.daemon.server.recheck(may_stay, "rules")
        running.daemon.server.recheck(may_stay, "rules")
        assert looked_at == ["ada"]
        async with running.talker() as bob:
            await bob.call("ping")
            running.daemon.server.recheck(may_stay, "rules")
            await bob.call("hello", role="client", client_id="bob")
            running.daemon.server.recheck(may_stay, "rules")
            assert looked_at == ["ada", None, "bob"]
            running.daemon.server.recheck(may_stay, "rules")
            assert looked_at == ["ada", None, "bob"]
            running.daemon.server.recheck(may_stay, "other rules")
            assert sorted(looked_at[3:], key=str) == ["ada", "bob"]


async def test_requests_beyond_the_rate_are_refused_with_a_time() -> None:
    """Who has a token is counted; the daemon's own user is not."""
    quotas = {"requests_per_second": 0.001, "requests_burst": 3}
    async with running_daemon(server={"lines": "127.0.0.1:0"}, quotas=quotas) as running:
        token = a_token(running)
        async with running.talker(running.ready.lines) as ada, running.talker() as local:
            await ada.call("hello", role="client", token=token, client_id="ada")
            assert [(await ada.call("ping"))["status"] for _ in range(3)] == ["ready"] * 3
            refused = await ada.call("ping")
            assert refused["code"] == "rate_limited"
            assert refused["retryable"]
            assert refused["details"]["retry_after"] > 0
            for _ in range(10):
                assert (await local.call("ping"))["status"] == "ready"


async def test_client_may_not_have_more_bytes_than_its_quota() -> None:
    """Counted over all its sessions; making one smaller is always possible."""
    async with running_daemon(quotas={"client_bytes": 2000}) as running, running.talker() as ada:
        one = (await ada.call("create_session", client_id="ada"))["session_id"]
        two = (await ada.call("create_session", client_id="ada"))["session_id"]
        await ada.call("update_session_state", session_id=one, state_data={"text": "x" * 1500})
        refused = await ada.call("update_session_state", session_id=two, state_data={"text": "x" * 1500})
        assert refused["code"] == "client_quota_exceeded"
        assert (await ada.call("update_session_state", session_id=one, state_data={}))["update_successful"]
        more = await ada.call("update_session_state", session_id=two, state_data={"text": "x" * 1500})
        assert more["update_successful"]


@pytest.mark.parametrize("command", ["create_session", "list_client_sessions"])
async def test_bound_token_speaks_for_its_client_alone(command: str) -> None:
    """Whose token is for one client cannot use another's name; without a name it has its own."""
    async with running_daemon(server={"lines": "127.0.0.1:0"}) as running:
        token = a_token(running, clients=("ada",))
        async with running.talker(running.ready.lines) as talker:
            await talker.call("hello", role="client", token=token)
            assert (await talker.call(command, client_id="bob"))["code"] == "client_not_allowed"
            assert (await talker.call(command, client_id="ada"))["client_id"] == "ada"
        async with running.talker(running.ready.lines) as talker:
            refused = await talker.call("hello", role="client", token=token, client_id="bob")
            assert refused["code"] == "client_not_allowed"


async def test_code_that_waits_runs_when_it_is_approved() -> None:
    """An agent's code waits until somebody with `admin` agrees, and the session hears of both."""
    async with (
        running_daemon(policy={"ask_clients": ["agent"]}) as running,
        running.image() as image,
        running.talker() as agent,
        running.talker() as boss,
    ):
        await agent.call("hello", role="client", client_id="agent")
        session = (await agent.call("create_session", client_id="agent"))["session_id"]
        await boss.call("subscribe", session_id=session)
        waiting = agent.ask("evaluate", session_id=session, code="3 + 4")
        needed = await boss.event()
        assert needed["event"] == "evaluation.approval_needed"
        listed = (await boss.call("list_approvals"))["approvals"]
        assert [(one["code"], one["client_id"], one["session_id"]) for one in listed] == [("3 + 4", "agent", session)]
        assert (await boss.call("approve", approval_id=listed[0]["approval_id"]))["approved"]
        asked = await image.hear()
        result = {"result": "7", "result_type": "SmallInteger", "execution_time": 0, "has_error": False}
        image.say({"id": asked["id"], "status": "success", "result": result})
        assert (await agent.reply_to(waiting))["result"]["result"] == "7"
        assert (await boss.call("approve", approval_id=listed[0]["approval_id"]))["code"] == "approval_not_found"


async def test_code_that_is_rejected_is_never_sent() -> None:
    """Who asked is told why."""
    async with (
        running_daemon(policy={"ask": ["snapshot"]}) as running,
        running.image() as image,
        running.talker() as ada,
        running.talker() as boss,
    ):
        session = (await ada.call("create_session", client_id="ada", image_id="pharo"))["session_id"]
        waiting = ada.ask("evaluate", session_id=session, code="Smalltalk snapshot")
        while not (listed := (await boss.call("list_approvals"))["approvals"]):  # its round trip is the wait
            pass
        await boss.call("reject", approval_id=listed[0]["approval_id"], reason="not on a Friday")
        refused = await ada.reply_to(waiting)
        assert refused["code"] == "approval_rejected"
        assert "not on a Friday" in refused["error"]
        image.say({"id": "x", "command": "ping"})
        assert (await image.hear())["id"] == "x"  # nothing came before


async def test_token_has_so_many_connections_and_no_more() -> None:
    """One more is refused and closed, others are not; when one ends there is room again."""
    async with running_daemon(server={"lines": "127.0.0.1:0"}, limits={"connections_per_token": 2}) as running:
        token, other = a_token(running), a_token(running, name="other")
        async with running.talker(running.ready.lines) as first:
            await first.call("hello", role="client", token=token)
            async with running.talker(running.ready.lines) as second, running.talker(running.ready.lines) as third:
                await second.call("hello", role="client", token=token)
                assert (await third.call("hello", role="client", token=token))["code"] == "too_many_connections"
                assert (await third.event())["data"]["name"] == "too_many_connections"
            async with running.talker(running.ready.lines) as stranger:
                assert "server_id" in await stranger.call("hello", role="client", token=other)
            while running.daemon.server.counts().total > 1:
                await first.call("ping")
            async with running.talker(running.ready.lines) as again:
                assert "server_id" in await again.call("hello", role="client", token=token)
