"""Which sessions are there, by image, and how is each line of the list written? Pure.

What colour says, a word says too: the list is read by screen readers and on terminals without colour.
"""

from collections.abc import Sequence

import msgspec

from stui_sessiond.printable import printable
from stui_sessiond.tui.column import cut
from stui_sessiond.tui.moment import since
from stui_sessiond.wire.messages.image import ImageSession, ListedImage
from stui_sessiond.wire.messages.session import ListedSession

NAME_CHARS = 26
"""Of a name: with state, people and time it fits into 80 columns."""

OWNER_CHARS = 12
"""Of the owner of a session that is not ours."""


class Row(msgspec.Struct, frozen=True):
    """A session in the list."""

    session_id: str
    name: str | None
    client_id: str
    image_id: str | None
    is_active: bool
    orphaned: bool
    attached: int | None
    used_at: str

    @property
    def shown_name(self) -> str:
        """What people call it."""
        return self.name or f"(no name) {self.session_id[-8:]}"

    @property
    def state(self) -> str:
        """Its state, in a word."""
        if self.orphaned:
            return "orphaned"
        return "active" if self.is_active else "closed"


class Group(msgspec.Struct, frozen=True):
    """An image with its sessions; `image` None for sessions without one."""

    image_id: str | None
    image: ListedImage | None
    rows: tuple[Row, ...]


def group(
    images: Sequence[ListedImage], of_images: Sequence[ImageSession], own: Sequence[ListedSession], client_id: str
) -> list[Group]:
    """Put sessions under their images: connected images first, then the others, sessions without one at the end.

    Args:
        images: all that are known.
        of_images: the sessions of images that this client may see.
        own: this client's own sessions, also without image, also closed ones.
        client_id: this client.
    """
    rows: dict[str, Row] = {}
    for one in own:
        rows[one.session_id] = Row(
            one.session_id,
            one.name,
            client_id,
            one.image_id,
            one.is_active,
            orphaned=False,
            attached=None,
            used_at=one.last_modified,
        )
    for each in of_images:
        rows[each.session_id] = Row(
            each.session_id,
            each.name,
            each.client_id,
            each.image_id,
            each.is_active,
            each.orphaned,
            each.attached_clients,
            each.last_activity,
        )
    known: dict[str | None, ListedImage | None] = {image.image_id: image for image in images}
    for row in rows.values():
        known.setdefault(row.image_id, None)
    order = sorted(known, key=lambda image_id: (_rank(image_id, known[image_id]), image_id or ""))
    return [
        Group(
            image_id,
            known[image_id],
            tuple(
                sorted(
                    (row for row in rows.values() if row.image_id == image_id),
                    key=lambda row: (row.is_active, row.used_at),
                    reverse=True,
                )
            ),
        )
        for image_id in order
    ]


def _rank(image_id: str | None, image: ListedImage | None) -> int:
    if image_id is None:
        return 2
    return 0 if image is not None and image.status == "connected" else 1


_MARKS = {"healthy": "*", "warning": "?", "critical": "!", "unknown": "-"}


def image_line(of: Group) -> str:
    """The heading of a group."""
    if of.image_id is None:
        return "- without an image"
    image = of.image
    if image is None:
        return f"- {cut(of.image_id, NAME_CHARS)}: never seen"
    what = " ".join(printable(part) for part in (image.dialect, image.version) if part)
    condition = "" if image.condition in {"idle", "unknown"} else f", {image.condition.replace('_', ' ')}"
    doubt = ", in conflict with another one" if image.conflicts else ""
    health = "" if image.status != "connected" else f", {image.health}"
    mark = _MARKS[image.health] if image.status == "connected" else "x"
    return f"{mark} {cut(of.image_id, NAME_CHARS)} ({what or 'Smalltalk'}): {image.status}{health}{condition}{doubt}"


def row_line(row: Row, now: float, own: str, *, text_mode: bool = False) -> str:
    """The line of a session."""
    people = "" if not row.attached else f"{row.attached} here"
    whose = "" if row.client_id == own else f"of {cut(row.client_id, OWNER_CHARS)}"
    used = since(row.used_at, now)
    name = cut(row.shown_name, NAME_CHARS)
    if text_mode:
        return ", ".join(part for part in (name, row.state, people, whose, f"used {used}") if part)
    marks = {"active": " ", "orphaned": "!", "closed": "x"}
    return f"  {marks[row.state]} {name:<{NAME_CHARS}} {row.state:<9} {people:<7} {used:<10} {whose}".rstrip()
