"""Parameters and results of the commands about a state that is shared under a state machine."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from stui_sessiond.wire.messages import Count, Json, Key, Name, Position


class DeclareMachine(Struct):
    """Parameters of `declare_machine`."""

    session_id: Name
    machine: Json | None
    reset: bool = False
    expected_version: Count | None = None
    idempotency_key: Key | None = None


class DeclareMachineResult(Struct):
    """Result of `declare_machine`."""

    session_id: str
    version: int
    machine_version: int | None
    session_state: Any


class GetMachine(Struct):
    """Parameters of `get_machine`."""

    session_id: Name


class GetMachineResult(Struct):
    """Result of `get_machine`. `machine` is there for whom nothing is hidden."""

    session_id: str
    machine_version: int
    declared_at: str
    name: str | None
    roles: list[str]
    view: str | None
    allowed: list[str]
    version: int
    session_state: Any
    position: Position
    max_state_bytes: int
    machine: Json | UnsetType = UNSET
    transitions: dict[str, dict[str, int]] | UnsetType = UNSET


class ApplyTransition(Struct):
    """Parameters of `apply_transition`."""

    session_id: Name
    transition: Name
    change: Json | list[Any] = {}
    mode: Literal["replace", "merge", "patch"] = "merge"
    expected_version: Count | None = None
    idempotency_key: Key | None = None


class ApplyTransitionResult(Struct):
    """Result of `apply_transition`."""

    session_id: str
    transition: str
    version: int
    last_modified: str
    session_state: Any
    allowed: list[str]
