"""One message in, one out: what a POST to /rpc does, for whom, and with which status."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.security import token as tokens
from stui_sessiond.server.listeners import Parting
from stui_sessiond.web.status import all_statuses
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.bed.http import HttpPeer, http_peer
from tests.unit.bed.wait import until

OPEN = {"http": "127.0.0.1:0", "auth": "none"}
SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}
GUARDED = {"http": "127.0.0.1:0", "lines": "127.0.0.1:0"}


@asynccontextmanager
async def open_peer() -> AsyncIterator[HttpPeer]:
    """A connection to a daemon that asks for no token."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        yield peer


def bearer(token: str | None) -> dict[str, str]:
    """The header with a token."""
    return {"Authorization": f"Bearer {token}"}


async def make_token(running: Running, name: str, *rights: str, clients: tuple[str, ...] = ()) -> dict[str, str]:
    """Make a token as the command line does; give the header with it."""
    folder = Path(str(running.daemon.settings.server.data_dir))
    wish = tokens.Wish(name=name, rights=rights, clients=clients)
    made = await asyncio.to_thread(tokens.create, folder, wish, running.clock())
    running.reloader.check()
    return bearer(made)


async def test_message_in_either_form() -> None:
    """The answer has the form of the request, and one connection takes many."""
    async with open_peer() as peer:
        made = await peer.call("create_session", client_id="ada")
        assert (made.status, made.headers["content-type"]) == (200, "application/json")
        assert made.headers["cache-control"] == "no-store"
        session_id = made.json["result"]["session_id"]
        found = await peer.call("GetSessionInfo", envelope=True, session_id=session_id)
        assert found.status == 200
        assert found.json["payload"]["data"]["data"]["session_id"] == session_id


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"[]", 400, "invalid_message"),
        (b"\xff", 400, "invalid_utf8"),
        (b'{"command":"ping"}', 400, "invalid_message"),
        (b'{"id":"x","status":"success","result":1}', 400, "invalid_message"),
        (b'{"id":"x","command":"nonsense"}', 404, "unknown_command"),
        (b'{"id":"x","command":"get_session_info","parameters":{"session_id":"no"}}', 404, "session_not_found"),
        (b'{"id":"x","command":"get_session_info"}', 400, "invalid_parameters"),
        (b'{"id":"x","command":"hello","parameters":{"role":"client"}}', 422, "unsupported_operation"),
        (b'{"id":"x","command":"subscribe","parameters":{"session_id":"no"}}', 422, "unsupported_operation"),
        (b'{"id":"x","command":"list_images","parameters":{}}{', 400, "malformed_json"),
    ],
)
async def test_message_that_fails(body: bytes, status: int, code: str) -> None:
    """The body is the error as on a socket; the status fits its code, in both forms."""
    async with open_peer() as peer:
        peer.ask("POST", "/rpc", body)
        response = await peer.response()
        assert (response.status, response.json["code"]) == (status, code)
        assert (await peer.call("ping")).status == 200


async def test_envelope_that_fails() -> None:
    """The code is where envelopes have it, and gives the status."""
    async with open_peer() as peer:
        response = await peer.call("GetSessionInfo", envelope=True, session_id="no")
        assert response.status == 404
        assert response.json["payload"]["data"]["data"]["details"]["code"] == "session_not_found"


def test_status_of_every_code() -> None:
    """No code is without one, and 500 is for what is broken."""
    statuses = all_statuses(load_contract().errors)
    assert set(statuses.values()) <= {400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 502, 503, 504}
    assert {code for code, status in statuses.items() if status == 500} == {"internal_error", "session_damaged"}
    assert statuses["too_many_attempts"] == statuses["rate_limited"] == statuses["too_many_connections"] == 429


