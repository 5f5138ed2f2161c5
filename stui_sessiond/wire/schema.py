"""What do the messages look like to somebody who has no Python? JSON Schema 2020-12, built from the typed messages.

Pure: makes documents, writes no files. `protocol/schema/` holds what it makes, and a test holds the two together.
A command belongs to the pair of Structs that is named after it: `CreateSession` and `CreateSessionResult`. A command
that is described and not built yet has no Structs, and so no schema.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from stui_sessiond.wire import forms
from stui_sessiond.wire.messages import (
    approval,
    code,
    connection,
    context,
    development,
    evaluation,
    event,
    history,
    image,
    kept,
    mirror,
    operation,
    overview,
    session,
    shared_state,
    sharing,
    storage,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_MODULES: Final = (
    approval,
    code,
    connection,
    context,
    development,
    evaluation,
    event,
    history,
    image,
    kept,
    mirror,
    operation,
    overview,
    session,
    shared_state,
    sharing,
    storage,
)
_ANSWERED_BY_IMAGES: Final = (code, development)
_RESULT: Final = "Result"

_TOP_LEVEL_FIELDS: Final = ("client_id", "session_id", "client_info", "workspace_context", "object_registry")
"""What older senders put beside `command`."""

_STRING: Final = {"type": "string"}
_NON_EMPTY: Final = {"type": "string", "minLength": 1}
_OBJECT: Final = {"type": "object"}
_OBJECT_OR_NULL: Final = {"anyOf": [{"type": "object"}, {"type": "null"}]}
_STRING_OR_NULL: Final = {"anyOf": [{"type": "string"}, {"type": "null"}]}

Schema = dict[str, Any]


class MessagePair(Struct, frozen=True):
    """The two Structs of one command."""

    command: str
    parameters: type[Struct]
    result: type[Struct]
    relayed: bool
    """Whether an image answers it, so that there is a third shape: what the image may send."""


def message_pairs() -> dict[str, MessagePair]:
    """Find the Structs of every built command, by command name."""
    found = {}
    for module in _MODULES:
        structs = _structs(module)
        for name, parameters in structs.items():
            result = structs.get(name + _RESULT)
            if result is not None:
                command = forms.command_name(name)
                found[command] = MessagePair(command, parameters, result, module in _ANSWERED_BY_IMAGES)
    return dict(sorted(found.items()))


def command_schema(pair: MessagePair) -> Schema:
    """Describe `parameters`, `result` and, for a relayed command, the `answer` an image gives."""
    definitions: Schema = {}
    properties = {
        "parameters": _add(pair.parameters, definitions, "{name}"),
        "result": _add(pair.result, definitions, "{name}", as_written=True),
    }
    if pair.relayed:
        properties["answer"] = _add(pair.result, definitions, "{name}FromImage")
    notes = ["`parameters`: what the sender gives.", "`result`: what the daemon answers."]
    if pair.relayed:
        notes.append("`answer`: what an image may answer; the daemon fills in the fields it leaves out.")
    return {
        **_head(pair.command, " ".join(notes)),
        "type": "object",
        "properties": properties,
        "$defs": dict(sorted(definitions.items())),
    }


def outer_schemas() -> dict[str, Schema]:
    """Describe the outer form of every kind of message, by file name without `.json`."""
    return {
        "command-request": _outer(
            "command-request",
            "Command form: a request. The fields beside `command` are for older senders.",
            {
                "id": _NON_EMPTY,
                "command": _STRING,
                "parameters": _OBJECT_OR_NULL,
                **_picked(forms.Incoming, _TOP_LEVEL_FIELDS),
            },
            ["id", "command"],
        ),
        "command-success": _struct_form("command-success", "Command form: it worked.", forms.CommandSuccess),
        "command-failure": _struct_form("command-failure", "Command form: it did not.", forms.CommandFailure),
        "envelope-request": _outer(
            "envelope-request",
            "Envelope form: a request.",
            {
                "id": _NON_EMPTY,
                "version": _STRING_OR_NULL,
                "timestamp": {},
                "payload": _record(
                    {
                        "type": {"const": "Request"},
                        "data": _record({"request_type": _STRING, "params": _OBJECT_OR_NULL}, ["request_type"]),
                    }
                ),
            },
            ["id", "payload"],
        ),
        "envelope-response": _envelope(
            "envelope-response",
            "Envelope form: it worked.",
            {"type": "string", "not": {"const": "Error"}},
            {},
        ),
        "envelope-error": _envelope(
            "envelope-error", "Envelope form: it did not.", {"const": "Error"}, _plain(forms.EnvelopeError)
        ),
        "event": _struct_form("event", "An event on its way to a subscriber.", forms.EventMessage),
        "closing": _struct_form("closing", "The last line of a connection.", forms.ClosingEvent),
        "opened": _struct_form("opened", "The first event of a stream over HTTP.", connection.OpenedEvent),
        "image-success": _outer(
            "image-success",
            "An image's answer: it worked. `result` is the command's `answer`.",
            {"id": _NON_EMPTY, "status": {"const": "success"}, "result": _OBJECT},
            ["id", "status", "result"],
        ),
        "image-failure": _outer(
            "image-failure",
            "An image's answer: it did not work.",
            {
                "id": _NON_EMPTY,
                "status": {"const": "error"},
                **_picked(forms.Incoming, ("error", "code", "details")),
            },
            ["id", "status"],
        ),
        "image-event": _outer(
            "image-event",
            "What an image tells without being asked; without `session_id` where it concerns no session alone.",
            {"event": _STRING, "session_id": _NON_EMPTY, "data": _OBJECT_OR_NULL},
            ["event"],
        ),
    }


def all_schemas() -> dict[str, Schema]:
    """Make every document of `protocol/schema/`, by file name without `.json`."""
    commands = {name: command_schema(pair) for name, pair in message_pairs().items()}
    return {**commands, **outer_schemas()}


def render(schema: Schema) -> bytes:
    """Write a document as its file has it."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


