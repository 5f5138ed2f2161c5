"""Sockets that a service manager hands in: taken as they are meant, or refused with what to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stui_sessiond.errors import ConfigError
from stui_sessiond.service.activation import Given, fitting, from_manager, overrides
from stui_sessiond.settings import ServerSettings, Settings

FIRST = 200
"""Where the descriptors are put; a test's own are far below."""


class Sockets:
    """Sockets at consecutive descriptors, as a manager hands them in."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self.count = 0

    def add(self, sock: socket.socket) -> None:
        """One more."""
        os.dup2(sock.fileno(), FIRST + self.count)
        self.count += 1
        self._stack.callback(sock.close)

    def unix(self) -> str:
        """A unix socket that listens."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = str(self._folder / f"s{self.count}")
        sock.bind(path)
        sock.listen()
        self.add(sock)
        return path

    def tcp(self) -> str:
        """A TCP socket that listens."""
        sock = socket.create_server(("127.0.0.1", 0))
        self.add(sock)
        return f"127.0.0.1:{sock.getsockname()[1]}"

    def environment(self, names: str) -> dict[str, str]:
        """What the manager says of them."""
        return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(self.count), "LISTEN_FDNAMES": names}


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[Sockets]:
    """Sockets of a test; what is left of them afterwards is closed."""
    with ExitStack() as stack:
        made = Sockets(stack, tmp_path)
        yield made
        for number in range(made.count):
            try:
                os.close(FIRST + number)
            except OSError:  # whoever took it has closed it
                continue


def close(inherited: object) -> None:
    """Close what was taken."""
    assert isinstance(inherited, dict)
    for given in inherited.values():
        for sock in given.sockets:
            sock.close()


def test_sockets_with_names_are_taken(sockets: Sockets) -> None:
    """Each is for its listener; the variables are gone, so that no child takes them for its own."""
    path, lines, http = sockets.unix(), sockets.tcp(), sockets.tcp()
    environment = sockets.environment("unix:lines:http")
    found = from_manager(environment, FIRST)
    assert overrides(found) == {"unix": path, "lines": lines, "http": http}
    assert all(given.managed for given in found.values())
    assert environment == {}
    assert not any(os.get_inheritable(given.sockets[0].fileno()) for given in found.values())
    close(found)


def test_sockets_for_another_process_are_left() -> None:
    """LISTEN_PID names who is meant."""
    assert from_manager({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, FIRST) == {}
    assert from_manager({}, FIRST) == {}


def test_unix_socket_needs_no_name(sockets: Sockets) -> None:
    """There is only one thing it can be for."""
    path = sockets.unix()
    found = from_manager(sockets.environment("stui-sessiond.socket"), FIRST)
    assert overrides(found) == {"unix": path}
    close(found)


@pytest.mark.parametrize(
    ("make", "names", "told"),
    [
        (lambda s: s.tcp(), "stui-sessiond.socket", "FileDescriptorName=lines"),
        (lambda s: s.tcp(), "unix", "wants a path"),
        (lambda s: s.unix(), "http", "`http` an address"),
        (lambda s: (s.unix(), s.unix()), "unix:unix", "several unix sockets"),
        (lambda s: s.add(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)), "lines", "ListenStream="),
        (lambda s: s.add(socket.socket()), "lines", "does not listen"),
    ],
)
def test_sockets_that_do_not_fit_are_refused(sockets: Sockets, make: object, names: str, told: str) -> None:
    """The text says what to change in the unit."""
    assert callable(make)
    make(sockets)
    with pytest.raises(ConfigError, match=told):
        from_manager(sockets.environment(names), FIRST)


@pytest.mark.parametrize("count", ["-1", "x", "65"])
def test_count_that_is_none_is_refused(count: str) -> None:
    """A number was expected."""
    with pytest.raises(ConfigError, match="LISTEN_FDS"):
        from_manager({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}, FIRST)


def test_descriptor_that_is_no_socket_is_refused() -> None:
    """A closed descriptor, for one."""
    with pytest.raises(ConfigError, match="is no socket"):
        from_manager({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}, FIRST + 50)


def test_manager_and_settings_have_to_agree() -> None:
    """Two places for one listener are a mistake; the same one twice is none."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        place = f"127.0.0.1:{sock.getsockname()[1]}"
        given = {"http": Given([sock], None)}
        assert fitting(given, Settings(server=ServerSettings(http=place))) == given
        assert fitting(given, Settings()) == given
        with pytest.raises(ConfigError, match=r"change the \.socket unit"):
            fitting(given, Settings(server=ServerSettings(http="127.0.0.1:1")))


def test_sockets_of_the_predecessor_go_with_their_setting() -> None:
    """What the settings ask for by now is kept; other listeners are bound anew, or are off."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        given = {"lines": Given([sock], "127.0.0.1:0")}
        assert fitting(given, Settings(server=ServerSettings(lines="127.0.0.1:0"))) == given
        assert fitting(given, Settings(server=ServerSettings(lines="127.0.0.1:7447"))) == {}
        assert fitting(given, Settings()) == {}
        assert overrides(given) == {}
