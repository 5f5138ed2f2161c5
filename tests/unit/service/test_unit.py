"""What is written for service managers, and what is done in which order."""

from __future__ import annotations

import plistlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.errors import ConfigError
from stui_sessiond.service.manager import Launchd, Step, Systemd, take
from stui_sessiond.service.unit import LABEL, Wish, _quoted, check_reach, launchd_list, systemd_units


def read_words(text: str) -> str:
    """What systemd makes of one quoted word: escapes, then specifiers and variables (written from its manual)."""
    if text.startswith('"'):
        inner, out, escaped = text[1:-1], "", False
        for character in inner:
            if escaped or character != "\\":
                out, escaped = out + character, False
            else:
                escaped = True
        text = out
    return text.replace("$$", "$").replace("%%", "%")


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1))
def test_quoted_words_are_read_as_they_were(word: str) -> None:
    """Whatever is in a path."""
    assert read_words(_quoted(word)) == word


@pytest.mark.parametrize("word", ["a\nExecStart=/bin/false", "\x7f", "\x00"])
def test_control_characters_get_into_no_unit(word: str) -> None:
    """A new line would be another setting."""
    with pytest.raises(ConfigError, match="control character"):
        systemd_units(Wish(command=["/bin/x"], config=word))


def test_program_with_quotes_is_refused() -> None:
    """Systemd does not run it."""
    with pytest.raises(ConfigError, match="quotes"):
        systemd_units(Wish(command=['/opt/"x"/stui-sessiond']))


def test_sockets_of_a_wish() -> None:
    """A unit for each listener, with the name the daemon reads."""
    units = systemd_units(Wish(command=["/x"], listen={"unix": "/run/100%/s", "http": "127.0.0.1:7448"}))
    assert set(units) == {"stui-sessiond.service", "stui-sessiond-unix.socket", "stui-sessiond-http.socket"}
    assert "ListenStream=/run/100%%/s\n" in units["stui-sessiond-unix.socket"]
    assert "SocketMode=0600" in units["stui-sessiond-unix.socket"]
    assert "FileDescriptorName=http\n" in units["stui-sessiond-http.socket"]
    assert not any("@" in line.partition("SystemCall")[0] for unit in units.values() for line in unit.splitlines())


@pytest.mark.parametrize("file", ["/root/.local/bin/x", "/home/ada/x"])
def test_program_in_a_home_is_not_for_the_machine(file: str) -> None:
    """The unit hides homes."""
    with pytest.raises(ConfigError, match="install the program"):
        check_reach([file])


def test_launchd_job_says_what_launchd_reads() -> None:
    """The keys are those of launchd.plist(5), and of the types it wants."""
    job = plistlib.loads(launchd_list(Wish(command=["/opt/x"], config="/etc/s & t.toml"), "/tmp/l"))  # noqa: S108 -- a name
    assert job["Label"] == LABEL
    assert job["ProgramArguments"][:4] == ["/opt/x", "serve", "--config", "/etc/s & t.toml"]
    assert job["KeepAlive"] == {"SuccessfulExit": False}
    kinds = {"RunAtLoad": bool, "ThrottleInterval": int, "ExitTimeOut": int, "ProcessType": str, "Umask": int}
    assert all(type(job[key]) is kind for key, kind in kinds.items())


def test_launchd_hands_in_no_sockets() -> None:
    """What cannot be is said."""
    with pytest.raises(ConfigError, match="without --listen"):
        Launchd({"HOME": "/h"}).install(Wish(command=["/x"], listen={"unix": "/s"}))


def test_install_then_uninstall_leaves_nothing(tmp_path: Path) -> None:
    """Files of listeners that are not wanted any more go as well; what is written twice is written once."""
    here = Systemd(system=False, environment={"XDG_CONFIG_HOME": str(tmp_path)})
    wish = Wish(command=["/x"], listen={"lines": "127.0.0.1:1", "http": "127.0.0.1:2"})
    files(here.install(wish))
    assert {path.name for path in here.folder.iterdir()} == set(systemd_units(wish))
    fewer = Wish(command=["/x"], listen={"http": "127.0.0.1:2"})
    steps = here.install(fewer)
    assert ("systemctl", "--user", "disable", "--now", "stui-sessiond-lines.socket") in [step.command for step in steps]
    files(steps)
    assert {path.name for path in here.folder.iterdir()} == set(systemd_units(fewer))
    files(here.uninstall())
    assert list(here.folder.iterdir()) == []
    assert here.uninstall() == []


def files(steps: object) -> None:
    """Do what concerns files; there is no manager to be told."""
    for step in steps:  # type: ignore[attr-defined]  # steps
        if step.file is not None:
            take(step)


def test_command_that_fails_says_what_was_said() -> None:
    """The words of the manager are part of the error; some commands may fail."""
    with pytest.raises(ConfigError, match="no such thing"):
        take(Step(command=("sh", "-c", "echo no such thing >&2; exit 3")))
    take(Step(command=("sh", "-c", "exit 3"), may_fail=True))
    with pytest.raises(ConfigError, match="No such file"):
        take(Step(command=("/nowhere/systemctl",)))


def test_no_manager_is_told_with_what_to_do_instead(tmp_path: Path) -> None:
    """In a container, for one."""
    with pytest.raises(ConfigError, match="container"):
        Systemd(system=False, environment={"XDG_RUNTIME_DIR": str(tmp_path)}).check()
