"""The two message forms: names, replies, requests, events."""

import json
from typing import Any

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.wire.forms import (
    ErrorBody,
    EventMessage,
    Request,
    command_name,
    encode_closing,
    encode_event,
    encode_failure,
    encode_request,
    encode_success,
    request_type,
    speaks,
)

AT = "2025-08-30T10:30:00.000Z"
ERROR = ErrorBody("session_not_found", "SessionNotFound", "ObjectNotFound", False, "there is none", {"a": 1})  # noqa: FBT003 -- a Struct


def a_request(*, envelope: bool) -> Request:
    """Make a request in one of the forms."""
    return Request("r-1", "create_session", b"{}", None, envelope)


def parsed(message: bytes) -> Any:  # noqa: ANN401 -- any JSON
    """Read a message."""
    return json.loads(message)


@pytest.mark.parametrize("name", load_contract().commands)
def test_names_of_both_forms(name: str) -> None:
    """Every command's two names lead to each other, as its descriptor has them."""
    assert request_type(name) == load_contract().commands[name].request_type
    assert command_name(request_type(name)) == name


@pytest.mark.parametrize("name", ["create_session", "ping", "", "123", "éa", "A" * 65])
def test_command_name_of_what_is_not_pascal_case(name: str) -> None:
    """What is no request type comes back unchanged."""
    assert command_name(name) == name


def test_success_in_command_form() -> None:
    """The reply of the command form."""
    assert parsed(encode_success(a_request(envelope=False), {"x": 1}, AT)) == {
        "status": "success",
        "id": "r-1",
        "result": {"x": 1},
        "timestamp": AT,
    }


def test_success_in_envelope_form() -> None:
    """The reply of the envelope form carries the request's id twice and its type."""
    assert parsed(encode_success(a_request(envelope=True), {"x": 1}, AT)) == {
        "id": "r-1",
        "in_reply_to": "r-1",
        "version": "1.0.0",
        "timestamp": AT,
        "payload": {
            "type": "Response",
            "data": {"response_type": "CreateSession", "data": {"x": 1}},
        },
    }


def test_failure_in_command_form() -> None:
    """The error of the command form has the old words and the fine code."""
    assert parsed(encode_failure("r-1", ERROR, AT, envelope=False)) == {
        "status": "error",
        "id": "r-1",
        "error": "there is none",
        "error_type": "SessionNotFound",
        "code": "session_not_found",
        "retryable": False,
        "details": {"a": 1},
        "timestamp": AT,
    }


def test_failure_in_envelope_form() -> None:
    """The error of the envelope form keeps our fine code among its details."""
    data = parsed(encode_failure("r-1", ERROR, AT, envelope=True))["payload"]["data"]
    assert data == {
        "response_type": "Error",
        "data": {
            "code": "ObjectNotFound",
            "message": "there is none",
            "details": {
                "a": 1,
                "code": "session_not_found",
                "error_type": "SessionNotFound",
                "retryable": False,
            },
        },
    }


@pytest.mark.parametrize("envelope", [False, True])
def test_failure_without_an_id(envelope: bool) -> None:
    """Where no id could be read, the answer's id is null."""
    assert parsed(encode_failure(None, ERROR, AT, envelope=envelope))["id"] is None


def test_request_and_event_and_closing() -> None:
    """The messages the daemon sends unasked."""
    assert parsed(encode_request("d-1", "evaluate", {"code": "1"})) == {
        "id": "d-1",
        "command": "evaluate",
        "parameters": {"code": "1"},
    }
    event = parsed(encode_event(EventMessage("session.updated", "s", "e", 17, {}, AT)))
    assert event == {
        "event": "session.updated",
        "session_id": "s",
        "epoch": "e",
        "seq": 17,
        "data": {},
        "timestamp": AT,
    }
    closing = parsed(encode_closing(4400, "shutting_down", "because", reconnect=True))
    assert closing == {
        "event": "connection.closing",
        "data": {"code": 4400, "name": "shutting_down", "reconnect": True, "meaning": "because"},
    }


@pytest.mark.parametrize("version", ["1.0.0", "1.2.3", "1.9", "1"])
def test_version_of_the_same_major_number(version: str) -> None:
    """The same major number talks."""
    assert speaks(version)


@pytest.mark.parametrize("version", ["2.0.0", "0.9", "10.0", "", "1.x", "v1.0.0", "1.0.0-beta", "one"])
def test_version_of_another_major_number(version: str) -> None:
    """Another major number, or no number, does not."""
    assert not speaks(version)
