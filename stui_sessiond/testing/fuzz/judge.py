"""Is this answer one the contract allows? Form, schema, codes; and the order of events."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from msgspec import Struct

from stui_sessiond.contract import Contract, Descriptor
from stui_sessiond.testing.fuzz.payload import Sent
from stui_sessiond.testing.fuzz.shapes import Schema
from stui_sessiond.testing.fuzz.wishes import Wish
from stui_sessiond.wire.forms import request_type

GENERAL_CODES: Final = frozenset(
    {
        "invalid_message",
        "malformed_json",
        "invalid_utf8",
        "message_too_large",
        "message_too_deep",
        "unsupported_version",
        "unknown_command",
        "unsupported_operation",
        "authentication_required",
        "permission_denied",
        "too_many_in_flight",
        "shutting_down",
        "rate_limited",
        "command_not_allowed",
        "client_not_allowed",
        "session_damaged",
        "storage_failed",
        "storage_full",
    }
)
"""What any request may be answered with (PROTOCOL.md, Errors). `internal_error` is there too; here it is a finding."""

IMAGE_CODES: Final = frozenset(
    {
        "class_not_found",
        "method_not_found",
        "object_not_found",
        "evaluation_error",
        "invalid_parameters",
        "unsupported_operation",
    }
)
"""What an image may answer to anything, and the client gets as it is (PROTOCOL.md, Images)."""

_OUTER: Final = ("command-success", "command-failure", "envelope-response", "envelope-error", "event")
_OUTER_OF_IMAGE: Final = ("image-success", "image-failure", "image-event")
FAULT: Final = "internal_error"
MAX_DIGITS: Final = 4000
MAX_SHOWN: Final = 400


class Answer(Struct, frozen=True):
    """An answer, whatever its form."""

    id: str | None
    envelope: bool
    response_type: str | None
    code: str | None
    """None: it worked."""
    result: Any


class Judge:
    """Knows the contract. Its findings are sentences; none means that all is well."""

    def __init__(self, contract: Contract, schemas: Mapping[str, Schema]) -> None:
        self._contract = contract
        self._outer = {name: Draft202012Validator(schemas[name]) for name in (*_OUTER, *_OUTER_OF_IMAGE)}
        self._commands = {name: Draft202012Validator(schemas[name]) for name in contract.commands if name in schemas}

    @property
    def commands(self) -> Collection[str]:
        """The commands that have a schema."""
        return self._commands

    def outside(self, name: str, message: object) -> list[str]:
        """Hold a message against one of the schemas of outer forms."""
        return [_explain(name, error) for error in self._outer[name].iter_errors(message)]

    def shape(self, message: Mapping[str, Any]) -> list[str]:
        """Check the outside of an answer or an event."""
        if "event" in message:
            name = "event"
        elif "payload" in message:
            data = message["payload"].get("data") if isinstance(message["payload"], dict) else None
            failed = isinstance(data, dict) and data.get("response_type") == "Error"
            name = "envelope-error" if failed else "envelope-response"
        else:
            name = "command-failure" if message.get("status") == "error" else "command-success"
        found = self.outside(name, message)
        if not found and "event" not in message:
            found += self._registered(message)
        return found

    def _registered(self, message: Mapping[str, Any]) -> list[str]:
        """Hold an error against `errors.json`."""
        told = read_answer(message)
        if told.code is None:
            return []
        known = self._contract.errors.get(told.code)
        if known is None:
            return [f"errors.json has no code {told.code!r}"]
        inside = message["payload"]["data"]["data"]["details"] if told.envelope else message
        said = (inside.get("error_type"), inside.get("retryable"))
        if said != (known.error_type, known.retryable):
            return [f"{told.code} is {known.error_type}, retryable {known.retryable}; the answer says {said}"]
        return []

    def answer(self, sent: Sent, answer: Answer) -> list[str]:
        """Check the answer to a request."""
        if answer.code == FAULT:
            return ["the daemon has a fault: internal_error"]
        wish = sent.wish
        if not sent.sure or wish is None:
            return []
        if answer.envelope != wish.envelope:
            return [f"asked in {_form(wish.envelope)}, answered in {_form(answer.envelope)}"]
        if answer.code is not None:
            return self._refusal(self._contract.commands.get(wish.command), answer.code)
        return self._success(wish, answer)

    def _success(self, wish: Wish, answer: Answer) -> list[str]:
        if wish.refused:
            return [f"{wish.command} worked though a parameter is missing or of a wrong type"]
        if answer.envelope and answer.response_type != request_type(wish.command):
            return [f"response_type is {answer.response_type!r}, not {request_type(wish.command)!r}"]
        return self.result(wish.command, "result", answer.result)

    def _refusal(self, descriptor: Descriptor | None, code: str) -> list[str]:
        allowed = GENERAL_CODES | set(() if descriptor is None else descriptor.errors)
        if "image_error" in allowed:
            allowed |= IMAGE_CODES
        if code in allowed:
            return []
        name = "an unknown command" if descriptor is None else descriptor.command
        return [f"{name} is answered with {code}, which is neither a general code nor in its descriptor"]

    def result(self, command: str, part: str, result: object) -> list[str]:
        """Check a result (`part` is `result`), or what an image answers (`answer`)."""
        validator = self._commands.get(command)
        if validator is None:
            return [f"{command} worked, and has no schema"]
        return [_explain(command, error) for error in validator.iter_errors({part: result})][:3]


def read_message(payload: bytes) -> dict[str, Any]:
    """Read what the other side sent.

    Raises:
        ValueError: it is no JSON object in UTF-8.
    """
    message = json.loads(payload.decode(), parse_int=_integer, parse_constant=_no_constant)
    if not isinstance(message, dict):
        msg = "no JSON object"
        raise ValueError(msg)  # noqa: TRY004 -- one kind of error for a message that is none
    return message


def read_answer(message: Mapping[str, Any]) -> Answer:
    """Read an answer whose outside was checked."""
    if "payload" not in message:
        return Answer(message["id"], False, None, message.get("code"), message.get("result"))  # noqa: FBT003 -- the form
    data = message["payload"]["data"]
    if data["response_type"] != "Error":
        return Answer(message["id"], True, data["response_type"], None, data["data"])  # noqa: FBT003 -- the form
    code = data["data"].get("details", {}).get("code")
    return Answer(message["id"], True, "Error", code, None)  # noqa: FBT003 -- the form


class Streams:
    """Holds the events of one connection against the rule: `seq` goes up by one within a session's epoch."""

    def __init__(self) -> None:
        self._last: dict[str | None, tuple[str, int] | None] = {}
        self.unsure = 0
        """Requests under way that may begin or end a subscription: meanwhile a stream may begin anywhere."""

    def forget(self) -> None:
        """Let every stream begin anew: what is subscribed to has changed."""
        self._last.clear()

    def take(self, event: Mapping[str, Any]) -> list[str]:
        """Check an event whose outside was checked."""
        session, epoch, seq = event["session_id"], event["epoch"], event["seq"]
        last = self._last.get(session)
        self._last[session] = (epoch, seq)
        if last is None or self.unsure or event["event"] == "gap":
            return []
        if last == (epoch, seq - 1):
            return []
        return [f"event {event['event']} of {session} is at {epoch}/{seq}, the one before was at {last[0]}/{last[1]}"]


def _explain(name: str, error: Any) -> str:  # noqa: ANN401 -- jsonschema's error
    place = ".".join(map(str, error.absolute_path)) or "the message"
    return f"schema {name}: {place}: {error.message[:MAX_SHOWN]}"


def _form(envelope: bool) -> str:  # noqa: FBT001 -- a word for a flag
    return "envelope form" if envelope else "command form"


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < MAX_DIGITS else int(digits[:MAX_DIGITS])


def _no_constant(word: str) -> float:
    msg = f"{word} is not JSON"
    raise ValueError(msg)
