"""Parameters and results of the commands about what happened: request outcomes and the digest."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from stui_sessiond.wire.messages import Json, Key, Name, Number, Position
from stui_sessiond.wire.messages.connection import Gap

RequestStatus = Literal["unknown", "queued", "running", "done", "failed", "outcome_unknown", "lost_with_image"]


class GetRequestStatus(Struct):
    """Parameters of `get_request_status`."""

    session_id: Name
    idempotency_key: Key | None = None
    request_id: Name | None = None


class Failure(Struct):
    """The error a request ended with."""

    code: str
    message: str
    details: Json


class GetRequestStatusResult(Struct):
    """Result of `get_request_status`."""

    session_id: str
    idempotency_key: str
    status: RequestStatus
    command: str | UnsetType = UNSET
    accepted_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET
    version: int | UnsetType = UNSET
    result: Any = UNSET
    error: Failure | UnsetType = UNSET


class GetDigest(Struct):
    """Parameters of `get_digest`."""

    session_id: Name
    since: Position | None = None


class FinishedEvaluation(Struct):
    """An evaluation that ended."""

    evaluation: str
    client_id: str | None
    code: str | None
    status: str
    has_error: bool
    display: str | None
    duration: Number | None
    at: str


class RunningEvaluation(Struct):
    """An evaluation that was accepted and is not over."""

    evaluation: str
    client_id: str | None
    code: str | None
    at: str


class Changes(Struct):
    """How often a client changed state or contexts."""

    client_id: str | None
    count: int
    last_version: int
    last_at: str


class ImageNote(Struct):
    """The image came or went."""

    event: str
    image_id: str | None
    at: str


class ClientNote(Struct):
    """A client came or went."""

    event: str
    client_id: str | None
    at: str


class GetDigestResult(Struct):
    """Result of `get_digest`."""

    session_id: str
    recovered: bool
    position: Position
    events: int
    finished: list[FinishedEvaluation]
    running: list[RunningEvaluation]
    changes: list[Changes]
    images: list[ImageNote]
    clients: list[ClientNote]
    output_chars: int
    output_tail: str
    gap: Gap | UnsetType = UNSET
