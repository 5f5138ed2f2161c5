"""Parameters and results of the commands about several clients in one session."""

from typing import Literal

from msgspec import Struct

from stui_sessiond.wire.messages import Name


class ShareSession(Struct):
    """Parameters of `share_session`."""

    session_id: Name
    client_id: Name
    role: Literal["editor", "none", "viewer"]


class ShareSessionResult(Struct):
    """Result of `share_session`."""

    session_id: str
    shares: dict[str, str]


class GetPresence(Struct):
    """Parameters of `get_presence`."""

    session_id: Name


class AttachedClient(Struct):
    """A connection that listens to a session."""

    client_id: str | None
    connection_id: str | None
    role: str
    since: str


class GetPresenceResult(Struct):
    """Result of `get_presence`."""

    session_id: str
    owner: str
    shares: dict[str, str]
    driver: str | None
    driver_requests: list[str]
    attached: list[AttachedClient]


class DriveSession(Struct):
    """Parameters of `drive_session`."""

    session_id: Name
    action: Literal["hand_over", "release", "request", "take_over"]
    to_client_id: Name | None = None


class DriveSessionResult(Struct):
    """Result of `drive_session`."""

    session_id: str
    driver: str | None
    granted: bool


class DetachClient(Struct):
    """Parameters of `detach_client`."""

    session_id: Name
    client_id: Name
    connection_id: Name | None = None


class DetachClientResult(Struct):
    """Result of `detach_client`."""

    session_id: str
    detached: int
