"""A real systemd as process 1 of namespaces of its own: what units do is tried where it counts, and harms nobody.

Nothing that it writes is outside: /run, /etc/systemd/system, /var/lib and /var/log are folders in memory of its own. It
starts only what a test asks for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Self

BOOT_S = 20.0
COMMAND_S = 60.0

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Without the environment of the tests: a service of its own user cannot reach that."""

_TARGETS = ("basic", "sysinit", "shutdown", "sockets", "timers", "paths", "slices", "umount", "local-fs", "network")
_JOURNAL = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
_LIB = Path("/usr/lib/systemd")
_GROUPS = Path("/sys/fs/cgroup/systemd")

_BOOT = """
set -e
for folder in /run /etc/systemd/system /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mkdir -p /run/lock; echo "$MACHINE" > /run/machine-id; mount --bind /run/machine-id /etc/machine-id
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd; mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
exec env -i container=other PATH="$SYSTEM_PATH" HOME=/root LANG=C.UTF-8 SYSTEMD_UNIT_PATH="$UNITS:/etc/systemd/system" \
  /usr/lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no
"""


def why_not() -> str | None:
    """Why no systemd can be booted here; None: it can."""
    if os.geteuid() != 0:
        return "only root can make the namespaces"
    if not (_LIB / "systemd").exists() or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "systemd, unshare or nsenter is missing"
    if not (_GROUPS / "cgroup.procs").exists():
        return "there is no control group hierarchy for systemd (version 1, name=systemd)"
    return None


class Booted:
    """systemd, as long as the context lasts."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="stui-boot-"))
        self._group = _GROUPS / f"stui-{uuid.uuid4().hex[:8]}"
        self._process: subprocess.Popen[bytes] | None = None
        self.init = 0
        self.cli: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        for name in (*(f"{target}.target" for target in _TARGETS), *_JOURNAL):
            if (_LIB / "system" / name).exists():
                (self._folder / name).symlink_to(_LIB / "system" / name)
        self._group.mkdir()
        join = f"echo $$ > {self._group}/cgroup.procs; "
        spaces = ("--pid", "--fork", "--mount", "--uts", "--ipc", "--cgroup", "--kill-child", "--mount-proc")
        boot = f"exec unshare {' '.join(spaces)} bash -c '{_BOOT}'"
        more = {"UNITS": str(self._folder), "MACHINE": uuid.uuid4().hex, "SYSTEM_PATH": SYSTEM_PATH}
        environment = {**os.environ, **more}
        self._process = subprocess.Popen(["bash", "-c", join + boot], env=environment, stdin=subprocess.DEVNULL)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + BOOT_S
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while time.monotonic() < end:
            found = children.read_text("utf-8").split()
            if found:
                self.init = int(found[0])
                if self.run("systemctl", "is-active", "basic.target", check=False).stdout.strip() == "active":
                    self.run("systemctl", "start", "systemd-journald.socket", "systemd-journald.service")
                    return
            time.sleep(0.05)  # another process
        msg = "systemd did not start"
        raise TimeoutError(msg)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in there."""
        enter = ["nsenter", f"--target={self.init}", "--mount", "--pid", "--uts", "--ipc", "--cgroup"]
        clean = {"PATH": SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        ran = subprocess.run(
            [*enter, *command], env=clean, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        if check and ran.returncode:
            log = self.run("journalctl", "--no-pager", "-n", "50", check=False).stdout
            msg = f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}\n{log}"
            raise AssertionError(msg)
        return ran

    def shown(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # process 1 of a namespace heeds nothing softer; all in it end with it
            self._process.wait(BOOT_S)
        shutil.rmtree(self._folder, ignore_errors=True)
        end = time.monotonic() + BOOT_S
        while time.monotonic() < end:
            try:
                for group in sorted(self._group.rglob("*"), reverse=True):
                    if group.is_dir():
                        group.rmdir()
                self._group.rmdir()
            except FileNotFoundError:
                return
            except OSError:  # what was in there is about to end
                time.sleep(0.05)
            else:
                return
