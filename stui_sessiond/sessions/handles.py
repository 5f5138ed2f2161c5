"""Which objects do images keep for a session, when was each last used, and which are to be let go? Pure.

Nothing here reaches an image: who removes something from the table lets the image forget it. The table is not stored:
a handle that it does not know still works, and is in it again when it was used.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable

import msgspec
from msgspec.structs import replace

from stui_sessiond.ids import ImageId, SessionId

MAX_HANDLES = 256
"""Objects that images keep for one session; one more pushes out the one that was not used for the longest. A tree that
somebody has unfolded on a screen has fewer, and an image keeps at least 1,000."""

MAX_HANDLES_TOGETHER = 10_000
"""Of all sessions: at some 1,500 bytes each, as much as the daemon wants to spend on them."""

UNUSED_S = 3600.0
"""An object that was not used for so long is let go: whoever looked at it has gone on, and it fills the image."""

SHOWN_CHARS = 250
"""How much is kept of a printed object, and of a class's name: enough for a line of a list."""

EXPRESSION_CHARS = 500
"""How much is kept of the code by which an object was obtained."""


class KeptObject(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An object as it was when it was kept. `handle` is the name that clients use; times are seconds since 1970."""

    session_id: SessionId
    handle: str
    class_name: str
    shown: str
    expression: str | None
    tool_id: str | None
    image_id: ImageId
    instance_id: str
    generation: int
    obtained_at: float
    used_at: float

    @property
    def expires_at(self) -> float:
        """When it is let go, if it is not used."""
        return self.used_at + UNUSED_S


class HandleTable:
    """The objects of all sessions. What a method returns has left the table."""

    def __init__(self, max_per_session: int = MAX_HANDLES, max_together: int = MAX_HANDLES_TOGETHER) -> None:
        self._max_per_session = max_per_session
        self._max_together = max_together
        self._by_use: OrderedDict[tuple[SessionId, str], KeptObject] = OrderedDict()
        """The one that was not used for the longest is the first."""
        self._of_session: dict[SessionId, OrderedDict[str, None]] = {}
        """Their handles, in the same order."""

    def __len__(self) -> int:
        return len(self._by_use)

    def keep(self, kept: KeptObject) -> list[KeptObject]:
        """Take an object in, or again, as the one used last; return those that there is no room for any more."""
        kept = replace(
            kept,
            class_name=kept.class_name[:SHOWN_CHARS],
            shown=kept.shown[:SHOWN_CHARS],
            expression=None if kept.expression is None else kept.expression[:EXPRESSION_CHARS],
        )
        place = (kept.session_id, kept.handle)
        known = self._by_use.pop(place, None)
        if known is not None:
            kept = replace(kept, obtained_at=known.obtained_at)
        self._by_use[place] = kept
        handles = self._of_session.setdefault(kept.session_id, OrderedDict())
        handles[kept.handle] = None
        handles.move_to_end(kept.handle)
        pushed_out = []
        if len(handles) > self._max_per_session:
            pushed_out.append(self._take((kept.session_id, next(iter(handles)))))
        if len(self._by_use) > self._max_together:
            pushed_out.append(self._take(next(iter(self._by_use))))
        return pushed_out

    def use(self, session_id: SessionId, handle: str, now: float) -> bool:
        """Take note that an object is used; tell whether it is in the table."""
        place = (session_id, handle)
        known = self._by_use.get(place)
        if known is None:
            return False
        self._by_use[place] = replace(known, used_at=now)
        self._by_use.move_to_end(place)
        self._of_session[session_id].move_to_end(handle)
        return True

    def of(self, session_id: SessionId) -> list[KeptObject]:
        """List a session's objects, the one used last at the end."""
        return [self._by_use[session_id, handle] for handle in self._of_session.get(session_id, ())]

    def drop(self, session_id: SessionId, handles: Iterable[str]) -> list[KeptObject]:
        """Let go of some of a session's objects, as far as they are in the table."""
        places = [(session_id, handle) for handle in handles]
        return [self._take(place) for place in places if place in self._by_use]

    def forget(self, session_id: SessionId) -> list[KeptObject]:
        """Let go of all objects of a session."""
        return self.drop(session_id, list(self._of_session.get(session_id, ())))

    def expire(self, now: float, away: Collection[ImageId]) -> list[KeptObject]:
        """Let go of what was not used for too long, except of images that are away: they could not be told."""
        due = []
        for place, kept in self._by_use.items():
            if now < kept.expires_at:
                break
            if kept.image_id not in away:
                due.append(place)
        return [self._take(place) for place in due]

    def sessions(self) -> Collection[SessionId]:
        """The sessions that have objects."""
        return self._of_session.keys()

    def _take(self, place: tuple[SessionId, str]) -> KeptObject:
        session_id, handle = place
        handles = self._of_session[session_id]
        del handles[handle]
        if not handles:
            del self._of_session[session_id]
        return self._by_use.pop(place)
