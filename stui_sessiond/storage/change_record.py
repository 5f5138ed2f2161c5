"""What is in a journal record of a change, and what does it make of a session? A sealed store seals it as a whole."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from stui_sessiond.model.delta import DeltaError, apply
from stui_sessiond.model.event import EventLog
from stui_sessiond.model.request import Requests
from stui_sessiond.model.session import History, HistoryEntry, Session
from stui_sessiond.model.trail import going_on
from stui_sessiond.storage.records import ChangeRecord, UnreadableError
from stui_sessiond.storage.translation import entry_of, events_of, from_record, header_of, request_of, requests_of

_encode = msgspec.json.Encoder().encode
_decode_change = msgspec.json.Decoder(ChangeRecord).decode


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
    try:
        return _replayed(session, change)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a change: {error}"
        raise UnreadableError(msg) from None


def _replayed(session: Session | None, change: ChangeRecord) -> Session:
    if change.full is not None:
        return from_record(change.full)
    if session is None or change.header is None:
        msg = "the session's beginning is missing"
        raise UnreadableError(msg)
    if change.base_version != session.header.version:
        msg = f"versions {session.header.version + 1} to {change.base_version} are missing"
        raise UnreadableError(msg)
    entry = None if change.entry is None else entry_of(change.entry)
    happened = replace(
        session,
        header=header_of(change.header),
        log=_log_after(session, change, () if entry is None else (entry,)),
        requests=_requests_after(session, change),
    )
    if entry is None:
        return happened
    try:
        changed = happened.with_document(apply(session.document(), entry.steps))
    except (DeltaError, KeyError, TypeError) as error:
        msg = f"version {entry.version} does not apply: {error}"
        raise UnreadableError(msg) from None
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


def _log_after(session: Session, change: ChangeRecord, entries: Sequence[HistoryEntry]) -> EventLog:
    events = events_of(change.events, entries)
    goes_on = change.header is not None and change.header.epoch == session.header.epoch
    old = session.log if goes_on and not misses_events(session, change) else EventLog()
    return EventLog(going_on(old.events, events), old.size_bytes + sum(event.size_bytes for event in events))


def _requests_after(session: Session, change: ChangeRecord) -> Requests:
    if not change.requests:
        return session.requests
    return requests_of({**session.requests.entries, **{one.key: request_of(one) for one in change.requests}})
