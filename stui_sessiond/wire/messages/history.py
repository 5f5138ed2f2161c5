"""Parameters and results of the commands about what a session was before."""

from typing import Any

from msgspec import Struct

from stui_sessiond.wire.messages import Count, Json, Key, Name


class GetSessionHistory(Struct):
    """Parameters of `get_session_history`."""

    session_id: Name
    limit: Count | None = None
    before_version: Count | None = None


class Version(Struct):
    """One version of a session; `patch` is a JSON Patch from the version before."""

    version: int
    at: str
    client_id: str | None
    what: str
    patch: list[Json]
    size_bytes: int


class GetSessionHistoryResult(Struct):
    """Result of `get_session_history`."""

    session_id: str
    version: int
    oldest_version: int
    versions: list[Version]


class GetSessionAt(Struct):
    """Parameters of `get_session_at`."""

    session_id: Name
    version: Count | None = None
    name: Name | None = None


class GetSessionAtResult(Struct):
    """Result of `get_session_at`."""

    session_id: str
    version: int
    session_state: Any
    contexts: dict[str, Json]


class SnapshotSession(Struct):
    """Parameters of `snapshot_session`."""

    session_id: Name
    name: Name


class SnapshotSessionResult(Struct):
    """Result of `snapshot_session`."""

    session_id: str
    name: str
    version: int
    at: str
    size_bytes: int


class ListSnapshots(Struct):
    """Parameters of `list_snapshots`."""

    session_id: Name


class ListedSnapshot(Struct):
    """One row of `list_snapshots`."""

    name: str
    version: int
    at: str
    size_bytes: int


class ListSnapshotsResult(Struct):
    """Result of `list_snapshots`."""

    session_id: str
    snapshots: list[ListedSnapshot]


class RevertSession(Struct):
    """Parameters of `revert_session`."""

    session_id: Name
    name: Name | None = None
    version: Count | None = None
    client_id: Name | None = None
    idempotency_key: Key | None = None


class RevertSessionResult(Struct):
    """Result of `revert_session`."""

    session_id: str
    version: int
    session_state: Any