async def test_message_as_long_as_over_a_socket() -> None:
    """One that fits is taken; one that does not is refused with its code, and cut off when it goes on and on."""
    async with (
        running_daemon(server=OPEN, limits={"client_message_bytes": 300_000}) as running,
        http_peer(running.ready.http) as peer,
    ):
        made = await peer.result("create_session", client_id="ada")
        state = {"x": "y" * 250_000}
        answer = await peer.call("update_session_state", session_id=made["session_id"], state_data=state)
        assert answer.status == 200
        refused = await peer.call("ping", message="y" * 300_001)
        assert (refused.status, refused.json["code"]) == (413, "message_too_large")
        async with http_peer(running.ready.http) as endless:
            endless.write(
                "POST /rpc HTTP/1.1\nHost: HOST\nContent-Type: application/json\nContent-Length: 99999999\n\n"
            )
            endless.writer.write(b"y" * 1_000_000)
            assert (await endless.response()).status == 413
            try:
                assert await endless.ended()
            except ConnectionResetError:  # what was on its way when it was cut
                return


async def test_repeated_request_with_a_key() -> None:
    """The second one gets the answer of the first, over another connection too."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        made = await peer.result("create_session", client_id="ada")
        change = {"session_id": made["session_id"], "state_data": {"n": 1}, "idempotency_key": "k"}
        first = await peer.result("update_session_state", **change)
        async with http_peer(running.ready.http) as other:
            assert await other.result("update_session_state", **change) == first


async def test_client_that_leaves() -> None:
    """What it asked for goes on, and the answer is there under its key."""
    async with running_daemon(server=OPEN) as running, running.image() as image:
        async with http_peer(running.ready.http) as peer:
            made = await peer.result("create_session", client_id="ada", image_id="pharo")
            told = {"session_id": made["session_id"], "code": "3 + 4", "idempotency_key": "k"}
            message = {"id": "e", "command": "evaluate", "parameters": told}
            peer.ask("POST", "/rpc", json.dumps(message).encode())
            asked = await image.hear()
        image.say({"id": asked["id"], "status": "success", "result": SEVEN})
        async with http_peer(running.ready.http) as other:
            answer = await other.result("evaluate", **told)
            assert answer["result"] == "7"
            status = await other.result("get_request_status", session_id=made["session_id"], idempotency_key="k")
            assert status["status"] == "done"
        await until(lambda: running.daemon.server.counts().clients == 0)


async def test_requests_behind_one_another() -> None:
    """Several in one packet are answered in their order."""
    async with open_peer() as peer:
        for number in range(5):
            peer.ask("POST", "/rpc", b'{"id":"%d","command":"ping"}' % number)
        assert [(await peer.response()).json["id"] for _ in range(5)] == ["0", "1", "2", "3", "4"]


async def test_answer_that_does_not_wait_for_the_client_s_system() -> None:
    """Head and body leave at once: the second is not held back until the first is acknowledged (RFC 896)."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        assert (await peer.call("ping")).status == 200
        assert running.daemon.server._uvicorn is not None
        (connection,) = running.daemon.server._uvicorn.server_state.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_request_of_http_1_0() -> None:
    """It is answered, and the connection ends."""
    async with open_peer() as peer:
        body = b'{"id":"1","command":"ping"}'
        peer.write(
            f"POST /rpc HTTP/1.0\nHost: HOST\nContent-Type: application/json\nContent-Length: {len(body)}\n\n", body
        )
        assert (await peer.response()).status == 200
        assert await peer.ended()


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 405), ("HEAD", 405), ("OPTIONS", 405), ("DELETE", 405), ("PUT", 405)]
)
async def test_other_method(method: str, status: int) -> None:
    """Only POST is possible, and the answer says so."""
    async with open_peer() as peer:
        peer.ask(method, "/rpc")
        response = await peer.response(has_body=method != "HEAD")
        assert response.status == status
        assert response.headers["allow"] == "POST"


# ---- who asks


async def test_request_without_a_token() -> None:
    """It is refused, with the way to do better; that is no attempt to guess."""
    async with running_daemon(server=GUARDED) as running, http_peer(running.ready.http) as peer:
        for _ in range(7):
            response = await peer.call("ping")
            assert (response.status, response.json["code"]) == (401, "authentication_required")
            assert response.headers["www-authenticate"].startswith("Bearer ")
        assert (await peer.call("ping", headers=bearer(running.daemon.new_token))).status == 200


