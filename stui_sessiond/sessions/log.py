"""What is kept of a session's events, and what does somebody get who knows them up to a position? Pure."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from stui_sessiond.model.event import Event, EventLog, News, Position
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.model.trail import going_on

_PARTS = 8
"""When a bound is reached, an eighth of what is kept is dropped, so that it is not done again at every event."""


class LogRules(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a session's events are kept."""

    max_events: int = 1000
    max_bytes: int = 512 * 1024
    """Of their data, as JSON."""
    max_age_s: float = 7 * 86400.0


class Replay(msgspec.Struct, frozen=True):
    """What follows on a position: `missing` says why something before `events` is not kept, None when all is."""

    events: Sequence[Event]
    missing: str | None = None


def append(
    session: Session, news: Sequence[News], epoch: str, now: float, rules: LogRules
) -> tuple[Session, Sequence[Event]]:
    """Give each piece of news its place in the stream. `epoch` begins one if the session has none."""
    header = session.header
    log = session.log
    if not header.epoch:
        header, log = replace(header, epoch=epoch, seq=0), EventLog()
    first = header.seq + 1
    events = [Event.of(first + number, each.name, each.at, each.data, each.patch) for number, each in enumerate(news)]
    header = replace(header, seq=header.seq + len(events))
    return replace(session, header=header, log=_extended(log, events, now, rules)), events


def follow_up(header: SessionHeader, log: EventLog, since: Position) -> Replay:
    """Find what came after a position; where something is missing, what is kept after it."""
    if since.epoch != header.epoch:
        return Replay(log.events, "the events of that epoch are not here: history was lost, or it is another session's")
    if since.seq > header.seq:
        return Replay(log.events, f"the newest event is {header.seq}: what came after it is not here")
    wanted = header.seq - since.seq
    if wanted > len(log.events):
        first = header.seq - len(log.events) + 1
        return Replay(log.events, f"events before {first} are not kept any more")
    return Replay(log.events[len(log.events) - wanted :])


def _extended(log: EventLog, events: Sequence[Event], now: float, rules: LogRules) -> EventLog:
    kept = going_on(log.events, events)
    size_bytes = log.size_bytes
    for event in events:
        size_bytes += event.size_bytes
    oldest_at = now - rules.max_age_s
    if not kept or (len(kept) <= rules.max_events and size_bytes <= rules.max_bytes and kept[0].at >= oldest_at):
        return EventLog(kept, size_bytes)
    spare = max(rules.max_events * (_PARTS - 1) // _PARTS, 1)
    room = rules.max_bytes * (_PARTS - 1) // _PARTS
    dropped = 0
    for oldest in kept:
        if len(kept) - dropped <= spare and size_bytes <= room and oldest.at >= oldest_at:
            break
        size_bytes -= oldest.size_bytes
        dropped += 1
    return EventLog(kept[dropped:], size_bytes)
