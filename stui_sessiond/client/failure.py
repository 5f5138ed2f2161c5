"""What can go wrong for a client?

ClientError
├── ConnectionLostError        the daemon cannot be reached, or the connection broke
│   ├── OfflineError           not connected, and the request was not sent
│   └── ConnectionFailedError  there will be no connection until somebody does something
├── OutcomeUnknownError        the request was sent, and nobody can say what became of it
├── QueueFullError             too much waits already; the request was not taken
└── CallFailedError            the daemon answered with an error
    └── ConflictError          somebody else changed the same, and the update was not stored
"""

from collections.abc import Mapping

from stui_sessiond.client.conflict import Conflict
from stui_sessiond.client.ending import Ending


class ClientError(Exception):
    """A call that gave no result."""


class ConnectionLostError(ClientError):
    """The daemon cannot be reached, or the connection broke. A request that was sent may have been carried out."""

    def __init__(self, message: str, ending: Ending | None = None) -> None:
        super().__init__(message)
        self.ending = ending


class OfflineError(ConnectionLostError):
    """There is no connection now. The request was not sent: nothing happened."""


class ConnectionFailedError(ConnectionLostError):
    """There will be no connection by itself any more; `advice` tells what a person can do."""

    def __init__(self, message: str, ending: Ending) -> None:
        super().__init__(message, ending)
        self.advice = ending.advice


class OutcomeUnknownError(ClientError):
    """The request was sent, its answer was lost, and sending it again might carry it out twice.

    With `idempotency_key`, `get_request_status` tells what became of it; without, look at the present state.
    """

    def __init__(self, message: str, *, command: str, idempotency_key: str | None) -> None:
        super().__init__(message)
        self.command = command
        self.idempotency_key = idempotency_key


class QueueFullError(ClientError):
    """As much waits to be sent as may wait. The request was not taken: nothing happened."""


class CallFailedError(ClientError):
    """The daemon answered with an error; `code` is one of `protocol/errors.json`."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        error_type: str,
        retryable: bool,
        details: Mapping[str, object],
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.error_type = error_type
        self.retryable = retryable
        self.details = details


class ConflictError(CallFailedError):
    """Both sides changed the same members, and nobody decided: the update was not stored."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(
            conflict.text,
            code="session_conflict",
            error_type="SessionError",
            retryable=False,
            details={"version": conflict.version, "conflicts": conflict.paths},
        )
        self.conflict = conflict
