"""When is what is on the screen kept, and where? Within a blink in the journal on this machine, soon in the session.

What the session has is forgotten here. What it refuses stays here, and the user is told.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from stui_sessiond.client import ClientError, Delivery
from stui_sessiond.client.outbox import Update
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.tui.draft_journal import DraftJournal
from stui_sessiond.tui.layout import Draft, Kept, KeptTool, Stamp, context_id
from stui_sessiond.wire.messages.context import ContextSections, SaveContext

LAST_WORDS_S = 3.0
"""How long the end of the program waits for the daemon to take what is not stored; the journal has it anyway."""


class Pace(msgspec.Struct, frozen=True):
    """Durations, in seconds."""

    draft_s: float = 0.15
    """From a change to the journal: what a killed terminal may lose, and far less than a person types in a breath."""
    quiet_s: float = 1.0
    """A pause of so long, and the session gets it."""
    latest_s: float = 5.0
    """Without a pause it gets it after so long."""


class Source(Protocol):
    """What is on the screen."""

    def state_of(self, tool_id: str) -> dict[str, Any] | None:
        """The state of a tool, or of the layout, as JSON; None when it is closed."""

    def tool_of(self, tool_id: str) -> KeptTool | None:
        """What kind of tool it is; None for the layout."""


class Store(Protocol):
    """Where it goes."""

    def save(self, update: Update) -> Delivery:
        """Store it some time soon."""

    async def flush(self) -> None:
        """Wait until nothing waits."""


class Autosave:
    """Keeps the state of the tools of one session.

    Args:
        session_id: the session.
        source: gives the states.
        store: the client.
        journal: for what is not stored.
        writer: names this program in stamps.
        told: hears what went wrong, in words.
        pace: how soon.
    """

    def __init__(
        self,
        session_id: str,
        source: Source,
        store: Store,
        journal: DraftJournal,
        writer: str,
        told: Callable[[str], None],
        pace: Pace | None = None,
    ) -> None:
        self._session_id = session_id
        self._source = source
        self._store = store
        self._journal = journal
        self._writer = writer
        self._told = told
        self._pace = pace or Pace()
        self._tasks = TaskOwner(f"autosave.{session_id}")
        self._revisions: dict[str, int] = {}
        """How often each tool has changed: a draft and what is sent have the same number if they say the same."""
        self._acknowledged: dict[str, int] = {}
        self._stored: dict[str, Stamp] = {}
        self._refused: set[str] = set()
        self._to_draft: set[str] = set()
        self._to_save: set[str] = set()
        self._under_way: set[str] = set()
        self._draft_news = asyncio.Event()
        self._save_news = asyncio.Event()
        self._disk = asyncio.Lock()

    def start(self) -> None:
        """Begin."""
        self._tasks.start(self._keep_drafts(), "drafts")
        self._tasks.start(self._keep_saving(), "saves")

    def stored(self, tool_id: str, stamp: Stamp) -> None:
        """The session has this of a tool."""
        self._stored[tool_id] = stamp

    def changed(self, tool_id: str) -> None:
        """There is something to keep."""
        self._revisions[tool_id] = self._revisions.get(tool_id, 0) + 1
        self._to_draft.add(tool_id)
        self._to_save.add(tool_id)
        self._draft_news.set()
        self._save_news.set()

    def closed(self, tool_id: str) -> None:
        """A tool is not wanted any more: its draft neither."""
        self._refused.discard(tool_id)
        self._to_draft.discard(tool_id)
        self._to_save.discard(tool_id)
        self._tasks.start(self._done(tool_id, self._revisions.get(tool_id, 0)), "closed")

    @property
    def refused(self) -> int:
        """How many tools the session did not take."""
        return len(self._refused)

    def retry(self) -> None:
        """Something has changed about who may save: try again what was refused."""
        self._to_save |= self._refused
        self._refused.clear()
        self._save_news.set()

    @property
    def unsaved(self) -> int:
        """How many tools have something that the session has not."""
        return len(self._to_save | self._under_way)

    async def settle(self) -> None:
        """Adopted journals are not needed any more, once what was in them is in this one."""
        await self._write_drafts()
        async with self._disk:
            await asyncio.to_thread(self._journal.settle)

    async def close(self, *, online: bool) -> int:
        """Keep everything, wait a moment for the daemon if there is one; tell how many tools have drafts left."""
        await self._write_drafts()
        if online:
            try:
                async with asyncio.timeout(LAST_WORDS_S):
                    self._save_dirty()
                    await self._store.flush()
                    while self._under_way:
                        self._save_news.clear()
                        await self._save_news.wait()
            except (TimeoutError, ClientError):
                pass  # the journal has it
        await self._tasks.close()
        left = len(self._journal.unsaved)
        async with self._disk:
            await asyncio.to_thread(self._journal.close)
        return left

    async def abandon(self) -> None:
        """Let go at once: what the journal has, the next start finds."""
        await self._tasks.close()
        async with self._disk:
            self._journal.close()

    # ---- drafts

    async def _keep_drafts(self) -> None:
        while True:
            await self._draft_news.wait()
            await asyncio.sleep(self._pace.draft_s)
            await self._write_drafts()

    async def _write_drafts(self) -> None:
        self._draft_news.clear()
        wanted, self._to_draft = self._to_draft, set()
        fresh = [each for each in sorted(wanted) if self._acknowledged.get(each, 0) < self._revisions[each]]
        drafts = [draft for tool_id in fresh if (draft := self._draft(tool_id)) is not None]
        if not drafts:
            return
        async with self._disk:
            try:
                await asyncio.to_thread(self._journal.write, drafts)
            except OSError as error:
                self._told(f"unsaved work is not safe on this machine: {error.strerror or error}")

    def _draft(self, tool_id: str) -> Draft | None:
        state = self._source.state_of(tool_id)
        if state is None:
            return None
        stamp, tool = Stamp(self._writer, self._revisions[tool_id]), self._source.tool_of(tool_id)
        return Draft(tool_id, state, stamp, self._stored.get(tool_id), tool)

    async def _done(self, tool_id: str, number: int) -> None:
        self._acknowledged[tool_id] = number
        async with self._disk:
            try:
                await asyncio.to_thread(self._journal.done, tool_id, number)
            except OSError as error:
                self._told(f"the journal of unsaved work: {error.strerror or error}")

    # ---- the session

    async def _keep_saving(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._save_news.wait()
            end = loop.time() + self._pace.latest_s
            while self._save_news.is_set() and loop.time() < end:
                self._save_news.clear()
                await asyncio.sleep(min(self._pace.quiet_s, max(0.0, end - loop.time())))
            self._save_news.clear()
            self._save_dirty()

    def _save_dirty(self) -> None:
        """Hand over what has changed; of each tool at most one state is under way, however long that takes."""
        for tool_id in sorted(self._to_save - self._under_way):
            self._to_save.discard(tool_id)
            state = self._source.state_of(tool_id)
            if state is None:
                continue
            stamp = Stamp(self._writer, self._revisions[tool_id])
            document = msgspec.to_builtins(Kept(state, stamp))
            update = SaveContext(self._session_id, context_id(tool_id), ContextSections(client=document))
            try:
                delivery = self._store.save(update)
            except ClientError as error:
                self._to_save.add(tool_id)
                self._told(f"not saved: {error}")
                continue
            self._under_way.add(tool_id)
            self._tasks.start(self._deliver(tool_id, stamp, delivery), "deliver")

    async def _deliver(self, tool_id: str, stamp: Stamp, delivery: Delivery) -> None:
        try:
            await delivery.result()
        except ClientError as error:
            if not self._refused:
                self._told(f"Not saved in the session, and kept on this machine: {error}")
            self._refused.add(tool_id)
        else:
            self._refused.discard(tool_id)
            self._stored[tool_id] = stamp
            await self._done(tool_id, stamp.number)
        finally:
            self._under_way.discard(tool_id)
            self._save_news.set()
