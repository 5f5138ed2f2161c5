"""Does a state satisfy its JSON Schema (2020-12)? Pure: a schema that would read files or the network is refused.

So is one whose work cannot be bounded: references lead to `#/$defs/...` only, not in circles, and with what they refer
to in their place the schema has at most `MAX_NODES` values. Regular expressions take time linear in the text, and there
are few of them. `unevaluatedItems` and `unevaluatedProperties` are not taken: nested in `oneOf`, what they cost doubles
with each level. Keywords that 2020-12 does not have are refused: one that is misspelt would ask for nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, NoReturn

from stui_sessiond.model.machine import MachineError
from stui_sessiond.model.pointer import written

MAX_NODES = 2000
"""Values in it, references replaced by what they refer to: at the worst each is compared with each value of a state."""

MAX_DEPTH = 32
"""How deep they are nested, references included."""

MAX_REGEXES = 32
"""Regular expressions, counted in the same way."""

REGEX_BYTES = 256 * 1024
"""Memory of a compiled one, and of what it remembers while it runs."""

_ONE: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
    }
)
"""Keywords whose value is a schema."""

_ALTERNATIVES: Final = frozenset({"anyOf", "oneOf"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED: Final = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})

_PLAIN: Final = frozenset(
    {
        "$comment",
        "$schema",
        "const",
        "contentEncoding",
        "contentMediaType",
        "default",
        "dependentRequired",
        "deprecated",
        "description",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "readOnly",
        "required",
        "title",
        "type",
        "uniqueItems",
        "writeOnly",
    }
)
"""Keywords whose value holds no schema."""

_KNOWN: Final = _ONE | _LISTS | _NAMED | _PLAIN

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEFINITIONS: Final = "#/$defs/"


class Fault(NamedTuple):
    """Where a state fails, as segments of a pointer, and by which keyword of the schema."""

    place: tuple[str, ...]
    keyword: str


class StateSchema:
    """A schema that was checked and compiled."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Compile a schema.

        Raises:
            MachineError: it is none, or one that is not taken.
        """
        import jsonschema_rs  # noqa: PLC0415 -- 6 MB, when the first machine is declared and not at the start

        measure = _Measure(schema)
        measure.schema(schema, "/schema", 1, ())
        self.nodes = MAX_NODES - measure.left
        """Values in it, references replaced by what they refer to."""
        regexes = jsonschema_rs.RegexOptions(size_limit=REGEX_BYTES, dfa_size_limit=REGEX_BYTES)

        def compiled(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
            return jsonschema_rs.Draft202012Validator(
                schema, offline=True, validate_formats=False, pattern_options=regexes
            )

        try:
            self._validator = compiled(schema)
            self._schema = _with_conditions(schema)
            if self._schema != schema:
                self._validator = compiled(self._schema)
        except jsonschema_rs.ValidationError as error:
            _refuse(written(("schema", *error.instance_path)), error.message[:300])
        except ValueError as error:
            _refuse("/schema", str(error)[:300])

    def fault(self, state: dict[str, Any]) -> Fault | None:
        """Find out where a state fails first; None when it does not."""
        import jsonschema_rs  # noqa: PLC0415 -- it is loaded by now

        try:
            self._validator.validate(state)
        except jsonschema_rs.ValidationError as error:
            keyword = self._alternatives(error.schema_path) or error.kind.name
            return Fault(tuple(map(str, error.instance_path)), keyword)
        return None

    def _alternatives(self, path: Sequence[str | int]) -> str | None:
        """The keyword whose condition failed, if a place in the schema is that of a condition."""
        if path[-1:] != ["else"]:
            return None
        found: Any = self._schema
        for part in path[:-1]:
            found = found[part]
        condition = found.get("if")
        return next((name for name in _ALTERNATIVES if isinstance(condition, dict) and name in condition), None)


class _Measure:
    """Walks through a schema as a validator does, and counts."""

    def __init__(self, root: dict[str, Any]) -> None:
        definitions = root.get("$defs", {})
        self._definitions = definitions if isinstance(definitions, dict) else {}
        self.left = MAX_NODES
        self._regexes = MAX_REGEXES

    def schema(self, schema: object, place: str, depth: int, behind: tuple[str, ...]) -> None:
        """Count a subschema; `behind` are the definitions that led here."""
        self._count(1, place)
        if depth > MAX_DEPTH:
            _refuse(place, f"subschemas are nested at most {MAX_DEPTH} deep")
        if not isinstance(schema, dict):
            return  # a boolean, or something that the compiler does not take
        for keyword, value in schema.items():
            here = f"{place}{written((keyword,))}"
            if keyword == "$ref":
                self._follow(value, here, depth, behind)
            elif keyword == "$schema" and value != _DIALECT:
                _refuse(here, f"the schema is one of {_DIALECT}")
            elif keyword == "$defs" and place != "/schema":
                _refuse(here, "definitions are at the top of the schema")
            elif keyword not in _KNOWN:
                _refuse(here, f"the keyword {keyword[:50]!r} is not taken here")
            else:
                self._regex(keyword, value, here)
                self._inside(keyword, value, here, depth + 1, behind)

    def _count(self, values: int, place: str) -> None:
        self.left -= values
        if self.left < 0:
            _refuse(place, f"with its references the schema has more than {MAX_NODES} values")

    def _regex(self, keyword: str, value: object, place: str) -> None:
        if keyword == "pattern":
            self._regexes -= 1
        elif keyword == "patternProperties" and isinstance(value, dict):
            self._regexes -= len(value)
        if self._regexes < 0:
            _refuse(place, f"with its references the schema has more than {MAX_REGEXES} regular expressions")

    def _inside(self, keyword: str, value: object, place: str, depth: int, behind: tuple[str, ...]) -> None:
        if keyword in _PLAIN:
            self._count(_values_in(value), place)
        elif keyword in _ONE:
            self.schema(value, place, depth, behind)
        elif keyword in _LISTS and isinstance(value, list):
            for index, each in enumerate(value):
                self.schema(each, f"{place}/{index}", depth, behind)
        elif keyword in _NAMED and isinstance(value, dict):
            for name, each in value.items():
                self.schema(each, f"{place}{written((name,))}", depth, (name,) if keyword == "$defs" else behind)

    def _follow(self, target: object, place: str, depth: int, behind: tuple[str, ...]) -> None:
        name = target.removeprefix(_DEFINITIONS) if isinstance(target, str) else ""
        if not isinstance(target, str) or not target.startswith(_DEFINITIONS) or name not in self._definitions:
            _refuse(place, "a reference leads to `#/$defs/NAME`, which has to be there")
        if name in behind:
            _refuse(place, "references lead in a circle")
        self.schema(self._definitions[name], place, depth + 1, (*behind, name))


def _with_conditions(schema: Any) -> Any:  # noqa: ANN401 -- any JSON value
    """The same schema with its alternatives as conditions.

    Where all alternatives fail, the library makes an error of each for each value: gigabytes for a small schema. A
    condition that fails is one error.
    """
    if not isinstance(schema, dict):
        return schema
    result, conditions = {}, []
    for keyword, value in schema.items():
        inner = value
        if keyword in _ONE:
            inner = _with_conditions(value)
        elif keyword in _LISTS:
            inner = [_with_conditions(each) for each in value]
        elif keyword in _NAMED:
            inner = {name: _with_conditions(each) for name, each in value.items()}
        if keyword in _ALTERNATIVES:
            conditions.append({"if": {keyword: inner}, "else": False})
        else:
            result[keyword] = inner
    if conditions:
        result["allOf"] = [*result.get("allOf", ()), *conditions]
    return result


def _values_in(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_values_in, inner))


def _refuse(place: str, reason: str) -> NoReturn:
    raise MachineError(place, reason) from None
