"""Which objects do images keep for a session, and how do they get to forget them?"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ImageUnavailableError, ObjectNotFoundError, StaleHandleError
from stui_sessiond.ids import DEFAULT_TOOL, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.reference import resolve
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.images.router import choose
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.model.session import Status
from stui_sessiond.sessions.handles import HandleTable, KeptObject
from stui_sessiond.sessions.keeper import Keeper
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.wire.messages import kept as wire
from stui_sessiond.wire.messages.development import (
    EvaluateResult,
    Inspect,
    InspectResult,
    ReleaseHandles,
    ReleaseHandlesResult,
)
from stui_sessiond.wire.timestamp import format_time

RELEASE_TIMEOUT_S = 30.0
"""How long an image may take to forget objects that a client does not want any more."""


class _Obtained(msgspec.Struct, frozen=True):
    """Who has an object, and by what."""

    session_id: SessionId
    tool_id: str | None
    expression: str | None


class ObjectCommands:
    """Carries out the commands about kept objects, and lets images forget those that nobody uses."""

    def __init__(self, manager: SessionManager, keeper: Keeper, images: ImageRegistry, table: HandleTable) -> None:
        self._manager = manager
        self._keeper = keeper
        self._clock = keeper.clock
        self._images = images
        self._table = table

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("list_handles", wire.ListHandles, self.list_handles),
            Command("release_handles", ReleaseHandles, self.release),
        )

    def list_handles(self, caller: Caller, asked: wire.ListHandles) -> wire.ListHandlesResult:
        """Carry out `list_handles`."""
        del caller
        session_id = self._keeper.find(asked.session_id).header.session_id
        rows = [
            wire.ListedHandle(
                handle=one.handle,
                class_name=one.class_name,
                string_representation=one.shown,
                expression=one.expression,
                tool_id=one.tool_id,
                image_id=one.image_id,
                instance_id=one.instance_id,
                generation=one.generation,
                stale=self._is_stale(one),
                obtained_at=format_time(one.obtained_at),
                expires_at=format_time(one.expires_at),
            )
            for one in self._table.of(session_id)
        ]
        return wire.ListHandlesResult(session_id, rows)

    async def release(self, caller: Caller, asked: ReleaseHandles) -> ReleaseHandlesResult:
        """Carry out `release_handles`: the image is asked, unless all of them are of an instance that is gone."""
        del caller
        header = self._manager.use(asked.session_id)
        link = self._images.find(choose(header.image_id, None, self._images.connected))
        if link is None:
            msg = f"image {header.image_id!r} is not connected"
            raise ImageUnavailableError(msg, image_id=header.image_id)
        own, stale = [], []
        for handle in dict.fromkeys(asked.handles):
            try:
                own.append(resolve(link.identity, handle, "handles"))
            except StaleHandleError:
                stale.append(handle)
        released = 0
        if own:
            sent = ReleaseHandles(header.session_id, own)
            answer = await link.ask("release_handles", sent, ReleaseHandlesResult, RELEASE_TIMEOUT_S)
            released = max(0, min(answer.released, len(own)))
        gone = self._table.drop(header.session_id, asked.handles)
        elsewhere = [one for one in gone if one.handle in set(stale)]
        self._let_go(elsewhere)  # of an image that the session belonged to before
        return ReleaseHandlesResult(released + len(elsewhere))

    # ---- what requests do with objects

    def evaluated(self, link: ImageLink, session_id: SessionId, request: RequestEntry, answer: object) -> None:
        """Take note of the object that code gave, if it is kept."""
        if isinstance(answer, EvaluateResult) and answer.handle is not UNSET:
            shown = answer.result if isinstance(answer.result, str) else msgspec.json.encode(answer.result).decode()
            obtained = _Obtained(session_id, request.tool_id, request.code)
            self._keep(link, answer.handle, obtained, answer.result_type or "", shown)

    def inspected(self, link: ImageLink, asked: Inspect, answer: InspectResult) -> None:
        """Take note that an object was looked into, and of the one that is kept.

        An object that the table does not know, because the daemon was started anew, is in it again.
        """
        session_id = SessionId(asked.session_id or "")
        obtained = _Obtained(session_id, asked.tool_id or DEFAULT_TOOL, asked.target or None)
        info = answer.object_info
        handle = asked.handle or None
        if handle is not None and not self._table.use(session_id, handle, self._clock()) and not asked.path:
            self._keep(link, handle, obtained, info.class_name, info.string_representation)
        if answer.handle is not UNSET:
            self._keep(link, answer.handle, obtained, info.class_name, info.string_representation)

    def _keep(self, link: ImageLink, handle: str, obtained: "_Obtained", class_name: str, shown: str) -> None:
        now = self._clock()
        kept = KeptObject(
            session_id=obtained.session_id,
            handle=handle,
            class_name=class_name,
            shown=shown,
            expression=obtained.expression,
            tool_id=obtained.tool_id,
            image_id=link.image_id,
            instance_id=link.identity.instance_id,
            generation=link.identity.generation,
            obtained_at=now,
            used_at=now,
        )
        self._let_go(self._table.keep(kept))

    def missed(self, asked: Inspect, error: ObjectNotFoundError) -> None:
        """Take note that an image does not have an object any more; not if only a path from it leads nowhere."""
        if asked.session_id and asked.handle and "path" not in error.details:
            self._table.drop(SessionId(asked.session_id), [asked.handle])

    def registry_of(self, session_id: SessionId, tool_id: str) -> dict[str, Any]:
        """Write what is known of a tool's objects, as section `object_registry` of its context."""
        return {
            one.handle: {
                "class_name": one.class_name,
                "string_representation": one.shown,
                "expression": one.expression,
                "image_id": one.image_id,
                "instance_id": one.instance_id,
                "generation": one.generation,
            }
            for one in self._table.of(session_id)
            if one.tool_id == tool_id
        }

    # ---- letting go

    def end_session(self, session_id: SessionId) -> None:
        """Forget a session's objects: its image forgets them by itself, with the session."""
        self._table.forget(session_id)

    def sweep(self) -> None:
        """Let images forget what was not used for too long, and the table what belongs to sessions that are over."""
        now = self._clock()
        for session_id in list(self._table.sessions()):
            header = self._manager.find(session_id)
            if header is None or header.status(now) is Status.CLOSED:
                self._table.forget(session_id)
        known = {one.image_id for session_id in self._table.sessions() for one in self._table.of(session_id)}
        away = {image_id for image_id in known if self._images.find(image_id) is None}
        self._let_go(self._table.expire(now, away))

    def _let_go(self, gone: Sequence[KeptObject]) -> None:
        for link, session_id, own in self._living(gone):
            link.tell("release_handles", ReleaseHandles(session_id, own))

    def _living(self, gone: Sequence[KeptObject]) -> Iterator[tuple[ImageLink, SessionId, list[str]]]:
        """Sort by image and session what images still have."""
        found: dict[tuple[str, SessionId], tuple[ImageLink, list[str]]] = {}
        for one in gone:
            link = self._images.find(one.image_id)
            if link is not None and not self._is_stale(one):
                _, own = found.setdefault((one.image_id, one.session_id), (link, []))
                own.append(resolve(link.identity, one.handle, "handles"))
        return ((link, session_id, own) for (_, session_id), (link, own) in found.items())

    def _is_stale(self, one: KeptObject) -> bool:
        """Tell whether the instance that kept it is known to be gone."""
        link = self._images.find(one.image_id)
        if link is None:
            return False
        return (link.identity.instance_id, link.identity.generation) != (one.instance_id, one.generation)
