"""What is remembered of a request, so that it is carried out once however often it is sent?"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from stui_sessiond.ids import ConnectionId, ImageId, InstanceId

RequestState = Literal["running", "done", "failed", "lost"]
"""`running`: begun, and its end is not known. `lost`: the image that worked on it is gone."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """The error a request ended with."""

    code: str
    message: str
    details: dict[str, Any] = {}


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Over which connection, under which id and in which form a request came: its answer is owed there."""

    connection_id: ConnectionId
    request_id: str
    envelope: bool = False


class RequestEntry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One request under its key. Times are seconds since 1970."""

    key: str
    command: str
    digest: str
    """Of what was asked: the same key with another digest is a mistake of the sender."""
    accepted_at: float
    state: RequestState = "running"
    client_id: str | None = None
    tool_id: str | None = None
    origin: Origin | None = None
    relay_id: str | None = None
    """The id under which an image was asked."""
    image_id: ImageId | None = None
    instance_id: InstanceId | None = None
    finished_at: float | None = None
    version: int | None = None
    """The version of the session it made: its result can be made from that again."""
    result: str | None = None
    """The result as JSON text; None when there is none, or it is not kept."""
    failure: Failure | None = None
    has_error: bool = False
    """Whether it ended with an error, also one that is a result; known for longer than the result is kept."""
    code: str | None = None
    """The code that ran, or its beginning."""
    code_cut: bool = False
    """Whether there was more of it."""
    page_chars: int | None = None
    """How much of a printed result its client wants at once."""
    debugger_id: str | None = None
    """What clients call the process that waits at its error, as long as it does."""
    debugs: str | None = None
    """What clients call the process that this `debug` works with."""

    @property
    def size_bytes(self) -> int:
        """How much it takes, roughly."""
        return self.outcome_bytes + len(self.code or "")

    @property
    def outcome_bytes(self) -> int:
        """How much of that is what came of it."""
        failure = self.failure
        if failure is None:
            return len(self.result or "")
        return len(failure.message) + (len(msgspec.json.encode(failure.details)) if failure.details else 0)


class Requests(msgspec.Struct, frozen=True, gc=False):
    """The requests of a session that are remembered, by key, oldest first."""

    entries: Mapping[str, RequestEntry] = {}
    size_bytes: int = 0
    """Of code, results and failures together."""
