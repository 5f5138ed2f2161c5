"""Parameters and results of the commands about the connection itself."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from stui_sessiond.wire.messages import Count, Name, Number, Position
from stui_sessiond.wire.messages.session import ClientInfo


class ImageIdentity(Struct):
    """Who an image says it is."""

    image_id: Name
    instance_id: Name
    name: str | None = None
    dialect: str | None = None
    version: str | None = None
    vm: str | None = None
    generation: Count = 0
    capabilities: list[str] = []
    changes_file: str | None = None
    host: Name | None = None
    process_id: Count | None = None


class Hello(Struct):
    """Parameters of `hello`."""

    role: Literal["client", "image", "observer"]
    protocol: list[str] = []
    token: str | None = None
    client_id: Name | None = None
    client_info: ClientInfo | None = None
    identity: ImageIdentity | None = None
    resume_token: str | None = None
    unanswered: list[str] = []


class Limits(Struct):
    """What this connection may do."""

    message_bytes: int
    json_depth: int
    requests_in_flight: int
    evaluations_in_flight: int
    subscriptions: int
    session_bytes: int
    sessions_per_client: int


class HelloResult(Struct):
    """Result of `hello`."""

    server_id: str
    server_version: str
    protocol: str
    connection_id: str
    resume_token: str
    resumed: bool
    in_flight: list[str]
    heartbeat_interval: Number
    limits: Limits
    position: Position
    rights: list[str] = []
    warnings: list[str] | UnsetType = UNSET


class Describe(Struct):
    """Parameters of `describe`."""

    command: Name | None = None


class DescribeResult(Struct):
    """Result of `describe`."""

    server_version: str
    protocol: str
    contract_version: str
    commands: list[dict[str, Any]]
    errors: list[dict[str, Any]]


class Subscribe(Struct):
    """Parameters of `subscribe`."""

    session_id: Name | None = None
    topics: list[Name] | None = None
    since: Position | None = None
    positions: dict[str, Position] | None = None
    deltas: bool = False
    with_state: bool = False


class Gap(Struct):
    """Events that are not kept: those after `from`, up to `to`."""

    from_: Position | None = field(name="from")
    to: Position
    reason: str


class StateAt(Struct):
    """A session's state at a position."""

    version: int
    session_state: Any


class SubscribeResult(Struct):
    """Result of `subscribe`: where the stream is; every event after it will come."""

    recovered: bool
    position: Position
    gap: Gap | UnsetType = UNSET
    state: StateAt | UnsetType = UNSET
    topics: list[str] | UnsetType = UNSET


class Unsubscribe(Struct):
    """Parameters of `unsubscribe`."""

    session_id: Name | None = None
    topics: list[Name] | None = None


class UnsubscribeResult(Struct):
    """Result of `unsubscribe`."""

    session_id: str | None
    unsubscribed: bool


class OpenedData(Struct):
    """How a stream of events over HTTP begins."""

    connection_id: str
    heartbeat_interval: Number
    subscription: SubscribeResult


class OpenedEvent(Struct, tag_field="event", tag="connection.opened"):
    """The first event of a stream over HTTP: where it is; every event after that will come."""

    data: OpenedData
