"""Every failure this daemon reports, each with the code clients can act on.

    StuiError
    ├── WireError            the bytes were no message we can act on
    ├── RefusedError         the peer may not, or not now
    ├── ParameterError       the request's own values are wrong
    ├── SessionError         the session is not there, over, or changed meanwhile
    ├── RequestError         what became of an earlier request with the same key
    ├── StorageError         the disk said no
    └── ImageError           the live image is not there, or answered with an error

A `code` is API and listed in `protocol/errors.json`, which also holds what a code means for a client
(`error_type`, `retryable`, envelope code). Texts are for people and may change at any time.
Domain code raises these; only `commands.dispatch` turns them into replies.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar


class StuiError(Exception):
    """A failure with a registered code; `details` is a JSON object for programs."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class ConfigError(Exception):
    """A setting is wrong; the text names the place, the key and what is allowed."""


# ---- WireError: the bytes were no message we can act on


class WireError(StuiError):
    """The message could not be read. `request_id` and `envelope` say how to answer, as far as they are known."""

    code = "invalid_message"

    def __init__(
        self, message: str, *, request_id: str | None = None, envelope: bool = False, **details: object
    ) -> None:
        super().__init__(message, **details)
        self.request_id = request_id
        self.envelope = envelope


class MalformedJsonError(WireError):
    """The payload is not JSON."""

    code = "malformed_json"


class InvalidUtf8Error(WireError):
    """The payload, or a string in it, is not Unicode text."""

    code = "invalid_utf8"


class MessageTooLargeError(WireError):
    """The payload is longer than this connection may send."""

    code = "message_too_large"


class MessageTooDeepError(WireError):
    """Arrays and objects are nested deeper than the limit."""

    code = "message_too_deep"


class UnsupportedVersionError(WireError):
    """The peer speaks another major version of the protocol."""

    code = "unsupported_version"


# ---- RefusedError: the peer may not, or not now


class RefusedError(StuiError):
    """The request was understood and is not carried out."""

    code = "permission_denied"


class AuthenticationRequiredError(RefusedError):
    """Nothing but `hello` is answered before the peer has said who it is."""

    code = "authentication_required"


class AuthenticationFailedError(RefusedError):
    """The token is not one of ours."""

    code = "authentication_failed"


class TooManyAttemptsError(RefusedError):
    """Too many attempts to authenticate failed from this address; no other is looked at for a while."""

    code = "too_many_attempts"


class AlreadyGreetedError(RefusedError):
    """A connection says `hello` once."""

    code = "already_greeted"


class TooManyInFlightError(RefusedError):
    """This connection has as many unanswered requests as it may have."""

    code = "too_many_in_flight"


class TooManyConnectionsError(RefusedError):
    """The token has as many connections as it may have."""

    code = "too_many_connections"


class TooManySubscriptionsError(RefusedError):
    """This connection has as many subscriptions as it may have."""

    code = "too_many_subscriptions"


class ShuttingDownError(RefusedError):
    """The daemon is stopping and takes no new work."""

    code = "shutting_down"


class ClientNotAllowedError(RefusedError):
    """The client is on the blacklist, or not on the whitelist."""

    code = "client_not_allowed"


class ImageNotAllowedError(RefusedError):
    """The image is on the blacklist, not on the whitelist, or not the one that the token is for."""

    code = "image_not_allowed"


class CommandNotAllowedError(RefusedError):
    """The operator's lists do not let this command be used."""

    code = "command_not_allowed"


class RateLimitedError(RefusedError):
    """This client asks too often; `details.retry_after` says when to ask again."""

    code = "rate_limited"


class EvaluationForbiddenError(RefusedError):
    """The operator's policy forbids this code."""

    code = "evaluation_forbidden"


class ApprovalRejectedError(RefusedError):
    """Somebody who had to agree did not."""

    code = "approval_rejected"


class ApprovalNotFoundError(RefusedError):
    """Nothing waits for a decision under this id."""

    code = "approval_not_found"


# ---- ParameterError: the request's own values are wrong


class ParameterError(StuiError):
    """A parameter is missing, mistyped or out of range; `details.field` names it."""

    code = "invalid_parameters"


class UnknownCommandError(StuiError):
    """No command has this name."""

    code = "unknown_command"


class UnsupportedOperationError(StuiError):
    """The command exists and cannot be carried out here: not built yet, or the image lacks it."""

    code = "unsupported_operation"


class InvalidPatchError(ParameterError):
    """The JSON Patch is not one, or does not apply to the present state (RFC 6902)."""

    code = "invalid_patch"


# ---- SessionError: the session is not there, over, or changed meanwhile


class SessionError(StuiError):
    """The session does not allow what was asked."""

    code = "session_error"


class SessionNotFoundError(SessionError):
    """No session has this id."""

    code = "session_not_found"


class SessionClosedError(SessionError):
    """The session was closed; it can be reopened while it is retained."""

    code = "session_closed"


class SessionExpiredError(SessionError):
    """The session expired; it can be reopened while it is retained."""

    code = "session_expired"


class SessionConflictError(SessionError):
    """The session is not at the version the client expected; nothing was changed."""

    code = "session_conflict"


class MachineInvalidError(SessionError):
    """The state machine that was declared is none; `details.place` is a JSON Pointer into it."""

    code = "machine_invalid"


class MachineMissingError(SessionError):
    """The session has no state machine."""

    code = "machine_missing"


