"""How does the suite reach a daemon? One factory per transport: a real daemon, real sockets, real files."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from stui_sessiond.config import load_settings
from stui_sessiond.daemon import Daemon
from stui_sessiond.ready import Ready
from stui_sessiond.testing.runner import find_target
from stui_sessiond.testing.talk import Talk, Target


class Bed(NamedTuple):
    """A running daemon, its loop, and how to reach it over one transport."""

    runner: asyncio.Runner
    target: Target
    url: str
    token: str | None


Where = Callable[[Ready], str]
Factory = tuple[dict[str, str], Where]
"""What the daemon is told to listen on, and the URL it can be reached at then."""

FACTORIES: dict[str, Factory] = {
    "tcp": ({"lines": "127.0.0.1:0"}, lambda ready: f"tcp://{ready.lines}"),
    "unix": ({}, lambda ready: f"unix://{ready.unix}"),
    "websocket": ({"http": "127.0.0.1:0"}, lambda ready: f"ws://{ready.http}/"),
}


UNHURRIED = {
    "STUI_SESSIOND_LIMITS_FAILED_AUTHENTICATIONS": "1000",
    "STUI_SESSIOND_QUOTAS_REQUESTS_PER_SECOND": "0",
    "STUI_SESSIOND_QUOTAS_EVALUATIONS_PER_SECOND": "0",
}
"""The suite asks more in a second than a stranger may, and shows wrong tokens on purpose."""


NOTHING: Mapping[str, str] = {}


@contextmanager
def running_daemon(factory: Factory, auth: str, more: Mapping[str, str] = NOTHING) -> Iterator[Bed]:
    """Start a daemon, with `more` settings, and stop it in the end; what crashes unseen in its loop fails."""
    listeners, where = factory
    crashes: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="stui") as folder, asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _, context: crashes.append(context))
        given = {"data_dir": f"{folder}/data", "runtime_dir": f"{folder}/run", "auth": auth, **listeners}
        daemon = Daemon(load_settings(None, {**UNHURRIED, **more}, given))
        ready = runner.run(daemon.start())
        url = where(ready)
        try:
            yield Bed(runner, runner.run(find_target(url, daemon.new_token)), url, daemon.new_token)
        finally:
            runner.run(daemon.stop())
    assert not crashes, f"the loop reported {crashes}"


async def ask(target: Target, *messages: object) -> list[dict[str, Any]]:
    """Send messages over a connection of their own, one after the other, and return the replies."""
    talk = Talk(target, await target.open())
    try:
        replies = []
        for message in messages:
            await talk.send(message)
            replies.append(await talk.receive())
        return replies
    finally:
        await talk.link.close()
