"""What the tests of the terminal front end stand on: a real daemon in this loop, and a pilot that waits for facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from tests.unit.bed.daemon import Running

DEADLINE_S = 10.0
"""Far more than anything takes."""


def url_of(running: Running) -> str:
    """Where a daemon of the bed is."""
    return f"unix://{running.daemon.settings.server.unix}"


async def until(pilot: Pilot[Any], fact: Callable[[], bool]) -> None:
    """Let the application go on until something is so."""
    async with asyncio.timeout(DEADLINE_S):
        while not fact():
            await pilot.pause(0.01)
