"""The one place where tasks are created: each has a name, an owner, and a report if it crashes."""

import asyncio
import weakref
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


_owners: "weakref.WeakSet[TaskOwner]" = weakref.WeakSet()
"""All of this process, to be counted."""


def tasks_by_owner() -> Counter[str]:
    """Count the tasks of this process; owners of the same name are counted together."""
    found: Counter[str] = Counter()
    for owner in list(_owners):
        found[owner.name] += len(owner)
    return found


class TaskOwner:
    """Owns tasks: none is lost, none outlives `close`, no exception goes unseen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        _owners.add(self)

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` as a task called `<owner>.<name>`."""
        if self._closed:
            work.close()
            msg = f"{self.name} is closed and starts nothing"
            raise RuntimeError(msg)
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task.crashed", task=task.get_name(), exc_info=error)

    async def drain(self, grace_s: float | None) -> int:
        """Wait up to `grace_s` seconds (None: as long as it takes) for the tasks to end; tell how many did not."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        self._closed = True
        left = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
