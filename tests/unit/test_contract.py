"""The contract as the daemon reads it."""

import inspect
from typing import Any

import msgspec

from stui_sessiond import errors
from stui_sessiond.commands.table import RIGHTS
from stui_sessiond.contract import load_contract, protocol_folder


def all_errors() -> set[type[errors.StuiError]]:
    """List the exception tree."""
    found = (member for _, member in inspect.getmembers(errors, inspect.isclass))
    return {member for member in found if issubclass(member, errors.StuiError)}


def test_contract_is_read_once() -> None:
    """Everybody shares one."""
    assert load_contract() is load_contract()


def test_contract_has_every_code_that_is_raised() -> None:
    """Each exception's code is registered, and each registered code is an exception's."""
    assert {error.code for error in all_errors()} == set(load_contract().errors)


def test_contract_uses_the_words_that_clients_match_on() -> None:
    """Four error types, nine envelope codes, and no other."""
    registered = load_contract().errors.values()
    assert {error.error_type for error in registered} <= {"SessionError", "SessionNotFound", "RuntimeError", "Error"}
    assert all(error.help for error in registered)


def test_contract_describes_every_command() -> None:
    """File names, rights, senders and errors are known ones; each field has a type and a sentence."""
    contract = load_contract()
    files = {file.name.removesuffix(".json") for file in (protocol_folder() / "commands").iterdir()}
    assert files == set(contract.commands)
    for descriptor in contract.commands.values():
        assert descriptor.right in RIGHTS
        assert descriptor.sender in {"client", "both", "daemon"}
        assert set(descriptor.errors) <= set(contract.errors), descriptor.command
        fields: list[dict[str, Any]] = [*descriptor.parameters.values(), *descriptor.returns.values()]
        assert all(field["type"] and field["doc"] for field in fields), descriptor.command


def test_command_that_comes_later() -> None:
    """A version that is not reached yet is not built."""
    commands = load_contract().commands
    assert commands["ping"].built
    assert commands["get_request_status"].built
    assert not msgspec.structs.replace(commands["ping"], since="99.0.0").built


def test_contract_names_the_role_that_each_command_takes_in_a_session() -> None:
    """Every command that a client may send about one session has one, and none that is about no session."""
    named: dict[str | None, set[str]] = {}
    for descriptor in load_contract().commands.values():
        named.setdefault(descriptor.session_role, set()).add(descriptor.command)
        assert descriptor.session_role is None or "session_id" in descriptor.parameters, descriptor.command
    assert set(named) == {None, "viewer", "editor", "owner"}
    assert {"subscribe", "get_digest", "get_presence", "get_request_status"} <= named["viewer"]
    assert {"evaluate", "update_session_state", "save_context", "drive_session"} <= named["editor"]
    assert {"share_session", "detach_client", "close_session"} <= named["owner"]


def test_close_reasons_tell_whether_to_come_back() -> None:
    """4000 to 4399 need mending first, 4400 to 4799 are worth another try."""
    for reason in load_contract().close_reasons.values():
        assert 4000 <= reason.code < 4800
        assert reason.reconnect == (reason.code >= 4400)
