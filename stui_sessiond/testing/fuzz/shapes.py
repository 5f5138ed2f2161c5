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
    if "$ref" in schema:
        return instance(source, resolve(schema, root), root, depth)
    if "anyOf" in schema:
        return instance(source, pick(source, schema["anyOf"]), root, depth)
    if "enum" in schema:
        return pick(source, schema["enum"])
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case None:
            return any_json(source, 2)
        case "object" if "properties" in schema:
            return _record(source, schema, root, depth)
        case "object" if isinstance(schema.get("additionalProperties"), dict) and depth < MAX_DEPTH:
            inner = schema["additionalProperties"]
            return {f"k{i}": instance(source, inner, root, depth + 1) for i in range(source.below(3))}
        case "array" if "prefixItems" in schema:
            return [instance(source, item, root, depth + 1) for item in schema["prefixItems"]]
        case "array" if "items" in schema:
            count = 0 if depth >= MAX_DEPTH else source.below(3)
            return [instance(source, schema["items"], root, depth + 1) for _ in range(count)]
        case kind:
            return _bounded(of_type(source, kind), schema)


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
