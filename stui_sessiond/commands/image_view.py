"""How is what is known of an image shown over the wire?"""

from stui_sessiond.images.condition import Facts, condition_of, health_of, status_of
from stui_sessiond.images.record import ImageRecord
from stui_sessiond.images.registry import KnownImage
from stui_sessiond.wire.messages import image as wire
from stui_sessiond.wire.timestamp import format_time


def shown_time(at: float | None) -> str | None:
    """A time, if there is one."""
    return None if at is None else format_time(at)


def listed_image(known: KnownImage, facts: Facts, sessions: int, grace_s: float) -> wire.ListedImage:
    """One row of `list_images`."""
    identity = known.identity
    return wire.ListedImage(
        image_id=known.image_id,
        name=None if identity is None else identity.name,
        dialect=None if identity is None else identity.dialect,
        version=None if identity is None else identity.version,
        vm=None if identity is None else identity.vm,
        instance_id=None if identity is None else identity.instance_id,
        generation=None if identity is None else identity.generation,
        capabilities=[] if identity is None else list(identity.capabilities),
        status=status_of(facts, grace_s),
        last_seen=shown_time(known.record.last_seen),
        session_count=sessions,
        health=health_of(facts),
        condition=condition_of(facts),
        certificate=dict(known.certificate),
        conflicts=conflict_rows(known.record),
    )


def unknown_image(image_id: str, sessions: int) -> wire.ListedImage:
    """The row of an image that sessions belong to and that has never been here."""
    return wire.ListedImage(
        image_id=image_id,
        name=None,
        dialect=None,
        version=None,
        vm=None,
        instance_id=None,
        generation=None,
        capabilities=[],
        status="unknown",
        last_seen=None,
        session_count=sessions,
        health="unknown",
        condition="unknown",
        certificate={},
        conflicts=[],
    )


def connection_rows(record: ImageRecord) -> list[wire.PastConnection]:
    """Connections, the newest first."""
    return [
        wire.PastConnection(
            instance_id=one.instance_id,
            generation=one.generation,
            address=one.address,
            connected_at=format_time(one.connected_at),
            disconnected_at=shown_time(one.disconnected_at),
            reason=one.reason,
        )
        for one in reversed(record.connections)
    ]


def cleanup_rows(record: ImageRecord) -> list[wire.PastCleanup]:
    """Clean-ups, the newest first."""
    return [wire.PastCleanup(format_time(one.at), one.by, one.sessions) for one in reversed(record.cleanups)]


def conflict_rows(record: ImageRecord) -> list[wire.Conflict]:
    """Reasons for doubt, the newest first."""
    return [
        wire.Conflict(one.kind, one.text, format_time(one.at), one.instance_id, one.image_id)
        for one in reversed(record.doubts)
    ]
