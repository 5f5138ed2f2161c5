"""A subscriber that does not read, over real sockets: it is told why it is cut off, and loses no event by that."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec.structs import replace

from stui_sessiond.daemon import Daemon
from stui_sessiond.settings import BackupSettings, ServerSettings, Settings
from tests.e2e.harness import folder

Json = dict[str, Any]

STALL_S = 0.2
PAD = "x" * 200_000


@asynccontextmanager
async def impatient(home: Path) -> AsyncIterator[Daemon]:
    """A daemon in this process that waits only a moment for who does not read."""
    server = ServerSettings(
        data_dir=str(home / "data"), runtime_dir=str(home / "run"), lines="127.0.0.1:0", auth="none"
    )
    daemon = Daemon(Settings(server=server, backups=BackupSettings(interval=0)))
    daemon.server.pipe_limits = replace(daemon.server.pipe_limits, stall_s=STALL_S)
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


class Line:
    """A peer that reads only when it wants to."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._serial = 0

    async def __aenter__(self) -> Self:
        if self._place.startswith("/"):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self._place)
        else:
            host, _, port = self._place.rpartition(":")
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((host, int(port)))
        self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=2**20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def read(self) -> Json | None:
        """The next message; None at the end."""
        line = await self._reader.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    async def result(self, command: str, **parameters: object) -> Json:
        """The result of a command."""
        self._serial += 1
        message = {"id": str(self._serial), "command": command, "parameters": parameters}
        self._writer.write(json.dumps(message).encode() + b"\n")
        while (answer := await self.read()) is not None and answer.get("id") != str(self._serial):
            pass
        assert answer is not None
        result: Json = answer["result"]
        return result


@pytest.mark.parametrize("transport", ["unix", "tcp"])
async def test_subscriber_that_does_not_read_is_told_why_it_is_cut_off(transport: str) -> None:
    """Others go on meanwhile; it reads the reason, comes back, and gets the rest from the log."""
    with folder() as home:
        async with impatient(home) as daemon:
            ready = daemon.ready
            assert ready is not None
            assert ready.unix is not None
            place = ready.unix if transport == "unix" else ready.lines
            assert place is not None
            async with Line(ready.unix) as writer, Line(place) as stalled:
                session = (await writer.result("create_session", client_id="ada"))["session_id"]
                await stalled.result("subscribe", session_id=session)
                gone = asyncio.get_running_loop().time() + 30
                versions = 0
                while not any(peer._pipe._closing for peer in daemon.server._peers):  # type: ignore[attr-defined]
                    assert asyncio.get_running_loop().time() < gone
                    state = {"n": versions, "pad": PAD}
                    versions = (await writer.result("update_session_state", session_id=session, state_data=state))[
                        "version"
                    ]
                heard: list[Json] = []
                while (message := await stalled.read()) is not None:
                    heard.append(message)
                closing = heard.pop()
                assert closing["event"] == "connection.closing"
                assert (closing["data"]["code"], closing["data"]["name"]) == (4401, "slow_consumer")
                assert closing["data"]["reconnect"] is True
                last = heard[-1]
                assert last["data"]["version"] < versions
                async with Line(place) as back:
                    since = {"epoch": last["epoch"], "seq": last["seq"]}
                    await back.result("subscribe", session_id=session, since=since)
                    while True:
                        event = await back.read()
                        assert event is not None
                        if event["data"].get("version") == versions:
                            break
