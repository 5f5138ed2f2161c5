"""Every command of the tutorial is run as it stands there, against a real daemon and a live Amber image."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.harness import ROOT, clean_environment, find_node, folder

PAGE = ROOT / "docs" / "tutorial" / "first-session.md"
READY_FILE = "/tmp/stui-tutorial.json"  # noqa: S108 -- what the page says; the test puts its own folder there
PATIENCE_S = 60.0
END = "--- end of a block ---"


class Step(NamedTuple):
    """Commands for one terminal, and what the page says that they print; None: it says nothing."""

    terminal: str
    commands: str
    shown: str | None


def steps(text: str) -> list[Step]:
    """Take the blocks of a page in their order."""
    blocks = re.findall(r'^```(sh title="([^"]*)"|text)\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    found: list[Step] = []
    for kind, terminal, body in blocks:
        if kind == "text":
            found[-1] = found[-1]._replace(shown=body)
        else:
            found.append(Step(terminal, body, None))
    return found


def matches(shown: str, printed: str) -> bool:
    """Compare what the page shows with what came; `...` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


class Terminal:
    """A shell that keeps its variables from block to block."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def run(self, commands: str) -> str:
        """Run a block; give what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{commands}\necho '{END}'\n")
        self._shell.stdin.flush()
        return "".join(iter(self._shell.stdout.readline, f"{END}\n"))

    def close(self) -> None:
        """End it."""
        self._shell.kill()
        self._shell.communicate()


def test_tutorial_works_as_it_is_written() -> None:
    """Daemon, image, evaluations, an error, kill -9, a new start and the way back: each prints what the page shows."""
    with folder() as home, ExitStack() as stack:
        beside = f"{Path(sys.executable).parent}:{Path(find_node()).parent}"
        environment = clean_environment(STUI_SESSIOND_DATA_DIR=str(home / "data"))
        environment |= {"STUI_SESSIOND_RUNTIME_DIR": str(home / "run"), "PATH": f"{beside}:{environment['PATH']}"}
        work = Terminal(environment)
        stack.callback(work.close)
        ready = home / "ready.json"
        image_there = False
        for step in steps(PAGE.read_text("utf-8").replace(READY_FILE, str(ready))):
            if step.terminal not in {"Terminal 1", "Terminal 2"}:
                printed = work.run(step.commands)
                if step.shown is not None:
                    assert matches(step.shown, printed), f"{step.commands}\nprinted\n{printed}"
                continue
            if step.terminal == "Terminal 1":
                ready.unlink(missing_ok=True)
            child = subprocess.Popen(
                ["bash", "-c", f"exec {step.commands}"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
            )
            stack.callback(child.wait)
            stack.callback(child.kill)
            image_there = image_there or step.terminal == "Terminal 2"
            wait_for(ready.exists)
            if image_there:
                wait_for(lambda: "connected     healthy" in work.run("stui-sessiond images"))


def wait_for(is_there: Callable[[], bool]) -> None:
    """Wait for another process."""
    end = time.monotonic() + PATIENCE_S
    while not is_there():
        if time.monotonic() > end:
            pytest.fail("it did not get ready")
        time.sleep(0.05)


def test_matches_takes_dots_for_anything_and_nothing_else() -> None:
    """A page that shows something else than what comes is found out."""
    assert matches("7\n42\n", "7\n42\n")
    assert matches("a ... d\n", "a b\nc d")
    assert not matches("7\n42\n", "7\n43\n")
    assert not matches("a.c", "abc")
