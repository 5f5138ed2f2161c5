"""How does a session get a new version, and how many old ones are kept? Pure."""

import msgspec
from msgspec.structs import replace

from stui_sessiond.model.delta import apply
from stui_sessiond.model.session import History, HistoryEntry, Session, session_delta

_encode = msgspec.json.Encoder().encode


class HistoryRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a session's past."""

    max_versions: int = 100
    max_bytes: int = 256 * 1024
    """Of the steps between versions, as JSON."""
    max_age_s: float = 30 * 86400.0


def advance(
    old: Session, new: Session, now: float, client_id: str | None, what: str, rules: HistoryRules
) -> tuple[Session, HistoryEntry]:
    """Make `new` the next version of `old`, and the steps between them part of its history."""
    steps = session_delta(old, new)
    version = old.header.version + 1
    entry = HistoryEntry(version, now, client_id, what, tuple(steps), len(_encode(steps)))
    header = replace(new.header, version=version, last_modified=now, last_activity=now)
    return replace(new, header=header, history=_extended(old.history, entry, now, rules)), entry


def _extended(history: History, entry: HistoryEntry, now: float, rules: HistoryRules) -> History:
    entries = (*history.entries, entry)
    size = sum(kept.size_bytes for kept in entries)
    base, base_version, dropped = history.base, history.base_version, 0
    for oldest in entries:
        over = len(entries) - dropped > rules.max_versions or size > rules.max_bytes
        if not over and oldest.at >= now - rules.max_age_s:
            break
        base = apply(base, oldest.steps)
        base_version = oldest.version
        size -= oldest.size_bytes
        dropped += 1
    return History(base, base_version, entries[dropped:])
