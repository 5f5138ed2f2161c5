"""What does a value look like that a JSON Schema describes? For nested parameters, and for what an image answers.

Knows the part of JSON Schema that `protocol/schema/` uses.
"""

from typing import Any

from stui_sessiond.testing.fuzz.source import Source, chance, pick
from stui_sessiond.testing.fuzz.values import any_json, of_type

Schema = dict[str, Any]

MAX_DEPTH = 6
"""How deep a description that contains itself is followed."""


def instance(source: Source, schema: Schema, root: Schema, depth: int = 0) -> Any:  # noqa: ANN401 -- any JSON
    """Make a value that the schema accepts; `root` is the document that its references are in."""
    if "$ref" in schema or "anyOf" in schema:
        inner = resolve(schema, root) if "$ref" in schema else pick(source, schema["anyOf"])
        return instance(source, inner, root, depth)
    if "enum" in schema or "const" in schema:
        return pick(source, schema["enum"]) if "enum" in schema else schema["const"]
    kind = schema.get("type")
    if kind == "object" and ("properties" in schema or isinstance(schema.get("additionalProperties"), dict)):
        return _object(source, schema, root, depth)
    if kind == "array" and ("prefixItems" in schema or "items" in schema):
        return _array(source, schema, root, depth)
    return any_json(source, 2) if kind is None else _bounded(of_type(source, kind), schema)


def _object(source: Source, schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    if "properties" in schema:
        return _record(source, schema, root, depth)
    count = 0 if depth >= MAX_DEPTH else source.below(3)
    inner = schema["additionalProperties"]
    return {f"k{number}": instance(source, inner, root, depth + 1) for number in range(count)}


def _array(source: Source, schema: Schema, root: Schema, depth: int) -> list[Any]:
    if "prefixItems" in schema:
        return [instance(source, item, root, depth + 1) for item in schema["prefixItems"]]
    count = 0 if depth >= MAX_DEPTH else source.below(3)
    return [instance(source, schema["items"], root, depth + 1) for _ in range(count)]


def resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a reference within the document."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def _record(source: Source, schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        name: instance(source, inner, root, depth + 1)
        for name, inner in schema["properties"].items()
        if name in required or (depth < MAX_DEPTH and chance(source, 40))
    }


def _bounded(value: Any, schema: Schema) -> Any:  # noqa: ANN401 -- any JSON
    """Bring a text or a number within its bounds."""
    if isinstance(value, str):
        value = value[: schema.get("maxLength")]
        return value if len(value) >= schema.get("minLength", 0) else "x" * schema["minLength"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
            return schema["exclusiveMinimum"] + 1
        return min(max(value, schema.get("minimum", value)), schema.get("maximum", value))
    return value
