"""Tasks have a name, an owner, and a report if they crash."""

import asyncio

import pytest
from structlog.testing import capture_logs

from stui_sessiond.tasks import TaskOwner


async def wait_forever(ended: list[str], name: str) -> None:
    """Wait until cancelled, and say so."""
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def test_task_has_its_owners_name() -> None:
    """Names lead from a task dump to the code."""
    owner = TaskOwner("server")
    task = owner.start(asyncio.sleep(0), "request")
    assert (task.get_name(), len(owner)) == ("server.request", 1)
    await task
    assert await owner.drain(1) == 0
    assert len(owner) == 0


async def test_task_that_crashes_is_logged() -> None:
    """With its name and the exception; the owner goes on."""

    async def crash() -> None:
        msg = "broken"
        raise ValueError(msg)

    owner = TaskOwner("server")
    with capture_logs() as logs:
        task = owner.start(crash(), "request")
        await owner.drain(1)
    assert isinstance(task.exception(), ValueError)
    assert [(log["event"], log["task"], log["log_level"]) for log in logs] == [
        ("task.crashed", "server.request", "error")
    ]
    assert str(logs[0]["exc_info"]) == "broken"
    await owner.close()


async def test_close_cancels_and_waits() -> None:
    """No task outlives its owner, and none is reported as crashed for that."""
    owner, ended = TaskOwner("server"), list[str]()
    for name in ("a", "b"):
        owner.start(wait_forever(ended, name), name)
    assert await owner.drain(0) == 2
    with capture_logs() as logs:
        await owner.close()
    assert sorted(ended) == ["a", "b"]
    assert (len(owner), logs) == (0, [])
    await owner.close()


async def test_owner_that_is_closed_starts_nothing() -> None:
    """What it was given is closed properly, not left unawaited."""
    owner = TaskOwner("server")
    await owner.close()
    with pytest.raises(RuntimeError, match="server is closed"):
        owner.start(asyncio.sleep(0), "late")


async def test_task_that_closes_its_own_owner() -> None:
    """It does not cancel or wait for itself."""
    owner, ended = TaskOwner("server"), list[str]()
    owner.start(wait_forever(ended, "other"), "other")

    async def close() -> str:
        await asyncio.sleep(0)
        await owner.close()
        return "done"

    assert await owner.start(close(), "closer") == "done"
    assert ended == ["other"]
