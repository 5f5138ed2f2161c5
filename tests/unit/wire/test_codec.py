"""Reading messages: every kind, every refusal, and whom a refusal is for."""

import json
from typing import Any

import pytest

from stui_sessiond.errors import (
    InvalidUtf8Error,
    MalformedJsonError,
    MessageTooDeepError,
    MessageTooLargeError,
    UnsupportedVersionError,
    WireError,
)
from stui_sessiond.wire.codec import GLIMPSE_BYTES, decode_message, too_large
from stui_sessiond.wire.forms import PushedEvent, Reply, Request

LIMIT = 10_000


def read(message: object, *, mend: bool = False) -> Request | Reply | PushedEvent:
    """Decode a message given as JSON value or as bytes."""
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return decode_message(payload, LIMIT, mend=mend)


def read_request(message: object) -> Request:
    """Decode what has to be a request."""
    request = read(message)
    assert isinstance(request, Request)
    return request


def refused(message: object, kind: type[WireError] = WireError, *, mend: bool = False) -> WireError:
    """Decode what has to be refused."""
    with pytest.raises(kind) as caught:
        read(message, mend=mend)
    assert type(caught.value) is kind
    return caught.value


def envelope(request_type: str = "Ping", params: object = None, **more: object) -> dict[str, Any]:
    """Make a request in envelope form."""
    data = {"request_type": request_type, "params": {} if params is None else params}
    return {"id": "e-1", "version": "1.0.0", "payload": {"type": "Request", "data": data}, **more}


# ---- what is read


def test_request_in_command_form() -> None:
    """Id, command and the text of the parameters."""
    request = read_request({"id": "a", "command": "ping", "parameters": {"message": "hi"}})
    assert (request.id, request.command, request.envelope) == ("a", "ping", False)
    assert json.loads(request.parameters) == {"message": "hi"}
    assert request.beside is None


@pytest.mark.parametrize("parameters", [{}, {"parameters": None}, {"parameters": {}}])
def test_request_without_parameters(parameters: dict[str, Any]) -> None:
    """Left out and null mean none."""
    assert read_request({"id": "a", "command": "ping", **parameters}).parameters == b"{}"


def test_request_with_parameters_beside_the_command() -> None:
    """Older senders put some parameters beside the command."""
    request = read_request(
        {"id": "a", "command": "x", "client_id": "ada", "session_id": "s", "workspace_context": {"k": 1}}
    )
    assert request.beside == {"client_id": "ada", "session_id": "s", "workspace_context": {"k": 1}}


def test_request_with_unknown_fields() -> None:
    """Unknown fields are ignored, however they look."""
    assert read_request({"id": "a", "command": "ping", "new": [1], "timestamp": 5}).command == "ping"


@pytest.mark.parametrize("field", ["version", "status", "error", "code", "details", "event", "payload"])
def test_request_with_a_mistyped_field_of_another_form(field: str) -> None:
    """A field that the command form does not use may be of any type, except that `payload` decides the form."""
    message = {"id": "a", "command": "ping", field: 5}
    assert read_request(message).command == "ping"


def test_request_in_envelope_form() -> None:
    """The Pascal-case name becomes the command."""
    request = read_request(envelope("GetSessionInfo", {"session_id": "s"}))
    assert (request.id, request.command, request.envelope) == ("e-1", "get_session_info", True)
    assert json.loads(request.parameters) == {"session_id": "s"}


def test_envelope_without_params_or_version() -> None:
    """Neither is needed."""
    request = read_request(
        {"id": "e", "payload": {"type": "Request", "data": {"request_type": "Ping"}}, "session_id": 5}
    )
    assert request.parameters == b"{}"


def test_reply_that_succeeds() -> None:
    """An image's success carries the text of its result, even of null."""
    reply = read({"id": "d-1", "status": "success", "result": None})
    assert reply == Reply("d-1", b"null")


