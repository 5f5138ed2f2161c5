"""Which pipes have something to write when the present turn of the loop is over?

An event goes to a thousand pipes in one turn. One callback for all of them costs a fraction of one for each.
"""

import asyncio
from collections import deque
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)

PIPES_AT_ONCE = 500
"""Pipes that write before others have their turn: some 3 ms."""


class Writer(Protocol):
    """A pipe, to those who tell it when to write."""

    def write_turn(self) -> None:
        """Write what is queued, if it is not written yet."""

    def abort(self) -> None:
        """Close without a word."""


class Turn:
    """The pipes that asked to write, in the order of asking."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[Writer] = deque()

    def add(self, pipe: Writer) -> None:
        """Have a pipe write soon."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(pipe)

    def _write(self) -> None:
        waiting = self._waiting
        for _ in range(min(len(waiting), PIPES_AT_ONCE)):
            pipe = waiting.popleft()
            try:
                pipe.write_turn()
            except Exception:  # noqa: BLE001 -- the others must not suffer from it
                _log.exception("pipe.write_failed")
                pipe.abort()
        if waiting:
            asyncio.get_running_loop().call_soon(self._write)
