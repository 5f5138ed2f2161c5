"""What do images push, and what is told of images: that they came, went, hang, or are not whom they say they are?"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import structlog

from stui_sessiond.commands.mirror import Mirror
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.errors import StuiError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.images.condition import Condition, text_of
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.pace import Pace
from stui_sessiond.images.probe import probe
from stui_sessiond.images.record import Doubt
from stui_sessiond.images.registry import ImageRegistry, KnownImage
from stui_sessiond.images.watch import Watch
from stui_sessiond.security.audit import NO_AUDIT, AuditLog, Word
from stui_sessiond.sessions.hub import Hub, Topic
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import PushedEvent
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
    """Passes on what images push, and tells of what becomes of them."""

    def __init__(
        self,
        images: ImageRegistry,
        manager: SessionManager,
        keeper: Keeper,
        book: RequestBook,
        hub: Hub,
        running: RunningTable,
        *,
        mirror: Mirror,
        probing: bool = False,
        audit: AuditLog = NO_AUDIT,
    ) -> None:
        self._running = running
        self._images = images
        self._manager = manager
        self._keeper = keeper
        self._book = book
        self._hub = hub
        self._mirror = mirror
        self._probing = probing
        self._audit = audit
        self._left_working: dict[ImageId, list[SessionId]] = {}
        """Sessions whose code was under way when the link to their image broke."""
        self.pace = Pace()
        self._tasks = TaskOwner("images")
        self.watch = Watch(images, keeper.clock, self._tell_condition)
        images.on_doubt = self._tell_doubt

    def pass_on(self, link: ImageLink, pushed: PushedEvent) -> None:
        """Tell an image's event to those who subscribed to the session it names; a change of code is kept, too.

        An image may speak only of sessions that belong to it, and of its code without one.
        """
        link.tally.events += 1
        if not self._pass_on(link, pushed):
            link.tally.events_dropped += 1

    def _pass_on(self, link: ImageLink, pushed: PushedEvent) -> bool:
        admitted = self.pace.admits_event(link.image_id)
        if pushed.event == "code_changed":
            kept = self._mirror.receive(link, pushed)
            if pushed.session_id is None:
                return kept
        session_id = self._told_session(link, pushed)
        if session_id is None:
            return False
        if not admitted:
            link.complain("image.events_dropped")
            self._keeper.miss(session_id, TOO_MANY)
            return False
        try:
            data = msgspec.json.decode(pushed.data, type=dict)
        except msgspec.DecodeError:
            link.complain("image.event_unreadable", event_name=pushed.event)
            return False
        if pushed.event == "progress":
            data = self._named(data)
        for part in _in_parts(pushed, data):
            self._keeper.post_to(session_id, pushed.event, part)
        return True

    def _told_session(self, link: ImageLink, pushed: PushedEvent) -> SessionId | None:
        """Find the session that an event is for; None when the image may not speak of it, or it is gone."""
        if pushed.event not in PUSHED_EVENTS or pushed.session_id is None:
            link.complain("image.event_ignored", event_name=pushed.event[:64])
            return None
        try:
            header = self._manager.header(pushed.session_id)
        except StuiError:
            return None  # the session went while the image was speaking
        if header.image_id != link.image_id:
            link.complain("image.event_for_foreign_session")
            return None
        return header.session_id

    def _named(self, data: dict[str, Any]) -> dict[str, Any]:
        """Name the evaluation that is meant as clients know it, in place of the id that the image was given."""
        request_id = data.get("request_id")
        name = self._running.name_of(request_id) if isinstance(request_id, str) else None
        if name is None:
            return data
        return {"evaluation": name, **{key: value for key, value in data.items() if key != "request_id"}}

    def announce(self, link: ImageLink, *, connected: bool) -> None:
        """Tell the sessions of an image that it has come or gone, and look at what it can do."""
        name = "image.connected" if connected else "image.disconnected"
        data = {
            "image_id": link.image_id,
            "instance_id": link.identity.instance_id,
            "generation": link.identity.generation,
        }
        self._hub.announce(name, data, (Topic("all"), Topic("image", link.image_id)))
        sessions = self._manager.of_image(link.image_id)
        known = self._images.known(link.image_id)
        if connected:
            self._left_working.pop(link.image_id, None)
            self._tasks.start(self._arrive(sessions, link, data), f"arrive.{link.image_id}")
            if self._probing and known is not None:
                self._tasks.start(probe(link, known.certificate), f"probe.{link.image_id}")
            self._look(known)
            return
        self._left_working[link.image_id] = sorted({one.session_id for one in self._running.on(link)})
        for session_id in sessions:
            entry = self._keeper.shelf.find(session_id)
            if entry is not None:
                self._keeper.post(entry, name, data)
        self._look(known)

    # ---- what is noticed

    def _look(self, known: KnownImage | None) -> None:
        if known is not None:
            self.watch.note(known)

    def _tell_condition(self, known: KnownImage, before: Condition) -> None:
        """Tell that an image is in another condition, also to sessions whose code is under way in it."""
        del before
        data = {
            "image_id": known.image_id,
            "condition": known.condition,
            "since": format_time(known.condition_since),
            "text": text_of(self._images.facts(known), known.image_id),
        }
        self._hub.announce("image.condition_changed", data, (Topic("all"), Topic("image", known.image_id)))
        if known.link is not None:
            sessions = sorted({one.session_id for one in self._running.on(known.link)})
        else:
            sessions = self._left_working.get(known.image_id, [])
        for session_id in sessions:
            self._keeper.post_to(session_id, "image.condition_changed", data)

    def _tell_doubt(self, image_id: ImageId, reason: Doubt) -> None:
        """Tell that there is a reason to doubt an image."""
        _log.warning("image.conflict", image_id=image_id, kind=reason.kind, text=reason.text)
        data = {
            "image_id": image_id,
            "kind": reason.kind,
            "text": reason.text,
            "at": format_time(reason.at),
            "other_image_id": reason.image_id,
            "other_instance_id": reason.instance_id,
        }
        self._hub.announce("image.conflict", data, (Topic("all"), Topic("image", image_id)))
        details: dict[str, Word] = {"other_image_id": reason.image_id, "other_instance_id": reason.instance_id}
        self._audit.record("image.conflict", outcome=reason.kind, image_id=image_id, details=details)

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
        """Finish telling; what images are still tried for is let go of."""
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
