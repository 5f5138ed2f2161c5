"""What the daemon tells of images, and what it does with what images tell."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import structlog

from stui_sessiond.commands.running import RunningTable
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import StuiError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.pace import Pace
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.sessions.hub import Hub, Topic
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import PushedEvent
from stui_sessiond.wire.messages import image as wire
from stui_sessiond.wire.timestamp import format_time

_log = structlog.get_logger(__name__)

PUSHED_EVENTS = frozenset({"transcript", "code_changed", "debugger_opened", "progress"})
"""What an image may tell unasked (PROTOCOL.md, Events)."""


TOO_MANY = "the image tells more than is taken"
"""Why events are missing, for `gap`."""

MAX_PUSHED_BYTES = 64 * 1024
"""Of the data of one event of an image; longer ones would push the others out of the session's log."""

PART_CHARS = 16 * 1024
"""Into such parts a long text is cut: none is longer than that bound, whatever its characters."""


class ImageCommands:
    """Carries out the image commands and passes on what images push."""

    def __init__(
        self,
        images: ImageRegistry,
        manager: SessionManager,
        keeper: Keeper,
        book: RequestBook,
        hub: Hub,
        running: RunningTable,
    ) -> None:
        self._running = running
        self._images = images
        self._manager = manager
        self._keeper = keeper
        self._book = book
        self._hub = hub
        self.pace = Pace()
        self._tasks = TaskOwner("images")

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (Command("list_images", wire.ListImages, self.list_images),)

    def list_images(self, caller: Caller, asked: wire.ListImages) -> wire.ListImagesResult:
        """Carry out `list_images`."""
        del caller, asked
        counts = self._manager.count_by_image()
        rows = []
        for seen in self._images.seen():
            identity = seen.identity
            rows.append(
                wire.ListedImage(
                    image_id=identity.image_id,
                    name=identity.name,
                    dialect=identity.dialect,
                    version=identity.version,
                    vm=identity.vm,
                    instance_id=identity.instance_id,
                    generation=identity.generation,
                    capabilities=identity.capabilities,
                    status="connected" if seen.connected else "disconnected",
                    last_seen=format_time(seen.last_seen),
                    session_count=counts.get(ImageId(identity.image_id), 0),
                    health="unknown",
                    condition="unknown",
                    certificate={},
                    conflicts=[],
                )
            )
        return wire.ListImagesResult(rows)

    def pass_on(self, link: ImageLink, pushed: PushedEvent) -> None:
        """Tell an image's event to those who subscribed to the session it names.

        An image may speak only of sessions that belong to it.
        """
        admitted = self.pace.admits_event(link.image_id)
        if pushed.event not in PUSHED_EVENTS or pushed.session_id is None:
            link.complain("image.event_ignored", event_name=pushed.event[:64])
            return
        try:
            header = self._manager.header(pushed.session_id)
        except StuiError:
            return  # the session went while the image was speaking
        if header.image_id != link.image_id:
            link.complain("image.event_for_foreign_session")
            return
        if not admitted:
            link.complain("image.events_dropped")
            self._keeper.miss(header.session_id, TOO_MANY)
            return
        try:
            data = msgspec.json.decode(pushed.data, type=dict)
        except msgspec.DecodeError:
            link.complain("image.event_unreadable", event_name=pushed.event)
            return
        if pushed.event == "progress":
            data = self._named(data)
        for part in _in_parts(pushed, data):
            self._keeper.post_to(header.session_id, pushed.event, part)

    def _named(self, data: dict[str, Any]) -> dict[str, Any]:
        """Name the evaluation that is meant as clients know it, in place of the id that the image was given."""
        request_id = data.get("request_id")
        name = self._running.name_of(request_id) if isinstance(request_id, str) else None
        if name is None:
            return data
        return {"evaluation": name, **{key: value for key, value in data.items() if key != "request_id"}}

    def announce(self, link: ImageLink, *, connected: bool) -> None:
        """Tell the sessions of an image that it has come or gone."""
        name = "image.connected" if connected else "image.disconnected"
        data = {
            "image_id": link.image_id,
            "instance_id": link.identity.instance_id,
            "generation": link.identity.generation,
        }
        self._hub.announce(name, data, (Topic("all"), Topic("image", link.image_id)))
        sessions = self._manager.of_image(link.image_id)
        if connected:
            self._tasks.start(self._arrive(sessions, link, data), f"arrive.{link.image_id}")
            return
        for session_id in sessions:
            entry = self._keeper.shelf.find(session_id)
            if entry is not None:
                self._keeper.post(entry, name, data)

    async def _arrive(self, sessions: Sequence[SessionId], link: ImageLink, data: dict[str, Any]) -> None:
        """Tell an image's sessions, and settle what an earlier instance of it will never finish."""
        for session_id in sessions:
            if self._images.find(link.image_id) is not link:
                return  # it went meanwhile; who comes next is told instead
            try:
                await self._book.lose(session_id, link.identity.instance_id, data)
            except StuiError as error:
                _log.warning("image.arrival_not_noted", session_id=session_id, code=error.code)

    async def close(self) -> None:
        """Finish telling."""
        await self._tasks.drain(None)
        await self._tasks.close()


def _in_parts(pushed: PushedEvent, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Cut what is long: text into several events; of other things only how long they were is told."""
    text = data.get("text")
    if len(pushed.data) <= MAX_PUSHED_BYTES:
        yield data
    elif pushed.event == "transcript" and isinstance(text, str):
        for start in range(0, len(text), PART_CHARS):
            yield {"text": text[start : start + PART_CHARS]}
    else:
        yield {"truncated": True, "size_bytes": len(pushed.data)}
