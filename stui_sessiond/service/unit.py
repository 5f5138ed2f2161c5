"""What do the files say that make the daemon a service? Renders units of systemd and a job of launchd. Pure."""

import plistlib
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources

import msgspec

from stui_sessiond.errors import ConfigError

NAME = "stui-sessiond"
LABEL = "io.github.stui-sessiond"
"""launchd's name of the job."""

HOMES = ("/home/", "/root/", "/run/user/")
"""What `ProtectHome=yes` takes away."""

_TITLES = {"unix": "The unix socket", "lines": "The listener for lines over TCP", "http": "The listener for HTTP"}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be installed."""

    command: Sequence[str]
    """The program and what it is called with, up to `serve`; the program by its whole path."""
    config: str | None = None
    """The settings file, by its whole path."""
    listen: Mapping[str, str] = {}
    """Where the service manager listens for the daemon: `unix`, `lines`, `http`."""
    system: bool = False
    """For the machine, not for one user."""


def serve_command(wish: Wish) -> Sequence[str]:
    """The command line of the service."""
    return [*wish.command, "serve", *(["--config", wish.config] if wish.config else [])]


def systemd_units(wish: Wish) -> Mapping[str, str]:
    """The units, by file name: the service, and a socket for each listener.

    Raises:
        ConfigError: a word cannot be written into a unit.
    """
    template = _template("system.service" if wish.system else "user.service")
    program, *words = serve_command(wish)
    command = " ".join([_program(program), *map(_quoted, words)])
    units = {f"{NAME}.service": template.replace("@SERVE@", command)}
    for kind, place in wish.listen.items():
        mode = "SocketMode=0600\nDirectoryMode=0700" if kind == "unix" else "NoDelay=yes"
        said = {"@WHAT@": _TITLES[kind], "@PLACE@": _plain(place), "@NAME@": kind, "@MODE@": mode}
        text = _template("listener.socket")
        for mark, value in said.items():
            text = text.replace(mark, value)
        units[socket_name(kind)] = text
    return units


def check_reach(files: Sequence[str]) -> None:
    """Make sure that a service of the machine can get at the program: it sees nobody's home.

    Raises:
        ConfigError: it cannot.
    """
    for file in files:
        if file.startswith(HOMES):
            msg = (
                f"--system: {file} is in a home, which the service does not see; install the program into /opt or /usr"
            )
            raise ConfigError(msg)


def socket_name(kind: str) -> str:
    """The name of the socket unit of a listener."""
    return f"{NAME}-{kind}.socket"


def launchd_list(wish: Wish, log_file: str) -> bytes:
    """The property list of the job. launchd starts it again unless it stopped by itself, in order.

    launchd does not read sd_notify and hands sockets in by a call that Python does not have: there the daemon listens
    by itself, and `stui-sessiond restart` is not for it.
    """
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": [*serve_command(wish), "--log-file", log_file, "--log-format", "json"],
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": 30,
            "ProcessType": "Interactive",
            "Umask": 0o077,
            "StandardErrorPath": log_file,
            "SoftResourceLimits": {"NumberOfFiles": 65536},
        }
    )


def _template(name: str) -> str:
    return (resources.files("stui_sessiond.service") / "units" / name).read_text("utf-8")


def _plain(text: str) -> str:
    """Write a value that is not a command line; specifiers are meant literally.

    Raises:
        ConfigError: it has a character that a unit cannot hold.
    """
    if any(character < " " or character == "\x7f" for character in text):
        msg = f"{text!r} has a control character, which no unit can hold"
        raise ConfigError(msg)
    return text.replace("%", "%%")


def _program(path: str) -> str:
    """Write the path of a program: systemd takes no quotes in it, and reads no variables.

    Raises:
        ConfigError: it has a character that a unit cannot hold there.
    """
    if any(character in "\"'\\" for character in path):
        msg = f"{path}: systemd runs no program with quotes or backslashes in its path; install it elsewhere"
        raise ConfigError(msg)
    return f'"{_plain(path)}"' if " " in path else _plain(path)


def _quoted(word: str) -> str:
    """Write a word as systemd.syntax(7) and systemd.unit(5) read it: specifiers and variables are meant literally.

    Raises:
        ConfigError: it has a character that a unit cannot hold.
    """
    word = _plain(word).replace("$", "$$")
    if shlex.quote(word) == word and word:
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
