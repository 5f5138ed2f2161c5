"""What was a session at each version, read from the folder of a store? Changes nothing, needs no daemon."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from stui_sessiond.errors import SessionNotFoundError, VersionNotFoundError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session
from stui_sessiond.security.sealing import CLEAR, Sealer
from stui_sessiond.storage.fs import FileSystem
from stui_sessiond.storage.tools.view import open_view


class HistoryRow(msgspec.Struct, frozen=True):
    """One version; `patch` is a JSON Patch from the version before."""

    version: int
    at: float
    client_id: str | None
    what: str
    size_bytes: int
    patch: Sequence[dict[str, Any]]


class SessionHistory(msgspec.Struct, frozen=True):
    """The versions that are kept, the newest first, and the names that some have."""

    session_id: str
    client_id: str
    version: int
    oldest_version: int
    snapshots: dict[str, int]
    versions: Sequence[HistoryRow]
    damaged: str | None = None


def read_history(
    root: Path, fs: FileSystem, session_id: SessionId, limit: int | None = None, sealer: Sealer = CLEAR
) -> SessionHistory:
    """List the versions of a session.

    Raises:
        SessionNotFoundError: it is not there.
        SessionDamagedError, StorageError: it cannot be read.
        OSError: it cannot be read now.
    """
    session, damaged = _read(root, fs, session_id, sealer)
    rows = [
        HistoryRow(
            entry.version,
            entry.at,
            entry.client_id,
            entry.what,
            entry.size_bytes,
            [step.to_json() for step in entry.steps],
        )
        for entry in reversed(session.history.entries)
    ]
    header = session.header
    return SessionHistory(
        header.session_id,
        header.client_id,
        header.version,
        session.history.base_version,
        {name: kept.version for name, kept in sorted(session.snapshots.items())},
        rows if limit is None else rows[:limit],
        damaged,
    )


def read_version(
    root: Path, fs: FileSystem, session_id: SessionId, version: int, sealer: Sealer = CLEAR
) -> dict[str, Any]:
    """Make the document of one version: its state and its contexts.

    Raises:
        VersionNotFoundError: it is not kept.
        SessionNotFoundError: the session is not there.
        SessionDamagedError, StorageError: it cannot be read.
        OSError: it cannot be read now.
    """
    session, _ = _read(root, fs, session_id, sealer)
    document = session.history.document_at(version)
    if document is None:
        for kept in session.snapshots.values():
            if kept.version == version:
                return kept.document
        oldest = session.history.base_version
        msg = f"version {version} is not kept; there are {oldest} to {session.header.version}"
        raise VersionNotFoundError(msg)
    return document


def _read(root: Path, fs: FileSystem, session_id: SessionId, sealer: Sealer) -> tuple[Session, str | None]:
    store = open_view(root, fs, sealer).store
    session = store.load(session_id)
    if session is None:
        why = store.damaged.get(session_id)
        msg = f"there is no session {session_id} in {root}"
        raise SessionNotFoundError(msg if why is None else f"session {session_id} cannot be read: {why}")
    return session, store.damaged.get(session_id)
