"""Which sessions are there, and which of them are held in memory whole?

Every session has an entry with its header; content is held for the most recently used ones, within bounds.
"""

import asyncio
import itertools
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stui_sessiond.ids import ClientId, ImageId, SessionId
from stui_sessiond.model.event import News
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.model.session import SessionHeader
from stui_sessiond.storage.api import Loaded

RESIDENT_SESSIONS = 4096
"""Sessions held whole in memory; others are read again when they are needed."""

RESIDENT_BYTES = 64 * 1024 * 1024
"""The same bound in bytes of JSON: content, its oldest kept version, the steps between, events and outcomes."""

MAX_WAITING_NEWS = 1000
"""Events of one session that may wait for the disk. An image that tells more than is written loses the rest."""

MAX_WAITING_BYTES = 1024 * 1024
"""The same bound in bytes."""


TOO_MUCH = "more happened than the disk took"
"""Why news is lost."""


class Fence:
    """A place that somebody keeps in what waits to be stored: what comes behind it waits for what goes there."""

    __slots__ = ()


class _Waiting(NamedTuple):
    news: News
    size_bytes: int


class Newsbox:
    """What happened to a session and waits to be stored, within bounds; what is beyond them is counted."""

    __slots__ = ("_bytes", "_items", "lost", "reason")

    def __init__(self) -> None:
        self._items: list[_Waiting | Fence] = []
        self._bytes = 0
        self.lost = 0
        self.reason = TOO_MUCH

    def __bool__(self) -> bool:
        return bool(self._items or self.lost)

    def put(self, news: News, size_bytes: int) -> None:
        """Let a piece of news wait, or count it as lost."""
        if self.lost or len(self._items) >= MAX_WAITING_NEWS or self._bytes + size_bytes > MAX_WAITING_BYTES:
            self.lost += 1
            return
        self._items.append(_Waiting(news, size_bytes))
        self._bytes += size_bytes

    def begin(self, *news: News) -> None:
        """Let the beginning of a request wait, however much waits already: images bound how many there are."""
        self._items += [_Waiting(one, 0) for one in news]

    def begun(self) -> list[RequestEntry]:
        """The requests whose beginning waits."""
        return [item.news.begins for item in self._items if isinstance(item, _Waiting) and item.news.begins is not None]

    def miss(self, reason: str) -> None:
        """Count a piece of news that was not even looked at."""
        self.lost += 1
        self.reason = reason

    def fence(self) -> Fence:
        """Keep a place behind what waits now; take it down with `lower`."""
        fence = Fence()
        self._items.append(fence)
        return fence

    def lower(self, fence: Fence) -> bool:
        """Take a fence down; False when it is down already."""
        if fence not in self._items:
            return False
        self._items.remove(fence)
        return True

    def take(self, now: float, own: Fence | None = None) -> tuple[list[News], list[News]]:
        """Hand over what waits: before one's own fence, which is taken down, and behind it, up to the next one.

        Without one's own, all is before. What was lost is a piece of news itself, at the end of all.
        """
        before: list[News] = []
        behind: list[News] = []
        now_in = behind if own is None else before
        count = 0
        for item in self._items:
            if isinstance(item, _Waiting):
                now_in.append(item.news)
                self._bytes -= item.size_bytes
            elif now_in is behind:
                break
            elif item is own:
                now_in = behind
            count += 1
        del self._items[:count]
        if self.lost and not self._items:
            behind.append(News("gap", {"lost": self.lost, "reason": self.reason}, now))
            self.lost, self.reason = 0, TOO_MUCH
        return (before, behind) if own is not None else (behind, [])


