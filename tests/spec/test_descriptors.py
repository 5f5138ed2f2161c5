"""Do the descriptors in `protocol/commands` say the same as the Structs and the handlers?"""

import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from stui_sessiond.commands import development
from stui_sessiond.commands.table import RIGHTS, CommandTable
from stui_sessiond.contract import Descriptor, load_contract
from stui_sessiond.daemon import Daemon
from stui_sessiond.images import link
from stui_sessiond.settings import Settings
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.wire.forms import command_name, request_type
from stui_sessiond.wire.schema import MessagePair, message_pairs

CONTRACT = load_contract()
PAIRS = message_pairs()
COMMANDS = sorted(CONTRACT.commands)
BUILT = sorted(name for name, descriptor in CONTRACT.commands.items() if descriptor.built)
HANDLED = sorted(name for name in BUILT if CONTRACT.commands[name].sender != "daemon")
SENDERS = {"client", "daemon", "both"}
ROLES = ("viewer", "editor", "owner")
KEYED = {
    "create_session",
    "update_session_state",
    "save_context",
    "revert_session",
    "evaluate",
    "debug",
    "declare_machine",
    "apply_transition",
}
"""Commands that take an idempotency key."""
JSON_TYPES = {"string", "integer", "number", "boolean", "object", "array", "null", "any"}

Schema = dict[str, Any]


def described(name: str) -> tuple[Descriptor, MessagePair]:
    """The two descriptions of one built command."""
    return CONTRACT.commands[name], PAIRS[name]


def properties(kind: type[msgspec.Struct]) -> dict[str, Schema]:
    """The JSON Schema of each field of a Struct, by the field's name on the wire."""
    _, components = msgspec.json.schema_components((kind,))
    found: dict[str, Schema] = components[kind.__name__]["properties"]
    return found


def json_types(schema: Schema) -> set[str]:
    """The words of a descriptor's `type` for a JSON Schema."""
    if not schema.keys() - {"default"}:
        return {"any"}
    if "anyOf" in schema:
        return set().union(*map(json_types, schema["anyOf"]))
    if "$ref" in schema:
        return {"object"}
    if "enum" in schema:
        return {"string"}
    return {schema["type"]}


@pytest.fixture(scope="module")
def table() -> CommandTable:
    """The commands as the daemon puts them together."""
    daemon = Daemon(Settings(), MemoryStorage())
    return daemon.server.dispatcher.table


def test_structs_of_built_commands_are_there_and_no_others() -> None:
    """Every built command has a pair of Structs, and every pair of Structs a built command."""
    assert sorted(PAIRS) == BUILT


@pytest.mark.parametrize("name", COMMANDS)
def test_descriptor_names_agree(name: str) -> None:
    """A file is called after its command, and the two spellings turn into each other."""
    descriptor = CONTRACT.commands[name]
    assert (Path(__file__).parents[2] / "protocol" / "commands" / f"{name}.json").is_file()
    assert request_type(name) == descriptor.request_type
    assert command_name(descriptor.request_type) == name


@pytest.mark.parametrize("name", COMMANDS)
def test_descriptor_uses_known_words(name: str) -> None:
    """Right, sender, types and errors are of those there are, and everything is explained."""
    descriptor = CONTRACT.commands[name]
    assert descriptor.right in RIGHTS
    assert descriptor.sender in SENDERS
    assert descriptor.doc.endswith(".")
    assert set(descriptor.errors) <= CONTRACT.errors.keys()
    assert len(set(descriptor.errors)) == len(descriptor.errors)
    for field in (*descriptor.parameters.values(), *descriptor.returns.values()):
        assert set(field["type"].split("|")) <= JSON_TYPES
        assert field["doc"]


@pytest.mark.parametrize("name", HANDLED)
def test_command_about_a_session_names_the_role_it_takes(name: str) -> None:
    """Whoever names a session needs a role in it; a command that names none needs none."""
    descriptor = CONTRACT.commands[name]
    assert (descriptor.session_role is not None) == ("session_id" in descriptor.parameters)
    assert descriptor.session_role in {*ROLES, None}


