"""Waiting that ends early when everybody is asked to leave."""

import asyncio
import contextlib


async def pause(closing: asyncio.Event, seconds: float) -> None:
    """Wait, but not longer than until everybody is asked to leave."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await closing.wait()
