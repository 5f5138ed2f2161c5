"""A whole daemon in the test's own loop, and peers that talk to it in either form over its unix socket."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stui_sessiond.config import Reread
from stui_sessiond.daemon import Daemon
from stui_sessiond.settings import (
    AccessSettings,
    ImageSettings,
    LimitSettings,
    ObserveSettings,
    PolicySettings,
    QuotaSettings,
    ServerSettings,
    SessionSettings,
    Settings,
)
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.storage.audit_log import FileAudit
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.wire.forms import request_type
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.pipe import PLENTY, LinePeer

Json = dict[str, Any]


class Talker(LinePeer):
    """A peer that numbers its requests; what comes meanwhile is kept in `events`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.events: list[Json] = []
        self.replies: dict[str, Json] = {}
        self.own_accord = False
        """Whether to hear what the daemon asks images of its own accord."""
        self._serial = itertools.count(1)

    def ask(self, command: str, /, *, envelope: bool = False, **parameters: Any) -> str:  # noqa: ANN401 -- any JSON
        """Send a request; give its id."""
        request_id = f"r-{next(self._serial)}"
        message: Json = {"id": request_id, "command": command, "parameters": parameters}
        if envelope:
            data = {"request_type": request_type(command), "params": parameters}
            message = {"id": request_id, "version": "1.0.0", "payload": {"type": "Request", "data": data}}
        self.say(message)
        return request_id

    def say(self, message: Json) -> None:
        """Send a message as it is."""
        self.write(json.dumps(message).encode() + b"\n")

    async def hear(self) -> Json:
        """Read the next message."""
        while True:
            line = await self.line()
            assert line, "the daemon closed the connection"
            message: Json = json.loads(line)
            if self.own_accord or not ("command" in message and message["id"].startswith("p-")):
                return message

    async def reply_to(self, request_id: str | None) -> Json:
        """Wait for the reply to a request."""
        while str(request_id) not in self.replies:
            message = await self.hear()
            if "event" in message:
                self.events.append(message)
            else:
                self.replies[str(message["id"])] = message
        return self.replies.pop(str(request_id))

    async def call(self, command: str, /, *, envelope: bool = False, **parameters: Any) -> Json:  # noqa: ANN401 -- any JSON
        """Ask, and give the result, or the error under the key `code` (in either form)."""
        reply = await self.reply_to(self.ask(command, envelope=envelope, **parameters))
        if envelope:
            data = reply["payload"]["data"]
            failed = data["response_type"] == "Error"
            result: Json = data["data"]["details"] if failed else data["data"]
            return result
        found: Json = reply if reply["status"] == "error" else reply["result"]
        return found

    async def event(self) -> Json:
        """Wait for the next event."""
        while not self.events:
            message = await self.hear()
            if "event" in message:
                self.events.append(message)
            else:
                self.replies[str(message["id"])] = message
        return self.events.pop(0)


class Running:
    """A daemon that accepts connections."""

    def __init__(self, daemon: Daemon, clock: FakeClock) -> None:
        assert daemon.ready is not None
        self.daemon = daemon
        self.clock = clock
        self.ready = daemon.ready
        self.fresh = daemon.settings
        """What is read when the settings are read again."""
        self.reloader = daemon.reloader(Reread(None, lambda: self.fresh))

    @asynccontextmanager
    async def talker(self, address: str | None = None) -> AsyncIterator[Talker]:
        """Connect over the unix socket, or over TCP to the address; hang up at the end."""
        if address is None:
            assert self.ready.unix is not None
            streams = await asyncio.open_unix_connection(self.ready.unix, limit=PLENTY)
        else:
            host, _, port = address.rpartition(":")
            streams = await asyncio.open_connection(host, int(port), limit=PLENTY)
        talker = Talker(*streams)
        try:
            yield talker
        finally:
            await talker.close()

    @asynccontextmanager
    async def image(self, image_id: str = "pharo", instance_id: str = "i-1") -> AsyncIterator[Talker]:
        """Connect an image that says hello."""
        async with self.talker() as image:
            greeting = await image.call("hello", **image_hello(image_id, instance_id))
            assert "server_id" in greeting, greeting
            yield image


def image_hello(image_id: str = "pharo", instance_id: str = "i-1") -> Json:
    """Parameters of an image's hello."""
    identity = {"image_id": image_id, "instance_id": instance_id, "dialect": "Pharo", "generation": 1}
    return {"role": "image", "protocol": ["1.0.0"], "identity": identity}


@asynccontextmanager
async def running_daemon(
    storage: SessionStorage | None = None,
    clock: FakeClock | None = None,
    *,
    server: Json | None = None,
    limits: Json | None = None,
    sessions: Json | None = None,
    quotas: Json | None = None,
    policy: Json | None = None,
    access: Json | None = None,
    images: Json | None = None,
    observe: Json | None = None,
    audited: bool = False,
) -> AsyncIterator[Running]:
    """Start a daemon in a folder of its own, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="stui-") as folder:
        places = {"data_dir": folder, "unix": f"{folder}/s", "drain_timeout": 0.0}
        settings = Settings(
            server=ServerSettings(**{**places, **(server or {})}),
            limits=LimitSettings(**(limits or {})),
            sessions=SessionSettings(**(sessions or {})),
            quotas=QuotaSettings(**(quotas or {})),
            policy=PolicySettings(**(policy or {})),
            access=AccessSettings(**(access or {})),
            images=ImageSettings(**(images or {})),
            observe=ObserveSettings(**(observe or {})),
        )
        clock = clock or FakeClock()
        audit = FileAudit(Path(folder), LocalFileSystem(), clock) if audited else None
        daemon = Daemon(settings, storage or MemoryStorage(), clock, audit)
        await daemon.start()
        try:
            yield Running(daemon, clock)
        finally:
            await daemon.stop()
