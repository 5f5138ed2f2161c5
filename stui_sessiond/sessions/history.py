"""How does a session get a new version, and how many old ones are kept? Pure."""

import msgspec
from msgspec.structs import replace

from stui_sessiond.model.delta import apply, patch_of
from stui_sessiond.model.session import History, HistoryEntry, Session, session_delta
from stui_sessiond.model.trail import going_on

_PARTS = 8
"""When a bound is reached, an eighth of what is kept is dropped."""


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
    version = old.header.version + 1
    entry = HistoryEntry(version, now, client_id, what, patch_of(session_delta(old, new)))
    header = replace(new.header, version=version, last_modified=now, last_activity=now)
    return replace(new, header=header, history=_extended(old.history, entry, now, rules)), entry


def _extended(history: History, entry: HistoryEntry, now: float, rules: HistoryRules) -> History:
    entries = going_on(history.entries, (entry,))
    size_bytes = history.size_bytes + entry.size_bytes
    oldest_at = now - rules.max_age_s
    if len(entries) <= rules.max_versions and size_bytes <= rules.max_bytes and entries[0].at >= oldest_at:
        return History(history.base, history.base_version, entries, size_bytes)
    # Drop some more than has to be, so that it is not done again at every change.
    spare = max(rules.max_versions * (_PARTS - 1) // _PARTS, 1)
    room = rules.max_bytes * (_PARTS - 1) // _PARTS
    dropped = 0
    for oldest in entries:
        kept = len(entries) - dropped
        if kept <= spare and size_bytes <= room and oldest.at >= oldest_at:
            break
        size_bytes -= oldest.size_bytes
        dropped += 1
    steps = [step for old in entries[:dropped] for step in old.steps]
    return History(apply(history.base, steps), entries[dropped - 1].version, entries[dropped:], size_bytes)
