"""One visit of one person: connect, listen, work, be cut off and come back, leave in one manner or another."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from stui_sessiond.client import CallFailedError, ConnectionLostError
from stui_sessiond.client.conversation import Answer, Conversation
from stui_sessiond.client.ending import left
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import EventMessage

from .account import Account, Expected, unexpected
from .images import Images
from .pause import pause
from .person import Pending, Person
from .plan import Plan
from .roads import Network, Road

Json = dict[str, Any]

ANSWERED_S = 60.0
"""An answer that takes longer never comes: evaluations take two seconds at most, and images are back within less."""

DEAD_S = 2.0
"""A ping without an answer for so long: the connection is dead."""

SWALLOWED_S = 10.0
"""How long the far end of a half-open connection is kept by what lies between; then it is cut."""

MAX_CUT_AFTER = 600
"""Bytes of what comes next that still get through a cable that is cut inside of a message."""


_OURS = left()


class Surroundings(msgspec.Struct, frozen=True):
    """What all visits share."""

    plan: Plan
    network: Network
    images: Images
    account: Account
    random: random.Random
    closing: asyncio.Event
    """Everybody is asked to leave."""
    work: "Callable[[Visit], Awaitable[None]]"
    """One thing that a client does."""


class Visit:
    """One visit, over as many connections as it takes."""

    def __init__(self, person: Person, around: Surroundings) -> None:
        self.person = person
        self.around = around
        self.account = around.account
        self.random = around.random
        self.blame: str | None = None
        """Why the connection is about to be lost, when we do that ourselves."""
        self.kind = ""
        self._conversation: Conversation | None = None
        self._road: Road | None = None
        self._carried_out = False
        self._early: list[EventMessage] | None = None
        """Events that came before the answer to `subscribe` was looked at."""

    @property
    def conversation(self) -> Conversation:
        """The present connection."""
        assert self._conversation is not None
        return self._conversation

    async def run(self) -> None:
        """Come, and come back after each break, until it is time to leave."""
        for returns in range(self.random.choice((1, 1, 2, 3))):
            if self.around.closing.is_set():
                return
            try:
                await self._connect_and_stay(resume=returns > 0 and self.random.random() < 0.7)
            except ConnectionLostError as error:
                self._lost(error)
            self.blame = None

    def _lost(self, error: ConnectionLostError) -> None:
        if self.blame is None:
            said = error.ending.name if error.ending is not None else str(error)
            self.account.complain("connection lost", f"{self.kind} of {self.person.client_id}: {said}, {error!r}")
        else:
            self.account.causes[f"connection lost: {self.blame}"] += 1

    async def _connect_and_stay(self, *, resume: bool) -> None:
        self.kind = self.random.choice(list(self.around.network.kinds))
        road = self._road = await self.around.network.open(self.kind)
        tasks = TaskOwner("visit")
        ids = self._ids()
        self.account.done[f"connections over {road.kind}"] += 1
        self._conversation = Conversation(road.channel, tasks, ids, self._hear, _ignore)
        try:
            await self._hello(resume=resume)
            await self._subscribe()
            await self._stay()
            await self._leave()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEAD_S):
                    await self._conversation.close()
            await tasks.close()

    def _ids(self) -> Iterator[str]:
        while True:
            yield self.person.next_id()

    async def _hello(self, *, resume: bool) -> None:
        person = self.person
        hello: Json = {"role": "client", "client_id": person.client_id, "token": person.token}
        road = self._road
        assert road is not None
        if resume and road.resumes and person.resume_token is not None:
            hello["resume_token"] = person.resume_token
        greeting = await self.ask("hello", **hello)
        if greeting is None:
            raise ConnectionLostError("no hello")  # noqa: TRY003, EM101 -- the account has the complaint
        if "resume_token" in hello:
            if greeting["resumed"] != (road.trusted == person.trusted):
                self.account.complain("not resumed", f"{person.client_id} over {self.kind}: {greeting['resumed']}")
            self.account.done["resumed" if greeting["resumed"] else "not resumed, for another holder"] += 1
        if road.resumes:
            person.resume_token, person.trusted = greeting["resume_token"], road.trusted

    # ---- events

    async def _subscribe(self) -> None:
        person, heard = self.person, self.person.heard
        self._early = []
        parameters: Json = {"session_id": person.room.session_id, "deltas": True}
        if heard.since is not None:
            parameters["since"] = heard.since
        told = await self.ask("subscribe", **parameters)
        if told is not None:
            position = told["position"]
            wrong = heard.subscribed(position["epoch"], position["seq"], recovered=told["recovered"])
            if wrong is not None:
                self.account.complain("events", f"{person.client_id}: {wrong}")
            self.account.done["subscribed, recovered" if told["recovered"] else "subscribed, with a gap"] += 1
        early, self._early = self._early, None
        for event in early:
            self._take(event)

    def _hear(self, event: EventMessage, size: int) -> None:
        del size
        if event.session_id != self.person.room.session_id:
            return
        if self._early is not None:
            self._early.append(event)
        else:
            self._take(event)

    def _take(self, event: EventMessage) -> None:
        heard, room = self.person.heard, self.person.room
        skipped = event.event == "gap" and isinstance(event.data, dict) and "from" in event.data
        wrong = heard.heard(event.epoch, event.seq, gap=skipped)
        if skipped:
            self.account.causes[f"gap: {event.data['reason']}"] += 1
        else:
            content = msgspec.json.encode((event.event, event.data))
            wrong = wrong or room.compare(event.epoch, event.seq, hash(content))
            self.account.done["events heard"] += 1
        if wrong is not None:
            self.account.complain("events", f"{self.person.client_id} over {self.kind}: {wrong}")

    # ---- requests

    async def ask(self, command: str, expected: Expected = unexpected, **parameters: object) -> Json | None:
        """Ask; None after an error, which is accounted for.

        Args:
            command: which.
            expected: given an error's code, why it is right here; asked when the answer is there.
            parameters: of the command.

        Raises:
            ConnectionLostError: the connection broke.
        """
        try:
            async with asyncio.timeout(ANSWERED_S):
                raw = await self.conversation.ask(command, parameters)
        except CallFailedError as error:
            self.account.expect("errors", expected(error.code), f"{command} over {self.kind}: {error.code}, {error}")
            return None
        except TimeoutError:
            self.account.complain("unanswered", f"{command} over {self.kind}")
            return None
        self.account.done[command] += 1
        result: Json = msgspec.json.decode(raw)
        return result

    async def update_room(self) -> None:
        """Count one's field of the room up, once; a change whose answer was lost is sent again with its key."""
        person = self.person
        if person.pending is None:
            person.pending = Pending(person.room.next_value(person.client_id), uuid.uuid4().hex)
        else:
            self.account.done["changes sent again"] += 1
        pending = person.pending
        told = await self.ask(
            "update_session_state",
            self._not_kept,
            session_id=person.room.session_id,
            state_data={person.client_id: pending.value},
            mode="merge",
            idempotency_key=pending.key,
        )
        if told is not None or self._carried_out:
            self._carried_out = False
            person.pending = None
            person.room.acknowledge(person.client_id, pending.value)

    def _not_kept(self, code: str) -> str | None:
        """That a change sent again was carried out, and what came of it is forgotten, is an acknowledgement."""
        self._carried_out = code == "outcome_not_kept"
        return "a change sent again was carried out long ago" if self._carried_out else None

    # ---- staying and leaving

    async def _stay(self) -> None:
        if self.person.pending is not None:
            await self.update_room()
        until = time.monotonic() + self.random.expovariate(1 / self.around.plan.stay_s)
        while time.monotonic() < until and not self.around.closing.is_set():
            await self.around.work(self)
            await pause(self.around.closing, self.random.expovariate(1 / self.around.plan.think_s))

    async def _leave(self) -> None:
        cable = self._road.cable if self._road is not None else None
        manners = ["goes", "goes", "aborts", "aborts inside of a request"]
        if cable is not None:
            manners += ["is reset", "is cut", "is cut inside of a message", "is half open"]
        manner = self.random.choice(manners)
        self.account.causes[f"leaves: {manner}"] += 1
        if manner == "goes":
            return
        self.blame = manner
        if manner == "aborts inside of a request":
            sent = asyncio.create_task(self.update_room())
            await asyncio.sleep(0)  # it is on its way
            self.conversation.abort(_OURS)
            with contextlib.suppress(ConnectionLostError):
                await sent
        elif manner == "aborts" or cable is None:
            self.conversation.abort(_OURS)
        elif manner == "is half open":
            cable.swallow = True
            asyncio.get_running_loop().call_later(SWALLOWED_S, cable.cut)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(DEAD_S, self.around.plan.stay_s)):
                    await self.conversation.ask("ping", {})
            self.conversation.abort(_OURS)
        elif manner == "is cut inside of a message":
            cable.cut_after = self.random.randrange(1, MAX_CUT_AFTER)
            for _ in range(MAX_CUT_AFTER):
                await self.update_room()
        else:
            cable.cut(rudely=manner == "is reset")
        await self.conversation.over()


def _ignore(answer: Answer) -> None:
    """Answers to requests that were given up."""
