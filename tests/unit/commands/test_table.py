"""Commands and their descriptors have to agree, or the daemon does not start."""

from typing import Any

import msgspec
import pytest

from stui_sessiond.commands.table import Command, CommandTable
from stui_sessiond.contract import Contract, Descriptor


class Nothing(msgspec.Struct):
    """No parameters."""


def a_descriptor(name: str = "wave", **changes: str) -> Descriptor:
    """Make a descriptor of a command that everybody may call."""
    fields: dict[str, Any] = {
        "request_type": "Wave",
        "family": "test",
        "sender": "client",
        "since": "0.1.0",
        "right": "connect",
    }
    return Descriptor(command=name, doc="Wave.", parameters={}, returns={}, errors=[], **{**fields, **changes})


def a_contract(*descriptors: Descriptor) -> Contract:
    """Make a contract of these commands."""
    return Contract("0.1.0", {descriptor.command: descriptor for descriptor in descriptors}, {}, {})


def a_command(name: str = "wave") -> Command:
    """Make a command that gives None."""
    return Command(name, Nothing, lambda caller, asked: None)  # noqa: ARG005 -- a handler's signature


def test_table_with_a_command() -> None:
    """It is found by its name, with its descriptor."""
    descriptor, command = a_descriptor(), a_command()
    entry = CommandTable(a_contract(descriptor), [command]).find("wave")
    assert entry is not None
    assert (entry.descriptor, entry.command) == (descriptor, command)


def test_table_without_a_command() -> None:
    """What is not in the contract is not found."""
    assert CommandTable(a_contract(), []).find("wave") is None


@pytest.mark.parametrize("changes", [{"since": "99.0.0"}, {"sender": "daemon"}])
def test_command_that_is_only_described(changes: dict[str, str]) -> None:
    """One that comes later, or that only the daemon sends, needs no handler, and may have none."""
    contract = a_contract(a_descriptor(**changes))
    entry = CommandTable(contract, []).find("wave")
    assert entry is not None
    assert entry.command is None
    with pytest.raises(ValueError, match="do not agree whether it is built"):
        CommandTable(contract, [a_command()])


def test_handler_without_a_descriptor() -> None:
    """A command that the contract does not describe cannot join."""
    with pytest.raises(ValueError, match=r"no descriptor in protocol/commands for \['sneak'\]"):
        CommandTable(a_contract(a_descriptor()), [a_command(), a_command("sneak")])


def test_command_without_a_handler() -> None:
    """A command that is said to be built has to be."""
    with pytest.raises(ValueError, match="wave: its descriptor and the code do not agree"):
        CommandTable(a_contract(a_descriptor()), [])


@pytest.mark.parametrize("right", ["", "root", "Session"])
def test_command_that_names_no_known_right(right: str) -> None:
    """The gate has to know who may."""
    with pytest.raises(ValueError, match="wave names no known right"):
        CommandTable(a_contract(a_descriptor(right=right)), [a_command()])
