"""Which HTTP status goes with an error code? Pure.

Most follow from what `errors.json` says of the code, so that a new code needs no line here.
"""

from collections.abc import Mapping
from typing import Final

from stui_sessiond.contract import ErrorCode

_OF_ENVELOPE: Final = {
    "InvalidRequest": 400,
    "ObjectNotFound": 404,
    "ClassNotFound": 404,
    "MethodNotFound": 404,
    "PermissionDenied": 403,
    "UnsupportedOperation": 422,
    "EvaluationError": 422,
    "Timeout": 504,
    "InternalError": 503,
}

_OWN: Final = {
    "authentication_required": 401,
    "authentication_failed": 401,
    "unknown_command": 404,
    "session_conflict": 409,
    "session_busy": 409,
    "key_reused": 409,
    "code_conflict": 409,
    "debugger_held": 409,
    "image_id_in_use": 409,
    "session_expired": 410,
    "message_too_large": 413,
    "session_too_large": 413,
    "image_error": 502,
    "image_lost": 502,
    "outcome_unknown": 502,
    "lost_with_image": 502,
    "session_damaged": 500,
    "internal_error": 500,
}


def http_status(error: ErrorCode) -> int:
    """Tell the status of an error: 5xx only where something behind the daemon, or the daemon itself, is at fault."""
    own = _OWN.get(error.code)
    if own is not None:
        return own
    if error.envelope_code == "PermissionDenied" and error.retryable:
        return 429
    return _OF_ENVELOPE[error.envelope_code]


def all_statuses(errors: Mapping[str, ErrorCode]) -> dict[str, int]:
    """List the status of every code."""
    return {code: http_status(error) for code, error in errors.items()}
