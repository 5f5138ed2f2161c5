"""What is the reference? Pages made from contract, settings and command line as they are. Nothing is copied."""

import typing
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from stui_sessiond.cli import main as command_line
from stui_sessiond.config import ENV_PREFIX
from stui_sessiond.contract import load_contract
from stui_sessiond.settings import Settings

Json = dict[str, Any]

_MADE = "<!-- Made by site_builder/reference.py: change its source, not this page. -->\n"


def pages(descriptors: list[Json], errors: list[Json], close_codes: Json) -> dict[str, str]:
    """Make all pages, by their place in the site."""
    return {
        "reference/commands.md": commands(descriptors),
        "reference/errors.md": error_codes(errors, descriptors),
        "reference/close-codes.md": closing(close_codes),
        "reference/settings.md": settings(),
        "reference/command-line.md": program(),
    }


def commands(descriptors: list[Json]) -> str:
    """Tell of each command, by family."""
    families = sorted({each["family"] for each in descriptors})
    lines = ["# Commands", _MADE, "How messages look is in the [protocol](protocol/PROTOCOL.md).", ""]
    for family in families:
        lines += [f"## {family.capitalize()}", ""]
        for each in descriptors:
            if each["family"] == family:
                lines += [*_command(each), ""]
    return "\n".join(lines)


def _command(each: Json) -> Iterator[str]:
    yield f"### {each['command']}"
    yield ""
    yield each["doc"]
    yield ""
    role = each.get("session_role")
    words = [f"Sent by: {each['sender']}", f"right: `{each['right']}`"]
    words += [f"share: at least `{role}`"] if role else []
    words += [f"request type: `{each['request_type']}`", f"since {each['since']}"]
    yield "; ".join([*words, *(["audited"] if each.get("audited") else [])]) + "."
    yield ""
    if each["parameters"]:
        yield from ["| parameter | type | | meaning |", "|---|---|---|---|"]
        for name, about in each["parameters"].items():
            need = f"default `{about['default']!r}`" if "default" in about else ""
            need = "required" if about["required"] else need
            yield f"| `{name}` | {_type(about)} | {need} | {_cell(about['doc'])} |"
        yield ""
    if each["returns"]:
        yield from ["| result | type | | meaning |", "|---|---|---|---|"]
        for name, about in each["returns"].items():
            yield f"| `{name}` | {_type(about)} | {'' if about['always'] else 'not always'} | {_cell(about['doc'])} |"
        yield ""
    if each["errors"]:
        yield "Errors: " + ", ".join(f"[`{code}`](errors.md#{code})" for code in each["errors"]) + "."


def _type(about: Json) -> str:
    values = ", ".join(f"`{value}`" for value in about.get("values", ()))
    return values or _cell(about["type"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def error_codes(errors: list[Json], descriptors: list[Json]) -> str:
    """Tell of each error, and which commands name it."""
    lines = ["# Errors", _MADE, "`code` is for programs and does not change; the text is for people and does.", ""]
    for each in errors:
        lines += [f"## {each['code']}", "", each["help"], ""]
        again = "may be repeated" if each["retryable"] else "not by itself worth another try"
        lines += [f"`error_type` `{each['error_type']}`, in the envelope `{each['envelope_code']}`; {again}.", ""]
        named = [
            f"[`{one['command']}`](commands.md#{one['command']})"
            for one in descriptors
            if each["code"] in one["errors"]
        ]
        lines += [f"Named by {', '.join(named)}.", ""] if named else []
    return "\n".join(lines)


def closing(close_codes: Json) -> str:
    """Tell of the codes with which connections are closed."""
    lines = ["# Close codes", _MADE, "| code | name | connect again | meaning |", "|---|---|---|---|"]
    lines += [
        f"| {each['code']} | `{each['name']}` | {_yes(each['reconnect'])} | {_cell(each['meaning'])} |"
        for each in close_codes["codes"]
    ]
    lines += ["", "| codes | connect again | meaning |", "|---|---|---|"]
    for each in close_codes["ranges"]:
        lines.append(f"| {each['from']} to {each['to']} | {_yes(each['reconnect'])} | {_cell(each['meaning'])} |")
    return "\n".join([*lines, ""])


def _yes(value: object) -> str:
    return "yes" if value else "no"


def settings() -> str:
    """Tell of each setting, its default and what is allowed."""
    lines = ["# Settings", _MADE]
    lines += [
        "A key in a TOML file (`--config`), or a variable of the environment; those of `[server]` are options, too.",
        "",
    ]
    for section, struct in typing.get_type_hints(Settings).items():
        about = (struct.__doc__ or "").partition(": ")[2]
        lines += [f"## [{section}]", "", about[:1].upper() + about[1:], ""]
        lines += ["| key | default | allowed | variable |", "|---|---|---|---|"]
        schema = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"]
        for field in msgspec.structs.fields(struct):
            prefix = "" if section == "server" else f"{section.upper()}_"
            variable = f"`{ENV_PREFIX}{prefix}{field.name.upper()}`"
            lines.append(f"| `{field.name}` | {_default(field)} | {_allowed(schema[field.name])} | {variable} |")
        lines.append("")
    return "\n".join(lines)


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return "" if value is None else f"`{value!r}`".replace("'", '"').replace("True", "true").replace("False", "false")


def _allowed(schema: Json) -> str:
    for choice in schema.get("anyOf", [schema]):
        if "enum" in choice:
            return " or ".join(f"`{each}`" for each in choice["enum"])
        kinds = {"integer": "a whole number", "number": "a number", "string": "text", "array": "a list of texts"}
        kinds["boolean"] = "`true` or `false`"
        if choice.get("type") in kinds:
            bounds = [f"above {choice['exclusiveMinimum']:,}"] if "exclusiveMinimum" in choice else []
            bounds += [f"from {choice['minimum']:,}"] if "minimum" in choice else []
            bounds += [f"to {choice['maximum']:,}"] if "maximum" in choice else []
            return ", ".join([kinds[choice["type"]], *bounds])
    return ""


def program() -> str:
    """Tell what the command line says of itself."""
    return "\n".join(["# Command line", _MADE, *_help(command_line, "stui-sessiond", None)])


def _help(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, max_content_width=100)
    yield f"## {name}"
    yield ""
    yield from ["```text", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                yield from _help(found, f"{name} {each}", context)


def known_names() -> set[str]:
    """List what the reference must name: commands and error codes of the contract, settings."""
    contract = load_contract()
    names = {*contract.commands, *contract.errors, *(reason for reason in contract.close_reasons)}
    return names | {key for struct in typing.get_type_hints(Settings).values() for key in struct.__struct_fields__}
