"""Parameters and results of the seven session commands."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from stui_sessiond.wire.messages import Count, Json, Key, Name, Number, Position, Seconds


class ClientInfo(Struct):
    """What a client tells about itself."""

    platform: str | None = None
    version: str | None = None
    capabilities: list[str] = []


class CreateSession(Struct):
    """Parameters of `create_session`."""

    client_id: Name
    client_info: ClientInfo | None = None
    client_version: str | None = None
    config: Json | None = None
    name: Name | None = None
    description: str | None = None
    timeout: Seconds | None = None
    image_id: Name | None = None
    idempotency_key: Key | None = None
    machine: Json | None = None


class CreateSessionResult(Struct):
    """Result of `create_session`."""

    session_id: str
    client_id: str
    created_at: str
    timeout: Number
    is_active: bool
    expires_at: str
    capabilities: list[str]
    max_concurrent_clients: int
    image_id: str | None
    version: int


class RestoreSession(Struct):
    """Parameters of `restore_session`."""

    session_id: Name
    client_id: Name | None = None
    reopen: bool = False


class StorageIntegrity(Struct):
    """How the stored session was found."""

    status: Literal["ok", "healed", "damaged"]
    detail: str | UnsetType = UNSET


class RestoreSessionResult(Struct):
    """Result of `restore_session`."""

    session_id: str
    client_id: str
    created_at: str
    last_modified: str
    timeout: Number
    is_active: bool
    session_state: Any
    workspace_context: Json
    inspector_state: Json
    object_registry: Json
    version: int
    image_id: str | None
    name: str | None
    expires_at: str
    integrity: StorageIntegrity


class UpdateSessionState(Struct):
    """Parameters of `update_session_state`."""

    session_id: Name
    state_data: Json | list[Any]
    client_id: Name | None = None
    workspace_context: Json | None = None
    object_registry: Json | None = None
    inspector_state: Json | None = None
    expected_version: Count | None = None
    mode: Literal["replace", "merge", "patch"] = "replace"
    on_conflict: Literal["fail", "merge"] = "fail"
    idempotency_key: Key | None = None


class UpdateSessionStateResult(Struct):
    """Result of `update_session_state`."""

    session_id: str
    last_modified: str
    session_state: Any
    update_successful: bool
    version: int


class RenameSession(Struct):
    """Parameters of `rename_session`."""

    session_id: Name
    name: Name | None


class RenameSessionResult(Struct):
    """Result of `rename_session`."""

    session_id: str
    name: str | None


class CloseSession(Struct):
    """Parameters of `close_session`."""

    session_id: Name
    save_state: bool = True


class CloseSessionResult(Struct):
    """Result of `close_session`."""

    session_id: str
    closed: bool


class GetSessionInfo(Struct):
    """Parameters of `get_session_info`."""

    session_id: Name


class GetSessionInfoResult(Struct):
    """Result of `get_session_info`."""

    session_id: str
    client_id: str
    created_at: str
    last_modified: str
    timeout: Number
    is_active: bool
    time_until_expiry: float
    is_expired: bool
    version: int
    image_id: str | None
    name: str | None
    attached_clients: int
    size_bytes: int
    position: Position
    driver: str | None


class ListClientSessions(Struct):
    """Parameters of `list_client_sessions`."""

    client_id: Name
    include_inactive: bool = False


class ListedSession(Struct):
    """One row of `list_client_sessions`."""

    session_id: str
    created_at: str
    last_modified: str
    timeout: Number
    is_active: bool
    time_until_expiry: float
    name: str | None
    image_id: str | None
    version: int


class ListClientSessionsResult(Struct):
    """Result of `list_client_sessions`."""

    client_id: str
    session_count: int
    sessions: list[ListedSession]


class GetSessionStatistics(Struct):
    """Parameters of `get_session_statistics`: none."""


class ImageCounts(Struct):
    """Images by whether they are connected now."""

    connected: int
    known: int


class ConnectionCounts(Struct):
    """Connections by the role their peer said it has."""

    total: int
    clients: int
    images: int
    observers: int
    before_hello: int


class StorageFacts(Struct):
    """How the storage is."""

    kind: str
    status: Literal["ok", "full", "failed"]
    sessions: int
    size_bytes: int
    quarantined: int
    detail: str | UnsetType = UNSET


class GetSessionStatisticsResult(Struct):
    """Result of `get_session_statistics`."""

    total_sessions: int
    active_clients: int
    max_sessions_per_client: int
    default_timeout: Number
    cleanup_interval: Number
    uptime_seconds: float
    images: ImageCounts
    connections: ConnectionCounts
    storage: StorageFacts
