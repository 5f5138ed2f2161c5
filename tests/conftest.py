"""What all tests share: how they find each other, how async tests run, and how Hypothesis behaves."""

import asyncio
import inspect
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent.parent))

from stui_sessiond.logs import LEVELS

settings.register_profile("stui", deadline=None, database=None, print_blob=True)
settings.load_profile("stui")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # started in the background: what the tests start would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

ASYNC_TEST_S = 60.0
"""An async test that takes longer hangs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of ours."""
    parser.addoption("--update-snapshots", action="store_true", help="write the pictures of the front end anew")


@pytest.fixture(autouse=True)
def _levels_as_before() -> Iterator[None]:
    """Which loggers log is one thing for the whole process: what a test sets ends with it."""
    yield
    if LEVELS.rules or LEVELS.default != "info":
        LEVELS.rules.clear()
        LEVELS.set(None, "info")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests in a loop of their own; what crashes unseen in the loop fails the test."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    crashes: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: crashes.append(context))
        async with asyncio.timeout(ASYNC_TEST_S):
            await pyfuncitem.obj(**arguments)

    asyncio.run(run())
    assert not crashes, f"the loop reported {crashes}"
    return True
