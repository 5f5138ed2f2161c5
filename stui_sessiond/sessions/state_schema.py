"""Does a state satisfy its JSON Schema (2020-12)? Pure: a schema that would read files or the network is refused.

So is one whose work cannot be bounded: references lead to `#/$defs/...` only, not in circles, and with what they refer
to in their place the schema has at most `MAX_NODES` subschemas. Regular expressions take time linear in the text.
Keywords that 2020-12 does not have are refused: one that is misspelt would ask for nothing.
"""

from typing import Any, Final, NamedTuple, NoReturn

from stui_sessiond.model.machine import MachineError
from stui_sessiond.model.pointer import written

MAX_NODES = 2000
"""Subschemas, references replaced by what they refer to: at the worst each is asked for each value of a state."""

MAX_DEPTH = 32
"""How deep they are nested, references included."""

REGEX_BYTES = 1024 * 1024
"""Memory of one compiled regular expression."""

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
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords whose value is a schema."""

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

        _Measure(schema).schema(schema, "/schema", 1, ())
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                schema,
                offline=True,
                validate_formats=False,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=REGEX_BYTES, dfa_size_limit=REGEX_BYTES),
            )
        except jsonschema_rs.ValidationError as error:
            _refuse(written(("schema", *error.instance_path)), error.message[:300])
        except ValueError as error:
            _refuse("/schema", str(error)[:300])

    def fault(self, state: dict[str, Any]) -> Fault | None:
        """Find out where a state fails; None when it does not."""
        if self._validator.is_valid(state):
            return None
        error = next(self._validator.iter_errors(state))
        return Fault(tuple(map(str, error.instance_path)), error.kind.name)


class _Measure:
    """Walks through a schema as a validator does, and counts."""

    def __init__(self, root: dict[str, Any]) -> None:
        definitions = root.get("$defs", {})
        self._definitions = definitions if isinstance(definitions, dict) else {}
        self._left = MAX_NODES

    def schema(self, schema: object, place: str, depth: int, behind: tuple[str, ...]) -> None:
        """Count a subschema; `behind` are the definitions that led here."""
        self._left -= 1
        if self._left < 0:
            _refuse(place, f"with its references the schema has more than {MAX_NODES} subschemas")
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
                self._inside(keyword, value, here, depth + 1, behind)

    def _inside(self, keyword: str, value: object, place: str, depth: int, behind: tuple[str, ...]) -> None:
        if keyword in _ONE:
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


def _refuse(place: str, reason: str) -> NoReturn:
    raise MachineError(place, reason) from None
