"""The daemon's own command, with one more thread that notes what only the process itself knows.

`SOAK_INSIDE` names the file the newest figures are written to, `SOAK_PLANT` a leak that is planted on purpose, so that
it can be shown that leaks are found.
"""

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stui_sessiond.cli import main
from stui_sessiond.daemon import Daemon
from stui_sessiond.ready import Ready
from stui_sessiond.server.listeners import Server
from stui_sessiond.server.peer import Peer

PROBE_S = 0.1
"""Between two looks at how late the loop is."""

WRITE_EVERY = 5
"""Probes for each writing of the file."""

COUNT_EVERY = 300
"""Probes for each count of all objects, which takes tens of milliseconds."""


class Inside:
    """What is known of a running daemon."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._lags: list[float] = []
        self._found: dict[str, Any] = {}
        self._done = threading.Event()

    def watch(self, daemon: Daemon, loop: asyncio.AbstractEventLoop) -> None:
        """Look, for as long as the process lives."""
        number = 0
        while True:
            time.sleep(PROBE_S)
            self._done.clear()
            try:
                loop.call_soon_threadsafe(self._look, daemon, time.perf_counter(), number)
            except RuntimeError:  # the loop is closed
                return
            self._done.wait()
            number += 1
            if number % WRITE_EVERY == 0:
                new = self._out.with_suffix(".new")
                new.write_text(json.dumps(self._found), "utf-8")
                new.replace(self._out)

    def _look(self, daemon: Daemon, asked_at: float, number: int) -> None:
        self._lags.append(time.perf_counter() - asked_at)
        del self._lags[: -int(10 / PROBE_S)]
        server: Any = daemon.server
        shelf: Any = daemon.manager._shelf
        hub = server.feed.hub
        self._found |= {
            "tasks": len(tasks := asyncio.all_tasks()),
            "tasks_by_name": Counter(task.get_name().split(":")[0] for task in tasks),
            "blocks": sys.getallocatedblocks(),
            "lag_ms": max(self._lags) * 1000,
            "peers": len(server._peers),
            "parked": len(server._parked),
            "subscriptions": sum(map(len, hub._sessions.values())) + len(hub._topics),
            "sessions_known": len(shelf),
            "sessions_held": len(shelf._resident),
            "held_kb": shelf._resident_bytes / 1024,
        }
        if number % COUNT_EVERY == 0:
            self._found["objects"] = len(gc.get_objects())
        self._done.set()


def _plant_memory() -> None:
    """Keep every peer that was ever made, as a list of subscribers that nobody tidies would."""
    kept: list[object] = []
    original = Peer.__init__

    def init(self: Peer, *args: Any, **more: Any) -> None:  # noqa: ANN401
        original(self, *args, **more)
        kept.append((self, bytearray(20_000)))

    Peer.__init__ = init  # type: ignore[method-assign]


def _plant_descriptors() -> None:
    """Open a file for each connection and never close it."""
    original = Server._accept

    def accept(self: Server, *args: Any, **more: Any) -> Any:  # noqa: ANN401
        os.open("/dev/null", os.O_RDONLY)
        return original(self, *args, **more)

    Server._accept = accept  # type: ignore[method-assign]


def _plant_tasks() -> None:
    """Start a task for each connection that never ends."""
    kept: list[object] = []
    original = Server._accept

    def accept(self: Server, *args: Any, **more: Any) -> Any:  # noqa: ANN401
        kept.append(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
        return original(self, *args, **more)

    Server._accept = accept  # type: ignore[method-assign]


PLANTS: dict[str, Callable[[], None]] = {
    "memory": _plant_memory,
    "descriptors": _plant_descriptors,
    "tasks": _plant_tasks,
}


def _watch_when_started(out: Path) -> None:
    original = Daemon.start

    async def start(self: Daemon) -> Ready:
        ready = await original(self)
        arguments = (self, asyncio.get_running_loop())
        threading.Thread(target=Inside(out).watch, args=arguments, name="soak-inside", daemon=True).start()
        return ready

    Daemon.start = start  # type: ignore[method-assign]


if __name__ == "__main__":
    _watch_when_started(Path(os.environ["SOAK_INSIDE"]))
    if planted := os.environ.get("SOAK_PLANT"):
        PLANTS[planted]()
    main()
