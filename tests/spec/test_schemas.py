"""Are the JSON Schemas in `protocol/schema` what the typed messages say, and do they tell good from bad?"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from stui_sessiond.wire import codec, schema
from stui_sessiond.wire.messages.image import ListImages, ListImagesResult
from stui_sessiond.wire.messages.session import ClientInfo
from stui_sessiond.wire.schema import MessagePair, all_schemas, command_schema, message_pairs, render

FOLDER = Path(__file__).parents[2] / "protocol" / "schema"
MADE = all_schemas()


def part(command: str, name: str) -> Draft202012Validator:
    """A validator for `parameters`, `result` or `answer` of a command."""
    document = MADE[command]
    return Draft202012Validator({"$ref": document["properties"][name]["$ref"], "$defs": document["$defs"]})


def test_schema_files_are_what_the_messages_say() -> None:
    """If this fails, run `python tests/spec/write_schemas.py` and look at what changed."""
    written = {file.stem: file.read_bytes() for file in FOLDER.glob("*.json")}
    made = {name: render(document) for name, document in MADE.items()}
    stale = sorted(name for name in written.keys() | made.keys() if written.get(name) != made.get(name))
    assert not stale, f"{stale} are out of date: run `python tests/spec/write_schemas.py`"


@pytest.mark.parametrize("name", sorted(MADE))
def test_schema_is_a_schema(name: str) -> None:
    """Every document is valid JSON Schema 2020-12, and every reference in it leads somewhere."""
    Draft202012Validator.check_schema(MADE[name])
    Draft202012Validator(MADE[name]).is_valid({"parameters": {}, "result": {}, "answer": {}})


def test_schema_of_a_request_has_the_fields_that_the_codec_takes_beside() -> None:
    """The schema and the codec know the same older places of parameters."""
    assert schema._TOP_LEVEL_FIELDS == codec._BESIDE


@pytest.mark.parametrize(
    ("command", "name", "value", "good"),
    [
        ("create_session", "parameters", {"client_id": "me"}, True),
        ("create_session", "parameters", {"client_id": "me", "from_the_future": 1}, True),
        ("create_session", "parameters", {}, False),
        ("create_session", "parameters", {"client_id": ""}, False),
        ("update_session_state", "parameters", {"session_id": "s", "state_data": []}, True),
        ("update_session_state", "parameters", {"session_id": "s", "state_data": 1}, False),
        ("update_session_state", "parameters", {"session_id": "s", "state_data": {}, "mode": "x"}, False),
        ("close_session", "result", {"session_id": "s"}, False),
        ("ping", "result", {"message": None, "status": "ready"}, False),
        ("ping", "answer", {}, True),
        ("evaluate", "answer", {"result": 7, "result_type": None, "execution_time": 1, "has_error": False}, True),
        ("evaluate", "answer", {"result": 7}, False),
        ("load_context", "result", {"session_id": "s", "tool_id": "t", "loaded": True}, False),
    ],
)
def test_schema_tells_good_from_bad(command: str, name: str, value: object, good: bool) -> None:
    """A value that the daemon would take or send fits; one that it would not does not."""
    assert part(command, name).is_valid(value) is good


@pytest.mark.parametrize("command", sorted(message_pairs()))
def test_schema_of_parameters_agrees_with_the_decoder_on_nothing_at_all(command: str) -> None:
    """An empty object is refused by the schema exactly where the decoder refuses it."""
    try:
        msgspec.convert({}, message_pairs()[command].parameters)
        taken = True
    except msgspec.ValidationError:
        taken = False
    assert part(command, "parameters").is_valid({}) is taken


def test_schema_of_a_failure_refuses_an_unknown_status() -> None:
    """The tag that tells success from failure is required and fixed."""
    reply: dict[str, Any] = {
        "status": "error",
        "id": None,
        "error": "text",
        "error_type": "Error",
        "code": "malformed_json",
        "retryable": False,
        "details": {},
        "timestamp": "2025-08-30T10:30:00.000Z",
    }
    validator = Draft202012Validator(MADE["command-failure"])
    assert validator.is_valid(reply)
    assert not validator.is_valid({**reply, "status": "success"})
    assert not validator.is_valid({name: value for name, value in reply.items() if name != "status"})


def test_schema_refuses_a_struct_that_is_read_and_written_differently() -> None:
    """A Struct with defaults in parameters and in the result would get one schema for two meanings."""

    class Both(msgspec.Struct):
        info: ClientInfo

    with pytest.raises(ValueError, match="two Structs"):
        command_schema(MessagePair("both", Both, type("BothResult", (Both,), {}), relayed=False))


def test_render_ends_with_a_newline_and_is_json() -> None:
    """Files are as an editor leaves them."""
    text = render(command_schema(MessagePair("list_images", ListImages, ListImagesResult, relayed=False)))
    assert text.endswith(b"}\n")
    assert json.loads(text)["title"] == "list_images"
