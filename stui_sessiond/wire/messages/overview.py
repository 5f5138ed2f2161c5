"""Parameters and results of the commands that show an operator how the daemon is."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stui_sessiond.wire.messages import Count, Name, Number

Page = Annotated[int, Meta(ge=1, le=200)]
"""How many sessions at once."""

Rows = Annotated[int, Meta(ge=1, le=500)]
"""How many rows at once."""

Samples = Annotated[int, Meta(ge=1, le=120)]
"""How many rows of figures."""

SessionStatus = Literal["active", "expired", "closed"]


class ListSessions(Struct):
    """Parameters of `list_sessions`."""

    status: Literal["active", "expired", "closed", "all"] = "active"
    image_id: Name | None = None
    client_id: Name | None = None
    search: Name | None = None
    limit: Page = 50
    before: int | None = None


class SessionRow(Struct):
    """One row of `list_sessions`."""

    session_id: str
    client_id: str
    name: str | None
    image_id: str | None
    status: SessionStatus
    created_at: str
    last_activity: str
    expires_at: str
    version: int
    attached_clients: int
    running: int
    size_bytes: int


class ListSessionsResult(Struct):
    """Result of `list_sessions`."""

    sessions: list[SessionRow]
    next: int | None


class ListConnections(Struct):
    """Parameters of `list_connections`."""

    limit: Rows = 100
    offset: Count = 0


class ConnectionRow(Struct):
    """One row of `list_connections`."""

    connection_id: str | None
    transport: str
    role: str | None
    client_id: str | None
    principal: str | None
    image_id: str | None
    address: str | None
    since: str
    subscriptions: int
    sessions: list[str]
    topics: list[str]
    requests: int


class ListConnectionsResult(Struct):
    """Result of `list_connections`."""

    connections: list[ConnectionRow]
    total: int


class ListRunningEvaluations(Struct):
    """Parameters of `list_running_evaluations`."""

    image_id: Name | None = None
    limit: Rows = 100


class RunningRow(Struct):
    """One row of `list_running_evaluations`."""

    evaluation: str
    session_id: str
    command: str
    status: Literal["queued", "running"]
    client_id: str | None
    tool_id: str | None
    code: str | None
    truncated: bool
    accepted_at: str
    image_id: str | None


class ListRunningEvaluationsResult(Struct):
    """Result of `list_running_evaluations`."""

    evaluations: list[RunningRow]
    total: int


class GetStoreStatus(Struct):
    """Parameters of `get_store_status`."""


class BackupRow(Struct):
    """One backup of `get_store_status`."""

    name: str
    made_at: str
    reason: str
    sessions: int
    problems: int


class GetStoreStatusResult(Struct):
    """Result of `get_store_status`."""

    kind: str
    status: str
    detail: str | None
    sessions: int
    size_bytes: int
    quarantined: int
    journal_bytes: int | None
    disk_free_bytes: int | None
    disk_bytes: int | None
    backup_interval: Number | None
    backups: list[BackupRow]
    backup_count: int


class GetFigures(Struct):
    """Parameters of `get_figures`."""

    limit: Samples = 120


class Sample(Struct, frozen=True):
    """One row of `get_figures`: an interval and what happened in it."""

    at: str
    requests: int
    events: int
    evaluations: int
    evaluation_ms: Number | None
    evaluation_p95_ms: Number | None
    syncs: int
    sync_ms: Number | None
    sync_p95_ms: Number | None
    connections: int
    sessions: int
    running: int
    memory_bytes: int | None
    lag_ms: Number


class GetFiguresResult(Struct):
    """Result of `get_figures`."""

    interval: Number
    samples: list[Sample]
    server_id: str
