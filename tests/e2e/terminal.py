"""A real terminal for the front end: tmux, driven by keys, read as a person reads it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.harness import DEADLINE_S, clean_environment


class Terminal:
    """`stui` in a terminal of a home of its own; started again, it finds what the one before left there."""

    def __init__(self, home: Path, *arguments: str, size: tuple[int, int] = (110, 32), **environment: str) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("LOUD: tmux is missing, so the front end is not driven in a real terminal (apt install tmux)")
        self._name = f"stui-{os.getpid()}-{home.name}"
        self._starts = 0
        self._server = ["tmux"]
        self._command = [sys.executable, "-m", "stui_sessiond.tui", *arguments]
        self._size = size
        self._environment = {
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(home / "state"),
            "STUI_SESSIOND_DATA_DIR": str(home / "data"),
            "STUI_SESSIOND_RUNTIME_DIR": str(home / "run"),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            **environment,
        }

    def start(self, *more: str) -> None:
        """Start it."""
        self._starts += 1  # a server that ends is not one to start anew on
        self._server = ["tmux", "-L", f"{self._name}-{self._starts}", "-f", "/dev/null"]
        settings = [f"{name}={value}" for name, value in self._environment.items()]
        command = shlex.join(["env", *settings, *self._command, *more])
        width, height = self._size
        self._tmux("new-session", "-d", "-x", str(width), "-y", str(height), f"exec {command}")
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._server, *arguments],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def text(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Press keys, as tmux calls them: `Enter`, `M-p`, `F4`."""
        for key in keys:
            self._tmux("send-keys", key)

    def type(self, text: str) -> None:
        """Type text."""
        self._tmux("send-keys", "-l", text)

    def wait_for(self, *wanted: str) -> str:
        """The screen, as soon as all of this is to be read on it."""
        return self.wait_until(lambda text: all(each in text for each in wanted), " and ".join(map(repr, wanted)))

    def wait_until(self, fact: Callable[[str], bool], what: str) -> str:
        """The screen, as soon as something is true of it."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            text = self.text
            if fact(text):
                return text
            time.sleep(0.05)  # another process: there is nothing to wait on
        pytest.fail(f"waited in vain for {what}; the terminal shows\n{self.text}")

    @property
    def pid(self) -> int:
        """The process of the front end."""
        return int(self._tmux("list-panes", "-F", "#{pane_pid}").strip())

    def kill(self) -> None:
        """End it the hard way, with its terminal."""
        os.kill(self.pid, signal.SIGKILL)
        self.close()

    def leave(self) -> None:
        """Leave it as a person does, and wait until it has ended."""
        self.press("F10")
        self.wait_until(lambda _: self._tmux("list-panes", "-F", "#{pane_dead}").strip() == "1", "the end")
        self.close()

    def close(self) -> None:
        """End the terminal, if there is one."""
        subprocess.run([*self._server, "kill-server"], capture_output=True, check=False, timeout=30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
