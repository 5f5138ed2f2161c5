"""Which updates still have to be stored, in which order, and made from what? Pure.

Each session has a lane: its updates are sent one after the other, lanes do not wait for each other. In memory only:
what is here is gone when the program ends.
"""

from collections import deque
from typing import Any

import msgspec

from stui_sessiond.client.conflict import Conflict
from stui_sessiond.client.failure import QueueFullError
from stui_sessiond.wire.messages.context import SaveContext
from stui_sessiond.wire.messages.session import UpdateSessionState

MAX_UPDATES = 1_000
"""Updates that wait; a front end that replaces its state has one per session, however long it is away."""

MAX_UPDATE_BYTES = 32 * 1024 * 1024
"""Their size together: three sessions as large as the daemon lets them be."""

Update = UpdateSessionState | SaveContext


class Letter(msgspec.Struct):
    """An update on its way. Compared by identity: two letters may say the same."""

    number: int
    update: Update
    size: int
    base: int | None
    """The version its writer knew; None when none was."""
    waited: bool
    """Whether it was written while there was no connection."""
    sent: bool = False
    """Once it was sent it must not change: it may have arrived."""
    conflict: Conflict | None = None
    """Set when it is known not to fit before it is sent."""
    rounds: int = 0
    """How often a conflict of it was settled and came again."""

    @property
    def session_id(self) -> str:
        """The lane it is in."""
        return self.update.session_id


class Outbox:
    """The lanes."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._lanes: dict[str, deque[Letter]] = {}
        self._number = 0

    def put(self, update: Update, *, known: int | None, online: bool) -> tuple[Letter, Letter | None]:
        """Queue an update behind the others of its session; also tell the letter whose place it took, if any.

        Args:
            update: what to store; its idempotency key is that of the request, if it has one.
            known: the newest version whose state the writer has seen.
            online: False makes the update say what it was made from, so that a conflict is found.

        Raises:
            QueueFullError: too much waits.
        """
        explicit = update.expected_version if isinstance(update, UpdateSessionState) else None
        base = known if explicit is None else explicit
        if not online:
            update = _based(update, base)
        lane = self._lanes.get(update.session_id)
        last = lane[-1] if lane else None
        replaced = last if last is not None and _takes_place(update, base, last) else None
        if replaced is not None:
            update = _joined(update, replaced.update)
        size = len(msgspec.json.encode(update))
        count = self.count + (replaced is None)
        total = self.size + size - (replaced.size if replaced else 0)
        if count > MAX_UPDATES or total > MAX_UPDATE_BYTES:
            msg = f"{self.count} updates of {self.size} bytes wait to be stored already"
            raise QueueFullError(msg)
        self._number += 1
        waited = not online or (replaced is not None and replaced.waited)
        letter = Letter(self._number, update, size, base, waited)
        if lane is None:
            lane = self._lanes[update.session_id] = deque()
        if replaced is not None:
            letter.base = replaced.base
            letter.conflict = _carried(replaced.conflict, update)
            lane.pop()
        lane.append(letter)
        self.count, self.size = count, total
        return letter, replaced

    def was_cut(self) -> None:
        """The connection was lost before these letters were sent: they waited, whatever was thought of it then."""
        for letter in self.letters():
            if not letter.sent:
                letter.waited = True
                letter.update = _based(letter.update, letter.base)

    def sessions(self) -> list[str]:
        """List the sessions with updates that wait."""
        return list(self._lanes)

    def letters(self) -> list[Letter]:
        """List what waits, oldest first."""
        return sorted((letter for lane in self._lanes.values() for letter in lane), key=lambda letter: letter.number)

    def next(self, session_id: str) -> Letter | None:
        """Give the first letter of a lane, to be sent as it is from now on; None when the lane is empty."""
        lane = self._lanes.get(session_id)
        if not lane:
            return None
        letter = lane[0]
        if not letter.sent:
            letter.update = _prepared(letter)
            letter.sent = letter.conflict is None
        return letter

    def saved(self, letter: Letter, version: int, state: Any) -> None:  # noqa: ANN401 -- any JSON
        """A letter was stored, as `version`; `state` is what the session's state became (None after a context)."""
        self._remove(letter)
        as_written = (
            isinstance(letter.update, UpdateSessionState)
            and letter.update.mode == "replace"
            and letter.update.state_data == state
        )
        for later in self._lanes.get(letter.session_id, ()):
            if later.base is not None and later.base < version and not later.sent:
                _follow(later, letter, version, state, alone=as_written or version == later.base + 1)

    def refused(self, letter: Letter) -> None:
        """A letter was not stored and will not be."""
        self._remove(letter)

    def rewrite(self, letter: Letter, update: UpdateSessionState) -> None:
        """Put another update in the place of the first letter of a lane, after a conflict."""
        size = len(msgspec.json.encode(update))
        self.size += size - letter.size
        letter.update, letter.size, letter.base = update, size, update.expected_version
        letter.sent, letter.conflict = False, None
        letter.rounds += 1

    def _remove(self, letter: Letter) -> None:
        lane = self._lanes.get(letter.session_id)
        if lane and lane[0] is letter:
            lane.popleft()
            self.count -= 1
            self.size -= letter.size
            if not lane:
                del self._lanes[letter.session_id]


