"""What are the settings, and where do they come from? Command line over environment over file over defaults.

A wrong setting stops the start with the place, the key and what is allowed. Only this module asks platformdirs.
"""

import ipaddress
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs
from msgspec import Meta

from stui_sessiond.errors import ConfigError
from stui_sessiond.logs import LogFormat, LogLevel

APP = "stui-sessiond"
ENV_PREFIX = "STUI_SESSIOND_"
SOCKET_NAME = "daemon.sock"
NOT_SETTINGS = frozenset({"TOKEN", "URL"})
"""Variables with our prefix that are for the client side."""

Positive = Annotated[float, Meta(gt=0, le=100 * 365 * 86400)]
Quantity = Annotated[int, Meta(ge=1)]


class ServerSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[server]: where things are and who may come in."""

    data_dir: str | None = None
    runtime_dir: str | None = None
    http: str | None = None
    lines: str | None = None
    unix: str | None = None
    auth: Literal["none", "token"] = "token"
    ready_file: str | None = None
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    drain_timeout: Annotated[float, Meta(ge=0)] = 10.0


class SessionSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[sessions]: durations in seconds."""

    max_per_client: Quantity = 5
    default_timeout: Positive = 3600.0
    max_timeout: Positive = 30 * 86400.0
    max_bytes: Quantity = 10_000_000
    retention: Positive = 30 * 86400.0
    cleanup_interval: Positive = 300.0
    autosave_interval: Positive = 300.0


class HistorySettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[history]: what is kept of a session's past; `age` in seconds."""

    versions: Quantity = 100
    bytes: Quantity = 256 * 1024
    age: Positive = 30 * 86400.0


class EventSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[events]: what is kept of what happened to a session; `age` in seconds."""

    count: Quantity = 1000
    bytes: Quantity = 512 * 1024
    age: Positive = 7 * 86400.0


class BackupSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[backups]: seconds between automatic ones; 0 turns them off."""

    interval: Annotated[float, Meta(ge=0)] = 3600.0


class AuditSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[audit]: what is kept of the log of operations that matter for security; `age` in seconds."""

    bytes: Annotated[int, Meta(ge=16 * 1024 * 1024)] = 256 * 1024 * 1024
    age: Positive = 400 * 86400.0


class LimitSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[limits]: what a connection may do."""

    client_message_bytes: Quantity = 10_000_000
    image_message_bytes: Quantity = 10_000_000
    max_connections: Quantity = 1024
    requests_in_flight: Quantity = 64
    evaluations_in_flight: Quantity = 32
    subscriptions: Quantity = 128


class AccessSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[access]: names may have `*` and `?`; what is denied wins; an empty list of allowed ones allows all."""

    clients_allow: list[str] = []
    clients_deny: list[str] = []
    origins: list[str] = []
    hosts: list[str] = []


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """All settings."""

    server: ServerSettings = msgspec.field(default_factory=ServerSettings)
    sessions: SessionSettings = msgspec.field(default_factory=SessionSettings)
    history: HistorySettings = msgspec.field(default_factory=HistorySettings)
    events: EventSettings = msgspec.field(default_factory=EventSettings)
    backups: BackupSettings = msgspec.field(default_factory=BackupSettings)
    limits: LimitSettings = msgspec.field(default_factory=LimitSettings)
    access: AccessSettings = msgspec.field(default_factory=AccessSettings)
    audit: AuditSettings = msgspec.field(default_factory=AuditSettings)


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerSettings,
    "sessions": SessionSettings,
    "history": HistorySettings,
    "events": EventSettings,
    "backups": BackupSettings,
    "limits": LimitSettings,
    "access": AccessSettings,
    "audit": AuditSettings,
}


def load_settings(
    file: Path | None, environment: Mapping[str, str], command_line: Mapping[str, str | None]
) -> Settings:
    """Gather the settings. `command_line` holds keys of [server]; None means not given.

    Raises:
        ConfigError: something is wrong; the text names the place, the key and what is allowed.
    """
    tree: dict[str, dict[str, Any]] = {}
    if file is not None:
        _merge(tree, _read_file(file), str(file))
    _merge(tree, _read_environment(environment), "the environment")
    given = {name: value for name, value in command_line.items() if value is not None}
    _merge(tree, {"server": given}, "the command line")
    settings = _convert(tree, Settings, "the settings together")
    _check_addresses(settings.server)
    if settings.sessions.default_timeout > settings.sessions.max_timeout:
        msg = "sessions.default_timeout: at most sessions.max_timeout"
        raise ConfigError(msg)
    return settings


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        msg = f"{file}: there is no such file; --config takes a TOML file"
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{file}: {error}"
        raise ConfigError(msg) from None


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """`STUI_SESSIOND_HTTP` is server.http, `STUI_SESSIOND_SESSIONS_RETENTION` is sessions.retention."""
    tree: dict[str, Any] = {}
    for variable, text in environment.items():
        rest = variable.removeprefix(ENV_PREFIX)
        if rest == variable or rest in NOT_SETTINGS:
            continue
        section, key = "server", rest.lower()
        for name in _SECTIONS:
            if key.startswith(f"{name}_"):
                section, key = name, key.removeprefix(f"{name}_")
                break
        fields = _SECTIONS[section].__struct_fields__
        if key not in fields:
            msg = f"{variable}: no such setting; [{section}] has {', '.join(fields)}"
            raise ConfigError(msg)
        is_list = section == "access"
        parts = [part.strip() for part in text.split(",") if part.strip()]
        tree.setdefault(section, {})[key] = parts if is_list else text
    return tree


def _merge(tree: dict[str, dict[str, Any]], more: Mapping[str, Any], place: str) -> None:
    """Check `more` on its own, so that the error can name its place, and lay it over the tree."""
    _convert(more, Settings, place)
    for section, values in more.items():
        tree.setdefault(section, {}).update(values)


def _convert(tree: Mapping[str, Any], wanted: type[Settings], place: str) -> Settings:
    try:
        return msgspec.convert(tree, type=wanted, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(error, place)) from None


def _explain(error: msgspec.ValidationError, place: str) -> str:
    reason, _, path = str(error).partition(" - at `$.")
    where = path.rstrip("`")
    if reason.startswith("Object contains unknown field"):
        unknown = reason.split("`")[1]
        section = _SECTIONS.get(where)
        known = ", ".join(section.__struct_fields__ if section else _SECTIONS)
        return f"{place}: {f'{where}.' if where else ''}{unknown}: no such setting; there is {known}"
    name, _, key = where.partition(".")
    struct = _SECTIONS.get(name)
    allowed = ""
    if struct is not None and key in struct.__struct_fields__:
        allowed = f" (allowed: {_allowed(struct, key)})"
    return f"{place}: {where}: {reason[:1].lower()}{reason[1:]}{allowed}"


def _allowed(struct: type[msgspec.Struct], key: str) -> str:
    schema = msgspec.json.schema(struct)
    field = schema["$defs"][struct.__name__]["properties"][key]
    if "enum" in field:
        return " or ".join(field["enum"])
    kinds = {"integer": "a whole number", "number": "a number", "string": "text", "array": "a list of texts"}
    for choice in field.get("anyOf", [field]):
        if choice.get("type") in kinds:
            bound = f" above {choice['exclusiveMinimum']}" if "exclusiveMinimum" in choice else ""
            bound = f" from {choice['minimum']}" if "minimum" in choice else bound
            return kinds[choice["type"]] + bound
    return "see the documentation"


def parse_address(text: str, key: str) -> tuple[str, int]:
    """Read `HOST:PORT`, `[::1]:PORT`.

    Raises:
        ConfigError: it is something else.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 -- the last port
        msg = f"{key}: {text!r} is no HOST:PORT, such as 127.0.0.1:7447 (port 0 takes a free one)"
        raise ConfigError(msg)
    return ("127.0.0.1" if host == "localhost" else host), int(port)


def _check_addresses(server: ServerSettings) -> None:
    """Nobody off this machine reaches an image: there is no TLS yet, so only loopback is listened on."""
    for key, text in (("server.http", server.http), ("server.lines", server.lines)):
        if text is None:
            continue
        host, _ = parse_address(text, key)
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            msg = f"{key}: {host!r} is no IP address; take 127.0.0.1 or ::1"
            raise ConfigError(msg) from None
        if not loopback:
            msg = (
                f"{key}: {host} can be reached from other machines, and whoever reaches the daemon runs code as you; "
                "listen on 127.0.0.1 or ::1, and come in from elsewhere through an SSH tunnel"
            )
            raise ConfigError(msg)


def data_dir(server: ServerSettings) -> Path:
    """Where sessions are kept."""
    return Path(server.data_dir or platformdirs.user_data_dir(APP, appauthor=False)).absolute()


def runtime_dir(server: ServerSettings) -> Path:
    """Where the socket is."""
    if server.runtime_dir:
        return Path(server.runtime_dir).absolute()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without XDG_RUNTIME_DIR it warns, and names a folder all the same
        return Path(platformdirs.user_runtime_dir(APP, appauthor=False)).absolute()


def unix_path(server: ServerSettings) -> Path:
    """The unix socket: always there, so that a local client finds the daemon."""
    return Path(server.unix).absolute() if server.unix else runtime_dir(server) / SOCKET_NAME
