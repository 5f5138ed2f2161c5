"""The shapes of all messages, as one set of named schemas that documents of other kinds can refer to. Pure.

`protocol/schema` has one file for each command, each with definitions of its own; here they are side by side, and what
is the same is there once.
"""

import json
from typing import Any, Final

from stui_sessiond.wire.schema import Schema, message_pairs, outer_schemas
from stui_sessiond.wire.schema import command_schema as describe_command

PREFIX: Final = "#/components/schemas/"
_HEAD: Final = ("$schema", "$id", "title", "$defs")


class Components:
    """Named schemas."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        for name, schema in outer_schemas().items():
            self._add_all(name, schema)
            self._add(name, {key: value for key, value in schema.items() if key not in _HEAD}, name)
        for command, pair in message_pairs().items():
            described = describe_command(pair)
            self._add_all(command, described)
            for part in ("parameters", "result"):
                self._add(f"{command}.{part}", described["properties"][part], command)

    def _add_all(self, owner: str, schema: Schema) -> None:
        for name, definition in schema.get("$defs", {}).items():
            self._add(f"{owner}.{name}", definition, owner)

    def _add(self, name: str, schema: Schema, owner: str) -> None:
        self.schemas[name] = _moved(schema, owner)

    def request(self, command: str, doc: str) -> dict[str, str]:
        """Describe a request in command form; return a reference to it."""
        name = f"{command}.request"
        self.schemas[name] = {
            "type": "object",
            "description": doc,
            "properties": {
                "id": {"type": "string", "minLength": 1},
                "command": {"const": command},
                "parameters": {"anyOf": [reference(f"{command}.parameters"), {"type": "null"}]},
            },
            "required": ["id", "command"],
        }
        return reference(name)

    def reply(self, command: str) -> dict[str, str]:
        """Describe a success in command form; return a reference to it."""
        name = f"{command}.reply"
        self.schemas[name] = {
            "type": "object",
            "properties": {
                "status": {"const": "success"},
                "id": {"type": "string"},
                "result": reference(f"{command}.result"),
                "timestamp": {"type": "string"},
            },
            "required": ["status", "id", "result", "timestamp"],
        }
        return reference(name)

    def merged(self) -> dict[str, Schema]:
        """Give all schemas, those that are the same under one name."""
        schemas, names = self.schemas, {}
        while True:
            kept: dict[str, str] = {}
            renamed = {}
            for name in sorted(schemas, key=lambda each: (each.count("."), each)):
                text = json.dumps(schemas[name], sort_keys=True)
                short = name.rpartition(".")[2]
                if short[:1].isupper() and kept.setdefault(f"{short} {text}", name) != name:
                    renamed[name] = kept[f"{short} {text}"]
            if not renamed:
                return dict(sorted(schemas.items()))
            names.update(renamed)
            schemas = {name: _renamed(schema, renamed) for name, schema in schemas.items() if name not in renamed}


def reference(name: str) -> dict[str, str]:
    """Refer to a named schema."""
    return {"$ref": PREFIX + name}


def _moved(node: Any, owner: str) -> Any:  # noqa: ANN401 -- any JSON
    """Copy a schema, with its references leading to where its definitions are now."""
    if isinstance(node, list):
        return [_moved(each, owner) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: PREFIX + owner + "." + value.removeprefix("#/$defs/")
        if key == "$ref" and isinstance(value, str)
        else _moved(value, owner)
        for key, value in node.items()
    }


def _renamed(node: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(node, list):
        return [_renamed(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: PREFIX + names.get(value.removeprefix(PREFIX), value.removeprefix(PREFIX))
        if key == "$ref" and isinstance(value, str)
        else _renamed(value, names)
        for key, value in node.items()
    }
