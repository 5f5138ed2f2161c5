"""Parameters and results of the four context commands."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from stui_sessiond.wire.messages import Json, Key, Name


class ContextSections(Struct, omit_defaults=True):
    """What a context holds; each section belongs to the client, which gets back what it saved."""

    workspace: Json | UnsetType = UNSET
    inspector: Json | UnsetType = UNSET
    object_registry: Json | UnsetType = UNSET
    client: Json | UnsetType = UNSET


class SaveContext(Struct):
    """Parameters of `save_context`."""

    session_id: Name
    tool_id: Name | None = None
    context: ContextSections | None = None
    idempotency_key: Key | None = None


class SaveContextResult(Struct):
    """Result of `save_context`."""

    session_id: str
    tool_id: str
    saved: bool
    checksum: str
    saved_at: str
    size_bytes: int
    version: int


class LoadContext(Struct):
    """Parameters of `load_context`."""

    session_id: Name
    tool_id: Name | None = None


class GoodContext(Struct):
    """The newest version of a context that is sound."""

    version: int
    saved_at: str
    checksum: str
    context: ContextSections


class ContextIntegrity(Struct):
    """Whether the stored context is what was saved."""

    status: Literal["ok", "none", "damaged"]
    checksum: str | None = None
    saved_at: str | None = None
    found_checksum: str | UnsetType = UNSET
    newest_good: GoodContext | UnsetType | None = UNSET


class LoadContextResult(Struct):
    """Result of `load_context`."""

    session_id: str
    tool_id: str
    loaded: bool
    context: ContextSections | None
    integrity: ContextIntegrity


class GetContextSummary(Struct):
    """Parameters of `get_context_summary`."""

    session_id: Name
    tool_id: Name | None = None


class GetContextSummaryResult(Struct):
    """Result of `get_context_summary`."""

    session_id: str
    tools: list[str]
    variable_count: int
    history_count: int
    object_count: int
    size_bytes: int
    last_saved: str | None


class ClearContext(Struct):
    """Parameters of `clear_context`."""

    session_id: Name
    tool_id: Name | None = None


class ClearContextResult(Struct):
    """Result of `clear_context`."""

    session_id: str
    cleared: list[str]
