"""The commands by name: each asks for what it says, and every kind of client has them all."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import pytest

from stui_sessiond.client import LastingClient
from stui_sessiond.client.blocking import BlockingClient
from stui_sessiond.client.commands import Commands, SubscribingCommands
from stui_sessiond.contract import load_contract
from stui_sessiond.wire.forms import command_name
from stui_sessiond.wire.messages import code, development, history, image, session, shared_state

T = TypeVar("T")

NOT_FOR_CLIENTS = {"capture_context", "release_session"}
PLAIN = {"hello", "create_backup"}
"""Said by the client itself, or asked for by operators with `call`."""

STRUCTS: dict[str, object] = {
    "create_session": session.CreateSession("me"),
    "update_session_state": session.UpdateSessionState("s", {}),
    "revert_session": history.RevertSession("s", version=1),
    "browse_class": development.BrowseClass(class_name="Object"),
    "get_method": development.GetMethod(class_name="Object", method_name="yourself"),
    "list_classes": development.ListClasses(),
    "complete_code": development.CodeCompletion(code="Obj", cursor_position=3),
    "system_info": development.SystemInfo(),
    "cleanup_image_sessions": image.CleanupImageSessions("pharo"),
    "debug": development.Debug(operation="stack"),
    "list_packages": code.ListPackages(),
    "get_hierarchy": code.GetHierarchy(class_name="Object"),
    "find_methods": code.FindMethods(what="senders", text="yourself"),
    "compile_method": code.CompileMethod(class_name="Object", source="yourself ^ self"),
    "remove_method": code.RemoveMethod(class_name="Object", method_name="yourself"),
    "define_class": code.DefineClass(class_name="Counter"),
    "declare_machine": shared_state.DeclareMachine("x", None),
    "apply_transition": shared_state.ApplyTransition("x", "x"),
    "remove_class": code.RemoveClass(class_name="Counter"),
}


class Recorder(SubscribingCommands):
    """Remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, type[Any]]] = []

    async def ask(self, parameters: object, wanted: type[T]) -> T:
        self.asked.append((parameters, wanted))
        return None  # type: ignore[return-value]  # nobody looks


METHODS = {
    name: method
    for name, method in inspect.getmembers(SubscribingCommands, inspect.iscoroutinefunction)
    if name != "ask"
}


@pytest.mark.parametrize("name", METHODS)
async def test_method_asks_its_command_for_its_result(name: str) -> None:
    """The Struct of the parameters names the command, and the one of the result belongs to it."""
    recorder = Recorder()
    required: list[Any] = [STRUCTS[name]] if name in STRUCTS else []
    keywords: dict[str, Any] = {}
    if not required:
        for parameter in list(inspect.signature(METHODS[name]).parameters.values())[1:]:
            if parameter.default is inspect.Parameter.empty:
                value = {"role": "viewer", "action": "request"}.get(parameter.name, "x")
                keywords[parameter.name] = value
    await getattr(recorder, name)(*required, **keywords)
    ((parameters, wanted),) = recorder.asked
    kind = type(parameters).__name__
    assert wanted.__name__ == f"{kind}Result"
    assert command_name(kind) in load_contract().commands
    assert name in {command_name(kind), "complete_code"}


def test_every_command_that_is_built_has_a_method() -> None:
    """What a client may ask, it may ask by name."""
    built = {name for name, row in load_contract().commands.items() if row.built and row.sender in {"client", "both"}}
    assert built - PLAIN - NOT_FOR_CLIENTS == {"code_completion"} | set(METHODS) - {"complete_code"}


def test_every_kind_of_client_has_the_commands() -> None:
    """A script has all that a front end has."""
    named = {name for name in vars(Commands) if name in METHODS}
    assert all(hasattr(LastingClient, name) and hasattr(BlockingClient, name) for name in named)
