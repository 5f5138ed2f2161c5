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


@asynccontextmanager
async def lying(url: str, spoil: Spoil) -> AsyncIterator[str]:
    """Stand between the daemon at a unix socket and those who come; the address is given."""
    place = urlsplit(url).path
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_unix_connection(place, limit=LIMIT)
            try:
                await pass_on(reader, writer, theirs, ours)
            finally:
                await let_go(ours)
        finally:
            await let_go(writer)

    async def pass_on(
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        theirs: asyncio.StreamReader,
        ours: asyncio.StreamWriter,
    ) -> None:
        async def up() -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    ours.write(data)
                ours.write_eof()

        going_up = asyncio.create_task(up())
        try:
            with contextlib.suppress(OSError):
                while line := await theirs.readline():
                    for message in spoil(json.loads(line)):
                        writer.write(json.dumps(message).encode() + b"\n")
        finally:
            going_up.cancel()
            await asyncio.wait({going_up})

    async def let_go(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=LIMIT)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"tcp://127.0.0.1:{port}"
    finally:
        server.close()
        left = set(serving)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
