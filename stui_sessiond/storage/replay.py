"""What do the journal's records make of sessions? Pure: records and a file's content in, sessions and losses out."""

from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session
from stui_sessiond.storage.change_record import decode_change, misses_events, replay
from stui_sessiond.storage.journal import Record
from stui_sessiond.storage.records import ChangeRecord, UnreadableError
from stui_sessiond.storage.recovery import Damage

Changes = Sequence[tuple[int, ChangeRecord]]
"""Changes of one session with their LSNs, oldest first."""


class Followed(msgspec.Struct, frozen=True):
    """A session after its changes; `lost` says what is missing, None if nothing is."""

    session: Session | None
    lsn: int
    lost: str | None


def by_session(records: Sequence[Record]) -> dict[SessionId, list[tuple[int, ChangeRecord]]]:
    """Sort changes by the session they are about.

    Raises:
        UnreadableError: a record's checksum is right and its content is none of ours.
    """
    found: dict[SessionId, list[tuple[int, ChangeRecord]]] = {}
    for record in records:
        change = decode_change(record.payload)
        found.setdefault(SessionId(change.session_id), []).append((record.lsn, change))
    return found


def clients_of(changes: Changes) -> Iterator[str]:
    """The clients that the changes name as the session's owner: always the same one."""
    return (change.header.client_id for _, change in changes if change.header is not None)


def follow(session: Session | None, lsn: int, changes: Changes) -> Followed:
    """Apply the changes after `lsn` that follow on each other."""
    lost: str | None = None
    for change_lsn, change in changes:
        if change_lsn <= lsn:
            continue
        holes = misses_events(session, change)
        try:
            session = replay(session, change)
        except UnreadableError as error:
            lost = f"acknowledged changes are lost: {error}"
            continue
        if change.full is not None:
            lost = None
        elif holes:
            lost = lost or "acknowledged events are lost: the journal does not have them"
        lsn = change_lsn
    if lost is not None and session is not None:  # its events begin anew, in another epoch
        session = session.without_events()
    return Followed(session, lsn, lost)


def losers(
    damage: Damage,
    records: Sequence[Record],
    known: Collection[SessionId],
    has: Callable[[SessionId, int], bool],
) -> list[SessionId]:
    """List the sessions that lost something: what was damaged is neither in their files nor made up for later.

    `known` are the sessions in the index; `has` tells whether a session's file has the record with an LSN.
    """
    last_lsn = damage.next_lsn - 1
    later = by_session([record for record in records if record.lsn > last_lsn >= 0])
    whole = {name for name, changes in later.items() if any(change.gone or change.full for _, change in changes)}
    named = {SessionId(name) for name in damage.sessions}
    if damage.first_lsn == last_lsn:  # one record is about one session: another name in it is a damaged one
        named = named & (set(known) | by_session(records).keys()) or named
    return [name for name in sorted(named - whole) if last_lsn < 0 or not has(name, last_lsn)]
