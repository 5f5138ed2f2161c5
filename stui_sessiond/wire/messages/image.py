"""Parameters and results of the commands about images and their sessions."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stui_sessiond.wire.messages import Count, Name, Number

Status = Literal["connected", "disconnected", "reconnecting", "failed", "orphaned", "unknown"]
Health = Literal["healthy", "warning", "critical", "unknown"]
Condition = Literal["idle", "evaluating", "not_answering", "interface_blocked", "link_lost", "process_gone", "unknown"]


class ListImages(Struct):
    """Parameters of `list_images`: none."""


class Conflict(Struct):
    """A reason to doubt that an image is the one it says it is."""

    kind: Literal["second_instance", "older_generation", "shared_changes_file"]
    text: str
    at: str
    instance_id: str | None = None
    image_id: str | None = None


class ListedImage(Struct):
    """One row of `list_images`."""

    image_id: str
    name: str | None
    dialect: str | None
    version: str | None
    vm: str | None
    instance_id: str | None
    generation: int | None
    capabilities: list[str]
    status: Status
    last_seen: str | None
    session_count: int
    health: Health
    condition: Condition
    certificate: dict[str, str]
    conflicts: list[Conflict]


class ListImagesResult(Struct):
    """Result of `list_images`."""

    images: list[ListedImage]


class ListImageSessions(Struct):
    """Parameters of `list_image_sessions`."""

    image_id: Name | None = None
    include_orphaned: bool = True


class ImageSession(Struct):
    """One row of `list_image_sessions`."""

    session_id: str
    client_id: str
    name: str | None
    image_id: str
    image_status: Status
    orphaned: bool
    is_active: bool
    created_at: str
    last_activity: str
    attached_clients: int
    size_bytes: int


class ListImageSessionsResult(Struct):
    """Result of `list_image_sessions`."""

    session_count: int
    sessions: list[ImageSession]


class GetImageSessionStats(Struct):
    """Parameters of `get_image_session_stats`."""

    image_id: Name


class GetImageSessionStatsResult(Struct):
    """Result of `get_image_session_stats`."""

    image_id: str
    total_sessions: int
    active_sessions: int
    orphaned_sessions: int
    total_context_size: int
    last_activity: str | None
    requests: Count
    errors: Count
    events: Count
    events_dropped: Count


class CleanupImageSessions(Struct):
    """Parameters of `cleanup_image_sessions`."""

    image_id: Name
    cleanup_orphaned: bool = True
    cleanup_expired: bool = True
    max_age_hours: Annotated[float, Meta(ge=0)] | None = None
    force: bool = False
    preserve_active: bool = True
    dry_run: bool = False


class CleanedSession(Struct):
    """What a clean-up did, or would do, with one session."""

    session_id: str
    client_id: str
    action: Literal["closed", "would_close", "kept", "failed"]
    reason: str


class CleanupImageSessionsResult(Struct):
    """Result of `cleanup_image_sessions`."""

    image_id: str
    dry_run: bool
    sessions_cleaned: int
    sessions_remaining: int
    cleanup_details: list[CleanedSession]


class SwitchImageContext(Struct):
    """Parameters of `switch_image_context`."""

    session_id: Name
    to_image_id: Name
    from_image_id: Name | None = None
    preserve_context: bool = True


class SwitchImageContextResult(Struct):
    """Result of `switch_image_context`."""

    session_id: str
    image_id: str
    from_image_id: str | None
    to_image_id: str
    context_preserved: bool
    carried: list[str]
    left_behind: list[str]
    version: int


class GetImageConnectionStatus(Struct):
    """Parameters of `get_image_connection_status`."""

    image_id: Name


class PastConnection(Struct):
    """One connection of an image."""

    instance_id: str
    generation: int
    address: str
    connected_at: str
    disconnected_at: str | None
    reason: str | None


class PastCleanup(Struct):
    """One clean-up of an image's sessions."""

    at: str
    by: str
    sessions_cleaned: int


class GetImageConnectionStatusResult(Struct):
    """Result of `get_image_connection_status`."""

    image_id: str
    address: str | None
    status: Status
    last_seen: str | None
    connection_health: Health
    session_count: int
    last_activity: str | None
    condition: Condition
    condition_since: str | None
    condition_text: str
    evaluating: list[str]
    pending_requests: int
    latency_ms: Number | None
    connections: list[PastConnection]
    cleanups: list[PastCleanup]
    conflicts: list[Conflict]
