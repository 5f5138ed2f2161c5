"""A relay between callers and an image that answers when the test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.image import ImageCommands
from stui_sessiond.commands.kept import Kept
from stui_sessiond.commands.paging import LongResults
from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.security.policy import Policy
from stui_sessiond.sessions.ledger import LedgerRules
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.wire.messages.development import Evaluate, EvaluateResult
from tests.unit.bed.caller import TestCaller
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.house import House
from tests.unit.bed.image import ImagePipe, a_link, reply

Json = dict[str, Any]
SEVEN: Json = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


class Works:
    """A house with images. `Works.asked` is what images were asked, `answer` what they say."""

    def __init__(self, house: House, rules: LedgerRules | None = None) -> None:
        self.house = house
        self.images = ImageRegistry(house.clock)
        self.book = house.book if rules is None else RequestBook(house.keeper, rules, house.custody)
        self.policy = Policy()
        self.approvals = Approvals(self.policy, house.keeper.post_to, house.clock)
        self.running, self.long_results = RunningTable(), LongResults()
        self.kept = Kept(house.manager, house.keeper, self.book, self.images, house.hub, house.custody)
        self.relay = Relay(
            house.manager,
            self.book,
            self.images,
            self.approvals,
            self.kept,
            house.clock,
            self.running,
            self.long_results,
        )
        self.image_commands = ImageCommands(
            self.images, house.manager, house.keeper, self.book, house.hub, self.running
        )
        self.caller = TestCaller(client_id="ada", connection_id="conn-1")
        self.link: ImageLink
        self.pipe: ImagePipe

    def connect(self, instance_id: str = "i-1", capabilities: tuple[str, ...] = ()) -> None:
        """Let the image connect, as this instance of it."""
        self.link, self.pipe = a_link("pharo", instance_id, capabilities, self.relay.receive_stray)
        self.images.admit(self.link)
        self.image_commands.announce(self.link, connected=True)

    def disconnect(self) -> None:
        """Break the link."""
        assert self.images.leave(self.link)
        self.image_commands.announce(self.link, connected=False)

    def run(
        self,
        session_id: str | None,
        key: str | None = None,
        *,
        command: str = "evaluate",
        **more: Any,  # noqa: ANN401 -- any JSON
    ) -> "asyncio.Future[EvaluateResult]":
        """Ask for an evaluation."""
        told = {"code": "3 + 4", "session_id": session_id, "idempotency_key": key, **more}
        parameters = msgspec.convert({name: value for name, value in told.items() if value is not None}, Evaluate)
        return asyncio.ensure_future(self.relay.run(self.caller, command, parameters, EvaluateResult))

    async def asked(self) -> Json:
        """Wait for what the image is asked next."""
        return await self.pipe.sent.get()

    @property
    def waiting(self) -> int:
        """How much the image was asked that the test has not looked at."""
        return self.pipe.sent.qsize()

    def answer(self, request: Json, result: Json | None = None, **failure: str) -> None:
        """Let the image answer."""
        fields: Json = {"status": "error", **failure} if failure else {"status": "success", "result": result or SEVEN}
        self.link.receive_reply(reply(request["id"], **fields))

    async def settle(self) -> None:
        """Wait until all that images told is noted, and all that happened is stored."""
        while len(self.relay._notes) or len(self.image_commands._tasks) or len(self.house.keeper._tasks):
            await self.relay._notes.drain(None)
            await self.image_commands._tasks.drain(None)
            await self.house.keeper.settle()

    async def told(self, session_id: SessionId) -> list[str]:
        """List what happened to evaluations and images, from the session's log."""
        await self.settle()
        return [event.name for event in await self.house.log(session_id) if event.name.startswith("evaluation")]

    async def data(self, session_id: SessionId, name: str) -> Json:
        """Read the newest event of this name."""
        await self.settle()
        return [event.data for event in await self.house.log(session_id) if event.name == name][-1]

    def close_link(self) -> None:
        """Break the link if there is one."""
        if self.images.find(ImageId("pharo")) is not None:
            self.disconnect()


@asynccontextmanager
async def open_works(
    storage: SessionStorage | None = None,
    clock: FakeClock | None = None,
    *,
    instance_id: str | None = "i-1",
    rules: LedgerRules | None = None,
    log: LogRules | None = None,
) -> AsyncIterator[Works]:
    """Open a house with an image, and close both at the end as the daemon does."""
    works = Works(House(storage, clock, log=log), rules)
    await works.house.manager.open()
    if instance_id is not None:
        works.connect(instance_id)
    try:
        yield works
    finally:
        works.close_link()
        await works.relay.close()
        await works.kept.close()
        await works.image_commands.close()
        await works.house.manager.close()
