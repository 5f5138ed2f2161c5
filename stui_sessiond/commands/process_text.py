"""What does a person see of an operation on a suspended process, in a line? Pure.

`debug_info` is what an image says; a part that is not as it should be is passed over.
"""

from typing import Any

from stui_sessiond.wire.messages.development import DebugResult


def process_line(answer: DebugResult) -> str:
    """Tell what the process came to, or the value of code that ran in a frame, or else where it waits."""
    told = answer.debug_info
    state = told.get("state")
    ended = told.get("outcome")
    if isinstance(ended, dict):
        came = _error(ended["error"]) if isinstance(ended.get("error"), dict) else ended.get("result")
        return f"{state}: {came}"
    if isinstance(told.get("error"), dict):
        return _error(told["error"])
    if isinstance(answer.result, str):
        return answer.result
    frame = told.get("frame")
    if isinstance(frame, dict) and frame.get("class") and frame.get("selector"):
        return f"{state} in {frame['class']}>>{frame['selector']}"
    return str(state or "")


def _error(told: dict[str, Any]) -> str:
    return f"{told.get('class')}: {told.get('message') or ''}"
