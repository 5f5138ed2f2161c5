"""An operation on a suspended process, in a line for a person."""

from __future__ import annotations

from typing import Any

import pytest

from stui_sessiond.commands.process_text import process_line
from stui_sessiond.wire.messages.development import DebugResult

WAITS = {"state": "suspended", "frame": {"class": "Point", "selector": "/"}, "stack": [], "locals": {}}
FAILED = {"class": "ZeroDivide", "message": "division by 0"}


@pytest.mark.parametrize(
    ("result", "told", "line"),
    [
        pytest.param(None, WAITS, "suspended in Point>>/", id="it-waits"),
        pytest.param("6", WAITS, "6", id="code-in-a-frame"),
        pytest.param(None, WAITS | {"error": FAILED}, "ZeroDivide: division by 0", id="code-that-failed"),
        pytest.param("43", {"state": "finished", "outcome": {"result": "43"}}, "finished: 43", id="it-went-on"),
        pytest.param(
            None, {"state": "finished", "outcome": {"error": FAILED}}, "finished: ZeroDivide: division by 0", id="on-to"
        ),
        pytest.param(None, {"state": "terminated"}, "terminated", id="it-was-ended"),
        pytest.param(None, {"state": "suspended", "frame": 7, "outcome": []}, "suspended", id="not-as-it-should-be"),
        pytest.param(None, {}, "", id="nothing"),
    ],
)
def test_operation_in_a_line(result: str | None, told: dict[str, Any], line: str) -> None:
    """Its value, what the process came to, or where it waits; never the JSON of all that."""
    assert process_line(DebugResult(result, told)) == line
