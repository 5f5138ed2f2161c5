"""What does a session look like on disk? The only place that translates between the model and the disk formats.

Session file, one JSON object that a person can read (format 2; format 1, of version 0.1.0, is still read):

    {"format": "stui-session", "format_version": 2, "store_id": "...", "lsn": 17, "checksum": "sha256:...",
     "session": {...}}

In a sealed store the value of `session` is `{"sealed_with": "key-...", "data": "<base64>"}` (`security.sealing`), and
journal records are sealed as a whole; what is outside stays readable, and the checksum can be verified without a key.

`lsn` is the last journal record that is in it; the checksum is over `lsn`, a colon, and the exact bytes of the value
of `session`. A journal record holds a `ChangeRecord`: either the whole session, or the steps from the version before,
and in both cases the events and the outcomes of requests that belong to the change. Format 2 has had those since
version 0.3.0; without them a session's events begin anew.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import astuple, replace

from stui_sessiond.ids import ClientId, ConnectionId, ImageId, InstanceId, SessionId, ToolId
from stui_sessiond.model.delta import DeltaError, Step, apply
from stui_sessiond.model.event import Event, EventLog
from stui_sessiond.model.request import Failure, Origin, RequestEntry, Requests, RequestState
from stui_sessiond.model.session import (
    DeclaredMachine,
    History,
    HistoryEntry,
    NamedSnapshot,
    Role,
    Session,
    SessionHeader,
    StoredContext,
)
from stui_sessiond.model.trail import going_on
from stui_sessiond.security.sealing import CLEAR, Label, Sealer, SealError
from stui_sessiond.storage.sealed import key_of_text, open_text, seal_text, session_of_text

FORMAT = "stui-session"
FORMAT_VERSION = 2

UPDATED: Final = "session.updated"
"""The one event whose patch can be in the history already; what others hold is an image's or a client's business."""

NO_SHARES: Final[dict[ClientId, Role]] = {}
"""One for all the sessions that are not shared; nobody changes it."""


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
    data: dict[str, Any]
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
    steps: Sequence[Step] = ()
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


class _File(msgspec.Struct):
    format: str
    format_version: int
    store_id: str
    checksum: str
    session: msgspec.Raw
    lsn: int = 0


_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode_file = msgspec.json.Decoder(_File).decode
_decode_record = msgspec.json.Decoder(SessionRecord).decode
_decode_change = msgspec.json.Decoder(ChangeRecord).decode


class SessionFile(msgspec.Struct, frozen=True):
    """A session file as read."""

    session: Session
    lsn: int
    format_version: int


def encode_session(session: Session, store_id: str, lsn: int, sealer: Sealer = CLEAR) -> bytes:
    """Write a session file."""
    body = _encode(to_record(session))
    if sealer.current is None:
        body = msgspec.json.format(body, indent=1)
    else:
        body = seal_text(sealer, Label(store_id, "session", session.header.session_id, lsn), body)
    file = _File(FORMAT, FORMAT_VERSION, store_id, _checksum(body, lsn), msgspec.Raw(body), lsn)
    return _encode(file) + b"\n"


def decode_session(data: bytes, store_id: str, session_id: str | None = None, sealer: Sealer = CLEAR) -> SessionFile:
    """Read a session file, which has to hold session `session_id` if one is named.

    Raises:
        UnreadableError: it is damaged, of another store, or of a format this version does not know.
        KeyMissingError: it is sound, as far as can be told without its key.
    """
    try:
        file = _decode_file(data)
        if file.format != FORMAT or file.format_version not in {1, FORMAT_VERSION}:
            msg = f"format {file.format!r} version {file.format_version} is unknown here"
            raise UnreadableError(msg)
        if file.store_id != store_id:
            msg = f"the file belongs to store {file.store_id}"
            raise UnreadableError(msg)
        body = bytes(file.session)
        if file.checksum != (_checksum(body, file.lsn) if file.format_version > 1 else _checksum_1(body)):
            msg = "the checksum does not match"
            raise UnreadableError(msg)
        subject = session_of_text(body) if session_id is None else session_id
        record = _decode_record(open_text(sealer, Label(store_id, "session", subject, file.lsn), body))
        if session_id not in (None, record.session_id):
            msg = f"it holds session {record.session_id}"
            raise UnreadableError(msg)
        return SessionFile(from_record(record), file.lsn, file.format_version)
    except SealError as error:
        raise UnreadableError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a session file: {error}"
        raise UnreadableError(msg) from None


def key_of_file(data: bytes) -> str | None:
    """The id of the key that a session file is sealed with, `clear` for none; None when it is no session file."""
    try:
        return key_of_text(bytes(_decode_file(data).session))
    except (SealError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def encode_change(change: ChangeRecord) -> bytes:
    """Write the payload of a journal record."""
    return _encode(change)


def decode_change(payload: bytes) -> ChangeRecord:
    """Read the payload of a journal record.

    Raises:
        UnreadableError: it is none.
    """
    try:
        return _decode_change(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a change: {error}"
        raise UnreadableError(msg) from None


def replay(session: Session | None, change: ChangeRecord) -> Session:
    """Make the session that a change leads to.

    Raises:
        UnreadableError: the change does not follow on the session: something between them is missing.
    """
    if change.full is not None:
        return from_record(change.full)
    if session is None or change.header is None:
        msg = "the session's beginning is missing"
        raise UnreadableError(msg)
    if change.base_version != session.header.version:
        msg = f"versions {session.header.version + 1} to {change.base_version} are missing"
        raise UnreadableError(msg)
    header = header_of(change.header)
    happened = replace(
        session, header=header, log=_log_after(session, change), requests=_requests_after(session, change)
    )
    if change.entry is None:
        return happened
    try:
        changed = happened.with_document(apply(session.document(), change.entry.steps))
    except (DeltaError, KeyError, TypeError) as error:
        msg = f"version {change.entry.version} does not apply: {error}"
        raise UnreadableError(msg) from None
    entry = _entry(change.entry)
    kept = session.history
    history = History(
        kept.base, kept.base_version, going_on(kept.entries, (entry,)), kept.size_bytes + entry.size_bytes
    )
    return replace(changed, history=history)


def misses_events(session: Session | None, change: ChangeRecord) -> bool:
    """Tell whether events between a session and a change that follows on its version are missing."""
    if session is None or change.header is None or change.full is not None or change.header.epoch == "":
        return False
    if change.header.epoch != session.header.epoch:
        return change.header.seq != len(change.events)
    return change.header.seq != session.header.seq + len(change.events)


def _log_after(session: Session, change: ChangeRecord) -> EventLog:
    events = _events(change.events, () if change.entry is None else (_entry(change.entry),))
    goes_on = change.header is not None and change.header.epoch == session.header.epoch
    old = session.log if goes_on and not misses_events(session, change) else EventLog()
    return EventLog(going_on(old.events, events), old.size_bytes + sum(event.size_bytes for event in events))


def _requests_after(session: Session, change: ChangeRecord) -> Requests:
    if not change.requests:
        return session.requests
    return _requests({**session.requests.entries, **{one.key: _request(one) for one in change.requests}})


def _requests(entries: dict[str, RequestEntry]) -> Requests:
    return Requests(entries, sum(entry.size_bytes for entry in entries.values()))


def event_records(events: Sequence[Event], entries: Sequence[HistoryEntry]) -> list[EventRecord]:
    """Write events; patches that are in the history entries of the same record are left out."""
    versions = {entry.version for entry in entries}
    return [
        EventRecord(
            event.seq,
            event.name,
            event.at,
            {name: value for name, value in event.data.items() if name != "patch"}
            if event.name == UPDATED and _version(event.data) in versions and event.data.get("patch") is not None
            else event.data,
            event.size_bytes,
        )
        for event in events
    ]


def _events(records: Sequence[EventRecord], entries: Sequence[HistoryEntry]) -> tuple[Event, ...]:
    patches = {entry.version: entry.steps for entry in entries}
    return tuple(Event(one.seq, one.name, one.at, _with_patch(one, patches), one.size_bytes) for one in records)


def _with_patch(record: EventRecord, patches: Mapping[int, Sequence[Step]]) -> dict[str, Any]:
    if record.name != UPDATED or "patch" in record.data:
        return record.data
    steps = patches.get(_version(record.data), ())
    return {**record.data, "patch": [step.to_json() for step in steps]}


def _version(data: Mapping[str, Any]) -> int:
    """The version that an event tells of; 0, which no session has, where it is no whole number."""
    version = data.get("version")
    return version if isinstance(version, int) else 0


def header_record(header: SessionHeader) -> HeaderRecord:
    """Write a header."""
    return HeaderRecord(
        session_id=header.session_id,
        client_id=header.client_id,
        created_at=header.created_at,
        last_modified=header.last_modified,
        last_activity=header.last_activity,
        timeout_s=header.timeout_s,
        version=header.version,
        image_id=header.image_id,
        name=header.name,
        closed_at=header.closed_at,
        epoch=header.epoch,
        seq=header.seq,
        shares={str(client): role for client, role in header.shares.items()} if header.shares else {},
        key=header.key,
        machine_version=header.machine_version,
    )


def entry_record(entry: HistoryEntry) -> EntryRecord:
    """Write a version of the history."""
    return EntryRecord(entry.version, entry.at, entry.what, entry.client_id, entry.steps, entry.size_bytes)


def to_record(session: Session) -> SessionRecord:
    """Write a whole session."""
    head = header_record(session.header)
    history = session.history
    return SessionRecord(
        **{name: getattr(head, name) for name in HeaderRecord.__struct_fields__},
        description=session.description,
        client_version=session.client_version,
        client_info=session.client_info,
        config=session.config,
        state=session.state,
        contexts={
            tool: ContextRecord(stored.saved_at, stored.checksum, stored.size_bytes, stored.sections)
            for tool, stored in session.contexts.items()
        },
        snapshots={
            name: SnapshotRecord(kept.version, kept.at, kept.size_bytes, kept.document)
            for name, kept in session.snapshots.items()
        },
        history=HistoryRecord(history.base_version, history.base, [entry_record(entry) for entry in history.entries]),
        events=event_records(session.log.events, history.entries),
        requests=request_records(session.requests.entries.values()),
        machine=None if session.machine is None else _machine_record(session.machine),
    )


def from_record(record: SessionRecord) -> Session:
    """Read a whole session."""
    contexts = {
        ToolId(tool): StoredContext(stored.sections, stored.checksum, stored.saved_at, stored.size_bytes)
        for tool, stored in record.contexts.items()
    }
    session = Session(
        header=header_of(record),
        state=record.state,
        contexts=contexts,
        snapshots={
            name: NamedSnapshot(kept.version, kept.at, kept.document, kept.size_bytes)
            for name, kept in record.snapshots.items()
        },
        description=record.description,
        client_version=record.client_version,
        client_info=record.client_info,
        config=record.config,
        machine=None if record.machine is None else _machine(record.machine),
    )
    kept = record.history
    if kept is None:  # format 1: its history begins with what it is now
        return replace(session, history=History(session.document(), record.version))
    entries = tuple(_entry(entry) for entry in kept.entries)
    events = _events(record.events, entries)
    return replace(
        session,
        history=History(kept.base, kept.base_version, entries, sum(entry.size_bytes for entry in entries)),
        log=EventLog(events, sum(event.size_bytes for event in events)),
        requests=_requests({one.key: _request(one) for one in record.requests}),
    )


def _machine_record(machine: DeclaredMachine) -> MachineRecord:
    definition = msgspec.json.decode(machine.definition)
    return MachineRecord(machine.version, machine.at, machine.client_id, definition)


def _machine(record: MachineRecord) -> DeclaredMachine:
    definition = _encode_sorted(record.definition).decode()
    return DeclaredMachine(record.version, record.at, record.client_id, definition)


def header_of(record: HeaderRecord) -> SessionHeader:
    """Read a header."""
    return SessionHeader(
        session_id=SessionId(record.session_id),
        client_id=ClientId(record.client_id),
        created_at=record.created_at,
        last_modified=record.last_modified,
        last_activity=record.last_activity,
        timeout_s=record.timeout_s,
        version=record.version,
        image_id=None if record.image_id is None else ImageId(record.image_id),
        name=record.name,
        closed_at=record.closed_at,
        epoch=record.epoch,
        seq=record.seq,
        shares={ClientId(client): role for client, role in record.shares.items()} if record.shares else NO_SHARES,
        key=record.key,
        machine_version=record.machine_version,
    )


def _entry(record: EntryRecord) -> HistoryEntry:
    return HistoryEntry(
        record.version, record.at, record.client_id, record.what, tuple(record.steps), record.size_bytes
    )


def request_records(entries: Iterable[RequestEntry]) -> list[RequestRecord]:
    """Write requests."""
    return [
        RequestRecord(
            key=entry.key,
            command=entry.command,
            digest=entry.digest,
            accepted_at=entry.accepted_at,
            state=entry.state,
            client_id=entry.client_id,
            tool_id=entry.tool_id,
            origin=None if entry.origin is None else astuple(entry.origin),
            relay_id=entry.relay_id,
            image_id=entry.image_id,
            instance_id=entry.instance_id,
            finished_at=entry.finished_at,
            version=entry.version,
            result=entry.result,
            failure=None if entry.failure is None else FailureRecord(*astuple(entry.failure)),
            has_error=entry.has_error,
            code=entry.code,
            code_cut=entry.code_cut,
            page_chars=entry.page_chars,
            debugger_id=entry.debugger_id,
            debugs=entry.debugs,
        )
        for entry in entries
    ]


def _request(record: RequestRecord) -> RequestEntry:
    return RequestEntry(
        key=record.key,
        command=record.command,
        digest=record.digest,
        accepted_at=record.accepted_at,
        state=record.state,
        client_id=record.client_id,
        tool_id=record.tool_id,
        origin=None if record.origin is None else Origin(ConnectionId(record.origin[0]), *record.origin[1:]),
        relay_id=record.relay_id,
        image_id=None if record.image_id is None else ImageId(record.image_id),
        instance_id=None if record.instance_id is None else InstanceId(record.instance_id),
        finished_at=record.finished_at,
        version=record.version,
        result=record.result,
        failure=None if record.failure is None else Failure(*astuple(record.failure)),
        has_error=record.has_error,
        code=record.code,
        code_cut=record.code_cut,
        page_chars=record.page_chars,
        debugger_id=record.debugger_id,
        debugs=record.debugs,
    )


def _checksum(body: bytes, lsn: int) -> str:
    return f"sha256:{hashlib.sha256(f'{lsn}:'.encode() + body).hexdigest()}"


def _checksum_1(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
