"""What can go wrong for a client?

ClientError
├── ConnectionLostError   the daemon cannot be reached, or the connection broke
└── CallFailedError       the daemon answered with an error
"""

from collections.abc import Mapping


class ClientError(Exception):
    """A call that gave no result."""


class ConnectionLostError(ClientError):
    """The daemon cannot be reached, or the connection broke. A request that was sent may have been carried out."""


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
