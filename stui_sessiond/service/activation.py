"""Which sockets were handed in, and do they fit the settings? The sd_listen_fds(3) protocol, and our own succession.

A service manager that listens for us holds the sockets while we are away: nobody who connects is refused. Each one has
a name (`FileDescriptorName=`) that says what is spoken over it: `unix`, `lines` or `http`.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence

import msgspec

from stui_sessiond import config
from stui_sessiond.errors import ConfigError
from stui_sessiond.settings import Settings

FIRST_DESCRIPTOR = 3
"""Where those begin that a service manager hands in (SD_LISTEN_FDS_START)."""

MAX_DESCRIPTORS = 64
"""More are not meant for us: three listeners, each on a few addresses."""

NAMES = ("unix", "lines", "http")


class Given(msgspec.Struct, frozen=True):
    """The sockets of one listener that were handed in."""

    sockets: Sequence[socket.socket]
    asked: str | None
    """The setting the one before us had bound them for; None: they are the service manager's."""

    @property
    def managed(self) -> bool:
        """Whether a service manager holds them as well."""
        return self.asked is None


Inherited = Mapping[str, Given]


def from_manager(environment: MutableMapping[str, str], first: int = FIRST_DESCRIPTOR) -> Inherited:
    """Take the sockets a service manager hands in, and take the variables away: children are not meant.

    Raises:
        ConfigError: one of them is nothing we can listen on, or has no name that says what for.
    """
    process = environment.pop("LISTEN_PID", None)
    count = environment.pop("LISTEN_FDS", None)
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if count is None or process != str(os.getpid()):
        return {}
    if not count.isdecimal() or int(count) > MAX_DESCRIPTORS:
        msg = f"LISTEN_FDS={count}: a number up to {MAX_DESCRIPTORS} was expected"
        raise ConfigError(msg)
    found: dict[str, list[socket.socket]] = {}
    try:
        for number in range(int(count)):
            name = names[number] if number < len(names) else ""
            _sort_in(found, *_take(first + number, name))
    except ConfigError:
        for sock in (sock for sockets in found.values() for sock in sockets):
            sock.close()
        raise
    return {kind: Given(sockets, None) for kind, sockets in found.items()}


def _sort_in(found: dict[str, list[socket.socket]], kind: str, sock: socket.socket) -> None:
    found.setdefault(kind, []).append(sock)
    if len(found.get("unix", ())) > 1:
        msg = "the service manager hands in several unix sockets; there can be one"
        raise ConfigError(msg)


def _take(descriptor: int, name: str) -> tuple[str, socket.socket]:
    """Take one descriptor, and tell for which listener it is."""
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 -- the name of the function says what
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        msg = f"descriptor {descriptor} ({name or 'no name'}) of the service manager is no socket: {error.strerror}"
        raise ConfigError(msg) from error
    is_unix = sock.family == socket.AF_UNIX
    kind = name if name in NAMES else "unix" if is_unix else None
    wrong = None
    if kind is None:
        wrong = "nothing says what is spoken over it: FileDescriptorName=lines or FileDescriptorName=http"
    elif is_unix != (kind == "unix") or sock.family not in {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}:
        wrong = f"it is of the family {sock.family.name}; `unix` wants a path, `lines` and `http` an address"
    elif sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        wrong = "it does not listen for streams: ListenStream=, with Accept=no"
    elif is_unix and not _path(sock):
        wrong = "it has no path in the file system; abstract sockets have no owner that could be checked"
    if wrong is not None:
        sock.close()
        msg = f"the service manager hands in socket {descriptor} ({name or 'no name'}): {wrong}"
        raise ConfigError(msg)
    return str(kind), sock


def _path(sock: socket.socket) -> str:
    name = sock.getsockname()
    return name if isinstance(name, str) and name.startswith("/") else ""


def place_of(sock: socket.socket) -> str:
    """Tell where a socket listens, as the settings write it."""
    if sock.family == socket.AF_UNIX:
        return _path(sock)
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fitting(inherited: Inherited, settings: Settings) -> Inherited:
    """Tell which sockets are still wanted. Of those of the one before us, settings may have changed their mind.

    Raises:
        ConfigError: a socket of the service manager is elsewhere than the settings say.
    """
    fit: dict[str, Given] = {}
    for kind, given in inherited.items():
        wanted = asked_for(settings, kind)
        if not given.managed:
            if given.asked == wanted:
                fit[kind] = given
            continue
        place = place_of(given.sockets[0])
        named = wanted if kind != "unix" or settings.server.unix is not None else None
        if named is not None and not _same_place(kind, named, place):
            msg = (
                f"server.{kind}: the settings say {named}, and the service manager listens on {place}; "
                "leave it out of the settings, or change the .socket unit"
            )
            raise ConfigError(msg)
        fit[kind] = given
    return fit


def overrides(inherited: Inherited) -> Mapping[str, str]:
    """What the sockets of a service manager say in the place of settings, so that these are checked with them."""
    return {kind: place_of(given.sockets[0]) for kind, given in inherited.items() if given.managed}


def asked_for(settings: Settings, kind: str) -> str | None:
    """Tell what the settings say of a listener; None: it is off."""
    server = settings.server
    return str(config.unix_path(server)) if kind == "unix" else server.http if kind == "http" else server.lines


def _same_place(kind: str, named: str, place: str) -> bool:
    if kind == "unix":
        return os.path.abspath(named) == place  # noqa: PTH100 -- as the settings are read
    return config.parse_address(named, f"server.{kind}") == config.parse_address(place, kind)
