"""Which service manager is there, and how is it told? systemd (of the user, or of the machine) and launchd.

What is done is a list of steps, so that it can be shown before it is done. Doing it again changes nothing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from stui_sessiond.errors import ConfigError
from stui_sessiond.service.unit import LABEL, NAME, Wish, launchd_list, socket_name, systemd_units

COMMAND_S = 120.0
"""How long a command of the service manager may take: a restart waits until the daemon is ready."""

LISTENERS = ("unix", "lines", "http")

NO_MANAGER = (
    "no service manager runs here that could be told (in a container there is none): run `stui-sessiond serve` as the "
    "container's own process, or under its supervisor; it ends in order at SIGTERM"
)


class Step(msgspec.Struct, frozen=True):
    """A file that is written or removed, or a command that is run."""

    file: Path | None = None
    text: bytes | None = None
    """What is in the file then; None: it is removed."""
    command: Sequence[str] = ()
    may_fail: bool = False


class Systemd:
    """The service manager of Linux."""

    def __init__(self, *, system: bool, environment: Mapping[str, str]) -> None:
        self._system = system
        self._environment = environment
        self._control = ("systemctl",) if system else ("systemctl", "--user")
        home = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "/")) / ".config")
        self.folder = Path("/etc/systemd/system") if system else home / "systemd" / "user"

    def check(self) -> None:
        """Make sure that somebody listens.

        Raises:
            ConfigError: there is no such service manager here.
        """
        runtime = self._environment.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
        private = Path("/run/systemd/private") if self._system else Path(runtime) / "systemd" / "private"
        if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir() or not private.exists():
            raise ConfigError(NO_MANAGER)
        if self._system and os.geteuid() != 0:
            msg = "--system changes the machine: run it as root"
            raise ConfigError(msg)

    def install(self, wish: Wish) -> Sequence[Step]:
        """Write the units, drop sockets that are not wanted any more, and start."""
        units = systemd_units(wish)
        sockets = [name for name in units if name.endswith(".socket")]
        gone = [socket_name(kind) for kind in LISTENERS if socket_name(kind) not in units]
        steps = [self._dropped(name) for name in gone if (self.folder / name).exists()]
        steps += [Step(self.folder / name) for name in gone if (self.folder / name).exists()]
        steps += [Step(self.folder / name, text.encode()) for name, text in units.items()]
        steps.append(Step(command=(*self._control, "daemon-reload")))
        if sockets:  # a service that listens by itself already has to make room for them
            steps.append(Step(command=(*self._control, "enable", *sockets, f"{NAME}.service")))
            steps.append(Step(command=(*self._control, "stop", f"{NAME}.service"), may_fail=True))
            steps.append(Step(command=(*self._control, "restart", *sockets)))
        else:
            steps.append(Step(command=(*self._control, "enable", f"{NAME}.service")))
        steps.append(Step(command=(*self._control, "restart", f"{NAME}.service")))
        return steps

    def _dropped(self, name: str) -> Step:
        return Step(command=(*self._control, "disable", "--now", name), may_fail=True)

    def uninstall(self) -> Sequence[Step]:
        """Stop it and take the units away. Sessions stay."""
        names = [*(socket_name(kind) for kind in LISTENERS), f"{NAME}.service"]
        there = [name for name in names if (self.folder / name).exists()]
        steps = [self._dropped(name) for name in there]
        steps += [Step(self.folder / name) for name in there]
        return [*steps, Step(command=(*self._control, "daemon-reload"))] if there else []

    def status(self) -> Sequence[str]:
        """The command that tells how it is."""
        return (*self._control, "--no-pager", "--full", "status", f"{NAME}.service")

    def restart(self) -> Sequence[str]:
        """The command that stops and starts it."""
        return (*self._control, "restart", f"{NAME}.service")

    def logs(self) -> Sequence[str]:
        """The command that shows the log."""
        return ("journalctl", *(() if self._system else ("--user",)), "--no-pager", "--lines=200", "--unit", NAME)


class Launchd:
    """The service manager of macOS, for one user. Written after launchd.plist(5) and launchctl(1)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        home = Path(environment.get("HOME", "/"))
        self.folder = home / "Library" / "LaunchAgents"
        self.log_file = home / "Library" / "Logs" / f"{NAME}.log"
        self._domain = f"gui/{os.getuid()}"

    def check(self) -> None:
        """Make sure that it can be told.

        Raises:
            ConfigError: there is no launchctl.
        """
        if shutil.which("launchctl") is None:
            raise ConfigError(NO_MANAGER)

    def install(self, wish: Wish) -> Sequence[Step]:
        """Write the job and load it.

        Raises:
            ConfigError: it is wanted for the machine, or with sockets of the manager.
        """
        if wish.system or wish.listen:
            msg = "launchd: only for your own user, and without --listen; name listeners in the settings file"
            raise ConfigError(msg)
        path = self.folder / f"{LABEL}.plist"
        return [
            Step(path, launchd_list(wish, str(self.log_file))),
            Step(command=("launchctl", "bootout", f"{self._domain}/{LABEL}"), may_fail=True),
            Step(command=("launchctl", "bootstrap", self._domain, str(path))),
        ]

    def uninstall(self) -> Sequence[Step]:
        """Unload the job and take it away. Sessions stay."""
        path = self.folder / f"{LABEL}.plist"
        if not path.exists():
            return []
        return [Step(command=("launchctl", "bootout", f"{self._domain}/{LABEL}"), may_fail=True), Step(path)]

    def status(self) -> Sequence[str]:
        """The command that tells how it is."""
        return ("launchctl", "print", f"{self._domain}/{LABEL}")

    def restart(self) -> Sequence[str]:
        """The command that stops and starts it."""
        return ("launchctl", "kickstart", "-k", f"{self._domain}/{LABEL}")

    def logs(self) -> Sequence[str]:
        """The command that shows the log."""
        return ("tail", "-n", "200", str(self.log_file))


def manager_here(*, system: bool, environment: Mapping[str, str]) -> "Systemd | Launchd":
    """The service manager of this kind of machine."""
    return Launchd(environment) if sys.platform == "darwin" else Systemd(system=system, environment=environment)


def take(step: Step) -> None:
    """Do it.

    Raises:
        ConfigError: it failed; the text has what the manager said.
    """
    try:
        if step.file is not None and step.text is None:
            step.file.unlink(missing_ok=True)
        elif step.file is not None and step.text is not None:
            step.file.parent.mkdir(parents=True, exist_ok=True)
            if not step.file.exists() or step.file.read_bytes() != step.text:
                step.file.write_bytes(step.text)
        if step.command:
            ran = subprocess.run(step.command, capture_output=True, text=True, timeout=COMMAND_S, check=False)  # noqa: S603 -- ours
            if ran.returncode and not step.may_fail:
                msg = f"`{' '.join(step.command)}` failed: {(ran.stderr or ran.stdout).strip()}"
                raise ConfigError(msg)
    except subprocess.TimeoutExpired as error:
        msg = (
            f"`{' '.join(step.command)}` had not ended after {COMMAND_S:g} s; `stui-sessiond service status` tells more"
        )
        raise ConfigError(msg) from error
    except OSError as error:
        msg = f"{step.file or ' '.join(step.command)}: {error.strerror or error}"
        raise ConfigError(msg) from error