def test_reply_that_fails() -> None:
    """An image's error carries its text, code and details."""
    reply = read({"id": "d-1", "status": "error", "error": "no", "code": "class_not_found", "details": {"a": 1}})
    assert reply == Reply("d-1", None, "no", "class_not_found", {"a": 1})


def test_reply_that_fails_without_a_word() -> None:
    """An error without text, code or details is one all the same."""
    assert read({"id": "d-1", "status": "error"}) == Reply("d-1", None, "", None, {})


def test_event_of_an_image() -> None:
    """An event needs no id; without a session it is for none."""
    event = read({"event": "transcript", "session_id": "s", "data": {"text": "x"}})
    assert isinstance(event, PushedEvent)
    assert (event.event, event.session_id) == ("transcript", "s")
    assert json.loads(event.data) == {"text": "x"}
    assert read({"event": "progress", "session_id": None}) == PushedEvent("progress", None, b"{}")


# ---- what is refused


@pytest.mark.parametrize("payload", [b"", b"{", b"nul", b'{"id":"a",}', b'{"a":1} x', b"\x00", b"'a'"])
def test_message_that_is_not_json(payload: bytes) -> None:
    """The text says that it is no JSON; there is nobody to name."""
    assert refused(payload, MalformedJsonError).request_id is None


@pytest.mark.parametrize("payload", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_message_that_is_no_object(payload: bytes) -> None:
    """JSON of another kind is no message."""
    assert "JSON object" in refused(payload).message


@pytest.mark.parametrize("message", [{"id": "a"}, {"id": "a", "command": None}, {}, {"id": "", "x": 1}])
def test_message_of_no_form(message: dict[str, Any]) -> None:
    """Neither command nor payload: the id is answered where there is one."""
    assert refused(message).request_id == (message.get("id") or None)


def test_message_of_both_forms() -> None:
    """Nobody guesses which of the two was meant."""
    assert refused({**envelope(), "command": "ping"}).request_id == "e-1"


@pytest.mark.parametrize("message", [{"command": "ping"}, {"id": "", "command": "ping"}, {"id": None, "command": "p"}])
def test_request_without_an_id(message: dict[str, Any]) -> None:
    """A request needs an id, or nobody could tell its answer."""
    error = refused(message)
    assert (error.request_id, error.envelope, error.details["field"]) == (None, False, "id")


def test_envelope_without_an_id() -> None:
    """The answer is in envelope form, too."""
    error = refused({"payload": envelope()["payload"]})
    assert (error.request_id, error.envelope) == (None, True)


def test_envelope_of_another_version() -> None:
    """The answer names the versions spoken."""
    error = refused(envelope(version="2.0.0"), UnsupportedVersionError)
    assert (error.request_id, error.envelope) == ("e-1", True)
    assert error.details == {"supported": ["1.0.0"]}


def test_envelope_that_is_no_request() -> None:
    """A peer sends requests in envelope form, nothing else."""
    message = envelope()
    message["payload"]["type"] = "Response"
    error = refused(message)
    assert (error.request_id, error.envelope, error.details["field"]) == ("e-1", True, "payload.type")


@pytest.mark.parametrize(
    ("message", "field", "in_envelope"),
    [
        ({"id": "a", "command": 5}, "command", False),
        ({"id": "a", "command": "x", "client_id": 5}, "client_id", False),
        ({"id": "a", "command": "x", "client_info": []}, "client_info", False),
        ({"id": "a", "status": 5}, "status", False),
        ({"id": "a", "event": 5}, "event", False),
        ({"id": "a", "payload": 5}, "payload", True),
        ({"id": "a", "payload": {"type": "Request"}}, "payload.data", True),
        ({"id": "a", "payload": {"type": "Request", "data": {}}}, "payload.data.request_type", True),
    ],
)
def test_message_with_a_mistyped_field(message: dict[str, Any], field: str, in_envelope: bool) -> None:
    """The answer names the field, in the form that was meant, to the id that was given."""
    error = refused(message)
    assert (error.request_id, error.envelope, error.details["field"]) == ("a", in_envelope, field)
    assert f"`{field}`" in error.message


def test_message_with_a_mistyped_id() -> None:
    """An id that is no text cannot be answered."""
    error = refused({"id": 5, "command": "ping"})
    assert (error.request_id, error.details["field"]) == (None, "id")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"status": "success", "result": 1}, "id"),
        ({"id": "a", "status": "success"}, "result"),
        ({"id": "a", "status": "maybe"}, "status"),
    ],
)
def test_reply_that_is_none(message: dict[str, Any], field: str) -> None:
    """A reply has an id, a known status, and a result if it succeeds."""
    assert refused(message).details["field"] == field