class TransitionRequiredError(SessionError):
    """The session has a state machine: its state changes by transitions only."""

    code = "transition_required"


class RevertNotAllowedError(SessionError):
    """Going back is not for this client."""

    code = "revert_not_allowed"


class TransitionUnknownError(SessionError):
    """The machine has no such transition."""

    code = "transition_unknown"


class TransitionNotYoursError(SessionError):
    """The transition is for roles that the client does not have."""

    code = "transition_not_yours"


class TransitionNotFromHereError(SessionError):
    """The transition does not lead on from the present status."""

    code = "transition_not_from_here"


class ChangeNotAllowedError(SessionError):
    """The change is in places that the transition may not change, or leads to another status."""

    code = "change_not_allowed"


class GuardFailedError(SessionError):
    """The transition's guard does not hold."""

    code = "guard_failed"


class StateInvalidError(SessionError):
    """The state after the change would not satisfy the schema."""

    code = "state_invalid"


TransitionRefusal = (
    TransitionUnknownError
    | TransitionNotYoursError
    | TransitionNotFromHereError
    | ChangeNotAllowedError
    | GuardFailedError
    | StateInvalidError
)
"""What a state machine says to a change that it does not allow; `details.allowed` are transitions that it does."""


class VersionNotFoundError(SessionError):
    """The version or snapshot is not kept."""

    code = "version_not_found"


class SessionLimitError(SessionError):
    """The client has as many sessions as it may have."""

    code = "session_limit_reached"


class ClientQuotaError(SessionError):
    """With this change the client would have more than it may have, in all its sessions together."""

    code = "client_quota_exceeded"


class SessionNotOwnedError(SessionError):
    """The session belongs to another client."""

    code = "session_not_owned"


class SessionNotSharedError(SessionError):
    """The session belongs to another client, which has not let this one do so much."""

    code = "session_not_shared"


class NotDrivingError(SessionError):
    """Another client drives the session."""

    code = "not_driving"


class SessionBusyError(SessionError):
    """Code of the session is under way."""

    code = "session_busy"


class DebuggerHeldError(SessionError):
    """Another client works with the suspended process."""

    code = "debugger_held"


class SessionTooLargeError(SessionError):
    """With this change the session would be larger than a session may be."""

    code = "session_too_large"


# ---- RequestError: what became of an earlier request with the same key


class RequestError(StuiError):
    """The outcome of a request that was sent before, under the same idempotency key."""

    code = "outcome_not_kept"


class EvaluationNotFoundError(RequestError):
    """The session does not know an evaluation of this name."""

    code = "evaluation_not_found"


class KeyReusedError(RequestError):
    """The key named another request."""

    code = "key_reused"


class OutcomeUnknownError(RequestError):
    """The link to the image broke while it worked on the request."""

    code = "outcome_unknown"


class LostWithImageError(RequestError):
    """The image ended while it worked on the request."""

    code = "lost_with_image"


# ---- StorageError: the disk said no


class StorageError(StuiError):
    """The change could not be made durable; it did not happen."""

    code = "storage_failed"


class StorageFullError(StorageError):
    """The disk is full; reads still work."""

    code = "storage_full"


class StorageBusyError(StorageError):
    """The disk does not keep up; the change did not happen."""

    code = "storage_busy"


class SessionDamagedError(StorageError):
    """The stored session cannot be read; the file was kept aside."""

    code = "session_damaged"


# ---- ImageError: the live image is not there, or answered with an error


class ImageError(StuiError):
    """The live image did not do what was asked."""

    code = "image_error"


class ImageUnavailableError(ImageError):
    """The image is not connected; nothing was sent to it."""

    code = "image_unavailable"


class ImageLostError(ImageError):
    """The link broke after the request was sent: it may or may not have run."""

    code = "image_lost"


class ImageTimeoutError(ImageError):
    """The image did not answer in time; what was asked may still be running in it."""

    code = "image_timeout"


class ImageBusyError(ImageError):
    """The image has as many unanswered requests as a link may hold."""

    code = "image_busy"


class ImageIdInUseError(ImageError):
    """Another live image is connected under this image id."""

    code = "image_id_in_use"


class ImageNotFoundError(ImageError):
    """No image of this id is known."""

    code = "image_not_found"


class CompileError(ImageError):
    """The source does not compile."""

    code = "compile_error"


class CodeConflictError(ImageError):
    """The image has another text than the one that was changed."""

    code = "code_conflict"


class StaleHandleError(ImageError):
    """The object or process lived in an instance of the image that is gone."""

    code = "stale_handle"


class DebuggerNotFoundError(ImageError):
    """No process of this name waits at an error."""

    code = "debugger_not_found"


class EvaluationError(ImageError):
    """The expression given as a parameter raised a Smalltalk error."""

    code = "evaluation_error"


class ObjectNotFoundError(ImageError):
    """The image has no such object."""

    code = "object_not_found"


class ClassNotFoundError(ImageError):
    """The image has no such class."""

    code = "class_not_found"


class MethodNotFoundError(ImageError):
    """The class has no such method."""

    code = "method_not_found"


def error_of(code: str, message: str, details: Mapping[str, object]) -> StuiError:
    """Make the error that has a code; one that is not known here becomes the head of the family."""
    kind = _BY_CODE.get(code, StuiError)
    error = kind(message)
    error.details = details
    return error


def _family(kind: type[StuiError]) -> Iterator[type[StuiError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


_BY_CODE = {kind.code: kind for kind in _family(StuiError)}
