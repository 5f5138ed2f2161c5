"""Which pipes write now, and which when the present turn of the loop is over?

An event may go to thousands of pipes. A thousand write it at once; the others wait until others had their turn, in one
callback for all, which costs a fraction of one for each.
"""

import asyncio
from collections import deque
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)

PIPES_AT_ONCE = 1000
"""Pipes that write before others have their turn: some 5 ms."""


class Writer(Protocol):
    """A pipe, to those who tell it when to write."""

    def write_turn(self) -> None:
        """Write what is queued, if it is not written yet."""

    def abort(self) -> None:
        """Close without a word."""


class Turn:
    """The pipes that asked to write, in the order of asking."""

    __slots__ = ("_left", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Writer] = deque()
        self._left = PIPES_AT_ONCE
        """Pipes that may still write at once in this turn of the loop."""

    def spend(self) -> bool:
        """Tell whether a pipe may write at once; it is one of those of this turn then."""
        if not self._left:
            return False
        if self._left == PIPES_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._renew)
        self._left -= 1
        return True

    def _renew(self) -> None:
        self._left = PIPES_AT_ONCE

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
