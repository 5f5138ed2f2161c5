"""Parameters and results of the commands about what an image keeps for a session: objects and suspended processes."""

from typing import Literal

from msgspec import Struct

from stui_sessiond.wire.messages import Name, Text


class ListHandles(Struct):
    """Parameters of `list_handles`."""

    session_id: Name


class ListedHandle(Struct):
    """One object that an image keeps for the session."""

    handle: str
    class_name: str
    string_representation: str
    expression: str | None
    tool_id: str | None
    image_id: str
    instance_id: str
    generation: int
    stale: bool
    obtained_at: str
    expires_at: str


class ListHandlesResult(Struct):
    """Result of `list_handles`."""

    session_id: str
    handles: list[ListedHandle]


class ListDebuggers(Struct):
    """Parameters of `list_debuggers`."""

    session_id: Name


class ListedDebugger(Struct):
    """One process that waits at an error."""

    debugger_id: str
    evaluation: str
    tool_id: str | None
    error_class: str
    error_message: str | None
    state: Literal["suspended", "image_away", "lost"]
    image_id: str | None
    opened_at: str
    expires_at: str | None
    holder: str | None
    lease_ends_at: str | None


class ListDebuggersResult(Struct):
    """Result of `list_debuggers`."""

    session_id: str
    debuggers: list[ListedDebugger]


class TakeDebugger(Struct):
    """Parameters of `take_debugger`."""

    session_id: Name
    debugger_id: Text
    action: Literal["take", "take_over", "release"] = "take"


class TakeDebuggerResult(Struct):
    """Result of `take_debugger`."""

    session_id: str
    debugger_id: str
    holder: str | None
    lease_ends_at: str | None
