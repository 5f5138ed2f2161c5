"""Do the session, context and history commands give the same results in both forms, over every transport?"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from stui_sessiond.testing.talk import Talk, Target
from stui_sessiond.wire.forms import request_type
from tests.conformance.bed import FACTORIES, Bed, running_daemon

Json = dict[str, Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SESSION = re.compile(r"session_[0-9]+_[0-9]+_[A-Za-z0-9_-]+")
_SAVE = {"workspace": {"text": "3 + 4", "bindings": {"x": {"value": "7"}}}, "client": {"n": 2**70}}
_STATE = {"panels": ["workspace"], "zoom": 1.5, "name": "Grüße 🐿"}
_COMMANDS: tuple[tuple[str, Json], ...] = (
    ("create_session", {"client_id": "twin", "name": "twins", "client_info": {"platform": "x"}}),
    ("update_session_state", {"state_data": _STATE, "workspace_context": {"text": "x"}}),
    ("save_context", {"tool_id": "w", "context": _SAVE}),
    ("load_context", {"tool_id": "w"}),
    ("get_context_summary", {}),
    ("clear_context", {"tool_id": "w"}),
    ("snapshot_session", {"name": "first ☕"}),
    ("get_session_history", {}),
    ("get_session_at", {"name": "first ☕"}),
    ("revert_session", {"version": 2}),
    ("list_snapshots", {}),
    ("get_session_info", {}),
    ("list_client_sessions", {"client_id": "twin"}),
    ("restore_session", {}),
    ("get_session_statistics", {}),
    ("close_session", {"save_state": False}),
)
_VARY = {"size_bytes", "saved_at", "epoch"}
"""What is stored holds times, with more digits or fewer; each session has an epoch of its own."""
_WITHOUT_SESSION = {"create_session", "list_client_sessions", "get_session_statistics"}


def in_command_form(command: str, parameters: Json) -> tuple[Json, Callable[[Json], Json]]:
    """A request, and how to find the result in its reply."""
    return {"id": "1", "command": command, "parameters": parameters}, lambda reply: reply["result"]


def in_envelope_form(command: str, parameters: Json) -> tuple[Json, Callable[[Json], Json]]:
    """The same in the other form."""
    data = {"request_type": request_type(command), "params": parameters}
    return (
        {"id": "1", "version": "1.0.0", "payload": {"type": "Request", "data": data}},
        lambda reply: reply["payload"]["data"]["data"],
    )


Form = Callable[[str, Json], tuple[Json, Callable[[Json], Json]]]


def plain(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    """Put words in the place of ids, times and durations."""
    if isinstance(value, dict):
        return {key: key.upper() if key in _VARY else plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return _SESSION.sub("SESSION", _TIME.sub("TIME", value))
    return value


async def results_of(target: Target, form: Form) -> Json:
    """Carry out the commands, one after the other."""
    results: Json = {}
    talk = Talk(target, await target.open())
    try:
        session_id = ""
        for command, parameters in _COMMANDS:
            sent = {} if command in _WITHOUT_SESSION else {"session_id": session_id}
            request, result_in = form(command, {**sent, **parameters})
            await talk.send(request)
            result = result_in(await talk.receive())
            session_id = session_id or result["session_id"]
            results[command] = plain(result)
    finally:
        await talk.link.close()
    for result in (results["get_session_info"], *results["list_client_sessions"]["sessions"]):
        result["time_until_expiry"] = round(result["time_until_expiry"], -3)
    statistics = results["get_session_statistics"]
    for name in ("uptime_seconds", "connections", "images", "storage"):
        statistics[name] = type(statistics[name]).__name__
    return results


@pytest.fixture(scope="module")
def reference() -> Json:
    """The results in command form over TCP."""
    with running_daemon(FACTORIES["tcp"], "none") as tcp:
        return tcp.runner.run(results_of(tcp.target, in_command_form))


@pytest.mark.parametrize("form", [in_command_form, in_envelope_form])
def test_commands_in_both_forms_over_all_transports(bed: Bed, form: Form, reference: Json) -> None:
    """Whoever asks in whatever way gets the same."""
    found = bed.runner.run(results_of(bed.target, form))
    assert len(found) == len(_COMMANDS)
    assert found == reference
