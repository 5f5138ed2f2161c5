"""How does a session become a record, and a record a session? The only place that translates between model and disk."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple, replace

from stui_sessiond.ids import ClientId, ConnectionId, ImageId, InstanceId, SessionId, ToolId
from stui_sessiond.model.delta import NO_STEPS, patch_of, steps_of
from stui_sessiond.model.event import Event, EventLog
from stui_sessiond.model.request import Failure, Origin, RequestEntry, Requests
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
from stui_sessiond.storage.records import (
    ContextRecord,
    EntryRecord,
    EventRecord,
    FailureRecord,
    HeaderRecord,
    HistoryRecord,
    MachineRecord,
    RequestRecord,
    SessionRecord,
    SnapshotRecord,
)

UPDATED: Final = "session.updated"
"""The one event whose patch can be in the history already; what others hold is an image's or a client's business."""

NO_SHARES: Final[dict[ClientId, Role]] = {}
"""One for all the sessions that are not shared; nobody changes it."""

_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def event_records(events: Sequence[Event], entries: Sequence[HistoryEntry]) -> list[EventRecord]:
    """Write events; patches that are in the history entries of the same record are left out."""
    versions = {entry.version for entry in entries}
    return [
        EventRecord(event.seq, event.name, event.at, msgspec.Raw(_without_patch(event, versions)), event.size_bytes)
        for event in events
    ]


def _without_patch(event: Event, versions: set[int]) -> bytes:
    left_out = event.patch is not None and event.name == UPDATED and _version(event.bare) in versions
    return event.bare if left_out else event.text


def events_of(records: Sequence[EventRecord], entries: Sequence[HistoryEntry]) -> tuple[Event, ...]:
    """Read events; patches that were left out are those of the entries.

    Raises:
        msgspec.DecodeError: the data of one are no JSON object.
    """
    patches = {entry.version: entry.patch for entry in entries}
    return tuple(_event_of(record, patches) for record in records)


def _event_of(record: EventRecord, patches: Mapping[int, bytes]) -> Event:
    data = _decode_data(record.data)
    patch = patches.get(_version(record.data), NO_STEPS) if record.name == UPDATED and "patch" not in data else None
    return Event.of(record.seq, record.name, record.at, data, patch)


class _Told(msgspec.Struct):
    """What tells to which version an event belongs."""

    version: int = 0


_decode_data = msgspec.json.Decoder(dict[str, Any]).decode
_decode_told = msgspec.json.Decoder(_Told).decode


def _version(data: bytes | msgspec.Raw) -> int:
    """The version that an event tells of; 0, which no session has, where it is no whole number."""
    try:
        return _decode_told(data).version
    except msgspec.DecodeError:
        return 0


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
    steps = UNSET if entry.patch == NO_STEPS else msgspec.Raw(entry.patch)
    return EntryRecord(entry.version, entry.at, entry.what, entry.client_id, steps, entry.size_bytes)


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
    entries = tuple(entry_of(entry) for entry in kept.entries)
    events = events_of(record.events, entries)
    return replace(
        session,
        history=History(kept.base, kept.base_version, entries, sum(entry.size_bytes for entry in entries)),
        log=EventLog(events, sum(event.size_bytes for event in events)),
        requests=requests_of({one.key: request_of(one) for one in record.requests}),
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


def entry_of(record: EntryRecord) -> HistoryEntry:
    """Read a version of the history.

    Raises:
        msgspec.DecodeError: what it has are no steps.
    """
    # as it is written here: a file has line breaks in it
    patch = NO_STEPS if record.steps is UNSET else patch_of(steps_of(record.steps))
    return HistoryEntry(record.version, record.at, record.client_id, record.what, patch)


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


def request_of(record: RequestRecord) -> RequestEntry:
    """Read a request."""
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


def requests_of(entries: dict[str, RequestEntry]) -> Requests:
    """A book of these requests."""
    return Requests(entries, sum(entry.size_bytes for entry in entries.values()))