@pytest.mark.parametrize("name", HANDLED)
def test_errors_of_roles_and_keys_are_listed(name: str) -> None:
    """What the gate and the book of requests may answer stands in the descriptors of which it is true, and no other."""
    descriptor = CONTRACT.commands[name]
    keyed = "idempotency_key" in descriptor.parameters and name != "get_request_status"
    assert ("session_not_shared" in descriptor.errors) == (descriptor.session_role is not None)
    assert ("not_driving" in descriptor.errors) == (descriptor.session_role == "editor")
    assert keyed == (name in KEYED)
    assert ("key_reused" in descriptor.errors) == keyed
    reads_outcomes = name in {"get_result_page", "get_error_report"}
    assert ("outcome_not_kept" in descriptor.errors) == (reads_outcomes or (keyed and name != "create_session"))
    runs_code = name in link.RUNS_CODE
    assert {"outcome_unknown", "lost_with_image"} & set(descriptor.errors) == (
        {"outcome_unknown", "lost_with_image"} if runs_code else set()
    )


def test_who_only_looks_needs_no_more_than_to_view() -> None:
    """A command that takes the right `observe` changes nothing, so it asks for the weakest role."""
    looking = [CONTRACT.commands[name] for name in HANDLED if CONTRACT.commands[name].right == "observe"]
    assert {descriptor.session_role for descriptor in looking} <= {"viewer", None}


@pytest.mark.parametrize("name", BUILT)
def test_parameter_names_and_types_equal_the_struct(name: str) -> None:
    """Parameters are the same in both places, and of the same types."""
    descriptor, pair = described(name)
    wanted = {field: json_types(schema) for field, schema in properties(pair.parameters).items()}
    assert {n: set(p["type"].split("|")) for n, p in descriptor.parameters.items()} == wanted


@pytest.mark.parametrize("name", BUILT)
def test_parameter_required_equals_the_struct(name: str) -> None:
    """The same parameters are required."""
    descriptor, pair = described(name)
    wanted = {f.encode_name: f.required for f in msgspec.structs.fields(pair.parameters)}
    assert {n: p["required"] for n, p in descriptor.parameters.items()} == wanted


@pytest.mark.parametrize("name", BUILT)
def test_parameter_defaults_and_values_equal_the_struct(name: str) -> None:
    """A default that is not null and a list of values are the same in both places."""
    descriptor, pair = described(name)
    for field, schema in properties(pair.parameters).items():
        parameter = descriptor.parameters[field]
        assert parameter.get("default") == schema.get("default"), field
        assert sorted(parameter.get("values", [])) == sorted(schema.get("enum", [])), field


@pytest.mark.parametrize("name", BUILT)
def test_returned_names_and_types_equal_the_struct(name: str) -> None:
    """Result fields are the same in both places, and of the same types."""
    descriptor, pair = described(name)
    wanted = {field: json_types(schema) for field, schema in properties(pair.result).items()}
    assert {n: set(r["type"].split("|")) for n, r in descriptor.returns.items()} == wanted


@pytest.mark.parametrize("name", BUILT)
def test_returned_always_equals_the_struct(name: str) -> None:
    """A field that is always there is never left out by the Struct, and the other way round."""
    descriptor, pair = described(name)
    assert not pair.result.__struct_config__.omit_defaults
    wanted = {f.encode_name: f.default is not UNSET for f in msgspec.structs.fields(pair.result)}
    assert {n: r["always"] for n, r in descriptor.returns.items()} == wanted


@pytest.mark.parametrize("name", HANDLED)
def test_built_command_has_a_handler_for_its_structs(name: str, table: CommandTable) -> None:
    """The handler takes the command's parameters and gives its result."""
    entry = table.find(name)
    assert entry is not None
    assert entry.command is not None
    assert entry.command.parameters is PAIRS[name].parameters
    given = typing.get_type_hints(entry.command.handle).get("return")
    assert {PAIRS[name].result, Any} & {given, *typing.get_args(given)}  # it, or an awaitable of it


def test_relayed_results_are_those_of_their_commands() -> None:
    """The table of relayed commands names the Structs of each command."""
    for name, parameters, result in development._RELAYED:
        assert (parameters, result) == (PAIRS[name].parameters, PAIRS[name].result)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(HANDLED)))
def test_command_that_is_not_built_or_not_ours_has_no_handler(name: str, table: CommandTable) -> None:
    """What is only described, or only sent by the daemon, is not carried out."""
    entry = table.find(name)
    assert entry is not None
    assert entry.command is None
