"""A daemon that does not keep its word: it passes on what a real one says, and spoils some of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

LIMIT = 64 * 1024 * 1024

Spoil = Callable[[dict[str, Any]], list[dict[str, Any]]]
"""Takes a message of the real daemon, gives what is sent instead."""


class Liar:
    """Stands between a daemon at a unix socket and those who come."""

    def __init__(self, place: str, spoil: Spoil) -> None:
        self._place = place
        self._spoil = spoil
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve somebody who has come."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def stop(self) -> None:
        """Let go of all."""
        left = set(self._serving)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_unix_connection(self._place, limit=LIMIT)
            going_up = asyncio.create_task(_up(reader, ours))
            try:
                await self._down(theirs, writer)
            finally:
                going_up.cancel()
                await asyncio.wait({going_up})
                await _let_go(ours)
        finally:
            await _let_go(writer)

    async def _down(self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await theirs.readline():
                for message in self._spoil(json.loads(line)):
                    writer.write(json.dumps(message).encode() + b"\n")


async def _up(reader: asyncio.StreamReader, ours: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            ours.write(data)
        ours.write_eof()
    except OSError:  # who came has gone without a word, as with something unread; so the daemon has to see
        ours.transport.abort()


async def _let_go(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def lying(url: str, spoil: Spoil) -> AsyncIterator[str]:
    """Stand before the daemon at a unix socket; the address of the liar is given."""
    liar = Liar(urlsplit(url).path, spoil)
    server = await asyncio.start_server(liar.accept, "127.0.0.1", 0, limit=LIMIT)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"tcp://127.0.0.1:{port}"
    finally:
        server.close()
        await liar.stop()