async def test_request_with_a_wrong_token() -> None:
    """Failures count with those of `hello`, so that nobody gets more attempts by changing the transport."""
    async with running_daemon(server=GUARDED, audited=True) as running:
        async with http_peer(running.ready.http) as peer:
            for _ in range(4):
                response = await peer.call("ping", headers=bearer("stui_wrong"))
                assert (response.status, response.json["code"]) == (401, "authentication_failed")
            async with running.talker(running.ready.lines) as talker:
                assert (await talker.call("hello", role="client", token="no"))["code"] == "authentication_failed"
            response = await peer.call("ping", headers=bearer(running.daemon.new_token))
            assert (response.status, response.json["code"]) == (429, "too_many_attempts")
            assert response.headers["retry-after"] == "60"
        async with http_peer(running.ready.http) as another:
            assert (await another.response()).status == 429


@pytest.mark.parametrize("value", ["Basic x", "Bearer", "Bearer ", "x"])
async def test_header_that_is_no_token(value: str) -> None:
    """It is an attempt that failed."""
    async with running_daemon(server=GUARDED) as running, http_peer(running.ready.http) as peer:
        assert (await peer.call("ping", headers={"Authorization": value})).json["code"] == "authentication_failed"


async def test_rights_of_a_token() -> None:
    """They are those of the token, whatever the transport; one for an image gets nowhere."""
    async with running_daemon(server=GUARDED) as running, http_peer(running.ready.http) as peer:
        looks = await make_token(running, "looks", "observe")
        assert (await peer.call("list_images", headers=looks)).status == 200
        refused = await peer.call("create_session", headers=looks, client_id="ada")
        assert (refused.status, refused.json["code"]) == (403, "permission_denied")
        image = await make_token(running, "image", "image")
        assert (await peer.call("list_images", headers=image)).json["code"] == "permission_denied"


async def test_name_of_a_client() -> None:
    """It comes in a header or in the query; a session of another client is closed to it (docs/adr/0013)."""
    async with running_daemon(server=GUARDED) as running, http_peer(running.ready.http) as peer:
        anybody = bearer(running.daemon.new_token)
        session_id = (await peer.call("create_session", headers=anybody, client_id="ada")).json["result"]["session_id"]
        for name, status in (("ada", 200), ("bob", 403)):
            named = {**anybody, "Stui_Client_Id": name}
            response = await peer.call("update_session_state", headers=named, session_id=session_id, state_data={})
            assert response.status == status
        assert response.json["code"] == "session_not_shared"
        body = json.dumps({"id": "x", "command": "get_session_info", "parameters": {"session_id": session_id}})
        peer.ask("POST", "/rpc?client_id=bob", body.encode(), **anybody)
        assert (await peer.response()).json["code"] == "session_not_shared"
        peer.ask("POST", "/rpc?client_id=bob", body.encode(), **anybody, Stui_Client_Id="ada")
        assert (await peer.response()).json["code"] == "invalid_parameters"


async def test_token_that_is_for_one_client() -> None:
    """It names that client; another name is refused."""
    async with running_daemon(server=GUARDED) as running, http_peer(running.ready.http) as peer:
        adas = await make_token(running, "adas", "session", clients=("ada",))
        assert (await peer.call("create_session", headers=adas, client_id="ada")).status == 200
        assert (await peer.call("create_session", headers=adas, client_id="bob")).json["code"] == "client_not_allowed"
        named = await peer.call("ping", headers={**adas, "Stui_Client_Id": "bob"})
        assert (named.status, named.json["code"]) == (403, "client_not_allowed")


async def test_more_than_the_rate() -> None:
    """The status and the header say when to come again."""
    rates = {"requests_per_second": 0.1, "requests_burst": 2}
    async with running_daemon(server=GUARDED, quotas=rates) as running, http_peer(running.ready.http) as peer:
        token = bearer(running.daemon.new_token)
        answers = [await peer.call("ping", headers=token) for _ in range(3)]
        assert [each.status for each in answers] == [200, 200, 429]
        assert answers[2].json["code"] == "rate_limited"
        assert 9 <= int(answers[2].headers["retry-after"]) <= 11


