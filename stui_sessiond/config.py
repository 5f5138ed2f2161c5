"""Where do the settings come from? Command line over environment over file over the defaults of `settings`.

A wrong setting stops the start with the place, the key and what is allowed. Only this module asks platformdirs.
"""

import ipaddress
import os
import tomllib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stui_sessiond.errors import ConfigError
from stui_sessiond.managed import credential, managed_folder
from stui_sessiond.security.access import AccessLists, AccessRules, AddressLists, check_networks
from stui_sessiond.security.policy import PolicyRules, broken_pattern
from stui_sessiond.security.tls import TlsFiles
from stui_sessiond.settings import AccessSettings, PolicySettings, ServerSettings, Settings, TlsSettings

APP = "stui-sessiond"
ENV_PREFIX = "STUI_SESSIOND_"
FRONT_END = "stui"
SOCKET_NAME = "daemon.sock"
NOT_SETTINGS = frozenset({"TOKEN", "URL", "CA_FILE", "CERT_FILE", "KEY_FILE", "SUCCESSION"})
"""Variables with our prefix that are for the client side, and one that is between two daemons."""


class Reread(msgspec.Struct, frozen=True):
    """How to read the settings again, and the file whose change is a reason to."""

    file: Path | None
    read: Callable[[], Settings]


_SECTIONS: dict[str, type[msgspec.Struct]] = {field.name: field.type for field in msgspec.structs.fields(Settings)}


def load_settings(
    file: Path | None, environment: Mapping[str, str], command_line: Mapping[str, str | None]
) -> Settings:
    """Gather the settings. `command_line` holds keys of [server], and of [tls] as `tls_key`; None means not given.

    Raises:
        ConfigError: something is wrong; the text names the place, the key and what is allowed.
    """
    tree: dict[str, dict[str, Any]] = {}
    if file is not None:
        _merge(tree, _read_file(file), str(file))
    _merge(tree, _read_environment(environment), "the environment")
    for name, value in command_line.items():
        if value is not None:
            section = "tls" if name.startswith("tls_") else "server"
            _merge(tree, {section: {name.removeprefix("tls_"): value}}, "the command line")
    settings = _convert(tree, Settings, "the settings together")
    _check_tls(settings.tls)
    _check_addresses(settings)
    if settings.sessions.default_timeout > settings.sessions.max_timeout:
        msg = "sessions.default_timeout: at most sessions.max_timeout"
        raise ConfigError(msg)
    if 0 < settings.images.close_orphaned_after < settings.images.grace:
        msg = "images.close_orphaned_after: at least images.grace, or 0 for never"
        raise ConfigError(msg)
    _check_lists(settings)
    return settings


def _check_lists(settings: Settings) -> None:
    access, policy = settings.access, settings.policy
    for key in ("addresses_allow", "addresses_deny"):
        wrong = check_networks(getattr(access, key))
        if wrong is not None:
            msg = f"access.{key}: {wrong!r} is no address and no network such as 192.0.2.0/24"
            raise ConfigError(msg)
    for key in ("forbid", "ask"):
        wrong = broken_pattern(getattr(policy, key))
        if wrong is not None:
            msg = f"policy.{key}: {wrong!r} is no regular expression"
            raise ConfigError(msg)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        msg = f"{file}: there is no such file; --config takes a TOML file"
        raise ConfigError(msg) from None
    except OSError as error:
        msg = f"{file}: {error.strerror or error}; --config takes a TOML file"
        raise ConfigError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{file}: not UTF-8, which TOML is, at byte {error.start}"
        raise ConfigError(msg) from None
    except tomllib.TOMLDecodeError as error:
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
        is_list = section in {"access", "policy"} or key == "previous_key_files"
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


def _check_tls(tls: TlsSettings) -> None:
    """A certificate needs its key, and the other way round."""
    if tls.key is not None and tls.key_credential is not None:
        msg = "tls: name one of key and key_credential, not both"
        raise ConfigError(msg)
    key_given = tls.key or tls.key_credential
    given = {"certificate": tls.certificate, "key": key_given}
    for key, other in (("certificate", key_given), ("key", tls.certificate), ("certificate", tls.client_ca)):
        if other is not None and given[key] is None:
            msg = f"tls.{key}: missing; `stui-sessiond tls init` makes certificate and key"
            raise ConfigError(msg)


