"""Events over HTTP: where a stream begins, how it goes on after a break, how it ends, and what it costs the others."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stui_sessiond.security import token as tokens
from stui_sessiond.server.listeners import Parting
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.bed.http import HttpPeer, http_peer, stream
from tests.unit.bed.wait import until

Json = dict[str, Any]

OPEN = {"http": "127.0.0.1:0", "auth": "none"}
GUARDED = {"http": "127.0.0.1:0"}
PAD = "x" * 200_000


async def new_session(running: Running, client_id: str = "ada") -> str:
    """Make a session."""
    async with http_peer(running.ready.http) as peer:
        return str((await peer.result("create_session", client_id=client_id))["session_id"])


async def change(running: Running, session_id: str, *values: object) -> None:
    """Change a session once for each value."""
    async with http_peer(running.ready.http) as peer:
        for value in values:
            await peer.result("update_session_state", session_id=session_id, state_data={"n": value})


async def numbers(peer: HttpPeer, count: int) -> list[object]:
    """Read so many changes."""
    return [(await peer.message())["data"]["session_state"]["n"] for _ in range(count)]


async def test_stream_begins_with_its_position() -> None:
    """Then events come, each with its position as id, and the message as it is over sockets."""
    async with running_daemon(server=OPEN) as running:
        session_id = await new_session(running)
        async with stream(running.ready.http, f"session_id={session_id}&with_state=true") as peer:
            first = await peer.event()
            assert first is not None
            opened = json.loads(first.data)["data"]
            position = opened["subscription"]["position"]
            assert first.name == "connection.opened"
            assert first.last_id == f"{position['epoch']}:{position['seq']}"
            assert opened["heartbeat_interval"] == 15
            assert opened["subscription"]["state"] == {"version": 1, "session_state": {}}
            await change(running, session_id, 1)
            event = await peer.event()
            assert event is not None
            message = json.loads(event.data)
            assert event.name == message["event"] == "session.updated"
            assert event.last_id == f"{message['epoch']}:{message['seq']}" == f"{position['epoch']}:2"


@pytest.mark.parametrize("by_header", [True, False])
async def test_stream_that_goes_on(by_header: bool) -> None:
    """What was missed comes first, from the log; the header says more than the address that it comes with."""
    async with running_daemon(server=OPEN) as running:
        session_id = await new_session(running)
        async with stream(running.ready.http, f"session_id={session_id}") as peer:
            opened = await peer.event()
            assert opened is not None
            known = opened.last_id
        await change(running, session_id, 1, 2, 3)
        epoch = known.partition(":")[0]
        query = f"session_id={session_id}&since=" + (f"{epoch}:0" if by_header else known)
        async with stream(running.ready.http, query, **({"Last_Event_ID": known} if by_header else {})) as peer:
            first = await peer.event()
            assert first is not None
            assert first.last_id == known, "who is cut off now knows no more than before"
            assert json.loads(first.data)["data"]["subscription"]["recovered"] is True
            seqs = [(await peer.message())["seq"] for _ in range(3)]
            assert seqs == [2, 3, 4]


async def test_stream_from_a_position_that_is_not_kept() -> None:
    """A gap says so before what is kept, and the ids go on behind it."""
    async with running_daemon(server=OPEN) as running:
        session_id = await new_session(running)
        await change(running, session_id, 1)
        async with stream(running.ready.http, f"session_id={session_id}", Last_Event_ID="elsewhere:7") as peer:
            assert (await peer.message())["data"]["subscription"]["recovered"] is False
            gap = await peer.event()
            assert gap is not None
            told = json.loads(gap.data)
            assert gap.name == told["event"] == "gap"
            assert told["data"]["from"] == {"epoch": "elsewhere", "seq": 7}
            assert gap.last_id == f"{told['epoch']}:{told['seq']}"
            assert (await peer.message())["seq"] == told["seq"] + 1


async def test_stream_of_topics() -> None:
    """It has the events of several sessions, so no id could say where it is; positions do."""
    async with running_daemon(server=OPEN) as running:
        one, two = await new_session(running), await new_session(running)
        async with stream(running.ready.http, "topics=client:ada,client:bob") as peer:
            assert (await peer.message())["data"]["subscription"]["topics"] == ["client:ada", "client:bob"]
            await change(running, one, 1)
            await change(running, two, 2)
            first = await peer.event()
            assert first is not None
            message = json.loads(first.data)
            assert (first.last_id, message["session_id"]) == ("", one)
            assert await numbers(peer, 1) == [2]
        await change(running, one, 3)
        query = f"topics=client:ada&positions={one}@{message['epoch']}:{message['seq']}"
        async with stream(running.ready.http, query) as peer:
            await peer.message()
            assert await numbers(peer, 1) == [3]


async def test_streams_and_sockets_side_by_side() -> None:
    """All hear the same, each in its way."""
    async with running_daemon(server=OPEN) as running, running.talker() as talker:
        session_id = await new_session(running)
        await talker.call("subscribe", session_id=session_id)
        place = running.ready.http
        async with (
            stream(place, f"session_id={session_id}") as one,
            stream(place, f"session_id={session_id}&deltas=true") as two,
            stream(place, "topics=all") as three,
        ):
            for peer in (one, two, three):
                await peer.message()
            await change(running, session_id, 1)
            heard = [await one.message(), await two.message(), await three.message(), await talker.event()]
            assert len({(each["epoch"], each["seq"]) for each in heard}) == 1
            assert heard[0] == heard[2] == heard[3]
            assert "session_state" not in heard[1]["data"]


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("", {}, 400, "invalid_parameters"),
        ("session_id=no", {}, 404, "session_not_found"),
        ("session_id=SESSION&session_id=SESSION", {}, 400, "invalid_parameters"),
        ("session_id=SESSION&topics=client:ada", {}, 400, "invalid_parameters"),
        ("session_id=SESSION&deltas=yes", {}, 400, "invalid_parameters"),
        ("session_id=SESSION&since=1", {}, 400, "invalid_parameters"),
        ("session_id=SESSION", {"Last_Event_ID": "a:-1"}, 400, "invalid_parameters"),
        ("session_id=SESSION", {"Last_Event_ID": "a:1 b"}, 400, "invalid_parameters"),
        ("session_id=SESSION", {"Last_Event_ID": "\xe4:1"}, 400, "invalid_parameters"),
        ("session_id=SESSION", {"Last_Event_ID": f"a:{'9' * 17}"}, 400, "invalid_parameters"),
        ("session_id=SESSION", {"Last_Event_ID": "a:1\nLast-Event-ID: b:2"}, 400, "invalid_parameters"),
        ("topics=client:ada", {"Last_Event_ID": "a:1"}, 400, "invalid_parameters"),
        ("topics=nonsense", {}, 400, "invalid_parameters"),
        ("topics=client:ada&positions=x", {}, 400, "invalid_parameters"),
        ("session_id=%00%0d%0a", {}, 404, "session_not_found"),
    ],
)
async def test_stream_that_is_refused(query: str, headers: dict[str, str], status: int, code: str) -> None:
    """There is an answer as to any request, the connection goes on, and nobody is left subscribed."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        session_id = await new_session(running)
        peer.ask("GET", f"/events?{query.replace('SESSION', session_id)}", None, **headers)
        response = await peer.response()
        assert (response.status, response.json["code"]) == (status, code)
        assert (await peer.call("ping")).status == 200
        assert len(running.daemon.server.beat) == 0
        assert running.daemon.server.counts().total == 0


