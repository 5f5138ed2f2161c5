"""Waiting for something that nobody tells of."""

import asyncio
from collections.abc import Callable


async def until(there: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    async with asyncio.timeout(20):
        while not there():  # noqa: ASYNC110 -- other threads bring it about
            await asyncio.sleep(0)
