"""A network that misbehaves on demand: what lies between a peer and the daemon."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_READ = 65536


class Cable:
    """One connection through the proxy, and what is wrong with it."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        """Every piece is late by so much."""
        self.dribble = 0
        """Pieces are cut to so many bytes; 0: as they come."""
        self.swallow = False
        """Nothing comes through, and nobody is told."""
        self.cut_after: int | None = None
        """After so many bytes the connection is cut, in the middle of whatever that is."""
        self.writers: list[asyncio.StreamWriter] = []
        self.over = asyncio.Event()

    def cut(self, *, rudely: bool = True) -> None:
        """Cut both ways: `rudely` without a word (RST), else with an orderly end."""
        for writer in self.writers:
            if rudely:
                writer.transport.abort()
            else:
                writer.close()
        self.over.set()


class Proxy:
    """Listens for one peer and passes on what it says, and what it is told."""

    def __init__(self, dial: Dial) -> None:
        self.refusing = False
        self.cables: set[Cable] = set()
        self.place = ("", 0)
        self.next_cable: Callable[[Cable], None] = lambda _cable: None
        """May spoil a connection from its first byte on."""
        self._dial = dial
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.place = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def heal(self) -> None:
        """Be a good network from now on; what was broken is cut."""
        self.refusing = False
        self.next_cable = lambda _cable: None
        self.cut_all()

    def cut_all(self, *, rudely: bool = True) -> None:
        """Cut what there is."""
        for cable in list(self.cables):
            cable.cut(rudely=rudely)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        cable = Cable()
        cable.writers.append(writer)
        self.cables.add(cable)
        try:
            if not self.refusing:
                self.next_cable(cable)
                await self._connect(cable, reader, writer)
        except OSError:
            pass
        except asyncio.CancelledError:  # the end of the proxy
            pass
        finally:
            cable.cut()
            self.cables.discard(cable)
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connect(self, cable: Cable, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._dial()
        cable.writers.append(far_writer)
        try:
            pumps = [
                asyncio.create_task(_pump(cable, reader, far_writer)),
                asyncio.create_task(_pump(cable, far_reader, writer)),
            ]
            over = asyncio.create_task(cable.over.wait())
            await asyncio.wait([over], return_when=asyncio.FIRST_COMPLETED)
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            far_writer.close()
            with contextlib.suppress(OSError):
                await far_writer.wait_closed()


async def _pump(cable: Cable, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ):
            if cable.delay_s:
                await asyncio.sleep(cable.delay_s)
            if not cable.swallow:
                await _pass_on(cable, data, writer)
    except OSError:
        pass
    if not cable.swallow:  # a half-open connection does not tell that an end is gone
        cable.cut(rudely=False)


async def _pass_on(cable: Cable, data: bytes, writer: asyncio.StreamWriter) -> None:
    if cable.cut_after is not None:
        data, cable.cut_after = data[: cable.cut_after], max(0, cable.cut_after - len(data))
    step = cable.dribble or len(data) or 1
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
        await writer.drain()
        if cable.dribble:
            await asyncio.sleep(0)
    if cable.cut_after == 0:
        cable.cut(rudely=False)
