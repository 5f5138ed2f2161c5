"""Which requests can be made of the descriptors? A new command is among them the day it is described."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from stui_sessiond.contract import Contract, Descriptor, protocol_folder
from stui_sessiond.testing.fuzz.memory import ALIASES
from stui_sessiond.testing.fuzz.shapes import Schema, instance, resolve
from stui_sessiond.testing.fuzz.source import Source, chance, pick
from stui_sessiond.testing.fuzz.values import Ref, any_json, doubtful, not_of_type, of_type

UNKNOWN: Final = ("x", "unknown field", "__proto__", "id")
"""Names of parameters that no command has."""

RARE: Final = {"describe": 15, "create_backup": 1}
"""Commands that take long, with the percentage of the cases in which they are asked all the same."""

EITHER: Final = {"inspect": ("target", "handle")}
"""Parameters of which exactly one is needed, though the descriptor cannot say so."""

HASTY: Final = {"evaluate_on": 0.5}
"""Commands that wait for images that need not be the fuzzer's own, with the seconds they are given for it."""

REMEMBERED: Final = frozenset(
    {
        "session_id",
        "image_id",
        "client_id",
        "tool_id",
        "name",
        "version",
        "connection_id",
        "resume_token",
        "approval_id",
        "idempotency_key",
        "handle",
        *ALIASES,
    }
)
"""Parameters that mostly take what was seen before; others of the contract do so when a result has a field of the
name (see `Book`)."""


class Wish(Struct, frozen=True):
    """A request before it is written."""

    command: str
    parameters: dict[str, Any]
    envelope: bool = False
    lacks: bool = False
    """Whether a parameter that is required is missing."""
    bad: tuple[str, ...] = ()
    """Parameters of a wrong type or with a value that is not listed."""

    @property
    def refused(self) -> bool:
        """Whether a success would be a mistake."""
        return self.lacks or any(name in self.parameters for name in self.bad)


class Book:
    """The descriptors and schemas to make requests of."""

    def __init__(self, contract: Contract, schemas: Mapping[str, Schema]) -> None:
        self.contract = contract
        self.schemas = schemas
        self.built = tuple(each for each in self.senders("client", "both") if each.built)
        self.every = tuple(self.senders("client", "both", "daemon"))
        self._told = REMEMBERED | {
            name for each in contract.commands.values() for name in each.returns if name.endswith(("_id", "token"))
        }

    def senders(self, *senders: str) -> list[Descriptor]:
        """List the commands that one of these sends, those that are built first."""
        found = [each for each in self.contract.commands.values() if each.sender in senders]
        return sorted(found, key=lambda each: (not each.built, each.command))

    def relayed(self) -> list[Descriptor]:
        """List the commands that an image answers."""
        return [
            each
            for each in self.senders("client", "daemon")
            if "answer" in self.schemas.get(each.command, {}).get("properties", {})
        ]

    def fill(self, source: Source, descriptor: Descriptor, hostile_percent: int) -> Wish:
        """Make a request for a command."""
        made: dict[str, Any] = {}
        lacks = False
        bad: list[str] = []
        either = EITHER.get(descriptor.command, ())
        chosen = pick(source, either) if either and chance(source, 80) else None
        for name, field in descriptor.parameters.items():
            if chosen is not None and name in either and name != chosen:
                continue
            required = bool(field.get("required"))
            if not (required or name == chosen) and not chance(source, 35):
                continue
            if not chance(source, hostile_percent):
                made[name] = self._good(source, descriptor, name, field)
            elif chance(source, 30):
                lacks = lacks or required
            else:
                made[name], surely = _bad(source, field)
                bad += [name] if surely else []
        if descriptor.command in HASTY and "timeout" not in bad:
            made["timeout"] = HASTY[descriptor.command]
        if chance(source, hostile_percent):
            made.setdefault(pick(source, UNKNOWN), any_json(source, 1))
        return Wish(descriptor.command, made, lacks=lacks, bad=tuple(bad))

    def _good(self, source: Source, descriptor: Descriptor, name: str, field: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any JSON
        if "default" in field and not chance(source, 50):
            return field["default"]
        if "values" in field:
            return pick(source, field["values"])
        if name in self._told and not chance(source, 12):
            return Ref(name, source.below(3) if chance(source, 40) else 0)
        root = self.schemas.get(descriptor.command)
        if root is not None:
            schema = resolve(root["properties"]["parameters"], root)["properties"].get(name)
            if schema is not None and not chance(source, 30):
                return instance(source, schema, root)
        return of_type(source, field["type"])

    def wish(self, source: Source, among: Sequence[Descriptor], hostile_percent: int) -> Wish:
        """Make a request."""
        descriptor = pick(source, among)
        for _ in range(3):
            if chance(source, RARE.get(descriptor.command, 100)):
                break
            descriptor = pick(source, among)
        return replace(self.fill(source, descriptor, hostile_percent), envelope=chance(source, 30))


def _bad(source: Source, field: Mapping[str, Any]) -> tuple[Any, bool]:
    """Make a value of another type, or one that is not listed, or text that is hardly JSON."""
    if chance(source, 30):
        return doubtful(source), False
    if "values" in field and chance(source, 50):
        return "no such value", True
    value = not_of_type(source, field["type"])
    return value, value is not None


def load_schemas() -> dict[str, Schema]:
    """Read `protocol/schema/`, by file name without `.json`.

    Raises:
        FileNotFoundError: the installation is broken.
    """
    folder = protocol_folder() / "schema"
    return {
        file.name.removesuffix(".json"): json.loads(file.read_text("utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".json")
    }
