"""A client of one connection: why it ended, and that nobody is left waiting."""

from __future__ import annotations

import asyncio

import pytest
import websockets.asyncio.server
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from stui_sessiond.client import Address, Client, ConnectionLostError, connect
from stui_sessiond.client.channel import open_channel
from stui_sessiond.wire.messages import Position
from tests.unit.client.bed import EPOCH, SESSION, ScriptedDaemon


async def open_client(daemon: ScriptedDaemon) -> Client:
    """A client that has not said hello."""
    address = Address("tcp", "127.0.0.1", daemon.port)
    return Client(await open_channel(address, 5.0), address)


async def test_last_line_says_why_the_connection_ended() -> None:
    """The daemon's reason is what calls fail with, and stays to be read."""
    async with ScriptedDaemon() as daemon:
        client = await open_client(daemon)
        talk = await daemon.accept()
        asking = asyncio.ensure_future(client.ping())
        await talk.take("ping")
        talk.closing(4400, "shutting_down", reconnect=True)
        with pytest.raises(ConnectionLostError, match="because of shutting_down") as lost:
            await asking
        assert lost.value.ending is client.ending
        assert client.ending is not None
        assert (client.ending.code, client.ending.reconnect) == (4400, True)
        with pytest.raises(ConnectionLostError):
            await client.ping()
        await client.close()


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"event": "connection.closing", "data": {}}\n', b'{"id": 5}\n'])
async def test_what_is_no_message_ends_the_connection(line: bytes) -> None:
    """Half understood is not understood."""
    async with ScriptedDaemon() as daemon:
        client = await open_client(daemon)
        talk = await daemon.accept()
        talk.writer.write(line)
        assert [event async for event in client.events()] == []
        assert client.ending is not None
        assert client.ending.name == "unreadable"
        await client.close()


async def test_half_a_line_is_no_message() -> None:
    """What was cut in two is not taken for the whole."""
    async with ScriptedDaemon() as daemon:
        client = await open_client(daemon)
        talk = await daemon.accept()
        talk.tell(1)
        talk.writer.write(b'{"event": "transcript"}')
        talk.writer.close()
        assert [event.seq async for event in client.events()] == [1]
        assert client.ending is not None
        assert client.ending.name == "cut"
        await client.close()


async def test_close_does_not_wait_for_a_daemon_that_does_not_read() -> None:
    """What cannot be sent is dropped after a moment."""
    async with ScriptedDaemon() as daemon:
        client = await open_client(daemon)
        talk = await daemon.accept()
        calls = [asyncio.ensure_future(client.call("ping", {"message": "x" * 4_000_000})) for _ in range(4)]
        await asyncio.sleep(0)
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of a socket can
        async with asyncio.timeout(5.0):
            await client.close()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ConnectionLostError}
        assert client.ending is not None
        assert client.ending.name == "left"


async def test_subscribe_carries_all_its_options() -> None:
    """One session with position and state, or topics with positions."""
    async with ScriptedDaemon() as daemon:
        client = await open_client(daemon)
        talk = await daemon.accept()
        asking = asyncio.ensure_future(client.subscribe(SESSION, Position(EPOCH, 2), deltas=True, with_state=True))
        request = await talk.take("subscribe")
        assert request["parameters"]["since"] == {"epoch": EPOCH, "seq": 2}
        assert request["parameters"]["deltas"]
        assert request["parameters"]["with_state"]
        talk.subscribed(request, 4)
        assert (await asking).position == Position(EPOCH, 4)
        listening = asyncio.ensure_future(
            client.subscribe(topics=("client:me",), positions={SESSION: Position(EPOCH, 1)})
        )
        request = await talk.take("subscribe")
        assert request["parameters"]["topics"] == ["client:me"]
        assert request["parameters"]["positions"] == {SESSION: {"epoch": EPOCH, "seq": 1}}
        talk.subscribed(request, 4, topics=["client:me"])
        assert (await listening).topics == ["client:me"]
        leaving = asyncio.ensure_future(client.unsubscribe(topics=("client:me",)))
        talk.answer(await talk.take("unsubscribe"), {"session_id": None, "unsubscribed": True})
        assert (await leaving).unsubscribed
        await client.close()


async def test_close_frame_says_why_the_connection_ended() -> None:
    """Over WebSocket the close code is the reason."""

    async def serve(socket: websockets.asyncio.server.ServerConnection) -> None:
        await socket.close(4001, "authentication_failed")

    async with websockets.asyncio.server.serve(serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(ConnectionLostError) as lost:
            async with connect(f"ws://127.0.0.1:{port}/"):
                pass
    assert lost.value.ending is not None
    assert (lost.value.ending.name, lost.value.ending.reconnect) == ("authentication_failed", False)


@pytest.mark.parametrize(("status", "reconnect"), [(403, False), (404, False), (503, True)])
async def test_refused_handshake_says_whether_to_try_again(status: int, reconnect: bool) -> None:
    """A wrong host or path stays wrong; a server that is starting does not."""

    async def refuse(socket: websockets.asyncio.server.ServerConnection, request: Request) -> Response:
        del socket, request
        return Response(status, "no", Headers({"Content-Length": "0", "Connection": "close"}))

    async def never(socket: websockets.asyncio.server.ServerConnection) -> None:
        del socket

    async with websockets.asyncio.server.serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(ConnectionLostError, match=str(status)) as lost:
            await open_channel(Address("websocket", "127.0.0.1", port, "/"), 5.0)
    assert lost.value.ending is not None
    assert lost.value.ending.reconnect is reconnect


async def test_address_of_the_other_port_is_told() -> None:
    """Lines at the port for HTTP, and a WebSocket at the port for lines, say what the address should be."""
    async with ScriptedDaemon() as daemon:
        client = await open_client(daemon)
        talk = await daemon.accept()
        talk.writer.write(b"HTTP/1.1 400 Bad Request\r\n")
        with pytest.raises(ConnectionLostError, match="the address is ws://"):
            await client.ping()
        await client.close()
        opening = asyncio.ensure_future(open_channel(Address("websocket", "127.0.0.1", daemon.port, "/"), 5.0))
        talk = await daemon.accept()
        talk.writer.write(b'{"event": "connection.closing", "data": {}}\n')
        talk.writer.close()
        with pytest.raises(ConnectionLostError, match="the address is tcp://"):
            await opening
