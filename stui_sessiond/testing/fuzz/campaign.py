"""Does the daemon at a URL stand a fuzzing of so many seconds? One conversation after the other, each with its seed.

Guarantees: ends in time, give or take one conversation and the shrinking of a failure; deletes the sessions it made;
asks no image but its own.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from stui_sessiond.contract import load_contract
from stui_sessiond.testing.fuzz.conversation import ANSWER_S, Conversation, Place
from stui_sessiond.testing.fuzz.image_peer import ImagePeer
from stui_sessiond.testing.fuzz.judge import Judge
from stui_sessiond.testing.fuzz.script import Script, a_script
from stui_sessiond.testing.fuzz.shrink import shrink
from stui_sessiond.testing.fuzz.source import Seeded
from stui_sessiond.testing.fuzz.tally import Failure, FailureError, Tally
from stui_sessiond.testing.fuzz.watch import Watcher
from stui_sessiond.testing.fuzz.wishes import Book, load_schemas
from stui_sessiond.testing.link import LinkEndedError, UnreachableError
from stui_sessiond.testing.runner import find_target

MAX_RSS_BYTES: Final = 1024 * 1024 * 1024
HOSTILE_PERCENT: Final = (0, 5, 15, 40)
"""How much of a conversation is hostile; each next seed takes the next. Without any, the daemon's state gets deep."""

PROGRESS_S: Final = 5.0
SHRINK_ANSWER_S: Final = 2.0


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be fuzzed, and how long."""

    url: str
    token: str | None = None
    seconds: float = 60.0
    conversations: int | None = None
    """At most so many."""
    seed: int = 0
    pid: int | None = None
    """The daemon's process, if it is on this machine and its memory is to be watched."""
    max_rss_bytes: int = MAX_RSS_BYTES


class Fuzzer:
    """Plays scripts against one daemon, over one transport."""

    def __init__(self, wanted: Wanted) -> None:
        self.tally = Tally()
        self.book = Book(load_contract(), load_schemas())
        self._wanted = wanted
        self._judge = Judge(self.book.contract, self.book.schemas)
        self._watcher = Watcher(wanted.url, wanted.token, self.tally, wanted.pid, wanted.max_rss_bytes)
        self._keeper = Watcher(wanted.url, wanted.token, Tally(), None, wanted.max_rss_bytes)
        self._must_greet = False
        self._guard: ImagePeer | None = None
        self._name = secrets.token_hex(4)
        self._serial = 0
        self._image = self._make_image(f"fuzz-{self._name}")

    def _make_image(self, image_id: str) -> ImagePeer:
        return ImagePeer(self._wanted.url, self._wanted.token, self.book, image_id)

    async def start(self) -> None:
        """Get to know the daemon.

        Raises:
            UnreachableError, TokenNeededError, ValueError: as for `run_conformance`.
            FailureError: it does not let us in.
        """
        target = await find_target(self._wanted.url, self._wanted.token)
        self._must_greet = target.must_greet
        await self._watcher.start()
        await self._keeper.start()
        if await self._keeper.foreign_images():  # with one more, no request goes to somebody's image unnamed
            self._guard = self._make_image(f"guard-{self._name}")
            await self._guard.prepare(("answer",), 0)

    async def stop(self) -> None:
        """Leave."""
        await self._image.stop()
        if self._guard is not None:
            await self._guard.stop()
        await self._keeper.stop()
        await self._watcher.stop()

    async def play(self, script: Script, seed: int = 0, answer_s: float = ANSWER_S) -> Failure | None:
        """Play one script; give what went wrong."""
        self._serial += 1
        name = f"fuzz-{self._name}-{self._serial}"
        place = Place(
            self._wanted.url,
            self._wanted.token,
            self._must_greet,
            self._watcher.limit_bytes,
            name,
            self._image.image_id,
            answer_s,
        )
        conversation = Conversation(place, self._judge, self.tally, self._image)
        try:
            await self._image.prepare(script.moves, seed)
            await conversation.play(script)
        except FailureError as error:
            return Failure(error.kind, error.text, script, seed, tuple(conversation.heard))
        except (UnreachableError, LinkEndedError) as error:
            return Failure("daemon_gone", f"the daemon is gone: {error}", script, seed, tuple(conversation.heard))
        finally:
            self.tally.conversations += 1
            self.tally.relayed += self._image.asked
        return await self._clean(conversation, script, seed)

    async def _clean(self, conversation: Conversation, script: Script, seed: int) -> Failure | None:
        try:
            await self._keeper.delete(conversation.sessions)
        except FailureError as error:
            return Failure(error.kind, error.text, script, seed, tuple(conversation.heard))
        except LinkEndedError as error:
            return Failure("daemon_gone", f"the daemon is gone: {error}", script, seed, tuple(conversation.heard))
        return None

    async def run(self, progress: Callable[[str], None] = lambda _: None) -> Failure | None:
        """Play scripts until the time is up, or one goes wrong: then give the smallest that does.

        Raises:
            UnreachableError, TokenNeededError, ValueError: as for `start`.
        """
        await self.start()
        try:
            return await self._run(progress)
        finally:
            await self.stop()

    async def _run(self, progress: Callable[[str], None]) -> Failure | None:
        watching = asyncio.create_task(self._watcher.watch(), name="fuzz.watch")
        try:
            failure = await self._play_all(watching, progress)
        finally:
            watching.cancel()
            await asyncio.wait({watching})
        if failure is None:
            return None
        progress(f"{failure.kind}: {failure.text}\nlooking for the smallest script that shows it")
        return await self._shrunk(failure)

    async def _play_all(self, watching: "asyncio.Task[None]", progress: Callable[[str], None]) -> Failure | None:
        started = told = time.monotonic()
        for number in itertools.count():
            now = time.monotonic()
            if now - told >= PROGRESS_S:
                told = now
                progress(self.tally.line(now - started))
            done = self._wanted.conversations
            if now - started >= self._wanted.seconds or (done is not None and number >= done):
                return None
            seed = self._wanted.seed + number
            script = a_script(Seeded(seed), self.book, HOSTILE_PERCENT[seed % len(HOSTILE_PERCENT)])
            failure = await self.play(script, seed)
            if failure is None and watching.done():
                error = watching.exception()
                kind = error.kind if isinstance(error, FailureError) else "watch"
                failure = Failure(kind, str(error), script, seed)
            if failure is not None:
                return failure
        return None

    async def _shrunk(self, failure: Failure) -> Failure:
        async def again(script: Script) -> Failure | None:
            return await self.play(script, failure.seed or 0, SHRINK_ANSWER_S)

        try:
            return await shrink(failure, again)
        except (UnreachableError, OSError):  # the daemon did not survive it
            return failure
