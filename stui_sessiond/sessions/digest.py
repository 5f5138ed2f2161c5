"""What happened while somebody was away? Sums up events. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from stui_sessiond.model.event import Event

TAIL_CHARS = 2000
"""How much of the Transcript's end is in a digest."""

MAX_ROWS = 200
"""Of each kind; the newest are kept."""

_CHANGES = frozenset({"session.updated", "context.saved", "context.cleared"})
_IMAGES = frozenset({"image.connected", "image.disconnected"})
_CLIENTS = frozenset({"client.attached", "client.detached", "session.shared", "driver.changed"})


class Evaluation(msgspec.Struct):
    """What the events tell of one evaluation."""

    evaluation: str
    at: float
    client_id: str | None = None
    code: str | None = None
    status: str | None = None
    has_error: bool = False
    display: str | None = None
    duration: float | None = None


class Change(msgspec.Struct):
    """How often a client changed something."""

    count: int = 0
    last_version: int = 0
    last_at: float = 0.0


class Note(msgspec.Struct, frozen=True):
    """Something that came or went: the event's name, who, when."""

    event: str
    who: str | None
    at: float


class Digest(msgspec.Struct):
    """The sum of some events."""

    events: int
    finished: list[Evaluation]
    running: list[Evaluation]
    changes: dict[str | None, Change]
    images: list[Note]
    clients: list[Note]
    output_chars: int
    output_tail: str


def sum_up(events: Sequence[Event]) -> Digest:
    """Sum up events, oldest first."""
    evaluations: dict[str, Evaluation] = {}
    changes: dict[str | None, Change] = {}
    images: list[Note] = []
    clients: list[Note] = []
    output_chars, tail = 0, ""
    for event in events:
        data = event.data
        if event.name.startswith("evaluation."):
            _take(evaluations, event, data)
        elif event.name in _CHANGES:
            change = changes.setdefault(data.get("client_id"), Change())
            change.count += 1
            change.last_version, change.last_at = data.get("version", 0), event.at
        elif event.name in _IMAGES:
            images.append(Note(event.name, data.get("image_id"), event.at))
        elif event.name in _CLIENTS:
            clients.append(Note(event.name, data.get("client_id") or data.get("driver"), event.at))
        elif event.name == "transcript" and isinstance(text := data.get("text"), str):
            output_chars += len(text)
            tail = (tail + text)[-TAIL_CHARS:]
    return Digest(
        events=len(events),
        finished=[one for one in evaluations.values() if one.status is not None][-MAX_ROWS:],
        running=[one for one in evaluations.values() if one.status is None][-MAX_ROWS:],
        changes=changes,
        images=images[-MAX_ROWS:],
        clients=clients[-MAX_ROWS:],
        output_chars=output_chars,
        output_tail=tail,
    )


def _take(evaluations: dict[str, Evaluation], event: Event, data: dict[str, Any]) -> None:
    name = str(data.get("evaluation"))
    if event.name == "evaluation.accepted":
        evaluations.pop(name, None)  # an id that was used again
        evaluations[name] = Evaluation(name, event.at, data.get("client_id"), data.get("code"))
        return
    known = evaluations.setdefault(name, Evaluation(name, event.at, data.get("client_id")))
    if event.name == "evaluation.finished":
        known.at, known.status = event.at, str(data.get("status"))
        known.has_error, known.display = bool(data.get("has_error")), data.get("display")
        known.duration = data.get("duration")
    elif event.name == "evaluation.interrupted":
        known.status = known.status or "outcome_unknown"
    elif event.name == "evaluation.lost":
        known.at, known.status, known.has_error = event.at, "lost_with_image", True
