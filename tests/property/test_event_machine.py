"""Any sequence of changes, news, slow readers, evaluations, crashes, a failing disk: nobody misses anything unsaid."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from stui_sessiond.errors import StorageError, StorageFullError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Position
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.house import Heard, House, Listener, TestStorage
from tests.unit.bed.works import Json, Works

T = TypeVar("T")
FULL = StorageFullError("the disk is full")
RULES = LogRules(max_events=8)
Place = tuple[str, int]


class Reader(Listener):
    """A subscriber that checks what it hears as it comes."""

    def __init__(self, start: Position, truth: dict[Place, tuple[str, str]]) -> None:
        super().__init__()
        self.at: Place = (start.epoch, start.seq)
        self.truth = truth
        self.gaps = 0

    def deliver(self, message: bytes) -> None:
        super().deliver(message)
        heard = self.heard[-1]
        if heard.name == "gap" and "from" in heard.data:
            assert heard.data["from"] == {"epoch": self.at[0], "seq": self.at[1]}, "a gap begins where one was"
            self.gaps += 1
        else:
            assert (heard.epoch, heard.seq) == (self.at[0], self.at[1] + 1), "each once, in order, without a hole"
            known = (heard.name, _told(heard))
            assert self.truth.setdefault((heard.epoch, heard.seq), known) == known, "a place has one event for ever"
        self.at = (heard.epoch, heard.seq)


def _told(heard: Heard) -> str:
    return repr(sorted((name, value) for name, value in heard.data.items() if name != "session_state"))


class EventMachine(RuleBasedStateMachine):
    """One session, its readers, and its image."""

    readers: Bundle[Reader] = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.memory = MemoryStorage()
        self.runner = asyncio.Runner()
        self.truth: dict[Place, tuple[str, str]] = {}
        self.there: list[Reader] = []
        self.known: list[Position] = []
        """Positions that somebody was told."""
        self.reached: Counter[str] = Counter()
        """How often the image was asked for each key."""
        self.to_answer: list[Json] = []
        self.failing = False
        self.serial = 0
        self.instance = 1
        self.session_id = SessionId("")
        self.run(self.begin())

    # ---- lives

    async def begin(self) -> None:
        """Start the daemon, and the session if there is none; those who listened come back with their positions."""
        self.storage = TestStorage(self.memory)
        self.works = Works(House(self.storage, self.clock, log=RULES))
        self.house = self.works.house
        self.failing = False
        await self.house.manager.open()
        if not self.session_id:
            self.session_id = await self.house.create(image_id="pharo", timeout_s=86400.0)
        self.works.connect(f"i-{self.instance}")
        await self.settle()
        header = self.house.manager.header(self.session_id)
        for each in self.known:
            assert each.epoch != header.epoch or each.seq <= header.seq, "nobody knows more than what is stored"
        before, self.there = self.there, []
        for reader in before:
            await self.come(Position(*reader.at))

    async def end(self, *, crash: bool) -> None:
        """Stop, orderly or not: then nothing that was not stored is stored any more."""
        if crash:
            self.storage.failure = StorageError("the process is gone")
        else:
            self.storage.failure = None
            await self.settle()
        self.works.close_link()
        await self.works.relay.close()
        await self.works.image_commands.close()
        await self.house.keeper.settle()
        if not crash:
            await self.house.manager.close()

    async def come(self, since: Position | None) -> Reader:
        """Subscribe."""
        start = since or self.house.position(self.session_id)
        reader = Reader(start, self.truth)
        started = await self.house.listen(self.session_id, reader, since)
        assert (started.missing is None) == (reader.gaps == 0), "what the answer says is what comes"
        self.there.append(reader)
        self.known.append(started.position)
        return reader

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(12):
            await asyncio.sleep(0)
            await self.works.settle()
        while self.works.waiting:
            request = await self.works.asked()
            self.reached[request["parameters"]["code"]] += 1
            self.to_answer.append(request)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.runner.run(work)

    def step(self, work: Coroutine[Any, Any, Any], *, loses: bool | None) -> None:
        """Do something; the epoch changes if, and only if, events were lost by it (None: it depends)."""
        before = self.house.position(self.session_id)

        async def whole() -> None:
            await work
            await self.settle()

        self.run(whole())
        after = self.house.position(self.session_id)
        if loses is not None:
            assert (after.epoch != before.epoch) == loses
        if after.epoch == before.epoch:
            assert after.seq >= before.seq

    def teardown(self) -> None:
        """In the end everybody who reads has everything, and nothing ran twice."""
        self.run(self.finish())
        self.runner.close()

    async def finish(self) -> None:
        """Heal the disk, let everybody read, and compare."""
        self.storage.failure = None
        self.house.post(self.session_id, "the end")
        await self.settle()
        for reader in self.there:
            reader.room = None
            await self.house.drained(reader)
        here = self.house.position(self.session_id)
        assert {reader.at for reader in self.there} <= {(here.epoch, here.seq)}
        await self.end(crash=False)

    # ---- what happens

    @rule()
    def update(self) -> None:
        """Change the state; the disk may refuse."""
        self.serial += 1

        async def work() -> None:
            try:
                await self.house.put(self.session_id, n=self.serial)
            except StorageError:
                assert self.failing

        self.step(work(), loses=False)

    @rule(count=st.integers(1, 4))
    def post(self, count: int) -> None:
        """Let something happen; on a disk that fails it is lost."""

        async def work() -> None:
            for _ in range(count):
                self.serial += 1
                self.house.post(self.session_id, f"news-{self.serial}")

        self.step(work(), loses=self.failing)

    @rule(count=st.integers(1, 3))
    def post_and_update(self, count: int) -> None:
        """News that waits for the disk goes with the change that comes next, or is lost with it."""

        async def work() -> None:
            for _ in range(count):
                self.serial += 1
                self.house.post(self.session_id, f"news-{self.serial}")
            try:
                await self.house.put(self.session_id, n=self.serial)
            except StorageError:
                assert self.failing

        self.step(work(), loses=self.failing)

    @rule(fails=st.booleans())
    def disk(self, fails: bool) -> None:
        """The disk fails, or is well again."""
        self.failing = fails
        self.storage.failure = FULL if fails else None

    # ---- who listens

    @rule(target=readers, since=st.none() | st.integers(0, 30))
    def subscribe(self, since: int | None) -> Any:  # noqa: ANN401 -- a reader, or none
        """Somebody comes, perhaps with a position that somebody was told before."""
        position = None if since is None or not self.known else self.known[since % len(self.known)]
        if self.failing:  # reading is from memory, and may be refused
            return multiple()
        return self.run(self.come(position))

    @rule(reader=readers, room=st.none() | st.integers(0, 3))
    def read(self, reader: Reader, room: int | None) -> None:
        """Somebody reads so much, or everything."""
        reader.room = room
        if reader in self.there:
            self.run(self.house.drained(reader))

    @rule()
    def remember(self) -> None:
        """Take down where everybody is."""
        self.known += [Position(*reader.at) for reader in self.there]

    # ---- what runs

    @rule(key=st.sampled_from(["k1", "k2", "k3", "k4", "k5"]))
    def evaluate(self, key: str) -> None:
        """Send an evaluation, perhaps once more."""
        future = self.works.run(self.session_id, key, code=key)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

        async def work() -> None:
            await asyncio.sleep(0)

        self.step(work(), loses=False)

    @rule(at=st.integers(0, 9))
    def answer(self, at: int) -> None:
        """The image answers, over whatever link it has now."""
        if self.to_answer:
            request = self.to_answer.pop(at % len(self.to_answer))

            async def work() -> None:
                self.works.answer(request)

            self.step(work(), loses=None if self.failing else False)

    @rule(anew=st.booleans())
    def break_link(self, anew: bool) -> None:
        """The link breaks, and the image comes back, perhaps as another instance."""

        async def work() -> None:
            self.works.disconnect()
            await asyncio.sleep(0)
            if anew:
                self.instance += 1
                self.to_answer.clear()
            self.works.connect(f"i-{self.instance}")

        self.step(work(), loses=self.failing)

    # ---- lives that end

    @rule(crash=st.booleans(), news=st.integers(0, 2))
    def restart(self, crash: bool, news: int) -> None:
        """Start again, perhaps after a crash in the middle of something."""

        async def work() -> None:
            if crash:
                for _ in range(news):
                    self.serial += 1
                    self.house.post(self.session_id, f"unstored-{self.serial}")
            await self.end(crash=crash)
            await self.begin()

        self.run(work())

    @invariant()
    def nothing_runs_twice(self) -> None:
        """The image was asked for each key once, whatever happened meanwhile."""
        assert all(count == 1 for count in self.reached.values()), self.reached

    @invariant()
    def what_is_kept_is_true(self) -> None:
        """The log has what was told, in one piece, with the newest at the end."""
        held = self.house.keeper.shelf.content(self.session_id)
        if held is not None:
            log, here = held.session.log.events, self.house.position(self.session_id)
            assert [event.seq for event in log] == list(range(here.seq - len(log) + 1, here.seq + 1))


TestEvents = EventMachine.TestCase
TestEvents.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
