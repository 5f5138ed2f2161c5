"""What is a session, what is a stored context, and what has a session been before?

The Structs hold JSON and each other, never themselves: they are kept from the garbage collector (`gc=False`), which
otherwise walks every version of every session again and again.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from stui_sessiond.ids import DEFAULT_TOOL, ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.delta import Step, apply, diff, steps_of
from stui_sessiond.model.event import EventLog, Position
from stui_sessiond.model.request import Requests


class Status(Enum):
    """Where a session is in its life. Expiry is computed, never stored."""

    ACTIVE = "active"
    EXPIRED = "expired"
    CLOSED = "closed"


Role = Literal["none", "viewer", "editor", "owner"]
"""What a client may do with a session; each may do what those before it may."""


class StoredContext(msgspec.Struct, frozen=True, gc=False):
    """The context of one tool as it was saved."""

    sections: dict[str, Any]
    checksum: str
    saved_at: float
    size_bytes: int


class HistoryEntry(msgspec.Struct, frozen=True, gc=False):
    """One version: when, by whom, what kind of change, and the steps from the version before."""

    version: int
    at: float
    client_id: str | None
    what: str
    patch: bytes
    """The steps as JSON text, as they are told and stored; its event holds the same object."""

    @property
    def steps(self) -> Sequence[Step]:
        """The steps; read anew each time."""
        return steps_of(self.patch)

    @property
    def size_bytes(self) -> int:
        """Of the steps, as JSON."""
        return len(self.patch)


class History(msgspec.Struct, frozen=True, gc=False):
    """The versions that are kept: the document at `base_version`, and every change since."""

    base: dict[str, Any]
    base_version: int
    entries: Sequence[HistoryEntry] = ()
    size_bytes: int = 0
    """Of all entries together."""

    def document_at(self, version: int) -> dict[str, Any] | None:
        """Make the document of a version; None when it is not kept."""
        last = self.entries[-1].version if self.entries else self.base_version
        if not self.base_version <= version <= last:
            return None
        document = self.base
        for entry in self.entries:
            if entry.version > version:
                break
            document = apply(document, entry.steps)
        return document


class NamedSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A version that somebody gave a name; kept until it is replaced or the session ends."""

    version: int
    at: float
    document: dict[str, Any]
    size_bytes: int


class DeclaredMachine(msgspec.Struct, frozen=True, gc=False):
    """A state machine that a session has: its definition as JSON text, and who declared it."""

    version: int
    """1 for the first that the session had, and so on."""
    at: float
    client_id: str | None
    definition: str


class SessionHeader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the daemon remembers of every session without reading it. Times are seconds since 1970."""

    session_id: SessionId
    client_id: ClientId
    created_at: float
    last_modified: float
    last_activity: float
    timeout_s: float
    version: int
    image_id: ImageId | None = None
    name: str | None = None
    closed_at: float | None = None
    epoch: str = ""
    """Of the session's events; empty: the next event begins one, because there were none or some were lost."""
    seq: int = 0
    """Of the newest event in that epoch."""
    shares: dict[ClientId, Role] = {}
    """Other clients that may take part."""
    key: str | None = None
    """The idempotency key it was created with, and before it, with a colon, the digest of what was asked."""
    machine_version: int = 0
    """How often a state machine was declared; the session has the last one, unless it was taken away."""

    @property
    def position(self) -> Position:
        """Where its stream of events is."""
        return Position(self.epoch, self.seq)

    def role_of(self, client_id: str) -> Role:
        """What a client may do with it."""
        if client_id == self.client_id:
            return "owner"
        return self.shares.get(ClientId(client_id), "none")

    @property
    def expires_at(self) -> float:
        """When it expires if nothing happens."""
        return self.last_activity + self.timeout_s

    def status(self, now: float) -> Status:
        """Tell where it is in its life."""
        if self.closed_at is not None:
            return Status.CLOSED
        return Status.EXPIRED if now >= self.expires_at else Status.ACTIVE

    def ended_at(self, now: float) -> float | None:
        """When it was closed or expired; None while it is active."""
        if self.closed_at is not None:
            return self.closed_at
        return self.expires_at if now >= self.expires_at else None


class Session(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session with everything in it. Never changed: a change makes another one."""

    header: SessionHeader
    state: dict[str, Any] = {}
    contexts: dict[ToolId, StoredContext] = {}
    history: History = History({"state": {}, "contexts": {}}, 1)
    snapshots: dict[str, NamedSnapshot] = {}
    log: EventLog = EventLog()
    requests: Requests = Requests()
    description: str | None = None
    client_version: str | None = None
    client_info: dict[str, Any] = {}
    config: dict[str, Any] = {}
    machine: DeclaredMachine | None = None
    """By its transitions alone the state changes, if there is one."""

    def section(self, name: str) -> dict[str, Any]:
        """One section of the default tool's context, empty when there is none."""
        stored = self.contexts.get(DEFAULT_TOOL)
        found: dict[str, Any] = stored.sections.get(name, {}) if stored else {}
        return found

    def document(self) -> dict[str, Any]:
        """What versions are about: the state and the contexts, as one JSON object."""
        return {"state": self.state, "contexts": {tool: _as_json(stored) for tool, stored in self.contexts.items()}}

    def without_events(self) -> "Session":
        """The session with no events: the next one begins another epoch, because some were lost or are of elsewhere."""
        return replace(self, header=replace(self.header, epoch="", seq=0), log=EventLog())

    def with_document(self, document: dict[str, Any]) -> "Session":
        """The session with this state and these contexts."""
        contexts = {ToolId(tool): StoredContext(**stored) for tool, stored in document["contexts"].items()}
        return replace(self, state=document["state"], contexts=contexts)


def session_delta(old: Session, new: Session) -> list[Step]:
    """Find the steps from one session's document to another's, looking only at what is not the same object."""
    steps = diff(old.state, new.state, "/state") if old.state is not new.state else []
    if old.contexts is not new.contexts:
        before, after = (
            {str(tool): _as_json(stored) for tool, stored in these.items() if those.get(tool) is not stored}
            for these, those in ((old.contexts, new.contexts), (new.contexts, old.contexts))
        )
        steps += diff(before, after, "/contexts")
    return steps


def _as_json(stored: StoredContext) -> dict[str, Any]:
    return {
        "sections": stored.sections,
        "checksum": stored.checksum,
        "saved_at": stored.saved_at,
        "size_bytes": stored.size_bytes,
    }
