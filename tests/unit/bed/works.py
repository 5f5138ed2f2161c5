"""A relay between callers and an image that answers when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.code import CodeCommands
from stui_sessiond.commands.image import ImageCommands
from stui_sessiond.commands.kept import Kept
from stui_sessiond.commands.mirror import Mirror
from stui_sessiond.commands.paging import LongResults
from stui_sessiond.commands.reapply import ReapplyCommands
from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.code_change import CodeChange, KeptChange
from stui_sessiond.security.policy import Policy
from stui_sessiond.sessions.ledger import LedgerRules
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.storage.api import SessionStorage
from stui_sessiond.storage.changes import CHANGE_TABLES, DatabaseChanges, Page
from stui_sessiond.storage.database import Database
from stui_sessiond.wire.forms import Reply
from stui_sessiond.wire.messages.development import Evaluate, EvaluateResult
from tests.unit.bed.caller import TestCaller
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.house import House
from tests.unit.bed.image import ImagePipe, a_link, reply

Json = dict[str, Any]
SEVEN: Json = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


class HeldChanges:
    """Changes in memory, whose writing can be held back (`gate`) and made to fail (`failure`)."""

    def __init__(self, inner: DatabaseChanges) -> None:
        self.inner = inner
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.appending: asyncio.Queue[int] = asyncio.Queue()

    async def append(self, changes: Sequence[CodeChange]) -> Sequence[KeptChange]:
        """Keep changes, once the gate is open."""
        self.appending.put_nowait(len(changes))
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return await self.inner.append(changes)

    async def page(self, image_id: ImageId, class_name: str | None, after: int, limit: int) -> Page:
        """Read some changes."""
        return await self.inner.page(image_id, class_name, after, limit)

    async def all(self, image_id: ImageId) -> Sequence[KeptChange]:
        """Read all changes of an image."""
        return await self.inner.all(image_id)


class Works:
    """A house with images. `Works.asked` is what images were asked, `answer` what they say."""

    def __init__(self, house: House, rules: LedgerRules | None = None) -> None:
        self.house = house
        self.images = ImageRegistry(house.clock)
        self.book = house.book
        if rules is not None:
            house.keeper.ledger_rules = rules
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
        self.database = Database(None, (CHANGE_TABLES,))
        self.changes = HeldChanges(DatabaseChanges(self.database, house.clock))
        self.mirror = Mirror(self.changes, house.keeper, house.hub, house.clock)
        self.code = CodeCommands(self.relay, self.mirror, house.clock)
        self.reapply = ReapplyCommands(self.images, self.mirror, self.approvals, house.clock)
        self.image_commands = ImageCommands(
            self.images, house.manager, house.keeper, self.book, house.hub, self.running, mirror=self.mirror
        )
        self.caller = TestCaller(client_id="ada", connection_id="conn-1")
        self.link: ImageLink
        self.pipe: ImagePipe

    def connect(self, instance_id: str = "i-1", capabilities: tuple[str, ...] = ()) -> None:
        """Let the image connect, as this instance of it."""
        self.link, self.pipe = a_link("pharo", instance_id, capabilities, self._receive_stray)
        self.images.admit(self.link)
        self.image_commands.announce(self.link, connected=True)

    def _receive_stray(self, link: ImageLink, told: Reply) -> bool:
        return self.code.receive_stray(link, told) or self.relay.receive_stray(link, told)

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

    def conflict(self, request: Json, present: object) -> None:
        """Let the image answer that it has another text."""
        told = {
            "status": "error",
            "error": "it is another one",
            "code": "code_conflict",
            "details": {"present": present},
        }
        self.link.receive_reply(reply(request["id"], **told))

    async def settle(self) -> None:
        """Wait until all that images told is noted, and all that happened is stored."""
        await self.house.keeper.settle()
        while len(self.relay._notes) or len(self.image_commands._tasks):
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
    await works.database.open()
    if instance_id is not None:
        works.connect(instance_id)
    try:
        yield works
    finally:
        works.close_link()
        await works.relay.close()
        await works.kept.close()
        await works.image_commands.close()
        await works.code.close()
        await works.mirror.close()
        await works.database.close()
        await works.house.manager.close()
