"""What is told of a change of the state, and to whom? Pure.

With a state machine a change is another one in each view. What each view was told is stored with the event, so that
a replay says the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from stui_sessiond.model.delta import Step, apply
from stui_sessiond.model.event import Event, News
from stui_sessiond.model.session import HistoryEntry, Session
from stui_sessiond.model.view import View
from stui_sessiond.sessions.shared_state import machine_of

STATE_EVENT = "session.updated"

STATE = "/state"
"""Where the state is in a session's document; the contexts are beside it."""

MAX_PATCH_BYTES = 64 * 1024
"""A longer patch, or longer patches of all views, are not in the event: it would push the others out of the log."""

HIDDEN = "hidden"
"""The mode of a change, or what a version was, for whom does not see it."""

_INSIDE = frozenset({"views", "machine_version"})
"""What of a stored event nobody is told."""

_encode = msgspec.json.Encoder().encode


def state_event(
    before: Session, client_id: str | None, mode: str, transition: str | None = None
) -> Callable[[Session, HistoryEntry], News]:
    """Make what makes the event of a change to `before`, when the version is known."""

    def event(session: Session, version: HistoryEntry) -> News:
        data: dict[str, Any] = {
            "client_id": client_id or session.header.client_id,
            "version": version.version,
            "mode": mode,
        }
        fits = version.size_bytes <= MAX_PATCH_BYTES
        if not fits:
            data["patch"] = None
        if session.machine is not None:
            data |= _for_views(before, session, version, transition)
        return News("session.updated", data, version.at, patch=version.patch if fits else None)

    return event


def _for_views(before: Session, after: Session, version: HistoryEntry, transition: str | None) -> dict[str, Any]:
    found = machine_of(after)
    told: dict[str, Any] = {} if transition is None else {"transition": transition}
    if found is None or after.machine is None:
        return told
    views = [view for _, view in found.machine.views if view.patterns]
    patches = {view.name: _patch_seen(before.state, version.steps, view) for view in views}
    fits = not patches or len(_encode(patches)) <= MAX_PATCH_BYTES
    return {**told, "machine_version": after.machine.version, "views": patches if fits else None}


def shown(session: Session, event: Event, view: View | None) -> Event:
    """An event as it is seen: of a change that is not seen, only that there is another version."""
    if event.name != STATE_EVENT:
        return event
    data = event.data
    if view is None:
        if _INSIDE.isdisjoint(data):
            return event
        return _told(event, {name: value for name, value in data.items() if name not in _INSIDE})
    views = data.get("views")
    current = session.machine is not None and data.get("machine_version") == session.machine.version
    patch = views.get(view.name, []) if current and isinstance(views, dict) else None
    if patch:
        told = {name: value for name, value in data.items() if name not in _INSIDE}
        return _told(event, {**told, "patch": patch})
    return _told(event, {"client_id": None, "version": data.get("version"), "mode": HIDDEN, "patch": patch})


def _told(event: Event, data: dict[str, Any]) -> Event:
    return Event.of(event.seq, event.name, event.at, data)


class VersionSeen(msgspec.Struct, frozen=True):
    """A version of the history as somebody sees it."""

    entry: HistoryEntry
    patch: list[dict[str, Any]] | msgspec.Raw
    """As text where nothing of it is hidden: it is told as it is kept."""
    size_bytes: int
    hidden: bool


def history_seen(session: Session, view: View | None) -> list[VersionSeen]:
    """The versions that are kept, oldest first."""
    kept = session.history
    if view is None:
        return [VersionSeen(one, msgspec.Raw(one.patch), one.size_bytes, hidden=False) for one in kept.entries]
    found: list[VersionSeen] = []
    document = kept.base
    for one in kept.entries:
        patch = _patch_seen(document["state"], one.steps, view)
        found.append(VersionSeen(one, patch, len(_encode(patch)), hidden=not patch))
        document = apply(document, one.steps)
    return found


def _patch_seen(state: dict[str, Any], steps: Sequence[Step], view: View) -> list[dict[str, Any]]:
    """A patch of a session's document as it is seen: nothing but the state is hidden from anybody."""
    inside: list[Step] = []
    elsewhere: list[Step] = []
    for step in steps:
        (inside if step.path.startswith(STATE) else elsewhere).append(step)
    return [step.to_json() for step in (*view.steps(state, inside, STATE), *elsewhere)]