async def test_more_at_once_than_a_token_may_have() -> None:
    """A request counts as a connection of its token while it is under way."""
    async with running_daemon(server=GUARDED, limits={"connections_per_token": 1}) as running, running.image() as image:
        token = bearer(running.daemon.new_token)
        async with http_peer(running.ready.http) as one, http_peer(running.ready.http) as two:
            asked = {"id": "e", "command": "evaluate_on", "parameters": {"image_ids": ["pharo"], "code": "1"}}
            one.ask("POST", "/rpc", json.dumps(asked).encode(), **token)
            request = await image.hear()
            refused = await two.call("ping", headers=token)
            assert (refused.status, refused.json["code"]) == (429, "too_many_connections")
            image.say({"id": request["id"], "status": "success", "result": SEVEN})
            assert (await one.response()).status == 200
            assert (await two.call("ping", headers=token)).status == 200


async def test_token_that_is_revoked_while_a_request_runs() -> None:
    """Its holder does not get the answer."""
    async with running_daemon(server=GUARDED) as running, running.image() as image:
        token = await make_token(running, "soon gone", "eval")
        async with http_peer(running.ready.http) as peer:
            asked = {"id": "e", "command": "evaluate_on", "parameters": {"image_ids": ["pharo"], "code": "1"}}
            peer.ask("POST", "/rpc", json.dumps(asked).encode(), **token)
            await image.hear()
            folder = Path(str(running.daemon.settings.server.data_dir))
            await asyncio.to_thread(tokens.revoke, folder, "soon gone", running.clock())
            running.reloader.check()
            assert (await peer.response()).status == 401


async def test_daemon_that_stops_while_a_request_runs() -> None:
    """The answer says to come again, and that the request may have been carried out."""
    async with running_daemon(server=OPEN) as running, running.image() as image, http_peer(running.ready.http) as peer:
        asked = {"id": "e", "command": "evaluate_on", "parameters": {"image_ids": ["pharo"], "code": "1"}}
        peer.ask("POST", "/rpc", json.dumps(asked).encode())
        await image.hear()
        await running.daemon.server.drain(Parting())
        response = await peer.response()
        assert (response.status, response.json["code"]) == (503, "shutting_down")
        assert response.headers["retry-after"]


# ---- pages


async def test_page_of_a_listed_origin() -> None:
    """The browser is told that it may ask, and may read; what is refused it may read as well."""
    page = "https://app.example"
    async with (
        running_daemon(server=GUARDED, access={"origins": [page]}) as running,
        http_peer(running.ready.http) as peer,
    ):
        peer.ask("OPTIONS", "/rpc", Origin=page, Access_Control_Request_Method="POST")
        told = await peer.response()
        assert (told.status, told.headers["access-control-allow-origin"]) == (204, page)
        assert "authorization" in told.headers["access-control-allow-headers"]
        refused = await peer.call("ping", headers={"Origin": page})
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, page)
        peer.ask("OPTIONS", "/rpc", Origin="https://evil.example", Access_Control_Request_Method="POST")
        stranger = await peer.response()
        assert stranger.status == 403
        assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/events?topics=all", "/metrics", "/healthz", "/ui/app.js"])
async def test_page_of_another_site_that_does_not_say_which(path: str, site: str) -> None:
    """What it loads as an image, or without wanting to read it, has no Origin; it begins nothing here."""
    async with open_peer() as peer:
        peer.ask("GET", path, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")
        refused = await peer.response()
        assert (refused.status, refused.json["code"]) == (403, "permission_denied")


@pytest.mark.parametrize(("site", "mode"), [("cross-site", "navigate"), ("same-origin", "cors"), ("none", "navigate")])
async def test_our_page_by_a_link_or_by_itself(site: str, mode: str) -> None:
    """Somebody goes to it, or it asks for what belongs to it."""
    async with open_peer() as peer:
        peer.ask("GET", "/ui/", Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)
        assert (await peer.response()).status == 200