async def test_query_that_is_huge() -> None:
    """It is refused before anybody reads it."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        peer.ask("GET", f"/events?session_id={'x' * 600_000}")
        assert (await peer.response()).status == 431


async def test_head_of_a_stream() -> None:
    """It tells what there would be, and begins nothing."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        peer.ask("HEAD", f"/events?session_id={await new_session(running)}")
        response = await peer.response(has_body=False)
        assert (response.status, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert len(running.daemon.server.beat) == 0


async def test_stream_over_http_1_0() -> None:
    """It ends with the connection, so the oldest client can read it."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        peer.write(f"GET /events?session_id={await new_session(running)} HTTP/1.0\nHost: HOST\n\n")
        assert (await peer.head())[0] == 200
        assert (await peer.message())["event"] == "connection.opened"


async def test_request_behind_a_stream() -> None:
    """It is not answered; the stream goes on, and the end of the connection is noticed."""
    async with running_daemon(server=OPEN) as running:
        session_id = await new_session(running)
        async with http_peer(running.ready.http) as peer:
            for _ in range(3):
                peer.ask("GET", f"/events?session_id={session_id}")
            assert (await peer.head())[0] == 200
            await peer.message()
            peer.writer.write(b"nonsense" * 100_000)
            await change(running, session_id, 1)
            assert await numbers(peer, 1) == [1]
            assert running.daemon.server.counts().clients == 1
        await until(lambda: running.daemon.server.counts().clients == 0)


async def test_request_in_front_of_a_stream() -> None:
    """It is answered first."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        session_id = await new_session(running)
        peer.ask("POST", "/rpc", b'{"id":"1","command":"ping"}')
        peer.ask("GET", f"/events?session_id={session_id}")
        assert (await peer.response()).json["id"] == "1"
        assert (await peer.head())[0] == 200
        assert (await peer.message())["event"] == "connection.opened"


async def test_heartbeat_of_a_stream() -> None:
    """One timer serves all; nothing is left of it when the last one is gone."""
    async with running_daemon(server=OPEN) as running:
        session_id, beat = await new_session(running), running.daemon.server.beat
        async with (
            stream(running.ready.http, f"session_id={session_id}") as one,
            stream(running.ready.http, f"session_id={session_id}") as two,
        ):
            for peer in (one, two):
                await peer.message()
            beat.beat()
            for peer in (one, two):
                assert await peer.reader.readexactly(3) == b":\n\n"
        await until(lambda: len(beat) == 0)


# ---- who listens


async def test_stream_with_a_token() -> None:
    """It takes the right `observe`; a token in the address is not one."""
    async with running_daemon(server=GUARDED) as running, http_peer(running.ready.http) as peer:
        token = {"Authorization": f"Bearer {running.daemon.new_token}"}
        session_id = (await peer.call("create_session", headers=token, client_id="ada")).json["result"]["session_id"]
        peer.ask("GET", f"/events?session_id={session_id}&token={running.daemon.new_token}")
        assert (await peer.response()).json["code"] == "authentication_required"
        folder = Path(str(running.daemon.settings.server.data_dir))
        made = await asyncio.to_thread(tokens.create, folder, tokens.Wish(name="b", rights=("eval",)), 0.0)
        running.reloader.check()
        peer.ask("GET", f"/events?session_id={session_id}", None, Authorization=f"Bearer {made}")
        refused = await peer.response()
        assert (refused.status, refused.json["code"]) == (403, "permission_denied")
        for client_id, status in (("bob", 403), ("ada", 200)):
            peer.ask("GET", f"/events?session_id={session_id}", None, **token, Stui_Client_Id=client_id)
            if status == 403:
                assert (await peer.response()).json["code"] == "session_not_shared"
        assert (await peer.head())[0] == 200


async def test_token_that_is_revoked_ends_a_stream() -> None:
    """The last event says why, and that it is no use to come again."""
    async with running_daemon(server=GUARDED) as running, http_peer(running.ready.http) as peer:
        token = {"Authorization": f"Bearer {running.daemon.new_token}"}
        session_id = (await peer.call("create_session", headers=token, client_id="ada")).json["result"]["session_id"]
        async with stream(running.ready.http, f"session_id={session_id}", **token) as listening:
            await listening.message()
            folder = Path(str(running.daemon.settings.server.data_dir))
            await asyncio.to_thread(tokens.revoke, folder, "first", 0.0)
            running.reloader.check()
            closing = await listening.message()
            assert closing["event"] == "connection.closing"
            assert (closing["data"]["name"], closing["data"]["reconnect"]) == ("access_revoked", False)
            assert await listening.event() is None


async def test_streams_count_as_connections_of_a_token() -> None:
    """There are no more of them than of others, and one that ends makes room."""
    async with running_daemon(server=GUARDED, limits={"connections_per_token": 1}) as running:
        token = {"Authorization": f"Bearer {running.daemon.new_token}"}
        async with http_peer(running.ready.http) as peer:
            made = await peer.call("create_session", headers=token, client_id="ada")
            query = f"session_id={made.json['result']['session_id']}"
            async with stream(running.ready.http, query, **token) as listening:
                await listening.message()
                peer.ask("GET", f"/events?{query}", None, **token)
                refused = await peer.response()
                assert (refused.status, refused.json["code"]) == (429, "too_many_connections")
            await until(lambda: running.daemon.server.counts().clients == 0)
            assert (await peer.call("ping", headers=token)).status == 200


async def test_client_that_listens_is_attached() -> None:
    """Others see it, and can send it away: that ends the stream."""
    async with running_daemon(server=OPEN) as running, http_peer(running.ready.http) as peer:
        session_id = await new_session(running)
        async with stream(running.ready.http, f"session_id={session_id}&client_id=ada") as listening:
            connection_id = (await listening.message())["data"]["connection_id"]
            present = await peer.result("get_presence", session_id=session_id)
            assert connection_id in json.dumps(present)
            await peer.result("detach_client", session_id=session_id, client_id="ada")
            events = []
            while (event := await listening.event()) is not None:
                events.append(event.name)
            assert set(events) == {"client.attached", "client.detached"}


# ---- the end, and those who do not read


async def test_daemon_that_stops_says_so_last() -> None:
    """The client comes again by itself."""
    async with running_daemon(server=OPEN) as running:
        session_id = await new_session(running)
        async with stream(running.ready.http, f"session_id={session_id}") as peer:
            await peer.message()
            await running.daemon.server.drain(Parting())
            closing = await peer.message()
            assert (closing["data"]["name"], closing["data"]["reconnect"]) == ("shutting_down", True)
            assert await peer.event() is None


async def slow_stream(running: Running, session_id: str) -> HttpPeer:
    """A stream whose client has little room and does not read yet."""
    assert running.ready.http is not None
    host, _, port = running.ready.http.rpartition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(0)
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    peer = HttpPeer(running.ready.http, *await asyncio.open_connection(sock=sock, limit=4096))
    peer.ask("GET", f"/events?session_id={session_id}")
    await until(lambda: len(running.daemon.server.beat) > 0)
    return peer


async def test_reader_that_is_slow_gets_all() -> None:
    """It is left out while it does not read, keeps nothing in memory, and gets from the log what it missed."""
    async with running_daemon(server=OPEN) as running:
        session_id = await new_session(running)
        peer = await slow_stream(running, session_id)
        async with http_peer(running.ready.http) as other:
            patch = [{"op": "add", "path": "/pad", "value": PAD}]
            for number in range(12):
                patch[0]["path"] = f"/pad{number % 2}"
                told = {"session_id": session_id, "mode": "patch", "state_data": patch}
                await other.result("update_session_state", **told)
        (pipe,) = running.daemon.server.beat._pipes
        assert pipe.unsent_bytes() < 3_000_000
        assert (await peer.head())[0] == 200
        seqs = [message["seq"] for message in [await peer.message() for _ in range(13)] if "seq" in message]
        assert seqs == list(range(2, 14)) or seqs[0] > 2  # a gap may come first: the log is bounded
        peer.writer.close()


async def test_reader_that_reads_nothing_is_cut_off() -> None:
    """After its time it is a slow consumer; others hear all the while."""
    async with running_daemon(server=OPEN) as running:
        server = running.daemon.server
        server.pipe_limits = replace(server.pipe_limits, stall_s=0.05)
        session_id = await new_session(running)
        peer = await slow_stream(running, session_id)
        (pipe,) = server.beat._pipes
        async with stream(running.ready.http, f"session_id={session_id}&deltas=true") as quick:
            await quick.message()
            for number in range(12):
                await change(running, session_id, f"{number}{PAD * 3}")
                await quick.message()
            await until(lambda: pipe._closing)
        peer.writer.close()
