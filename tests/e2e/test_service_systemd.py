"""The units under a real systemd: what it thinks of them, and the life of the daemon in its hands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stui_sessiond.service.unit import Wish, systemd_units
from tests.e2e.booted import Booted, why_not

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"
DEADLINE_S = 30.0
SOCKET = "/run/stui-sessiond/daemon.sock"

WORST_EXPOSURE = 2.0
"""Of 10, as `systemd-analyze security` counts; what is left is the network, which the daemon is for."""

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def _reason() -> str | None:
    if (reason := why_not()) is not None:
        return reason
    shown = f"{sys.version_info.major}.{sys.version_info.minor}"
    told = subprocess.run([SYSTEM_PYTHON, "--version"], capture_output=True, text=True, check=False).stdout
    return None if f" {shown}." in told else f"{SYSTEM_PYTHON}, which a service can reach, is not {shown}"


@pytest.fixture(scope="module")
def booted() -> Iterator[Booted]:
    """A systemd for the tests of this file."""
    if (reason := _reason()) is not None:
        pytest.skip(f"no systemd can be booted here: {reason}")
    with Booted() as systemd:
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        path = f"Environment=PYTHONPATH={packages}:{ROOT} PYTHONDONTWRITEBYTECODE=1"
        drop_in(systemd, "path", path)
        systemd.cli = ("env", path.removeprefix("Environment=").split(" ")[0], f"STUI_SESSIOND_URL=unix://{SOCKET}")
        yield systemd


def drop_in(systemd: Booted, name: str, text: str) -> None:
    """Add settings to the service."""
    folder = "/etc/systemd/system/stui-sessiond.service.d"
    systemd.run("sh", "-c", f"mkdir -p {folder} && printf '[Service]\\n{text}\\n' > {folder}/{name}.conf")
    systemd.run("systemctl", "daemon-reload")


def cli(systemd: Booted, *words: str, check: bool = True) -> str:
    """What a command of ours prints in there."""
    ran = systemd.run(*systemd.cli, SYSTEM_PYTHON, "-m", "stui_sessiond", *words, check=check)
    return ran.stdout + ran.stderr


def until(what: Callable[[], bool], systemd: Booted) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, systemd.run("journalctl", "--no-pager", "-n", "60").stdout
        time.sleep(0.05)


def main_pid(systemd: Booted) -> int:
    """The process that systemd takes for the daemon."""
    return int(systemd.shown("stui-sessiond", "MainPID"))


def test_service_is_installed_restarted_watched_and_removed(booted: Booted) -> None:
    """One life: install twice, hand over, a bad restart, a reload, a hang that the watchdog ends, uninstall."""
    install = ("service", "install", "--system", "--listen", "unix", "--listen", "http=127.0.0.1:7448")
    cli(booted, *install)
    cli(booted, *install)
    assert booted.shown("stui-sessiond", "ActiveState") == "active"
    assert "serving" in cli(booted, "service", "status", "--system")
    made = cli(booted, "call", "create_session", "client_id=me", "name=kept")
    session_id = re.search(r"session_[\w-]+", made)
    assert session_id is not None

    before = main_pid(booted)  # another process takes over, and systemd follows it
    assert "serves" in cli(booted, "restart")
    after = main_pid(booted)
    assert after != before
    assert booted.shown("stui-sessiond", "NRestarts") == "0"
    assert session_id[0] in cli(booted, "call", "list_client_sessions", "client_id=me")

    drop_in(booted, "bad", "Environment=STUI_SESSIOND_SESSIONS_RETENTION=never")  # only for processes systemd starts
    booted.run("systemctl", "reload", "stui-sessiond")
    assert (booted.shown("stui-sessiond", "ActiveState"), main_pid(booted)) == ("active", after)
    booted.run("rm", "/etc/systemd/system/stui-sessiond.service.d/bad.conf")

    drop_in(booted, "watch", "WatchdogSec=2\\nTimeoutAbortSec=1")
    booted.run("systemctl", "restart", "stui-sessiond")
    hung = main_pid(booted)
    booted.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", "stui-sessiond")
    until(lambda: main_pid(booted) not in {0, hung} and booted.shown("stui-sessiond", "SubState") == "running", booted)
    assert booted.shown("stui-sessiond", "NRestarts") == "1"
    assert session_id[0] in cli(booted, "call", "list_client_sessions", "client_id=me")

    journal = booted.run("journalctl", "--no-pager", "--unit", "stui-sessiond", "--output=export").stdout
    assert "stui_" not in re.sub(r"stui_sessiond", "", journal), "a token is in the journal"
    assert re.search(r"PRIORITY=6[\s\S]*MESSAGE=[^<\n]*daemon.ready", journal)

    cli(booted, "service", "uninstall", "--system")
    assert booted.shown("stui-sessiond", "LoadState") == "not-found" or main_pid(booted) == 0
    assert "Nothing is installed" in cli(booted, "service", "uninstall", "--system")


@needs_analyze
@pytest.mark.parametrize("system", [False, True])
def test_units_verify(tmp_path: Path, system: bool) -> None:
    """Nothing is found wrong with any unit; words with odd characters are taken literally."""
    odd = tmp_path / "a $c %d"
    odd.mkdir()
    program = odd / "stui-sessiond"
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    listen = {"unix": "/run/stui-sessiond/daemon.sock", "lines": "127.0.0.1:7447", "http": "[::1]:7448"}
    units = systemd_units(Wish(command=[str(program)], config='/etc/x "y" $z %d\\.toml', listen=listen, system=system))
    for name, text in units.items():
        (tmp_path / name).write_text(text, "utf-8")
    kind = [] if system else ["--user"]
    ran = subprocess.run(
        ["systemd-analyze", *kind, "verify", *(str(tmp_path / name) for name in units)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    about_ours = [line for line in ran.stderr.splitlines() if str(tmp_path) in line or "stui" in line]
    assert (ran.returncode, about_ours) == (0, [])


@needs_analyze
def test_units_system_exposes_little(tmp_path: Path) -> None:
    """What `systemd-analyze security` says of the unit for the machine."""
    unit = tmp_path / "stui-sessiond.service"
    unit.write_text(systemd_units(Wish(command=["/bin/true"], system=True))[unit.name], "utf-8")
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", str(unit)], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"exposure level for \S+: ([0-9.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= WORST_EXPOSURE, told
