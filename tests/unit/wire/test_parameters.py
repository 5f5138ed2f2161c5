"""Reading what is inside a message: parameters, results, and what is said of mistakes in them."""

import json
from typing import Any

import msgspec
import pytest

from stui_sessiond.errors import MalformedJsonError, ParameterError, StuiError
from stui_sessiond.wire.codec import decode_parameters, decode_result, explain
from stui_sessiond.wire.forms import Reply, Request
from stui_sessiond.wire.messages.development import Evaluate, EvaluateResult
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState


def asked(parameters: object, beside: dict[str, Any] | None = None) -> Request:
    """Make a request with these parameters."""
    text = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
    return Request("a", "some_command", text, beside, envelope=False)


def test_parameters_of_a_command() -> None:
    """They become the command's Struct; unknown ones are ignored."""
    found = decode_parameters(asked({"client_id": "ada", "timeout": 60, "new": 1}), CreateSession)
    assert found == CreateSession("ada", timeout=60.0)


def test_parameters_beside_the_command() -> None:
    """They count, and those inside win."""
    request = asked({"client_id": "inside"}, {"client_id": "beside", "client_info": {"platform": "x"}})
    found = decode_parameters(request, CreateSession)
    assert found.client_id == "inside"
    assert found.client_info is not None
    assert found.client_info.platform == "x"


@pytest.mark.parametrize("beside", [None, {"session_id": "s"}])
@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"session_id": "s"}, "state_data"),
        ({"session_id": "s", "state_data": 5}, "state_data"),
        ({"session_id": "", "state_data": {}}, "session_id"),
        ({"session_id": "x" * 257, "state_data": {}}, "session_id"),
        ({"session_id": "s", "state_data": {}, "mode": "upsert"}, "mode"),
        ({"session_id": "s", "state_data": {}, "expected_version": -1}, "expected_version"),
    ],
)
def test_parameters_that_are_wrong(parameters: dict[str, Any], field: str, beside: dict[str, Any] | None) -> None:
    """The error names the command and the field, wherever parameters stood."""
    with pytest.raises(ParameterError) as caught:
        decode_parameters(asked(parameters, beside), UpdateSessionState)
    assert caught.value.details == {"field": field}
    assert caught.value.message.startswith("some_command: ")


def test_parameters_that_are_no_object() -> None:
    """The whole is wrong, not a field of it."""
    with pytest.raises(ParameterError) as caught:
        decode_parameters(asked([1]), CreateSession)
    assert caught.value.details == {"field": None}


def test_parameter_deep_inside() -> None:
    """The path to it is dotted."""
    with pytest.raises(ParameterError) as caught:
        decode_parameters(asked({"client_id": "a", "client_info": {"platform": 5}}), CreateSession)
    assert caught.value.details == {"field": "client_info.platform"}


@pytest.mark.parametrize("parameters", [rb'{"code":"\x"}', b'{"code":"\n"}'])
def test_parameters_that_were_only_skipped_over(parameters: bytes) -> None:
    """What is wrong inside a string is found when it is read at last."""
    with pytest.raises(MalformedJsonError):
        decode_parameters(asked(parameters), Evaluate)


def test_number_beyond_all_bounds() -> None:
    """A number that no double can hold is refused, not made infinite."""
    with pytest.raises(ParameterError):
        decode_parameters(asked(b'{"session_id":"s","state_data":{"a":1e999}}'), UpdateSessionState)


def test_result_of_an_image() -> None:
    """It becomes the command's Struct."""
    text = b'{"result":"7","result_type":"SmallInteger","execution_time":1,"has_error":false}'
    assert decode_result(Reply("d", text), EvaluateResult).result == "7"


@pytest.mark.parametrize("text", [b"null", b"{}", b"[]", b'{"result":1}', None])
def test_result_of_another_shape(text: bytes | None) -> None:
    """An image that does not keep to the agreement is found out."""
    with pytest.raises(StuiError, match="agreed shape"):
        decode_result(Reply("d", text), EvaluateResult)


@pytest.mark.parametrize(
    ("text", "reason", "field"),
    [
        ("Expected `int`, got `str` - at `$.a.b`", "`a.b`: expected `int`, got `str`", "a.b"),
        ("Expected `int`, got `str`", "expected `int`, got `str`", None),
        ("Object missing required field `x`", "`x` is missing", "x"),
        ("Object missing required field `x` - at `$.a`", "`a.x` is missing", "a.x"),
    ],
)
def test_explanation_of_a_mistake(text: str, reason: str, field: str | None) -> None:
    """The library's sentence is split into a reason and a field."""
    assert explain(msgspec.ValidationError(text)) == (reason, field)
