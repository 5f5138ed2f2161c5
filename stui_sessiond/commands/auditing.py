"""What of the requests goes into the audit log? Said in the descriptors (`audited`) and here, once for all commands.

Commands that run code have an entry when they are accepted, because nobody knows whether they end, and one when they
do. Other audited commands have one at their end. Refusals have one whatever the command is.
"""

import hashlib
from typing import Any

import msgspec

from stui_sessiond.commands.table import Caller
from stui_sessiond.contract import Descriptor
from stui_sessiond.errors import StuiError
from stui_sessiond.security.audit import NO_AUDIT, Actor, AuditLog, Event, Word

DENIALS = frozenset(
    {
        "permission_denied",
        "authentication_required",
        "authentication_failed",
        "client_not_allowed",
        "session_not_owned",
        "session_not_shared",
        "image_not_allowed",
        "command_not_allowed",
        "rate_limited",
        "evaluation_forbidden",
        "approval_rejected",
        "revert_not_allowed",
    }
)
"""Codes that mean that somebody tried what is not theirs to do."""

_NAMED: dict[str, tuple[str, ...]] = {
    "share_session": ("client_id", "role"),
    "declare_machine": ("reset",),
    "detach_client": ("client_id", "connection_id"),
    "drive_session": ("action", "to_client_id"),
    "close_session": ("save_state",),
    "create_backup": ("reason",),
    "set_log_level": ("level", "logger"),
    "approve": ("approval_id",),
    "reject": ("approval_id",),
    "reapply_code_changes": ("dry_run", "force"),
    "interrupt_evaluation": ("evaluation", "tool_id", "force"),
    "evaluate_on": ("image_ids",),
}
"""The parameters that an entry tells, by command: ids and words of the contract, no content."""

MAX_NAMES_CHARS = 1000
"""How much of a list of names an entry tells."""

_HASHED = ("code", "source", "target", "operation", "expression", "context")
"""Parameters that an entry tells the size and SHA-256 of: code, and what is evaluated like it."""


class Note(msgspec.Struct, frozen=True):
    """What is known of an accepted request."""

    session_id: str | None
    image_id: str | None
    details: dict[str, Word]
    actor: Actor | None = None
    """Who sent it, if there is an entry that says so already."""


class RequestAudit:
    """Writes requests down."""

    def __init__(self, log: AuditLog = NO_AUDIT) -> None:
        self._log = log

    def accept(self, descriptor: Descriptor, caller: Caller, parameters: Any) -> Note | None:  # noqa: ANN401 -- the command's own
        """Take note of a request that is about to be carried out; None when it is not one to write down."""
        if not descriptor.audited:
            return None
        note = Note(
            _text(parameters, "session_id"),
            _text(parameters, "image_id") or _text(getattr(parameters, "identity", None), "image_id"),
            _details(descriptor.command, parameters),
            caller.actor if descriptor.right == "eval" else None,
        )
        if note.actor is not None:
            self._log.record(
                "command.accepted",
                note.actor,
                command=descriptor.command,
                session_id=note.session_id,
                image_id=note.image_id,
                details=note.details,
            )
        return note

    def end(self, command: str, caller: Caller, note: Note | None, error: Exception | None = None) -> None:
        """Write down how a request ended, if it is one to write down, or was denied."""
        outcome = "ok" if error is None else error.code if isinstance(error, StuiError) else "internal_error"
        if note is None:
            if outcome in DENIALS:
                self._log.record("permission.denied", caller.actor, outcome=outcome, command=command)
            return
        is_hello = command == "hello"
        ended: Event = ("peer.admitted" if error is None else "peer.refused") if is_hello else "command.ended"
        self._log.record(
            ended,
            note.actor or caller.actor,
            outcome=outcome,
            command=None if is_hello else command,
            session_id=note.session_id,
            image_id=note.image_id,
            details=note.details,
        )


def _text(parameters: object, name: str) -> str | None:
    value = getattr(parameters, name, None)
    return value if isinstance(value, str) else None


def _details(command: str, parameters: object) -> dict[str, Word]:
    if command == "hello":
        return {"claimed_client_id": _text(parameters, "client_id"), "claimed_role": _text(parameters, "role")}
    found: dict[str, Word] = {}
    for name in _NAMED.get(command, ()):
        value = getattr(parameters, name, None)
        if isinstance(value, list):
            found[f"{name}_count"], value = len(value), ", ".join(value)[:MAX_NAMES_CHARS]
        found[name] = value if isinstance(value, str | bool) else None
    for name in _HASHED:
        value = getattr(parameters, name, None)
        if value is not None and value is not msgspec.UNSET:
            data = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
            found[f"{name}_bytes"] = len(data)
            found[f"{name}_sha256"] = hashlib.sha256(data).hexdigest()
    return found