def _check_addresses(settings: Settings) -> None:
    """Nobody off this machine reaches an image unless TLS hides what is said, and a token tells who says it."""
    server, tls = settings.server, settings.tls
    for key, text in (("server.http", server.http), ("server.lines", server.lines)):
        if text is None:
            continue
        host, _ = parse_address(text, key)
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = False
        lacks = []
        if tls.certificate is None:
            lacks.append("turn on TLS (--tls-certificate and --tls-key; `stui-sessiond tls init` makes them)")
        if server.auth != "token":
            lacks.append("turn on --auth token")
        if not loopback and lacks:
            msg = (
                f"{key}: {host} can be reached from other machines, and whoever reaches the daemon runs code as you; "
                f"{' and '.join(lacks)}, or listen on 127.0.0.1 or ::1 and come in through an SSH tunnel"
            )
            raise ConfigError(msg)


def access_rules(access: AccessSettings) -> AccessRules:
    """The operator's lists."""
    return AccessRules(
        clients=AccessLists(access.clients_allow, access.clients_deny),
        images=AccessLists(access.images_allow, access.images_deny),
        addresses=AddressLists(access.addresses_allow, access.addresses_deny),
        commands=AccessLists(access.commands_allow, access.commands_deny),
    )


def policy_rules(policy: PolicySettings) -> PolicyRules:
    """What code is forbidden, or waits for approval."""
    return PolicyRules(forbid=policy.forbid, ask=policy.ask, ask_clients=policy.ask_clients)


def tls_files(tls: TlsSettings) -> TlsFiles | None:
    """Where the certificates are; None without TLS."""
    key = tls.key if tls.key_credential is None else str(credential(tls.key_credential, os.environ))
    if tls.certificate is None or key is None:
        return None
    ca = None if tls.client_ca is None else Path(tls.client_ca).absolute()
    return TlsFiles(certificate=Path(tls.certificate).absolute(), key=Path(key).absolute(), client_ca=ca)


def data_dir(server: ServerSettings) -> Path:
    """Where sessions are kept."""
    if server.data_dir:
        return Path(server.data_dir).absolute()
    if (managed := managed_folder("STATE_DIRECTORY", APP, os.environ)) is not None:
        return managed
    import platformdirs  # noqa: PLC0415 -- 10 ms of a start that mostly names its folders

    return Path(platformdirs.user_data_dir(APP, appauthor=False)).absolute()


def runtime_dir(server: ServerSettings) -> Path:
    """Where the socket is."""
    if server.runtime_dir:
        return Path(server.runtime_dir).absolute()
    if (managed := managed_folder("RUNTIME_DIRECTORY", APP, os.environ)) is not None:
        return managed
    import platformdirs  # noqa: PLC0415 -- as above

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without XDG_RUNTIME_DIR it warns, and names a folder all the same
        return Path(platformdirs.user_runtime_dir(APP, appauthor=False)).absolute()


def log_file(server: ServerSettings) -> Path | None:
    """Where the log is; None: on standard error."""
    return Path(server.log_file).absolute() if server.log_file else None


def unix_path(server: ServerSettings) -> Path:
    """The unix socket: always there, so that a local client finds the daemon."""
    return Path(server.unix).absolute() if server.unix else runtime_dir(server) / SOCKET_NAME


def front_end_config_dir() -> Path:
    """Where the terminal front end keeps what its user chose; `XDG_CONFIG_HOME` and the like move it."""
    import platformdirs  # noqa: PLC0415 -- as above

    return Path(platformdirs.user_config_dir(FRONT_END, appauthor=False)).absolute()


def front_end_state_dir() -> Path:
    """Where it keeps what it remembers: recent connections, unsaved work; `XDG_STATE_HOME` and the like move it."""
    import platformdirs  # noqa: PLC0415 -- as above

    return Path(platformdirs.user_state_dir(FRONT_END, appauthor=False)).absolute()