class Entry:
    """What is known of one session, and the lock that puts its changes in order."""

    __slots__ = ("_lock", "announced_expiry", "header", "news", "number", "saved_activity", "size_bytes")

    def __init__(self, header: SessionHeader, size_bytes: int) -> None:
        self.header = header
        self.size_bytes = size_bytes
        self.saved_activity = header.last_activity
        """The time of the last activity that is stored."""
        self.announced_expiry = False
        self.number = 0
        """Its place on the shelf: the later it came, the higher."""
        self.news: Newsbox | None = None
        """What happened and is not stored yet; None: nothing."""
        self._lock: asyncio.Lock | None = None

    @property
    def lock(self) -> asyncio.Lock:
        """Held by whoever changes the session; made when it is first needed."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock


class _Resident(NamedTuple):
    loaded: Loaded
    size_bytes: int


class Shelf:
    """All sessions, by id, by client and by image: what asks for one session, client or image looks at no other."""

    def __init__(self) -> None:
        self._entries: dict[SessionId, Entry] = {}
        self._numbers = itertools.count(1)
        self._by_client: dict[ClientId, set[SessionId]] = {}
        self._by_image: dict[ImageId, dict[SessionId, Entry]] = {}
        self._client_bytes: Counter[ClientId] = Counter()
        self._resident: OrderedDict[SessionId, _Resident] = OrderedDict()
        self._resident_bytes = 0
        self.total_bytes = 0
        """The size of all sessions."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Put a session there."""
        entry.number = next(self._numbers)
        self._entries[entry.header.session_id] = entry
        self._by_client.setdefault(entry.header.client_id, set()).add(entry.header.session_id)
        self._client_bytes[entry.header.client_id] += entry.size_bytes
        self.total_bytes += entry.size_bytes
        self._bind(entry)

    def change(self, entry: Entry, header: SessionHeader, size_bytes: int) -> None:
        """Give an entry another header and size. The session and its client are the same; its image may be another."""
        if header.image_id != entry.header.image_id:
            self._unbind(entry)
            entry.header = header
            self._bind(entry)
        entry.header = header
        more = size_bytes - entry.size_bytes
        self._client_bytes[header.client_id] += more
        self.total_bytes += more
        entry.size_bytes = size_bytes

    def _bind(self, entry: Entry) -> None:
        if entry.header.image_id is not None:
            self._by_image.setdefault(entry.header.image_id, {})[entry.header.session_id] = entry

    def _unbind(self, entry: Entry) -> None:
        image_id = entry.header.image_id
        theirs = None if image_id is None else self._by_image.get(image_id)
        if image_id is not None and theirs is not None:
            theirs.pop(entry.header.session_id, None)
            if not theirs:
                del self._by_image[image_id]

    def remove(self, entry: Entry) -> None:
        """Take a session away."""
        header = entry.header
        del self._entries[header.session_id]
        mine = self._by_client[header.client_id]
        mine.discard(header.session_id)
        self._client_bytes[header.client_id] -= entry.size_bytes
        self.total_bytes -= entry.size_bytes
        if not mine:
            del self._by_client[header.client_id]
            del self._client_bytes[header.client_id]
        self._unbind(entry)
        self._drop(header.session_id)

    def find(self, session_id: SessionId) -> Entry | None:
        """The entry of a session."""
        return self._entries.get(session_id)

    @property
    def clients(self) -> int:
        """How many clients have sessions."""
        return len(self._by_client)

    @property
    def resident(self) -> tuple[int, int]:
        """How many sessions are held whole, and how large they are."""
        return len(self._resident), self._resident_bytes

    def entries(self) -> list[Entry]:
        """All entries, as they are now."""
        return list(self._entries.values())

    def newest(self, before: int | None) -> Iterator[Entry]:
        """Go through the entries from the newest on, or from before a place; nothing may change meanwhile."""
        entries = reversed(self._entries.values())
        return entries if before is None else itertools.dropwhile(lambda entry: entry.number >= before, entries)

    def active(self, now: float) -> list[SessionHeader]:
        """The headers of active sessions. It looks at all there are: some 10 ms for 100,000."""
        return _active(self._entries.values(), now)

    def images(self) -> list[ImageId]:
        """The images that sessions belong to."""
        return list(self._by_image)

    def of_image(self, image_id: ImageId) -> list[SessionHeader]:
        """The headers of all sessions that belong to an image, in no order."""
        return [entry.header for entry in self._by_image.get(image_id, {}).values()]

    def active_of_image(self, image_id: ImageId, now: float) -> list[SessionHeader]:
        """Those of them that are active."""
        return _active(self._by_image.get(image_id, {}).values(), now)

    def client_bytes(self, client_id: ClientId) -> int:
        """The size of all sessions of a client."""
        return self._client_bytes.get(client_id, 0)

    def of_client(self, client_id: ClientId) -> Iterator[SessionHeader]:
        """The headers of a client's sessions, in no order."""
        return (self._entries[session_id].header for session_id in self._by_client.get(client_id, ()))

    def content(self, session_id: SessionId) -> Loaded | None:
        """The content of a session, if it is held in memory."""
        held = self._resident.get(session_id)
        if held is None:
            return None
        self._resident.move_to_end(session_id)
        return held.loaded

    def hold(self, loaded: Loaded, size_bytes: int) -> None:
        """Hold the content of a session, and let go of the least recently used if that is too much."""
        session = loaded.session
        self._drop(session.header.session_id)
        size_bytes = 2 * size_bytes + session.history.size_bytes + session.log.size_bytes + session.requests.size_bytes
        self._resident[session.header.session_id] = _Resident(loaded, size_bytes)
        self._resident_bytes += size_bytes
        while len(self._resident) > RESIDENT_SESSIONS or (
            self._resident_bytes > RESIDENT_BYTES and len(self._resident) > 1
        ):
            self._drop(next(iter(self._resident)))

    def _drop(self, session_id: SessionId) -> None:
        held = self._resident.pop(session_id, None)
        if held is not None:
            self._resident_bytes -= held.size_bytes


def _active(entries: Iterable[Entry], now: float) -> list[SessionHeader]:
    """As `SessionHeader.status` has it, without a call for each."""
    return [
        header
        for entry in entries
        if (header := entry.header).closed_at is None and now < header.last_activity + header.timeout_s
    ]