def _based(update: Update, base: int | None) -> Update:
    """Let an update say what it was made from."""
    if isinstance(update, SaveContext) or update.expected_version is not None:
        return update
    return msgspec.structs.replace(update, expected_version=base)


def _takes_place(update: Update, base: int | None, last: Letter) -> bool:
    """Tell whether an update says all that the letter before it says."""
    if last.sent:
        return False
    earlier = last.update
    if isinstance(update, SaveContext) or isinstance(earlier, SaveContext):
        return (
            isinstance(update, SaveContext) and isinstance(earlier, SaveContext) and update.tool_id == earlier.tool_id
        )
    return update.mode == "replace" and update.client_id == earlier.client_id and base == last.base


def _joined(update: Update, earlier: Update) -> Update:
    """Keep of the earlier update what the newer one does not replace."""
    if isinstance(update, SaveContext) or isinstance(earlier, SaveContext):
        return update
    return msgspec.structs.replace(
        update,
        workspace_context=update.workspace_context
        if update.workspace_context is not None
        else earlier.workspace_context,
        object_registry=update.object_registry if update.object_registry is not None else earlier.object_registry,
        inspector_state=update.inspector_state if update.inspector_state is not None else earlier.inspector_state,
        expected_version=earlier.expected_version,
    )


def _prepared(letter: Letter) -> Update:
    """Let the daemon merge what was written while nobody could ask: its writer could not decide either."""
    update = letter.update
    if isinstance(update, UpdateSessionState) and letter.waited and update.expected_version is not None:
        return msgspec.structs.replace(update, on_conflict="merge")
    return update


def _follow(later: Letter, stored: Letter, version: int, state: Any, *, alone: bool) -> None:  # noqa: ANN401 -- any JSON
    """Let a letter that was written after another one was stored build on that.

    If somebody else's changes are in what was stored, the writer of a whole state, or of a patch, did not know them: to
    store it would undo them.
    """
    update = later.update
    if isinstance(update, SaveContext) or update.expected_version is None:
        later.base = version
        return
    if alone or update.mode == "merge":
        later.base = version
        later.update = msgspec.structs.replace(update, expected_version=version)
    elif isinstance(stored.update, UpdateSessionState):
        before = stored.update.state_data if stored.update.mode == "replace" else None
        later.conflict = Conflict(
            later.session_id,
            "somebody else's changes were merged into the update before this one, which did not know them",
            version,
            ours=update.state_data if update.mode == "replace" else None,
            theirs=state,
            base=before,
        )


def _carried(conflict: Conflict | None, update: Update) -> Conflict | None:
    if conflict is None or not isinstance(update, UpdateSessionState):
        return None
    return msgspec.structs.replace(conflict, ours=update.state_data)