# ---- inside


def _structs(module: ModuleType) -> dict[str, type[Struct]]:
    """List the Structs that a module defines itself."""
    return {
        name: kind
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Struct) and kind.__module__ == module.__name__
    }


def _head(name: str, description: str) -> Schema:
    return {"$schema": DIALECT, "$id": f"urn:stui:schema:{name}", "title": name, "description": description}


def _add(kind: type[Struct], definitions: Schema, names: str, *, as_written: bool = False) -> Schema:
    """Put a Struct and all it is made of under names of that pattern; return a reference to it.

    `as_written` counts every field that is always written as required; otherwise only those that a reader needs.
    """
    (reference,), components = msgspec.json.schema_components((kind,), ref_template=f"#/$defs/{names}")
    if as_written:
        for part in _parts(kind):
            _require(components[part.__name__], part)
    for plain_name, schema in components.items():
        name = names.format(name=plain_name)
        if definitions.setdefault(name, schema) != schema:
            msg = f"{name} is read in one way and written in another; give it two Structs"
            raise ValueError(msg)
    return dict(reference)


def _parts(kind: type[Struct]) -> Iterator[type[Struct]]:
    """Go through the Struct and all Structs inside it."""
    seen: set[type[Struct]] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            yield info.cls
            waiting.extend(field.type for field in info.fields)
        elif isinstance(info, msgspec.inspect.UnionType):
            waiting.extend(info.types)
        elif isinstance(info, msgspec.inspect.ListType):
            waiting.append(info.item_type)
        elif isinstance(info, msgspec.inspect.DictType):
            waiting.append(info.value_type)


def _require(schema: Schema, kind: type[Struct]) -> None:
    """Count the fields that are always written as required, and name no defaults: a reader needs none."""
    fields = msgspec.structs.fields(kind)
    leaves_out = kind.__struct_config__.omit_defaults
    tag = kind.__struct_config__.tag_field
    schema["required"] = [
        *([] if tag is None else [tag]),
        *(f.encode_name for f in fields if f.default is not UNSET and (f.required or not leaves_out)),
    ]
    if not leaves_out:
        for described in schema["properties"].values():
            described.pop("default", None)


def _plain(kind: type[Struct]) -> Schema:
    """Describe a Struct that holds no other."""
    _, components = msgspec.json.schema_components((kind,))
    return dict(components[kind.__name__])


def _struct_form(name: str, description: str, kind: type[Struct]) -> Schema:
    definitions: Schema = {}
    _add(kind, definitions, "{name}", as_written=True)
    own = definitions.pop(kind.__name__)
    schema = {**own, **_head(name, description)}
    if definitions:
        schema["$defs"] = definitions
    return {key: schema[key] for key in sorted(schema, key=_KEY_ORDER.index)}


_KEY_ORDER: Final = ("$schema", "$id", "title", "description", "type", "properties", "required", "$defs")


def _picked(kind: type[Struct], names: tuple[str, ...]) -> Schema:
    """Describe some fields of a Struct."""
    properties = _plain(kind)["properties"]
    return {name: {k: v for k, v in properties[name].items() if k != "default"} for name in names}


def _record(properties: Schema, required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }


def _outer(name: str, description: str, properties: Schema, required: list[str]) -> Schema:
    return {**_head(name, description), **_record(properties, required)}


def _envelope(name: str, description: str, response_type: Schema, data: Schema) -> Schema:
    outside = {
        field: _STRING_OR_NULL if field in {"id", "in_reply_to"} else _STRING
        for field in forms.EnvelopeResponse.__struct_fields__
        if field != "payload"
    }
    inside = _record({"response_type": response_type, "data": data})
    payload = _record({"type": {"const": "Response"}, "data": inside})
    properties = {**outside, "payload": payload}
    return _outer(name, description, properties, list(properties))
