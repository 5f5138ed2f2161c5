"""What does a session look like on disk? The shapes of what is written; `translation` joins them with the model.

A session file (`session_file`) holds a `SessionRecord`. A journal record holds a `ChangeRecord` (`change_record`):
either the whole session, or the steps from the version before, and in both cases the events and the outcomes of
requests that belong to the change. Format 2 has had those since version 0.3.0; without them a session's events begin
anew.
"""

from typing import Any

import msgspec

from stui_sessiond.model.request import RequestState
from stui_sessiond.model.session import Role


class UnreadableError(Exception):
    """The bytes are no sound session file or record; the text says why."""


class HeaderRecord(msgspec.Struct, omit_defaults=True):
    """The part of a session that is also in the index. Times are seconds since 1970."""

    session_id: str
    client_id: str
    created_at: float
    last_modified: float
    last_activity: float
    timeout_s: float
    version: int
    image_id: str | None = None
    name: str | None = None
    closed_at: float | None = None
    epoch: str = ""
    seq: int = 0
    shares: dict[str, Role] = {}
    key: str | None = None
    machine_version: int = 0
    """Since version 0.6.0."""


class EventRecord(msgspec.Struct, omit_defaults=True):
    """One event. The patch of a version that the same record has in its history is not written twice."""

    seq: int
    name: str
    at: float
    data: msgspec.Raw
    """An object."""
    size_bytes: int = 0


class FailureRecord(msgspec.Struct):
    """The error a request ended with."""

    code: str
    message: str
    details: dict[str, Any]


class RequestRecord(msgspec.Struct, omit_defaults=True):
    """One request that is remembered, under its key."""

    key: str
    command: str
    digest: str
    accepted_at: float
    state: RequestState = "running"
    client_id: str | None = None
    tool_id: str | None = None
    origin: tuple[str, str, bool] | None = None
    """Connection, id of the request, and whether it came as an envelope."""
    relay_id: str | None = None
    image_id: str | None = None
    instance_id: str | None = None
    finished_at: float | None = None
    version: int | None = None
    result: str | None = None
    failure: FailureRecord | None = None
    has_error: bool = False
    """This and what follows: since version 0.5.0."""
    code: str | None = None
    code_cut: bool = False
    page_chars: int | None = None
    debugger_id: str | None = None
    debugs: str | None = None


class ContextRecord(msgspec.Struct):
    """One tool's context."""

    saved_at: float
    checksum: str
    size_bytes: int
    sections: dict[str, Any]


class EntryRecord(msgspec.Struct, omit_defaults=True):
    """One version in the history."""

    version: int
    at: float
    what: str
    client_id: str | None = None
    steps: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """A list of `model.delta.Step`; unset when it is empty."""
    size_bytes: int = 0


class HistoryRecord(msgspec.Struct):
    """The versions that are kept."""

    base_version: int
    base: dict[str, Any]
    entries: list[EntryRecord]


class SnapshotRecord(msgspec.Struct):
    """A version with a name."""

    version: int
    at: float
    size_bytes: int
    document: dict[str, Any]


class MachineRecord(msgspec.Struct):
    """A state machine."""

    version: int
    at: float
    client_id: str | None
    definition: dict[str, Any]


class SessionRecord(HeaderRecord, kw_only=True):
    """A session, formats 1 and 2. Format 1 has no history and no snapshots."""

    description: str | None = None
    client_version: str | None = None
    client_info: dict[str, Any] = {}
    config: dict[str, Any] = {}
    state: dict[str, Any] = {}
    contexts: dict[str, ContextRecord] = {}
    snapshots: dict[str, SnapshotRecord] = {}
    history: HistoryRecord | None = None
    events: list[EventRecord] = []
    requests: list[RequestRecord] = []
    machine: MachineRecord | None = None
    """Since version 0.6.0. In the journal it comes with the whole session: it is declared once in a while."""


class ChangeRecord(msgspec.Struct, omit_defaults=True):
    """The payload of a journal record of type CHANGE."""

    session_id: str
    base_version: int = 0
    header: HeaderRecord | None = None
    """The header after the change; None with `gone`."""
    entry: EntryRecord | None = None
    """The new version, if the change makes one; `header.version` says the same."""
    full: SessionRecord | None = None
    """The whole session after the change, in the place of `entry`."""
    events: list[EventRecord] = []
    """What happened with it; the newest has the `seq` of the header."""
    requests: list[RequestRecord] = []
    """Requests as they are now."""
    gone: str | None = None
    """`removed` or `archived`: the session is not in the store any more."""