# ---- text


def test_message_that_is_not_utf8() -> None:
    """The text tells where; the id is found where it comes first."""
    error = refused(b'{"id":"a","command":"\xff"}', InvalidUtf8Error)
    assert error.request_id == "a"
    assert "byte 21" in error.message


def test_message_with_half_a_surrogate_pair() -> None:
    """A client's is refused, with the id wherever it stands."""
    payload = rb'{"command":"x","parameters":{"a":"\ud83d"},"id":"late"}'
    assert refused(payload, InvalidUtf8Error).request_id == "late"


@pytest.mark.parametrize(
    ("payload", "request_id", "in_envelope"),
    [
        (rb'{"id":"\ud83d","command":"x"}', "\ufffd", False),
        (rb'{"id":"a","payload":"\ud83d"}', "a", True),
        (rb'["\ud83d"]', None, False),
        (rb'{"id":5,"a":"\ud83d"}', None, False),
        (rb'{"a":"\ud83d"', None, False),
    ],
)
def test_whom_to_answer_about_half_a_pair(payload: bytes, request_id: str | None, in_envelope: bool) -> None:
    """Id and form are read as far as they can be."""
    error = refused(payload, InvalidUtf8Error)
    assert (error.request_id, error.envelope) == (request_id, in_envelope)


def test_half_a_surrogate_pair_from_an_image() -> None:
    """An image's is mended: what a program printed must not be lost over one character."""
    reply = read(rb'{"id":"d-1","status":"success","result":"a\ud83db"}', mend=True)
    assert isinstance(reply, Reply)
    assert json.loads(reply.result or b"") == "a\ufffdb"


# ---- size and depth


def test_message_that_is_too_large() -> None:
    """The id is found without reading the whole, if it comes first; so is the form."""
    error = refused(b'{ "id" : "big", "payload":"' + b"x" * LIMIT + b'"}', MessageTooLargeError)
    assert (error.request_id, error.envelope) == ("big", True)


def test_message_that_is_too_deep() -> None:
    """So with depth, also in a field nobody knows."""
    error = refused(b'{"id":"deep","command":"x","new":' + b"[" * 65 + b"]" * 65 + b"}", MessageTooDeepError)
    assert (error.request_id, error.envelope) == ("deep", False)


@pytest.mark.parametrize(
    "head",
    [
        b'{"command":"x","id":"a"',
        b'{"id":5',
        b'{"id":""',
        b'{"id":"a\\n"',
        b'{"id":"' + b"x" * 257 + b'"',
        b'{"id":"\xc3\xa9"',
        b" " * GLIMPSE_BYTES + b'{"id":"a"',
    ],
)
def test_glimpse_that_finds_no_id(head: bytes) -> None:
    """An id elsewhere, empty, escaped, too long or not ASCII is not looked for."""
    assert too_large(head + b"," * LIMIT, LIMIT).request_id is None


def test_glimpse_of_the_longest_id() -> None:
    """An id of 256 characters is found."""
    error = too_large(b'{"id":"' + b"x" * 256 + b'","command"', LIMIT)
    assert error.request_id == "x" * 256
    assert error.details == {"limit_bytes": LIMIT}
