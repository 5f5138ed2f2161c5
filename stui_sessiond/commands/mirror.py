"""What changes of code did images take? Each is on disk before anybody hears of it; those of an image stay in order."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ParameterError, StuiError
from stui_sessiond.ids import ImageId, InstanceId, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.model.code_change import ChangeKind, CodeChange, KeptChange, serial_of, with_bounded_texts
from stui_sessiond.sessions.hub import Hub, Topic
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.storage.changes import ChangeStorage
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import PushedEvent
from stui_sessiond.wire.messages import Name
from stui_sessiond.wire.messages import mirror as wire
from stui_sessiond.wire.timestamp import format_time

BATCH: Final = 200
"""Changes that become durable with one sync; more would keep others from the database's thread."""

MAX_PUSHED_WAITING_BYTES: Final = 8 * 1024 * 1024
"""Of changes that one image told and that wait for the disk: the methods of a large package that is loaded at once.
What is beyond is dropped and counted. Changes that clients make are bounded by what may wait for an image."""

_ROW_BYTES: Final = 500
"""What a change takes besides its texts."""


class PushedChange(msgspec.Struct):
    """What an image tells with the event `code_changed`."""

    kind: ChangeKind
    class_name: Name
    selector: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    is_class_method: bool = False
    category: str | None = None
    source: str | None = None
    previous_source: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; `msgspec` makes a `ValidationError` of it."""
        if (self.selector is None) != (self.kind in {"class", "class_removed"}):
            msg = "methods have a `selector`, and classes have none"
            raise ValueError(msg)
        if (self.source is None) != (self.kind in {"method_removed", "class_removed"}):
            msg = "`source` is what is there after the change, and null when it was removed"
            raise ValueError(msg)


_decode_pushed = msgspec.json.Decoder(PushedChange).decode


class _Waiting(msgspec.Struct):
    change: CodeChange
    kept: asyncio.Future[KeptChange]


class Mirror:
    """Keeps the changes, tells of them, and lists them."""

    def __init__(self, storage: ChangeStorage, keeper: Keeper, hub: Hub, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._keeper = keeper
        self._hub = hub
        self._clock = clock
        self._tasks = TaskOwner("mirror")
        self._waiting: list[_Waiting] = []
        self._writing = False
        self._pushed_bytes: Counter[ImageId] = Counter()

    async def all(self, image_id: ImageId) -> Sequence[KeptChange]:
        """Read all changes of an image, the oldest first.

        Raises:
            StorageError: they cannot be read now.
        """
        return await self._storage.all(image_id)

    # ---- from clients

    def record(self, change: CodeChange) -> asyncio.Future[KeptChange]:
        """Keep a change; the result is there when it is durable. The order is that of the calls.

        Awaiting it may raise `StorageError`: it is not kept.
        """
        kept: asyncio.Future[KeptChange] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(with_bounded_texts(change), kept))
        if not self._writing:
            self._writing = True
            self._tasks.start(self._write(), "write")
        return kept

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._write_batch(batch)
        finally:
            self._writing = False

    async def _write_batch(self, batch: Sequence[_Waiting]) -> None:
        try:
            kept = await self._storage.append([each.change for each in batch])
        except StuiError as error:
            for each in batch:
                if not each.kept.done():  # who waited may have been ended meanwhile
                    each.kept.set_exception(error)
            return
        for each, one in zip(batch, kept, strict=True):
            self._tell(one)
            if not each.kept.done():
                each.kept.set_result(one)

    def _tell(self, kept: KeptChange) -> None:
        change = kept.change
        data = {
            "image_id": change.image_id,
            "instance_id": change.instance_id,
            "change_id": kept.change_id,
            "kind": change.kind,
            "class_name": change.class_name,
            "selector": change.selector,
            "is_class_method": change.is_class_method,
            "category": change.category,
            "origin": change.origin,
            "client_id": change.client_id,
        }
        self._hub.announce("image.code_changed", data, (Topic("all"), Topic("image", change.image_id)))
        if change.session_id is not None and change.origin == "client":
            self._keeper.post_to(SessionId(change.session_id), "image.code_changed", data)

    # ---- from images

    def receive(self, link: ImageLink, pushed: PushedEvent) -> bool:
        """Keep a change that an image tells of; False when it is not of the agreed shape, and dropped.

        It is put after the changes that the image answered before, and before those that it answers later. One that
        cannot be kept is counted among the link's events that were dropped.
        """
        try:
            told = _decode_pushed(pushed.data)
        except msgspec.DecodeError:
            link.complain("change.not_as_agreed")  # what it says is not for the log
            return False
        change = CodeChange(
            image_id=link.image_id,
            instance_id=InstanceId(link.identity.instance_id),
            generation=link.identity.generation,
            at=self._clock(),
            kind=told.kind,
            class_name=told.class_name,
            selector=told.selector,
            is_class_method=told.is_class_method,
            category=told.category,
            source=told.source,
            definition=told.source if told.kind == "class" else None,
            previous_source=told.previous_source,
            origin="image",
            session_id=self._session_of(link, pushed),
        )
        self._tasks.start(self._keep(link, change), "receive")
        return True

    def _session_of(self, link: ImageLink, pushed: PushedEvent) -> str | None:
        """The session that an image names, if it is one of its own."""
        entry = None if pushed.session_id is None else self._keeper.shelf.find(SessionId(pushed.session_id))
        return pushed.session_id if entry is not None and entry.header.image_id == link.image_id else None

    async def _keep(self, link: ImageLink, change: CodeChange) -> None:
        change = with_bounded_texts(change)
        image_id, size = change.image_id, change.size_bytes + _ROW_BYTES
        if self._pushed_bytes[image_id] + size > MAX_PUSHED_WAITING_BYTES:
            self._drop(link, "too many wait for the disk")
            return
        self._pushed_bytes[image_id] += size
        try:
            await self.record(change)
        except StuiError as error:
            self._drop(link, error.message)
        finally:
            self._pushed_bytes[image_id] -= size
            if not self._pushed_bytes[image_id]:
                del self._pushed_bytes[image_id]

    @staticmethod
    def _drop(link: ImageLink, why: str) -> None:
        link.tally.events_dropped += 1
        link.complain("change.dropped", why=why)

    # ---- the command

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (Command("list_code_changes", wire.ListCodeChanges, self.list_code_changes),)

    async def list_code_changes(self, caller: Caller, asked: wire.ListCodeChanges) -> wire.ListCodeChangesResult:
        """Carry out `list_code_changes`."""
        after = -1
        if asked.after is not None:
            found = serial_of(asked.after)
            if found is None:
                msg = "list_code_changes: `after` is no change_id"
                raise ParameterError(msg, field="after")
            after = found
        page = await self._storage.page(ImageId(asked.image_id), asked.class_name, after, asked.limit)
        return wire.ListCodeChangesResult(
            asked.image_id, [self._listed(caller, kept) for kept in page.changes], page.more
        )

    def _listed(self, caller: Caller, kept: KeptChange) -> wire.CodeChange:
        change = kept.change
        return wire.CodeChange(
            change_id=kept.change_id,
            at=format_time(change.at),
            kind=change.kind,
            class_name=change.class_name,
            selector=change.selector,
            is_class_method=change.is_class_method,
            category=change.category,
            source=change.source,
            previous_source=change.previous_source,
            origin=change.origin,
            client_id=change.client_id,
            session_id=change.session_id if self._may_name(caller, change.session_id) else None,
            instance_id=change.instance_id,
            generation=change.generation,
            texts_omitted=change.texts_omitted,
        )

    def _may_name(self, caller: Caller, session_id: str | None) -> bool:
        """Whether a caller may know a session's id, which lets in whoever does not say who it is."""
        if session_id is None or "admin" in caller.rights:
            return True
        entry = self._keeper.shelf.find(SessionId(session_id))
        return entry is not None and caller.client_id is not None and entry.header.role_of(caller.client_id) != "none"

    async def close(self) -> None:
        """Keep what was told."""
        await self._tasks.drain(None)
        await self._tasks.close()
