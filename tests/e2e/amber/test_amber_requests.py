"""The Amber image takes requests as the contract has them, and answers `ping` whatever it is busy with."""

from __future__ import annotations

import pytest

from tests.e2e.amber.bed import BUSY_LOOP, Image, Json


def test_request_unknown_command_is_unsupported(image: Image) -> None:
    """A command the image does not know is refused with unsupported_operation."""
    assert image.refusal("teleport")["code"] == "unsupported_operation"


def test_request_malformed_lines_are_ignored(image: Image) -> None:
    """Lines that are no request cost nothing but themselves."""
    image.link.send_text('garbage\n\n[1]\n{"id": "x"}\n{"command": "evaluate"}\n\u00e9{\n')
    assert image.value("3 + 4") == "7"


def test_request_unknown_fields_are_ignored(image: Image) -> None:
    """Fields nobody knows, and parameters that are null, change nothing."""
    assert image.evaluate("3 + 4", image_id="amber-test", zork=[1], context=None)["result"] == "7"


@pytest.mark.parametrize(
    ("command", "parameters", "field"),
    [
        ("evaluate", {}, "code"),
        ("evaluate", {"code": 3}, "code"),
        ("evaluate", {"code": "3", "session_id": 4}, "session_id"),
        ("evaluate", {"code": "3", "tool_id": []}, "tool_id"),
        ("evaluate", {"code": "3", "return_string": "yes"}, "return_string"),
        ("evaluate", {"code": "3", "evaluation_mode": "Dream"}, "evaluation_mode"),
        ("evaluate", {"code": "3", "context": "x"}, "context"),
        ("inspect", {}, "target"),
        ("inspect", {"target": "3", "depth": "deep"}, "depth"),
        ("browse_class", {}, "class_name"),
        ("get_method", {"class_name": "Object"}, "method_name"),
        ("list_classes", {"limit": -1}, "limit"),
        ("system_info", {"info_type": "Weather"}, "info_type"),
        ("code_completion", {"code": "x", "cursor_position": 1.5}, "cursor_position"),
        ("debug", {}, "operation"),
        ("release_session", {}, "session_id"),
        ("ping", {"message": 3}, "message"),
    ],
)
def test_request_bad_parameter_is_named(image: Image, command: str, parameters: Json, field: str) -> None:
    """A missing or mistyped parameter is refused with invalid_parameters and its name."""
    answer = image.refusal(command, **parameters)
    assert answer["code"] == "invalid_parameters"
    assert field in answer["error"]
    assert answer["details"]["field"] == field


def test_ping_while_busy_is_answered_at_once(image: Image) -> None:
    """A ping overtakes a long evaluation and says that the image is busy."""
    running = image.start("evaluate", code=BUSY_LOOP)
    ping = image.start("ping", message="hello")
    first = image.link.receive()
    assert first["id"] == ping
    assert (first["result"]["message"], first["result"]["status"]) == ("hello", "busy")
    assert image.link.answer_to(running)["status"] == "success"
    idle = image.result("ping")
    assert (idle["message"], idle["status"]) == ("", "ready")
    assert idle["uptime"] > 0
